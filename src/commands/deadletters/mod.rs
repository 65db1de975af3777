//! `valve deadletters`: what lies in the dead-letter topic.

mod list;
mod replay;
mod sending;
mod show;

use std::ops::ControlFlow;
use std::process::ExitCode;

use tokio::task::spawn_blocking;

use super::failure::{Failure, report, settings, unprinted};
use crate::cli::DeadlettersCommand;
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

/// Text from outside, without what could move a terminal's cursor or colour it.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// JSON with all control characters of its texts escaped: it need not escape all that move a terminal's cursor.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, char| {
        if char.is_control() && char != '\n' {
            text.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            text.push(char);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_control_characters_that_json_may_hold_as_they_are_then_they_are_escaped_and_mean_the_same() {
        let value = serde_json::json!({"text": "a\u{7f}b\u{9b}31m\u{1b}c\nä"});
        let json = escaped(&value.to_string());
        assert!(!json.chars().any(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }
}
