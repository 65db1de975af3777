//! A schema registry that fails on demand, in front of the real one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::stack::{Secure, Stack};
use crate::tls_listener::TlsListener;

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// The registry answers.
    Forward,
    /// 500.
    Fail,
    /// 401.
    Deny,
    /// Takes the request and says nothing.
    Hang,
    /// 404 with code 40403, whatever is asked for.
    Unknown,
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub(crate) struct RegistryProxy {
    proxied: Arc<Proxied>,
    /// `http` or `https`.
    scheme: &'static str,
    address: SocketAddr,
    _runtime: Runtime,
}

#[derive(Debug)]
struct Proxied {
    mode: AtomicU8,
    requests: AtomicU64,
    registry: String,
    /// The `Authorization` that it wants, if any.
    expected: Mutex<Option<String>>,
}

impl RegistryProxy {
    /// In front of `registry` (its URL).
    pub(crate) fn new(registry: &str, mode: Mode) -> Self {
        Self::start(registry, mode, None)
    }

    /// In front of the stack's registry, over TLS; who comes must show a certificate, if so wanted.
    pub(crate) fn over_tls(stack: &Stack, wants_certificate: bool) -> Self {
        Self::start(&stack.registry, Mode::Forward, Some((stack.secure(), wants_certificate)))
    }

    fn start(registry: &str, mode: Mode, tls: Option<(&Secure, bool)>) -> Self {
        let (host, _) = registry.split_once("/apis").unwrap();
        let proxied = Arc::new(Proxied {
            mode: AtomicU8::new(mode as u8),
            requests: AtomicU64::new(0),
            registry: host.to_owned(),
            expected: Mutex::default(),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&proxied));
        let scheme = if tls.is_some() { "https" } else { "http" };
        match tls {
            Some((secure, wants_certificate)) => {
                let listener = TlsListener::new(listener, secure, wants_certificate);
                runtime.spawn(async move { axum::serve(listener, routes).await })
            }
            None => runtime.spawn(async move { axum::serve(listener, routes).await }),
        };
        Self { proxied, scheme, address, _runtime: runtime }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}/apis/ccompat/v7", self.scheme, self.address)
    }

    /// From now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.proxied.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Whoever has another `Authorization` than this gets 401 from now on.
    pub(crate) fn expect(&self, authorization: &str) {
        *self.proxied.expected.lock().unwrap() = Some(authorization.to_owned());
    }

    /// How often it was asked.
    pub(crate) fn requests(&self) -> u64 {
        self.proxied.requests.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(proxied): State<Arc<Proxied>>,
    headers: HeaderMap,
    uri: Uri,
) -> (StatusCode, HeaderMap, String) {
    proxied.requests.fetch_add(1, Ordering::SeqCst);
    let expected = proxied.expected.lock().unwrap().clone();
    if expected.is_some_and(|expected| headers.get("authorization").is_none_or(|given| *given != *expected)) {
        return (StatusCode::UNAUTHORIZED, HeaderMap::new(), "who are you?".to_owned());
    }
    match proxied.mode.load(Ordering::SeqCst) {
        mode if mode == Mode::Fail as u8 => {
            (StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), "out of order".to_owned())
        }
        mode if mode == Mode::Deny as u8 => {
            (StatusCode::UNAUTHORIZED, HeaderMap::new(), "who are you".to_owned())
        }
        mode if mode == Mode::Unknown as u8 => {
            let answer = r#"{"error_code":40403,"message":"Schema not found"}"#;
            (StatusCode::NOT_FOUND, HeaderMap::new(), answer.to_owned())
        }
        mode if mode == Mode::Hang as u8 => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            (StatusCode::GATEWAY_TIMEOUT, HeaderMap::new(), String::new())
        }
        _ => {
            let answer = reqwest::get(format!("{}{uri}", proxied.registry)).await.unwrap();
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
            let kind = answer.headers().get("content-type").cloned();
            let headers =
                kind.map(|kind| (HeaderName::from_static("content-type"), kind)).into_iter().collect();
            (status, headers, answer.text().await.unwrap())
        }
    }
}
