//! How many dead letters a topic may come to: a wrong setting, or a wrong producer, shall not turn a whole archive into them.
//!
//! The limits say when a topic is read, never what becomes of a record. Over one, the process takes nothing of the topic for a
//! minute, and then sees whether it has become better; so what is wrong costs no more than that many letters a minute. The
//! batches that are open go on: what was taken is stored. What an earlier owner promised isn't counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::DeadLetterLimits;
use crate::telemetry::troubles::{Dependency, Trouble, Troubles};

/// What the limits are about, and how long a topic is left alone.
pub const SPAN: Duration = Duration::from_secs(60);

/// A share is that of so many letters at least: fewer say little.
const TELLING: u64 = 1_000;

/// The topics of the process, by their dead letters. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: DeadLetterLimits,
    troubles: Troubles,
    topics: Arc<Mutex<BTreeMap<Arc<str>, Window>>>,
}

/// What one topic came to.
#[derive(Debug, Default)]
struct Window {
    /// When it was opened.
    since: Duration,
    records: u64,
    letters: u64,
    shut: Option<Trouble>,
}

impl Window {
    /// Begins anew once its time is over.
    fn renew(&mut self, now: Duration) {
        if now < self.since + SPAN {
            return;
        }
        if let Some(trouble) = &self.shut {
            trouble.clear();
        }
        *self = Self { since: now, ..Self::default() };
    }
}

/// Whether a topic may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Up to so many dead letters.
    Letters(u64),
    /// Not before this time.
    NotBefore(Duration),
}

impl Gate {
    /// Open for all topics.
    #[must_use]
    pub fn new(limits: DeadLetterLimits, troubles: Troubles) -> Self {
        Self { limits, troubles, topics: Arc::default() }
    }

    /// Whether records of `topic` may be placed `now`, on the monotonic clock.
    #[must_use]
    pub fn allows(&self, topic: &Arc<str>, now: Duration) -> Allowed {
        if self.limits == DeadLetterLimits::default() {
            return Allowed::Letters(u64::MAX);
        }
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let window =
            topics.entry(Arc::clone(topic)).or_insert_with(|| Window { since: now, ..Window::default() });
        window.renew(now);
        match (&window.shut, self.limits.max_per_minute) {
            (Some(_), _) => Allowed::NotBefore(window.since + SPAN),
            // One over the limit shows that there are more.
            (None, Some(most)) => {
                Allowed::Letters(most.saturating_add(1).saturating_sub(window.letters).max(1))
            }
            (None, None) => Allowed::Letters(u64::MAX),
        }
    }

    /// Counts what records of `topic` came to. If that was too much it returns the time at which to [`lift`](Gate::lift) this.
    #[must_use]
    pub fn count(&self, topic: &Arc<str>, records: u64, letters: u64, now: Duration) -> Option<Duration> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let window = topics.get_mut(topic)?;
        window.records += records;
        window.letters += letters;
        if letters > 0
            && window.shut.is_none()
            && let Some(why) = self.limits.exceeded_by(window.records, window.letters)
        {
            let trouble = self.troubles.open(Dependency::DeadLetterLimit);
            trouble.set(format!("topic {topic} isn't read for a minute: {why}"));
            window.shut = Some(trouble);
            // A whole minute from now on.
            window.since = now;
            return Some(now + SPAN);
        }
        None
    }

    /// Lets topics be read again that have rested for long enough. Perhaps nobody asks for them any more: their partitions
    /// went to another process, or have no more records.
    pub fn lift(&self, now: Duration) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.values_mut().filter(|window| window.shut.is_some()).for_each(|window| window.renew(now));
    }
}

