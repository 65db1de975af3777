//! What a lane publishes of itself once a second, and the memory that it counts besides its batches.

use std::collections::BTreeMap;
use std::time::Duration;

use super::longest::LARGE;
use super::{Held, Lane, Wait};
use crate::config::{Assignment, Config, GroupProtocol};
use crate::core::view::WaitsFor;
use crate::core::{Event, SEAL_ABOVE};
use crate::source::Record;
use crate::source::properties::fetch_reserve;
use crate::telemetry::detail::OpenHours;
use crate::types::TopicPartition;

/// How often positions are looked at and the lane's state is published.
const REPORT_EVERY: Duration = Duration::from_secs(1);

impl Lane<'_> {
    /// Counts what the lane takes besides its batches.
    pub(super) fn account(&mut self) {
        let stashed = self.held.values().flat_map(|held| &held.stash);
        self.put_aside = stashed.map(Record::memory).sum();
        self.set_aside();
    }

    /// The same, with as much put aside as there was when that was counted last.
    pub(super) fn set_aside(&mut self) {
        let longest = self.longest.bytes(self.shared.clock.monotonic());
        let config = &self.shared.config;
        let reserve = fetch_reserve(config, longest, self.compressor.memory());
        self.reserve.set(reserve + self.put_aside);
        self.core.set_share(share(config, reserve));
    }

    /// Publishes how far everything is durable, and tells the core of positions behind the last record.
    pub(super) fn report(&mut self) {
        let now = self.shared.clock.monotonic();
        let due = now >= self.report_at;
        // A few large records put aside are too much to be counted a second later.
        if due || self.longest.bytes(now) >= LARGE {
            self.account();
        }
        if !due {
            return;
        }
        self.report_at = now + REPORT_EVERY;
        self.source.keep_forwarding();
        self.troubles.pass(now);
        for (partition, position) in self.source.positions() {
            if self.core.is_read_to(&partition, position) {
                continue;
            }
            // This may be what has it stopped, and with that what was put aside of it dropped: only now is it known whether all
            // before its position was placed.
            self.tell_log_end(&partition);
            let placed = self.held.get(&partition).is_none_or(|held| held.stash.is_empty());
            if placed && !self.fetching.is_stale(&partition) {
                self.handle(Event::Position { partition, position });
            }
        }
        let mut durables: Vec<_> = self.core.durables().collect();
        for durable in &mut durables {
            let held = self.held.get(&durable.partition);
            let next = held.and_then(|held| held.stash.front().and_then(Record::timestamp).or(held.next));
            durable.oldest = durable.oldest.or(next);
        }
        self.status.owns(durables, self.waits());
        self.status.open(self.open_hours());
    }

    /// The partitions that aren't read from, and what for.
    fn waits(&self) -> BTreeMap<TopicPartition, WaitsFor> {
        let mut waits: BTreeMap<_, _> = self.core.waits().collect();
        for (partition, waits) in &mut waits {
            // To the core, waiting is waiting.
            let limited = |held: &Held<'_>| matches!(held.waiting, Some(Wait::Until(_)));
            if *waits == WaitsFor::Schema && self.held.get(partition).is_some_and(limited) {
                *waits = WaitsFor::DeadLetterLimit;
            }
        }
        waits
    }

    /// What the batches that are being filled hold, by hour and topic.
    fn open_hours(&self) -> OpenHours {
        let mut open = OpenHours::default();
        for (partition, held) in &self.held {
            for file in held.batch.iter().flat_map(|batch| &batch.files) {
                open.add(file.hour, &partition.topic, file.file.rows(), file.file.capacity() as u64);
            }
        }
        open
    }
}

/// What the open batches of one lane that sets `reserve` aside may come to, in bytes, before partitions that lag take turns. The
/// eager protocol knows whole assignments only: to stop fetching one partition would begin all others anew.
fn share(config: &Config, reserve: usize) -> usize {
    let eager = config.group.protocol == GroupProtocol::Classic
        && config.group.assignment != Assignment::CooperativeSticky;
    if eager {
        return usize::MAX;
    }
    let all = config.memory_budget / SEAL_ABOVE.1 * SEAL_ABOVE.0;
    (all / config.lanes).saturating_sub(reserve)
}
