//! Publishing a promised batch that doesn't fit into memory: as many of its files a pass over the range as fit, and one
//! that alone doesn't fit is stored while it is made.
//!
//! Its outcome is known from having counted it, so each header can be written before the file is made. Every pass must
//! come to the same outcome, or nothing of it becomes visible.

use std::cell::RefCell;
use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, unfold};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::maker::{Range, range};
use super::{Maker, Stop};
use crate::avro::codec::Compressor;
use crate::avro::container::Header;
use crate::batch::manifest::{Entry, Manifest};
use crate::batch::publish::abort_uploads;
use crate::batch::{Batch, Keep};
use crate::budget::Account;
use crate::core::batch::{FileOutcome, Outcome};
use crate::core::layout::Hour;
use crate::core::{Publish, Remake};
use crate::dead_letter::{DeadLetter, MAX_IN_FLIGHT, groups};
use crate::fault_point::{self, Point};
use crate::sink::patience::Patience;
use crate::sink::{Sink, SinkError};
use crate::telemetry::troubles::Dependency;
use crate::types::{Offset, SchemaId};

/// What a file's buffers take beside its rows, in bytes, at most.
const FILE_OVERHEAD: u64 = 16 << 10;
/// Pieces on their way between the pass and the store.
const PIECES: usize = 1;
/// A piece with a large record is as long as that: so many of the longest are in memory, one that waits, those on their way, and
/// two that a part which is being uploaded has a share of.
const PIECES_HELD: usize = PIECES + 3;

type FileName = (Hour, SchemaId);

/// What is to be published, and how far that is.
struct Passes<'a> {
    maker: &'a Maker,
    remake: &'a Remake,
    range: Range<'a>,
    publish: &'a Publish,
    outcome: &'a Outcome,
    manifest: Manifest<'a>,
    lost: &'a watch::Receiver<bool>,
    sink: std::sync::Arc<dyn Sink>,
    /// The dead letters of these offsets are acknowledged, now or in an earlier try; ascending.
    produced: RefCell<Vec<Offset>>,
    bytes: u64,
}

impl Maker {
    /// Stores and produces all of a batch that was counted, in as many passes as it takes; returns the bytes stored.
    pub(super) fn publish(
        &self,
        remake: &Remake,
        publish: &Publish,
        outcome: &Outcome,
        (lost, produced): (&watch::Receiver<bool>, &mut Vec<Offset>),
        wanted: &CancellationToken,
    ) -> Result<u64, Stop> {
        let range = range(remake, wanted)?;
        let empty = self.begin(remake, range.intent)?;
        let sink = self.runtime.block_on(self.publisher.sink_of(&empty.terms));
        let sink = sink.map_err(|error| Stop::Refused(error.to_string()))?;
        let (name, cluster) = (&self.publisher.config.name, &self.publisher.cluster);
        let manifest = Manifest::new(&empty.terms, name, cluster, publish, outcome);
        let known = RefCell::new(std::mem::take(produced));
        let mut passes = Passes {
            maker: self,
            remake,
            range,
            publish,
            outcome,
            manifest,
            lost,
            sink,
            produced: known,
            bytes: 0,
        };
        let done = passes.run();
        *produced = passes.produced.take();
        done?;
        fault_point::reach(Point::Published);
        Ok(passes.bytes)
    }
}

