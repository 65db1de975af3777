//! Is every generated event exactly one row, in the right place, or exactly one expected dead letter?
//!
//! Files are read back with the Avro library, not with what wrote them, one row at a time. What must be there
//! isn't kept from the run: [`Events`] says it again for every number.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::{AvroResult, Reader, Schema};

use super::events::{Event, Events, Fate, TOPICS, Topic};
use super::letters::{Letters, digest};
use super::report::{Fault, Report};
use crate::avro::wire;
use crate::core::layout::{Granularity, Hour};
use crate::types::UnixMillis;

/// Where a file's header is looked for the schema's text, in bytes.
const HEAD: u64 = 1 << 20;

/// Compares the files under `root` and `letters` with the first `generated` of `events`. Blocks.
///
/// # Errors
/// When a directory can't be listed. A file that can't be read is a fault in the report.
pub(crate) fn verify(events: &Events, generated: u64, root: &Path, letters: &Letters) -> io::Result<Report> {
    let parse = |text: &&str| Schema::parse_str(text).map_err(io::Error::other);
    let schemas: Vec<Vec<Schema>> =
        TOPICS.iter().map(|topic| topic.schemas().iter().map(parse).collect()).collect::<io::Result<_>>()?;
    let readers = schemas
        .iter()
        .map(|versions| versions.iter().map(|schema| GenericDatumReader::builder(schema).build()).collect())
        .collect::<AvroResult<_>>()
        .map_err(io::Error::other)?;
    let seen = Seen::new(generated);
    let report = Report::new(generated);
    let mut verification = Verification { events, root, readers, seen, report };
    for path in files(root)? {
        verification.file(&path);
    }
    verification.letters_and_gaps(letters);
    Ok(verification.report)
}

struct Verification<'a> {
    events: &'a Events,
    root: &'a Path,
    /// For each topic and version what decodes the datums that were generated.
    readers: Vec<Vec<GenericDatumReader<'a>>>,
    seen: Seen,
    report: Report,
}

impl Verification<'_> {
    /// Checks one file.
    fn file(&mut self, path: &Path) {
        let name = path.strip_prefix(self.root).unwrap_or(path).display().to_string();
        let Some(place) = Place::of(&name) else {
            return self.report.add(Fault::Unexpected, || format!("file {name}"));
        };
        match self.rows(path, &name, &place) {
            Ok(rows) => {
                let stored = self.report.topics.entry(place.topic).or_default();
                stored.hours.insert(place.hour);
                stored.files += 1;
                stored.rows += rows;
                stored.bytes += fs::metadata(path).map_or(0, |metadata| metadata.len());
                if rows != place.rows {
                    self.report.add(Fault::Altered, || format!("{name}: it has {rows} rows"));
                }
                self.report.example.get_or_insert_with(|| path.to_owned());
            }
            Err(error) => self.report.add(Fault::Unreadable, || format!("{name}: {error}")),
        }
    }

    /// Checks the rows of one file and says how many there are.
    fn rows(&mut self, path: &Path, name: &str, place: &Place) -> AvroResult<u64> {
        let Some(version) =
            registered_version(path, place.topic).map_err(apache_avro::error::Details::ReadHeader)?
        else {
            self.report.add(Fault::Altered, || format!("{name}: its schema is not the registered text"));
            return Ok(0);
        };
        let file = File::open(path).map_err(apache_avro::error::Details::ReadHeader)?;
        let mut rows = 0;
        for row in Reader::new(BufReader::new(file))? {
            self.row(&row?, name, place, version);
            rows += 1;
        }
        Ok(rows)
    }

    /// Checks one row.
    fn row(&mut self, row: &Value, name: &str, place: &Place, version: usize) {
        let Some(seq) = seq(row).filter(|seq| *seq < self.report.generated) else {
            return self
                .report
                .add(Fault::Unexpected, || format!("{name}: a row that nobody generated: {row:?}"));
        };
        let event = self.events.event(seq);
        if let Fate::DeadLetter(reason) = event.fate {
            let reason = reason.code();
            return self
                .report
                .add(Fault::Unexpected, || format!("{name}: event {seq}, a dead letter for {reason}"));
        }
        if !self.seen.insert(seq) {
            self.report.add(Fault::Doubled, || format!("event {seq}, for example in {name}"));
        }
        if event.topic != place.topic || event.fate != (Fate::Row { hour: place.hour, version }) {
            return self.report.add(Fault::Misplaced, || {
                format!(
                    "event {seq} of {}, {:?}, is in {name} under version {version}",
                    event.topic.name(),
                    event.fate
                )
            });
        }
        if self.decode(&event, version).as_ref() != Some(row) {
            self.report.add(Fault::Altered, || format!("{name}: event {seq} is {row:?}"));
        }
    }

    /// The event as the Avro library reads it.
    fn decode(&self, event: &Event, version: usize) -> Option<Value> {
        let (_, mut datum) = wire::split(&event.value).ok()?;
        self.readers.get(event.topic as usize)?.get(version)?.read_value(&mut datum).ok()
    }

    /// Checks the dead letters, and that no event is left without anything.
    fn letters_and_gaps(&mut self, letters: &Letters) {
        self.report.repeated = letters.repeated;
        for strange in &letters.strange {
            self.report.add(Fault::Unexpected, || format!("dead letter {strange}"));
        }
        let mut letters = letters.found.clone();
        let mut offsets = Offsets::default();
        for seq in 0..self.report.generated {
            let event = self.events.event(seq);
            let offset = offsets.next(&event);
            let letter = letters.remove(&(event.topic, event.partition, offset));
            let at =
                || format!("event {seq}, {}[{}] at offset {offset}", event.topic.name(), event.partition);
            match (event.fate, letter) {
                (Fate::Row { .. }, None) if self.seen.contains(seq) => {}
                (_, None) => self.report.add(Fault::Missing, || format!("{}: {:?}", at(), event.fate)),
                (Fate::DeadLetter(reason), Some(letter)) => {
                    if letter.reason != reason.code() || letter.value != digest(&event.value) {
                        self.report.add(Fault::Altered, || format!("{}: {reason:?} became {letter:?}", at()));
                    }
                    *self.report.dead_letters.entry(letter.reason).or_default() += 1;
                }
                (Fate::Row { .. }, Some(letter)) => {
                    self.report
                        .add(Fault::Unexpected, || format!("{}: a dead letter, {}", at(), letter.reason));
                }
            }
        }
        for (topic, partition, offset) in letters.keys() {
            let name = topic.name();
            self.report
                .add(Fault::Unexpected, || format!("dead letter of {name}[{partition}] at offset {offset}"));
        }
    }
}

