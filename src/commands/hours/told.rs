//! What `valve hours` says.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::columns::columns;
use crate::core::layout::{Granularity, Hour};
use crate::hours::partition::Held;
use crate::hours::{PartitionHours, Rules, TopicHours};
use crate::types::UnixMillis;

/// So many partitions are shown of those that keep an hour from being complete; JSON has them all.
const SHOWN: usize = 10;

/// The exit code when the hour that was asked about isn't complete.
const NOT_YET: u8 = 5;

/// The exit code when a topic that was named isn't there.
const NO_TOPIC: u8 = 1;

const HEADINGS: [&str; 4] = ["topic", "complete before (UTC)", "waits for", "because"];

/// The result.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) rules: Rules,
    /// The hour (or the first of the day) that was asked about.
    pub(super) hour: Option<Hour>,
    /// Whether the topics were named one by one.
    pub(super) named: bool,
    /// When it was asked.
    pub(super) now: UnixMillis,
    /// When that hour, or the next one, is over with its lateness.
    pub(super) over_at: UnixMillis,
    pub(super) topics: Vec<TopicHours>,
    /// The keys of new marks, by topic.
    pub(super) marked: BTreeMap<String, Vec<String>>,
}

impl Told {
    /// Whether the hour that was asked about is complete in all topics; `None` when none was.
    pub(super) fn is_complete(&self) -> Option<bool> {
        self.hour?;
        Some(!self.topics.is_empty() && self.topics.iter().all(|topic| self.is_complete_in(topic)))
    }

    /// Of an hour, only whether it is complete: a topic that isn't there may still come.
    pub(super) fn exit_code(&self) -> u8 {
        match self.is_complete() {
            Some(true) => 0,
            Some(false) => NOT_YET,
            None if self.named && self.topics.iter().any(|topic| self.lacks(topic)) => NO_TOPIC,
            None => 0,
        }
    }

    pub(super) fn is_complete_in(&self, topic: &TopicHours) -> bool {
        self.hour.is_some_and(|hour| topic.complete_before() >= Some(self.rules.end_of(hour)))
    }

    pub(super) fn as_text(&self) -> String {
        let mut text = match self.hour {
            _ if self.topics.is_empty() => "There are no topics.\n".to_owned(),
            Some(hour) => self.topics.iter().map(|topic| self.about(hour, topic)).collect(),
            None => self.table(),
        };
        for key in self.marked.values().flatten() {
            text.push_str(&format!("marked {key}\n"));
        }
        text
    }

    /// Whether the hour is complete in a topic, and what it waits for.
    fn about(&self, hour: Hour, topic: &TopicHours) -> String {
        let name = &topic.topic;
        let what = match self.rules.granularity {
            Granularity::Hour => format!("the hour {hour}"),
            Granularity::Day => format!("the day of {hour}"),
        };
        if self.is_complete_in(topic) {
            return format!("{name}: {what} is complete\n");
        }
        let mut text = format!("{name}: {what} is not complete yet\n");
        if let Some(reason) = self.reason_of_all(topic) {
            text.push_str(&format!("  {reason}\n"));
        }
        let held: Vec<_> = topic.held().collect();
        for (partition, why) in held.iter().take(SHOWN) {
            text.push_str(&format!("  {name}[{partition}]: {why}\n"));
        }
        if held.len() > SHOWN {
            text.push_str(&format!("  and {} more partitions\n", held.len() - SHOWN));
        }
        text
    }

    fn table(&self) -> String {
        let row = |topic: &TopicHours| {
            let held: Vec<_> = topic.held().collect();
            let mut waits: Vec<String> =
                held.iter().take(SHOWN).map(|(partition, _)| partition.to_string()).collect();
            if held.len() > SHOWN {
                waits.push("…".to_owned());
            }
            let because = held.first().map(|(_, why)| why.to_string());
            [
                topic.topic.clone(),
                topic.complete_before().map_or_else(|| "-".to_owned(), |hour| hour.to_string()),
                if waits.is_empty() { "-".to_owned() } else { waits.join(", ") },
                because.or_else(|| self.reason_of_all(topic)).unwrap_or_default(),
            ]
        };
        let heading = HEADINGS.map(str::to_owned);
        let rows: Vec<_> = std::iter::once(heading).chain(self.topics.iter().map(row)).collect();
        columns(&rows, &(0..0))
    }

    /// What a topic waits for where that is no partition.
    fn reason_of_all(&self, topic: &TopicHours) -> Option<String> {
        if self.lacks(topic) {
            return Some("there is no such topic".to_owned());
        }
        let waits_for_time = self.now < self.over_at && topic.held().next().is_none();
        let what = if self.hour.is_some() { "it" } else { "the next one" };
        waits_for_time.then(|| format!("{what} is over at {}, with the lateness", time(self.over_at)))
    }

