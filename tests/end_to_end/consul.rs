//! Settings that come from a real Consul, with its ACLs on.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::event::orders;
use crate::patience::stays;
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_settings_in_consul_over_tls_then_a_valve_stores_by_them,
    given_a_token_that_may_not_read_all_then_valve_waits_and_says_so_until_it_may,
    given_no_token_and_a_folder_that_may_not_be_read_then_it_isnt_taken_for_empty,
    given_a_consul_that_doesnt_answer_then_a_start_waits_lives_and_can_be_stopped,
    given_settings_in_consul_then_config_says_where_each_is_from_and_shows_no_secret,
];

/// A part of Consul's keys that no other test uses.
pub(crate) struct Keys<'a> {
    stack: &'a Stack,
    pub(crate) environment: String,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(stack: &'a Stack) -> Self {
        Self { stack, environment: unique("env") }
    }

    /// Writes a value below the environment's folder.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.ask(reqwest::Method::PUT, &format!("kv/{}/{key}", self.folder()), value.to_owned());
    }

    fn folder(&self) -> String {
        format!("data-pipeline/{}", self.environment)
    }

    /// A token with a policy of these rules, and the policy's id.
    fn token(&self, rules: &str) -> (String, String) {
        let policy = json!({"Name": unique("policy"), "Rules": rules});
        let policy = self.ask(reqwest::Method::PUT, "acl/policy", policy.to_string());
        let id = policy["ID"].as_str().unwrap().to_owned();
        let token = json!({"Policies": [{"ID": id}]});
        let token = self.ask(reqwest::Method::PUT, "acl/token", token.to_string());
        (token["SecretID"].as_str().unwrap().to_owned(), id)
    }

    /// Gives those without a token a policy of these rules. No other test is without one.
    fn let_anyone(&self, rules: &str) {
        let (_, policy) = self.token(rules);
        let anyone = "acl/token/00000000-0000-0000-0000-000000000002";
        self.ask(reqwest::Method::PUT, anyone, json!({"Policies": [{"ID": policy}]}).to_string());
    }

    /// Gives a policy other rules.
    fn change(&self, policy: &str, rules: &str) {
        let changed = json!({"Name": unique("policy"), "Rules": rules});
        self.ask(reqwest::Method::PUT, &format!("acl/policy/{policy}"), changed.to_string());
    }

    fn ask(&self, method: reqwest::Method, path: &str, body: String) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("{}/v1/{path}", self.stack.consul);
            let asked = reqwest::Client::new().request(method, url).body(body);
            let answer = asked.header("x-consul-token", &self.stack.consul_token).send().await.unwrap();
            answer.error_for_status().unwrap().json().await.unwrap()
        })
    }

    fn may_read_all(&self) -> String {
        // As README says it.
        format!(
            "key_prefix \"{0}/\" {{ policy = \"read\" }} key \"{0}\" {{ policy = \"read\" }}",
            self.folder()
        )
    }
}

/// What a process must know without Consul: who it is, and where Consul and its own page are.
fn minimal(scene: &Scene<'_>, keys: &Keys<'_>, token: &str) -> Settings {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Settings::none()
        .with("VALVE_NAME", &scene.name)
        .with("VALVE_ENVIRONMENT", &keys.environment)
        .with("VALVE_HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("CONSUL_HTTP_ADDR", &keys.stack.consul)
        .with("CONSUL_HTTP_TOKEN", token)
        .with("AWS_ACCESS_KEY_ID", &scene.stack.s3_access_key)
        .with("AWS_SECRET_ACCESS_KEY", &scene.stack.s3_secret_key)
        .with("AWS_EC2_METADATA_DISABLED", "true")
}

/// Puts what all valves share into single keys, and what is this valve's own into one document.
fn fill(scene: &Scene<'_>, keys: &Keys<'_>) {
    let stack = scene.stack;
    for (key, value) in [
        ("kafka/bootstrap_servers", stack.kafka.as_str()),
        ("kafka/properties/session.timeout.ms", "6000"),
        ("registry/url", &stack.registry),
        ("sink/bucket", &stack.bucket),
        ("sink/endpoint", &stack.s3_endpoint),
        ("sink/path_style", "true"),
        ("sink/region", "us-east-1"),
        ("lanes", "2"),
        ("another-valve/topics", "what another valve reads"),
    ] {
        keys.put(key, value);
    }
    let own = format!(
        "topics = [\"{}\"]\ntimestamp = \"field:at\"\n[sink]\nprefix = \"{}\"\n[batch]\nmax_age = \"3s\"\nmax_idle = \"1s\"\n[memory]\nbudget = \"256MiB\"\n",
        scene.topic, scene.name
    );
    keys.put(&scene.name, &own);
}

fn given_settings_in_consul_over_tls_then_a_valve_stores_by_them(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let keys = Keys::new(stack);
    fill(&scene, &keys);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 2));
    let (token, _) = keys.token(&keys.may_read_all());
    let token_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(token_file.path(), format!("{token}\n")).unwrap();
    let settings = minimal(&scene, &keys, "")
        .with("CONSUL_HTTP_ADDR", &stack.consul_tls)
        .with("CONSUL_CACERT", &stack.consul_ca)
        .with("CONSUL_HTTP_TOKEN_FILE", token_file.path().to_str().unwrap());

    let valve = Valve::run(&settings);
    scene.wait_committed();
    let said = valve.stop_and_listen();
    scene.assert_stored(&produced);
    assert!(!said.contains(&token), "the token is in the log: {said}");

    // Without the authority nothing is believed.
    let (code, said) = run(&settings.without("CONSUL_CACERT"), &["config"]);
    assert!(code == 4 && said.contains("certificate"), "{code}: {said}");
}