impl DeadLetterLimits {
    /// Which limit so many letters, of so many records, are over.
    fn exceeded_by(&self, records: u64, letters: u64) -> Option<String> {
        if let Some(most) = self.max_per_minute
            && letters > most
        {
            return Some(format!(
                "more than deadletter.max_per_minute = {most} of its records were dead letters"
            ));
        }
        let most = self.max_share?;
        let is_over = letters >= TELLING && letters.saturating_mul(100) > records.saturating_mul(most);
        is_over.then(|| {
            format!(
                "{letters} of {records} records were dead letters, more than deadletter.max_share = {most} %"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gate(max_per_minute: Option<u64>, max_share: Option<u64>) -> (Gate, Troubles, Arc<str>) {
        let troubles = Troubles::default();
        let gate = Gate::new(DeadLetterLimits { max_per_minute, max_share }, troubles.clone());
        (gate, troubles, "orders".into())
    }

    #[test]
    fn given_no_limits_then_everything_is_allowed() {
        let (gate, troubles, topic) = gate(None, None);
        assert_eq!(gate.count(&topic, 1 << 40, 1 << 40, seconds(1)), None);
        assert_eq!(gate.allows(&topic, seconds(1)), Allowed::Letters(u64::MAX));
        assert!(troubles.lines().is_empty());
    }

    #[test]
    fn given_more_letters_in_a_minute_than_allowed_then_the_topic_rests_for_one_and_says_so() {
        let (gate, troubles, topic) = gate(Some(10), None);
        assert_eq!(gate.allows(&topic, seconds(5)), Allowed::Letters(11));
        assert_eq!(gate.count(&topic, 500, 10, seconds(6)), None);
        assert_eq!(gate.allows(&topic, seconds(6)), Allowed::Letters(1));
        assert_eq!(gate.count(&topic, 1, 1, seconds(7)), Some(seconds(67)));
        assert_eq!(gate.allows(&topic, seconds(8)), Allowed::NotBefore(seconds(67)));
        let said = troubles.lines().join("\n");
        assert!(said.contains("topic orders") && said.contains("deadletter.max_per_minute = 10"), "{said}");

        let other: Arc<str> = "others".into();
        assert_eq!(gate.allows(&other, seconds(8)), Allowed::Letters(11));
        assert_eq!(gate.allows(&topic, seconds(67)), Allowed::Letters(11));
        assert!(troubles.lines().is_empty());
    }

    #[test]
    fn given_letters_spread_over_minutes_then_each_minute_counts_by_itself() {
        let (gate, _, topic) = gate(Some(10), None);
        for minute in 0..5 {
            assert_eq!(gate.allows(&topic, seconds(60 * minute)), Allowed::Letters(11));
            assert_eq!(gate.count(&topic, 10, 10, seconds(60 * minute + 59)), None);
        }
    }

    #[test]
    fn given_a_topic_that_nobody_reads_any_more_then_it_is_no_trouble_after_its_minute() {
        let (gate, troubles, topic) = gate(Some(10), None);
        assert_eq!(gate.allows(&topic, seconds(0)), Allowed::Letters(11));
        assert_eq!(gate.count(&topic, 11, 11, seconds(5)), Some(seconds(65)));
        gate.lift(seconds(64));
        assert_eq!(troubles.lines().len(), 1);
        gate.lift(seconds(65));
        assert!(troubles.lines().is_empty());
    }

    #[test]
    fn given_the_largest_limit_then_it_is_one() {
        let (gate, _, topic) = gate(Some(u64::MAX), None);
        assert_eq!(gate.allows(&topic, seconds(0)), Allowed::Letters(u64::MAX));
    }

    #[test]
    fn given_a_share_then_it_is_judged_once_there_are_enough_letters() {
        let (gate, troubles, topic) = gate(None, Some(20));
        let allowed = |at| gate.allows(&topic, seconds(at));
        assert_eq!(allowed(0), Allowed::Letters(u64::MAX));
        let count = |records, letters, at| gate.count(&topic, records, letters, seconds(at));
        assert_eq!(count(999, 999, 0), None);
        assert_eq!(allowed(1), Allowed::Letters(u64::MAX));
        assert_eq!((count(4_000, 0, 1), count(1, 1, 1)), (None, None));
        assert_eq!(allowed(2), Allowed::Letters(u64::MAX), "1,000 of 5,000 are 20 %");
        assert_eq!(count(1, 1, 2), Some(seconds(62)));
        assert_eq!(allowed(3), Allowed::NotBefore(seconds(62)));
        let said = troubles.lines().join("\n");
        assert!(
            said.contains("1001 of 5001 records") && said.contains("deadletter.max_share = 20 %"),
            "{said}"
        );
    }
}
