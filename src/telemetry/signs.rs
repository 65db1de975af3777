//! What one glance at the status page tells: well or not, and which of five figures isn't as it should be.
//!
//! The limits are those that an autoscaler is to track; what is worse than they say is shown, nothing is done about it here.

use std::time::Duration;

use serde::Serialize;

use super::history::Sample;
use super::lag_task::Reading;
use super::status::Membership;
use super::totals::Totals;
use super::troubles::Dependency;

/// Time lag that is more than a deployment should have, in seconds.
const TIME_LAG: f64 = 7_200.0;
/// Batches of offset lag that are.
const BATCHES_OF_LAG: u64 = 25;
/// Memory in per cent of the limit that is …
const MEMORY_HIGH: f64 = 60.0;
/// … and that may soon end the process.
const MEMORY_FULL: f64 = 85.0;
/// More dead letters than one record in so many aren't a few bad ones.
const FEW: u64 = 100;
/// The broker should have told within this time where the logs end.
const LAG_AGE: Duration = Duration::from_secs(60);
/// How far "lately" goes back, in milliseconds.
const LATELY: i64 = 60_000;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Well,
    /// Worth a look.
    Attention,
    /// Something doesn't work.
    Trouble,
}

/// One figure's sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// How bad it is.
    pub level: Level,
    /// The same in a word or a few.
    pub word: &'static str,
}

const fn well(word: &'static str) -> Sign {
    Sign { level: Level::Well, word }
}

const fn attention(word: &'static str) -> Sign {
    Sign { level: Level::Attention, word }
}

const fn trouble(word: &'static str) -> Sign {
    Sign { level: Level::Trouble, word }
}

/// The signs of the five figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Whether records come in.
    pub consumed: Sign,
    /// Whether rows are stored.
    pub stored: Sign,
    /// Whether records become dead letters.
    pub dead_lettered: Sign,
    /// Whether it keeps up.
    pub lag: Sign,
    /// Whether memory suffices.
    pub memory: Sign,
}

impl Overview {
    /// The signs with the figures' names.
    fn all(&self) -> [(&'static str, &Sign); 5] {
        [
            ("consumed", &self.consumed),
            ("stored", &self.stored),
            ("dead letters", &self.dead_lettered),
            ("lag", &self.lag),
            ("memory", &self.memory),
        ]
    }
}

/// How the process as a whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing to do.
    Well,
    /// It joins its group.
    Starting,
    /// It ends.
    Stopping,
    /// Worth a look.
    Attention,
    /// Something doesn't work; waiting, or a person, mends it.
    Trouble,
}

/// The verdict, and what speaks against a better one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How the process is.
    pub state: State,
    /// One sentence for each thing that isn't well.
    pub reasons: Vec<String>,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is the case now.
    pub now: &'a Sample,
    /// The last hour's samples, the oldest first.
    pub history: &'a [Sample],
    /// The sums since the start.
    pub totals: &'a Totals,
    /// The lag as last measured.
    pub lag: Option<&'a Reading>,
    /// Whether it isn't known yet of some partitions where they begin.
    pub beginning: bool,
    /// The dependencies in trouble.
    pub troubled: &'a [Dependency],
    /// `batch.max_records`.
    pub batch_records: u64,
    /// Resident memory in per cent of the limit.
    pub memory_percent: Option<f64>,
}

