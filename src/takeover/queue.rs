//! The queue of takeovers, and the thread that works it off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Job, Maker, Stop, Task};
use crate::retry::Backoff;
use crate::telemetry::troubles::{Dependency, Trouble};

/// How often cancelled jobs are looked for while all wait.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The entrance to the queue. Cloning shares it; the thread ends after the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Takeovers {
    jobs: Sender<Job>,
}

impl Takeovers {
    /// A queue and its thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn begin(maker: Maker) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new().name("takeover".to_owned());
        thread.spawn(move || work(&maker, &queue))?;
        Ok(Self { jobs })
    }

    /// Puts a task behind the others. It ends when the token is cancelled.
    pub(crate) fn add(&self, task: Task) -> CancellationToken {
        let wanted = CancellationToken::new();
        // The thread ends only after this, unless it panicked; then the task is dropped, and its reply says that it was broken off.
        if self.jobs.send(Job { task, wanted: wanted.clone() }).is_err() {
            tracing::error!("the thread that makes promised batches again is gone");
        }
        wanted
    }
}

/// A job that was tried in vain.
struct Waiting {
    job: Job,
    due: Duration,
    backoff: Backoff,
    /// What it waits for, on /readyz and in the log.
    trouble: Option<(Dependency, Trouble)>,
}

fn work(maker: &Maker, queue: &Receiver<Job>) {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        waiting.retain(|one| !one.job.wanted.is_cancelled());
        match queue.recv_timeout(if waiting.is_empty() { Duration::MAX } else { LOOK_EVERY }) {
            Ok(job) => {
                waiting.push(Waiting {
                    job,
                    due: Duration::ZERO,
                    backoff: Backoff::default(),
                    trouble: None,
                });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = maker.clock.monotonic();
        if let Some(next) = (0..waiting.len())
            .filter(|index| waiting[*index].due <= now)
            .min_by_key(|index| waiting[*index].due)
        {
            let next = waiting.swap_remove(next);
            waiting.extend(attempt(maker, next));
        }
    }
}

/// Tries a job once; what comes back is to be tried again.
fn attempt(maker: &Maker, mut one: Waiting) -> Option<Waiting> {
    // Its reply is given by being dropped; the others' turn comes nevertheless.
    let performed = catch_unwind(AssertUnwindSafe(|| maker.perform(one.job)));
    match performed.unwrap_or_default() {
        None => {
            if let Some((_, trouble)) = &one.trouble {
                trouble.clear();
            }
            None
        }
        Some((job, dependency, reason)) => {
            one.job = job;
            if one.trouble.as_ref().is_none_or(|(of, _)| *of != dependency) {
                one.trouble = Some((dependency, maker.troubles.open(dependency)));
            }
            if let Some((_, trouble)) = &mut one.trouble {
                trouble.set(reason);
            }
            one.due = maker.clock.monotonic() + one.backoff.next_wait();
            Some(one)
        }
    }
}

impl Maker {
    /// Does a job, or gives it back with what is in the way.
    fn perform(&self, job: Job) -> Option<(Job, Dependency, String)> {
        let Job { task, wanted } = job;
        match task {
            Task::Make { remake, answer } => match self.make(&remake, &wanted) {
                Ok(remade) => answer.give(Ok(Box::new(remade))),
                Err(Stop::Cancelled) => {}
                Err(Stop::Refused(reason)) => answer.give(Err(reason)),
                Err(Stop::Later(dependency, reason)) => {
                    return Some((Job { task: Task::Make { remake, answer }, wanted }, dependency, reason));
                }
            },
            Task::Publish { remake, publish, outcome, lost, mut produced, answer } => {
                match self.publish(&remake, &publish, &outcome, (&lost, &mut produced), &wanted) {
                    Ok(bytes) => answer.give(Ok(bytes)),
                    Err(Stop::Cancelled) => {}
                    Err(Stop::Refused(reason)) => answer.give(Err(reason)),
                    Err(Stop::Later(dependency, reason)) => {
                        let task = Task::Publish { remake, publish, outcome, lost, produced, answer };
                        return Some((Job { task, wanted }, dependency, reason));
                    }
                }
            }
        }
        None
    }
}