    /// Whether the brokers, who were asked, don't know the topic.
    fn lacks(&self, topic: &TopicHours) -> bool {
        let asked = self.hour.is_none() || self.now >= self.over_at;
        asked && topic.partitions.is_empty()
    }

    pub(super) fn as_json(&self, exit_code: u8) -> String {
        let json = json!({
            "hour": self.hour.map(|hour| hour.to_string()),
            "complete": self.is_complete(),
            "granularity": self.rules.granularity,
            "lateness_seconds": self.rules.lateness.as_secs_f64(),
            "asked_at": time(self.now),
            "over_at": time(self.over_at),
            "topics": self.topics.iter().map(|topic| self.topic_json(topic)).collect::<Vec<_>>(),
            "exit_code": exit_code,
        });
        format!("{json:#}\n")
    }

    fn topic_json(&self, topic: &TopicHours) -> Value {
        // Where one hour was asked about, nobody knows up to which the others are complete.
        let before = |end: Option<Hour>| end.filter(|_| self.hour.is_none()).map(|end| end.to_string());
        let partition = |partition: &PartitionHours| {
            json!({
                "partition": partition.partition,
                "committed": partition.committed,
                "complete": self.hour.map(|_| partition.held.is_none()),
                "complete_before": before(partition.complete_before),
                "held": partition.held.map(Held::code),
                "why": partition.held.map(|held| held.to_string()),
            })
        };
        json!({
            "topic": topic.topic,
            "complete": self.hour.map(|_| self.is_complete_in(topic)),
            "complete_before": before(topic.complete_before()),
            "why": self.reason_of_all(topic),
            "partitions": topic.partitions.iter().map(partition).collect::<Vec<_>>(),
            "marked": self.marked.get(&topic.topic),
        })
    }
}

fn time(at: UnixMillis) -> String {
    let at = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::Offset;

    fn told(hour: Option<Hour>, partitions: Vec<PartitionHours>) -> Told {
        let topic = TopicHours { topic: "orders".to_owned(), partitions };
        Told {
            rules: Rules { granularity: Granularity::Hour, lateness: Duration::from_secs(600) },
            hour,
            named: false,
            now: Hour(11).start(),
            over_at: Hour(10).start(),
            topics: vec![topic],
            marked: BTreeMap::new(),
        }
    }

    fn behind(partition: i32) -> PartitionHours {
        let held = Held::Behind { committed: Offset(4), until: Offset(6) };
        PartitionHours { partition, committed: Some(Offset(4)), complete_before: None, held: Some(held) }
    }

    #[test]
    fn given_many_partitions_that_are_behind_then_text_shows_some_and_json_all() {
        let told = told(Some(Hour(9)), (0..25).map(behind).collect());
        let text = told.as_text();
        assert!(
            text.starts_with("orders: the hour 1970-01-01T09 is not complete yet\n  orders[0]: [4, 6)"),
            "{text}"
        );
        assert!(
            text.ends_with("  orders[9]: [4, 6) isn't committed yet\n  and 15 more partitions\n"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&told.as_json(5)).unwrap();
        assert_eq!(json["topics"][0]["partitions"].as_array().unwrap().len(), 25);
        assert_eq!((&json["complete"], &json["exit_code"]), (&json!(false), &json!(5)));
    }

    #[test]
    fn given_topics_then_the_table_has_a_row_for_each_with_what_it_waits_for() {
        let complete = PartitionHours { complete_before: Some(Hour(8)), held: None, ..behind(1) };
        let mut told = told(None, vec![behind(0), complete]);
        told.topics.push(TopicHours { topic: "none".to_owned(), partitions: Vec::new() });
        let text = told.as_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "orders  -                      0          [4, 6) isn't committed yet");
        assert_eq!(lines[2], "none    -                      -          there is no such topic");
        assert_eq!(told.is_complete(), None);
    }

    #[test]
    fn given_a_topic_that_was_named_and_is_not_there_then_the_exit_code_says_so() {
        let missing = |named, hour| Told { named, ..told(hour, Vec::new()) };
        assert!(missing(true, None).as_text().contains("there is no such topic"));
        assert_eq!(missing(true, None).exit_code(), 1);
        // The setting `topics` may name what is still to come.
        assert_eq!(missing(false, None).exit_code(), 0);
        assert_eq!(missing(true, Some(Hour(9))).exit_code(), 5);
        assert_eq!(Told { named: true, ..told(None, vec![behind(0)]) }.exit_code(), 0);
    }

    #[test]
    fn given_no_topics_then_no_hour_is_complete() {
        let told = Told { topics: Vec::new(), ..told(Some(Hour(9)), Vec::new()) };
        assert_eq!((told.is_complete(), &*told.as_text()), (Some(false), "There are no topics.\n"));
    }
}
