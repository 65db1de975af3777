//! Making a batch durable: its files closed, made again after a takeover, stored one by one in any order, its dead
//! letters produced.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::log::{Fate, fate};
use super::mutations::Mutation;
use super::store::{Flying, Key, Object, Part, Stored};
use super::world::World;
use crate::core::batch::{BatchId, FileOutcome, Outcome};
use crate::core::identity::Identity;
use crate::core::intent::{Intent, Layout};
use crate::core::layout::Hour;
use crate::core::{Event, Publish};
use crate::dead_letter::Reason;
use crate::sink::Digest;
use crate::types::{SchemaId, UnixMillis};

/// What a process holds of a batch.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) batch: BatchId,
    pub(super) instant: UnixMillis,
    pub(super) layout: Rc<Layout>,
    /// The records of each file, by their numbers.
    pub(super) files: BTreeMap<(Hour, SchemaId), Vec<u32>>,
    pub(super) letters: Vec<(u32, Reason)>,
    skipped: u64,
    pub(super) unknown: Vec<SchemaId>,
}

impl Work {
    pub(super) fn new(
        batch: BatchId,
        instant: UnixMillis,
        layout: Rc<Layout>,
        unknown: Vec<SchemaId>,
    ) -> Self {
        Self { batch, instant, layout, files: BTreeMap::new(), letters: Vec::new(), skipped: 0, unknown }
    }

    pub(super) fn has_room(&self, hour: Hour, schema: SchemaId) -> bool {
        self.files.len() < super::taking::MAX_FILES || self.files.contains_key(&(hour, schema))
    }

    pub(super) fn add(&mut self, uid: u32, fate: &Fate) {
        match fate {
            Fate::Row(hour, schema) => self.files.entry((*hour, *schema)).or_default().push(uid),
            Fate::Letter(reason) => self.letters.push((uid, *reason)),
            Fate::Skipped => self.skipped += 1,
            Fate::Asks(_) => {}
        }
    }

    pub(super) fn records(&self) -> u64 {
        let rows: usize = self.files.values().map(Vec::len).sum();
        (rows + self.letters.len()) as u64 + self.skipped
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mut dead_letters = BTreeMap::new();
        for (_, reason) in &self.letters {
            *dead_letters.entry(*reason).or_default() += 1;
        }
        let files = self.files.iter().map(|((hour, schema), rows)| FileOutcome {
            hour: *hour,
            schema: *schema,
            fingerprint: u128::from(schema.0),
            rows: rows.len() as u64,
            digest: digest_of(rows),
        });
        Outcome { files: files.collect(), dead_letters, skipped: self.skipped }
    }
}

/// A function of the rows in their order.
pub(super) fn digest_of(rows: &[u32]) -> Digest {
    let mix = |digest: u64, row: &u32| {
        (digest ^ u64::from(*row)).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(23)
    };
    Digest(u128::from(rows.iter().fold(rows.len() as u64, mix)))
}

/// A batch that is being published.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) partition: usize,
    pub(super) batch: BatchId,
    puts: Vec<(Rc<Object>, Put)>,
    letters: Vec<u32>,
    /// Dead letters that are acknowledged.
    acknowledged: usize,
    /// The core has heard that it is done, or that it can't be.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Waiting,
    Flying,
    Stored,
    /// Its key holds other rows.
    Conflict,
}

impl World {
    /// Closes the files of one sealed batch.
    pub(super) fn close(&mut self, me: usize) -> bool {
        if self.processes[me].closing.is_empty() {
            return false;
        }
        let (partition, work) = self.processes[me].closing.remove(0);
        self.closed(me, partition, work);
        true
    }

    fn closed(&mut self, me: usize, partition: usize, work: Work) {
        let (batch, outcome) = (work.batch, work.outcome());
        if outcome.files.is_empty() {
            self.seen.without_rows += 1;
        }
        self.processes[me].closed.push((partition, work));
        self.event(me, Event::Closed { partition: self.names[partition].clone(), batch, outcome });
    }

    /// Makes a promised batch again, unless a schema can't be had now.
    pub(super) fn remake(&mut self, me: usize) -> bool {
        let Some((partition, remake)) = self.processes[me].remakes.first().cloned() else { return false };
        let Some(intent) = &remake.promise.intent else { return false };
        let first = remake.promise.first.0;
        let unknown = if self.mutation == Some(Mutation::UnknownTwice) {
            Vec::new()
        } else {
            intent.unknown_ids.clone()
        };
        let layout = Rc::new(intent.layout.clone());
        if *layout != *self.processes[me].layout {
            self.seen.other_layouts += 1;
        }
        let mut work = Work::new(remake.batch, intent.instant, layout, unknown);
        if !self.read_again(me, partition, first..intent.end.0, &mut work) {
            return false;
        }
        self.processes[me].remakes.remove(0);
        self.closed(me, partition, work);
        true
    }

