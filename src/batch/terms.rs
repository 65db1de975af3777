//! The terms of a batch: a layout, parsed. Today's come from the settings; those of a batch that an earlier owner
//! promised come from its intent. Both go the same way, so that the same records end up in the same files.

use crate::avro::timestamp::{Candidate, TimestampRules};
use crate::core::intent::Layout;
use crate::core::layout::KeyTemplate;

/// What a record's fate and a file's place depend on.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) layout: Layout,
    pub(crate) timestamp: TimestampRules,
    pub(crate) key: KeyTemplate,
}

impl Terms {
    /// The terms that `layout` says.
    ///
    /// # Errors
    /// A sentence, when it says what no valve's settings could: it was read from a broker.
    pub(crate) fn of(layout: &Layout) -> Result<Self, String> {
        let candidates = layout.timestamp.iter().map(|text| text.parse::<Candidate>());
        let candidates = candidates.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let timestamp = TimestampRules::new(candidates, layout.years)?;
        let key: KeyTemplate = layout.key.parse().map_err(|error| format!("layout.key: {error}"))?;
        key.check(layout.granularity).map_err(|error| format!("layout.key: {error}"))?;
        key.check_below(&layout.prefix).map_err(|error| format!("layout.key or sink.prefix: {error}"))?;
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
}
