use crate::config::{RegistryAuth, RegistryTls, Secret};
use crate::demo::registry_server::{Fault, RegistryServer, SubjectReference};
use crate::registry::RawSchema;

use super::*;

const EVENT: &str = r#"{"type":"record","name":"Event","fields":[]}"#;

fn config(urls: &[&str], auth: Option<RegistryAuth>) -> RegistryConfig {
    let urls = urls.iter().map(ToString::to_string).collect();
    RegistryConfig { urls, auth, tls: RegistryTls::default(), unknown_after: Duration::from_secs(30) }
}

fn client(urls: &[&str]) -> Confluent {
    Confluent::with_timeout(&config(urls, None), Duration::from_secs(5)).expect("usable URLs")
}

async fn server() -> RegistryServer {
    RegistryServer::start().await.expect("a free port")
}

fn refers(name: &str, subject: &str, version: i32) -> SubjectReference {
    SubjectReference { name: name.to_owned(), subject: subject.to_owned(), version }
}

async fn outage(client: &Confluent, id: u32) -> String {
    client.schema(SchemaId(id)).await.expect_err("an outage").to_string()
}

async fn unusable(client: &Confluent, id: SchemaId) -> String {
    match client.schema(id).await {
        Ok(Answer::Unusable(reason)) => reason,
        other => panic!("not unusable: {other:?}"),
    }
}

async fn found(client: &Confluent, id: SchemaId) -> RawSchema {
    match client.schema(id).await {
        Ok(Answer::Found(schema)) => schema,
        other => panic!("not found: {other:?}"),
    }
}

/// A URL where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn given_a_registered_schema_then_its_text_comes_verbatim() {
    let server = server().await;
    let text = "{ \"type\":\"record\",\n\"name\":\"E\", \"fields\":[] , \"x\":\"\u{e9}\\u0041\" }";
    let id = server.register("events-value", text, &[]);
    let schema = found(&client(&[server.url()]), id).await;
    assert_eq!(schema, RawSchema { text: text.to_owned(), references: Vec::new() });
}

#[tokio::test]
async fn given_a_base_url_with_a_path_and_a_slash_then_paths_are_appended() {
    let base = base("http://127.0.0.1:8080/apis/ccompat/v7/");
    assert_eq!(base, "http://127.0.0.1:8080/apis/ccompat/v7/schemas/ids/7?deleted=true");
}

/// The URL asked for id 7 below `url`.
fn base(url: &str) -> String {
    let confluent = client(&[url]);
    confluent.endpoints[0].url(&["schemas", "ids", "7"]).to_string()
}

#[tokio::test]
async fn given_an_id_that_is_not_there_then_it_is_unknown() {
    let server = server().await;
    for id in [0, 7, 1 << 31, u32::MAX] {
        assert_eq!(client(&[server.url()]).schema(SchemaId(id)).await.expect("an answer"), Answer::Unknown);
    }
}

#[tokio::test]
async fn given_another_type_of_schema_then_it_is_unusable() {
    let server = server().await;
    let id = server.register_typed("events-value", "PROTOBUF", "syntax = \"proto3\";");
    assert!(unusable(&client(&[server.url()]), id).await.contains("PROTOBUF"));
}

#[tokio::test]
async fn given_references_then_they_come_with_theirs_each_once() {
    let server = server().await;
    server.register("a/b %41?#", EVENT, &[]);
    let shared = refers("Event", "a/b %41?#", 1);
    server.register("middle", "\"middle\"", std::slice::from_ref(&shared));
    let id = server.register("top-value", "\"top\"", &[refers("Middle", "middle", 1), shared]);
    let schema = found(&client(&[server.url()]), id).await;
    assert_eq!(schema.references.len(), 1, "the second use is left out");
    assert_eq!(schema.references[0].name, "Middle");
    let inner = &schema.references[0].schema.references;
    assert_eq!((inner.len(), inner[0].schema.text.as_str()), (1, EVENT), "its subject is escaped");
}

