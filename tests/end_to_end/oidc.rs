//! Signing in with tokens of an OpenID provider, which last for half a minute.

use std::time::Duration;

use crate::event::orders;
use crate::patience::{stays, wait_until};
use crate::scene::Scene;
use crate::secure_kafka::ASKING;
use crate::stack::Stack;
use crate::token_provider::TokenProvider;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_tokens_that_end_soon_then_valve_works_on_with_fresh_ones_and_each_command_signs_in,
    given_a_provider_that_refuses_then_valve_waits_says_so_and_goes_on_once_it_doesnt,
];

/// Settings of the scene's valve with tokens of the provider, and what they are for there.
fn settings(scene: &Scene<'_>) -> (TokenProvider, Settings) {
    let secure = scene.stack.secure();
    let provider = TokenProvider::new("a-client", "planted%26secret");
    let settings = scene
        .settings()
        .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &secure.oauth)
        .with("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION", &secure.pem("ca.pem"))
        .with("VALVE_KAFKA__AUTH", "oidc")
        .with("VALVE_KAFKA__OIDC__TOKEN_URL", &provider.url())
        .with("VALVE_KAFKA__OIDC__CLIENT_ID", "a-client")
        .with("VALVE_KAFKA__OIDC__CLIENT_SECRET", "planted&secret")
        .with("VALVE_KAFKA__OIDC__SCOPE", "kafka read");
    (provider, settings)
}

fn given_tokens_that_end_soon_then_valve_works_on_with_fresh_ones_and_each_command_signs_in(stack: &Stack) {
    let mut scene = Scene::without_dead_letter_topic(stack, 2);
    let (provider, settings) = settings(&scene);
    let topic = scene.topic.clone();
    let mut produced = Vec::new();
    let valve = Valve::run(&settings);
    for round in 0..5 {
        produced.extend(scene.produce(&orders(&topic, round * 20..(round + 1) * 20, 2)));
        scene.producer.produce_raw(&topic, Some(b"no wire header"));
        scene.wait_committed();
        valve.wait_ready();
        stays("well", Duration::from_secs(9), || valve.get("/readyz").0 == 200);
    }
    let said = valve.stop_and_listen();
    assert!(!said.contains("planted"), "{said}");
    assert!(provider.given() >= 3, "{} tokens", provider.given());
    scene.assert_stored(&produced);
    for arguments in ASKING.iter().chain([&["deadletters", "replay"][..]].iter()) {
        let (code, said) = run(&settings, arguments);
        assert!(code == 0, "{arguments:?}: exit code {code}: {said}");
    }
}

fn given_a_provider_that_refuses_then_valve_waits_says_so_and_goes_on_once_it_doesnt(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let (provider, settings) = settings(&scene);
    provider.refuse(true);
    let valve = Valve::run(&settings);
    wait_until("the reason", || valve.wait_unready("kafka: ").contains("HTTP 401 (invalid_client)"));
    assert_eq!(valve.get("/livez").0, 200, "an outage is nothing that a restart mends");
    provider.refuse(false);
    scene.wait_committed();
    valve.wait_ready();
    let said = valve.stop_and_listen();
    assert!(!said.contains("planted"), "{said}");
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}
