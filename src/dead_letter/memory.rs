//! Dead letters kept in memory, for tests and simulation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{DeadLetter, DeadLetters, DeadLettersUnavailable};
use crate::types::UnixMillis;

/// Keeps dead letters, or refuses them while it is told to. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct MemoryDeadLetters {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<DeadLetter>,
    refusal: Option<String>,
}

impl MemoryDeadLetters {
    /// The letters stored so far, repetitions included.
    #[must_use]
    pub fn letters(&self) -> Vec<DeadLetter> {
        self.lock().letters.clone()
    }

    /// Refuses letters for this reason from now on; `None` takes them again.
    pub fn refuse(&self, reason: Option<&str>) {
        self.lock().refusal = reason.map(str::to_owned);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn store(
        &self,
        letters: &[DeadLetter],
        _processed_at: UnixMillis,
    ) -> Result<(), DeadLettersUnavailable> {
        let mut state = self.lock();
        if let Some(reason) = &state.refusal {
            return Err(DeadLettersUnavailable(reason.clone()));
        }
        state.letters.extend_from_slice(letters);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::letter_at;

    #[tokio::test]
    async fn given_a_refusal_then_nothing_is_kept_until_it_is_over() {
        let store = MemoryDeadLetters::default();
        let letters = [letter_at(1), letter_at(2)];
        store.refuse(Some("denied"));
        let refused = store.store(&letters, UnixMillis(0)).await;
        assert_eq!(refused, Err(DeadLettersUnavailable("denied".to_owned())));
        assert!(store.letters().is_empty());
        store.refuse(None);
        assert_eq!(store.store(&letters, UnixMillis(0)).await, Ok(()));
        assert_eq!(store.letters(), letters);
    }
}