/// What a file's path says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    topic: Topic,
    hour: Hour,
    rows: u64,
}

impl Place {
    /// Of a path in the default layout, below the directory that the demo writes to.
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let [topic, year, month, day, hour, name] = parts[..] else { return None };
        let topic = TOPICS.into_iter().find(|known| known.name() == topic)?;
        let rows = name.strip_prefix(topic.name())?.strip_prefix('_')?.strip_suffix(".avro")?;
        let (rows, _uuid) = rows.split_once("-messages_")?;
        let [year, month, day, hour] = [("year=", year), ("month=", month), ("day=", day), ("hour=", hour)]
            .map(|(prefix, part)| part.strip_prefix(prefix)?.parse::<u32>().ok());
        let date = chrono::NaiveDate::from_ymd_opt(year?.cast_signed(), month?, day?)?;
        let at = date.and_hms_opt(hour?, 0, 0)?.and_utc().timestamp_millis();
        Some(Self { topic, hour: Hour::of(UnixMillis(at), Granularity::Hour), rows: rows.parse().ok()? })
    }
}

/// Which version of the topic's schema the file's header carries, exactly as registered.
fn registered_version(path: &Path, topic: Topic) -> io::Result<Option<usize>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let has = |text: &str| head.windows(text.len()).any(|window| window == text.as_bytes());
    Ok(topic.schemas().iter().position(|text| has(text)))
}

/// The number of the event that a row is.
fn seq(row: &Value) -> Option<u64> {
    let Value::Record(fields) = row else { return None };
    match fields.first() {
        Some((_, Value::Long(seq))) => u64::try_from(*seq).ok(),
        _ => None,
    }
}

/// All files below `root`, sorted.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut directories } else { &mut files };
            list.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A set of events, one bit each.
struct Seen(Vec<u64>);

impl Seen {
    fn new(events: u64) -> Self {
        Self(vec![0; usize::try_from(events / 64 + 1).unwrap_or(usize::MAX)])
    }

    /// Adds `seq`; `false` when it was there.
    fn insert(&mut self, seq: u64) -> bool {
        let bit = 1 << (seq % 64);
        let Some(word) = self.0.get_mut((seq / 64) as usize) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, seq: u64) -> bool {
        self.0.get((seq / 64) as usize).is_some_and(|word| word & (1 << (seq % 64)) != 0)
    }
}

/// The offset of each event: the embedded broker counts from 0 in each partition.
#[derive(Default)]
struct Offsets(std::collections::BTreeMap<(Topic, i32), i64>);

impl Offsets {
    fn next(&mut self, event: &Event) -> i64 {
        let next = self.0.entry((event.topic, event.partition)).or_default();
        let offset = *next;
        *next += 1;
        offset
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
