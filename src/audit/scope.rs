//! What an audit looked at: everything, or some hours.

/// Which keys were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the partition's.
    All,
    /// Those that begin with one of these, and the first files of their batches.
    Prefixes(Vec<String>),
}

impl Scope {
    /// Whether an object with this key would have been seen.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefixes(prefixes) => prefixes.iter().any(|prefix| key.starts_with(prefix)),
        }
    }

    /// Whether every file of a partition was looked at, so that what isn't there is missing.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}