impl Facts<'_> {
    /// The signs of the five figures.
    #[must_use]
    pub fn overview(&self) -> Overview {
        Overview {
            consumed: self.consumed(),
            stored: self.stored(),
            dead_lettered: self.dead_lettered(),
            lag: self.lag(),
            memory: self.memory(),
        }
    }

    fn is_troubled(&self, dependency: Dependency) -> bool {
        self.troubled.contains(&dependency)
    }

    /// The last sample from before a minute ago, or the first there is.
    fn before(&self) -> &Sample {
        let earlier = self.history.iter().rev().find(|sample| self.now.at.0 - sample.at.0 >= LATELY);
        earlier.or(self.history.first()).unwrap_or(self.now)
    }

    fn consumed(&self) -> Sign {
        if self.is_troubled(Dependency::Kafka) {
            return trouble("waiting for Kafka");
        }
        let before = self.before();
        if self.now.consume_failed > before.consume_failed {
            attention("errors")
        } else if self.now.consumed > before.consumed {
            well("reading")
        } else if self.beginning && self.is_troubled(Dependency::Sink) {
            // Where a group has no offset, the store is asked for its files.
            trouble("waiting for the store")
        } else if self.now.at.0 - before.at.0 >= LATELY
            && self.lag.is_some_and(|reading| reading.lag.backlog > 0)
        {
            attention("waiting")
        } else if self.beginning {
            well("starting")
        } else {
            well("nothing new")
        }
    }

    fn stored(&self) -> Sign {
        if self.is_troubled(Dependency::Sink) {
            return trouble("waiting for the store");
        }
        if self.is_troubled(Dependency::Registry) {
            return trouble("waiting for schemas");
        }
        if self.now.rows > self.before().rows {
            well("storing")
        } else if self.totals.unsettled() > 0 {
            well("filling files")
        } else {
            well("nothing to store")
        }
    }

    fn dead_lettered(&self) -> Sign {
        if self.is_troubled(Dependency::DeadLetterTopic) {
            return trouble("refused by their topic");
        }
        if self.is_troubled(Dependency::DeadLetterLimit) {
            return trouble("over the limit");
        }
        let earliest = self.history.first().unwrap_or(self.now);
        let letters = self.now.dead_lettered.saturating_sub(earliest.dead_lettered);
        let rows = self.now.rows.saturating_sub(earliest.rows);
        match letters {
            0 if self.now.dead_lettered == 0 => well("none"),
            0 => well("none lately"),
            _ if letters.saturating_mul(FEW) > letters + rows => attention("many"),
            _ => well("a few"),
        }
    }

    fn lag(&self) -> Sign {
        let Some(Reading { lag, age }) = self.lag else { return well("not measured yet") };
        if *age > LAG_AGE {
            attention("out of date")
        } else if lag.max_offset_lag > self.batch_records.saturating_mul(BATCHES_OF_LAG)
            || lag.max_time_lag > TIME_LAG
        {
            attention("behind")
        } else if lag.max_offset_lag == 0 && lag.offset_lag_unknown == 0 {
            well("caught up")
        } else {
            well("keeping up")
        }
    }

    fn memory(&self) -> Sign {
        match self.memory_percent {
            None => well("unknown"),
            Some(percent) if percent >= MEMORY_FULL => trouble("nearly full"),
            Some(percent) if percent >= MEMORY_HIGH => attention("high"),
            Some(_) => well("within bounds"),
        }
    }
}

/// The verdict on a process that is `stopping` or not, whose lanes stand so in the group, with what `ails` them and their
/// dependencies, under these signs.
#[must_use]
pub fn judge(stopping: bool, memberships: &[Membership], ails: Ailments, overview: &Overview) -> Verdict {
    let worst = overview.all().map(|(_, sign)| sign.level).into_iter().max().unwrap_or(Level::Well);
    let state = if stopping {
        State::Stopping
    } else if !ails.troubles.is_empty() || worst == Level::Trouble {
        State::Trouble
    } else if memberships.contains(&Membership::Joining) {
        State::Starting
    } else if worst == Level::Attention {
        State::Attention
    } else {
        State::Well
    };
    let mut reasons = ails.troubles;
    reasons.extend(ails.others);
    // What a dependency does to a figure, its own reason says.
    let own = |figure: &str, sign: &Sign| sign.level == Level::Attention || figure == "memory";
    let signs =
        overview.all().into_iter().filter(|(figure, sign)| sign.level != Level::Well && own(figure, sign));
    reasons.extend(signs.map(|(figure, sign)| format!("{figure}: {}", sign.word)));
    Verdict { state, reasons }
}

/// What is said against the process being well.
#[derive(Clone, Debug, Default)]
pub struct Ailments {
    /// What doesn't work: silent lanes, dependencies, held partitions.
    pub troubles: Vec<String>,
    /// What only isn't ready.
    pub others: Vec<String>,
}

#[cfg(test)]
#[path = "signs_tests.rs"]
mod tests;