    /// Reads the records of `range` into `work`; `false` if it is to be tried again later.
    fn read_again(
        &mut self,
        me: usize,
        partition: usize,
        range: std::ops::Range<i64>,
        work: &mut Work,
    ) -> bool {
        for offset in range {
            let log = self.logs[partition].last().unwrap();
            let Some(uid) = log.at(offset) else { continue };
            let kind = self.records[uid as usize].kind;
            let mut decided =
                fate(kind, &work.layout, work.instant, &work.unknown, self.processes[me].knows_late);
            if let Fate::Asks(id) = decided {
                if self.registry_down {
                    return false;
                }
                self.processes[me].knows_late |= self.late_is_known;
                if !self.knows(me, id) {
                    if self.mutation != Some(Mutation::UnknownTwice) {
                        // An outage: the registry knew it when the batch was promised.
                        return false;
                    }
                    work.unknown.push(id);
                }
                let knows_late = self.processes[me].knows_late;
                decided = fate(kind, &work.layout, work.instant, &work.unknown, knows_late);
            }
            work.add(uid, &decided);
        }
        true
    }

    /// Begins to publish (invariant 2: the promise was committed).
    pub(super) fn publish(&mut self, me: usize, publish: Publish) {
        let publish = self.mutated_publish(publish);
        let partition = publish.partition.partition as usize;
        let process = &mut self.processes[me];
        if self.mutation == Some(Mutation::PublishBeforePromise)
            && process.jobs.iter().any(|job| job.batch == publish.batch)
        {
            return;
        }
        let index = process.closed.iter().position(|(_, work)| work.batch == publish.batch);
        let Some((_, mut work)) = index.map(|index| process.closed.remove(index)) else {
            return self.blame(format!("batch {:?} is published, and isn't there", publish.batch));
        };
        if !self.promised[partition].contains_key(&*publish.metadata) {
            self.blame(format!("partition {partition}: published before it was promised (invariant 2)"));
        }
        self.shorten(me, partition, &mut work, &publish);
        self.begin_job(me, partition, work, &publish);
    }

    /// Publishes a batch when its promise is only on its way.
    pub(super) fn publish_early(&mut self, me: usize, commit: &crate::core::Commit) {
        let partition = commit.partition.partition as usize;
        let own = super::offsets::own(commit);
        let Some((own, Intent { end, instant, .. })) = own.and_then(|own| Some((own.clone(), own.intent?)))
        else {
            return;
        };
        let process = &mut self.processes[me];
        let Some(index) = process.closed.iter().position(|(of, _)| *of == partition) else { return };
        let (_, work) = process.closed.remove(index);
        let mut cover = own.coverage;
        cover.dead_letters += work.letters.len() as u64;
        cover.skipped += work.skipped;
        cover.empty += own.first.distance_to(end) - work.records();
        let publish = Publish {
            partition: commit.partition.clone(),
            batch: work.batch,
            first: own.first,
            end,
            instant,
            metadata: commit.metadata.clone(),
            cover,
            remade: false,
        };
        self.begin_job(me, partition, work, &publish);
    }

    fn begin_job(&mut self, me: usize, partition: usize, work: Work, publish: &Publish) {
        let puts = self.place_files(partition, &work, publish);
        let letters = work.letters.iter().map(|(uid, _)| *uid).collect();
        let puts = puts.into_iter().map(|object| (object, Put::Waiting)).collect();
        let batch = work.batch;
        let job = Job { partition, batch, puts, letters, acknowledged: 0, told: false };
        self.processes[me].jobs.push(job);
        if self.mutation == Some(Mutation::CommitBeforePublish) {
            self.processes[me].jobs.last_mut().unwrap().told = true;
            self.event(me, Event::Published { partition: publish.partition.clone(), batch });
        }
    }

