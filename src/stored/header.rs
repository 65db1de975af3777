//! What stands at the beginning of an object, and whether that is one of this valve's files.
//!
//! Anything may lie in a bucket, so nothing here is believed before it was checked: against the format, and each
//! statement of a header against the promise in it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::str::FromStr;

use serde_json::from_str;
use xxhash_rust::xxh3::xxh3_128;

use super::file::{ListedFile, Part, StoredFile, Totals};
use crate::avro::container::MARKER_LEN;
use crate::avro::container::metadata::MetadataReader;
use crate::core::intent::{Found, Metadata};
use crate::sink::{DIGEST_IN_HEADER, Digest};
use crate::types::{Offset, SchemaId, TopicPartition};

/// What an object turned out to be.
#[derive(Debug)]
pub enum Recognised {
    /// A file of this valve.
    Own(Box<FileHeader>),
    /// A file of this valve whose header can't be understood, and why.
    Broken(String),
    /// Another valve's, another program's, or no container file at all.
    Foreign,
}

/// The header of a file of this valve.
#[derive(Debug)]
pub struct FileHeader {
    /// What it says of the file and its batch.
    pub file: StoredFile,
    /// The promise of its batch, encoded as it was committed.
    pub metadata: String,
    /// The same, decoded.
    pub promise: Metadata,
    /// How to read what comes behind it.
    pub container: Container,
}

/// What a reader of the rows must know.
#[derive(Clone, Debug)]
pub struct Container {
    /// `avro.schema`
    pub schema: String,
    /// `avro.codec`
    pub codec: String,
    /// The marker between blocks.
    pub sync: [u8; MARKER_LEN],
    /// Where the first block begins.
    pub header_len: u64,
}

/// A container's metadata as text.
struct Entries(BTreeMap<String, String>);

/// Recognises the object under `key` by its first bytes; `None` when more of them are needed. `whole` says that there
/// are no more. `name` is this valve's.
pub(crate) fn recognise(name: &str, key: &str, beginning: &[u8], whole: bool) -> Option<Recognised> {
    let mut left = beginning;
    let (entries, sync) = match read(&mut left) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !whole => return None,
        Err(_) => return Some(Recognised::Foreign),
    };
    if entries.0.get("valve.name").is_none_or(|theirs| theirs != name) {
        return Some(Recognised::Foreign);
    }
    let header_len = (beginning.len() - left.len()) as u64;
    Some(match entries.header(key, sync, header_len) {
        Ok(header) => Recognised::Own(Box::new(header)),
        Err(reason) => Recognised::Broken(reason),
    })
}

fn read(left: &mut &[u8]) -> io::Result<(Entries, [u8; MARKER_LEN])> {
    let mut metadata = MetadataReader::open(left)?;
    let mut entries = BTreeMap::new();
    while let Some(name) = metadata.next_name()? {
        // Its length is bounded by what was read.
        let value = metadata.value(u64::MAX)?;
        if let (Ok(name), Ok(value)) = (String::from_utf8(name), String::from_utf8(value)) {
            entries.insert(name, value);
        }
    }
    Ok((Entries(entries), metadata.sync()?))
}

impl Entries {
    fn header(mut self, key: &str, sync: [u8; MARKER_LEN], header_len: u64) -> Result<FileHeader, String> {
        let partition: i32 = self.parsed("valve.partition")?;
        let [first, end, covered_from] = ["valve.first", "valve.end", "valve.covered_from"]
            .map(|name| self.parsed::<i64>(name).map(Offset));
        let (first, end, covered_from) = (first?, end?, covered_from?);
        let metadata = self.text("valve.intent")?.to_owned();
        let promise = promise(&metadata, partition, (first, end, covered_from))?;
        let rows: u64 = self.parsed("valve.rows")?;
        if rows > first.distance_to(end) {
            return Err(format!("it states {rows} rows of the offsets [{first}, {end})"));
        }
        let digest = Digest::parse(self.text(DIGEST_IN_HEADER)?);
        let file = StoredFile {
            key: key.to_owned(),
            partition: TopicPartition::new(self.text("valve.topic")?, partition),
            topic_id: promise.topic_id,
            origin: promise.origin,
            first,
            end,
            covered_from,
            promise: xxh3_128(metadata.as_bytes()),
            hour: self.parsed("valve.hour")?,
            schema: SchemaId(self.parsed("valve.schema_id")?),
            rows,
            digest: digest.ok_or_else(|| unreadable(DIGEST_IN_HEADER))?,
            part: self.part()?,
        };
        let schema = self.0.remove("avro.schema").ok_or_else(|| lacking("avro.schema"))?;
        let codec = self.0.remove("avro.codec").unwrap_or_else(|| "null".to_owned());
        let container = Container { schema, codec, sync, header_len };
        Ok(FileHeader { file, metadata, promise, container })
    }

    fn part(&self) -> Result<Part, String> {
        if let Some(first_file) = self.0.get("valve.first_file") {
            return Ok(Part::Further { first_file: first_file.clone() });
        }
        Ok(Part::First(Box::new(Totals {
            dead_letters: self.parsed("valve.dead_letters")?,
            skipped: self.parsed("valve.skipped")?,
            // The first versions of valve didn't count these.
            empty: if self.0.contains_key("valve.empty") { self.parsed("valve.empty")? } else { 0 },
            lost: self.ranges("valve.lost")?,
            released: self.ranges("valve.released")?,
            files: self.listed()?,
        })))
    }

    fn listed(&self) -> Result<Vec<ListedFile>, String> {
        let listed: Vec<(String, u64, String)> =
            from_str(self.text("valve.files")?).map_err(|_| unreadable("valve.files"))?;
        let entry = |(key, rows, digest): (String, u64, String)| {
            let digest = Digest::parse(&digest).ok_or_else(|| unreadable("valve.files"))?;
            Ok(ListedFile { key, rows, digest })
        };
        listed.into_iter().map(entry).collect()
    }

    fn ranges(&self, name: &str) -> Result<Vec<(Offset, Offset)>, String> {
        let Some(text) = self.0.get(name) else { return Ok(Vec::new()) };
        let ranges: Vec<(i64, i64)> = from_str(text).map_err(|_| unreadable(name))?;
        Ok(ranges.into_iter().map(|(first, end)| (Offset(first), Offset(end))).collect())
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| lacking(name))
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Result<T, String> {
        self.text(name)?.parse().map_err(|_| unreadable(name))
    }
}

/// The batch's promise, if it is one for the range that the header states.
fn promise(text: &str, partition: i32, stated: (Offset, Offset, Offset)) -> Result<Metadata, String> {
    let (first, end, covered_from) = stated;
    let own = match Metadata::find(text, partition, first) {
        Found::Own(own) => *own,
        Found::Newer => return Err("its intent is of a newer version of valve".to_owned()),
        Found::Foreign => return Err("its intent is not one of its partition and first offset".to_owned()),
    };
    let promised = own.intent.as_ref().map(|intent| intent.end);
    if promised != Some(end) || own.coverage.from != covered_from {
        return Err(format!("it states [{first}, {end}), covered from {covered_from}; its intent doesn't"));
    }
    if first >= end {
        return Err(format!("[{first}, {end}) is no range of a batch"));
    }
    Ok(own)
}

fn lacking(name: &str) -> String {
    format!("its header lacks {name}")
}

fn unreadable(name: &str) -> String {
    format!("its header's {name} can't be read")
}
