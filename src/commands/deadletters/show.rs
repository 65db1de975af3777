//! `valve deadletters show`

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::decoding::decode;
use super::{Failure, escaped, originals, plain, read, settings};
use crate::cli::DeadlettersShowArgs;
use crate::config::Config;
use crate::dead_letter::envelope::Envelope;
use crate::dead_letter::original::{Elsewhere, Unreadable};
use crate::dead_letter::replayed::rfc3339;
use crate::source::topic::From;

/// No more of a value's bytes are shown.
const MAX_BYTES: usize = 4096;

/// The dead letter at the given place.
pub(super) async fn show(args: DeadlettersShowArgs) -> Result<String, Failure> {
    let config = settings(args.config.as_deref()).await?;
    let (partition, offset) = args.place;
    let found = read(&config, From::At(partition, offset), move |found: &mut Option<Vec<u8>>, message| {
        if message.offset == offset {
            *found = Some(message.value.unwrap_or_default());
        }
        ControlFlow::Break(())
    });
    let topic = config.dead_letter_topic();
    let value = found.await?.flatten().ok_or_else(|| {
        Failure::Failed(format!(
            "nothing lies at {partition}/{offset} of {topic}; `valve deadletters list` says what does"
        ))
    })?;
    let mut letter = Envelope::from_json(&value)
        .map_err(|error| Failure::Failed(format!("{partition}/{offset} of {topic}: {error}")))?;
    if args.json {
        return Ok(format!("{}\n", escaped(&String::from_utf8_lossy(&value))));
    }
    let original = put_back(&config, &mut letter).await?;
    let decoded = match letter.message.as_ref() {
        Some(message) => Some(decode(&config, &message.0).await),
        None => None,
    };
    Ok(as_text(&letter, &original, decoded))
}

/// Where the original of a letter is.
#[derive(Debug)]
pub(crate) enum Original {
    InTheLetter,
    /// In the sink, and from there put into the letter.
    At(Elsewhere),
    /// Nowhere any more, for this reason.
    Lost(Elsewhere, String),
}

/// Fetches the original of a large letter. When that is lost, all else is known of it.
async fn put_back(config: &Config, letter: &mut Envelope) -> Result<Original, Failure> {
    let Some(elsewhere) = letter.original.clone() else { return Ok(Original::InTheLetter) };
    match originals(config).await?.put_back(letter).await {
        Ok(()) => Ok(Original::At(elsewhere)),
        Err(Unreadable::Gone(at, why)) => Ok(Original::Lost(at, why)),
        Err(unasked) => Err(Failure::Unasked(plain(&unasked.to_string()))),
    }
}

pub(crate) fn as_text(
    letter: &Envelope,
    original: &Original,
    decoded: Option<Result<String, String>>,
) -> String {
    let size = match (original, &letter.message) {
        (Original::Lost(..), _) => "lost".to_owned(),
        (_, None) => "none".to_owned(),
        (_, Some(message)) => format!("{} bytes", message.0.len()),
    };
    let place = match original {
        Original::InTheLetter => "in the letter".to_owned(),
        Original::At(place) => place.to_string(),
        Original::Lost(place, why) => format!("{place}, lost: {why}"),
    };
    let written = letter.timestamp.map_or_else(|| "-".to_owned(), rfc3339);
    let lines = [
        ("reason", plain(&letter.reason)),
        ("exception", plain(&letter.exception)),
        ("from", format!("{}[{}] at offset {}", plain(&letter.topic), letter.partition, letter.offset)),
        ("Kafka timestamp", written),
        (
            "dead-lettered",
            format!(
                "{} by {} (valve {})",
                plain(&letter.processed_at),
                plain(&letter.processed_by),
                plain(&letter.valve)
            ),
        ),
        ("attempts", format!("{}, the first at {}", letter.attempts, plain(&letter.first_failed_at))),
        ("schema id", letter.schema_id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ("id", plain(&letter.id)),
        ("key", letter.key.as_ref().map_or_else(|| "-".to_owned(), |key| text_or_hex(&key.0))),
        ("original", plain(&place)),
        ("value", size),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{name:<16} {value}\n"));
    }
    for header in &letter.headers {
        let value = header.value.as_ref().map_or_else(|| "-".to_owned(), |value| text_or_hex(&value.0));
        text.push_str(&format!("{:<16} {} = {value}\n", "header", plain(&header.name)));
    }
    match (decoded, &letter.message) {
        (Some(Ok(decoded)), _) => text.push_str(&format!("\n{decoded}\n")),
        (Some(Err(why)), Some(message)) => {
            text.push_str(&format!("\nNot decoded: {}\n\n{}", plain(&why), hex_dump(&message.0, original)));
        }
        _ => {}
    }
    text
}

/// As text where it is text, otherwise in hexadecimal digits; the beginning of it.
fn text_or_hex(bytes: &[u8]) -> String {
    let (shown, rest) = bytes.split_at(bytes.len().min(200));
    let more = if rest.is_empty() { String::new() } else { format!(" … {} more bytes", rest.len()) };
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{more}"),
        _ => format!("0x{}{more}", hex(shown)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Offset, 16 bytes, and what of them is printable.
fn hex_dump(bytes: &[u8], original: &Original) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes[..bytes.len().min(MAX_BYTES)].chunks(16).enumerate() {
        let digits: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable: String =
            chunk.iter().map(|byte| if (32..127).contains(byte) { char::from(*byte) } else { '.' }).collect();
        text.push_str(&format!("{:08x}  {:<47}  {printable}\n", line * 16, digits.join(" ")));
    }
    if bytes.len() > MAX_BYTES {
        let all = if matches!(original, Original::InTheLetter) { "--json" } else { "the original" };
        text.push_str(&format!("… {} more bytes; {all} has them all\n", bytes.len() - MAX_BYTES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::letter_at;
    use crate::types::UnixMillis;

    fn place() -> Elsewhere {
        Elsewhere { place: "s3://tank".to_owned(), key: "_dead_letters/a.avro".to_owned(), bytes: 9 }
    }

    #[test]
    fn given_a_letter_whose_original_is_lost_then_all_else_is_shown_and_that_it_is() {
        let letter = Envelope::pointing(&letter_at(17), "archive", UnixMillis(0), place());
        let lost = Original::Lost(place(), "nothing is there".to_owned());
        let text = as_text(&letter, &lost, None);
        for line in [
            "from             orders[3] at offset 17\n",
            "original         s3://tank/_dead_letters/a.avro, lost: nothing is there\n",
            "value            lost\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn given_more_bytes_than_are_shown_then_it_is_said_where_they_are() {
        let bytes = [7; MAX_BYTES + 1];
        assert!(hex_dump(&bytes, &Original::InTheLetter).ends_with("1 more bytes; --json has them all\n"));
        assert!(
            hex_dump(&bytes, &Original::At(place())).ends_with("1 more bytes; the original has them all\n")
        );
    }
}
