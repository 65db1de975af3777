//! A report for people: a line per partition, then what was found, what is on record, and the verdict.

use std::fmt::{self, Display};

use super::ranges::Range;
use super::report::{Finding, Record, Report, Verdict};
use crate::columns::columns;
use crate::types::Offset;

/// A report as text.
pub(crate) struct Table<'a>(pub(crate) &'a Report);

/// So many findings of one partition are shown.
const MAX_FINDINGS: usize = 20;

const HEADINGS: [&str; 9] =
    ["partition", "from", "to", "batches", "files", "rows", "dead letters", "skipped", "empty"];

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if !report.records.is_empty() {
            write_lines(f, &report.records)?;
        }
        for record in &report.records {
            write_details(f, record)?;
        }
        write_findings(f, "", &report.findings)?;
        for note in &report.notes {
            writeln!(f, "note: {note}")?;
        }
        write_verdict(f, report)
    }
}

/// The partition of a record.
fn name(record: &Record) -> String {
    format!("{}[{}]", record.topic, record.partition)
}

fn write_lines(f: &mut fmt::Formatter<'_>, records: &[Record]) -> fmt::Result {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(records.iter().map(line));
    if records.len() > 1 {
        rows.push(total(records));
    }
    f.write_str(&columns(&rows, &(1..9)))
}

fn line(record: &Record) -> [String; 9] {
    let offset =
        |offset: Option<Offset>| offset.map_or_else(|| "unknown".to_owned(), |offset| offset.to_string());
    cells(name(record), [offset(record.origin), offset(record.committed)], counts(record))
}

fn total(records: &[Record]) -> [String; 9] {
    let sum = |sums: [u64; 6], record: &Record| {
        let counts = counts(record);
        std::array::from_fn(|index| sums[index].saturating_add(counts[index]))
    };
    cells("all".to_owned(), Default::default(), records.iter().fold([0; 6], sum))
}

fn cells(name: String, [from, to]: [String; 2], counts: [u64; 6]) -> [String; 9] {
    let [batches, files, rows, dead_letters, skipped, empty] = counts.map(|count| count.to_string());
    [name, from, to, batches, files, rows, dead_letters, skipped, empty]
}

fn counts(record: &Record) -> [u64; 6] {
    [record.batches, record.files, record.rows, record.dead_letters, record.skipped, record.empty]
}

fn write_details(f: &mut fmt::Formatter<'_>, record: &Record) -> fmt::Result {
    let name = name(record);
    write_findings(f, &format!("{name}: "), &record.findings)?;
    for range in &record.lost {
        writeln!(f, "{name}: lost before it was read: {}", Shown(*range))?;
    }
    for mark in &record.released {
        let range = Shown((mark.first, mark.end));
        let (files, rows) = (Counted(mark.files, "file"), Counted(mark.rows, "row"));
        writeln!(f, "{name}: released without proof: {range}, {files} with {rows}")?;
    }
    if let Some(range) = record.promised {
        writeln!(f, "{name}: promised and not committed yet: {}", Shown(range))?;
    }
    if record.pending_files > 0 {
        let files = Counted(record.pending_files, "file");
        writeln!(f, "{name}: {files} of batches that weren't committed when the audit began, not counted")?;
    }
    if record.earlier_files > 0 {
        let files = Counted(record.earlier_files, "file");
        writeln!(f, "{name}: {files} from before the record begins, not counted")?;
    }
    for note in &record.notes {
        let id = record.topic_id.as_deref().unwrap_or("unknown");
        writeln!(f, "{name} (topic id {id}): {note}")?;
    }
    Ok(())
}

/// The first of them, each in its line.
fn write_findings(f: &mut fmt::Formatter<'_>, before: &str, findings: &[Finding]) -> fmt::Result {
    for finding in findings.iter().take(MAX_FINDINGS) {
        writeln!(f, "{before}{finding}")?;
    }
    let more = findings.len().saturating_sub(MAX_FINDINGS) as u64;
    if more > 0 { writeln!(f, "{before}and {more} more findings; --json has all") } else { Ok(()) }
}

/// A range with its length.
struct Shown(Range);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, end) = self.0;
        write!(f, "[{first}, {end}), {}", Counted(first.distance_to(end), "offset"))
    }
}

/// So many of something.
struct Counted(u64, &'static str);

impl Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        write!(f, "{count} {what}{}", if *count == 1 { "" } else { "s" })
    }
}

