//! Values as people write them: durations, sizes, shares, numbers, lists.
//!
//! Everything here refuses what it doesn't understand, in a sentence that never repeats the value: the value may
//! be a secret, and whoever reports the sentence shows the value beside it where that is allowed.

use std::time::Duration;

use super::error::Problem;

/// The longest duration that any setting may have. Far beyond sense, and far below what arithmetic on times can
/// overflow with.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// A duration: numbers with units, added up (`90s`, `10 min`, `1h 30m`).
///
/// # Errors
/// Says what is wrong: no number, no unit, an unknown unit, or more than a year.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".into());
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let (unit, after) = leading_unit(after);
        let millis = millis_per(unit)?;
        let part = number.checked_mul(millis).map(Duration::from_millis);
        total = part.and_then(|part| total.checked_add(part)).ok_or("it is longer than a year")?;
        rest = after.trim_start();
    }
    if total > MAX_DURATION {
        return Err("it is longer than a year".into());
    }
    Ok(total)
}

/// How many milliseconds a unit of time has.
fn millis_per(unit: &str) -> Result<u64, Problem> {
    Ok(match unit {
        "ms" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "" => return Err("a duration needs a unit: `s`, `min`, `h` (as in `10 min`)".into()),
        _ => return Err("its unit is none of `ms`, `s`, `min`, `h`, `d`".into()),
    })
}

/// A size in bytes: a number, bare (bytes) or with a unit (`128 MiB`, `128MB`; `KiB` is 1,024, `kB` is 1,000).
///
/// # Errors
/// Says what is wrong: no number, an unknown or ambiguous unit, or more bytes than 64 bits count.
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    let (number, rest) = leading_number(text.trim())?;
    let (unit, rest) = leading_unit(rest);
    if !rest.is_empty() {
        return Err("something follows the unit".into());
    }
    let bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "k" | "m" | "g" | "t" => {
            return Err("its unit is ambiguous: write `MiB` (1,048,576) or `MB` (1,000,000)".into());
        }
        _ => return Err("its unit is none of `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`".into()),
    };
    number.checked_mul(bytes).ok_or_else(|| "it is more than 64 bits count".into())
}

/// A share of something, `40 %`; `None` when `text` doesn't end in a per cent sign.
///
/// # Errors
/// Says that it isn't a whole number from 1 to 95.
pub(super) fn percent(text: &str) -> Option<Result<u64, Problem>> {
    let number = text.trim().strip_suffix('%')?;
    Some(match integer(number) {
        Ok(percent @ 1..=95) => Ok(percent),
        _ => Err("a share must be a whole number from 1 to 95".into()),
    })
}

/// A whole number; `_` may separate its digits (`1_000_000`).
///
/// # Errors
/// Says that it is none, or too large for 64 bits.
pub(super) fn integer(text: &str) -> Result<u64, Problem> {
    let (number, rest) = leading_number(text.trim())?;
    if rest.is_empty() { Ok(number) } else { Err("it is not a whole number".into()) }
}

/// `true` or `false`.
///
/// # Errors
/// Says that it is neither.
pub(super) fn boolean(text: &str) -> Result<bool, Problem> {
    match text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it is neither `true` nor `false`".into()),
    }
}

/// The items of a list written as text: `[a, "b"]`. `None` when `text` has no brackets around it.
pub(super) fn bracketed(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    Some(separated(inside))
}

/// The items between commas, without blanks and quotes around them. A comma at the end adds no item.
pub(super) fn separated(text: &str) -> Vec<String> {
    let text = text.trim();
    let text = text.strip_suffix(',').unwrap_or(text);
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| unquoted(item.trim()).to_owned()).collect()
}

