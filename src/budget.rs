//! The memory of the whole process, as one number that every buffer is counted in.
//!
//! A buffer is counted by its *capacity*, through an [`Account`] that gives everything back when it is dropped.
//! The budget never blocks and never refuses: lanes look at [`Budget::used`] between takes, seal what frees most,
//! and pause when that is not enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit in bytes and what is in use of it. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
    /// The part of `used` that is on its way out.
    leaving: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes, none of them used.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::new(Inner { limit, used: AtomicUsize::new(0), leaving: AtomicUsize::new(0) }) }
    }

    /// The limit, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.inner.limit
    }

    /// Bytes in use by all accounts together.
    #[must_use]
    pub fn used(&self) -> usize {
        self.inner.used.load(Ordering::Relaxed)
    }

    /// Bytes in use that will be free once they are stored, whatever becomes of the rest: of sealed batches.
    #[must_use]
    pub fn leaving(&self) -> usize {
        self.inner.leaving.load(Ordering::Relaxed)
    }

    /// An account of this budget that holds nothing yet.
    #[must_use]
    pub fn account(&self) -> Account {
        Account { budget: self.clone(), held: 0, leaves: false }
    }
}

/// One holder's share of a [`Budget`].
#[derive(Debug)]
pub struct Account {
    budget: Budget,
    held: usize,
    leaves: bool,
}

impl Account {
    /// Bytes held by this account.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Makes `bytes` what this account holds.
    pub fn set(&mut self, bytes: usize) {
        let inner = &self.budget.inner;
        change(&inner.used, self.held, bytes);
        if self.leaves {
            change(&inner.leaving, self.held, bytes);
        }
        self.held = bytes;
    }

    /// What it holds, now and later, is on its way out.
    pub fn leave(&mut self) {
        if !self.leaves {
            self.leaves = true;
            change(&self.budget.inner.leaving, 0, self.held);
        }
    }
}

fn change(sum: &AtomicUsize, before: usize, after: usize) {
    if after >= before {
        sum.fetch_add(after - before, Ordering::Relaxed);
    } else {
        sum.fetch_sub(before - after, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn given_any_accounts_then_the_sums_are_theirs_and_nothing_is_left_when_they_are_gone(
            steps in prop::collection::vec((0..4_usize, 0..1_000_usize, any::<bool>()), 0..60),
        ) {
            let budget = Budget::new(1_000);
            let mut accounts: Vec<_> = (0..4).map(|_| (budget.account(), false)).collect();
            for (index, bytes, leaves) in steps {
                let (account, leaving) = &mut accounts[index];
                account.set(bytes);
                if leaves {
                    account.leave();
                    *leaving = true;
                }
                let held = |wanted: fn(&bool) -> bool| -> usize {
                    accounts.iter().filter(|(_, leaving)| wanted(leaving)).map(|(account, _)| account.held()).sum()
                };
                prop_assert_eq!(budget.used(), held(|_| true));
                prop_assert_eq!(budget.leaving(), held(|leaving| *leaving));
            }
            accounts.clear();
            prop_assert_eq!((budget.used(), budget.leaving()), (0, 0));
        }
    }
}