impl Passes<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        // The counting pass told the rows; the sizes come from the first pass that keeps none.
        let mut sizes = self.measure()?;
        tracing::info!(partition = %self.remake.partition, files = sizes.len(), "publishing it in passes");
        let mut held = self.maker.budget.account();
        let produced = self.produced.borrow().capacity() * size_of::<Offset>();
        held.set(self.manifest.memory() + sizes.capacity() * size_of::<(FileName, u64)>() + produced);
        while let Some(stored) = self.next_pass(&sizes)? {
            sizes.retain(|(name, _)| !stored.contains(name));
        }
        Ok(())
    }

    /// The uncompressed size of each file, and all dead letters produced on the way.
    fn measure(&mut self) -> Result<Vec<(FileName, u64)>, Stop> {
        let batch = self.pass(HashSet::new(), &mut |_| Ok(()))?;
        let size = |file: &crate::batch::HourFile| {
            ((file.hour, file.schema.id()), file.file.datum_bytes() + FILE_OVERHEAD)
        };
        Ok(batch.files.iter().map(size).collect())
    }

    /// Stores as many of the files that are left as fit; which, or none when none is left.
    fn next_pass(&mut self, left: &[(FileName, u64)]) -> Result<Option<HashSet<FileName>>, Stop> {
        let Some((first, size)) = left.first() else { return Ok(None) };
        let mut room = self.maker.room() as u64;
        if *size > room {
            self.stream(*first)?;
            return Ok(Some(HashSet::from([*first])));
        }
        let fitting = left.iter().take_while(|(_, size)| {
            let fits = *size <= room;
            room = room.saturating_sub(*size);
            fits
        });
        let names: HashSet<_> = fitting.map(|(name, _)| *name).collect();
        self.store(&names)?;
        Ok(Some(names))
    }

    fn store(&mut self, names: &HashSet<FileName>) -> Result<(), Stop> {
        let batch = self.pass(names.clone(), &mut |_| Ok(()))?;
        let terms = std::sync::Arc::clone(&batch.terms);
        let (_, files, _account) = batch.into_parts();
        let bytes = files.iter().map(|file| file.file.datum_bytes()).sum();
        let files = files.into_iter().enumerate();
        let files = files.filter(|(_, file)| names.contains(&(file.hour, file.schema.id())));
        let publisher = &self.maker.publisher;
        let stored = publisher.store(&*self.sink, &terms, &self.manifest, files, self.lost);
        let stored = self.in_time(bytes, Dependency::Sink, stored)?;
        self.bytes += stored.map_err(sink_stop)?;
        Ok(())
    }

    /// Waits for the store, unless nobody wants it any more.
    fn until_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let wanted = self.range.wanted.run_until_cancelled(work);
        self.maker.runtime.block_on(wanted).ok_or(Stop::Cancelled)
    }

    /// Likewise, but only for as long as `bytes` may take to go out: what is refused for now holds up nobody else.
    fn in_time<T>(
        &self,
        bytes: u64,
        dependency: Dependency,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let limit = Patience::default().for_put(bytes);
        self.until_cancelled(async { tokio::time::timeout(limit, work).await })?.map_err(|_| {
            Stop::Later(dependency, format!("{}: not all was taken within {limit:?}", self.remake.partition))
        })
    }

    /// Reads the range once, keeping the rows of these files, and checks that it comes to the outcome.
    fn pass(
        &self,
        keep: HashSet<FileName>,
        each: &mut dyn FnMut(&mut Batch) -> Result<(), Stop>,
    ) -> Result<Batch, Stop> {
        let mut batch = self.maker.begin(self.remake, self.range.intent)?;
        batch.keep(Keep::Files(keep));
        let mut compressor = Compressor::new(self.range.intent.layout.codec);
        self.maker.read(&self.range, &mut batch, &mut compressor, &mut |batch| {
            if batch.dead_letter_memory() > MAX_IN_FLIGHT {
                self.produce(batch)?;
            }
            each(batch)
        })?;
        self.produce(&mut batch)?;
        if batch.outcome() == *self.outcome {
            Ok(batch)
        } else {
            let what = "the log of a promised batch reads otherwise than before";
            Err(Stop::Later(Dependency::Kafka, format!("{}: {what}", self.remake.partition)))
        }
    }

    /// Produces the dead letters that the batch holds, but for those that are acknowledged already.
    fn produce(&self, batch: &mut Batch) -> Result<(), Stop> {
        let mut letters = batch.take_dead_letters();
        letters.retain(|letter| self.produced.borrow().binary_search(&letter.offset).is_err());
        for group in groups(&letters) {
            let bytes: usize = group.iter().map(DeadLetter::size).sum();
            let produced = self.maker.publisher.produce(group, self.publish, self.lost);
            self.in_time(bytes as u64, Dependency::DeadLetterTopic, produced)?;
            let mut known = self.produced.borrow_mut();
            known.extend(group.iter().map(|letter| letter.offset));
            known.sort_unstable();
        }
        Ok(())
    }

    /// Stores the file `name` while it is made.
    fn stream(&mut self, name: FileName) -> Result<(), Stop> {
        let index = self.outcome.files.iter().position(|file| (file.hour, file.schema) == name);
        let Some((index, entry)) = index.and_then(|index| Some((index, self.manifest.entry(index)?))) else {
            return Ok(());
        };
        let file = &self.outcome.files[index];
        tracing::info!(
            partition = %self.remake.partition, hour = %file.hour, schema = %file.schema, rows = file.rows,
            "storing a file of it while it is made: alone it takes more memory than is free"
        );
        let (pieces, received) = mpsc::channel(PIECES);
        let putting = self.put(file, entry.clone(), received);
        let held = self.maker.budget.account();
        let mut sent = Sent { pieces, entry: &entry, begun: false, refused: false, bytes: 0, held };
        let passed = self.pass(HashSet::from([name]), &mut |batch| sent.send(batch, name));
        let passed = passed.and_then(|mut batch| sent.send(&mut batch, name));
        let (bytes, refused) = (sent.bytes, sent.refused);
        // Nothing becomes visible of a pass that came to another outcome: its stream ends with an error.
        sent.end(&passed);
        let put = self.until_cancelled(putting)?;
        match put {
            Ok(Ok(_)) => {}
            // The store's reason, unless it is that the pass didn't come to its end.
            Ok(Err(error)) if error.is_final() || refused => return Err(sink_stop(error)),
            Ok(Err(error)) => return Err(passed.err().unwrap_or_else(|| sink_stop(error))),
            Err(_) => {
                return Err(Stop::Refused("storing a file panicked, which is a bug in valve".to_owned()));
            }
        }
        self.maker.runtime.block_on(abort_uploads(&*self.sink, &entry.key));
        self.maker.publisher.status.stored(entry.key, file.rows, bytes);
        fault_point::reach(Point::Stored);
        self.bytes += bytes;
        Ok(())
    }

    fn put(
        &self,
        file: &FileOutcome,
        entry: Entry,
        received: mpsc::Receiver<Piece>,
    ) -> tokio::task::JoinHandle<Result<crate::sink::Stored, SinkError>> {
        let (sink, digest) = (std::sync::Arc::clone(&self.sink), file.digest);
        let pieces = unfold(Some(received), |received| async { next_piece(received?).await });
        self.maker.runtime.spawn(async move { sink.put_streaming(&entry.key, digest, pieces.boxed()).await })
    }
}

