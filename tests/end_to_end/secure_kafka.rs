//! Brokers that ask who one is: every client that valve opens signs in, and a refusal is an outage.

use std::time::Duration;

use crate::event::orders;
use crate::patience::{stays, wait_until};
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::taking_over::crash;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_scram_over_tls_then_a_life_with_crash_dead_letters_and_replay_is_as_without,
    given_scram_sha_256_then_valve_signs_in,
    given_plain_over_tls_then_valve_signs_in,
    given_a_certificate_of_its_own_with_a_key_under_a_password_then_valve_signs_in,
    given_a_user_that_the_brokers_dont_know_then_valve_waits_says_so_and_goes_on_once_they_do,
    given_one_topic_that_may_no_longer_be_read_then_the_others_are_committed_and_it_goes_on_once_it_may_be,
    given_a_wrong_password_then_each_command_says_so_and_none_shows_it,
    given_brokers_whose_authority_isnt_trusted_then_readyz_says_so,
    given_clients_amid_handshakes_when_the_process_ends_then_it_ends_well,
    given_an_authority_named_by_ssl_cert_file_then_it_is_trusted,
    given_brokers_that_want_a_certificate_and_get_none_then_readyz_says_so,
];

/// Settings of the scene's valve on the SASL listener.
pub(crate) fn sasl(scene: &Scene<'_>, mechanism: &str) -> Settings {
    let secure = scene.stack.secure();
    scene
        .settings()
        .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &secure.sasl)
        .with("VALVE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "SASL_SSL")
        .with("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION", &secure.pem("ca.pem"))
        .with("VALVE_KAFKA__PROPERTIES__SASL_MECHANISM", mechanism)
        .with("VALVE_KAFKA__PROPERTIES__SASL_USERNAME", &secure.user)
        .with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", &secure.password)
}

/// Settings of the scene's valve on the listener that wants certificates, without one.
fn tls(scene: &Scene<'_>) -> Settings {
    let secure = scene.stack.secure();
    scene
        .settings()
        .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &secure.tls)
        .with("VALVE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl")
        .with("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION", &secure.pem("ca.pem"))
}

/// A valve with these settings stores what is in the scene's topic.
pub(crate) fn stores(mut scene: Scene<'_>, settings: &Settings) {
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let valve = Valve::run(settings);
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
}

/// All commands that ask Kafka, each for a client of its own.
pub(crate) const ASKING: &[&[&str]] = &[
    &["audit"],
    &["hours"],
    &["intents", "show"],
    &["deadletters", "list"],
    &["deadletters", "replay", "--dry-run"],
];

/// Lanes, offsets, the takeover's reader, the dead-letter producer and the topic that it makes, readers of letters, the replay.
fn given_scram_over_tls_then_a_life_with_crash_dead_letters_and_replay_is_as_without(stack: &Stack) {
    let mut scene = Scene::without_dead_letter_topic(stack, 2);
    let settings = sasl(&scene, "SCRAM-SHA-512");
    let topic = scene.topic.clone();
    let mut produced = scene.produce(&orders(&topic, 0..200, 2));
    crash(&settings, "stored");
    let valve = Valve::run(&settings);
    scene.producer.produce_raw(&topic, Some(b"no wire header"));
    produced.extend(scene.produce(&orders(&topic, 200..300, 2)));
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_stored(&produced);
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [1], "the topic was made, and has the letter");
    for arguments in ASKING {
        let (code, said) = run(&settings, arguments);
        assert!(code == 0, "{arguments:?}: exit code {code}: {said}");
    }
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 0 && said.contains("Sent 1 record again."), "{said}");
}

fn given_scram_sha_256_then_valve_signs_in(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "SCRAM-SHA-256");
    stores(scene, &settings);
}

fn given_plain_over_tls_then_valve_signs_in(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "PLAIN").with("VALVE_GROUP__PROTOCOL", "consumer");
    let settings = settings.without("VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS");
    stores(scene, &settings.without("VALVE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS"));
}

fn given_a_certificate_of_its_own_with_a_key_under_a_password_then_valve_signs_in(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let secure = stack.secure();
    let settings = tls(&scene)
        .with("VALVE_KAFKA__PROPERTIES__SSL_CERTIFICATE_LOCATION", &secure.pem("client.pem"))
        .with("VALVE_KAFKA__PROPERTIES__SSL_KEY_LOCATION", &secure.pem("client-encrypted.key"))
        .with("VALVE_KAFKA__PROPERTIES__SSL_KEY_PASSWORD", "planted-key-password");
    stores(scene, &settings);
}

