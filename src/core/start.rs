//! Where a partition begins, decided from what the broker knows of it (docs/protocol.md, "Where to start").

use super::intent::{Coverage, Found, Intent, MAX_LOST_RANGES, Metadata, RULES};
use crate::config::{Config, OutOfRange, Start};
use crate::types::Offset;

/// What the broker says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The group's committed offset, with the metadata that was committed with it.
    pub committed: Option<(Offset, String)>,
    /// The first offset that is still there.
    pub low: Offset,
    /// The offset behind the last record that may be read: before it, every transaction has ended.
    pub high: Offset,
    /// The offset behind the log's last record.
    pub end: Offset,
    /// Kafka's id of the topic, where it can be had.
    pub topic_id: Option<u128>,
    /// How many partitions the topic has now.
    pub partitions: u32,
    /// How many it had when this group first began a partition of it, if it did.
    pub partitions_at_start: Option<u32>,
    /// What the store has of it.
    pub stored: Stored,
}

/// What the store has of one partition, made by this valve from the topic with the present id. It is looked for only
/// where the group has no offset and the partition isn't one that was added to the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// There was no reason to look.
    #[default]
    NotAsked,
    /// No file.
    Nothing,
    /// Files, which say that this group was here before.
    Files,
    /// With `start=stored`: the batch that ends last.
    Last {
        /// The encoded metadata of its promise, as its files' headers carry it.
        metadata: String,
        /// Whether all of its files are there.
        complete: bool,
        /// Whether there are dead letters in its cover: the files don't say that those were acknowledged.
        dead_letters: bool,
    },
}

/// The settings that decide.
#[derive(Clone, Copy, Debug)]
pub struct StartPolicy {
    /// `start`
    pub start: Start,
    /// `out_of_range`
    pub out_of_range: OutOfRange,
    /// The longest name of a topic, in bytes, of which the store can have files.
    pub longest_topic: usize,
}

impl StartPolicy {
    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let longest_topic = config.sink.longest_topic(&config.layout.key, config.batch.max_records);
        // A configuration without any isn't valid.
        let longest_topic = longest_topic.unwrap_or(0);
        Self { start: config.start, out_of_range: config.out_of_range, longest_topic }
    }

    /// Why no partition of `topic` may be read: its next batch would be promised, and could never be stored.
    pub(super) fn refuses(&self, topic: &str) -> Option<String> {
        (topic.len() > self.longest_topic).then(|| {
            format!(
                "the topic's name has {} bytes; with this layout.key, sink.path can have files of topics with names of \
                 at most {}: shorten layout.key",
                topic.len(),
                self.longest_topic
            )
        })
    }
}

/// What to do with a newly assigned partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Go on from `metadata`, after committing it if `commit`: with the batch that it promises, or reading from its
    /// `first`. `lost` is what's newly known to be gone unread.
    Begin { metadata: Box<Metadata>, commit: bool, lost: Option<(Offset, Offset)> },
    /// Don't touch it, for this reason.
    Hold(String),
}

/// Why a promised batch of a topic with another id isn't made again.
pub(super) const RECREATED_WHILE_PROMISED: &str = "the topic was deleted and created again while a batch of the old one \
     was promised and perhaps not stored. See `valve intents show`; `valve intents release` gives the batch up";

pub(crate) fn decide(partition: i32, facts: &Facts, policy: StartPolicy) -> Decision {
    let Some((offset, text)) = &facts.committed else {
        return begin_anew(partition, facts, policy);
    };
    match Metadata::find(text, partition, *offset) {
        Found::Newer => Decision::Hold(
            "its committed offset carries metadata of a newer version of valve: run that version, or a later one"
                .to_owned(),
        ),
        Found::Own(own) => match &own.intent {
            Some(intent) => match obstacle(&own, intent, facts) {
                Some(reason) => Decision::Hold(reason),
                None => Decision::Begin { metadata: own, commit: false, lost: None },
            },
            None if is_recreated(&own, facts.topic_id) => fresh(partition, facts, facts.low),
            None => go_on(own, false, facts, policy.out_of_range),
        },
        Found::Foreign => {
            let own = Box::new(origin_at(partition, facts, *offset));
            go_on(own, true, facts, policy.out_of_range)
        }
    }
}

