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
}

impl Budget {
    /// A budget of `limit` bytes, none of them used.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::new(Inner { limit, used: AtomicUsize::new(0) }) }
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

    /// An account of this budget that holds nothing yet.
    #[must_use]
    pub fn account(&self) -> Account {
        Account { budget: self.clone(), held: 0 }
    }
}

/// One holder's share of a [`Budget`].
#[derive(Debug)]
pub struct Account {
    budget: Budget,
    held: usize,
}

impl Account {
    /// Bytes held by this account.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Makes `bytes` what this account holds.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.budget.inner.used;
        if bytes >= self.held {
            used.fetch_add(bytes - self.held, Ordering::Relaxed);
        } else {
            used.fetch_sub(self.held - bytes, Ordering::Relaxed);
        }
        self.held = bytes;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}
