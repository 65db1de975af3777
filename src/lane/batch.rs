//! The rows of one batch: what the core knows as numbers, the lane holds as open files and dead letters.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::avro::codec::Compressor;
use crate::avro::container::OpenFile;
use crate::avro::schema::WriterSchema;
use crate::budget::Account;
use crate::core::batch::{BatchId, FileOutcome, Outcome};
use crate::core::layout::Hour;
use crate::dead_letter::{DeadLetter, Reason};
use crate::types::{SchemaId, UnixMillis};

/// What an entry of the files' index takes, beside the file itself.
const INDEX_ENTRY: usize = size_of::<((Hour, SchemaId), usize)>() * 2;

/// One open file with what its header will need.
#[derive(Debug)]
pub(super) struct HourFile {
    pub(super) hour: Hour,
    pub(super) schema: Arc<WriterSchema>,
    pub(super) file: OpenFile,
}

/// A batch in memory.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: BatchId,
    pub(super) instant: UnixMillis,
    pub(super) files: Vec<HourFile>,
    pub(super) dead_letters: Vec<DeadLetter>,
    skipped: u64,
    /// What the registry learns meanwhile changes nothing for this batch.
    unknown_ids: Vec<SchemaId>,
    index: HashMap<(Hour, SchemaId), usize>,
    /// The file that took the last row: most often it takes the next one too.
    last: Option<(Hour, SchemaId, usize)>,
    file_memory: usize,
    file_bytes: u64,
    letter_memory: usize,
    account: Account,
    closed: usize,
}

impl Batch {
    pub(super) fn new(id: BatchId, instant: UnixMillis, account: Account) -> Self {
        Self {
            id,
            instant,
            files: Vec::new(),
            dead_letters: Vec::new(),
            skipped: 0,
            unknown_ids: Vec::new(),
            index: HashMap::new(),
            last: None,
            file_memory: 0,
            file_bytes: 0,
            letter_memory: 0,
            account,
            closed: 0,
        }
    }

    /// The file for rows of `hour` and `schema`, if it may be had: it is there, or there are fewer than `most`.
    pub(super) fn file(&mut self, hour: Hour, schema: &Arc<WriterSchema>, most: usize) -> Option<usize> {
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
        let file = OpenFile::new(schema.fingerprint());
        self.file_memory += size_of::<HourFile>() + INDEX_ENTRY + file.capacity();
        self.files.push(HourFile { hour, schema: Arc::clone(schema), file });
        self.index.insert((hour, schema.id()), index);
        index
    }

    /// Appends a row to the file at `index`, as [`Batch::file`] gave it.
    pub(super) fn append(&mut self, index: usize, datum: &[u8], compressor: &mut Compressor) {
        let file = &mut self.files[index].file;
        let (memory, bytes) = (file.capacity(), size(file));
        file.append(datum, compressor);
        self.file_memory = self.file_memory + file.capacity() - memory;
        self.file_bytes = self.file_bytes + size(file) - bytes;
    }

    pub(super) fn add_dead_letter(&mut self, letter: DeadLetter) {
        self.letter_memory += letter.size();
        self.dead_letters.push(letter);
    }

    pub(super) fn declare_unknown(&mut self, id: SchemaId) {
        self.unknown_ids.push(id);
    }

    pub(super) fn is_unknown(&self, id: SchemaId) -> bool {
        self.unknown_ids.contains(&id)
    }

    pub(super) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// The memory of everything in it, which it is accounted with from now on.
    pub(super) fn account(&mut self) -> usize {
        self.account.set(self.file_memory + self.letter_memory);
        self.account.held()
    }

    /// The bytes that are to be stored so far: compressed blocks, an unfinished one as if it couldn't be compressed, and
    /// dead letters.
    pub(super) fn bytes(&self) -> u64 {
        self.file_bytes + self.letter_memory as u64
    }

    /// Closes the next file that isn't closed; `false` when all are.
    pub(super) fn close_next(&mut self, compressor: &mut Compressor) -> bool {
        let Some(next) = self.files.get_mut(self.closed) else { return false };
        let memory = next.file.capacity();
        next.file.close(compressor);
        self.file_memory = self.file_memory + next.file.capacity() - memory;
        self.closed += 1;
        true
    }

    /// Its dead letters, its files, and the account that holds their memory until it is dropped.
    pub(super) fn into_parts(self) -> (Vec<DeadLetter>, Vec<HourFile>, Account) {
        (self.dead_letters, self.files, self.account)
    }

    /// Puts the files in order, and says what became of the batch. All files must be closed.
    pub(super) fn outcome(&mut self) -> Outcome {
        self.files.sort_by_key(|file| (file.hour, file.schema.id()));
        let files = self.files.iter().map(|file| FileOutcome {
            hour: file.hour,
            schema: file.schema.id(),
            fingerprint: file.schema.fingerprint(),
            rows: file.file.rows(),
            digest: file.file.digest(),
        });
        let mut dead_letters = BTreeMap::<Reason, u64>::new();
        for letter in &self.dead_letters {
            *dead_letters.entry(letter.reason).or_default() += 1;
        }
        Outcome { files: files.collect(), dead_letters, skipped: self.skipped }
    }
}

fn size(file: &OpenFile) -> u64 {
    file.compressed() + file.pending() as u64
}
