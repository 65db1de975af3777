//! The terms of a batch: a layout, parsed. Today's come from the settings; those of a batch that an earlier owner
//! promised come from its intent. Both go the same way, so that the same records end up in the same files.

use crate::avro::timestamp::{Candidate, TimestampRules};
use crate::core::intent::Layout;
use crate::core::layout::{KeyTemplate, check_prefix};

/// What a record's fate and a file's place depend on.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) layout: Layout,
    pub(crate) timestamp: TimestampRules,
    pub(crate) key: KeyTemplate,
}

impl Terms {
    /// The terms that `layout` says. How long keys may be is the settings' and the sink's business: a promise is kept if its own
    /// topic's keys can be stored.
    ///
    /// # Errors
    /// A sentence, when it says what no valve's settings could: it was read from a broker.
    pub(crate) fn of(layout: &Layout) -> Result<Self, String> {
        let candidates = layout.timestamp.iter().map(|text| text.parse::<Candidate>());
        let candidates = candidates.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let timestamp = TimestampRules::new(candidates, layout.years)?;
        let key: KeyTemplate = layout.key.parse().map_err(|error| format!("layout.key: {error}"))?;
        key.check(layout.granularity).map_err(|error| format!("layout.key: {error}"))?;
        check_prefix(&layout.prefix).map_err(|error| format!("sink.prefix: {error}"))?;
        Ok(Self { layout: layout.clone(), timestamp, key })
    }

    /// The largest value that isn't a dead letter, in bytes.
    pub(crate) fn max_record_bytes(&self) -> usize {
        usize::try_from(self.layout.max_record_bytes).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::layout::{FilePlace, Hour};
    use crate::stored::tests::promise;

    #[test]
    fn given_a_promise_whose_prefix_leads_out_of_the_sink_then_it_has_no_terms() {
        let mut layout = promise().intent.unwrap().layout;
        assert!(Terms::of(&layout).is_ok());
        for prefix in ["../..", "/etc", "a/../b", "a\n"] {
            prefix.clone_into(&mut layout.prefix);
            assert!(Terms::of(&layout).unwrap_err().contains("sink.prefix"), "{prefix}");
        }
    }

    #[test]
    fn given_a_promise_whose_keys_would_be_too_long_for_other_topics_then_it_has_terms_all_the_same() {
        let mut layout = promise().intent.unwrap().layout;
        layout.key = "{topic}/{year}/{month}/{day}/{hour}/{topic}/{topic}_{uuid}.avro".to_owned();
        layout.prefix = "p".repeat(250);
        let terms = Terms::of(&layout).unwrap();
        assert!(terms.key.check_below(&layout.prefix).is_err(), "today's settings can't say so");
        let place = FilePlace { topic: "orders", hour: Hour(0), count: 7, uuid: uuid::Uuid::nil() };
        assert!(terms.key.key(&layout.prefix, &place).len() < 400);
    }
}