#[tokio::test]
async fn given_a_missing_reference_then_it_is_an_outage() {
    let server = server().await;
    let part = server.register("part", EVENT, &[]);
    let client = client(&[server.url()]);
    for reference in [refers("Event", "nowhere", 1), refers("Event", "part", 2)] {
        let id = server.register("top-value", &format!("\"{}\"", reference.subject), &[reference]);
        assert!(outage(&client, id.0).await.contains("`Event` is referred to, but"));
    }
    let id = server.register("top-value", "\"lagging\"", &[refers("Event", "part", 1)]);
    server.hide(part);
    outage(&client, id.0).await;
    server.reveal(part);
    found(&client, id).await;
}

#[tokio::test]
async fn given_references_in_a_circle_or_too_many_then_it_is_unusable() {
    let server = server().await;
    let client = client(&[server.url()]);
    let id = server.register("circle", "\"1\"", &[refers("A", "other", 1)]);
    server.register("other", "\"2\"", &[refers("B", "circle", 1)]);
    assert!(unusable(&client, id).await.contains("in a circle"));

    for i in 0..40 {
        server.register(&format!("deep{i}"), &format!("{i}"), &[refers("X", &format!("deep{}", i + 1), 1)]);
    }
    let id = server.register("deep0", "0", &[refers("X", "deep1", 1)]);
    assert!(unusable(&client, id).await.contains("deep"));

    let many: Vec<_> = (0..600).map(|i| refers(&format!("N{i}"), "leaf", 1)).collect();
    server.register("leaf", EVENT, &[]);
    let id = server.register("many", "\"many\"", &many);
    assert!(unusable(&client, id).await.contains("500 references"));
}

