//! The only place that reads a clock.
//!
//! Whatever decides something takes the time as an argument or a [`Clock`]; so tests and simulation own time.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::UnixMillis;

/// Where time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall-clock time. It may jump in both directions.
    fn now(&self) -> UnixMillis;

    /// Time since an arbitrary start that never goes back: for ages, deadlines and latencies.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that may read the clock")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the module that may read the clock")]
    fn now(&self) -> UnixMillis {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        UnixMillis(millis)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
