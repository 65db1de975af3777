//! `valve deadletters`: what lies in the dead-letter topic.

mod list;
mod show;

use std::ops::ControlFlow;
use std::process::ExitCode;

use tokio::task::spawn_blocking;

use super::failure::{Failure, report};
use crate::cli::DeadlettersCommand;
use crate::config::Config;
use crate::source::topic::{self, From, StoredMessage};

/// Lists or shows.
pub async fn deadletters(command: DeadlettersCommand) -> ExitCode {
    let done = match command {
        DeadlettersCommand::List(args) => list::list(args).await,
        DeadlettersCommand::Show(args) => show::show(args).await,
    };
    report(done)
}

/// Goes through the messages of the dead-letter topic, and returns what `each` made of them; nothing when there is no such topic.
async fn read<T: Default + Send + 'static>(
    config: &Config,
    from: From,
    each: impl Fn(&mut T, StoredMessage) -> ControlFlow<()> + Send + 'static,
) -> Result<T, Failure> {
    let config = config.clone();
    let read = spawn_blocking(move || {
        let mut made = T::default();
        topic::read(&config, &config.dead_letter_topic(), from, |message| each(&mut made, message))?;
        Ok(made)
    });
    read.await.unwrap_or_else(|error| Err(error.to_string())).map_err(Failure::Unasked)
}

/// Text from outside, without what could move a terminal's cursor or colour it.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
