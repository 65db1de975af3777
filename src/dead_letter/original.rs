//! The original of a letter that is too large for the dead-letter topic: a container file of one row, in the sink.
//!
//! The letter in the topic says where it is. Its key and its row are a function of the letter, so a batch that is made again
//! finds it there. It isn't among the files that `valve audit` counts: its header names no batch.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::DeadLetter;
use super::envelope::{Base64, Envelope, Header};
use crate::avro::container::metadata::{MetadataReader, read_long};
use crate::avro::container::{one_row, put_long};
use crate::avro::program::Program;
use crate::avro::schema::WriterSchema;
use crate::avro::timestamp::{Candidate, TimestampRules};
use crate::config::SinkConfig;
use crate::sink::{Sink, SinkError};
use crate::types::SchemaId;

/// The folder below `sink.prefix`; topics' folders are in it.
pub const FOLDER: &str = "_dead_letters";

const SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Original","namespace":"valve","doc":"A Kafka message that valve could not store","fields":["#,
    r#"{"name":"key","type":["null","bytes"]},"#,
    r#"{"name":"headers","type":{"type":"array","items":{"type":"record","name":"Header","fields":["#,
    r#"{"name":"name","type":"string"},{"name":"value","type":["null","bytes"]}]}}},"#,
    r#"{"name":"value","type":["null","bytes"]}]}"#
);

const SOMETHING_ELSE: &str = "the file holds something else";

/// Where an original is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The bucket (`s3://events`) or directory.
    pub place: String,
    /// The key of the file there.
    pub key: String,
    /// How long the file is, in bytes.
    pub bytes: u64,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.key)
    }
}

/// Why an original can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The sink can't be asked.
    #[error("the original, {0}: {1}")]
    Unasked(Elsewhere, SinkError),
    /// It isn't there any more, or is something else.
    #[error("the original, {0}: {1}")]
    Gone(Elsewhere, String),
}

/// Where originals go.
#[derive(Clone, Debug)]
pub struct Originals {
    sink: Arc<dyn Sink>,
    place: String,
    prefix: String,
}

impl Originals {
    /// Those in `sink`, which is configured so.
    #[must_use]
    pub fn new(sink: Arc<dyn Sink>, config: &SinkConfig) -> Self {
        let place = match config {
            SinkConfig::S3(s3) => format!("s3://{}", s3.bucket),
            SinkConfig::Local { path, .. } => path.display().to_string(),
        };
        Self { sink, place, prefix: config.prefix().to_owned() }
    }

    /// Stores what `letter` was made of; a letter with this `id`.
    ///
    /// # Errors
    /// What the sink says.
    pub async fn store(&self, letter: &DeadLetter, id: Uuid) -> Result<Elsewhere, SinkError> {
        let (digest, body) = one_row(SCHEMA, id.into_bytes(), row(letter));
        // A topic that was deleted and made again has other records at the same offsets.
        let name = format!("{FOLDER}/{}/{id}_{digest}.avro", letter.source.topic);
        let key = if self.prefix.is_empty() { name } else { format!("{}/{name}", self.prefix) };
        let bytes = body.len();
        self.sink.put(&key, digest, body).await?;
        Ok(Elsewhere { place: self.place.clone(), key, bytes })
    }

    /// Puts the original back into `letter`, if that says that it is elsewhere.
    ///
    /// # Errors
    /// When it can't be read, or isn't there any more.
    pub async fn put_back(&self, letter: &mut Envelope) -> Result<(), Unreadable> {
        let Some(place) = letter.original.take() else { return Ok(()) };
        if !is_original(&place.key, &letter.topic) {
            return Err(Unreadable::Gone(place, "no original of its topic has such a key".to_owned()));
        }
        let file = match self.sink.read(&place.key, 0..place.bytes).await {
            Ok(Some(file)) => file,
            Ok(None) => return Err(Unreadable::Gone(place, format!("nothing is there in {}", self.place))),
            Err(error) => return Err(Unreadable::Unasked(place, error)),
        };
        let original = Original::from_file(&file).map_err(|why| Unreadable::Gone(place, why))?;
        letter.key = original.key.map(Base64);
        letter.headers = original.headers;
        letter.message = original.value.map(Base64);
        Ok(())
    }
}

