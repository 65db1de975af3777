//! Errors of libraries in words: the outermost one says little.

use std::error::Error;

/// An error with its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn given_an_error_with_causes_then_all_are_told_from_the_outermost_on() {
        let error = Layer("send", Some(Box::new(Layer("connect", Some(Box::new(Layer("refused", None)))))));
        assert_eq!(with_causes(&error), "send: connect: refused");
    }
}
