//! `valve check`: what somebody sees who deploys for the first time, when all is well and for each thing that can be wrong;
//! and that it leaves nothing behind and disturbs nobody.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use crate::auditing::local;
use crate::event::orders;
use crate::patience::wait_until;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_services_that_are_well_then_all_is_well_and_nothing_is_left_behind,
    given_a_valve_at_work_then_a_check_disturbs_nothing,
    given_brokers_that_arent_reached_then_the_address_is_named_and_the_rest_is_tried,
    given_something_else_than_a_broker_then_the_listener_is_to_be_looked_at,
    given_topics_that_are_missing_or_that_no_pattern_finds_then_that_is_said,
    given_a_registry_that_is_away_or_denies_then_that_is_said_and_the_bucket_is_tried,
    given_a_bucket_or_credentials_that_are_wrong_then_the_setting_is_named,
    given_a_store_that_ignores_conditions_then_the_check_fails,
    given_a_directory_then_it_is_tried_and_left_as_it_was,
    given_records_that_no_time_is_found_in_then_one_is_warned,
    given_secrets_then_no_check_shows_one,
    given_offline_then_nobody_is_asked_and_wrong_settings_are_refused,
];

fn check(settings: &Settings) -> (i32, String) {
    run(settings, &["check"])
}

fn json(settings: &Settings) -> (i32, Vec<Value>) {
    let (code, text) = run(settings, &["check", "--json"]);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(told["exit_code"], code);
    (code, told["checks"].as_array().unwrap().clone())
}

/// Those with this outcome, as "area: what was tried: what was said => what to do".
fn with_outcome(checks: &[Value], outcome: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = checks.iter().filter(|check| check["outcome"] == outcome);
    let line = |check: &Value| {
        let [area, tried, said, to_do] = ["area", "tried", "said", "to_do"].map(|field| text(&check[field]));
        format!("{area}: {tried}: {said} => {to_do}")
    };
    found.map(line).collect()
}

/// The check must fail for just one reason; what is said of it.
fn failure(settings: &Settings) -> String {
    let (code, checks) = json(settings);
    let mut failed = with_outcome(&checks, "failed");
    assert!(code == 1 && failed.len() == 1, "exit code {code}: {failed:#?}");
    failed.remove(0)
}

fn assert_has(text: &str, all: &[&str]) {
    for each in all {
        assert!(text.contains(each), "{each:?} is missing: {text}");
    }
}

fn keys(stack: &Stack, prefix: &str) -> Vec<String> {
    stack.lines_of("list_keys.py", &[&stack.bucket, prefix])
}

fn given_services_that_are_well_then_all_is_well_and_nothing_is_left_behind(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    scene.produce(&orders(&scene.topic.clone(), 0..10, 2));
    let (code, text) = check(&scene.settings());
    assert_eq!(code, 0, "{text}");
    let topic = &scene.topic;
    assert_has(
        &text,
        &[&format!("1 topic: {topic}; they may be read"), "All is well: ", "may be joined; nobody"],
    );
    assert_has(
        &text,
        &["refused, as it must be", "schema ", ", hour 2024-03-10T07", "nothing is left behind"],
    );

    let (code, checks) = json(&scene.settings());
    assert_eq!(
        (code, with_outcome(&checks, "failed"), with_outcome(&checks, "not_tried")),
        (0, vec![], vec![])
    );
    let areas: Vec<&str> = checks.iter().map(|check| check["area"].as_str().unwrap()).collect();
    for area in ["settings", "kafka", "registry", "records", "bucket", "outlets"] {
        assert!(areas.contains(&area), "{areas:?}");
    }
    let timed = checks.iter().filter(|check| check["milliseconds"].is_u64());
    assert!(timed.count() > 10, "{checks:#?}");

    assert_eq!(keys(stack, &scene.name), [] as [String; 0]);
    scene.assert_no_dead_letters();
    assert_eq!(scene.kafka.committed(&scene.name, topic), [0, 0]);

    // Where the dead-letter topic is missing, none is made by looking.
    let scene = Scene::without_dead_letter_topic(stack, 1);
    let (code, checks) = json(&scene.settings());
    let well = with_outcome(&checks, "ok").join("\n");
    assert_eq!(code, 0, "{checks:#?}");
    assert_has(&well, &["could be made: yes; it is missing", "1 topic is empty"]);
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [] as [i64; 0]);
}

