//! Under which layouts files were stored: who changes a setting that decides where records go has both in one bucket.

use crate::core::change::told;
use crate::core::intent::{Intent, Layout};
use crate::types::UnixMillis;

/// More different layouts aren't told apart.
const MOST: usize = 32;

/// The layouts that were met.
#[derive(Debug, Default)]
pub struct Layouts {
    met: Vec<Met>,
    /// Files under still other layouts.
    further: u64,
}

/// One of them.
#[derive(Debug)]
struct Met {
    layout: Layout,
    /// When the first batch of it was opened.
    since: UnixMillis,
    files: u64,
}

impl Layouts {
    /// Takes in a file of a batch with this intent.
    pub fn meet(&mut self, intent: &Intent) {
        let known = self.met.len();
        match self.met.iter_mut().find(|met| met.layout == intent.layout) {
            Some(met) => {
                met.files += 1;
                met.since = met.since.min(intent.instant);
            }
            None if known < MOST => {
                let (layout, since) = (intent.layout.clone(), intent.instant);
                self.met.push(Met { layout, since, files: 1 });
            }
            None => self.further += 1,
        }
    }

    /// What a reader of the audit should know of them; nothing when all files have one layout.
    #[must_use]
    pub fn notes(mut self) -> Vec<String> {
        self.met.sort_by_key(|met| met.since);
        let changes = self.met.windows(2).map(|pair| {
            let [before, now] = pair else { return String::new() };
            format!(
                "the layout changed with the batches opened from {} on ({} files under the earlier one, {} under the later): {}",
                now.since.to_text(),
                before.files,
                now.files,
                told(&before.layout.changes(&now.layout))
            )
        });
        let further = (self.further > 0)
            .then(|| format!("{} files were stored under still other layouts", self.further));
        changes.chain(further).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::codec::Codec;
    use crate::core::intent::Place;
    use crate::core::layout::{Granularity, NullPolicy};
    use crate::types::Offset;

    fn intent(key: &str, seconds: i64) -> Intent {
        let layout = Layout {
            timestamp: vec!["kafka".to_owned()],
            years: (1970, 2100),
            key: key.to_owned(),
            granularity: Granularity::Hour,
            prefix: String::new(),
            nulls: NullPolicy::Skip,
            read_committed: true,
            place: Place::Local { path: "/files".to_owned() },
            max_record_bytes: 1_000,
            codec: Codec::Null,
        };
        let instant = UnixMillis(seconds * 1_000);
        Intent { end: Offset(1), instant, rules: 1, layout, unknown_ids: vec![], outcome: 0 }
    }

    fn notes(met: &[(&str, i64)]) -> Vec<String> {
        let mut layouts = Layouts::default();
        met.iter().for_each(|(key, seconds)| layouts.meet(&intent(key, *seconds)));
        layouts.notes()
    }

    #[test]
    fn given_one_layout_then_there_is_nothing_to_say() {
        assert!(notes(&[]).is_empty());
        assert!(notes(&[("a", 1), ("a", 0)]).is_empty());
    }

    #[test]
    fn given_several_in_any_order_then_each_change_is_told_with_when_it_was() {
        let notes = notes(&[("c", 90), ("a", 3), ("b", 62), ("a", 1), ("b", 61)]);
        assert_eq!(
            notes,
            [
                "the layout changed with the batches opened from 1970-01-01T00:01:01Z on (2 files under the earlier one, 2 under the later): layout.key was \"a\", is \"b\"",
                "the layout changed with the batches opened from 1970-01-01T00:01:30Z on (2 files under the earlier one, 1 under the later): layout.key was \"b\", is \"c\"",
            ]
        );
    }

    #[test]
    fn given_more_layouts_than_are_told_apart_then_that_is_said() {
        let keys: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let met: Vec<(&str, i64)> = keys.iter().map(String::as_str).zip(0..).collect();
        let notes = notes(&met);
        assert_eq!(notes.len(), MOST);
        assert_eq!(notes.last().unwrap(), "8 files were stored under still other layouts");
    }
}