/// Why the batch that `own` promises can't be made again, if that is known before it is tried.
fn obstacle(own: &Metadata, intent: &Intent, facts: &Facts) -> Option<String> {
    let (first, end, low, log_end) = (own.first, intent.end, facts.low, facts.end);
    let way_out = "See `valve intents show`; `valve intents release` gives the batch up";
    if is_recreated(own, facts.topic_id) {
        Some(RECREATED_WHILE_PROMISED.to_owned())
    } else if intent.rules > RULES {
        Some(format!(
            "[{first}, {end}) was promised by a newer version of valve (rules {}, this one knows {RULES}): run that version",
            intent.rules
        ))
    } else if intent.rules == 0 || end <= first {
        Some(format!(
            "its committed offset carries an intent for [{first}, {end}) that no valve makes. {way_out}"
        ))
    } else if low > first {
        Some(format!(
            "[{first}, {end}) was promised, and the log begins at {low} now: records of it are gone. {way_out}"
        ))
    } else if log_end < end {
        Some(format!(
            "[{first}, {end}) was promised, and the log ends at {log_end} now: records of it are gone. {way_out}"
        ))
    } else {
        None
    }
}

/// Whether the topic was deleted and created again since the commit.
pub(crate) fn is_recreated(own: &Metadata, topic_id: Option<u128>) -> bool {
    matches!((own.topic_id, topic_id), (Some(then), Some(now)) if then != now)
}

/// The group has no offset here: `start` decides.
fn begin_anew(partition: i32, facts: &Facts, policy: StartPolicy) -> Decision {
    match (policy.start, &facts.stored) {
        (Start::Stored, Stored::Last { metadata, complete, dead_letters }) => {
            begin_stored(partition, metadata, (*complete, *dead_letters), facts, policy.out_of_range)
        }
        (Start::Earliest | Start::Latest, Stored::Files | Stored::Last { .. }) => Decision::Hold(
            "this valve has stored files of it, and its group has no offset for it: the brokers have forgotten it \
             (offsets.retention.minutes). With start = stored, it goes on where the files end"
                .to_owned(),
        ),
        (Start::Earliest | Start::Stored, _) => fresh(partition, facts, facts.low),
        (Start::Latest, _) => {
            let first = if facts.was_added(partition) { facts.low } else { facts.high };
            fresh(partition, facts, first)
        }
    }
}

/// Where the partition's last batch ends; or that batch first, if not all of it is known to be there. What was committed
/// after it without a file (dead letters, skipped) is dealt with again.
fn begin_stored(
    partition: i32,
    text: &str,
    (complete, dead_letters): (bool, bool),
    facts: &Facts,
    policy: OutOfRange,
) -> Decision {
    let own = Metadata::decode(text).filter(|own| own.partition == partition);
    let Some(mut own) = own.map(Box::new) else {
        return Decision::Hold(
            "a header of its last batch's files carries an intent that this version can't read".to_owned(),
        );
    };
    let Some(intent) = own.intent.take() else {
        return Decision::Hold("a header of its last batch's files carries no intent".to_owned());
    };
    match obstacle(&own, &intent, facts) {
        None if !complete || dead_letters => {
            own.intent = Some(intent);
            Decision::Begin { metadata: own, commit: true, lost: None }
        }
        // Promised again, it is what `valve intents` shows and releases: then it is resolved again, and held.
        Some(_) if !complete && (1..=RULES).contains(&intent.rules) && own.first < intent.end => {
            own.intent = Some(intent);
            Decision::Begin { metadata: own, commit: true, lost: None }
        }
        Some(reason) if !complete => Decision::Hold(reason),
        // Of a complete one whose records are gone, dead letters may be missing. Nobody can tell any more.
        _ => {
            let Coverage { lost, released, .. } = own.coverage;
            own.coverage = Coverage { lost, released, ..Coverage::starting(intent.end) };
            own.first = intent.end;
            // Partitions that the topic has by now aren't new to a group that was here before.
            own.partitions_at_start = Some(facts.partitions);
            go_on(own, true, facts, policy)
        }
    }
}

fn fresh(partition: i32, facts: &Facts, first: Offset) -> Decision {
    let metadata = Box::new(origin_at(partition, facts, first));
    Decision::Begin { metadata, commit: true, lost: None }
}

impl Facts {
    /// Whether the partition was added to the topic after the group had begun others of it.
    #[must_use]
    pub fn was_added(&self, partition: i32) -> bool {
        let then = self.partitions_at_start.unwrap_or(self.partitions);
        u32::try_from(partition).is_ok_and(|index| index >= then)
    }
}

