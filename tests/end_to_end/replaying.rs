//! Dead letters that are sent again once what was wrong is mended.

use serde_json::{Value, json};

use crate::event::{incompressible, orders};
use crate::patience::{wait_for, wait_until};
use crate::producer::Produced;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_schema_that_was_missing_when_its_records_are_replayed_then_each_is_in_its_hours_file_and_the_audit_is_clean,
    given_a_replay_that_is_killed_when_it_is_run_again_then_each_record_was_sent_once,
    given_a_record_that_keeps_failing_then_its_letters_count_that_and_a_replay_leaves_it_alone,
    given_two_replays_at_once_then_the_second_ends_the_first_and_each_record_is_sent_once,
    given_letters_whose_topic_is_gone_or_isnt_read_then_the_others_are_sent_and_they_are_named,
    given_a_letter_whose_original_is_gone_then_the_rest_of_it_is_shown_and_a_replay_names_it_and_sends_the_others,
    given_that_valve_reads_what_isnt_committed_then_nothing_is_replayed,
];

/// All of `count` orders become dead letters, since the registry doesn't know their schema; then it does.
fn mended(scene: &mut Scene<'_>, count: i64) -> (Settings, Vec<Produced>, RegistryProxy) {
    let registry = RegistryProxy::new(&scene.stack.registry, Mode::Unknown);
    let settings = scene.settings().with("VALVE_REGISTRY__URL", &registry.url());
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..count, 2));
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [count]);
    registry.set(Mode::Forward);
    (settings, produced, registry)
}

fn stored_and_proven(scene: &mut Scene<'_>, settings: &Settings, produced: &[Produced]) {
    let valve = Valve::run(settings);
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(produced);
    let (code, report) = run(settings, &["audit", "--deep"]);
    assert!(code == 0 && report.contains("PROVEN"), "{report}");
}

fn given_a_schema_that_was_missing_when_its_records_are_replayed_then_each_is_in_its_hours_file_and_the_audit_is_clean(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 2);
    let (settings, produced, _registry) = mended(&mut scene, 20);
    let (code, said) = run(&settings, &["deadletters", "replay", "--dry-run", "--reason", "unknown_schema"]);
    assert!(
        code == 0 && said.contains("20 dead letters, 20 of them open") && said.contains("Nothing was sent."),
        "{said}"
    );
    let (code, said) = run(&settings, &["deadletters", "replay", "--reason", "no_timestamp"]);
    assert!(code == 0 && said.contains("Sent 0 records again."), "{said}");
    let (code, said) = run(&settings, &["deadletters", "replay", "--reason", "unknown_schema"]);
    assert!(code == 0 && said.contains("Sent 20 records again."), "{said}");
    stored_and_proven(&mut scene, &settings, &produced);
}

fn given_a_replay_that_is_killed_when_it_is_run_again_then_each_record_was_sent_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let (settings, produced, _registry) = mended(&mut scene, 1_500);
    // In its second transaction; the first had a thousand letters.
    let dies = settings.clone().with("FAULT_POINT", "replaying:2");
    let killed = dies.command(&["deadletters", "replay"]).output().unwrap();
    assert_eq!(killed.status.code(), None, "{killed:?}");
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 0 && said.contains("Sent 500 records again. 1000 had been sent before."), "{said}");
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 0 && said.contains("Sent 0 records again. 1500 had been sent before."), "{said}");
    let (_, listed) = run(&settings, &["deadletters", "list"]);
    assert!(listed.contains("1500 dead letters, 0 of them open"), "{listed}");
    assert!(!listed.contains("are no dead letters"), "{listed}");
    let (code, listed) = run(&settings, &["deadletters", "list", "--open", "--json"]);
    assert_eq!((code, listed.as_str()), (0, ""));
    stored_and_proven(&mut scene, &settings, &produced);
}

fn given_a_record_that_keeps_failing_then_its_letters_count_that_and_a_replay_leaves_it_alone(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    scene.producer.produce_with_headers(&topic, Some(b"\x02not Avro"), &[("trace", "abc")]);
    let settings = scene.settings();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let valve = Valve::run(&settings);
        scene.wait_committed();
        valve.stop();
        sent.push(run(&settings, &["deadletters", "replay", "--max-attempts", "2"]).1);
    }
    let alone =
        "Sent 0 records again. 2 had been sent before. 1 were left alone: dead-lettered more than 2 times";
    assert!(
        sent[0].contains("Sent 1 record again.") && sent[1].contains("Sent 1 record again. 1 had"),
        "{sent:?}"
    );
    assert!(sent[2].contains(alone), "{sent:?}");

    let (_, listed) = run(&settings, &["deadletters", "list", "--json"]);
    let letters: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let attempts: Vec<_> = letters.iter().map(|letter| letter["attempts"].as_i64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let shown: Vec<Value> = letters.iter().map(|letter| whole(&settings, letter)).collect();
    for letter in &shown[1..] {
        for same in ["message", "headers", "timestamp", "key", "topic", "partition", "first_failed_at"] {
            assert_eq!(letter[same], shown[0][same], "{same}");
        }
        assert_ne!(letter["id"], shown[0]["id"]);
    }
    assert_eq!(shown[0]["headers"], json!([{"name": "trace", "value": "YWJj"}]));
}

