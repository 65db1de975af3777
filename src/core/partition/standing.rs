//! Where a partition stands between its assignment and its parting: where it begins, whose promise it keeps first, and
//! what becomes of it when the log changes under it.
//!
//! | from | to | when |
//! |---|---|---|
//! | `Resolving` | `Starting` | the facts say where it begins, and that isn't committed yet |
//! | `Resolving`, `Starting` | `TakingOver` | where it begins is committed, with a promised batch |
//! | `Resolving`, `Starting` | `Filling` | likewise, without one |
//! | `TakingOver` | `Filling` | the promised batch is committed |
//! | `Filling` | `Astray` | something else than a record is at its position |
//! | `Astray` | `Resting`, then `Filling` | there was no reason |
//! | `Astray` | `Resting`, then `Overtaken` | the log became shorter and has grown again |
//! | `Astray` | `Overtaken` | the log's beginning has passed it, or the log became shorter |
//! | all that are begun | `Overtaken` | the topic was created again; with a promised batch `Held` |
//! | `Overtaken` | `Resolving` | what was read is durable or dropped |
//! | all | `Held` | it needs a person; or it is lost, refused, not done in time, or parts before it begins |

use std::time::Duration;

use super::{Partition, Step};
use crate::core::batch::{SealReason, SealedBatch, Stage};
use crate::core::intent::Metadata;
use crate::core::start::{Decision, Facts, RECREATED_WHILE_PROMISED, decide, is_recreated};
use crate::core::view::WaitsFor;
use crate::core::{Action, Remake, Ticket};
use crate::types::Offset;

/// How long a partition whose fetching failed waits until it is fetched again.
const REST: Duration = Duration::from_secs(1);

/// What was gone before it was read, as `[first, end)`.
type Lost = Option<(Offset, Offset)>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Resolving(Ticket),
    /// The start offset is being committed with this; what was lost on the way is reported after that.
    Starting(Box<Metadata>, Lost),
    /// The batch that an earlier owner promised is made again; nothing is read before it is durable.
    TakingOver,
    Filling,
    /// Something else than a record is at the position, or nothing: it is being found out why. What was read waits for that.
    Astray {
        ticket: Ticket,
        out_of_range: bool,
    },
    /// There was no reason that lasts: it goes on after a moment.
    Resting {
        until: Duration,
        /// What was read is dropped: where it begins is found out again. Otherwise it is fetched from where it was read to.
        anew: bool,
    },
    /// What was read is finished or dropped, then it is resolved again.
    Overtaken,
    /// Held, or fenced: it takes nothing and publishes nothing.
    Held,
}

impl Partition {
    /// Whether it is known where it begins, and committed.
    pub(in crate::core) fn is_begun(&self) -> bool {
        !matches!(self.standing, Standing::Resolving(_) | Standing::Starting(..))
    }

    /// What it waits for; `None` while it is read from.
    pub(in crate::core) fn waits_for(&self, pressed: bool) -> Option<WaitsFor> {
        match self.standing {
            Standing::Held => Some(WaitsFor::Owner),
            _ if self.parting => Some(WaitsFor::Parting),
            Standing::Resolving(_) | Standing::Starting(..) => Some(WaitsFor::Start),
            Standing::TakingOver => Some(WaitsFor::Takeover),
            Standing::Astray { .. } | Standing::Resting { .. } | Standing::Overtaken => Some(WaitsFor::Log),
            Standing::Filling if self.waiting.is_some() => Some(WaitsFor::Schema),
            Standing::Filling if !self.admitted => Some(WaitsFor::Turn),
            Standing::Filling if !self.is_filling() => Some(WaitsFor::Store),
            Standing::Filling => pressed.then_some(WaitsFor::Memory),
        }
    }

    pub(in crate::core) fn resolved(&mut self, ticket: Ticket, facts: &Facts, step: &mut Step<'_>) {
        if let Standing::Astray { ticket: asked, out_of_range } = self.standing
            && asked == ticket
        {
            return self.gone_astray(out_of_range, facts, step);
        }
        if self.standing != Standing::Resolving(ticket) {
            return;
        }
        self.log_ends(facts.high);
        let decision = decide(self.name.partition, facts, step.policy);
        match self.no_room(&decision, step).map_or(decision, Decision::Hold) {
            Decision::Hold(reason) => {
                if let Some((offset, _)) = &facts.committed {
                    self.committed.first = *offset;
                    self.known = true;
                }
                self.hold(reason, step);
            }
            Decision::Begin { metadata, commit, lost } => {
                self.read = metadata.first;
                if commit {
                    self.standing = Standing::Starting(metadata.clone(), lost);
                    self.send(*metadata, None, step);
                } else {
                    self.committed = *metadata;
                    self.known = true;
                    self.go(step);
                }
            }
        }
    }

    /// Why nothing is read of it, unless it begins with a promised batch: that has a layout of its own, and today's is looked
    /// at behind it.
    fn no_room(&self, decision: &Decision, step: &Step<'_>) -> Option<String> {
        match decision {
            Decision::Begin { metadata, .. } if metadata.intent.is_none() => {
                step.policy.refuses(&self.name.topic)
            }
            _ => None,
        }
    }

    /// The promised batch is done with: what comes behind it has today's layout.
    pub(super) fn taken_over(&mut self, step: &mut Step<'_>) {
        match step.policy.refuses(&self.name.topic) {
            Some(reason) => self.hold(reason, step),
            None => self.begin(step),
        }
    }

