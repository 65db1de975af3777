//! The status page, as a real browser shows it.

use serde_json::{Value, json};

use crate::browser::{Chromium, Page};
use crate::event::orders;
use crate::patience::{wait_for, wait_until};
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

/// A test that needs a browser, too.
pub(crate) type PageTest = Test<fn(&Stack, &Chromium)>;

pub(crate) const TESTS: &[PageTest] = tests![
    given_a_valve_that_is_well_then_the_page_says_so_with_the_numbers_of_api_status,
    given_any_screen_then_the_page_fits_it_and_can_be_read_and_reached_by_keyboard,
    given_an_outage_and_a_held_partition_then_the_page_says_what_is_waited_for,
    given_hostile_text_then_it_stays_text,
    given_a_process_that_ends_then_the_page_says_that_its_figures_are_old,
    given_a_demo_then_its_page_shows_what_it_does,
];

/// A valve that has stored a hundred orders and waits for more, and its page.
fn settled<'a>(stack: &'a Stack, chromium: &Chromium) -> (Scene<'a>, Valve, Page) {
    let mut scene = Scene::new(stack, 2);
    let _produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 2));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.wait_ready();
    let page = chromium.open(&valve.url("/"));
    (scene, valve, page)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn given_a_valve_that_is_well_then_the_page_says_so_with_the_numbers_of_api_status(
    stack: &Stack,
    chromium: &Chromium,
) {
    let (scene, valve, mut page) = settled(stack, chromium);
    let seen = wait_for("the page to show that all is well and durable", || {
        let seen = page.look();
        let settled = seen["figures"]["totals.rows"] == "100" && seen["signs"]["lag"] == "caught up";
        (settled && seen["verdict"] == "All is well").then_some(seen)
    });
    let status = &seen["status"];
    let figures = [
        ("totals.consumed", &status["totals"]["consumed"], "100"),
        ("totals.rows", &status["totals"]["rows"], "100"),
        ("totals.dead_lettered", &status["totals"]["dead_lettered"], "0"),
        ("lag.max_offset_lag", &status["lag"]["max_offset_lag"], "0"),
    ];
    for (field, said, expected) in figures {
        assert_eq!(
            (text(&seen["figures"][field]), said.to_string()),
            (expected, expected.to_owned()),
            "{field}"
        );
    }
    assert_eq!(text(&seen["title"]), format!("All is well – {}", scene.name));
    assert_eq!(status["verdict"], json!({ "state": "well", "reasons": [] }));
    let sections = &seen["sections"];
    assert!(text(&sections["waiting"]).contains("No partition is held"), "{sections}");
    assert!(text(&sections["partitions"]).contains(&format!("{}[1]", scene.topic)), "{sections}");
    assert!(text(&sections["topics"]).contains(&scene.topic), "{sections}");
    for file in status["files"].as_array().unwrap() {
        assert!(text(&sections["files"]).contains(text(&file["key"])), "{sections}");
    }
    assert_eq!(status["files"].as_array().unwrap().len(), scene.files().len());

    let quiet = page.order(&json!({ "do": "said_and_asked" }));
    assert_eq!(quiet, json!({ "said": [], "hosts": [valve.address()] }));
    valve.stop();
}

fn given_any_screen_then_the_page_fits_it_and_can_be_read_and_reached_by_keyboard(
    stack: &Stack,
    chromium: &Chromium,
) {
    let (_scene, valve, mut page) = settled(stack, chromium);
    for (width, scheme) in
        [(1280, "light"), (1280, "dark"), (768, "light"), (360, "dark"), (360, "light"), (320, "light")]
    {
        let seen = page.order(&json!({ "do": "view", "width": width, "scheme": scheme }));
        assert_eq!(seen["page"], seen["window"], "{width} pixels: the page scrolls sideways");
        assert_readable(&seen);
    }
    let tabs = page.order(&json!({ "do": "tab_through" }));
    let reached = tabs["reached"].as_array().unwrap();
    let names: Vec<_> = reached.iter().map(|one| one["what"].clone()).collect();
    assert!(names.len() > 12, "{tabs}");
    assert_eq!(Value::from(names), tabs["wanted"], "in the order of the page");
    assert!(reached.iter().all(|one| one["visible"] == true), "{tabs}");

    let pressed = page.order(&json!({ "do": "press", "key": "Enter" }));
    assert!(text(&pressed).starts_with("Paused at "), "{pressed}");
    let pressed = page.order(&json!({ "do": "press", "key": "Space" }));
    assert!(text(&pressed).starts_with("As of "), "{pressed}");
    valve.stop();
}

/// Every text must have a contrast of 4.5 to what is behind it (WCAG 2, level AA).
fn assert_readable(view: &Value) {
    let contrast = &view["contrast"];
    assert!(contrast["texts"].as_u64() > Some(60), "{view}");
    assert!(contrast["least"][0].as_f64() >= Some(4.5), "{view}");
}

