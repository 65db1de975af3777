//! Times written as ISO 8601; [`super`] has the table of what is accepted.

use crate::types::UnixMillis;

pub(in crate::avro) const MILLIS_PER_DAY: i64 = 86_400_000;
const MILLIS_PER_HOUR: i64 = 3_600_000;
const MILLIS_PER_MINUTE: i64 = 60_000;
const MILLIS_PER_SECOND: i64 = 1_000;

/// The time that all of `text` says, floored to milliseconds.
pub(in crate::avro) fn parse(text: &[u8]) -> Option<UnixMillis> {
    let mut text = Reader(text);
    let day = date(&mut text)?;
    let within_day = if text.0.is_empty() {
        0
    } else {
        text.one_of(b"Tt ")?;
        time_of_day(&mut text)? - offset(&mut text)?
    };
    text.0.is_empty().then_some(UnixMillis(day * MILLIS_PER_DAY + within_day))
}

/// The beginning of `year`.
pub(super) fn year_start(year: i32) -> UnixMillis {
    UnixMillis(days_since_1970(i64::from(year), 1, 1) * MILLIS_PER_DAY)
}

/// `YYYY-MM-DD`, in days since 1970.
fn date(text: &mut Reader<'_>) -> Option<i64> {
    let year = text.two_digits()? * 100 + text.two_digits()?;
    text.one_of(b"-")?;
    let month = text.two_digits()?;
    text.one_of(b"-")?;
    let day = text.two_digits()?;
    let exists = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    exists.then(|| days_since_1970(year, month, day))
}

/// `HH:MM[:SS[.fraction]]`, in milliseconds.
fn time_of_day(text: &mut Reader<'_>) -> Option<i64> {
    let hour = text.two_digits()?;
    text.one_of(b":")?;
    let minute = text.two_digits()?;
    let (second, fraction) = match text.one_of(b":") {
        Some(_) => (text.two_digits()?, text.fraction()?),
        None => (0, Fraction { millis: 0, zero: true }),
    };
    let midnight = hour == 24 && minute == 0 && second == 0 && fraction.zero;
    // Second 60 is a leap second; arithmetic makes it the next minute's first.
    let exists = midnight || (hour < 24 && minute < 60 && second <= 60);
    exists.then_some(
        hour * MILLIS_PER_HOUR + minute * MILLIS_PER_MINUTE + second * MILLIS_PER_SECOND + fraction.millis,
    )
}

/// `Z`, `±HH`, `±HHMM`, `±HH:MM` or nothing, in milliseconds ahead of UTC.
fn offset(text: &mut Reader<'_>) -> Option<i64> {
    let sign = match text.one_of(b"Zz+-") {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some(0),
    };
    let hours = text.two_digits()?;
    let minutes = match text.one_of(b":") {
        Some(_) => text.two_digits()?,
        None if text.0.is_empty() => 0,
        None => text.two_digits()?,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * MILLIS_PER_HOUR + minutes * MILLIS_PER_MINUTE))
}

/// A part of a second.
struct Fraction {
    /// Its whole milliseconds.
    millis: i64,
    /// Whether it is none at all.
    zero: bool,
}

/// What hasn't been read yet.
struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    /// The next byte, if it is one of `these`; otherwise nothing is read.
    fn one_of(&mut self, these: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        these.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn digit(&mut self) -> Option<i64> {
        self.one_of(b"0123456789").map(|digit| i64::from(digit - b'0'))
    }

    fn two_digits(&mut self) -> Option<i64> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    /// `.` or `,` with at least one digit, or nothing.
    fn fraction(&mut self) -> Option<Fraction> {
        let mut fraction = Fraction { millis: 0, zero: true };
        if self.one_of(b".,").is_none() {
            return Some(fraction);
        }
        let mut next = Some(self.digit()?);
        let mut worth = 100;
        while let Some(digit) = next {
            fraction.millis += digit * worth;
            fraction.zero &= digit == 0;
            worth /= 10;
            next = self.digit();
        }
        Some(fraction)
    }
}

fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of a date of the proleptic Gregorian calendar, from year 0. Years are taken to begin in March, so that a leap day
/// is the last of its year, and months from March have 30.6 days on average (153 in any five).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    /// From 1 March of year 0 to 1970-01-01.
    const DAYS_TO_1970: i64 = 719_468;
    let (year, months_since_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * months_since_march + 2) / 5 + day - 1 - DAYS_TO_1970
}
