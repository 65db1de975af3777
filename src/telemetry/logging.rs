//! Where log lines go and how they look: for a person on a terminal, JSON for everything else.
//!
//! Lines go to standard error; standard output belongs to what a command prints and to metrics. What libraries log
//! through the `log` crate, librdkafka's messages among it, comes out the same way.

use std::io::{self, IsTerminal};

use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::one_line::OneLine;

pub(super) mod one_line;

/// What is logged unless somebody asks for something else.
pub const DEFAULT_FILTER: &str = "info";

/// What is put before every filter: libraries are quiet unless the filter names them. Brokers that come and go are
/// reported by valve itself.
const QUIET_LIBRARIES: &str = "rdkafka=warn,librdkafka=warn,hyper=warn,h2=warn,rustls=warn,aws_config=error,aws_credential_types=error,";

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One readable line, in colour on a terminal.
    Human {
        /// Whether to use colours.
        colours: bool,
    },
    /// One JSON object a line.
    Json,
}

impl Format {
    /// For a person when standard error is a terminal, JSON otherwise.
    #[must_use]
    pub fn of_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Human { colours: true } } else { Self::Json }
    }
}

/// Why logging can't begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter isn't one.
    #[error("the log filter {filter:?}: {source}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something in this process has installed a logger before.
    #[error("logging is installed already: {0}")]
    Installed(#[from] TryInitError),
}

/// Makes the process log to `writer` (standard error, or one that keeps a progress line readable) what `filter`
/// lets through: a level such as [`DEFAULT_FILTER`], or `tracing`'s directives (`warn,valve::sink=debug`).
///
/// # Errors
/// When the filter isn't one, or logging is installed already.
pub fn install<W>(filter: &str, format: Format, writer: W) -> Result<(), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let subscriber = subscriber(filter, format, writer)?;
    subscriber.try_init()?;
    Ok(())
}

/// Logs to `writer` what this thread does, until the guard is dropped: while it isn't known yet what is to be logged.
pub fn meanwhile<W>(format: Format, writer: W) -> DefaultGuard
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(DEFAULT_FILTER)).with_writer(writer);
    let builder = builder.log_internal_errors(false);
    // Not by the builder's own `set_default`, which would install what `install` installs later.
    match format {
        Format::Human { colours } => {
            set_default(builder.with_ansi(colours).with_target(false).fmt_fields(OneLine).finish())
        }
        Format::Json => set_default(builder.json().flatten_event(true).with_current_span(false).finish()),
    }
}

/// Whether `filter` is one.
///
/// # Errors
/// What is wrong with it.
pub fn check(filter: &str) -> Result<(), LoggingError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    let wanted = if filter.trim().is_empty() { DEFAULT_FILTER } else { filter };
    let parsed = EnvFilter::builder().parse(format!("{QUIET_LIBRARIES}{wanted}"));
    parsed.map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })
}

pub(super) fn subscriber<W>(
    filter: &str,
    format: Format,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Where it can't be written to there is nobody to tell; the library would panic about that.
    let builder = builder.log_internal_errors(false);
    Ok(match format {
        Format::Human { colours } => {
            Box::new(builder.with_ansi(colours).with_target(false).fmt_fields(OneLine).finish())
        }
        Format::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: Format, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, format, move || writer.clone()).expect("a filter");
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn given_json_then_a_line_is_an_object_with_its_fields() {
        let line = logged("info", Format::Json, || tracing::warn!(topic = "orders", "holding"));
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let fields = ["level", "message", "topic"].map(|name| object[name].as_str().unwrap_or_default());
        assert_eq!(fields, ["WARN", "holding", "orders"]);
    }

    #[test]
    fn given_control_characters_in_a_message_or_a_field_then_a_line_for_people_stays_one_and_moves_nothing() {
        let hostile = "a\n2026-11-23T07:00:00Z ERROR \u{1b}[2J\u{9b}31m\r\u{202e}b";
        for colours in [false, true] {
            let line = logged("info", Format::Human { colours }, || {
                tracing::warn!(partition = %hostile, topic = hostile, why = ?hostile, "refused: {hostile}");
            });
            let bare = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[3m", "\u{1b}[33m"]
                .into_iter()
                .fold(line.clone(), |line, colour| line.replace(colour, ""));
            assert_eq!(bare.find(one_line::is_harmful), Some(bare.len() - 1), "{line:?}");
            let escaped = r"a\n2026-11-23T07:00:00Z ERROR \u{1b}[2J\u{9b}31m\r\u{202e}b";
            let expected = format!(
                " WARN refused: {escaped} partition={escaped} topic=\"{escaped}\" why=\"{escaped}\"\n"
            );
            assert!(bare.ends_with(&expected), "{bare}");
        }
    }

    #[test]
    fn given_a_level_then_what_is_below_it_is_left_out() {
        let lines = logged("warn", Format::Human { colours: false }, || {
            tracing::info!("quiet");
            tracing::warn!("loud");
        });
        assert!(lines.contains("loud") && !lines.contains("quiet"), "{lines}");
    }

    #[test]
    fn given_no_filter_then_libraries_are_quiet_and_valve_is_not() {
        let lines = logged("", Format::Human { colours: false }, || {
            tracing::info!(target: "librdkafka", "chatter");
            tracing::info!("a batch");
        });
        assert!(lines.contains("a batch") && !lines.contains("chatter"), "{lines}");
    }

    #[test]
    fn given_a_filter_that_names_a_library_then_it_speaks() {
        let lines = logged("info,librdkafka=debug", Format::Human { colours: false }, || {
            tracing::debug!(target: "librdkafka", "chatter");
        });
        assert!(lines.contains("chatter"), "{lines}");
    }

    #[test]
    fn given_nonsense_then_the_error_shows_the_filter() {
        let error = subscriber("valve=louder", Format::Json, io::stderr).err().expect("no level").to_string();
        assert!(error.contains("valve=louder"), "{error}");
    }
}
