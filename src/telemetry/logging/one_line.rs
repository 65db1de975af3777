//! How an event's fields are written for people: on one line, and with nothing that moves a terminal's cursor, colours it or turns
//! its text around. Names of topics, reasons of brokers and answers of stores come from outside, and `tracing`'s own format
//! writes what is logged by `Display` as it is.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// `message name=value …`, as `tracing` writes it otherwise.
#[derive(Debug)]
pub(super) struct OneLine;

impl<'w> FormatFields<'w> for OneLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    begun: bool,
    written: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        match name.strip_prefix("r#").unwrap_or(name) {
            "message" => {}
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
            }
            name => write!(self.writer, "{name}=")?,
        }
        Harmless(&mut self.writer).write_fmt(value)
    }

    fn field(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // Where an event of the `log` crate comes from.
        if self.written.is_ok() && !name.starts_with("log.") {
            self.written = self.write(name, value);
        }
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.field("message", format_args!("{value}")),
            name => self.field(name, format_args!("{value:?}")),
        }
    }
}

/// Escapes what isn't harmless of what is written to it.
struct Harmless<'a, 'w>(&'a mut Writer<'w>);

impl Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(is_harmful) {
            match piece.char_indices().next_back().filter(|(_, last)| is_harmful(*last)) {
                Some((at, harmful)) => write!(self.0, "{}{}", &piece[..at], harmful.escape_debug())?,
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// Control characters, the separators of lines that aren't, and what changes the direction of text.
pub(crate) fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