/// A record that begins at `first`.
fn origin_at(partition: i32, facts: &Facts, first: Offset) -> Metadata {
    Metadata {
        topic_id: facts.topic_id,
        partition,
        first,
        origin: first,
        partitions_at_start: Some(facts.partitions_at_start.unwrap_or(facts.partitions)),
        coverage: Coverage::starting(first),
        intent: None,
    }
}

/// Goes on where `own` says, unless that isn't in the log any more.
fn go_on(mut own: Box<Metadata>, commit: bool, facts: &Facts, policy: OutOfRange) -> Decision {
    let first = own.first;
    if first >= facts.low && first <= facts.end {
        return Decision::Begin { metadata: own, commit, lost: None };
    }
    let target = match policy {
        OutOfRange::Fail => {
            return Decision::Hold(format!(
                "its committed offset {first} is out of range: the log has [{low}, {end}). Decide what is to become \
                 of the gap by the setting out_of_range (earliest or latest)",
                low = facts.low,
                end = facts.end
            ));
        }
        // From its end, or from its beginning? The one could leave records out, the other store them twice.
        OutOfRange::Earliest if first > facts.end => {
            return Decision::Hold(format!(
                "its committed offset {first} is behind the end of its log, {end}: the log became shorter, and what was \
                 written to it since can't be told from what was stored. With out_of_range = latest, it goes on at the end",
                end = facts.end
            ));
        }
        OutOfRange::Latest if first > facts.end => {
            restart(&mut own, facts.high);
            return Decision::Begin { metadata: own, commit: true, lost: None };
        }
        OutOfRange::Earliest => facts.low,
        OutOfRange::Latest => facts.high,
    };
    let lost = (first < target).then_some((first, target));
    if let Some(range) = lost {
        if own.coverage.lost.len() >= MAX_LOST_RANGES {
            return Decision::Hold(format!(
                "{MAX_LOST_RANGES} lost ranges are recorded for it already, and [{first}, {target}) is another"
            ));
        }
        own.coverage.lost.push(range);
    }
    own.first = target;
    Decision::Begin { metadata: own, commit: true, lost }
}

