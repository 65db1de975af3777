//! What the page's routes answer, and what its files must never do.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::telemetry::http::Server;
use crate::telemetry::snapshot::tests::Fixture;

async fn serve(fixture: &Fixture) -> SocketAddr {
    let (observed, free) = (fixture.observed.clone(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::bind(free, observed.health.clone()).await.expect("a free port");
    let address = server.address();
    tokio::spawn(server.with(routes(observed)).run(CancellationToken::new()));
    address
}

async fn ask(address: SocketAddr, method: reqwest::Method, path: &str) -> reqwest::Response {
    let request = reqwest::Client::new().request(method, format!("http://{address}{path}"));
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn given_the_pages_files_then_each_has_its_type_and_forbids_what_it_doesnt_need() {
    let address = serve(&Fixture::new()).await;
    for part in PARTS {
        let answer = ask(address, reqwest::Method::GET, part.path).await;
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!((answer.status().as_u16(), header("content-type")), (200, part.media_type.to_owned()));
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.text().await.expect("text"), part.text);
    }
}

#[tokio::test]
async fn given_head_then_there_is_no_body_and_other_methods_and_paths_are_refused() {
    let address = serve(&Fixture::new()).await;
    for path in ["/", "/api/status"] {
        let head = ask(address, reqwest::Method::HEAD, path).await;
        assert_eq!((head.status().as_u16(), head.text().await.expect("none")), (200, String::new()));
        assert_eq!(ask(address, reqwest::Method::POST, path).await.status(), 405);
    }
    for path in ["/index.html", "/api", "/api/status/", "/../Cargo.toml", "/style.css/x"] {
        assert_eq!(ask(address, reqwest::Method::GET, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn given_many_who_ask_then_the_snapshot_is_made_once_a_second() {
    let fixture = Fixture::new();
    let address = serve(&fixture).await;
    let now = async || {
        let answer = ask(address, reqwest::Method::GET, "/api/status").await;
        assert_eq!(answer.headers()["content-type"], "application/json");
        let json: serde_json::Value = answer.json().await.expect("JSON");
        json["now"].as_str().expect("a time").to_owned()
    };
    let first = now().await;
    fixture.clock.advance(Duration::from_millis(999));
    assert_eq!(now().await, first);
    fixture.clock.advance(Duration::from_millis(1));
    assert_ne!(now().await, first);
}

#[test]
fn given_the_pages_files_then_they_name_no_other_host_and_make_no_markup_of_text() {
    for part in PARTS {
        let hosts = part.text.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "//cdn",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!hosts.contains(word), "{} has {word}", part.path);
        }
    }
    let page = PARTS[0].text;
    for word in ["<style", "style=", "<script>", "onclick", "onload"] {
        assert!(!page.contains(word), "the policy forbids {word}");
    }
}
