//! `--deep`: the rows themselves. Reads a whole file, counts its rows and makes their digest again, a block at a time.
//!
//! Datums are told apart by the same walk that let them in, so that a file whose bytes are not rows of its schema is
//! found as well. What is held of a file is one block, compressed and not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, BytesMut};

use crate::avro::codec::Compressor;
use crate::avro::codec::decompressor::Decompressor;
use crate::avro::container::metadata::read_long;
use crate::avro::container::{BLOCK_BYTES, MARKER_LEN, RowDigest};
use crate::avro::program::Program;
use crate::avro::schema::WriterSchema;
use crate::avro::timestamp::{Candidate, TimestampRules};
use crate::sink::SinkError;
use crate::stored::{FileHeader, Store};

/// How much of a file is asked for at a time, in bytes.
const CHUNK: u64 = 1 << 20;

/// No record is longer than this, in bytes, whatever a header claims; the setting's own bound.
const LONGEST_RECORD: u64 = 1_000_000_000;

/// So many compiled schemas are kept.
const PROGRAMS: usize = 64;

/// Reads files, several at a time. Cloning shares the schemas that were compiled.
#[derive(Clone, Debug)]
pub(super) struct RowReader {
    store: Store,
    programs: Arc<Mutex<HashMap<u128, Arc<Program>>>>,
}

/// Why the rows couldn't be compared, or aren't what they should be.
enum Fault {
    /// What differs.
    Different(String),
    /// The sink gave up.
    Sink(SinkError),
}

impl From<SinkError> for Fault {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

fn different<T>(what: impl fmt::Display) -> Result<T, Fault> {
    Err(Fault::Different(what.to_string()))
}

impl RowReader {
    pub(super) fn new(store: Store) -> Self {
        Self { store, programs: Arc::default() }
    }

    /// What is different about the rows of the file with this header, if anything is.
    pub(super) async fn compare(&self, header: &FileHeader) -> Result<Option<String>, SinkError> {
        match self.read(header).await {
            Ok(()) => Ok(None),
            Err(Fault::Different(what)) => Ok(Some(what)),
            Err(Fault::Sink(error)) => Err(error),
        }
    }

    async fn read(&self, header: &FileHeader) -> Result<(), Fault> {
        let file = &header.file;
        let schema = WriterSchema::new(file.schema, &header.container.schema);
        let schema = schema.or_else(|error| different(format!("its schema: {error}")))?;
        let program = self.program(&schema).or_else(different)?;
        let Some(mut decompressor) = Decompressor::new(&header.container.codec) else {
            return different(format!("valve has no codec {:?}", header.container.codec));
        };
        let limit = longest_block(header);
        let mut blocks = Blocks::new(&self.store, header, limit);
        let mut rows = Rows { program, digest: RowDigest::new(schema.fingerprint()), count: 0 };
        while let Some(block) = blocks.next().await? {
            let compressed = &blocks.buffer[..block.len];
            let Some(datums) = decompressor.decompress(compressed, limit) else {
                return different(format!("the block at byte {} can't be decompressed", block.at));
            };
            rows.take(datums, block.rows, file.rows)
                .or_else(|what| different(format!("the block at byte {}: {what}", block.at)))?;
            blocks.advance(block.len + MARKER_LEN);
        }
        if rows.count != file.rows {
            return different(format!("it has {} rows, its header states {}", rows.count, file.rows));
        }
        if rows.digest.value() != file.digest {
            let (theirs, stated) = (rows.digest.value(), file.digest);
            return different(format!("its rows have the digest {theirs}, its header states {stated}"));
        }
        Ok(())
    }

