//! One reading of a promised range: its records are placed as they were the first time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Remade, Stop};
use crate::avro::codec::Compressor;
use crate::batch::place::{Placed, Placer};
use crate::batch::publish::Publisher;
use crate::batch::schemas::Schemas;
use crate::batch::terms::Terms;
use crate::batch::{Batch, Keep};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::core::change::told;
use crate::core::intent::Intent;
use crate::core::{Remake, SEAL_ABOVE};
use crate::registry::cache::{Lookup, SchemaCache};
use crate::source::Record;
use crate::source::range::RangeReader;
use crate::telemetry::troubles::{Dependency, Troubles};
use crate::types::{Offset, SchemaId, TopicPartition};

/// This share is taken for a pass over the range whatever else there is: where the lanes fill all that they may, each file
/// would get a pass of its own.
const ALWAYS: (usize, usize) = (10, 100);
/// The most records of one take.
const TAKE: usize = 2_000;
/// How long a take waits for records.
const WAIT: Duration = Duration::from_millis(100);
/// Without anything new for so long, the reading is given up for now.
const STALLED: Duration = Duration::from_secs(30);
/// How long the registry is asked for one schema before others get their turn.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(10);

/// What it takes to make batches again.
#[derive(Debug)]
pub(crate) struct Maker {
    pub(crate) publisher: Publisher,
    pub(crate) schemas: SchemaCache,
    pub(crate) budget: Budget,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) troubles: Troubles,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// The range of a promise.
pub(super) struct Range<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) first: Offset,
    pub(super) intent: &'a Intent,
    pub(super) wanted: &'a CancellationToken,
}

