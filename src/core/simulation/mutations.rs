//! The protocol, broken: each of these is done to what stands between the core and the world, and must be noticed.
//!
//! None of it is known to the code that runs in production.

use super::publishing::Work;
use super::world::World;
use crate::core::intent::{Coverage, Found, Metadata};
use crate::core::{Commit, Publish};
use crate::types::Offset;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// The core hears that a batch is published before anything of it is.
    CommitBeforePublish,
    /// Files are stored while their promise is on its way.
    PublishBeforePromise,
    /// The coordinator takes commits of any member and generation.
    NoFencing,
    /// A file's identity depends on when it is published.
    UuidFromClock,
    /// A revoked partition goes to the next owner, and its lane goes on with it.
    StateKept,
    /// A process that ends publishes less than it promised, and commits that.
    ShortenedByShutdown,
    /// The client sends a commit that wasn't answered once more.
    UnansweredRepeated,
    /// A partition is given up while the client still has a commit of it.
    GivenUpWithCommit,
    /// A batch that is made again asks the registry again for ids that its intent declares unknown.
    UnknownTwice,
    /// Offsets behind the last record don't count.
    EndFromLastRecord,
    /// What is covered since the last file isn't committed.
    CoverageInMemory,
    /// The audit doesn't look at where the record of a partition begins, and the earliest files are missing.
    AuditWithoutOrigin,
}

pub(super) const ALL: [Mutation; 12] = [
    Mutation::CommitBeforePublish,
    Mutation::PublishBeforePromise,
    Mutation::NoFencing,
    Mutation::UuidFromClock,
    Mutation::StateKept,
    Mutation::ShortenedByShutdown,
    Mutation::UnansweredRepeated,
    Mutation::GivenUpWithCommit,
    Mutation::UnknownTwice,
    Mutation::EndFromLastRecord,
    Mutation::CoverageInMemory,
    Mutation::AuditWithoutOrigin,
];

impl Mutation {
    /// By what it must be noticed: what it does harm to, not something else that it happens to upset.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::CommitBeforePublish => "(invariant 1)",
            Self::PublishBeforePromise => "(invariant 2)",
            Self::UuidFromClock | Self::StateKept => "is stored twice",
            Self::NoFencing | Self::ShortenedByShutdown => "(invariant 4)",
            Self::UnansweredRepeated | Self::GivenUpWithCommit => "(invariant 4)",
            Self::UnknownTwice => "made again it came out otherwise",
            Self::EndFromLastRecord => "at the end, partition",
            Self::CoverageInMemory => "Gap",
            Self::AuditWithoutOrigin => "doesn't miss its first files",
        }
    }
}

impl World {
    /// A commit as it reaches the client.
    pub(super) fn mutated_commit(&mut self, me: usize, commit: Commit) -> Commit {
        match self.mutation {
            Some(Mutation::CoverageInMemory) => {
                let metadata = without_coverage(&commit.metadata);
                Commit { metadata, ..commit }
            }
            Some(Mutation::ShortenedByShutdown) => self.shortened(me, commit),
            _ => commit,
        }
    }

    pub(super) fn mutated_publish(&self, publish: Publish) -> Publish {
        match self.mutation {
            Some(Mutation::CoverageInMemory) => {
                Publish { metadata: without_coverage(&publish.metadata), ..publish }
            }
            _ => publish,
        }
    }

    /// Leaves the last offset out of a batch when the process ends.
    pub(super) fn shorten(&mut self, me: usize, partition: usize, work: &mut Work, publish: &Publish) {
        let process = &mut self.processes[me];
        let (first, end) = (publish.first.0, publish.end.0);
        if self.mutation != Some(Mutation::ShortenedByShutdown) || !process.shutting_down || end - first < 2 {
            return;
        }
        process.cut.insert((partition, end), end - 1);
        let records = &self.records;
        let stays = |uid: &u32| records[*uid as usize].offset < end - 1;
        work.files.values_mut().for_each(|rows| rows.retain(stays));
        work.files.retain(|_, rows| !rows.is_empty());
        work.letters.retain(|(uid, _)| stays(uid));
    }

    fn shortened(&self, me: usize, commit: Commit) -> Commit {
        let partition = commit.partition.partition;
        let cut = self.processes[me].cut.get(&(partition as usize, commit.offset.0));
        let found = Metadata::find(&commit.metadata, partition, commit.offset);
        let (Some(cut), Found::Own(own)) = (cut, found) else { return commit };
        let coverage = Coverage { from: own.coverage.from.min(Offset(*cut)), ..own.coverage };
        let own = Metadata { first: Offset(*cut), coverage, intent: None, ..*own };
        Commit { offset: Offset(*cut), metadata: own.encode(), ..commit }
    }
}

fn without_coverage(text: &str) -> String {
    let Some(own) = Metadata::decode(text) else { return text.to_owned() };
    Metadata { coverage: Coverage::starting(own.first), ..own }.encode()
}
