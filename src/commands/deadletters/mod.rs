//! `valve deadletters`: what lies in the dead-letter topic.

mod decoding;
mod list;
mod replay;
mod sending;
pub(crate) mod show;

use std::ops::ControlFlow;
use std::process::ExitCode;

use tokio::task::spawn_blocking;

use super::failure::{Failure, report, settings, unprinted};
use crate::cli::DeadlettersCommand;
use crate::columns::{escaped, plain};
use crate::config::Config;
use crate::dead_letter::original::Originals;
use crate::source::topic::{self, From, StoredMessage};

/// Lists, shows or replays.
pub async fn deadletters(command: DeadlettersCommand) -> ExitCode {
    let done = match command {
        DeadlettersCommand::List(args) => list::list(args).await,
        DeadlettersCommand::Show(args) => show::show(args).await,
        DeadlettersCommand::Replay(args) => replay::replay(args).await,
    };
    report(done)
}

/// Goes through the messages of the dead-letter topic, and returns what `each` made of them; `None` when there is no such topic.
async fn read<T: Default + Send + 'static>(
    config: &Config,
    from: From,
    each: impl Fn(&mut T, StoredMessage) -> ControlFlow<()> + Send + 'static,
) -> Result<Option<T>, Failure> {
    let config = config.clone();
    let read = spawn_blocking(move || {
        let mut made = T::default();
        let there =
            topic::read(&config, &config.dead_letter_topic(), from, |message| each(&mut made, message))?;
        Ok(there.then_some(made))
    });
    read.await.unwrap_or_else(|error| Err(error.to_string())).map_err(Failure::Unasked)
}

/// Where the originals of large letters are.
async fn originals(config: &Config) -> Result<Originals, Failure> {
    let sink = crate::sink::open(&config.sink).await.map_err(Failure::usage)?;
    Ok(Originals::new(sink, &config.sink))
}
