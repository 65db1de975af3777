//! `valve intents`: the batches that are promised and not committed, and the way out of one that can't be made again.

mod release;
pub(crate) mod show;

use std::process::ExitCode;

use crate::cli::IntentsCommand;
use crate::core::intent::{Found, Intent, Metadata};
use crate::types::{Offset, TopicPartition};

pub(super) use super::failure::{Failure, report, settings};

/// Shows or releases.
pub async fn intents(command: IntentsCommand) -> ExitCode {
    let done = match command {
        IntentsCommand::Show(args) => show::show(args).await,
        IntentsCommand::Release(args) => release::release(args).await,
    };
    report(done)
}

/// The promised batch that was found committed, if one was.
pub(crate) fn promised(partition: &TopicPartition, offset: Offset, text: &str) -> Option<(Metadata, Intent)> {
    match Metadata::find(text, partition.partition, offset) {
        Found::Own(own) => own.intent.clone().map(|intent| (*own, intent)),
        _ => None,
    }
}
