use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use proptest::prelude::*;

use super::*;

fn iso(text: &str) -> Option<i64> {
    parse_iso8601(text.as_bytes()).map(|UnixMillis(millis)| millis)
}

fn utc(text: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn candidates(texts: &[&str]) -> Vec<Candidate> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn given_a_bare_field_then_the_refusal_says_how_fields_are_written() {
    let hint = "a field of the event is written field:meta.created_at@ms";
    assert!("meta.created_at@ms".parse::<Candidate>().unwrap_err().ends_with(hint));
    assert!(!"created at".parse::<Candidate>().unwrap_err().contains("a field of the event"));
}

fn rules(texts: &[&str]) -> TimestampRules {
    TimestampRules::new(candidates(texts), (1970, 2100)).unwrap()
}

fn found(times: &[FieldTime]) -> FieldTimes {
    let mut found = [FieldTime::Absent; MAX_FIELDS];
    found[..times.len()].copy_from_slice(times);
    FieldTimes::new(found)
}

const INSTANT: UnixMillis = UnixMillis(1_700_000_000_000);

#[test]
fn given_each_accepted_form_then_it_is_the_stated_instant() {
    for (text, same) in [
        ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z"),
        ("2024-02-29t12:34:56z", "2024-02-29T12:34:56Z"),
        ("2024-02-29 12:34:56", "2024-02-29T12:34:56Z"),
        ("2024-02-29T12:34", "2024-02-29T12:34:00Z"),
        ("2024-02-29T12:34+02:00", "2024-02-29T10:34:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2024-02-29T12:34:56+0200", "2024-02-29T10:34:56Z"),
        ("2024-02-29T12:34:56+02", "2024-02-29T10:34:56Z"),
        ("2024-02-29T12:34:56-05:30", "2024-02-29T18:04:56Z"),
        ("2024-01-01T00:00:00+23:59", "2023-12-31T00:01:00Z"),
        ("2024-02-29T12:34:56.7", "2024-02-29T12:34:56.700Z"),
        ("2024-02-29T12:34:56,78", "2024-02-29T12:34:56.780Z"),
        ("2024-02-29T12:34:56.123456789999Z", "2024-02-29T12:34:56.123Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("2000-02-29", "2000-02-29T00:00:00Z"),
    ] {
        assert_eq!(iso(text), utc(same), "{text}");
    }
}

#[test]
fn given_a_leap_second_then_it_is_the_next_minutes_first() {
    assert_eq!(iso("2016-12-31T23:59:60Z"), utc("2017-01-01T00:00:00Z"));
    assert_eq!(iso("2016-12-31T23:59:60.5Z"), utc("2017-01-01T00:00:00.500Z"));
}

#[test]
fn given_hour_24_then_it_is_the_next_midnight_and_nothing_later() {
    let midnight = utc("2025-01-01T00:00:00Z");
    for text in ["2024-12-31T24:00", "2024-12-31T24:00:00", "2024-12-31T24:00:00.000Z", "2024-12-31 24:00+00"]
    {
        assert_eq!(iso(text), midnight, "{text}");
    }
    for text in
        ["2024-12-31T24:00:01", "2024-12-31T24:01", "2024-12-31T24:00:00.001", "2024-12-31T24:00:00.0001"]
    {
        assert_eq!(iso(text), None, "{text}");
    }
}

#[test]
fn given_anything_else_then_it_is_no_time() {
    for text in [
        "",
        "2",
        "2024",
        "2024-02",
        "2024-2-29",
        "24-02-29",
        "+2024-02-29",
        "12024-02-29",
        "20240229",
        "2024/02/29",
        "2023-02-29",
        "1900-02-29",
        "2024-00-01",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "2024-04-31",
        "2024-02-29T",
        "2024-02-29T12",
        "2024-02-29T12:3",
        "2024-02-29T1234",
        "2024-02-29T25:00",
        "2024-02-29T12:60",
        "2024-02-29T12:34:61",
        "2024-02-29T12:34:5",
        "2024-02-29T12:34:",
        "2024-02-29T12:34:56.",
        "2024-02-29T12:34.5",
        "2024-02-29T12:34:56.x",
        "2024-02-29T12:34:56 Z",
        "2024-02-29  12:34",
        " 2024-02-29",
        "2024-02-29 ",
        "2024-02-29Z",
        "2024-02-29T12:34:56+",
        "2024-02-29T12:34:56+2",
        "2024-02-29T12:34:56+02:",
        "2024-02-29T12:34:56+020",
        "2024-02-29T12:34:56+02:0",
        "2024-02-29T12:34:56+24:00",
        "2024-02-29T12:34:56+02:60",
        "2024-02-29T12:34:56ZZ",
        "2024-02-29T12:34:56+02:00x",
        "2024-02-29_12:34",
        "2024-W09-4",
        "2024-060",
        "1709210096000",
        "２024-02-29",
        "now",
    ] {
        assert_eq!(iso(text), None, "{text:?}");
    }
    assert_eq!(parse_iso8601(b"2024-02-29\xff"), None);
}

#[test]
fn given_each_unit_then_counts_are_floored_also_before_1970() {
    for (unit, count, millis) in [
        (Unit::Seconds, -1, -1_000),
        (Unit::Millis, -1, -1),
        (Unit::Micros, 1_999, 1),
        (Unit::Micros, -1, -1),
        (Unit::Micros, -1_000, -1),
        (Unit::Micros, -1_001, -2),
        (Unit::Nanos, 1_999_999, 1),
        (Unit::Nanos, -1, -1),
        (Unit::Nanos, -1_000_001, -2),
    ] {
        assert_eq!(unit.since_1970(count), UnixMillis(millis), "{count}{unit}");
    }
}

#[test]
fn given_counts_beyond_all_times_then_they_are_out_of_range() {
    let rules = TimestampRules::new(candidates(&["field:a@s"]), (1, 9999)).unwrap();
    for unit in [Unit::Seconds, Unit::Millis] {
        for count in [i64::MIN, i64::MAX, i64::MAX / 1_000 + 1] {
            let times = found(&[FieldTime::At(unit.since_1970(count))]);
            assert!(rules.resolve(&times, None, INSTANT).is_err(), "{count}{unit}");
        }
    }
}

#[test]
fn given_candidates_as_text_then_they_print_as_they_were() {
    for text in
        ["kafka", "processing", "field:a", "field:a.b_1._c@ms", "field:t@s", "field:t@us", "field:t@ns"]
    {
        assert_eq!(text.parse::<Candidate>().unwrap().to_string(), text);
    }
    let path = FieldPath { names: vec!["a".into(), "b".into()], unit: Some(Unit::Micros) };
    assert_eq!("field:a.b@us".parse(), Ok(Candidate::Field(path)));
}

#[test]
fn given_no_candidate_then_the_sentence_says_what_is_allowed() {
    for text in ["", "Kafka", "field", "a.b", "fields:a"] {
        let said = text.parse::<Candidate>().unwrap_err();
        assert!(said.contains("field:<dot.path>[@s|ms|us|ns], kafka and processing"), "{said}");
    }
    for text in
        ["field:", "field:.a", "field:a.", "field:a..b", "field:@ms", "field:a b", "field:1a", "field:ä"]
    {
        let said = text.parse::<Candidate>().unwrap_err();
        assert!(said.contains("on its path"), "{said}");
    }
    for text in ["field:a@", "field:a@m", "field:a@MS", "field:a@s@ms"] {
        let said = text.parse::<Candidate>().unwrap_err();
        assert!(said.contains("allowed are s, ms, us and ns"), "{said}");
    }
    let long = format!("field:{}a", "a.".repeat(MAX_PATH_NAMES));
    assert!(long.parse::<Candidate>().unwrap_err().contains("more than 32 names"));
}

#[test]
fn given_rules_that_make_no_sense_then_they_are_refused() {
    let refused = |texts: &[&str], years| TimestampRules::new(candidates(texts), years).unwrap_err();
    assert!(refused(&[], (1970, 2100)).contains("at least one"));
    assert!(
        refused(&["field:a", "field:b", "field:c", "field:d", "field:e"], (1970, 2100)).contains("at most 4")
    );
    for twice in [
        ["kafka", "kafka"],
        ["processing", "processing"],
        ["field:a", "field:a"],
        ["field:a@s", "field:a@ms"],
    ] {
        assert!(refused(&twice, (1970, 2100)).contains(twice[1]));
    }
    for years in [(0, 2000), (-5, 3), (2000, 2000), (2001, 2000), (1970, 10_000)] {
        assert!(refused(&["kafka"], years).contains("within 1..9999"), "{years:?}");
    }
    assert!(
        TimestampRules::new(candidates(&["kafka", "processing", "field:a", "field:a.b"]), (1, 9999)).is_ok()
    );
}

#[test]
fn given_several_candidates_then_the_first_usable_one_counts() {
    let rules = rules(&["field:a", "kafka", "field:b", "processing"]);
    let a = FieldTime::At(UnixMillis(1));
    let b = FieldTime::At(UnixMillis(3));
    let kafka = Some(UnixMillis(2));
    assert_eq!(rules.resolve(&found(&[a, b]), kafka, INSTANT), Ok(UnixMillis(1)));
    let early = FieldTime::At(UnixMillis(-1));
    for unusable in [FieldTime::Absent, FieldTime::Null, FieldTime::Unparsable, FieldTime::WrongType, early] {
        assert_eq!(rules.resolve(&found(&[unusable, b]), kafka, INSTANT), Ok(UnixMillis(2)));
        assert_eq!(rules.resolve(&found(&[unusable, b]), None, INSTANT), Ok(UnixMillis(3)));
        assert_eq!(rules.resolve(&found(&[unusable, unusable]), None, INSTANT), Ok(INSTANT));
    }
}

#[test]
fn given_times_at_the_ranges_ends_then_the_first_is_in_and_the_end_is_out() {
    let rules = rules(&["kafka"]);
    let end = iso("2100-01-01").unwrap();
    for (millis, usable) in [(-1, false), (0, true), (end - 1, true), (end, false)] {
        let resolved = rules.resolve(&FieldTimes::default(), Some(UnixMillis(millis)), INSTANT);
        assert_eq!(resolved.is_ok(), usable, "{millis}");
    }
}

#[test]
fn given_no_usable_candidate_then_each_is_named_with_its_reason() {
    let rules = rules(&["field:a", "field:b.c@ms", "field:d", "field:e@s", "kafka"]);
    let times = [FieldTime::Null, FieldTime::WrongType, FieldTime::Unparsable, FieldTime::At(UnixMillis(-1))];
    assert_eq!(
        rules.resolve(&found(&times), None, INSTANT).unwrap_err(),
        "no usable timestamp: field:a is null; field:b.c@ms has a type that is no time, or a unit that is not stated or contradicts its logical type; \
         field:d is no ISO 8601 time; field:e@s is 1969-12-31T23:59:59.999+00:00, which is not within 1970..2100; \
         kafka is not there"
    );
    let endless = found(&[FieldTime::At(UnixMillis(i64::MAX))]);
    assert!(
        rules.resolve(&endless, None, INSTANT).unwrap_err().contains("9223372036854775807 ms since 1970")
    );
}

proptest! {
    #[test]
    fn given_any_instant_that_chrono_writes_then_it_is_read_back(millis in -62_167_219_200_000_i64..253_402_300_800_000) {
        let time = Utc.timestamp_millis_opt(millis).unwrap();
        for form in ["%Y-%m-%dT%H:%M:%S%.3fZ", "%Y-%m-%d %H:%M:%S,%3f", "%Y-%m-%dt%H:%M:%S%.9f+00:00"] {
            prop_assert_eq!(iso(&time.format(form).to_string()), Some(millis));
        }
    }

    #[test]
    fn given_any_offset_then_it_is_taken_off(millis in 0_i64..4_102_444_800_000, minutes in -1439..1440) {
        let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let time = zone.timestamp_millis_opt(millis).unwrap();
        for form in ["%Y-%m-%dT%H:%M:%S%.3f%:z", "%Y-%m-%dT%H:%M:%S%.3f%z"] {
            prop_assert_eq!(iso(&time.format(form).to_string()), Some(millis));
        }
    }

    #[test]
    fn given_any_three_numbers_then_they_are_a_date_when_chrono_knows_it(year in 0..10_000, month in 0_u32..15, day in 0_u32..34) {
        let known = NaiveDate::from_ymd_opt(year, month, day);
        let millis = known.map(|date| date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis());
        prop_assert_eq!(iso(&format!("{year:04}-{month:02}-{day:02}")), millis);
    }

    #[test]
    fn given_any_bytes_then_the_parser_returns(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        parse_iso8601(&bytes);
    }

    #[test]
    fn given_a_time_with_any_mutation_then_what_is_read_agrees_with_chrono(at in 0_usize..24, byte in prop::sample::select(b"0123456789:-T.Z+ ".to_vec())) {
        let mut text = *b"2024-02-29T23:59:59.123Z";
        text[at] = byte;
        let text = std::str::from_utf8(&text).unwrap();
        // chrono's RFC 3339 is narrower (a fraction needs a dot, a zone must be there), so one direction only.
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            prop_assert_eq!(iso(text), Some(time.timestamp_millis()));
        }
    }

    #[test]
    fn given_any_count_then_no_unit_overflows(count in any::<i64>()) {
        for unit in [Unit::Seconds, Unit::Millis, Unit::Micros, Unit::Nanos] {
            let UnixMillis(millis) = unit.since_1970(count);
            prop_assert_eq!(millis < 0, count < 0);
        }
    }
}
