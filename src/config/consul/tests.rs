//! What Consul's answers become, whatever they are. A real Consul answers in `tests/end_to_end/consul.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::tests::{BASE, MACHINE, pairs};
use super::super::{Config, LoadError, Patience, Sources};
use super::*;
use crate::telemetry::troubles::Troubles;

type Keys = Arc<BTreeMap<&'static str, &'static str>>;

/// The value of a key that may not be read.
const DENIED: &str = "(denied)";

/// Answers as Consul does, to one without a token.
async fn kv(Path(key): Path<String>, RawQuery(query): RawQuery, State(keys): State<Keys>) -> Response {
    let recurses = query.is_some_and(|query| query.contains("recurse"));
    if !recurses && keys.get(&*key) == Some(&DENIED) {
        return (StatusCode::FORBIDDEN, "Permission denied").into_response();
    }
    let found = keys.iter().filter(|(name, value)| {
        **value != DENIED && if recurses { name.starts_with(&key) } else { **name == key }
    });
    let found: Vec<_> = found
        .map(|(name, value)| json!({"Key": name, "Value": STANDARD.encode(value), "Flags": 0}))
        .collect();
    let index = [("x-consul-index", "7")];
    if found.is_empty() {
        (StatusCode::NOT_FOUND, index).into_response()
    } else {
        (index, Json(found)).into_response()
    }
}

/// The address of a server with these routes.
async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// The address of a server that answers as Consul with these keys does.
pub(crate) async fn consul(keys: &[(&'static str, &'static str)]) -> String {
    serve(Router::new().route("/v1/kv/{*key}", get(kv)).with_state(Arc::new(keys.iter().copied().collect())))
        .await
}

/// The base in the environment, with Consul at `address`.
fn environment(address: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let base =
        BASE.iter().map(|(name, value)| (layers::variable_of(name), value.trim_matches('\'').to_owned()));
    base.chain(pairs(&[(ADDRESS, address)])).chain(pairs(more)).collect()
}

const ADDRESS: &str = "CONSUL_HTTP_ADDR";
const BRIEF: Patience = Patience::Limited(std::time::Duration::from_secs(2));

async fn sources(environment: Vec<(String, String)>) -> Result<Sources, LoadError> {
    Sources::local(None, environment.into_iter())?.with_consul(&Troubles::default(), BRIEF).await
}

async fn loaded(environment: Vec<(String, String)>) -> Result<Config, LoadError> {
    Ok(sources(environment).await?.check(MACHINE)?)
}

/// With all that Consul says; the environment says where it is, and no more than it must.
async fn said(keys: &[(&'static str, &'static str)]) -> Result<Config, LoadError> {
    loaded(environment(&consul(keys).await, &[])).await
}

/// What a folder with the settings `keys` says.
pub(in crate::config) fn folder(folder: &str, keys: &[(&str, &str)], errors: &mut Vec<ConfigError>) -> Layer {
    let pair = |(name, value): &(&str, &str)| {
        // The names of librdkafka's properties have dots of their own.
        let key = match name.strip_prefix(PROPERTIES) {
            Some(property) => format!("{folder}/kafka/properties/{property}"),
            None => format!("{folder}/{}", name.replace('.', "/")),
        };
        Pair { key, value: (*value).to_owned() }
    };
    layer(folder, None, keys.iter().map(pair).collect(), errors)
}

#[tokio::test]
async fn given_a_key_of_the_valve_and_one_of_the_environment_then_the_valves_wins_and_the_variable_over_both()
{
    let keys = [
        ("data-pipeline/dev/codec", "zstd"),
        ("data-pipeline/dev/start", "latest"),
        ("data-pipeline/dev/archive/codec", "null"),
        ("data-pipeline/dev/archive/batch/max_age", "7 min\n"),
        ("data-pipeline/dev/kafka/properties/session.timeout.ms", "7000"),
        ("data-pipeline/dev/another/codec", "no codec"),
        ("data-pipeline/dev/archive2/codec", "no codec"),
        ("data-pipeline/prod/archive/codec", "no codec"),
    ];
    let address = consul(&keys).await;
    let config = loaded(environment(&address, &[])).await.unwrap();
    assert_eq!((config.codec.to_string(), config.start), ("null".to_owned(), crate::config::Start::Latest));
    assert_eq!(config.batch.max_age.as_secs(), 420);
    assert_eq!(config.kafka.properties["session.timeout.ms"].reveal(), "7000");
    let config = loaded(environment(&address, &[("VALVE_CODEC", "snappy")])).await.unwrap();
    assert_eq!(config.codec.to_string(), "snappy");
}

