//! Hours and keys: what they are, and what is refused.

use super::*;

fn place() -> FilePlace<'static> {
    FilePlace { topic: "orders", hour: Hour(473_353), count: 12, uuid: Uuid::nil() }
}

#[test]
fn given_the_default_template_then_the_key_has_the_documented_form() {
    let template: KeyTemplate = DEFAULT_KEY.parse().unwrap();
    assert_eq!(
        template.key("tank/a", &place()),
        "tank/a/orders/year=2024/month=01/day=01/hour=01/orders_12-messages_00000000-0000-0000-0000-000000000000.avro"
    );
    assert_eq!(template.to_string(), DEFAULT_KEY);
}

#[test]
fn given_times_before_1970_then_hours_and_days_are_floored() {
    assert_eq!(Hour::of(UnixMillis(-1), Granularity::Hour), Hour(-1));
    assert_eq!(Hour::of(UnixMillis(-1), Granularity::Day), Hour(-24));
    assert_eq!(Hour::of(UnixMillis(MILLIS_PER_HOUR * 25), Granularity::Day), Hour(24));
}

#[test]
fn given_an_hour_then_its_text_parses_to_itself_and_other_spellings_do_not() {
    for hour in [Hour(473_353), Hour(0), Hour(-1)] {
        assert_eq!(hour.to_string().parse(), Ok(hour));
    }
    for text in ["", "2026-11-23", "2026-11-23T7", "2026-11-23T24", "2026-11-23T07:00", "2026-11-23 07"] {
        assert!(text.parse::<Hour>().is_err(), "{text}");
    }
}

#[test]
fn given_a_template_then_what_the_keys_of_an_hour_or_topic_begin_with_is_known_if_nothing_comes_before() {
    let prefixes = |text: &str| {
        let template: KeyTemplate = text.parse().unwrap();
        let hour = template.hour_prefix("tank", "orders", Hour(473_353));
        (hour, template.topic_prefix("tank", "orders"))
    };
    let some = |text: &str| Some(text.to_owned());
    let hour = "tank/orders/year=2024/month=01/day=01/hour=01/orders_";
    assert_eq!(prefixes(DEFAULT_KEY), (some(hour), some("tank/orders/year=")));
    assert_eq!(prefixes("{year}-{month}-{day}/{uuid}"), (some("tank/2024-01-01/"), None));
    assert_eq!(prefixes("{topic}/{uuid}/{year}{month}{day}{hour}"), (None, some("tank/orders/")));
    assert_eq!(prefixes("{year}{month}{day}/{count}/{hour}/{uuid}"), (None, None));
}

#[test]
fn given_a_template_then_a_topics_folder_is_known_if_nothing_comes_before_it() {
    let folder = |text: &str| {
        let template: KeyTemplate = text.parse().unwrap();
        template.topic_folder("tank", "orders")
    };
    let hour = "{year}{month}{day}{hour}/{uuid}";
    assert_eq!(folder(DEFAULT_KEY).as_deref(), Some("tank/orders/"));
    assert_eq!(folder(&format!("of {{topic}}_a/b/{hour}")).as_deref(), Some("tank/of orders_a/"));
    assert_eq!(
        folder(&format!("{{topic}}{{topic}}/{{topic}}/{hour}")).as_deref(),
        Some("tank/ordersorders/")
    );
    assert_eq!(folder(&format!("{{topic}}{hour}")), None);
    assert_eq!(folder("{year}{month}{day}{hour}/{topic}/{uuid}"), None);
}

#[test]
fn given_a_template_then_an_hours_folder_is_known_if_topic_and_hour_stand_in_it_and_nothing_of_one_file() {
    let folder = |text: &str| {
        let template: KeyTemplate = text.parse().unwrap();
        template.hour_folder("tank", "orders", Hour(473_353))
    };
    assert_eq!(folder(DEFAULT_KEY).as_deref(), Some("tank/orders/year=2024/month=01/day=01/hour=01"));
    assert_eq!(folder("{year}{month}{day}/of {topic}/x_{uuid}").as_deref(), Some("tank/20240101/of orders"));
    for none in [
        "{topic}/{year}{month}{day}/{hour}_{uuid}",
        "{year}{month}{day}{hour}/{topic}_{uuid}",
        "{topic}/{year}{month}{day}{hour}/{uuid}/file",
        "{topic}{year}{month}{day}{hour}{uuid}",
    ] {
        assert_eq!(folder(none), None, "{none}");
    }
}

#[test]
fn given_a_template_that_leaves_the_prefix_then_it_is_refused() {
    for text in ["/a/{uuid}", "a//{uuid}", "../{uuid}", "a/./{uuid}", "{uuid}/", "a\n{uuid}", ""] {
        assert_eq!(text.parse::<KeyTemplate>(), Err(TemplateError::Path), "{text:?}");
    }
}

#[test]
fn given_a_prefix_that_leads_elsewhere_or_keys_longer_than_s3_takes_then_it_is_refused() {
    let default: KeyTemplate = DEFAULT_KEY.parse().unwrap();
    for prefix in ["", "tank", "a/b", &"p".repeat(300)] {
        assert_eq!(default.check_below(prefix), Ok(()));
    }
    for prefix in ["..", "../..", "a/../../b", "/a", "a/", "a//b", ".", "a\u{1b}[2J"] {
        assert_eq!(default.check_below(prefix), Err(TemplateError::Path), "{prefix:?}");
    }
    let long: KeyTemplate = "{topic}{topic}{topic}{topic}/{uuid}".parse().unwrap();
    assert_eq!(long.check_below("a"), Err(TemplateError::Length(1_035)));
}

#[test]
fn given_a_longest_name_of_files_and_folders_then_topics_names_must_leave_room_for_the_rest() {
    fn longest(text: &str, prefix: &str) -> Option<usize> {
        text.parse::<KeyTemplate>().unwrap().longest_topic(prefix, 255, 2_000_000)
    }
    // The file's name has 59 bytes beside the topic's.
    assert_eq!(longest(DEFAULT_KEY, "tank"), Some(196));
    assert_eq!(longest("{topic}/{uuid}", ""), Some(249));
    assert_eq!(longest("{topic}{topic}/{uuid}", ""), Some(127));
    assert_eq!(longest("{topic}/{uuid}", &"p".repeat(256)), None);
    assert_eq!(longest(&format!("{}{{uuid}}", "a".repeat(220)), ""), None);
}

#[test]
fn given_braces_that_mean_nothing_then_it_is_refused() {
    assert_eq!("{uid}".parse::<KeyTemplate>(), Err(TemplateError::UnknownName("uid".into())));
    assert_eq!("a}".parse::<KeyTemplate>(), Err(TemplateError::Brace));
    assert_eq!("{uuid".parse::<KeyTemplate>(), Err(TemplateError::Brace));
}

#[test]
fn given_a_template_without_hour_or_uuid_then_the_check_names_what_is_missing() {
    let template: KeyTemplate = "{topic}/{year}{month}{day}/{uuid}".parse().unwrap();
    assert!(template.check(Granularity::Day).is_ok());
    assert!(matches!(template.check(Granularity::Hour), Err(TemplateError::Missing("{hour}", _))));
    let template: KeyTemplate = "{topic}/{year}{month}{day}{hour}".parse().unwrap();
    assert!(matches!(template.check(Granularity::Hour), Err(TemplateError::Missing("{uuid}", _))));
}