/// What comes of a file that is made while it is stored.
enum Piece {
    Bytes(Bytes),
    /// It is whole, and what was promised.
    End,
}

/// The next piece for the store. A stream that breaks off without its end is an error: nothing of it may become visible.
async fn next_piece(
    mut received: mpsc::Receiver<Piece>,
) -> Option<(Result<Bytes, SinkError>, Option<mpsc::Receiver<Piece>>)> {
    match received.recv().await {
        Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(received))),
        Some(Piece::End) => None,
        None => Some((Err(SinkError::Unavailable("the file couldn't be made".to_owned())), None)),
    }
}

/// The pieces of a file on their way to the store.
struct Sent<'a> {
    pieces: mpsc::Sender<Piece>,
    entry: &'a Entry,
    begun: bool,
    /// The store took no more: it says why itself.
    refused: bool,
    bytes: u64,
    /// The memory for pieces that aren't stored yet.
    held: Account,
}

impl Sent<'_> {
    /// Sends what is finished of the file.
    fn send(&mut self, batch: &mut Batch, name: FileName) -> Result<(), Stop> {
        let codec = batch.terms.layout.codec;
        let named = batch.files.iter().position(|file| (file.hour, file.schema.id()) == name);
        let Some(index) = named else { return Ok(()) };
        let file = &batch.files[index];
        if !self.begun {
            self.begun = true;
            let (schema, metadata) = (file.schema.text(), &*self.entry.metadata);
            let header = Header { schema, codec, metadata, sync: self.entry.sync };
            self.piece(Bytes::from(header.encode()))?;
        }
        for piece in batch.take_blocks(index, &self.entry.sync) {
            self.piece(piece)?;
        }
        Ok(())
    }

    fn piece(&mut self, piece: Bytes) -> Result<(), Stop> {
        self.bytes += piece.len() as u64;
        self.held.set(self.held.held().max(piece.len() * PIECES_HELD));
        self.pieces.blocking_send(Piece::Bytes(piece)).map_err(|_| {
            self.refused = true;
            Stop::Later(Dependency::Sink, "the store took no more of a file".to_owned())
        })
    }

    fn end(self, passed: &Result<(), Stop>) {
        if passed.is_ok() {
            // A store that is done already doesn't hear it.
            drop(self.pieces.blocking_send(Piece::End));
        }
    }
}

fn sink_stop(error: SinkError) -> Stop {
    if error.is_final() {
        Stop::Refused(error.to_string())
    } else {
        Stop::Later(Dependency::Sink, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(pieces: Vec<Piece>) -> Vec<bool> {
        let (sender, receiver) = mpsc::channel(8);
        for piece in pieces {
            sender.send(piece).await.ok();
        }
        drop(sender);
        let stream = unfold(Some(receiver), |received| async { next_piece(received?).await });
        stream.map(|piece| piece.is_ok()).collect().await
    }

    #[tokio::test]
    async fn given_a_file_that_breaks_off_without_its_end_then_the_store_gets_an_error_and_otherwise_none() {
        let bytes = || Piece::Bytes(Bytes::from_static(b"block"));
        assert_eq!(received(vec![bytes(), bytes(), Piece::End]).await, [true, true]);
        assert_eq!(received(vec![bytes(), bytes()]).await, [true, true, false]);
        assert_eq!(received(vec![]).await, [false]);
    }
}