fn whole(settings: &Settings, letter: &Value) -> Value {
    let (code, shown) = run(settings, &["deadletters", "show", "--json", letter["place"].as_str().unwrap()]);
    assert_eq!(code, 0, "{shown}");
    serde_json::from_str(&shown).unwrap()
}

fn given_two_replays_at_once_then_the_second_ends_the_first_and_each_record_is_sent_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let (settings, produced, _registry) = mended(&mut scene, 20);
    let directory = tempfile::tempdir().unwrap();
    let let_go = directory.path().join("go on");
    let holds = settings.clone().with("FAULT_POINT", &format!("replaying:1:hold={}", let_go.display()));
    let mut first = Valve::start(&["deadletters", "replay"], &holds);
    wait_until("the first to have sent everything", || {
        scene.kafka.ends(&scene.topic).iter().sum::<i64>() >= 40
    });
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 0 && said.contains("Sent 20 records again."), "{said}");
    std::fs::write(&let_go, "").unwrap();
    let code = wait_for("the first to end", || first.exit_code());
    assert_eq!(code, 1);
    wait_until("its reason", || first.output().contains("Another replay for this valve has begun"));
    stored_and_proven(&mut scene, &settings, &produced);
}

fn given_letters_whose_topic_is_gone_or_isnt_read_then_the_others_are_sent_and_they_are_named(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let (topic, gone) = (scene.topic.clone(), format!("{}.gone", scene.name));
    scene.kafka.create_topic(&gone, 1);
    for topic in [&topic, &gone, &topic, &gone, &topic] {
        scene.producer.produce_raw(topic, Some(b"not Avro"));
    }
    let settings = scene.settings();
    let both = settings.clone().with("VALVE_TOPICS", &format!("{topic},{gone}"));
    let valve = Valve::run(&both);
    scene.wait_committed();
    scene.kafka.wait_committed(&scene.name, &gone);
    valve.stop();
    scene.kafka.delete_topic(&gone);

    let (code, said) = run(&settings, &["deadletters", "replay", "--dry-run"]);
    assert!(code == 0 && said.contains("2 are of topics that this valve doesn't read"), "{said}");
    for (sent, before) in
        [("Sent 3 records again.", ""), ("Sent 0 records again.", "3 had been sent before.")]
    {
        let (code, said) = run(&both, &["deadletters", "replay"]);
        assert!(code == 1 && said.contains(sent) && said.contains(before), "{said}");
        assert_eq!(said.matches(&format!("{gone}[0] at offset")).count(), 2, "{said}");
    }
    // They fail again, each once.
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    let (_, listed) = run(&settings, &["deadletters", "list", "--min-attempts", "2", "--json"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

fn given_a_letter_whose_original_is_gone_then_the_rest_of_it_is_shown_and_a_replay_names_it_and_sends_the_others(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    scene.kafka.limit_messages(&scene.dead_letter_topic, 2_000);
    scene.producer.produce_raw(&topic, Some(&incompressible(5_000)));
    scene.producer.produce_raw(&topic, Some(b"not Avro"));
    let settings = scene.settings();
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    let key = scene.originals().remove(0).key;
    scene.delete(&key);

    let letters = scene.kafka.values(&scene.dead_letter_topic);
    let at = letters.iter().position(|letter| letter["offset"] == 0).unwrap();
    let (code, shown) = run(&settings, &["deadletters", "show", &format!("0/{at}")]);
    assert!(code == 0 && shown.contains(&format!("{key}, lost: nothing is there")), "{shown}");
    assert!(shown.contains(&format!("{topic}[0] at offset 0")), "{shown}");
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 1 && said.contains("Sent 1 record again.") && said.contains(&key), "{said}");
    assert!(said.contains("[0] at offset 0: ") && !said.contains("at offset 1"), "{said}");
}

fn given_that_valve_reads_what_isnt_committed_then_nothing_is_replayed(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = scene.settings().with("VALVE_GROUP__ISOLATION", "read_uncommitted");
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 2 && said.contains("group.isolation"), "{said}");
}
