//! How librdkafka's threads wait: by a clock that nobody sets.
//!
//! Each of its waits ends at a time of the day, as it reads it from the wall clock when it begins (librdkafka's issue 2145). A
//! clock that is set back by an hour meanwhile makes each an hour longer: no heartbeat, no record, no end of the process.
//! The function here takes the place of the C library's in the whole program. It waits for as long as was meant, by the
//! monotonic clock, and never longer than [`LOOK`]: librdkafka waits again for what is left then, which it knows by the monotonic
//! clock, too. It is there where librdkafka waits by the C library's function, on Linux with glibc.

use std::ffi::c_int;
use std::time::Duration;

use libc::{clockid_t, pthread_cond_t, pthread_mutex_t, timespec};

/// The longest wait: should the clock be set while its reading is on its way here.
const LOOK: Duration = Duration::from_secs(1);

/// What C's `threads.h` answers, by glibc's numbers: woken, failed, and that it is time.
const WOKEN: c_int = 0;
const FAILED: c_int = 2;
const IN_VAIN: c_int = 4;

unsafe extern "C" {
    fn pthread_cond_clockwait(
        condition: *mut pthread_cond_t,
        lock: *mut pthread_mutex_t,
        clock: clockid_t,
        until: *const timespec,
    ) -> c_int;
}

/// Waits for a signal until the wall clock's `until`, as it is far away now. glibc's condition and lock of C11 are those of
/// POSIX.
///
/// # Safety
/// As of the C library's: a condition, a lock that the caller holds, a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn cnd_timedwait(
    condition: *mut pthread_cond_t,
    lock: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's promise; `end` is a time that lives as long as the call.
    unsafe {
        let left = since_zero(&*until).saturating_sub(now(libc::CLOCK_REALTIME)).min(LOOK);
        let end = time(now(libc::CLOCK_MONOTONIC) + left);
        match pthread_cond_clockwait(condition, lock, libc::CLOCK_MONOTONIC, &raw const end) {
            0 => WOKEN,
            libc::ETIMEDOUT => IN_VAIN,
            _ => FAILED,
        }
    }
}

fn now(clock: clockid_t) -> Duration {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a place to write to. Both clocks exist, so that it can't fail.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    since_zero(&now)
}

fn since_zero(at: &timespec) -> Duration {
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

fn time(at: Duration) -> timespec {
    let seconds = libc::time_t::try_from(at.as_secs()).unwrap_or(libc::time_t::MAX);
    timespec { tv_sec: seconds, tv_nsec: at.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// A condition with its lock.
    struct Condition(UnsafeCell<pthread_cond_t>, UnsafeCell<pthread_mutex_t>);

    // SAFETY: made to be shared by threads.
    unsafe impl Sync for Condition {}

    impl Condition {
        const fn new() -> Self {
            Self(
                UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
                UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            )
        }

        /// What came of waiting until the wall clock is `far` ahead, and how long that took.
        fn wait(&self, far: Duration) -> (c_int, Duration) {
            let (clock, until) = (SystemClock::new(), time(now(libc::CLOCK_REALTIME) + far));
            // SAFETY: the condition and the lock are initialised, and the lock is ours while waiting.
            let answer = unsafe {
                libc::pthread_mutex_lock(self.1.get());
                let answer = cnd_timedwait(self.0.get(), self.1.get(), &raw const until);
                libc::pthread_mutex_unlock(self.1.get());
                answer
            };
            (answer, clock.monotonic())
        }
    }

    #[test]
    fn given_an_end_that_a_clock_set_back_has_moved_an_hour_away_then_the_wait_ends_within_a_second() {
        let (answer, took) = Condition::new().wait(Duration::from_secs(3600));
        assert_eq!(answer, IN_VAIN);
        assert!(took >= LOOK && took < 3 * LOOK, "{took:?}");
    }

    #[test]
    fn given_a_short_wait_then_it_is_as_long_as_was_meant() {
        let (answer, took) = Condition::new().wait(Duration::from_millis(50));
        assert_eq!(answer, IN_VAIN);
        assert!(took >= Duration::from_millis(49) && took < LOOK, "{took:?}");
    }

    #[test]
    fn given_a_signal_then_who_waits_is_woken() {
        static SHARED: Condition = Condition::new();
        let waiting = std::thread::spawn(|| SHARED.wait(Duration::from_millis(900)));
        while !waiting.is_finished() {
            // SAFETY: the condition is initialised.
            unsafe { libc::pthread_cond_signal(SHARED.0.get()) };
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(waiting.join().unwrap().0, WOKEN);
    }
}