fn given_an_outage_and_a_held_partition_then_the_page_says_what_is_waited_for(
    stack: &Stack,
    chromium: &Chromium,
) {
    let mut scene = Scene::new(stack, 2);
    let _produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 2));
    // A log that is shorter than what is committed: somebody has to look.
    scene.kafka.commit(&scene.name, &scene.topic, &[0, 1_000]);
    let nowhere = scene.settings().with("VALVE_SINK__BUCKET", &unique("bucket"));
    let valve = Valve::run(&nowhere.with("VALVE_SHUTDOWN__DEADLINE", "3s"));
    let held = valve.wait_unready(&format!("held {}[1]", scene.topic));
    valve.wait_unready("sink");
    let mut page = chromium.open(&valve.url("/"));
    let seen = wait_for("the page to show both", || {
        let seen = page.look();
        let waiting = text(&seen["sections"]["waiting"]);
        (waiting.contains("The store") && waiting.contains("is held")).then_some(seen)
    });
    assert_eq!(
        (text(&seen["verdict"]), &seen["status"]["verdict"]["state"]),
        ("In trouble", &json!("trouble"))
    );
    assert!(seen["reasons"].as_array().unwrap().contains(&json!(held)), "{held} in {seen}");
    assert!(text(&seen["title"]).starts_with("In trouble"), "{seen}");
    assert_eq!(text(&seen["signs"]["stored"]), "waiting for the store");
    let reason = text(&seen["status"]["holds"]["shown"][0]["reason"]);
    assert!(!reason.is_empty() && text(&seen["sections"]["waiting"]).contains(reason), "{seen}");
    let partitions = text(&seen["sections"]["partitions"]);
    assert!(partitions.contains("held"), "{partitions}");
    for scheme in ["light", "dark"] {
        assert_readable(&page.order(&json!({ "do": "view", "width": 1280, "scheme": scheme })));
    }
}

fn given_hostile_text_then_it_stays_text(stack: &Stack, chromium: &Chromium) {
    let (_scene, valve, mut page) = settled(stack, chromium);
    wait_until("a file on the page", || !page.look()["status"]["files"].as_array().unwrap().is_empty());
    let harm = page.order(&json!({ "do": "harm" }));
    assert_eq!((&harm["harmed"], &harm["elements"]), (&json!(false), &json!(0)), "{harm}");
    let shown = json!(["lanes", "partitions", "files", "batches", "topics"]);
    assert_eq!(harm["shown"], shown, "it was there to see");
    valve.stop();
}

fn given_a_process_that_ends_then_the_page_says_that_its_figures_are_old(stack: &Stack, chromium: &Chromium) {
    let (scene, valve, mut page) = settled(stack, chromium);
    wait_until("the page to be well", || page.look()["verdict"] == "All is well");
    assert_eq!(page.look()["stale"], false);
    valve.freeze();
    let seen = page.order(&json!({ "do": "wait_stale" }));
    assert_eq!(seen["verdict"], "No answer", "{seen}");
    valve.thaw();
    page.order(&json!({ "do": "wait_answer" }));
    // Frozen for longer than its session, it was expelled and joins again first.
    wait_until("the page to be well again", || page.look()["verdict"] == "All is well");

    valve.crash();
    let seen = page.order(&json!({ "do": "wait_stale" }));
    assert!(text(&seen["notice"]).contains("No answer from this valve"), "{seen}");
    assert_eq!(text(&seen["title"]), format!("No answer – {}", scene.name));
    assert_eq!((&seen["filter"], &seen["seen"]), (&json!("grayscale(1)"), &json!(true)), "{seen}");
}

fn given_a_demo_then_its_page_shows_what_it_does(_: &Stack, chromium: &Chromium) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let arguments = ["demo", "--rate", "500", "--out", out.to_str().unwrap()];
    let mut valve = Valve::start(&arguments, &Settings::none());
    let mut page = chromium.open(&valve.url("/"));
    let seen = wait_for("files, a dead letter and charts on the page of a demo that is well", || {
        let seen = page.look();
        let stored = seen["status"]["totals"]["files"].as_u64() > Some(0);
        let letters = text(&seen["sections"]["dead-letters"]).contains("Records");
        let charts = seen["charts"].as_array().unwrap().iter().all(|line| text(line).starts_with('M'));
        (stored && letters && charts && seen["verdict"] == "All is well").then_some(seen)
    });
    assert_eq!(text(&seen["title"]), "All is well – valve-demo");
    for section in ["lanes", "partitions", "open-hours", "files", "batches", "topics"] {
        assert!(
            text(&seen["sections"][section]).lines().count() > 2,
            "{section}: {}",
            seen["sections"][section]
        );
    }
    valve.interrupt();
    assert_eq!(valve.exit_code(), Some(0), "{}", valve.output());
}
