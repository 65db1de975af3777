//! What libraries say again and again, said once in a while: a broker that is away is told by every client of every lane.

use std::collections::HashMap;
use std::time::Duration;

/// How long the same is held back after it was said.
const EVERY: Duration = Duration::from_secs(30);

/// So many different things are told apart; others count as one.
const KINDS: usize = 64;

/// Remembers what was said.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    said: HashMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    at: Duration,
    held_back: u64,
}

impl Repeats {
    /// Whether something of this `kind` is to be said `now`, and how much of it was held back since it was said last.
    pub(crate) fn let_through(&mut self, kind: &str, now: Duration) -> Option<u64> {
        let kind = if self.said.len() < KINDS || self.said.contains_key(kind) { kind } else { "" };
        if let Some(said) = self.said.get_mut(kind) {
            if now < said.at + EVERY {
                said.held_back += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.held_back));
        }
        self.said.insert(kind.to_owned(), Said { at: now, held_back: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_same_again_and_again_then_it_is_said_twice_a_minute_with_how_often_it_was_held_back() {
        let mut repeats = Repeats::default();
        let said: Vec<_> =
            (0..70).filter_map(|second| repeats.let_through("FAIL", Duration::from_secs(second))).collect();
        assert_eq!(said, [0, 29, 29]);
        assert_eq!(repeats.let_through("ERROR", Duration::from_secs(70)), Some(0));
    }

    #[test]
    fn given_more_kinds_than_are_told_apart_then_the_others_count_as_one() {
        let mut repeats = Repeats::default();
        let said = (0..1_000).filter(|kind| repeats.let_through(&kind.to_string(), EVERY).is_some()).count();
        assert_eq!(said, KINDS + 1);
        assert_eq!(repeats.said.len(), KINDS + 1);
    }
}
