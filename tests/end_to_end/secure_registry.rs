//! A registry that asks who one is: basic authentication, tokens, certificates. A refusal is an outage, never a dead letter.

use std::time::Duration;

use crate::event::orders;
use crate::patience::stays;
use crate::registry_proxy::RegistryProxy;
use crate::scene::Scene;
use crate::secure_kafka::stores;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_registry_behind_basic_authentication_and_tls_then_valve_signs_in,
    given_a_registry_that_wants_a_token_then_valve_shows_it,
    given_a_registry_that_wants_a_certificate_then_valve_shows_its_own,
    given_a_wrong_password_then_valve_waits_says_so_and_dead_letters_nothing,
    given_a_registry_whose_authority_isnt_trusted_then_readyz_says_so,
    given_a_registry_that_wants_a_certificate_and_gets_none_or_a_strangers_then_readyz_says_so,
    given_a_key_under_a_password_then_the_setting_is_refused,
];

/// `user` and `a:password` in base64.
const BASIC: &str = "Basic dXNlcjphOnBhc3N3b3Jk";

fn settings(scene: &Scene<'_>, registry: &RegistryProxy) -> Settings {
    let ca = scene.stack.secure().pem("ca.pem");
    scene.settings().with("VALVE_REGISTRY__URL", &registry.url()).with("VALVE_REGISTRY__CA", &ca)
}

/// With the certificate and key of these files.
fn with_identity(settings: Settings, stack: &Stack, certificate: &str, key: &str) -> Settings {
    let secure = stack.secure();
    settings
        .with("VALVE_REGISTRY__CERTIFICATE", &secure.pem(certificate))
        .with("VALVE_REGISTRY__KEY", &secure.pem(key))
}

fn given_a_registry_behind_basic_authentication_and_tls_then_valve_signs_in(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let registry = RegistryProxy::over_tls(stack, false);
    registry.expect(BASIC);
    let settings = settings(&scene, &registry)
        .with("VALVE_REGISTRY__USERNAME", "user")
        .with("VALVE_REGISTRY__PASSWORD", "a:password");
    stores(scene, &settings);
    assert!(registry.requests() > 0, "it went another way");
}

fn given_a_registry_that_wants_a_token_then_valve_shows_it(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let registry = RegistryProxy::over_tls(stack, false);
    registry.expect("Bearer a-token");
    let settings = settings(&scene, &registry).with("VALVE_REGISTRY__TOKEN", "a-token");
    stores(scene, &settings);
    assert!(registry.requests() > 0, "it went another way");
}

fn given_a_registry_that_wants_a_certificate_then_valve_shows_its_own(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let registry = RegistryProxy::over_tls(stack, true);
    let settings = with_identity(settings(&scene, &registry), stack, "client.pem", "client.key");
    stores(scene, &settings);
    assert!(registry.requests() > 0, "it went another way");
}

fn given_a_wrong_password_then_valve_waits_says_so_and_dead_letters_nothing(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let registry = RegistryProxy::over_tls(stack, false);
    registry.expect("Basic of another user");
    let settings = settings(&scene, &registry)
        .with("VALVE_REGISTRY__USERNAME", "user")
        .with("VALVE_REGISTRY__PASSWORD", "a:password");
    let valve = Valve::run(&settings);
    let line = valve.wait_unready("registry: ");
    assert!(line.contains("HTTP 401") && line.contains("registry.password"), "says what to do: {line}");
    // Longer than `registry.unknown_after`.
    stays("nothing committed", Duration::from_secs(3), || {
        scene.kafka.committed(&scene.name, &scene.topic) == [0]
    });
    registry.expect(BASIC);
    scene.wait_committed();
    valve.wait_ready();
    let said = valve.stop_and_listen();
    assert!(!said.contains("a:password") && !said.contains("dXNlcjphOnBhc3N3b3Jk"), "{said}");
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

/// A valve with these settings waits for the registry, and says this.
fn waits(mut scene: Scene<'_>, settings: &Settings, said: &str) {
    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let valve = Valve::run(&settings.clone().with("VALVE_SHUTDOWN__DEADLINE", "1s"));
    let line = valve.wait_unready("registry: ");
    assert!(line.contains(said), "{line}");
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);
    scene.assert_no_dead_letters();
}

fn given_a_registry_whose_authority_isnt_trusted_then_readyz_says_so(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let registry = RegistryProxy::over_tls(stack, false);
    let settings = settings(&scene, &registry).without("VALVE_REGISTRY__CA");
    waits(scene, &settings, "UnknownIssuer");
}

fn given_a_registry_that_wants_a_certificate_and_gets_none_or_a_strangers_then_readyz_says_so(stack: &Stack) {
    let registry = RegistryProxy::over_tls(stack, true);
    let scene = Scene::new(stack, 1);
    let none = settings(&scene, &registry);
    waits(scene, &none, "CertificateRequired");
    let scene = Scene::new(stack, 1);
    let strangers = with_identity(settings(&scene, &registry), stack, "stranger.pem", "stranger.key");
    waits(scene, &strangers, "UnknownCA");
}

fn given_a_key_under_a_password_then_the_setting_is_refused(stack: &Stack) {
    let registry = RegistryProxy::over_tls(stack, true);
    let scene = Scene::new(stack, 1);
    let encrypted = with_identity(settings(&scene, &registry), stack, "client.pem", "client-encrypted.key");
    let mut valve = Valve::run(&encrypted);
    assert_eq!(valve.exit_code(), Some(2));
    crate::patience::wait_until("the setting's name", || valve.output().contains("registry.key"));
}
