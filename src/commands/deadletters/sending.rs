//! Sends picked letters in transactions of many, and leaves out those that their topic refuses.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::runtime::Handle;

use super::plain;
use crate::clock::{Clock as _, SystemClock};
use crate::dead_letter::envelope::{Base64, Envelope};
use crate::dead_letter::original::{Originals, Unreadable};
use crate::dead_letter::producer::resender::{Picked, Resender, Unsent};

/// So many letters go out in one transaction at most …
const LETTERS_AT_ONCE: usize = 1000;
/// … and so many bytes, unless one letter alone has more.
const BYTES_AT_ONCE: usize = 8 << 20;
/// So many refused letters are named.
const NAMED: usize = 20;

/// Letters on their way. Works where it may block.
pub(super) struct Sending<'a> {
    resender: Resender,
    originals: &'a Originals,
    pending: Pending,
    sent: usize,
    refused: Vec<String>,
    refused_more: usize,
    progress: Progress,
}

impl<'a> Sending<'a> {
    /// Nothing is sent yet of `all` letters.
    pub(super) fn new(resender: Resender, originals: &'a Originals, all: usize) -> Self {
        Self {
            resender,
            originals,
            pending: Pending::default(),
            sent: 0,
            refused: Vec::new(),
            refused_more: 0,
            progress: Progress::new(all),
        }
    }

    /// Takes a letter that lies in `partition` of the dead-letter topic, and sends what is pending if that is enough.
    ///
    /// # Errors
    /// When it can't go on; what was sent before stays sent.
    pub(super) fn take(&mut self, mut letter: Envelope, partition: i32) -> Result<(), Unsent> {
        if let Some(why) = self.resender.is_homeless(&letter)? {
            self.refuse(&letter, &why);
            return Ok(());
        }
        match Handle::current().block_on(self.originals.put_back(&mut letter)) {
            Ok(()) => {}
            Err(gone @ Unreadable::Gone(..)) => {
                self.refuse(&letter, &gone.to_string());
                return Ok(());
            }
            Err(unasked) => return Err(Unsent::Broken(unasked.to_string())),
        }
        self.pending.push(Picked { letter, partition });
        if self.pending.is_enough() { self.send_pending() } else { Ok(()) }
    }

    /// Sends what is pending.
    ///
    /// # Errors
    /// As [`Sending::take`].
    pub(super) fn send_pending(&mut self) -> Result<(), Unsent> {
        let pending = std::mem::take(&mut self.pending);
        self.send(&pending.letters)
    }

    /// Sends all that their topics take: where one is refused, by halves.
    fn send(&mut self, letters: &[Picked]) -> Result<(), Unsent> {
        if letters.is_empty() {
            return Ok(());
        }
        match self.resender.send(letters) {
            Ok(()) => {
                self.sent += letters.len();
                self.progress.show(self.sent);
                Ok(())
            }
            Err(Unsent::Refused(why)) => {
                if let [picked] = letters {
                    self.refuse(&picked.letter, &why);
                    return Ok(());
                }
                let (first, second) = letters.split_at(letters.len() / 2);
                self.send(first)?;
                self.send(second)
            }
            Err(unsent) => Err(unsent),
        }
    }

    fn refuse(&mut self, letter: &Envelope, why: &str) {
        if self.refused.len() < NAMED {
            let Envelope { topic, partition, offset, .. } = letter;
            self.refused.push(plain(&format!("{topic}[{partition}] at offset {offset}: {why}")));
        } else {
            self.refused_more += 1;
        }
    }

    /// How many were sent for good.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Leaves the progress bar; the letters that were refused, a line each.
    pub(super) fn end(mut self) -> Vec<String> {
        self.progress.end();
        if self.refused_more > 0 {
            self.refused.push(format!("and {} more", self.refused_more));
        }
        self.refused
    }
}

/// Letters that go out in the next transaction.
#[derive(Debug, Default)]
struct Pending {
    letters: Vec<Picked>,
    bytes: usize,
}

impl Pending {
    fn push(&mut self, picked: Picked) {
        self.bytes += size_of_record(&picked.letter);
        self.letters.push(picked);
    }

    fn is_enough(&self) -> bool {
        self.letters.len() >= LETTERS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }
}

/// The bytes of the letter's record. Its key and headers may be as large as its value.
fn size_of_record(letter: &Envelope) -> usize {
    let len = |bytes: &Option<Base64>| bytes.as_ref().map_or(0, |bytes| bytes.0.len());
    let headers = letter.headers.iter().map(|header| header.name.len() + len(&header.value));
    len(&letter.key) + len(&letter.message) + headers.sum::<usize>()
}

/// How far it is, on standard error: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    all: usize,
    terminal: bool,
    clock: SystemClock,
    shown: Option<Duration>,
}

const BAR: usize = 30;

impl Progress {
    fn new(all: usize) -> Self {
        Self { all, terminal: std::io::stderr().is_terminal(), clock: SystemClock::new(), shown: None }
    }

    fn show(&mut self, sent: usize) {
        let interval = if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(5) };
        let now = self.clock.monotonic();
        if now.saturating_sub(*self.shown.get_or_insert(now)) < interval && sent < self.all {
            return;
        }
        self.shown = Some(now);
        let text = format!("{sent} of {} sent", self.all);
        // Where standard error is closed nobody looks.
        drop(if self.terminal {
            let full = BAR * sent / self.all.max(1);
            write!(std::io::stderr(), "\r\x1b[2K[{:<BAR$}] {text}", "=".repeat(full))
        } else {
            writeln!(std::io::stderr(), "{text}")
        });
    }

    /// Leaves the bar's line.
    fn end(&self) {
        if self.terminal && self.shown.is_some() {
            drop(writeln!(std::io::stderr()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::{Header, letter_at};
    use crate::types::UnixMillis;

    #[test]
    fn given_letters_that_are_large_in_any_part_then_no_more_are_kept_than_go_out_at_once() {
        let large = || Some(Base64(vec![7; BYTES_AT_ONCE / 4].into()));
        let small = Envelope::new(&letter_at(0), "archive", UnixMillis(0));
        let header = Header { name: "trace".to_owned(), value: large() };
        for letter in [
            Envelope { key: large(), ..small.clone() },
            Envelope { message: large(), ..small.clone() },
            Envelope { headers: vec![header], message: None, ..small.clone() },
        ] {
            let mut pending = Pending::default();
            while !pending.is_enough() {
                pending.push(Picked { letter: letter.clone(), partition: 0 });
            }
            assert_eq!(pending.letters.len(), 4);
        }
    }

    #[test]
    fn given_small_letters_then_they_go_out_by_count() {
        let mut pending = Pending::default();
        while !pending.is_enough() {
            let letter = Envelope::new(&letter_at(0), "archive", UnixMillis(0));
            pending.push(Picked { letter, partition: 0 });
        }
        assert_eq!(pending.letters.len(), LETTERS_AT_ONCE);
    }
}
