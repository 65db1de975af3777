//! The rows of one batch: what the core knows as numbers is here open files and dead letters.
//!
//! Lanes fill batches from what they consume; a takeover makes one again from its range ([`crate::takeover`]). Both place
//! records by the same code, under the batch's [`Terms`].

mod accounting;
pub(crate) mod manifest;
pub(crate) mod place;
pub(crate) mod publish;
pub(crate) mod schemas;
pub(crate) mod terms;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;

use crate::avro::codec::Compressor;
use crate::avro::container::{BLOCK_BYTES, MARKER_LEN, OpenFile};
use crate::avro::schema::WriterSchema;
use crate::budget::Account;
use crate::core::batch::{BatchId, FileOutcome, Outcome};
use crate::core::layout::Hour;
use crate::dead_letter::{DeadLetter, Reason};
use crate::types::{SchemaId, UnixMillis};

use self::terms::Terms;

/// What may wait uncompressed in the files of one batch, unless they are more than a thousand, in bytes.
const PENDING: usize = 4 << 20;

/// No block is closed before it has so many bytes: shorter ones hardly compress.
const SHORTEST_BLOCK: usize = 4 << 10;

/// One open file with what its header will need.
#[derive(Debug)]
pub(crate) struct HourFile {
    pub(crate) hour: Hour,
    pub(crate) schema: Arc<WriterSchema>,
    pub(crate) file: OpenFile,
}

/// Which rows a batch holds; of all others it only knows how many and their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All, and the dead letters.
    All,
    /// Those of these files.
    Files(HashSet<(Hour, SchemaId)>),
    /// None.
    Nothing,
}

/// A batch in memory.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) terms: Arc<Terms>,
    pub(crate) instant: UnixMillis,
    pub(crate) files: Vec<HourFile>,
    keep: Keep,
    dead_letters: Vec<DeadLetter>,
    letters: BTreeMap<Reason, u64>,
    skipped: u64,
    /// What the registry learns meanwhile changes nothing for this batch.
    unknown_ids: Vec<SchemaId>,
    /// Not by the standard's hash, which is slow and made for keys of many senders: a batch has few files.
    index: HashMap<(Hour, SchemaId), usize, FixedState>,
    /// The file that took the last row: most often it takes the next one too.
    last: Option<(Hour, SchemaId, usize)>,
    /// The memory of the files' buffers.
    file_memory: usize,
    file_bytes: u64,
    /// The memory of the dead letters, but for what their list has room for.
    letter_memory: usize,
    /// The memory of its outcome, which lives about as long as it does, once that is known.
    outcome_memory: usize,
    account: Account,
    closed: usize,
}

impl Batch {
    pub(crate) fn new(id: BatchId, terms: Arc<Terms>, instant: UnixMillis, account: Account) -> Self {
        Self {
            id,
            terms,
            instant,
            files: Vec::new(),
            keep: Keep::All,
            dead_letters: Vec::new(),
            letters: BTreeMap::new(),
            skipped: 0,
            unknown_ids: Vec::new(),
            index: HashMap::default(),
            last: None,
            file_memory: 0,
            file_bytes: 0,
            letter_memory: 0,
            outcome_memory: 0,
            account,
            closed: 0,
        }
    }

    /// The file for rows of `hour` and `schema`, if it may be had: it is there, or there are fewer than `most`.
    pub(crate) fn file(&mut self, hour: Hour, schema: &Arc<WriterSchema>, most: usize) -> Option<usize> {
        let id = schema.id();
        if let Some((last_hour, last_id, index)) = self.last
            && (last_hour, last_id) == (hour, id)
        {
            return Some(index);
        }
        let index = match self.index.get(&(hour, id)) {
            Some(index) => *index,
            None if self.files.len() >= most => return None,
            None => self.new_file(hour, schema),
        };
        self.last = Some((hour, id, index));
        Some(index)
    }

    fn new_file(&mut self, hour: Hour, schema: &Arc<WriterSchema>) -> usize {
        let index = self.files.len();
        let mut file = OpenFile::new(schema.fingerprint());
        if !self.keeps(hour, schema.id()) {
            file.only_count();
        }
        self.file_memory += file.capacity();
        self.files.push(HourFile { hour, schema: Arc::clone(schema), file });
        self.index.insert((hour, schema.id()), index);
        index
    }

    /// Appends a row to the file at `index`, as [`Batch::file`] gave it.
    pub(crate) fn append(&mut self, index: usize, datum: &[u8], compressor: &mut Compressor) {
        let block_bytes = block_bytes(self.files.len());
        self.change(index, |file| file.append_in_blocks(datum, block_bytes, compressor));
    }

