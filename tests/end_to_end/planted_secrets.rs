//! Secrets are printed by nothing: each setting that may hold one holds a distinct one, and everything that valve prints or
//! serves is searched for them, as they are and as base64, percent-encoded or escaped in JSON.

use std::fs;
use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::consul::Keys;
use crate::event::orders;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::secure_kafka::{ASKING, sasl};
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_planted_secrets_and_everything_logged_then_a_valve_at_work_prints_and_serves_none_of_them,
    given_planted_secrets_that_nobody_takes_then_what_valve_says_of_the_refusals_has_none_of_them,
    given_planted_secrets_beside_settings_that_are_wrong_then_the_errors_have_none_of_them,
];

/// Everything that libraries would say, too.
const ALL_LOGS: &str = "trace,rdkafka=trace,librdkafka=trace,hyper=trace,h2=trace,rustls=trace,aws_config=trace,aws_credential_types=trace";

/// The pages that valve serves.
const PAGES: &[&str] = &["/", "/api/status", "/readyz", "/livez", "/metrics"];

/// Makes a wrong value that has the secret in it.
type Spoil = fn(String) -> String;

/// The secrets that were planted, and what they are looked for in.
#[derive(Default)]
struct Search {
    planted: Vec<String>,
    printed: Vec<(String, String)>,
}

impl Search {
    /// A secret of its own for `what`, with characters that every encoding changes.
    fn plant(&mut self, what: &str) -> String {
        let secret = unique(&format!("{what}+&\"/"));
        self.planted.push(secret.clone());
        secret
    }

    /// A secret that is another's.
    fn know(&mut self, secret: &str) {
        self.planted.push(secret.to_owned());
    }

    fn run(&mut self, settings: &Settings, arguments: &[&str]) -> i32 {
        let (code, said) = run(settings, arguments);
        self.printed.push((format!("valve {}", arguments.join(" ")), said));
        code
    }

    fn pages(&mut self, valve: &Valve) {
        for page in PAGES {
            self.printed.push(((*page).to_owned(), valve.get(page).1));
        }
    }

    /// What the configuration shows of itself, and of the settings that these variables stand for.
    fn configuration<'a>(&mut self, settings: &Settings, variables: impl Iterator<Item = &'a str>) {
        self.run(settings, &["config"]);
        self.run(settings, &["config", "--format", "json"]);
        for name in variables.filter_map(setting_of) {
            self.run(settings, &["config", "--explain", &name]);
        }
    }

    /// The configuration must be refused, and the setting named.
    fn refused(&mut self, settings: &Settings, arguments: &[&str], name: &str) {
        let code = self.run(settings, arguments);
        let said = &self.printed[self.printed.len() - 1].1;
        let named = said.contains(&format!("\n  {name} = "));
        assert!(code == 2 && named, "{name}, {arguments:?}: exit code {code}: {said}");
    }

    /// None of the secrets is anywhere.
    fn finds_nothing(&self) {
        for secret in &self.planted {
            for form in forms(secret) {
                for (source, text) in &self.printed {
                    let line = text.lines().find(|line| line.contains(&form));
                    assert!(line.is_none(), "{source} shows {secret:?} as {form:?}: {line:?}");
                }
            }
        }
    }
}

/// The setting that an environment variable stands for.
fn setting_of(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("VALVE_")?.to_lowercase().replace("__", ".");
    Some(match name.strip_prefix("kafka.properties.") {
        Some(property) => format!("kafka.properties.{}", property.replace('_', ".")),
        None => name,
    })
}

/// How a secret may look in a text.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        secret.replace('"', "\\\""),
        format!("{secret:?}").replace('\\', "\\\\"),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    ];
    // In base64 it looks otherwise behind a user's name, by that one's length; its ends depend on what is around it.
    for before in 0..3 {
        let around = [&b"xxx"[..before], secret.as_bytes()].concat();
        for encoded in [STANDARD.encode(&around), URL_SAFE.encode(&around)] {
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    forms
}

/// A broker's user with a planted password, and settings that sign in as that one and log everything.
fn settings(scene: &Scene<'_>, search: &mut Search) -> Settings {
    let (user, password) = (unique("user"), search.plant("sasl"));
    assert!(scene.stack.tool("scram_user.py").args([&user, &password]).status().unwrap().success());
    let secure = scene.stack.secure();
    search.know("planted-key-password");
    search.know(&scene.stack.s3_secret_key);
    sasl(scene, "SCRAM-SHA-512")
        .with("VALVE_KAFKA__PROPERTIES__SASL_USERNAME", &user)
        .with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", &password)
        .with("VALVE_KAFKA__PROPERTIES__SSL_CERTIFICATE_LOCATION", &secure.pem("client.pem"))
        .with("VALVE_KAFKA__PROPERTIES__SSL_KEY_LOCATION", &secure.pem("client-encrypted.key"))
        .with("VALVE_KAFKA__PROPERTIES__SSL_KEY_PASSWORD", "planted-key-password")
        .with("VALVE_KAFKA__PROPERTIES__DEBUG", "all")
        .with("VALVE_LOG__FILTER", ALL_LOGS)
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The registry's password comes from Consul, which refers to a file, the brokers' by way of the environment.
fn given_planted_secrets_and_everything_logged_then_a_valve_at_work_prints_and_serves_none_of_them(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let mut search = Search::default();
    let registry = RegistryProxy::new(&stack.registry, Mode::Forward);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), search.plant("registry")).unwrap();
    let keys = Keys::new(stack);
    keys.put("registry/password", &format!("${{file:{}}}", file.path().display()));
    search.know(&stack.consul_token);
    let settings = settings(&scene, &mut search)
        .with("VALVE_REGISTRY__URL", &registry.url())
        .with("VALVE_REGISTRY__USERNAME", "a-user")
        // It listens twice: while it waits for Consul, and then for good.
        .with("VALVE_HTTP__LISTEN", &free_address())
        .with("VALVE_ENVIRONMENT", &keys.environment)
        .with("CONSUL_HTTP_ADDR", &stack.consul)
        .with("CONSUL_HTTP_TOKEN", &stack.consul_token);
    let password = settings.get("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD").to_owned();
    let settings = settings
        .with("PASSWORD_OF_THE_BROKERS", &password)
        .with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", "${env:PASSWORD_OF_THE_BROKERS}");

    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    scene.producer.produce_raw(&scene.topic, Some(b"no wire header"));
    let valve = Valve::run(&settings);
    scene.wait_committed();
    search.pages(&valve);
    let at = valve.address();
    assert_eq!(search.run(&settings.clone().with("VALVE_HTTP__LISTEN", &at), &["healthcheck"]), 0);
    let said = valve.stop_and_listen();
    assert!(said.contains("SASL_SCRAM") && said.contains("aws_"), "libraries are logged, too");
    search.printed.push(("valve run".to_owned(), said));
    for arguments in ASKING {
        assert_eq!(search.run(&settings, arguments), 0, "{arguments:?}");
    }
    assert_eq!(search.run(&settings, &["deadletters", "show", "0/0"]), 0);
    assert_eq!(search.run(&settings, &["deadletters", "replay"]), 0);
    search.configuration(&settings, settings.names());
    search.finds_nothing();
}

