//! A value that never shows itself.

use std::fmt;

/// Text that is not printed by `Debug` and has no `Display`: passwords, tokens, client properties.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The value of the setting `name`, which is no secret, without what may be one all the same: what stands before a URL's `@`,
/// and its query. In `timestamp`, an `@` has a meaning.
pub(super) fn without_credentials(name: &str, text: &str) -> String {
    if name == "timestamp" {
        return text.to_owned();
    }
    let (hidden, rest) = text.rsplit_once('@').map_or(("", text), |(_, after)| ("…@", after));
    match rest.split_once('?') {
        Some((before, _)) if text.contains("://") => format!("{hidden}{before}?…"),
        _ => format!("{hidden}{rest}"),
    }
}
