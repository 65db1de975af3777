//! Making batches again that an earlier owner promised (docs/protocol.md, "Takeover").
//!
//! One thread of the process makes them, one after the other, with a consumer that is no member of the group. So the
//! lanes go on meanwhile, and many promises that fall to one process at once take no more memory than one. A batch that
//! doesn't fit into what memory is free is only counted; once the core has compared its outcome with the promise, it is
//! made and stored in several passes ([`passes`]), file by file if need be.
//!
//! What the world refuses for now is tried again later, behind the others: a partition without a leader, or a schema that
//! the registry doesn't answer for, holds up nobody else.

mod maker;
mod passes;
mod queue;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::core::batch::Outcome;
use crate::core::{Publish, Remake};
use crate::telemetry::troubles::Dependency;
use crate::types::Offset;

pub(crate) use self::maker::Maker;
pub(crate) use self::queue::Takeovers;

/// A promised batch, made again.
#[derive(Debug)]
pub(crate) struct Remade {
    /// With all its rows, or, if they don't fit into memory, only their counts.
    pub(crate) batch: Batch,
    /// What became of its records.
    pub(crate) outcome: Outcome,
}

/// What is to be done.
pub(crate) enum Task {
    /// Make the batch again.
    Make {
        /// Which one.
        remake: Remake,
        /// Whom to tell.
        answer: Reply<Box<Remade>>,
    },
    /// Store and produce all of a batch that was only counted.
    Publish {
        /// Which one.
        remake: Remake,
        /// As the core wants it.
        publish: Box<Publish>,
        /// What it must come to.
        outcome: Outcome,
        /// Whether it may belong to somebody else by now.
        lost: watch::Receiver<bool>,
        /// The dead letters of these offsets are acknowledged; ascending.
        produced: Vec<Offset>,
        /// Whom to tell: the bytes stored.
        answer: Reply<u64>,
    },
}

/// Whom to tell of a task. It is told even if the task panics.
pub(crate) struct Reply<T>(Option<Tell<T>>);

type Tell<T> = Box<dyn FnOnce(Result<T, String>) + Send>;

impl<T> Reply<T> {
    /// Tells by calling `tell`.
    pub(crate) fn new(tell: impl FnOnce(Result<T, String>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    fn give(mut self, result: Result<T, String>) {
        if let Some(tell) = self.0.take() {
            tell(result);
        }
    }
}

impl<T> Drop for Reply<T> {
    /// A task that was cancelled says so to nobody who listens.
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(
                "making the promised batch again was broken off, by a bug in valve; the log says where"
                    .to_owned(),
            ));
        }
    }
}

/// Why a task ended without being done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody wants it any more.
    Cancelled,
    /// The world is bad: to be tried again.
    Later(Dependency, String),
    /// It needs a person.
    Refused(String),
}

/// A task, until it is done or cancelled.
struct Job {
    task: Task,
    wanted: CancellationToken,
}