#[tokio::test]
async fn given_answers_that_are_none_then_they_are_outages_that_say_what_to_do() {
    let server = server().await;
    server.register("events-value", EVENT, &[]);
    let client = client(&[server.url()]);
    let not_found = r#"{"error_code":40403,"message":"Schema not found"}"#;
    let cases = [
        (500, not_found, "HTTP 500"),
        (503, "", "in trouble"),
        (504, "", "too long"),
        (429, "{}", "throttling"),
        (401, "{}", "registry.username"),
        (403, not_found, "read access"),
        (404, "<html>no such page</html>", "base URL"),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#, "base URL"),
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#, "40401"),
        (302, "", "redirects"),
        (204, "", "HTTP 204"),
        (200, "<html>log in</html>", "not what a registry answers"),
        (200, "{}", "not what a registry answers"),
        (200, r#"{"schema":null}"#, "not what a registry answers"),
        (200, "", "not what a registry answers"),
    ];
    for (status, body, expected) in cases {
        server.set_fault(Some(Fault::Answer(status, body.to_owned())));
        let reason = outage(&client, 1).await;
        assert!(reason.contains(expected), "{status} {body}: {reason}");
        assert!(reason.contains(&format!("{}/schemas/ids/1", server.url())), "{reason}");
    }
    server.set_fault(None);
    found(&client, SchemaId(1)).await;
}

#[tokio::test]
async fn given_an_answer_beyond_all_measure_then_it_is_an_outage() {
    let server = server().await;
    server.set_fault(Some(Fault::Answer(200, "x".repeat((16 << 20) + 1))));
    assert!(outage(&client(&[server.url()]), 1).await.contains("larger than"));
}

#[tokio::test]
async fn given_a_registry_that_is_silent_or_gone_then_it_is_an_outage() {
    let server = server().await;
    server.set_fault(Some(Fault::Hang));
    let hasty =
        Confluent::with_timeout(&config(&[server.url()], None), Duration::from_millis(50)).expect("usable");
    assert!(outage(&hasty, 1).await.contains("timed out"), "{}", outage(&hasty, 1).await);
    assert!(outage(&client(&[&nobody().await]), 1).await.contains("refused"));
}

#[tokio::test]
async fn given_several_urls_then_the_first_that_has_the_schema_wins() {
    let (lagging, server) = (server().await, server().await);
    let id = server.register("events-value", EVENT, &[]);
    let nobody = nobody().await;
    for urls in
        [[nobody.as_str(), server.url()], [server.url(), nobody.as_str()], [lagging.url(), server.url()]]
    {
        found(&client(&urls), id).await;
    }
    assert_eq!(client(&[&nobody, server.url()]).topics().await.expect("an answer"), ["events"]);
}

#[tokio::test]
async fn given_several_urls_then_an_id_is_unknown_only_if_all_say_so() {
    let (one, other) = (server().await, server().await);
    let client = client(&[one.url(), other.url()]);
    assert_eq!(client.schema(SchemaId(7)).await.expect("an answer"), Answer::Unknown);
    other.set_fault(Some(Fault::Answer(500, String::new())));
    assert!(outage(&client, 7).await.contains(other.url()));
}

#[tokio::test]
async fn given_credentials_then_they_are_sent_and_never_shown() {
    let server = server().await;
    let id = server.register("events-value", EVENT, &[]);
    let with_userinfo = server.url().replace("http://", "http://me:s%40cret@");
    let basic = RegistryAuth::Basic { username: "me".to_owned(), password: Secret::new("s@cret") };
    let bearer = RegistryAuth::Bearer(Secret::new("s@cret"));
    let cases = [
        (server.url(), Some(basic), "Basic bWU6c0BjcmV0"),
        (server.url(), Some(bearer.clone()), "Bearer s@cret"),
        (&with_userinfo, None, "Basic bWU6c0BjcmV0"),
        (&with_userinfo, Some(bearer), "Bearer s@cret"),
    ];
    for (url, auth, header) in cases {
        let client = Confluent::new(&config(&[url], auth)).expect("usable");
        server.require_authorization(header);
        found(&client, id).await;
        server.require_authorization("Bearer another");
        let reason = outage(&client, id.0).await;
        assert!(reason.contains("HTTP 401") && !reason.contains("cret"), "{reason}");
    }
}

#[tokio::test]
async fn given_credentials_then_no_other_origin_gets_them() {
    use axum::http::header::LOCATION;
    use axum::response::IntoResponse;

    let elsewhere = server().await;
    elsewhere.register("events-value", EVENT, &[]);
    let target = format!("{}/schemas/ids/1", elsewhere.url());
    let answer =
        move || std::future::ready((axum::http::StatusCode::FOUND, [(LOCATION, target)]).into_response());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let redirecting = axum::serve(listener, axum::Router::new().fallback(answer));
    let redirecting = tokio::spawn(async move { redirecting.await });
    assert!(outage(&client(&[&url]), 1).await.contains("another origin"));
    redirecting.abort();
}

#[tokio::test]
async fn given_subjects_then_topics_are_those_of_values() {
    let server = server().await;
    for subject in
        ["b-value", "a-value", "a-key", "-value", ":.ctx:c-value", "com.acme.Event", "d-value-value"]
    {
        server.register(subject, EVENT, &[]);
    }
    assert_eq!(client(&[server.url()]).topics().await.expect("an answer"), ["a", "b", "d-value"]);
    server.set_fault(Some(Fault::Answer(500, String::new())));
    client(&[server.url()]).topics().await.expect_err("an outage");
}

#[test]
fn given_urls_that_cannot_be_used_then_the_setting_is_named_and_no_secret_is() {
    let cases = [
        "",
        "localhost:8081",
        "ftp://host/",
        "http://",
        "http://me:s3cret@host/?a=b",
        "http://host/#x",
        "//host",
    ];
    for url in cases {
        let reason = Confluent::new(&config(&[url], None)).expect_err(url).to_string();
        assert!(reason.starts_with("registry.url: ") && !reason.contains("s3cret"), "{url}: {reason}");
    }
    assert!(Confluent::new(&config(&[], None)).is_err());
}