fn write_verdict(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let in_records = report.records.iter().map(|record| record.findings.len()).sum::<usize>();
    let findings = Counted((report.findings.len() + in_records) as u64, "finding");
    let all = Counted(report.records.len() as u64, "partition");
    let compared = report.records.iter().filter(|record| !record.begun_since).count();
    let partitions = Counted(compared as u64, "partition");
    let is_empty = report.is_partial && !report.has_files();
    match report.verdict() {
        Verdict::Wrong => writeln!(f, "NOT PROVEN: {findings} in {all}"),
        Verdict::OnRecord if is_empty => writeln!(
            f,
            "ON RECORD: no file of this valve lies in these hours, and offsets are on record as lost or released"
        ),
        Verdict::OnRecord if report.is_partial => writeln!(
            f,
            "ON RECORD: what was looked at fits together, but offsets are on record as lost or released"
        ),
        Verdict::OnRecord => writeln!(
            f,
            "ON RECORD: every offset of {partitions} is accounted for, but some as lost or released"
        ),
        Verdict::Clean if is_empty => {
            writeln!(f, "CONSISTENT, but no file of this valve lies in these hours")
        }
        Verdict::Clean if report.is_partial => writeln!(f, "CONSISTENT: what was looked at fits together"),
        Verdict::Clean => writeln!(f, "PROVEN: every offset of {partitions} is covered exactly once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::report::Released;

    fn record(partition: i32) -> Record {
        Record {
            topic: "orders".to_owned(),
            partition,
            origin: Some(Offset(0)),
            committed: Some(Offset(120)),
            batches: 2,
            files: 3,
            rows: 118,
            dead_letters: 2,
            ..Record::default()
        }
    }

    #[test]
    fn given_a_clean_report_then_it_is_a_table_and_a_verdict() {
        let report = Report { records: vec![record(0), record(11)], ..Report::default() };
        let expected = "\
partition   from   to  batches  files  rows  dead letters  skipped  empty
orders[0]      0  120        2      3   118             2        0      0
orders[11]     0  120        2      3   118             2        0      0
all                          4      6   236             4        0      0
PROVEN: every offset of 2 partitions is covered exactly once
";
        assert_eq!(Table(&report).to_string(), expected);
    }

    #[test]
    fn given_hours_without_a_file_then_the_verdict_says_so() {
        let verdict = |records: Vec<Record>| {
            let text = Table(&Report { records, is_partial: true, ..Report::default() }).to_string();
            text.lines().last().unwrap().to_owned()
        };
        let bare = || Record { files: 0, ..record(0) };
        assert_eq!(verdict(vec![record(0)]), "CONSISTENT: what was looked at fits together");
        assert_eq!(verdict(vec![bare()]), "CONSISTENT, but no file of this valve lies in these hours");
        let lost = Record { lost: vec![(Offset(1), Offset(2))], ..bare() };
        assert!(verdict(vec![lost]).starts_with("ON RECORD: no file of this valve lies in these hours"));
        let pending = Record { pending_files: 1, ..bare() };
        assert_eq!(verdict(vec![pending]), "CONSISTENT: what was looked at fits together");
    }

    #[test]
    fn given_a_partition_that_was_begun_since_then_it_isnt_among_those_that_are_proven() {
        let begun = Record { begun_since: true, pending_files: 1, ..record(1) };
        let text = Table(&Report { records: vec![record(0), begun], ..Report::default() }).to_string();
        let pending =
            "orders[1]: 1 file of batches that weren't committed when the audit began, not counted\n";
        assert!(text.contains(pending), "{text}");
        assert!(text.ends_with("PROVEN: every offset of 1 partition is covered exactly once\n"), "{text}");
    }

    #[test]
    fn given_findings_and_marks_then_each_has_a_line_that_names_its_partition() {
        let mut wrong = record(3);
        wrong.findings.push(Finding::Gap { first: Offset(5), end: Offset(9) });
        wrong.released.push(Released { first: Offset(20), end: Offset(30), files: 1, rows: 4 });
        let text = Table(&Report { records: vec![wrong], ..Report::default() }).to_string();
        assert!(text.contains("orders[3]: gap: nothing accounts for the offsets [5, 9)\n"), "{text}");
        assert!(
            text.contains("orders[3]: released without proof: [20, 30), 10 offsets, 1 file with 4 rows\n")
        );
        assert!(text.ends_with("NOT PROVEN: 1 finding in 1 partition\n"), "{text}");
    }

    #[test]
    fn given_very_many_findings_then_the_first_are_shown_and_the_others_counted() {
        let mut wrong = record(3);
        wrong.findings = (0..50).map(|at| Finding::Gap { first: Offset(at), end: Offset(at + 1) }).collect();
        let text = Table(&Report { records: vec![wrong], ..Report::default() }).to_string();
        assert_eq!(text.matches("gap").count(), MAX_FINDINGS);
        assert!(text.contains("orders[3]: and 30 more findings"), "{text}");
    }
}