/// Whether [`Originals::store`] may have made this key for a letter of `topic`, perhaps under another prefix. Whoever may write to
/// the dead-letter topic can name any, and nothing else of the sink is theirs to have sent.
pub(crate) fn is_original(key: &str, topic: &str) -> bool {
    let mut names = key.rsplit('/');
    let is_file = names.next().is_some_and(|file| file.ends_with(".avro"));
    let is_in_folder = names.next() == Some(topic) && names.next() == Some(FOLDER);
    is_file && is_in_folder && key.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

/// The row: its large parts are shared, not copied.
fn row(letter: &DeadLetter) -> Vec<Bytes> {
    let mut row = Row::default();
    row.optional(letter.key.as_ref());
    if !letter.headers.is_empty() {
        row.long(letter.headers.len());
        for (name, value) in &letter.headers {
            row.long(name.len());
            row.small.extend_from_slice(name.as_bytes());
            row.optional(value.as_ref());
        }
    }
    row.long(0);
    row.optional(letter.value.as_ref());
    row.flush();
    row.pieces
}

/// A datum that is being written.
#[derive(Default)]
struct Row {
    pieces: Vec<Bytes>,
    /// What comes behind the pieces.
    small: Vec<u8>,
}

impl Row {
    /// A count or length.
    fn long(&mut self, number: usize) {
        put_long(&mut self.small, number as u64);
    }

    /// `["null", "bytes"]`
    fn optional(&mut self, bytes: Option<&Bytes>) {
        let Some(bytes) = bytes else { return self.long(0) };
        self.long(1);
        self.long(bytes.len());
        self.flush();
        self.pieces.push(bytes.clone());
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(std::mem::take(&mut self.small).into());
        }
    }
}

/// A Kafka message, as it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) key: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
    pub(crate) value: Option<Bytes>,
}

impl Original {
    /// Reads what [`Originals::store`] stored.
    ///
    /// # Errors
    /// When it is something else: whoever may write to the sink can have put it there.
    pub(crate) fn from_file(file: &[u8]) -> Result<Self, String> {
        let datum = only_row(file).map_err(|error| error.to_string())?;
        let schema = WriterSchema::new(SchemaId(0), SCHEMA).map_err(|error| error.to_string())?;
        let rules = TimestampRules::new(vec![Candidate::Kafka], (1970, 2100))?;
        let program = Program::compile(&schema, &rules).map_err(|error| error.to_string())?;
        program.walk(datum).map_err(|error| error.to_string())?;
        let schema = schema.parsed().map_err(|error| error.to_string())?;
        let reader = GenericDatumReader::builder(&schema).build().map_err(|error| error.to_string())?;
        let row = reader.read_value(&mut &datum[..]).map_err(|error| error.to_string())?;
        Self::from_row(row).ok_or_else(|| SOMETHING_ELSE.to_owned())
    }

    fn from_row(row: Value) -> Option<Self> {
        let [key, headers, value] = fields(row)?;
        let Value::Array(headers) = headers else { return None };
        let headers = headers.into_iter().map(|header| {
            let [name, value] = fields(header)?;
            let Value::String(name) = name else { return None };
            Some(Header { name, value: optional(value)?.map(Base64) })
        });
        Some(Self { key: optional(key)?, headers: headers.collect::<Option<_>>()?, value: optional(value)? })
    }
}

/// The datum of a container file just as [`one_row`] makes it, by our schema. Any other isn't given to the library that reads
/// containers: over hostile schemas, lengths and compressed blocks it takes time and memory without bound.
fn only_row(file: &[u8]) -> io::Result<&[u8]> {
    let something_else = || io::Error::new(ErrorKind::InvalidData, SOMETHING_ELSE);
    let mut rest = file;
    let mut metadata = MetadataReader::open(&mut rest)?;
    let (mut schema, mut codec) = (Vec::new(), Vec::new());
    while let Some(name) = metadata.next_name()? {
        match &*name {
            b"avro.schema" => schema = metadata.value(u64::MAX)?,
            b"avro.codec" => codec = metadata.value(u64::MAX)?,
            _ => {}
        }
    }
    let sync = metadata.sync()?;
    let (rows, len) = (read_long(&mut rest)?, read_long(&mut rest)?);
    let datum = rest.strip_suffix(&sync).ok_or_else(something_else)?;
    let is_ours = schema == SCHEMA.as_bytes() && codec == b"null" && rows == 1;
    if is_ours && usize::try_from(len) == Ok(datum.len()) { Ok(datum) } else { Err(something_else()) }
}

/// The fields of a record that has so many.
fn fields<const N: usize>(record: Value) -> Option<[Value; N]> {
    let Value::Record(fields) = record else { return None };
    fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>().try_into().ok()
}

