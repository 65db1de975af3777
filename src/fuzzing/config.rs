//! Settings, as text of a file or as what Consul has.

use super::assert_plain_lines;
use crate::config::fuzzed::load;

/// An odd first byte: one TOML or JSON document in Consul; otherwise the file.
pub(super) fn config(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    // What these name would be read from this machine.
    if text.contains("file:") {
        return;
    }
    if let Err(errors) = load(&text, choice % 2 == 1) {
        assert!(errors.iter().count() > 0);
        for error in errors.iter() {
            assert!(!error.problem.is_empty(), "{error:?}");
            let required = error.problem.starts_with("it is required");
            assert!(error.origin.is_some() || required, "{error:?}");
        }
        assert_plain_lines(&errors.to_string());
    }
}
