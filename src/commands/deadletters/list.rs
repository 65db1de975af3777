//! `valve deadletters list`

use std::io::Write as _;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::{Failure, escaped, plain, read, settings, unprinted};
use crate::cli::{DeadlettersListArgs, LetterFilterArgs};
use crate::columns::columns;
use crate::dead_letter::envelope::Envelope;
use crate::dead_letter::list::{Filter, Group, Groups, Seen, count};
use crate::dead_letter::replay::{Marks, marked};
use crate::source::topic::From;
use crate::types::{Offset, SchemaId};

impl std::convert::From<LetterFilterArgs> for Filter {
    fn from(args: LetterFilterArgs) -> Self {
        Self {
            reasons: args.reasons,
            topics: args.topics,
            schema_ids: args.schemas.into_iter().map(SchemaId).collect(),
            since: args.since,
            until: args.until,
            min_attempts: args.min_attempts,
        }
    }
}

#[derive(Default)]
struct Found {
    seen: Seen,
    groups: Groups,
    /// Why the lines aren't taken.
    unprinted: Option<std::io::Error>,
    /// Messages that are no dead letters of any version.
    foreign: u64,
}

/// The dead letters that the filter lets through: a table, or a line of JSON for each, which is printed at once.
pub(super) async fn list(args: DeadlettersListArgs) -> Result<String, Failure> {
    let config = settings(args.config.as_deref()).await?;
    let (filter, as_json, only_open) = (Filter::from(args.filter), args.json, args.open);
    // Marks lie behind their letters.
    let marks = read(&config, From::Beginning, |marks: &mut Marks, message| {
        marks.note(&message);
        ControlFlow::Continue(())
    });
    let Some(marks) = marks.await? else {
        let none = format!("There are no dead letters: there is no topic {}.\n", config.dead_letter_topic());
        return Ok(if as_json { String::new() } else { none });
    };
    let found = read(&config, From::Beginning, move |found: &mut Found, message| {
        let place = (message.partition, message.offset);
        if marked(&message).is_some() {
            return ControlFlow::Continue(());
        }
        match Envelope::from_json(message.value.as_deref().unwrap_or_default()) {
            Err(_) => found.foreign += 1,
            Ok(letter) if filter.takes(&letter) && found.seen.is_new(&letter) => {
                let open = !marks.has(&letter);
                if only_open && !open {
                    return ControlFlow::Continue(());
                }
                if as_json {
                    let line = escaped(&line(&letter, place, open).to_string());
                    found.unprinted = writeln!(std::io::stdout(), "{line}").err();
                } else {
                    count(&mut found.groups, &letter, place, open);
                }
            }
            Ok(_) => {}
        }
        if found.unprinted.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let found = found.await?.unwrap_or_default();
    match found.unprinted.as_ref().and_then(unprinted) {
        Some(failure) => Err(failure),
        None if as_json => Ok(String::new()),
        None => Ok(table(&found.groups, found.foreign)),
    }
}

/// What is known of a letter but for the bytes of its record.
fn line(letter: &Envelope, (partition, offset): (i32, Offset), open: bool) -> Value {
    json!({
        "place": format!("{partition}/{offset}"),
        "id": letter.id,
        "processed_at": letter.processed_at,
        "reason": letter.reason,
        "exception": letter.exception,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "schema_id": letter.schema_id,
        "attempts": letter.attempts,
        "first_failed_at": letter.first_failed_at,
        "replayed": !open,
    })
}

const HEADINGS: [&str; 9] =
    ["reason", "topic", "schema", "letters", "open", "attempts", "first (UTC)", "last (UTC)", "last at"];

pub(super) fn table(groups: &Groups, foreign: u64) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for ((reason, topic, schema), group) in groups {
        let (partition, offset) = group.example;
        rows.push([
            plain(reason),
            plain(topic),
            schema.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            group.letters.to_string(),
            group.open.to_string(),
            group.most_attempts.to_string(),
            plain(&group.first),
            plain(&group.last),
            format!("{partition}/{offset}"),
        ]);
    }
    let mut text = if groups.is_empty() { String::new() } else { columns(&rows, &(2..6)) };
    let sum = |count: fn(&Group) -> u64| groups.values().map(count).sum::<u64>();
    let (letters, open) = (sum(|group| group.letters), sum(|group| group.open));
    if letters == 0 {
        text.push_str("There are no such dead letters.\n");
    } else {
        let plural = if letters == 1 { "" } else { "s" };
        text.push_str(&format!(
            "{letters} dead letter{plural}, {open} of them open: not replayed. `valve deadletters show` with what stands under \"last at\" \
             shows one.\n"
        ));
    }
    if foreign > 0 {
        text.push_str(&format!("{foreign} messages of the topic are no dead letters of valve.\n"));
    }
    text
}
