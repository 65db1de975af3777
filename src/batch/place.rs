//! One record's fate: a row in a file, a dead letter, or skipped. A function of the record, its schema and the batch's
//! intent, of nothing else: an outage is not a decision.

use std::ffi::CStr;

use bytes::Bytes;

use super::Batch;
use super::schemas::{Schemas, Usable, Verdict};
use crate::avro::codec::Compressor;
use crate::avro::wire;
use crate::core::batch::SealReason;
use crate::core::layout::{Hour, NullPolicy};
use crate::dead_letter::replayed::{self, Attempts};
use crate::dead_letter::{DeadLetter, Reason, bounded};
use crate::source::Record;
use crate::types::{SchemaId, TopicPartition};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is in the batch: stored, dead-lettered or skipped.
    Done,
    /// Nothing yet: its schema is to be looked up first.
    Wait(SchemaId),
    /// Nothing: only another batch can take it.
    Full(SealReason),
}

/// What it takes to place records, whatever their batch.
pub(crate) struct Placer<'a> {
    /// How many files a batch may have.
    pub(crate) max_files: usize,
    /// Compiled for the batch's terms.
    pub(crate) schemas: &'a mut Schemas,
    pub(crate) compressor: &'a mut Compressor,
    /// The valve's name.
    pub(crate) valve: &'a str,
}

/// Where newer serializers put a schema's GUID, when they are told to.
const GUID_HEADER: &CStr = c"__value_schema_id";
/// The byte 1, and the GUID.
const GUID_LEN: usize = 17;

impl Placer<'_> {
    /// Places `record` in `batch`.
    pub(crate) fn place(
        &mut self,
        record: &Record<'_>,
        partition: &TopicPartition,
        batch: &mut Batch,
    ) -> Placed {
        if replayed::is_for_another(record.header(replayed::FOR_HEADER), self.valve) {
            batch.skip();
            return Placed::Done;
        }
        let valve = self.valve;
        let bad = |batch: &mut Batch, reason, exception, schema_id| {
            let mut letter = dead_letter(record, partition, reason, exception, schema_id);
            letter.attempts = Attempts::take_off(&mut letter.headers, valve);
            batch.add_dead_letter(letter);
            Placed::Done
        };
        let Some(value) = record.value() else {
            match batch.terms.layout.nulls {
                NullPolicy::Skip => batch.skip(),
                NullPolicy::DeadLetter => {
                    return bad(batch, Reason::NullValue, "the message has no value".to_owned(), None);
                }
            }
            return Placed::Done;
        };
        let most = batch.terms.max_record_bytes();
        if value.len() > most {
            let exception =
                format!("the value has {} bytes, more than batch.max_record_bytes = {most}", value.len());
            return bad(batch, Reason::TooLarge, exception, None);
        }
        // Before the value is taken for one with an id: a datum that stands alone may begin like one.
        if let Some(place) = guid_place(record, value) {
            let exception = format!(
                "its schema is named by a GUID {place}; valve reads ids behind a first byte of 0, as serializers write them by \
                 default"
            );
            return bad(batch, Reason::SchemaGuid, exception, None);
        }
        let (id, datum) = match wire::split(value) {
            Ok(split) => split,
            Err(error) => return bad(batch, Reason::WireHeader, error.to_string(), None),
        };
        if batch.is_unknown(id) {
            let exception = format!("the schema registry doesn't know schema id {id}");
            return bad(batch, Reason::UnknownSchema, exception, Some(id));
        }
        let Some(verdict) = self.schemas.get(id) else { return Placed::Wait(id) };
        let usable = match &**verdict {
            Verdict::Usable(usable) => usable,
            Verdict::Unusable(why) => {
                let exception = format!("schema id {id} can't be used: {why}");
                return bad(batch, Reason::UnusableSchema, exception, Some(id));
            }
        };
        match hour_of(usable, datum, record, batch) {
            Err((reason, exception)) => bad(batch, reason, exception, Some(id)),
            Ok(hour) => match batch.file(hour, &usable.schema, self.max_files) {
                None => Placed::Full(SealReason::Files),
                Some(file) => {
                    batch.append(file, datum, self.compressor);
                    Placed::Done
                }
            },
        }
    }
}

/// Checks the datum, and says which hour it belongs to.
fn hour_of(
    usable: &Usable,
    datum: &[u8],
    record: &Record<'_>,
    batch: &Batch,
) -> Result<Hour, (Reason, String)> {
    let fields = usable.program.walk(datum).map_err(|error| {
        let exception = format!("the datum doesn't match schema id {}: {error}", usable.schema.id());
        (Reason::InvalidDatum, exception)
    })?;
    let terms = &batch.terms;
    let time = terms.timestamp.resolve(&fields, record.timestamp(), batch.instant);
    let time = time.map_err(|exception| (Reason::NoTimestamp, exception))?;
    Ok(Hour::of(time, terms.layout.granularity))
}

fn dead_letter(
    record: &Record<'_>,
    partition: &TopicPartition,
    reason: Reason,
    exception: String,
    schema_id: Option<SchemaId>,
) -> DeadLetter {
    let headers = record.headers().into_iter().map(|(name, value)| (name, value.map(Bytes::from)));
    DeadLetter {
        source: partition.clone(),
        offset: record.offset(),
        timestamp: record.timestamp(),
        key: record.key().map(Bytes::copy_from_slice),
        headers: headers.collect(),
        value: record.value().map(Bytes::copy_from_slice),
        schema_id,
        reason,
        exception: bounded(exception),
        attempts: Attempts::FIRST,
    }
}

/// Where the GUID of the record's schema stands, if it is named by one: a byte of 1, and 16 bytes.
fn guid_place(record: &Record<'_>, value: &[u8]) -> Option<&'static str> {
    let begins = |bytes: &[u8]| bytes.len() >= GUID_LEN && bytes[0] == 1;
    if begins(value) {
        return Some("behind a first byte of 1");
    }
    let header = record.header(GUID_HEADER);
    let is_guid = header.is_some_and(|header| header.len() == GUID_LEN && begins(header));
    is_guid.then_some("in the header __value_schema_id")
}
