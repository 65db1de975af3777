//! A layout in terms of the settings that it follows from, and how two layouts differ: for those who changed some.

use std::fmt;

use super::intent::{Layout, Place};
use super::layout::{Granularity, NullPolicy};

/// A setting that differs between two layouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub setting: &'static str,
    /// What it was.
    pub before: String,
    /// What it is now.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {:?}, is {:?}", self.setting, self.before, self.now)
    }
}

impl Layout {
    /// The settings that it follows from, with their values.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, String); 10] {
        let place = match &self.place {
            // An endpoint has no credentials: settings refuse them.
            Place::S3 { bucket, endpoint: None } => bucket.clone(),
            Place::S3 { bucket, endpoint: Some(endpoint) } => format!("{bucket} at {endpoint}"),
            Place::Local { path } => path.clone(),
        };
        let granularity = match self.granularity {
            Granularity::Hour => "hour",
            Granularity::Day => "day",
        };
        let nulls = match self.nulls {
            NullPolicy::Skip => "skip",
            NullPolicy::DeadLetter => "deadletter",
        };
        let isolation = if self.read_committed { "read_committed" } else { "read_uncommitted" };
        [
            ("timestamp", self.timestamp.join(",")),
            ("timestamp_range", format!("{}..{}", self.years.0, self.years.1)),
            ("layout.key", self.key.clone()),
            ("layout.granularity", granularity.to_owned()),
            ("sink.prefix", self.prefix.clone()),
            (if matches!(self.place, Place::S3 { .. }) { "sink.bucket" } else { "sink.path" }, place),
            ("nulls", nulls.to_owned()),
            ("group.isolation", isolation.to_owned()),
            ("batch.max_record_bytes", self.max_record_bytes.to_string()),
            ("codec", self.codec.to_string()),
        ]
    }

    /// The settings by which `now` differs from this one.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let pairs = self.settings().into_iter().zip(now.settings());
        let changed = pairs.filter(|(before, now)| before != now);
        changed.map(|((_, before), (setting, now))| Change { setting, before, now }).collect()
    }
}

/// Changes as one line.
#[must_use]
pub fn told(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::codec::Codec;

    fn layout() -> Layout {
        Layout {
            timestamp: vec!["field:at".to_owned(), "kafka".to_owned()],
            years: (1970, 2100),
            key: "{topic}/{uuid}".to_owned(),
            granularity: Granularity::Hour,
            prefix: "tank".to_owned(),
            nulls: NullPolicy::Skip,
            read_committed: true,
            place: Place::S3 { bucket: "events".to_owned(), endpoint: None },
            max_record_bytes: 1_000,
            codec: Codec::Null,
        }
    }

    #[test]
    fn given_equal_layouts_then_nothing_differs() {
        assert_eq!(layout().changes(&layout()), []);
    }

    #[test]
    fn given_any_part_changed_then_it_is_told_by_its_setting_with_both_values() {
        type Changing = fn(&mut Layout);
        let changed: [(&str, Changing); 11] = [
            ("timestamp was \"field:at,kafka\", is \"kafka\"", |l| l.timestamp = vec!["kafka".to_owned()]),
            ("timestamp_range was \"1970..2100\", is \"2000..2100\"", |l| l.years.0 = 2000),
            ("layout.key was \"{topic}/{uuid}\", is \"{uuid}\"", |l| l.key = "{uuid}".to_owned()),
            ("layout.granularity was \"hour\", is \"day\"", |l| l.granularity = Granularity::Day),
            ("sink.prefix was \"tank\", is \"\"", |l| l.prefix.clear()),
            ("sink.bucket was \"events\", is \"events at http://s3\"", |l| {
                l.place = Place::S3 { bucket: "events".to_owned(), endpoint: Some("http://s3".to_owned()) };
            }),
            ("sink.path was \"events\", is \"events\"", |l| {
                l.place = Place::Local { path: "events".to_owned() }
            }),
            ("nulls was \"skip\", is \"deadletter\"", |l| l.nulls = NullPolicy::DeadLetter),
            ("group.isolation was \"read_committed\", is \"read_uncommitted\"", |l| l.read_committed = false),
            ("batch.max_record_bytes was \"1000\", is \"7\"", |l| l.max_record_bytes = 7),
            ("codec was \"null\", is \"snappy\"", |l| l.codec = Codec::Snappy),
        ];
        for (expected, change) in changed {
            let mut now = layout();
            change(&mut now);
            assert_eq!(told(&layout().changes(&now)), expected);
        }
    }
}