fn given_a_valve_at_work_then_a_check_disturbs_nothing(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let valve = Valve::run(&scene.settings());
    let status = || serde_json::from_str::<Value>(&valve.get("/api/status").1).unwrap_or_default();
    wait_until("each lane to have a partition", || {
        status()["lanes"].as_array().is_some_and(|lanes| lanes.iter().all(|lane| lane["partitions"] == 1))
    });
    // A lane whose commit is accepted after that has heard the end of the rebalance.
    let mut produced = scene.produce(&orders(&scene.topic.clone(), 0..20, 2));
    wait_until("all to be committed", || status()["totals"]["rows"] == 20);
    valve.wait_ready();
    let rebalances = || {
        let (_, metrics) = valve.get("/metrics");
        metrics.lines().filter(|line| line.contains("rebalances")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (files, before, committed) =
        (scene.files().len(), rebalances(), scene.kafka.committed(&scene.name, &scene.topic));
    assert!(!before.is_empty(), "the metric has another name");

    let (code, text) = check(&scene.settings());
    assert_eq!(code, 0, "{text}");
    assert_has(
        &text,
        &["may be joined; 2 consumers belong to it", "read the group's offsets", "in 2 partitions"],
    );

    assert_eq!(rebalances(), before);
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), committed);
    assert_eq!(scene.files().len(), files);
    produced.extend(scene.produce(&orders(&scene.topic.clone(), 20..40, 2)));
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    let (code, said) = run(&scene.settings(), &["audit"]);
    assert_eq!(code, 0, "{said}");
}

fn given_brokers_that_arent_reached_then_the_address_is_named_and_the_rest_is_tried(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let addresses = "127.0.0.1:1,no-such-host.invalid:9092";
    let (code, text) = check(&scene.settings().with("VALVE_KAFKA__BOOTSTRAP_SERVERS", addresses));
    assert_eq!(code, 1, "{text}");
    assert_has(&text, &["connect to 127.0.0.1:1", "Connection refused", "correct kafka.bootstrap_servers"]);
    assert_has(&text, &["no-such-host.invalid:9092", "the name isn't known here", "DNS"]);
    assert_has(&text, &["not tried, since no broker's address is reached", "nothing is left behind"]);
    assert!(text.contains("2 of "), "two checks failed, no more: {text}");

    // One of several is enough to begin with, and the other is told of.
    let one = format!("127.0.0.1:1,{}", stack.kafka);
    assert_has(
        &failure(&scene.settings().with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &one)),
        &["connect to 127.0.0.1:1"],
    );
}

fn given_something_else_than_a_broker_then_the_listener_is_to_be_looked_at(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let http = stack.s3_endpoint.trim_start_matches("http://");
    let said = failure(&scene.settings().with("VALVE_KAFKA__BOOTSTRAP_SERVERS", http));
    assert_has(&said, &["ask for the cluster (plaintext)", "security.protocol"]);
}

fn given_topics_that_are_missing_or_that_no_pattern_finds_then_that_is_said(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let both = format!("{},{}", scene.topic, unique("ordres"));
    let said = failure(&scene.settings().with("VALVE_TOPICS", &both));
    assert_has(&said, &["there is no topic ordres-", "correct `topics`"]);
    let said = failure(&scene.settings().with("VALVE_TOPICS", "^nothing-is-called-so"));
    assert_has(&said, &["like ^nothing-is-called-so", "there is none", "grant Describe"]);
}