    pub(super) fn started(&mut self, lost: Lost, step: &mut Step<'_>) {
        if let Some((first, end)) = lost {
            step.actions.push(Action::ReportLost { partition: self.name.clone(), first, end });
        }
        if self.parting {
            self.standing = Standing::Held;
        } else if self.committed.intent.is_some() {
            // Whether that batch can still be made is decided as for any owner that finds it promised.
            self.standing = Standing::Resolving(self.ask(step));
        } else {
            self.go(step);
        }
    }

    /// Begins with what is promised, if anything is.
    fn go(&mut self, step: &mut Step<'_>) {
        if self.heard.take().is_some_and(|id| is_recreated(&self.committed, Some(id))) {
            return self.recreated(step);
        }
        let Some(intent) = &self.committed.intent else { return self.begin(step) };
        let batch = step.ids.batch();
        self.sealed.push_back(SealedBatch::promised(batch, self.committed.first, intent));
        self.standing = Standing::TakingOver;
        let promise = Box::new(self.committed.clone());
        step.actions.push(Action::Remake(Remake { partition: self.name.clone(), batch, promise }));
    }

    pub(super) fn begin(&mut self, step: &mut Step<'_>) {
        self.standing = Standing::Filling;
        self.consuming = true;
        self.paused = false;
        self.turned_away = false;
        step.actions.push(Action::Consume(self.name.clone(), self.read));
    }

    /// The client went astray: there may be nothing at the position. Why decides what becomes of the open batch, so that is
    /// asked first.
    pub(in crate::core) fn went_astray(&mut self, out_of_range: bool, step: &mut Step<'_>) {
        if self.standing == Standing::Filling {
            self.stop(step);
            self.standing = Standing::Astray { ticket: self.ask(step), out_of_range };
        }
    }

    /// Whether it isn't known what is to become of what was read.
    pub(in crate::core) fn is_astray(&self) -> bool {
        matches!(self.standing, Standing::Astray { .. })
    }

    pub(super) fn stop(&mut self, step: &mut Step<'_>) {
        if self.consuming {
            self.consuming = false;
            self.waiting = None;
            step.actions.push(Action::Stop(self.name.clone()));
        }
    }

    fn gone_astray(&mut self, out_of_range: bool, facts: &Facts, step: &mut Step<'_>) {
        if is_recreated(&self.committed, facts.topic_id) {
            return self.recreated(step);
        }
        let in_range = facts.low <= self.read && self.read <= facts.end;
        // A log that became shorter may have grown past the position since: other records are there than were read.
        let is_cut = facts.end < self.read || in_range && out_of_range;
        if is_cut {
            // What was read and isn't in the log any more is stored only if it was promised: its next owner, which is
            // this one, looks whether it can still be made.
            self.drop_batches(step);
        } else if !in_range || self.parting {
            self.seal(SealReason::Retention, step);
        }
        self.standing = if in_range && !self.parting {
            Standing::Resting { until: step.now.monotonic + REST, anew: is_cut }
        } else {
            Standing::Overtaken
        };
    }

    /// Goes on after a rest.
    pub(super) fn wake(&mut self, step: &mut Step<'_>) {
        if let Standing::Resting { until, anew } = self.standing
            && step.now.monotonic >= until
            && !self.parting
        {
            if anew {
                self.standing = Standing::Overtaken;
            } else {
                self.begin(step);
            }
        }
    }

    /// The brokers say that the topic has this id.
    pub(in crate::core) fn topic_id(&mut self, id: u128, step: &mut Step<'_>) {
        let unsettled =
            matches!(self.standing, Standing::Resolving(_) | Standing::Starting(..) | Standing::Held);
        if unsettled {
            self.heard = Some(id);
        } else if is_recreated(&self.committed, Some(id)) {
            self.recreated(step);
        }
    }

    /// The topic was deleted and created again: what was read of the old one and isn't promised is dropped.
    fn recreated(&mut self, step: &mut Step<'_>) {
        self.stop(step);
        // What a commit under way makes of the promise shows when it is resolved again.
        if self.committed.intent.is_some() && self.commit.is_none() {
            return self.hold(RECREATED_WHILE_PROMISED.to_owned(), step);
        }
        self.drop_batches(step);
        self.standing = Standing::Overtaken;
    }

    /// It takes nothing more; what was taken is finished, and what hasn't begun doesn't begin. A batch that is being made
    /// again is its next owner's.
    pub(in crate::core) fn part(&mut self, reason: SealReason, step: &mut Step<'_>) {
        self.parting = true;
        let remaking =
            matches!(self.sealed.front(), Some(SealedBatch { stage: Stage::Closing, promised: Some(_), .. }));
        if remaking {
            self.abandon(step);
        }
        // One that went astray waits for the facts: they say whether what was read is still to be stored.
        if !self.is_astray() {
            self.seal(reason, step);
        }
        self.stay_unbegun();
    }

    /// A partition that goes isn't resolved and started for nothing; a commit under way is still to be answered.
    pub(super) fn stay_unbegun(&mut self) {
        if !self.is_begun() && self.commit.is_none() {
            self.standing = Standing::Held;
        }
    }

    /// Drops all that isn't durable, and begins nothing more.
    pub(in crate::core) fn abandon(&mut self, step: &mut Step<'_>) {
        self.drop_batches(step);
        self.standing = Standing::Held;
    }

    /// Drops all that isn't durable, until a person has looked: nothing is skipped, nothing overwritten.
    pub(in crate::core) fn hold(&mut self, reason: String, step: &mut Step<'_>) {
        self.abandon(step);
        step.actions.push(Action::Hold(self.name.clone(), Some(reason)));
    }
}