/// What `["null", "bytes"]` may hold.
fn optional(value: Value) -> Option<Option<Bytes>> {
    let Value::Union(_, value) = value else { return None };
    match *value {
        Value::Null => Some(None),
        Value::Bytes(bytes) => Some(Some(bytes.into())),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dead_letter::envelope::letter_at;
    use crate::sink::memory::MemorySink;
    use crate::types::UnixMillis;

    fn originals(prefix: &str) -> Originals {
        let config = SinkConfig::Local { path: "/data".into(), prefix: prefix.to_owned() };
        Originals::new(Arc::new(MemorySink::default()), &config)
    }

    /// The file of `letter`.
    pub(crate) fn file(letter: &DeadLetter, id: Uuid) -> Vec<u8> {
        one_row(SCHEMA, id.into_bytes(), row(letter)).1.pieces().concat()
    }

    fn bytes() -> impl Strategy<Value = Option<Bytes>> {
        prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn given_a_letter_then_its_original_lies_under_its_topic_and_the_letter_says_where() {
        let (letter, id) = (letter_at(17), Uuid::from_u128(7));
        for (prefix, begin) in [("", ""), ("tank", "tank/")] {
            let place = now(originals(prefix).store(&letter, id)).expect("stored");
            let begin = format!("/data/{begin}_dead_letters/orders/{id}_");
            assert!(place.to_string().starts_with(&begin) && place.key.ends_with(".avro"), "{place}");
        }
    }

    #[test]
    fn given_a_letter_that_is_stored_again_then_it_is_there_already() {
        let originals = originals("");
        let store = || now(originals.store(&letter_at(17), Uuid::from_u128(7)));
        assert_eq!(store().expect("stored"), store().expect("there"));
    }

    #[test]
    fn given_an_original_that_is_gone_or_something_else_then_it_is_told_where_it_was() {
        let originals = originals("");
        let key = format!("{FOLDER}/orders/gone.avro");
        let place = Elsewhere { place: "s3://old".to_owned(), key, bytes: 9 };
        let mut letter = Envelope::new(&letter_at(17), "archive", UnixMillis(0));
        letter.original = Some(place);
        let error = now(originals.put_back(&mut letter)).expect_err("gone");
        assert!(
            error.to_string().contains("s3://old/_dead_letters/orders/gone.avro: nothing is there in /data"),
            "{error}"
        );
        for file in [&b""[..], b"Obj\x01", b"plain text"] {
            assert!(Original::from_file(file).is_err());
        }
        // Lengths of a terabyte, which nobody may believe.
        let huge =
            |bytes: &[u8]| one_row(SCHEMA, [0; 16], vec![Bytes::copy_from_slice(bytes)]).1.pieces().concat();
        for datum in [&[2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40][..], &[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]]
        {
            assert!(Original::from_file(&huge(datum)).is_err());
        }
        let (_, other) = one_row(r#""null""#, [0; 16], Vec::new());
        assert!(Original::from_file(&other.pieces().concat()).is_err());
    }

    #[test]
    fn given_a_letter_that_names_another_file_of_the_sink_then_that_isnt_read() {
        for key in [
            "tank/orders/year=2026/orders_1-messages_x.avro",
            "_dead_letters/payments/x.avro",
            "_dead_letters/orders/../orders/x.avro",
            "../_dead_letters/orders/x.avro",
            "/_dead_letters/orders/x.avro",
            "_dead_letters//x.avro",
            "_dead_letters/x.avro",
            "_dead_letters/orders/x",
            "",
        ] {
            let sink = MemorySink::default();
            let (_, file) = one_row(SCHEMA, [0; 16], row(&letter_at(17)));
            let bytes = file.len();
            sink.put_foreign(key, file);
            let config = SinkConfig::Local { path: "/data".into(), prefix: String::new() };
            let originals = Originals::new(Arc::new(sink), &config);
            let place = Elsewhere { place: "/data".to_owned(), key: key.to_owned(), bytes };
            let mut letter = Envelope::pointing(&letter_at(17), "archive", UnixMillis(0), place);
            let error = now(originals.put_back(&mut letter)).expect_err("another's");
            assert!(matches!(error, Unreadable::Gone(..)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn given_any_record_then_its_original_bytes_come_back(
            key in bytes(),
            value in bytes(),
            headers in prop::collection::vec((any::<String>(), bytes()), 0..5),
        ) {
            let letter = DeadLetter { key, value, headers, ..letter_at(17) };
            let whole = Envelope::new(&letter, "archive", UnixMillis(0));
            let originals = originals("");
            let place = now(originals.store(&letter, Uuid::from_u128(7))).expect("stored");
            let mut read = Envelope::pointing(&letter, "archive", UnixMillis(0), place);
            prop_assert!(read.key.is_none() && read.message.is_none() && read.headers.is_empty());
            now(originals.put_back(&mut read)).expect("read");
            prop_assert_eq!(read, whole);
        }
    }
}