fn given_a_registry_that_is_away_or_denies_then_that_is_said_and_the_bucket_is_tried(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..3, 1));
    let said = failure(&scene.settings().with("VALVE_REGISTRY__URL", "http://127.0.0.1:1"));
    assert_has(&said, &["registry: ask http://127.0.0.1:1", "Connection refused", "correct registry.url"]);

    let proxy = RegistryProxy::new(&stack.registry, Mode::Deny);
    let (code, text) = check(&scene.settings().with("VALVE_REGISTRY__URL", &proxy.url()));
    assert_eq!(code, 1, "{text}");
    assert_has(&text, &["HTTP 401", "registry.username", "not tried, since the registry doesn't answer"]);
    assert_has(&text, &["1 came", "nothing is left behind"]);
    proxy.set(Mode::Fail);
    assert_has(&failure(&scene.settings().with("VALVE_REGISTRY__URL", &proxy.url())), &["HTTP 500", "log"]);
}

fn given_a_bucket_or_credentials_that_are_wrong_then_the_setting_is_named(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let settings = || scene.settings();
    let said = failure(&settings().with("VALVE_SINK__BUCKET", &unique("bucket")));
    assert_has(&said, &["bucket: put an object into bucket bucket-", "NoSuchBucket", "sink.bucket"]);
    let said = failure(&settings().with("AWS_SECRET_ACCESS_KEY", "wrong"));
    assert_has(&said, &["SignatureDoesNotMatch", "check them"]);
    let said = failure(&settings().without("AWS_SECRET_ACCESS_KEY").without("AWS_ACCESS_KEY_ID"));
    assert_has(&said, &["no providers in chain", "give valve credentials"]);
    let said = failure(&settings().with("VALVE_SINK__ENDPOINT", "http://127.0.0.1:1"));
    assert_has(&said, &["Connection refused", "correct sink.endpoint"]);
}

