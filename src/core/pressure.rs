//! When memory is short: which share of the budget seals a batch before its time, stops taking, and lets it go on.

use std::time::Duration;

use super::{Memory, Now};

/// Above this share of the budget, batches are sealed before their time.
pub(crate) const SEAL_ABOVE: (usize, usize) = (70, 100);
/// Above this share nothing more is taken …
const STOP_ABOVE: (usize, usize) = (85, 100);
/// … until it is below this one: a pause throws away what was fetched, so it shall not flutter.
const RESUME_BELOW: (usize, usize) = (60, 100);
/// How long nothing is taken before partitions are paused: a pause throws away what was fetched, and the want of memory is
/// mostly over as soon as an upload is.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// What is on its way out, and hasn't changed for so long, is no longer waited for: it may never leave.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Whether memory is short, as one lane sees it.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Since when nothing is taken.
    since: Option<Duration>,
    pauses: bool,
    /// The bytes that were last seen to be on their way out, and since when they are so many.
    leaving: (usize, Duration),
}

impl Pressure {
    /// Whether nothing is taken.
    pub(super) fn stops(&self) -> bool {
        self.since.is_some()
    }

    /// Whether that has taken so long that partitions are paused.
    pub(super) fn pauses(&self) -> bool {
        self.pauses
    }

    /// Looks at `memory`. `seal` seals the largest open batch and says whether there was one.
    pub(super) fn look(&mut self, memory: Memory, now: Now, seal: impl FnOnce() -> bool) {
        let share = |(part, whole): (usize, usize)| memory.limit / whole * part;
        if self.leaving.0 != memory.leaving || !self.stops() {
            self.leaving = (memory.leaving, now.monotonic);
        }
        let stuck = now.monotonic.saturating_sub(self.leaving.1) >= STUCK_AFTER;
        // What is on its way out is room to be: no other batch need be sealed for that.
        let expected = if stuck { 0 } else { memory.leaving };
        let sealed = memory.used.saturating_sub(expected) > share(SEAL_ABOVE) && seal();
        let stops = match self.since {
            // When nothing leaves, waiting frees nothing: what is open grows until it is sealed, and what was put aside has
            // to be placed.
            Some(_) if memory.leaving == 0 => sealed,
            // Other lanes may keep the memory in use and moving for as long as they like.
            Some(since) if stuck || now.monotonic.saturating_sub(since) >= STUCK_AFTER => {
                sealed || memory.used > share(STOP_ABOVE)
            }
            Some(_) => memory.used >= share(RESUME_BELOW),
            // Likewise: it would stop again before what was put aside is placed.
            None => memory.used > share(STOP_ABOVE) && (memory.leaving > 0 || sealed),
        };
        self.since = stops.then_some(self.since.unwrap_or(now.monotonic));
        self.pauses = self.since.is_some_and(|since| now.monotonic.saturating_sub(since) >= PAUSE_AFTER);
    }
}
