//! The line that shows how the demo is getting on: redrawn in place on a terminal, a new one every few seconds
//! anywhere else. It goes where the log goes, standard error, and makes room for log lines.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// What the line shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Since the start.
    pub(crate) elapsed: Duration,
    /// Records that were read.
    pub(crate) records: u64,
    /// Files that are stored.
    pub(crate) files: u64,
    /// Records that became dead letters.
    pub(crate) dead_letters: u64,
    /// Events that aren't durable yet.
    pub(crate) lag: u64,
    /// Resident memory in bytes, where the system says it.
    pub(crate) memory: Option<u64>,
    /// What is wrong or going on besides, in a few words; empty when there is nothing to say.
    pub(crate) note: String,
}

/// How often a line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// How often there is a new line anywhere else.
const LINE: Duration = Duration::from_secs(5);

/// Begins a line anew, without what stands in it.
const CLEAR: &str = "\r\x1b[2K";

/// The span over which the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(2);

/// Shows snapshots.
#[derive(Debug)]
pub(crate) struct Progress<W> {
    out: W,
    terminal: bool,
    shown: Option<Duration>,
    /// When how many records had been read, over the last [`RATE_OVER`].
    history: Vec<(Duration, u64)>,
}

impl<W: Write> Progress<W> {
    /// Shows them on `out`, which is a terminal or not.
    pub(crate) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, shown: None, history: Vec::new() }
    }

    /// How often [`Progress::show`] wants to be called.
    pub(crate) const INTERVAL: Duration = REDRAW;

    /// Shows `snapshot`, if it is time for it.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let rate = self.rate(snapshot);
        let line = Line { snapshot, rate };
        if self.terminal {
            // Without wrapping: a line that wraps can't be redrawn.
            write!(self.out, "{CLEAR}\x1b[?7l{line}\x1b[?7h")?;
        } else {
            if self.shown.is_some_and(|shown| snapshot.elapsed < shown + LINE) {
                return Ok(());
            }
            writeln!(self.out, "{line}")?;
        }
        self.shown = Some(snapshot.elapsed);
        self.out.flush()
    }

    /// Leaves the last line as it is and goes to the next one.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.terminal && self.shown.is_some() {
            writeln!(self.out)?;
        }
        self.out.flush()
    }

    /// Says something in a line of its own, in the place of a line that is being redrawn.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        if self.terminal {
            self.out.write_all(CLEAR.as_bytes())?;
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Records a second of late.
    fn rate(&mut self, snapshot: &Snapshot) -> u64 {
        let Snapshot { elapsed: now, records, .. } = *snapshot;
        self.history
            .retain(|(at, _)| now.saturating_sub(*at) <= RATE_OVER.max(now - self.shown.unwrap_or(now)));
        let (since, before) = self.history.first().copied().unwrap_or_default();
        self.history.push((now, records));
        let millis = u64::try_from(now.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        (records.saturating_sub(before) * 1_000).checked_div(millis).unwrap_or(0)
    }
}

struct Line<'a> {
    snapshot: &'a Snapshot,
    rate: u64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { elapsed, records, files, dead_letters, lag, memory, note } = self.snapshot;
        let seconds = elapsed.as_secs();
        write!(f, "{:02}:{:02}  ", seconds / 60, seconds % 60)?;
        if !note.is_empty() {
            write!(f, "{note}  ")?;
        }
        write!(f, "{} records  {}/s", Grouped(*records), Grouped(self.rate))?;
        write!(
            f,
            "  {} files  {} dead letters  lag {}",
            Grouped(*files),
            Grouped(*dead_letters),
            Grouped(*lag)
        )?;
        if let Some(memory) = memory {
            write!(f, "  {} MiB", memory >> 20)?;
        }
        Ok(())
    }
}

/// A number with a comma between each three digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.pad_integral(true, "", &grouped)
    }
}

/// Standard error for log lines, above the progress line.
#[derive(Debug)]
pub(crate) struct LogLine<W> {
    out: W,
    terminal: bool,
}

impl<W: Write> LogLine<W> {
    /// Writes to `out`, which is a terminal or not.
    pub(crate) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal }
    }
}

impl<W: Write> Write for LogLine<W> {
    /// Writes a whole log line, which is how the subscriber calls it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.terminal {
            self.out.write_all(CLEAR.as_bytes())?;
        }
        self.out.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(millis: u64, records: u64) -> Snapshot {
        Snapshot {
            elapsed: Duration::from_millis(millis),
            records,
            files: 1_085,
            dead_letters: 12,
            lag: 4_211,
            memory: Some(51 << 20),
            note: String::new(),
        }
    }

    fn shown(terminal: bool, snapshots: &[Snapshot]) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, terminal);
        for snapshot in snapshots {
            progress.show(snapshot).unwrap();
        }
        progress.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn given_no_terminal_then_there_is_a_plain_line_every_five_seconds() {
        let snapshots: Vec<_> = (0..=52).map(|step| snapshot(step * 200, step * 1_000)).collect();
        let out = shown(false, &snapshots);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[1],
            "00:05  25,000 records  5,000/s  1,085 files  12 dead letters  lag 4,211  51 MiB"
        );
    }

    #[test]
    fn given_a_terminal_then_one_line_is_redrawn() {
        let out = shown(true, &[snapshot(0, 0), snapshot(200, 1_000)]);
        assert_eq!(out.matches('\n').count(), 1);
        assert_eq!(out.matches(CLEAR).count(), 2);
    }

    #[test]
    fn given_a_word_between_two_lines_on_a_terminal_then_it_takes_the_place_of_the_first() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, true);
        progress.show(&snapshot(0, 0)).unwrap();
        progress.say("Status page: http://127.0.0.1:8080/").unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with(&format!("{CLEAR}Status page: http://127.0.0.1:8080/\n")), "{out:?}");
    }

    #[test]
    fn given_a_minute_at_full_speed_then_the_line_fits_a_terminal() {
        let line = Line { snapshot: &snapshot(60_000, 1_300_000), rate: 50_000 }.to_string();
        assert!(line.len() <= 90, "{} characters", line.len());
    }

    #[test]
    fn given_numbers_then_thousands_are_set_apart() {
        let grouped = [0, 999, 1_000, 12_345_678].map(|number| Grouped(number).to_string());
        assert_eq!(grouped, ["0", "999", "1,000", "12,345,678"]);
        assert_eq!(format!("{:>7}", Grouped(1_000)), "  1,000");
    }

    #[test]
    fn given_a_log_line_then_it_takes_the_place_of_the_progress_line() {
        let mut out = Vec::new();
        LogLine::new(&mut out, true).write_all(b"WARN\n").unwrap();
        assert_eq!(out, format!("{CLEAR}WARN\n").into_bytes());
    }
}
