//! What a replay writes on a record that it sends to its topic again, and what is read off it there.
//!
//! The headers stand behind the original's own. They say for which valve the record came back: all others stored it long ago, and
//! pass it over. Like all headers they can be written by anyone who may write to the topic.

use std::ffi::CStr;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};

use crate::types::UnixMillis;

/// The valve that it was sent again for, as the client wants a name.
pub(crate) const FOR_HEADER: &CStr = c"valve-replay-for";
/// The same name, as text.
pub const FOR: &str = match FOR_HEADER.to_str() {
    Ok(name) => name,
    Err(_) => unreachable!(),
};
/// How often that valve has dead-lettered it before: a decimal number.
pub const ATTEMPTS: &str = "valve-replay-attempts";
/// When it did for the first time: RFC 3339.
pub const FIRST_FAILED: &str = "valve-replay-first-failed";
/// The id of the dead letter that it was made of.
pub const LETTER: &str = "valve-replay-letter";

const ALL: [&str; 4] = [FOR, ATTEMPTS, FIRST_FAILED, LETTER];

/// The headers of a record, in order.
pub(crate) type Headers = Vec<(String, Option<Bytes>)>;

/// How often a record was dead-lettered, before and with this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// 1 for a record that was never replayed.
    pub count: u32,
    /// When it was dead-lettered for the first time, if that was before.
    pub first_failed: Option<UnixMillis>,
}

impl Attempts {
    /// Of a record that was never replayed.
    pub const FIRST: Self = Self { count: 1, first_failed: None };

    /// Takes what a replay wrote for `valve` off `headers`. What isn't as a replay writes it stays: it is the record's own.
    pub(crate) fn take_off(headers: &mut Headers, valve: &str) -> Self {
        let Some(begin) = headers.iter().rposition(|(name, value)| name == FOR && is(value.as_ref(), valve))
        else {
            return Self::FIRST;
        };
        if headers[begin..].iter().map(|(name, _)| name.as_str()).ne(ALL) {
            return Self::FIRST;
        }
        let written = headers.split_off(begin);
        let text = |index: usize| {
            let value = written.get(index).and_then(|(_, value)| value.as_deref());
            value.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
        };
        let first_failed = DateTime::parse_from_rfc3339(text(2)).ok();
        Self {
            count: text(1).parse::<u32>().unwrap_or(1).max(1).saturating_add(1),
            first_failed: first_failed.map(|at| UnixMillis(at.timestamp_millis())),
        }
    }

    /// Writes on a record that `valve` dead-lettered so often, with the letter `id`, that it is sent again.
    pub(crate) fn write_on(self, headers: &mut Headers, valve: &str, id: &str) {
        let first = self.first_failed.map(rfc3339).unwrap_or_default();
        let values = [valve.to_owned(), self.count.to_string(), first, id.to_owned()];
        headers.extend(ALL.iter().zip(values).map(|(name, value)| ((*name).to_owned(), Some(value.into()))));
    }
}

/// Whether a record with this value of [`FOR`] was sent again for another than `valve`. A valve has a name: an empty one is no
/// replay's.
pub(crate) fn is_for_another(sent_for: Option<&[u8]>, valve: &str) -> bool {
    sent_for.is_some_and(|name| !name.is_empty() && name != valve.as_bytes())
}

fn is(value: Option<&Bytes>, text: &str) -> bool {
    value.is_some_and(|value| value == text.as_bytes())
}

/// `time` with milliseconds and a `Z`; beyond the years that a date can have, 1970.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    DateTime::from_timestamp_millis(time.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: UnixMillis = UnixMillis(1_763_726_400_007);

    #[test]
    fn given_no_replay_then_it_is_the_first_attempt_and_the_headers_stay() {
        let mut headers = vec![("trace".to_owned(), None)];
        assert_eq!(Attempts::take_off(&mut headers, "archive"), Attempts::FIRST);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn given_headers_that_only_look_like_a_replays_then_they_stay() {
        let mut written = Vec::new();
        Attempts { count: 3, first_failed: Some(FAILED) }.write_on(&mut written, "archive", "7");
        let mut fewer = written.clone();
        fewer.pop();
        let mut others = written.clone();
        others.push(("trace".to_owned(), None));
        for mut headers in [fewer, others] {
            let before = headers.clone();
            assert_eq!(Attempts::take_off(&mut headers, "archive"), Attempts::FIRST);
            assert_eq!(headers, before);
        }
        assert_eq!(Attempts::take_off(&mut written.clone(), "tank"), Attempts::FIRST);
    }

    #[test]
    fn given_nonsense_for_a_number_then_it_counts_as_one_attempt_before() {
        let mut headers = Vec::new();
        Attempts::FIRST.write_on(&mut headers, "archive", "7");
        for count in ["", "-1", "many", "99999999999999", "0"] {
            headers[1].1 = Some(count.into());
            assert_eq!(Attempts::take_off(&mut headers.clone(), "archive").count, 2, "{count}");
        }
    }

    #[test]
    fn given_the_name_of_a_valve_then_only_others_pass_the_record_over() {
        assert!(!is_for_another(None, "archive") && !is_for_another(Some(b"archive"), "archive"));
        assert!(is_for_another(Some(b"tank"), "archive") && !is_for_another(Some(b""), "archive"));
    }

    proptest! {
        #[test]
        fn given_any_headers_when_they_were_written_on_then_taking_off_leaves_the_originals(
            own in prop::collection::vec((any::<String>(), prop::option::of(any::<Vec<u8>>())), 0..5),
            count in 1..u32::MAX,
            replayed in any::<bool>(),
        ) {
            let mut own: Headers = own.into_iter().map(|(name, value)| (name, value.map(Bytes::from))).collect();
            if replayed {
                // What somebody else's replay wrote is the record's own.
                Attempts::FIRST.write_on(&mut own, "tank", "x");
            }
            let mut headers = own.clone();
            Attempts { count, first_failed: Some(FAILED) }.write_on(&mut headers, "archive", "an id");
            let taken = Attempts::take_off(&mut headers, "archive");
            prop_assert_eq!(taken, Attempts { count: count + 1, first_failed: Some(FAILED) });
            prop_assert_eq!(headers, own);
        }
    }
}
