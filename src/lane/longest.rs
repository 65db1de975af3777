//! How long values are: what is fetched takes memory accordingly.

use std::time::Duration;

/// Values from this length on are large: each is looked at by itself, since one alone may be all that memory has room for. In bytes.
pub(super) const LARGE: usize = 1 << 20;

/// How long one is remembered, at least; twice as long at most.
const REMEMBERED: Duration = Duration::from_mins(1);

/// The longest value of the last minute or two, in bytes.
#[derive(Debug, Default)]
pub(super) struct Longest {
    lately: usize,
    before: usize,
    turns_at: Duration,
}

impl Longest {
    /// There was a value of `bytes`.
    pub(super) fn note(&mut self, bytes: usize) {
        self.lately = self.lately.max(bytes);
    }

    /// The longest that is remembered; 0 if there is none.
    pub(super) fn bytes(&mut self, now: Duration) -> usize {
        if now >= self.turns_at {
            self.before = std::mem::take(&mut self.lately);
            self.turns_at = now + REMEMBERED;
        }
        self.lately.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_long_value_then_it_is_remembered_for_a_minute_and_forgotten_after_two() {
        let (at, mut longest) = (Duration::from_secs, Longest::default());
        assert_eq!(longest.bytes(at(10)), 0);
        longest.note(7_000_000);
        longest.note(5_000_000);
        assert_eq!(longest.bytes(at(11)), 7_000_000);
        assert_eq!(longest.bytes(at(70)), 7_000_000);
        longest.note(3_000_000);
        assert_eq!(longest.bytes(at(129)), 7_000_000);
        assert_eq!(longest.bytes(at(130)), 3_000_000);
        assert_eq!(longest.bytes(at(190)), 0);
    }
}