    fn program(&self, schema: &WriterSchema) -> Result<Arc<Program>, String> {
        let locked = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = locked().get(&schema.fingerprint()) {
            return Ok(Arc::clone(program));
        }
        let no_fields = TimestampRules::new(vec![Candidate::Kafka], (1970, 2100))?;
        let program = Program::compile(schema, &no_fields).map_err(|error| format!("its schema: {error}"))?;
        let program = Arc::new(program);
        let mut programs = locked();
        if programs.len() >= PROGRAMS {
            programs.clear();
        }
        programs.insert(schema.fingerprint(), Arc::clone(&program));
        Ok(program)
    }
}

/// The most bytes that a block of the file can have: a full one's, or the longest record's.
fn longest_block(header: &FileHeader) -> usize {
    let layout = header.promise.intent.as_ref().map(|intent| &intent.layout);
    let record = layout.map_or(LONGEST_RECORD, |layout| layout.max_record_bytes.min(LONGEST_RECORD));
    BLOCK_BYTES.max(usize::try_from(record).unwrap_or(usize::MAX))
}

/// The rows so far.
struct Rows {
    program: Arc<Program>,
    digest: RowDigest,
    count: u64,
}

impl Rows {
    /// Takes a block of so many rows; the file has `stated` altogether.
    fn take(&mut self, mut datums: &[u8], rows: u64, stated: u64) -> Result<(), String> {
        // Rows may take no bytes: a false count must not keep us counting.
        if rows > stated - self.count {
            return Err(format!("its {rows} rows are more than the header's {stated} in all"));
        }
        for row in 1..=rows {
            let len = self.program.first_len(datums).map_err(|error| format!("row {row}: {error}"))?;
            let (datum, rest) = datums.split_at(len);
            self.digest.add(datum);
            datums = rest;
        }
        self.count += rows;
        if datums.is_empty() { Ok(()) } else { Err(format!("{} bytes behind its rows", datums.len())) }
    }
}

/// One block: where it begins in the file, its rows, and the length of its compressed bytes.
struct Block {
    at: u64,
    rows: u64,
    len: usize,
}

/// A file from its first block on.
struct Blocks<'a> {
    store: &'a Store,
    header: &'a FileHeader,
    /// The longest block, compressed.
    longest: usize,
    /// Bytes of the file that were read and not taken yet.
    buffer: BytesMut,
    /// Where the buffer begins in the file.
    at: u64,
    ended: bool,
}

/// The most that stands before a block's bytes: two numbers.
const FRAMING: usize = 20;

impl<'a> Blocks<'a> {
    fn new(store: &'a Store, header: &'a FileHeader, longest: usize) -> Self {
        let (at, longest) = (header.container.header_len, Compressor::bound(longest));
        Self { store, header, longest, buffer: BytesMut::new(), at, ended: false }
    }

    /// The next block, whose bytes then are the first of the buffer, with the sync marker behind them.
    async fn next(&mut self) -> Result<Option<Block>, Fault> {
        self.fill(FRAMING).await?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let mut left = &self.buffer[..];
        let [rows, len] = [read_long(&mut left), read_long(&mut left)]
            .map(|number| number.ok().and_then(|number| u64::try_from(number).ok()));
        let framing = self.buffer.len() - left.len();
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= self.longest);
        let (Some(rows), Some(len)) = (rows, len) else {
            return different(format!("at byte {at} no block begins"));
        };
        self.advance(framing);
        self.fill(len + MARKER_LEN).await?;
        if self.buffer.len() < len + MARKER_LEN {
            return different(format!("it ends within the block at byte {at}"));
        }
        if self.buffer[len..len + MARKER_LEN] != self.header.container.sync {
            return different(format!("the block at byte {at} doesn't end with the sync marker"));
        }
        Ok(Some(Block { at, rows, len }))
    }

    fn advance(&mut self, len: usize) {
        self.buffer.advance(len);
        self.at += len as u64;
    }

    /// Reads on until the buffer has `len` bytes, or the file ends.
    async fn fill(&mut self, len: usize) -> Result<(), Fault> {
        while self.buffer.len() < len && !self.ended {
            let from = self.at + self.buffer.len() as u64;
            let missing = (len - self.buffer.len()) as u64;
            let asked = missing.max(CHUNK);
            let more = self.store.read(&self.header.file.key, from, asked).await?;
            self.ended = (more.len() as u64) < asked;
            self.buffer.extend_from_slice(&more);
        }
        Ok(())
    }
}