fn given_planted_secrets_that_nobody_takes_then_what_valve_says_of_the_refusals_has_none_of_them(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let mut search = Search::default();
    let registry = RegistryProxy::new(&stack.registry, Mode::Fail);
    let good = settings(&scene, &mut search)
        .with("VALVE_REGISTRY__URL", &registry.url())
        .with("VALVE_REGISTRY__TOKEN", &search.plant("token"));
    let bad_store = good
        .clone()
        .with("AWS_SECRET_ACCESS_KEY", &search.plant("aws"))
        .with("AWS_SESSION_TOKEN", &search.plant("session"));
    let bad_brokers = good.clone().with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", &search.plant("wrong"));
    let refused = [
        (&good, Mode::Fail, "registry: "),
        (&bad_store, Mode::Forward, "sink: "),
        (&bad_brokers, Mode::Forward, "kafka: "),
    ];
    for (settings, mode, reason) in refused {
        registry.set(mode);
        let mut valve = Valve::run(&settings.clone().with("VALVE_SHUTDOWN__DEADLINE", "1s"));
        valve.wait_unready(reason);
        search.pages(&valve);
        valve.terminate();
        assert!(valve.exit_code().is_some());
        search.printed.push((format!("valve run, with {reason}"), valve.output()));
        // The audit asks for longer than the others, by the same means.
        for arguments in &ASKING[1..] {
            search.run(settings, arguments);
        }
    }
    search.finds_nothing();
}

fn given_planted_secrets_beside_settings_that_are_wrong_then_the_errors_have_none_of_them(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let mut search = Search::default();
    let refused: &[(&str, Spoil)] = &[
        ("VALVE_REGISTRY__PASSWORD", |secret| secret + "\n"),
        ("VALVE_REGISTRY__TOKEN", |secret| secret + "\n"),
        ("VALVE_REGISTRY__PASWORD", |secret| secret),
        ("VALVE_REGISTRY__URL", |secret| format!("http://user:{secret}@127.0.0.1:1")),
        ("VALVE_SINK__ENDPOINT", |secret| format!("http://user:{secret}@127.0.0.1:1")),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", |secret| format!("user:{secret}@127.0.0.1:1")),
        ("VALVE_METRICS__STATSD", |secret| format!("user:{secret}@127.0.0.1:1")),
        ("VALVE_KAFKA__OIDC__CLIENT_SECRET", |secret| secret),
    ];
    // Whether they are right is librdkafka's business.
    let passed_on: &[(&str, Spoil)] = &[
        ("VALVE_KAFKA__PROPERTIES__SASL_JAAS_CONFIG", |secret| {
            format!("org.apache.kafka.common.security.plain.PlainLoginModule required password='{secret}';")
        }),
        ("VALVE_KAFKA__PROPERTIES__SSL_KEY_PEM", |secret| secret),
        ("VALVE_KAFKA__PROPERTIES__SSL_KEY_PASSWORD", |secret| secret),
        ("VALVE_KAFKA__PROPERTIES__SASL_OAUTHBEARER_CONFIG", |secret| secret),
        ("VALVE_KAFKA__PROPERTIES__SASL_PASWORD", |secret| secret),
        ("VALVE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", |secret| secret),
    ];
    let refused = refused.iter().map(|wrong| (wrong, true));
    for ((variable, value), is_refused) in refused.chain(passed_on.iter().map(|wrong| (wrong, false))) {
        let secret = search.plant(&variable[6..]);
        let settings = settings(&scene, &mut search).with(variable, &value(secret));
        search.configuration(&settings, [*variable].into_iter());
        for arguments in ASKING {
            if is_refused {
                search.refused(&settings, arguments, &setting_of(variable).unwrap());
            } else {
                search.run(&settings, arguments);
            }
        }
        search.refused(&settings.with("VALVE_CODEC", "none-such"), &["run"], "codec");
    }
    search.finds_nothing();
}
