//! Waiting for what must come, without depending on how fast the machine is.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Asks again and again until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Sees to it that something stays so for a while.
pub(crate) fn stays(what: &str, duration: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        assert!(is_so(), "no longer: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