#[tokio::test]
async fn given_documents_in_toml_and_json_then_they_are_settings_as_keys_are() {
    let keys = [
        ("data-pipeline/dev", r#"{"sink": {"region": "eu-central-1"}, "lanes": 2}"#),
        ("data-pipeline/dev/archive", "[batch]\nmax_records = 5_000\n"),
    ];
    let address = consul(&keys).await;
    let settings = sources(environment(&address, &[])).await.unwrap().effective();
    let origin =
        |name: &str| settings.iter().find(|setting| setting.name == name).unwrap().origin.clone().unwrap();
    assert_eq!(origin("sink.region"), "Consul key data-pipeline/dev");
    assert_eq!(origin("batch.max_records"), "Consul key data-pipeline/dev/archive");
    let config = loaded(environment(&address, &[])).await.unwrap();
    assert_eq!((config.batch.max_records, config.lanes), (5_000, 2));
}

#[tokio::test]
async fn given_what_is_wrong_in_consul_then_each_error_says_where_and_shows_no_document() {
    let keys = [
        ("data-pipeline/dev", "[registry]\ntoken = \"hunter2"),
        ("data-pipeline/dev/codec", "zip"),
        ("data-pipeline/dev/sink/bukket", "x"),
        ("data-pipeline/dev/archive", r#"{"start": "latest", "token": "hunter2"}"#),
        ("data-pipeline/dev/archive/start", "earliest"),
        ("data-pipeline/dev/archive/nme", "x"),
        ("data-pipeline/dev/archive/http/listen", "127.0.0.1:1"),
        ("data-pipeline/dev/archive/", ""),
        ("data-pipeline/dev/archive/sink/", ""),
    ];
    let Err(LoadError::Wrong(errors)) = said(&keys).await else { panic!("no errors") };
    let text = errors.to_string();
    for part in [
        "data-pipeline/dev\n    from:    Consul\n    problem: line 2 is not TOML",
        "codec = \"zip\"\n    from:    Consul key data-pipeline/dev/codec",
        "sink.bukket = (hidden)\n    from:    Consul key data-pipeline/dev/sink/bukket",
        "start\n    from:    Consul key data-pipeline/dev/archive/start\n    problem: key data-pipeline/dev/archive gives it, too",
        "nme = (hidden)\n    from:    Consul key data-pipeline/dev/archive/nme",
        "token",
        "http.listen\n    from:    Consul key data-pipeline/dev/archive/http/listen\n    problem: it must be known without",
    ] {
        assert!(text.contains(part), "{part}\n\nin\n\n{text}");
    }
    assert_eq!(errors.iter().count(), 7, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn given_references_to_keys_then_what_those_hold_is_taken() {
    let keys = [
        ("secrets/registry-token", "hunter2\n"),
        ("data-pipeline/dev/registry/token", "${consul:secrets/registry-token}"),
        ("data-pipeline/dev/codec", "${consul:no/such/codec}"),
    ];
    let Err(LoadError::Wrong(errors)) = said(&keys).await else { panic!("no errors") };
    assert_eq!(errors.iter().count(), 1, "{errors}");
    assert!(errors.to_string().contains("nothing at the key \"no/such/codec\""), "{errors}");
    let config = loaded(environment(&consul(&keys).await, &[("VALVE_CODEC", "null")])).await.unwrap();
    assert!(matches!(
        config.registry.auth,
        Some(crate::config::RegistryAuth::Bearer(token)) if token.reveal() == "hunter2"
    ));
}

#[tokio::test]
async fn given_no_token_and_a_key_that_may_not_be_read_then_it_is_not_taken_for_absent() {
    for denied in [
        "data-pipeline/dev/archive/sink/prefix",
        "data-pipeline/dev/archive/codec",
        "data-pipeline/dev/archive/kafka/properties/",
        "data-pipeline/dev/sink/prefix",
        "data-pipeline/dev/codec",
    ] {
        let keys = [
            (denied, DENIED),
            ("data-pipeline/dev/sink/region", "eu-central-1"),
            ("data-pipeline/dev/archive/lanes", "2"),
        ];
        let Err(LoadError::Consul { reason, .. }) = said(&keys).await else {
            panic!("{denied} is taken for absent")
        };
        assert!(reason.contains(&format!("{denied}: ")) && reason.contains("may not read"), "{reason}");
    }
}

#[tokio::test]
async fn given_what_is_no_answer_then_no_setting_is_taken_for_absent() {
    type Headers = &'static [(&'static str, &'static str)];
    let answers: [(StatusCode, Headers, &'static str, &str); 8] = [
        (StatusCode::FORBIDDEN, &[], "ACL not found", "ACL not found"),
        (StatusCode::INTERNAL_SERVER_ERROR, &[], "No cluster leader\nx", "HTTP 500: No cluster leader"),
        (
            StatusCode::NOT_FOUND,
            &[("x-consul-results-filtered-by-acls", "true")],
            "",
            "the token may not read",
        ),
        (StatusCode::OK, &[("x-consul-results-filtered-by-acls", "true")], "[]", "the token may not read"),
        (StatusCode::NOT_FOUND, &[], "", "not as Consul does"),
        (StatusCode::OK, &[], "[]", "not as Consul does"),
        (StatusCode::NOT_FOUND, &[], "<html>no such page", "HTTP 404"),
        (StatusCode::OK, &[], "<html>hello", "not as Consul does"),
    ];
    let asked = answers.into_iter().map(async |(status, headers, body, expected)| {
        let headers: Vec<(String, String)> = pairs(headers).collect();
        let answer = async move || {
            let mut response = (status, body).into_response();
            for (name, value) in headers {
                let name = axum::http::HeaderName::try_from(name).unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        };
        let address = serve(Router::new().fallback(get(answer))).await;
        let Err(LoadError::Consul { reason, .. }) = sources(environment(&address, &[])).await else {
            panic!("{body} is an answer")
        };
        assert!(reason.contains(expected), "{reason}");
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn given_a_consul_that_isnt_there_then_the_start_goes_on_only_where_it_isnt_required() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let Err(LoadError::Consul { address, reason }) = sources(environment(&nobody, &[])).await else {
        panic!("it goes on")
    };
    assert!(address.ends_with(&nobody) && reason.contains("refused"), "{address}: {reason}");
    let without_need = [("VALVE_CONSUL__REQUIRED", "false")];
    assert!(loaded(environment(&nobody, &without_need)).await.is_ok());
    let refers = [without_need[0], ("VALVE_REGISTRY__TOKEN", "${consul:a}")];
    let Err(LoadError::Wrong(errors)) = loaded(environment(&nobody, &refers)).await else {
        panic!("no error")
    };
    assert!(errors.to_string().contains("Consul, which wasn't asked"), "{errors}");
}

#[tokio::test]
async fn given_wrong_variables_of_consul_then_each_is_said_with_what_to_do() {
    let missing = "/no/such/file";
    for (name, value, expected) in [
        (ADDRESS, "unix:///var/run/consul", "neither `host:port`"),
        (ADDRESS, "http://u:hunter2@consul:8500", "credentials"),
        ("CONSUL_HTTP_SSL", "perhaps", "neither `true` nor `false`"),
        ("CONSUL_CACERT", missing, "cannot be read"),
        ("CONSUL_CACERT", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "no certificate"),
        ("CONSUL_HTTP_TOKEN_FILE", missing, "cannot be read"),
        ("CONSUL_CLIENT_KEY", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "CONSUL_CLIENT_CERT"),
        ("CONSUL_HTTP_AUTH", "u:hunter2", "CONSUL_HTTP_TOKEN"),
        ("CONSUL_HTTP_TOKEN", "hunter2\n\u{1}", "no header takes"),
    ] {
        let Err(errors) = Sources::local(None, environment("consul:8500", &[(name, value)]).into_iter())
        else {
            panic!("{name} is right")
        };
        let text = errors.to_string();
        assert!(text.contains(name) && text.contains(expected) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn given_a_wrong_name_or_one_that_stands_for_settings_then_consul_isnt_asked() {
    for (name, value) in [
        ("VALVE_NAME", ""),
        ("VALVE_NAME", "sink"),
        ("VALVE_ENVIRONMENT", "a/b"),
        ("VALVE_CONSUL__PATH", "/a"),
    ] {
        let Err(LoadError::Wrong(errors)) = sources(environment("127.0.0.1:1", &[(name, value)])).await
        else {
            panic!("{name}={value} is right")
        };
        assert_eq!(errors.iter().count(), 1, "{errors}");
    }
}

#[test]
fn given_addresses_as_consuls_tools_take_them_then_tls_that_was_asked_for_stays() {
    for (address, ssl, url) in [
        ("consul:8500", "", "http://consul:8500"),
        ("consul:8501", "true", "https://consul:8501"),
        ("http://consul:8501", "1", "https://consul:8501"),
        ("https://consul", "", "https://consul"),
        ("http://proxy/consul/", "0", "http://proxy/consul"),
    ] {
        let env: BTreeMap<_, _> = pairs(&[(ADDRESS, address), ("CONSUL_HTTP_SSL", ssl)]).collect();
        assert_eq!(Agent::from_env(&env).unwrap().unwrap().address(), url);
    }
    assert!(Agent::from_env(&pairs(&[(ADDRESS, "")]).collect()).unwrap().is_none());
}

#[test]
fn given_a_certificate_that_is_not_to_be_looked_at_then_that_is_known_and_without_tls_there_is_none() {
    for (address, verify, trusts_anyone) in [
        ("https://consul", "", false),
        ("https://consul", "true", false),
        ("https://consul", "false", true),
        ("http://consul:8500", "false", false),
    ] {
        let env = pairs(&[(ADDRESS, address), ("CONSUL_HTTP_SSL_VERIFY", verify)]).collect();
        assert_eq!(
            Agent::from_env(&env).unwrap().unwrap().trusts_anyone(),
            trusts_anyone,
            "{address} {verify}"
        );
    }
}