/// A store that takes whatever comes, whether something is there or not.
struct Heedless {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Heedless {
    fn new() -> Self {
        let objects = Arc::new(Mutex::new(BTreeMap::<String, (HeaderMap, Bytes)>::new()));
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let objects = Arc::clone(&objects);
            async move {
                let (key, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
                let mut objects = objects.lock().unwrap();
                let nothing = (StatusCode::OK, HeaderMap::new(), Bytes::new());
                let xml = |text: &str| (StatusCode::OK, HeaderMap::new(), Bytes::from(text.to_owned()));
                match method {
                    Method::PUT if query.contains("partNumber") => nothing,
                    Method::PUT => {
                        objects.insert(key, (headers, body));
                        nothing
                    }
                    Method::POST if query.contains("uploadId") => xml("<CompleteMultipartUploadResult/>"),
                    Method::POST => xml(
                        "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
                    ),
                    Method::DELETE => {
                        objects.remove(&key);
                        nothing
                    }
                    _ if query.contains("list-type=2") => xml("<ListBucketResult/>"),
                    _ => match objects.get(&key) {
                        Some((put, body)) => {
                            let digest =
                                put.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-meta"));
                            let digest = digest.map(|(name, value)| (name.clone(), value.clone())).collect();
                            (StatusCode::OK, digest, body.clone())
                        }
                        None => (StatusCode::NOT_FOUND, HeaderMap::new(), Bytes::new()),
                    },
                }
            }
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { url, _runtime: runtime }
    }
}

fn given_a_store_that_ignores_conditions_then_the_check_fails(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let store = Heedless::new();
    let (code, checks) = json(&scene.settings().with("VALVE_SINK__ENDPOINT", &store.url));
    let failed = with_outcome(&checks, "failed");
    assert_eq!(code, 1, "{failed:#?}");
    for tried in ["put another in its place", "the same by an upload in parts"] {
        let said = failed.iter().find(|said| said.contains(tried)).expect(tried);
        assert_has(said, &["ignores If-None-Match", "nothing is exactly once"]);
    }
}

fn given_a_directory_then_it_is_tried_and_left_as_it_was(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let directory = tempfile::tempdir().unwrap();
    let settings = local(scene.settings(), directory.path()).with("VALVE_SINK__PREFIX", "");
    let (code, text) = check(&settings);
    assert_eq!(code, 0, "{text}");
    assert_has(&text, &["directory", "refused, as it must be", "the same bytes", "nothing is left behind"]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let said = failure(&local(scene.settings(), Path::new(&file)));
    assert_has(&said, &["directory: write ", "sink.path"]);
}

fn given_records_that_no_time_is_found_in_then_one_is_warned(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..3, 1));
    let warnings = |settings: &Settings| {
        let (code, checks) = json(settings);
        assert_eq!(code, 0, "{checks:#?}");
        with_outcome(&checks, "warning")
            .into_iter()
            .filter(|said| said.starts_with("records"))
            .collect::<String>()
    };
    assert_eq!(warnings(&scene.settings()), "");
    let none = warnings(&scene.settings().with("VALVE_TIMESTAMP", "field:created_at"));
    assert_has(&none, &["no usable timestamp: field:created_at is not there", "correct `timestamp`"]);
    let other = warnings(&scene.settings().with("VALVE_TIMESTAMP", "field:created_at,kafka"));
    assert_has(&other, &["by another time: its schema has no field:created_at"]);
    scene.producer.produce_raw(&scene.topic.clone(), Some(b"{}"));
    assert_has(&warnings(&scene.settings()), &["the wire format begins with 0x00"]);
}

fn given_secrets_then_no_check_shows_one(stack: &Stack) {
    const PLANTED: &str = "hunter2-planted";
    let scene = Scene::new(stack, 1);
    let settings = scene
        .settings()
        .with("VALVE_REGISTRY__USERNAME", "somebody")
        .with("VALVE_REGISTRY__PASSWORD", PLANTED)
        .with("VALVE_KAFKA__PROPERTIES__SASL_USERNAME", "somebody")
        .with("VALVE_KAFKA__PROPERTIES__SASL_PASSWORD", PLANTED)
        .with("AWS_SECRET_ACCESS_KEY", PLANTED);
    let proxy = RegistryProxy::new(&stack.registry, Mode::Deny);
    let denied = settings.clone().with("VALVE_REGISTRY__URL", &proxy.url());
    // The password is an invalid value for another property, too.
    let wrong = settings.clone().with("VALVE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", PLANTED);
    for (settings, code) in [(settings, 1), (denied, 1), (wrong, 2)] {
        for arguments in [&["check"][..], &["check", "--json"]] {
            let (ended, said) = run(&settings, arguments);
            assert_eq!(ended, code, "{said}");
            assert!(!said.contains(PLANTED), "{said}");
        }
    }
}

fn given_offline_then_nobody_is_asked_and_wrong_settings_are_refused(stack: &Stack) {
    let proxy = RegistryProxy::new(&stack.registry, Mode::Forward);
    let listener = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    };
    let ((kafka, broker), (s3, store)) = (listener(), listener());
    let settings = Settings::new(stack, &unique("valve"), "orders")
        .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &broker)
        .with("VALVE_REGISTRY__URL", &proxy.url())
        .with("VALVE_SINK__ENDPOINT", &format!("http://{store}"));
    let (code, text) = run(&settings, &["check", "--offline"]);
    assert_eq!(code, 0, "{text}");
    assert_has(&text, &["memory.budget is 256 MiB", "The settings are valid; nobody was asked anything"]);
    assert_eq!(proxy.requests(), 0);
    for asked in [kafka, s3] {
        assert_eq!(asked.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
    }
    let (code, said) = run(&settings.clone().with("VALVE_CODEC", "zip"), &["check", "--offline"]);
    assert!(code == 2 && said.contains("codec"), "{said}");
    let (code, said) = run(&settings.with("VALVE_KAFKA__PROPERTIES__NO_SUCH", "1"), &["check", "--offline"]);
    assert!(code == 2 && said.contains("kafka.properties: no.such"), "{said}");
}
