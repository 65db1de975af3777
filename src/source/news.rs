//! Hearing a client out: what it has to say, for the log or for a callback, it says only when it is polled, one thing at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that is heard at a time: with its property `debug` a client may never be silent.
const MOST: usize = 10_000;

/// How often a client has called back. Its context counts whatever a poll may bring that the poll doesn't return.
#[derive(Debug, Default)]
pub(crate) struct Heard(AtomicUsize);

impl Heard {
    /// Once more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls a client without waiting until it has nothing more to say; whether it came to that. `poll` says whether the client
/// returned something; what it called back with is counted in `heard`.
pub(crate) fn hear_out(heard: &Heard, mut poll: impl FnMut() -> bool) -> bool {
    (0..MOST).any(|_| {
        let before = heard.get();
        !poll() && heard.get() == before
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_callbacks_between_what_is_returned_then_all_is_heard() {
        let (heard, mut news) = (Heard::default(), vec!["error", "line", "line", "event", "token"]);
        let all = hear_out(&heard, || {
            let Some(next) = news.pop() else { return false };
            if next != "error" {
                heard.count();
            }
            next == "error"
        });
        assert!(all && news.is_empty());
    }

    #[test]
    fn given_a_client_that_is_never_silent_then_it_is_heard_for_a_while_and_not_to_the_end() {
        let (heard, mut polled) = (Heard::default(), 0);
        let all = hear_out(&heard, || {
            polled += 1;
            heard.count();
            false
        });
        assert_eq!((all, polled), (false, MOST));
    }
}