fn unquoted(item: &str) -> &str {
    let inside = |quote| item.strip_prefix(quote).and_then(|item: &str| item.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(item)
}

/// The number that `text` begins with, and what follows it.
fn leading_number(text: &str) -> Result<(u64, &str), Problem> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("it doesn't begin with a number".into());
    }
    if rest.starts_with('.') {
        return Err("it must be a whole number; take a smaller unit".into());
    }
    let number = digits.replace('_', "").parse().map_err(|_| "its number is more than 64 bits hold")?;
    Ok((number, rest))
}

/// The unit that `text` begins with (blanks before it left out), and what follows it.
fn leading_unit(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn given_durations_as_people_write_them_then_they_are_read() {
        let written = [
            ("250ms", Duration::from_millis(250)),
            ("90s", secs(90)),
            ("10 min", secs(600)),
            ("10m", secs(600)),
            ("1 h 30 m", secs(5400)),
            ("1h30m", secs(5400)),
            ("2 days", secs(172_800)),
            (" 1_000 s ", secs(1000)),
            ("0s", secs(0)),
        ];
        for (text, expected) in written {
            assert_eq!(duration(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn given_a_duration_without_unit_then_the_sentence_asks_for_one() {
        let problem = duration("600").unwrap_err();
        assert!(problem.sentence.contains("needs a unit"), "{problem:?}");
    }

    #[test]
    fn given_no_duration_then_it_is_refused() {
        for text in [
            "",
            "s",
            "-1 s",
            "1.5 min",
            "1 fortnight",
            "_ s",
            "400 d",
            "99999999999999999999 s",
            "1 s x",
            "10 M",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn given_sizes_as_people_write_them_then_they_are_read() {
        let written = [
            ("1_000_000", 1_000_000),
            ("128 MiB", 128 << 20),
            ("128MB", 128_000_000),
            ("1 gib", 1 << 30),
            ("512 B", 512),
            ("64kB", 64_000),
        ];
        for (text, expected) in written {
            assert_eq!(size(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn given_no_size_then_it_is_refused() {
        for text in ["", "MiB", "128M", "1.5 GiB", "-1", "1 MiB 2", "99999999 TiB", "1 parsec"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn given_shares_then_only_1_to_95_per_cent_are_taken() {
        assert_eq!(percent("40 %"), Some(Ok(40)));
        assert_eq!(percent("40%"), Some(Ok(40)));
        assert_eq!(percent("40"), None);
        for text in ["0 %", "96%", "%", "1.5%", "-1%"] {
            assert!(percent(text).is_some_and(|share| share.is_err()), "{text:?}");
        }
    }

    #[test]
    fn given_a_list_in_brackets_then_quotes_and_blanks_are_left_out() {
        assert_eq!(bracketed("[a, \"b\" ,'c']"), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(bracketed("[]"), Some(vec![]));
        assert_eq!(bracketed("a, b"), None);
        assert_eq!(separated("a, b,"), vec!["a", "b"]);
        assert_eq!(separated("a,,b"), vec!["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn given_a_number_and_a_unit_of_time_then_it_is_their_product(
            number in 0u64..365, unit in prop::sample::select(vec![("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)]),
            blank in prop::sample::select(vec!["", " "]),
        ) {
            prop_assert_eq!(duration(&format!("{number}{blank}{}", unit.0)), Ok(secs(number * unit.1)));
        }

        #[test]
        fn given_a_bare_number_then_it_is_that_many_bytes(number: u64) {
            prop_assert_eq!(size(&number.to_string()), Ok(number));
            prop_assert_eq!(integer(&number.to_string()), Ok(number));
            prop_assert!(duration(&number.to_string()).is_err());
        }

        #[test]
        fn given_any_text_then_nothing_panics(text in ".{0,40}") {
            let _read = (duration(&text), size(&text), percent(&text), integer(&text), boolean(&text));
            let _items = (bracketed(&text), separated(&text));
        }

        #[test]
        fn given_digits_and_units_in_any_order_then_nothing_panics(text in "[0-9_ .%a-zA-Z-]{0,30}") {
            let _read = (duration(&text), size(&text), percent(&text), integer(&text));
        }
    }
}
