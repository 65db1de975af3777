//! An OpenID provider that gives tokens by the client-credentials grant. Nobody signs them; the broker's listener for tests takes
//! them (tests/stack/kafka/service.py).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long its tokens last, in seconds. With less than 20, the Kafka client may sign a connection in again with what is left of the
/// last token, since it looks for a new one once a second.
const LIFETIME: u64 = 30;

/// A running provider; it ends when dropped.
pub(crate) struct TokenProvider {
    state: Arc<Provider>,
    address: SocketAddr,
    _runtime: Runtime,
}

struct Provider {
    /// The `Authorization` of the only client.
    authorization: String,
    refuses: AtomicBool,
    given: AtomicU64,
}

impl TokenProvider {
    /// For a client with this id and secret, form-encoded as they go into the header.
    pub(crate) fn new(id: &str, secret: &str) -> Self {
        let state = Arc::new(Provider {
            authorization: format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))),
            refuses: AtomicBool::new(false),
            given: AtomicU64::new(0),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/token", post(answer)).with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { state, address, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// From now on it gives no tokens, or does again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
    }

    /// How many tokens it has given.
    pub(crate) fn given(&self) -> u64 {
        self.state.given.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: String,
) -> (StatusCode, String) {
    let is_known = headers.get("authorization").is_some_and(|given| *given == *provider.authorization);
    if !is_known || provider.refuses.load(Ordering::SeqCst) {
        return (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" }).to_string());
    }
    if form != "grant_type=client_credentials&scope=kafka+read" {
        return (StatusCode::BAD_REQUEST, json!({ "error": "invalid_request" }).to_string());
    }
    provider.given.fetch_add(1, Ordering::SeqCst);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": "valve", "iat": now, "exp": now + LIFETIME }).to_string();
    let token =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims));
    (
        StatusCode::OK,
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME }).to_string(),
    )
}
