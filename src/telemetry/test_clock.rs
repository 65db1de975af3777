//! Time that stands still until a test moves it.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Clock;
use crate::types::UnixMillis;

/// A clock that starts at wall-clock time `start` and monotonic time 0.
#[derive(Debug)]
pub(crate) struct TestClock {
    start: i64,
    passed: Mutex<Duration>,
}

impl TestClock {
    pub(crate) fn new(start: UnixMillis) -> Self {
        Self { start: start.0, passed: Mutex::default() }
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.passed.lock().expect("not poisoned") += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.start + i64::try_from(self.monotonic().as_millis()).expect("a test's time is short"))
    }

    fn monotonic(&self) -> Duration {
        *self.passed.lock().expect("not poisoned")
    }
}
