//! What is said at the end of the demo: what is on disk, whether it is right, and how to look at it.

use std::fmt;
use std::path::Path;

use super::progress::Grouped;
use super::report::{Report, Stored};

/// The end of the demo, as text.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    /// Where the files are.
    pub(crate) directory: &'a Path,
    /// What the verification found.
    pub(crate) report: &'a Report,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        writeln!(f, "  {:<12} {:>7} {:>10} {:>10}   hours (UTC)", "topic", "files", "rows", "size")?;
        for (topic, stored) in &self.report.topics {
            write!(f, "  {:<12} {:>7}", topic.name(), Grouped(stored.files))?;
            write!(f, " {:>10} {:>10}   ", Grouped(stored.rows), Size(stored.bytes).to_string())?;
            writeln!(f, "{}", Hours(stored))?;
        }
        self.dead_letters(f)?;
        writeln!(f)?;
        self.verdict(f)?;
        writeln!(f, "\nThe files are in {}", self.directory.display())?;
        match &self.report.example {
            Some(example) => write!(f, "{}", Hint(example)),
            None => Ok(()),
        }
    }
}

impl Summary<'_> {
    fn dead_letters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = &self.report.dead_letters;
        write!(f, "  dead letters {}", Grouped(letters.values().sum()))?;
        for (index, (reason, count)) in letters.iter().enumerate() {
            write!(f, "{}{reason} {}", if index == 0 { ": " } else { ", " }, Grouped(*count))?;
        }
        writeln!(f)
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generated = Grouped(self.report.generated);
        if self.report.is_right() {
            return writeln!(
                f,
                "VERIFIED: each of {generated} events is exactly one row or one expected dead letter."
            );
        }
        writeln!(f, "WRONG: of {generated} events,")?;
        for (fault, count, examples) in self.report.faults() {
            writeln!(f, "  {} {fault}:", Grouped(count))?;
            for example in examples {
                writeln!(f, "    {example}")?;
            }
        }
        Ok(())
    }
}

/// From the first to the last hour, and how many there are.
struct Hours<'a>(&'a Stored);

impl fmt::Display for Hours<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.hours.first(), self.0.hours.last()) {
            (Some(first), Some(last)) => write!(f, "{first} to {last}, {}", self.0.hours.len()),
            _ => f.write_str("none"),
        }
    }
}

/// How to look at a file.
struct Hint<'a>(&'a Path);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "To look at one (after pip install fastavro cramjam):")?;
        writeln!(f, "  python3 -m fastavro {}", shell_quoted(&self.0.display().to_string()))
    }
}

/// `text` as one word of a shell.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Bytes, as people read them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_240 => write!(f, "{} B", Grouped(bytes)),
            bytes @ 10_240..10_485_760 => write!(f, "{} KiB", Grouped(bytes >> 10)),
            bytes => write!(f, "{} MiB", Grouped(bytes >> 20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::layout::Hour;
    use crate::demo::events::Topic;
    use crate::demo::report::Fault;

    fn report() -> Report {
        let mut report = Report::new(20_000);
        let hours = [Hour(477_053), Hour(477_055)].into();
        report.topics.insert(Topic::Orders, Stored { hours, files: 84, rows: 13_302, bytes: 1_300_000 });
        report.dead_letters.insert("invalid_datum".to_owned(), 6);
        report.dead_letters.insert("wire_header".to_owned(), 5);
        report.example = Some("/tmp/it's/a.avro".into());
        report
    }

    fn text(report: &Report) -> String {
        Summary { directory: Path::new("/tmp/it's"), report }.to_string()
    }

    #[test]
    fn given_a_right_outcome_then_it_says_so_in_one_line_and_where_the_files_are() {
        let text = text(&report());
        assert!(
            text.contains(
                "  orders            84     13,302  1,269 KiB   2024-06-03T05 to 2024-06-03T07, 2\n"
            ),
            "{text}"
        );
        assert!(text.contains("  dead letters 11: invalid_datum 6, wire_header 5\n"), "{text}");
        assert!(text.contains("VERIFIED: each of 20,000 events"), "{text}");
        assert!(text.contains("The files are in /tmp/it's\n"), "{text}");
        assert!(text.contains(r"fastavro '/tmp/it'\''s/a.avro'"), "{text}");
    }

    #[test]
    fn given_faults_then_each_kind_is_counted_and_shown_by_example() {
        let mut report = report();
        for seq in 0..9 {
            report.add(Fault::Missing, || format!("event {seq}"));
        }
        let text = text(&report);
        assert!(text.contains("WRONG") && !text.contains("VERIFIED"), "{text}");
        assert!(text.contains("  9 missing:\n    event 0\n"), "{text}");
    }
}