    /// Each file's key, and what its header says.
    fn place_files(&mut self, partition: usize, work: &Work, publish: &Publish) -> Vec<Rc<Object>> {
        let clock = (self.mutation == Some(Mutation::UuidFromClock)).then(|| format!("{:?}", self.time));
        let metadata: Rc<str> = publish.metadata.as_str().into();
        let identity =
            Identity { valve: clock.as_deref().unwrap_or("v"), cluster: "c", metadata: &publish.metadata };
        let place = |((hour, schema), rows): (&(Hour, SchemaId), &Vec<u32>)| {
            let count = rows.len();
            let uuid = identity.uuid(*hour, *schema).as_u128();
            (Key { partition, prefix: work.layout.prefix.clone(), hour: *hour, count, uuid }, digest_of(rows))
        };
        let list: Vec<_> = work.files.iter().map(place).collect();
        let promised = self.promised[partition].get(&metadata).copied();
        let topic_id = promised.unwrap_or(self.log(partition).topic_id);
        let object = |(index, ((_, schema), rows)): (usize, (&(Hour, SchemaId), &Vec<u32>))| {
            let part = if index == 0 {
                Part::First { cover: publish.cover.clone(), files: list.clone() }
            } else {
                Part::Further { first: list[0].0.clone() }
            };
            Rc::new(Object {
                key: list[index].0.clone(),
                schema: *schema,
                rows: rows.clone(),
                digest: list[index].1,
                topic_id,
                covered_from: publish.cover.from.0,
                range: (publish.first.0, publish.end.0),
                metadata: Rc::clone(&metadata),
                part,
            })
        };
        work.files.iter().enumerate().map(object).collect()
    }

    /// Sends one file or dead letter of some job, or tells the core that one is done.
    pub(super) fn further(&mut self, me: usize) -> bool {
        let jobs = self.processes[me].jobs.len();
        let from = self.draw.below(jobs.max(1));
        (0..jobs).any(|step| self.further_job(me, (from + step) % jobs))
    }

    fn further_job(&mut self, me: usize, index: usize) -> bool {
        let job = &mut self.processes[me].jobs[index];
        let waiting: Vec<_> = (0..job.puts.len()).filter(|put| job.puts[*put].1 == Put::Waiting).collect();
        if !waiting.is_empty() {
            let put = waiting[self.draw.below(waiting.len())];
            let job = &mut self.processes[me].jobs[index];
            job.puts[put].1 = Put::Flying;
            let (object, batch) = (Rc::clone(&job.puts[put].0), job.batch);
            let process = self.processes[me].id;
            self.store.flying.push(Flying { object, reply: Some((process, batch, put)) });
            return true;
        }
        if job.acknowledged < job.letters.len() {
            let uid = job.letters[job.acknowledged];
            // One time in four it is produced, and nobody hears of it.
            if !self.draw.one_in(4) {
                self.processes[me].jobs[index].acknowledged += 1;
            }
            let letters = &mut self.records[uid as usize].letters;
            *letters = letters.saturating_add(1);
            return true;
        }
        let refused = job.puts.iter().any(|(_, put)| *put == Put::Conflict);
        if job.told || !refused && job.puts.iter().any(|(_, put)| *put != Put::Stored) {
            return false;
        }
        job.told = true;
        let (partition, batch) = (self.names[job.partition].clone(), job.batch);
        self.event(
            me,
            if refused {
                Event::Refused { partition, batch, reason: "other rows".into() }
            } else {
                Event::Published { partition, batch }
            },
        );
        true
    }

    /// The store's answer to a put, if anybody still waits for it.
    pub(super) fn put_answered(&mut self, reply: Option<(u64, BatchId, usize)>, stored: Option<Stored>) {
        let Some((id, batch, put)) = reply else { return };
        // One that is frozen finds the answer when it wakes.
        let mut processes = self.processes.iter_mut();
        let Some(process) = processes.find(|process| process.id == id && !process.ended) else { return };
        let Some(job) = process.jobs.iter_mut().find(|job| job.batch == batch) else { return };
        job.puts[put].1 = match stored {
            None => Put::Waiting,
            Some(Stored::Created | Stored::Equal) => Put::Stored,
            Some(Stored::Conflict) => Put::Conflict,
        };
    }

    /// Whether somebody runs who waits for this put.
    pub(super) fn is_awaited(&self, reply: Option<(u64, BatchId, usize)>) -> bool {
        reply.is_some_and(|(id, batch, _)| {
            let mut processes = self.processes.iter();
            processes.any(|it| it.id == id && it.runs() && it.jobs.iter().any(|job| job.batch == batch))
        })
    }

    /// A batch is committed (invariant 5: what was read is what was dealt with).
    pub(super) fn finished(
        &mut self,
        me: usize,
        partition: usize,
        batch: BatchId,
        outcome: &Outcome,
        records: u64,
    ) {
        self.processes[me].jobs.retain(|job| job.partition != partition || job.batch != batch);
        self.seen.batches += 1;
        if outcome.records() != records {
            self.blame(format!(
                "{records} records were read and {} dealt with (invariant 5)",
                outcome.records()
            ));
        }
    }
}
