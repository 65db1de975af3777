//! What hostile bytes must never do, as functions that panic when they do it.
//!
//! Each target takes any bytes at all, gives them to the code that meets such bytes in production, and asserts what must be
//! true of the outcome. fuzz/ calls them with inputs that it finds by coverage; an ordinary test calls them with the inputs
//! that were kept of that (`fuzz/corpus`). None writes anything or has a state that outlives the call.

mod config;
mod datums;
mod header;
mod intents;
mod keys;
mod letters;
mod page;
mod registry;
mod schemas;
#[cfg(test)]
mod seeds;
mod telemetry;
#[cfg(test)]
mod tests;

/// A name, and what is done with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order of their names.
pub const TARGETS: &[Target] = &[
    ("config", config::config),
    ("datum", datums::datum),
    ("header", header::header),
    ("intent", intents::intent),
    ("key", keys::key),
    ("letter", letters::letter),
    ("original", letters::original),
    ("page", page::page),
    ("registry", registry::registry),
    ("schema", schemas::schema),
    ("telemetry", telemetry::telemetry),
    ("wire", datums::wire),
];

/// The longest sentence that may quote what came from outside, in bytes.
const MAX_SENTENCE: usize = 1_500;

/// A reason goes into logs and letters: it is one line of a bearable length. (Quoted control characters are escaped by what
/// writes it, if not before.)
fn assert_sentence(text: &str) {
    assert!(!text.is_empty(), "a reason says something");
    assert!(text.len() <= MAX_SENTENCE, "a reason of {} bytes", text.len());
}

/// Lines for a terminal hold nothing that moves its cursor or colours it.
fn assert_plain_lines(text: &str) {
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "a control character in {text:?}");
}

/// The part of `data` before the first `end`, and what is behind it.
fn split_at_byte(data: &[u8], end: u8) -> (&[u8], &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == end);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