fn given_a_user_that_the_brokers_dont_know_then_valve_waits_says_so_and_goes_on_once_they_do(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let (user, password) = (unique("user"), "late-but-right");
    let settings = sasl(&scene, "SCRAM-SHA-512")
        .with("VALVE_KAFKA__PROPERTIES__SASL_USERNAME", &user)
        .with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", password);
    let valve = Valve::run(&settings);
    let line = valve.wait_unready("kafka: ");
    wait_until("the reason", || {
        valve.wait_unready("kafka: ").contains("invalid credentials with SASL mechanism SCRAM-SHA-512")
    });
    assert!(!line.contains(password), "{line}");
    stays("living", Duration::from_secs(3), || valve.get("/livez").0 == 200);
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);

    assert!(stack.tool("scram_user.py").args([&user, password]).status().unwrap().success());
    scene.wait_committed();
    valve.wait_ready();
    let said = valve.stop_and_listen();
    assert!(said.contains("invalid credentials") && !said.contains(password), "{said}");
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_one_topic_that_may_no_longer_be_read_then_the_others_are_committed_and_it_goes_on_once_it_may_be(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let denied = format!("{}.denied", scene.name);
    scene.kafka.create_topic(&denied, 1);
    let rights = |rights: &str| {
        assert!(stack.tool("topic_rights.py").args([&denied, rights]).status().unwrap().success());
    };
    // One lane, and batches that stand still until both are stored: their commits are handed over together.
    let directory = tempfile::tempdir().unwrap();
    let let_go = directory.path().join("go on");
    let settings = sasl(&scene, "SCRAM-SHA-512")
        .with("VALVE_TOPICS", &format!("{topic},{denied}"))
        .with("VALVE_LANES", "1")
        .with("VALVE_BATCH__MAX_RECORDS", "20")
        .with("VALVE_BATCH__MAX_IDLE", "1h")
        .with("VALVE_BATCH__MAX_AGE", "1h")
        .with("FAULT_POINT", &format!("published:on:hold={}", let_go.display()));
    let mut produced = scene.produce(&orders(&denied, 0..20, 1));
    produced.extend(scene.produce(&orders(&topic, 20..40, 1)));
    let valve = Valve::run(&settings);
    wait_until("both to be stored", || valve.output().matches("fault point reached").count() == 2);
    rights("describe");
    // The broker hears of that in its own time.
    valve.wait_unready(&format!("kafka: {denied}[0]: "));
    std::fs::write(&let_go, "").unwrap();
    let reason = valve.wait_unready(&format!("kafka: offset commit of {denied}[0]"));
    assert!(reason.contains("authorization"), "{reason}");
    for next in 1..3 {
        scene.wait_committed();
        produced.extend(scene.produce(&orders(&topic, next * 100..next * 100 + 20, 1)));
    }
    scene.wait_committed();
    assert_eq!(scene.kafka.committed(&scene.name, &denied), [0]);

    rights("all");
    scene.kafka.wait_committed(&scene.name, &denied);
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_a_wrong_password_then_each_command_says_so_and_none_shows_it(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "SCRAM-SHA-512").with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2");
    for arguments in [&["intents", "show"][..], &["deadletters", "list"], &["hours"]] {
        let (code, said) = run(&settings, arguments);
        assert_eq!(code, 4, "{arguments:?}: Kafka couldn't be asked: {said}");
        assert!(said.contains("Authentication failed"), "{arguments:?} says why: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

fn given_brokers_whose_authority_isnt_trusted_then_readyz_says_so(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "SCRAM-SHA-512").without("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION");
    let mut valve = Valve::run(&settings);
    wait_until("the reason", || valve.wait_unready("kafka: ").contains("certificate verify failed"));
    valve.terminate();
    assert_eq!(valve.exit_code(), Some(0), "nothing was read");
}

/// One handshake after the other, so that some of them are under way. Nearly one in ten crashed.
fn given_clients_amid_handshakes_when_the_process_ends_then_it_ends_well(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "SCRAM-SHA-512")
        .without("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION")
        .with("VALVE_KAFKA__PROPERTIES__RECONNECT_BACKOFF_MS", "1")
        .with("VALVE_KAFKA__PROPERTIES__RECONNECT_BACKOFF_MAX_MS", "1")
        .with("VALVE_LANES", "8");
    for _ in 0..6 {
        let mut valves: Vec<_> = (0..4).map(|_| Valve::run(&settings)).collect();
        for valve in &valves {
            wait_until("the reason", || valve.wait_unready("kafka: ").contains("certificate verify failed"));
            valve.terminate();
        }
        let codes: Vec<_> = valves.iter_mut().map(Valve::exit_code).collect();
        assert_eq!(codes, [Some(0); 4]);
    }
}

fn given_an_authority_named_by_ssl_cert_file_then_it_is_trusted(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = sasl(&scene, "SCRAM-SHA-512").without("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION");
    let settings = settings.with("SSL_CERT_FILE", &stack.secure().pem("ca.pem"));
    stores(scene, &settings);
}

fn given_brokers_that_want_a_certificate_and_get_none_then_readyz_says_so(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let mut valve = Valve::run(&tls(&scene));
    wait_until("the reason", || valve.wait_unready("kafka: ").contains("alert bad certificate"));
    valve.terminate();
    assert_eq!(valve.exit_code(), Some(0), "nothing was read");
}