impl Range<'_> {
    fn check(&self) -> Result<(), Stop> {
        if self.wanted.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

pub(super) fn range<'a>(remake: &'a Remake, wanted: &'a CancellationToken) -> Result<Range<'a>, Stop> {
    let Some(intent) = &remake.promise.intent else {
        return Err(Stop::Refused("there is no intent to make a batch of".to_owned()));
    };
    Ok(Range { partition: &remake.partition, first: remake.promise.first, intent, wanted })
}

impl Maker {
    /// Makes the batch that `remake` promises again; only counts it where it takes more memory than is free.
    pub(crate) fn make(&self, remake: &Remake, wanted: &CancellationToken) -> Result<Remade, Stop> {
        let range = range(remake, wanted)?;
        tracing::info!(
            partition = %remake.partition, first = %range.first, end = %range.intent.end,
            "making a batch again that was promised before"
        );
        let changes = range.intent.layout.changes(&self.publisher.terms.layout);
        if !changes.is_empty() {
            tracing::warn!(
                partition = %remake.partition, changes = told(&changes),
                "the layout has changed since the batch was promised: it is stored under the one before, what comes behind it \
                 under today's"
            );
        }
        let mut batch = self.begin(remake, range.intent)?;
        let mut compressor = Compressor::new(range.intent.layout.codec);
        self.read(&range, &mut batch, &mut compressor, &mut |batch| {
            if batch.is_whole() && self.is_short() {
                batch.keep(Keep::Nothing);
            }
            if !batch.is_whole() {
                drop(batch.take_dead_letters());
            }
            Ok(())
        })?;
        let outcome = batch.outcome();
        Ok(Remade { batch, outcome })
    }

    /// An empty batch under the intent's terms.
    pub(super) fn begin(&self, remake: &Remake, intent: &Intent) -> Result<Batch, Stop> {
        let terms = Terms::of(&intent.layout).map_err(|reason| {
            Stop::Refused(format!("the promised batch's layout can't be understood: {reason}"))
        })?;
        let account = self.budget.account();
        let mut batch = Batch::new(remake.batch, Arc::new(terms), intent.instant, account);
        intent.unknown_ids.iter().for_each(|id| batch.declare_unknown(*id));
        Ok(batch)
    }

    /// Whether little memory is free.
    pub(super) fn is_short(&self) -> bool {
        self.budget.used() > self.share(SEAL_ABOVE)
    }

    /// The memory that may be taken for a pass, in bytes.
    pub(super) fn room(&self) -> usize {
        self.share(SEAL_ABOVE).saturating_sub(self.budget.used()).max(self.share(ALWAYS))
    }

    fn share(&self, (part, whole): (usize, usize)) -> usize {
        self.budget.limit() / whole * part
    }

    /// Reads the range and places its records in `batch`, whose files are closed at the end. `each` looks at the batch
    /// after every take.
    pub(super) fn read(
        &self,
        range: &Range<'_>,
        batch: &mut Batch,
        compressor: &mut Compressor,
        each: &mut dyn FnMut(&mut Batch) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let config = &self.publisher.config;
        let reader =
            RangeReader::open(config, range.intent.layout.read_committed, range.partition, range.first)
                .map_err(|error| kafka(range, &error.to_string()))?;
        let mut reserve = self.budget.account();
        reserve.set(RangeReader::memory(config, 0, compressor.memory()));
        let mut schemas = Schemas::default();
        let (mut next, mut records, mut longest) = (range.first, Vec::new(), 0);
        let mut stalled_at = self.clock.monotonic() + STALLED;
        while next < range.intent.end {
            range.check()?;
            reader.take(&mut records, TAKE, WAIT);
            longest = records.iter().map(Record::value_len).fold(longest, usize::max);
            reserve.set(RangeReader::memory(config, longest, compressor.memory()));
            let before = next;
            for record in records.drain(..) {
                next = next.max(self.place(range, &record, next, batch, &mut schemas, compressor)?);
            }
            // Control and aborted records are passed over, and nothing may come behind them.
            if next == before && reader.position().is_some_and(|position| position >= range.intent.end) {
                next = range.intent.end;
            }
            batch.account();
            each(batch)?;
            if next > before {
                stalled_at = self.clock.monotonic() + STALLED;
            } else if self.clock.monotonic() >= stalled_at {
                return Err(kafka(
                    range,
                    "nothing came of the promised batch's records for 30 s; if they are gone, `valve intents show` says so",
                ));
            }
        }
        while batch.close_next(compressor) {
            range.check()?;
        }
        batch.account();
        Ok(())
    }

    /// Deals with one record, unless it was dealt with or lies behind the range; what was dealt with ends before the
    /// returned offset.
    fn place(
        &self,
        range: &Range<'_>,
        record: &Record<'_>,
        next: Offset,
        batch: &mut Batch,
        schemas: &mut Schemas,
        compressor: &mut Compressor,
    ) -> Result<Offset, Stop> {
        if let Some(error) = record.error() {
            return Err(if error.is_out_of_range() {
                Stop::Refused(format!(
                    "[{}, {}) was promised, and records of it are gone. See `valve intents show`; `valve intents release` gives the batch up",
                    range.first, range.intent.end
                ))
            } else {
                kafka(range, &error.to_string())
            });
        }
        if record.offset() < next {
            return Ok(next);
        }
        if record.offset() >= range.intent.end {
            return Ok(range.intent.end);
        }
        loop {
            let valve = &self.publisher.config.name;
            let mut placer = Placer { max_files: usize::MAX, schemas, compressor, valve };
            match placer.place(record, range.partition, batch) {
                Placed::Done => return Ok(record.offset().next()),
                Placed::Wait(id) => {
                    let lookup = self.look_up(id)?;
                    schemas.learn(id, lookup, &batch.terms.timestamp);
                }
                Placed::Full(_) => {
                    return Err(Stop::Refused(
                        "the promised batch has more files than there can be".to_owned(),
                    ));
                }
            }
        }
    }

    /// What is behind `id`. The intent names the ids that the batch's first owner found unknown; that another one should
    /// be unknown now is an outage.
    fn look_up(&self, id: SchemaId) -> Result<Lookup, Stop> {
        let later = |reason: &str| {
            Stop::Later(Dependency::Registry, format!("schema id {id} of a promised batch: {reason}"))
        };
        let asked = async { tokio::time::timeout(SCHEMA_TIMEOUT, self.schemas.lookup(id)).await };
        match self.runtime.block_on(asked) {
            Ok(Lookup::Unknown) => Err(later("the registry doesn't know it any more")),
            Ok(lookup) => Ok(lookup),
            Err(_) => Err(later("no answer")),
        }
    }
}

fn kafka(range: &Range<'_>, reason: &str) -> Stop {
    Stop::Later(Dependency::Kafka, format!("a promised batch of {}: {reason}", range.partition))
}
