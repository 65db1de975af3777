//! The metadata of commits: any text may stand there, written by whoever may commit for the group.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::keys::{assert_stays_below, legal_years};
use super::{assert_plain_lines, assert_sentence};
use crate::batch::terms::Terms;
use crate::commands::intents::promised;
use crate::commands::intents::show::as_text;
use crate::config::{OutOfRange, Start};
use crate::core::intent::{Found, Metadata};
use crate::core::layout::FilePlace;
use crate::core::start::{Decision, Facts, StartPolicy, Stored, decide};
use crate::types::{Offset, TopicPartition};

/// An even first byte: the rest is the text. An odd one: the rest is what the text encodes. Bits 1 to 7 choose the settings
/// and what the broker says of the partition.
pub(super) fn intent(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let text = match choice % 2 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => format!("v1:{}", BASE64_URL_SAFE_NO_PAD.encode(rest)),
    };
    let decoded = Metadata::decode(&text);
    let (partition, first) = decoded.as_ref().map_or((0, Offset(0)), |own| (own.partition, own.first));
    begin(&text, partition, first, choice >> 1);
    let Some(own) = decoded else { return };
    assert_eq!(own.encode(), text);
    assert_eq!(Metadata::find(&text, partition, first), Found::Own(Box::new(own.clone())));
    assert_eq!(Metadata::find(&text, partition ^ 1, first), Found::Foreign);
    let place = TopicPartition::new("orders", partition);
    let promised = promised(&place, first, &text).map(|(metadata, intent)| (&place, metadata, intent));
    assert_plain_lines(&as_text(promised.as_slice(), &[]));
    if let Some(intent) = own.intent {
        match Terms::of(&intent.layout) {
            Err(why) => assert_sentence(&why),
            Ok(terms) => {
                let (topic, hour) = ("orders", legal_years(0));
                let file = FilePlace { topic, hour, count: u64::MAX, uuid: uuid::Uuid::nil() };
                assert_stays_below(&terms.layout.prefix, &terms.key.key(&terms.layout.prefix, &file));
            }
        }
    }
}

/// Where the partition would begin is decided, whatever stands in the metadata.
fn begin(text: &str, partition: i32, first: Offset, choice: u8) {
    let (low, end) = [(0, 1_000), (50, 100), (0, 0), (i64::MAX, i64::MAX)][usize::from(choice & 3)];
    let last =
        Stored::Last { metadata: text.to_owned(), complete: choice & 4 != 0, dead_letters: choice & 8 != 0 };
    let committed = (choice & 16 == 0).then(|| (first, text.to_owned()));
    let facts = Facts {
        stored: if committed.is_none() { last } else { Stored::NotAsked },
        committed,
        low: Offset(low),
        high: Offset(end),
        end: Offset(end),
        topic_id: (choice & 32 != 0).then_some(7),
        partitions: 8,
        partitions_at_start: None,
    };
    for out_of_range in [OutOfRange::Fail, OutOfRange::Earliest, OutOfRange::Latest] {
        let policy = StartPolicy { start: Start::Stored, out_of_range, longest_topic: usize::MAX };
        match decide(partition, &facts, policy) {
            Decision::Hold(why) => assert_sentence(&why),
            Decision::Begin { metadata, .. } => assert_eq!(metadata.partition, partition),
        }
    }
}