    /// Takes the finished blocks of the file at `index` out ([`OpenFile::take_blocks`]); they are no longer counted.
    pub(crate) fn take_blocks(&mut self, index: usize, sync: &[u8; MARKER_LEN]) -> Vec<Bytes> {
        self.change(index, |file| file.take_blocks(sync))
    }

    /// Does something to the file at `index`, and counts what that came to.
    fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut OpenFile) -> T) -> T {
        let file = &mut self.files[index].file;
        let (memory, bytes) = (file.capacity(), size(file));
        let done = change(file);
        self.file_memory = self.file_memory + file.capacity() - memory;
        self.file_bytes = self.file_bytes + size(file) - bytes;
        done
    }

    fn keeps(&self, hour: Hour, id: SchemaId) -> bool {
        match &self.keep {
            Keep::All => true,
            Keep::Files(files) => files.contains(&(hour, id)),
            Keep::Nothing => false,
        }
    }

    /// Whether every row and dead letter so far is in it.
    pub(crate) fn is_whole(&self) -> bool {
        self.keep == Keep::All
    }

    /// Holds no other rows than these from now on, and drops the dead letters so far.
    pub(crate) fn keep(&mut self, keep: Keep) {
        self.keep = keep;
        for index in 0..self.files.len() {
            let (hour, id) = (self.files[index].hour, self.files[index].schema.id());
            if !self.keeps(hour, id) {
                self.change(index, OpenFile::only_count);
            }
        }
        drop(self.take_dead_letters());
        self.account();
    }

    pub(crate) fn add_dead_letter(&mut self, letter: DeadLetter) {
        *self.letters.entry(letter.reason).or_default() += 1;
        self.letter_memory += letter.size();
        self.dead_letters.push(letter);
    }

    /// How many dead letters it holds.
    pub(crate) fn dead_letter_count(&self) -> usize {
        self.dead_letters.len()
    }

    /// The memory of its dead letters, in bytes.
    pub(crate) fn dead_letter_memory(&self) -> usize {
        self.letter_memory
    }

    /// Takes the dead letters out; they stay counted.
    pub(crate) fn take_dead_letters(&mut self) -> Vec<DeadLetter> {
        self.letter_memory = 0;
        std::mem::take(&mut self.dead_letters)
    }

    pub(crate) fn declare_unknown(&mut self, id: SchemaId) {
        self.unknown_ids.push(id);
    }

    pub(crate) fn is_unknown(&self, id: SchemaId) -> bool {
        self.unknown_ids.contains(&id)
    }

    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// The memory of everything in it, which it is accounted with from now on.
    pub(crate) fn account(&mut self) -> usize {
        self.account.set(self.memory());
        self.account.held()
    }

    /// It takes no more records: what it holds is on its way out.
    pub(crate) fn leave(&mut self) {
        self.account.leave();
    }

    /// The bytes that are to be stored so far: compressed blocks, an unfinished one as if it couldn't be compressed, and
    /// dead letters.
    pub(crate) fn bytes(&self) -> u64 {
        self.file_bytes + self.letter_memory as u64
    }

    /// Closes the next file that isn't closed; `false` when all are.
    pub(crate) fn close_next(&mut self, compressor: &mut Compressor) -> bool {
        if self.closed == self.files.len() {
            return false;
        }
        self.change(self.closed, |file| file.close(compressor));
        self.closed += 1;
        true
    }

    /// Its dead letters, its files, and the account that holds their memory until it is dropped.
    pub(crate) fn into_parts(self) -> (Vec<DeadLetter>, Vec<HourFile>, Account) {
        (self.dead_letters, self.files, self.account)
    }

    /// Puts the files in order, and says what became of the batch. All files must be closed; it takes no more records.
    pub(crate) fn outcome(&mut self) -> Outcome {
        self.files.sort_by_key(|file| (file.hour, file.schema.id()));
        let files = self.files.iter().map(|file| FileOutcome {
            hour: file.hour,
            schema: file.schema.id(),
            fingerprint: file.schema.fingerprint(),
            rows: file.file.rows(),
            digest: file.file.digest(),
        });
        let outcome =
            Outcome { files: files.collect(), dead_letters: self.letters.clone(), skipped: self.skipped };
        (self.index, self.last) = (HashMap::default(), None);
        self.outcome_memory = outcome.files.capacity() * size_of::<FileOutcome>();
        self.account();
        outcome
    }
}

/// How long the blocks of a batch's files are while it has so many, in bytes: what waits uncompressed is the larger part of
/// a batch of many files. The same records make the same blocks, since the files are in the order of the records.
fn block_bytes(files: usize) -> usize {
    (PENDING / files.max(1)).clamp(SHORTEST_BLOCK, BLOCK_BYTES)
}

fn size(file: &OpenFile) -> u64 {
    file.compressed() + file.pending() as u64
}