fn given_a_token_that_may_not_read_all_then_valve_waits_and_says_so_until_it_may(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let keys = Keys::new(stack);
    fill(&scene, &keys);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let folder = keys.folder();
    let partly = format!(
        "key_prefix \"{folder}/{}\" {{ policy = \"read\" }} key_prefix \"{folder}/sink/bucket\" {{ policy = \"read\" }}",
        scene.name
    );
    let (token, policy) = keys.token(&partly);
    let valve = Valve::run(&minimal(&scene, &keys, &token));
    let reason = valve.wait_unready("consul");
    assert!(reason.contains("the token may not read") && reason.contains(&folder), "{reason}");
    assert_eq!(valve.get("/livez").0, 200, "a restart would change nothing");
    // What another valve has for itself needn't be readable.
    let others =
        format!("{} key_prefix \"{folder}/another-valve\" {{ policy = \"deny\" }}", keys.may_read_all());
    keys.change(&policy, &others);
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_no_token_and_a_folder_that_may_not_be_read_then_it_isnt_taken_for_empty(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let keys = Keys::new(stack);
    fill(&scene, &keys);
    let settings = minimal(&scene, &keys, "");
    // What Consul leaves out of a list it tells only those who have a token.
    let denied = format!("{}/registry/", keys.folder());
    let rules = format!("{} key_prefix \"{denied}\" {{ policy = \"deny\" }}", keys.may_read_all());
    keys.let_anyone(&rules);
    let (code, said) = run(&settings, &["config"]);
    assert!(code == 4 && said.contains(&denied), "{code}: {said}");
    // Nor is a key absent that lies in a folder that may be read.
    let prefix = format!("{}/{}/sink/prefix", keys.folder(), scene.name);
    keys.let_anyone(&format!("{} key \"{prefix}\" {{ policy = \"deny\" }}", keys.may_read_all()));
    let (code, said) = run(&settings, &["config"]);
    assert!(code == 4 && said.contains(&prefix), "{code}: {said}");
    keys.let_anyone(&keys.may_read_all());
    let (code, said) = run(&settings, &["config"]);
    assert!(code == 0 && said.contains(&format!("# Consul key {denied}url")), "{code}: {said}");
}

fn given_a_consul_that_doesnt_answer_then_a_start_waits_lives_and_can_be_stopped(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let keys = Keys::new(stack);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings =
        minimal(&scene, &keys, "token").with("CONSUL_HTTP_ADDR", &silent.local_addr().unwrap().to_string());
    let mut valve = Valve::run(&settings);
    let reason = valve.wait_unready("consul");
    assert!(reason.contains("no answer within"), "{reason}");
    stays("living", Duration::from_secs(2), || valve.get("/livez").0 == 200);
    let (code, said) = run(&settings, &["healthcheck"]);
    assert_eq!(code, 0, "the health check needs no Consul: {said}");
    assert!(valve.output().contains("waiting for a dependency"), "{}", valve.output());
    valve.terminate();
    assert_eq!(valve.exit_code(), Some(0), "nothing was begun");
}

fn given_settings_in_consul_then_config_says_where_each_is_from_and_shows_no_secret(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let keys = Keys::new(stack);
    fill(&scene, &keys);
    keys.put("registry/token", &format!("${{consul:{}/secret}}", keys.folder()));
    keys.put("secret", "hunter2");
    keys.put(&format!("{}/codec", scene.name), "zstd-3");
    let (token, _) = keys.token(&keys.may_read_all());
    let settings = minimal(&scene, &keys, &token).with("VALVE_LANES", "1");
    let (code, shown) = run(&settings, &["config"]);
    assert_eq!(code, 0, "{shown}");
    let folder = keys.folder();
    for line in [
        format!("codec = \"zstd-3\"  # Consul key {folder}/{}/codec\n", scene.name),
        format!("sink.prefix = \"{0}\"  # Consul key {folder}/{0}\n", scene.name),
        format!("sink.bucket = \"{}\"  # Consul key {folder}/sink/bucket\n", stack.bucket),
        format!("# registry.token is given, and not shown  # Consul key {folder}/registry/token\n"),
        "lanes = \"1\"  # environment variable VALVE_LANES\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}in\n{shown}");
    }
    let (_, explained) = run(&settings, &["config", "--explain", "lanes"]);
    assert!(explained.contains(&format!("\"2\", from Consul key {folder}/lanes")), "{explained}");
    for secret in ["hunter2", token.as_str()] {
        assert!(!shown.contains(secret) && !explained.contains(secret), "{shown}{explained}");
    }
}