/// Begins a new record at `end`, where the log ends now. What is behind it was covered, and will be written anew: one
/// record can't cover it twice.
fn restart(own: &mut Metadata, end: Offset) {
    let Coverage { lost, released, .. } = std::mem::take(&mut own.coverage);
    let before = |ranges: Vec<(Offset, Offset)>| -> Vec<_> {
        let cut = ranges.into_iter().map(|(first, last)| (first, last.min(end)));
        cut.filter(|(first, last)| first < last).collect()
    };
    own.coverage = Coverage { lost: before(lost), released: before(released), ..Coverage::starting(end) };
    (own.first, own.origin) = (end, end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            committed: None,
            low: Offset(10),
            high: Offset(50),
            end: Offset(50),
            topic_id: Some(1),
            partitions: 4,
            partitions_at_start: None,
            stored: Stored::NotAsked,
        }
    }

    fn policy(start: Start, out_of_range: OutOfRange) -> StartPolicy {
        StartPolicy { start, out_of_range, longest_topic: usize::MAX }
    }

    fn begun(decision: Decision) -> (Metadata, bool, Option<(Offset, Offset)>) {
        match decision {
            Decision::Begin { metadata, commit, lost } => (*metadata, commit, lost),
            Decision::Hold(reason) => panic!("held: {reason}"),
        }
    }

    fn committed_at(offset: i64) -> Facts {
        let own = origin_at(0, &facts(), Offset(offset));
        Facts { committed: Some((Offset(offset), own.encode())), ..facts() }
    }

    #[test]
    fn given_no_committed_offset_then_earliest_begins_at_the_low_watermark_and_commits_that() {
        let (metadata, commit, _) = begun(decide(0, &facts(), policy(Start::Earliest, OutOfRange::Fail)));
        assert_eq!((metadata.first, metadata.origin, commit), (Offset(10), Offset(10), true));
    }

    #[test]
    fn given_latest_then_a_partition_added_later_begins_at_its_beginning() {
        let latest = policy(Start::Latest, OutOfRange::Fail);
        let (metadata, ..) = begun(decide(3, &facts(), latest));
        assert_eq!((metadata.first, metadata.partitions_at_start), (Offset(50), Some(4)));
        let grown = Facts { partitions: 6, partitions_at_start: Some(4), ..facts() };
        assert_eq!(begun(decide(3, &grown, latest)).0.first, Offset(50));
        assert_eq!(begun(decide(4, &grown, latest)).0.first, Offset(10));
    }

    #[test]
    fn given_own_metadata_in_range_then_it_goes_on_without_another_commit() {
        let (metadata, commit, lost) =
            begun(decide(0, &committed_at(20), policy(Start::Earliest, OutOfRange::Fail)));
        assert_eq!((metadata.first, commit, lost), (Offset(20), false, None));
    }

    #[test]
    fn given_another_tools_offset_then_it_goes_on_there_and_the_record_begins_there() {
        let facts = Facts { committed: Some((Offset(30), "their note".into())), ..facts() };
        let (metadata, commit, _) = begun(decide(0, &facts, policy(Start::Earliest, OutOfRange::Fail)));
        assert_eq!((metadata.first, metadata.origin, commit), (Offset(30), Offset(30), true));
    }

    #[test]
    fn given_retention_passed_the_committed_offset_then_the_policy_decides_and_the_range_is_lost() {
        let facts = committed_at(4);
        assert!(matches!(decide(0, &facts, policy(Start::Earliest, OutOfRange::Fail)), Decision::Hold(_)));
        for (out_of_range, to) in [(OutOfRange::Earliest, 10), (OutOfRange::Latest, 50)] {
            let (metadata, commit, lost) = begun(decide(0, &facts, policy(Start::Earliest, out_of_range)));
            assert_eq!((metadata.first, commit), (Offset(to), true));
            assert_eq!(lost, Some((Offset(4), Offset(to))));
            assert_eq!(metadata.coverage.lost, [(Offset(4), Offset(to))]);
        }
    }

    #[test]
    fn given_the_log_became_shorter_then_it_is_held_unless_it_shall_go_on_at_the_end() {
        let facts = committed_at(60);
        let earliest = decide(0, &facts, policy(Start::Earliest, OutOfRange::Earliest));
        assert!(matches!(earliest, Decision::Hold(_)));
        let (metadata, _, lost) = begun(decide(0, &facts, policy(Start::Earliest, OutOfRange::Latest)));
        assert_eq!((metadata.first, metadata.origin, lost), (Offset(50), Offset(50), None));
        assert_eq!(metadata.coverage, Coverage::starting(Offset(50)));
    }

    #[test]
    fn given_the_log_became_shorter_then_what_was_lost_or_released_ends_where_the_new_record_begins() {
        let ranges = |ranges: &[(i64, i64)]| -> Vec<(Offset, Offset)> {
            ranges.iter().map(|(first, end)| (Offset(*first), Offset(*end))).collect()
        };
        let mut own = Metadata { first: Offset(60), ..origin_at(0, &facts(), Offset(10)) };
        own.coverage.lost = ranges(&[(12, 15), (48, 52)]);
        own.coverage.released = ranges(&[(20, 30), (40, 48), (49, 55), (55, 58)]);
        let facts = Facts { committed: Some((own.first, own.encode())), ..facts() };
        let (metadata, ..) = begun(decide(0, &facts, policy(Start::Earliest, OutOfRange::Latest)));
        assert_eq!(metadata.origin, Offset(50));
        assert_eq!(metadata.coverage.lost, ranges(&[(12, 15), (48, 50)]));
        assert_eq!(metadata.coverage.released, ranges(&[(20, 30), (40, 48), (49, 50)]));
    }

    #[test]
    fn given_transactions_that_are_open_then_the_log_is_not_taken_for_shorter() {
        let facts = Facts { high: Offset(30), ..committed_at(40) };
        for out_of_range in [OutOfRange::Fail, OutOfRange::Earliest, OutOfRange::Latest] {
            let (metadata, commit, lost) = begun(decide(0, &facts, policy(Start::Earliest, out_of_range)));
            assert_eq!((metadata.first, commit, lost), (Offset(40), false, None));
        }
    }

    #[test]
    fn given_the_topic_was_created_again_then_a_new_record_begins_at_its_low_watermark() {
        let facts = Facts { topic_id: Some(2), ..committed_at(20) };
        let (metadata, commit, _) = begun(decide(0, &facts, policy(Start::Earliest, OutOfRange::Fail)));
        assert_eq!(
            (metadata.first, metadata.origin, metadata.topic_id, commit),
            (Offset(10), Offset(10), Some(2), true)
        );
    }

    #[test]
    fn given_metadata_of_a_newer_version_then_the_partition_is_held() {
        let facts = Facts { committed: Some((Offset(20), "v9:xyz".into())), ..facts() };
        assert!(matches!(decide(0, &facts, policy(Start::Earliest, OutOfRange::Latest)), Decision::Hold(_)));
    }
}
