//! The status page at `/` and what it is made of at `/api/status`: files that are part of the program, and a snapshot that
//! is made at most once a second, however many look. Nothing here waits for anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;

use super::snapshot::{Observed, Snapshot};
use crate::columns::escaped;

/// How long a snapshot is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The browser takes script, style and data from here only, sends nothing anywhere, shows the page in no frame, and lets no
/// text become markup, even if the script wanted it to.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
#[derive(Clone, Copy, Debug)]
struct Part {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const PARTS: [Part; 7] = [
    Part { path: "/", media_type: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    Part { path: "/style.css", media_type: "text/css; charset=utf-8", text: include_str!("page/style.css") },
    Part { path: "/script.js", media_type: SCRIPT, text: include_str!("page/script.js") },
    Part { path: "/words.js", media_type: SCRIPT, text: include_str!("page/words.js") },
    Part { path: "/pieces.js", media_type: SCRIPT, text: include_str!("page/pieces.js") },
    Part { path: "/charts.js", media_type: SCRIPT, text: include_str!("page/charts.js") },
    Part { path: "/icon.svg", media_type: "image/svg+xml", text: include_str!("page/icon.svg") },
];

/// The routes of the page, which shows `observed`.
pub fn routes(observed: Observed) -> Router {
    let latest = Latest { observed, made: Arc::default() };
    let api = async |State(latest): State<Latest>| answer("application/json", "no-store", latest.get());
    let router = Router::new().route("/api/status", get(api)).with_state(latest);
    PARTS.into_iter().fold(router, |router, part| {
        let part_of_page =
            async move || answer(part.media_type, "no-cache", Bytes::from_static(part.text.as_bytes()));
        router.route(part.path, get(part_of_page))
    })
}

fn answer(media_type: &'static str, cache: &'static str, body: Bytes) -> impl IntoResponse {
    let headers: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::OK, headers, body)
}

/// The last snapshot as JSON, with when it was made by the monotonic clock.
#[derive(Clone, Debug)]
struct Latest {
    observed: Observed,
    made: Arc<Mutex<Option<(Duration, Bytes)>>>,
}

impl Latest {
    fn get(&self) -> Bytes {
        let now = self.observed.status.clock().monotonic();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, json)) = &*made
            && now.saturating_sub(*at) < FRESH
        {
            return json.clone();
        }
        let json = Bytes::from(json(&self.observed.snapshot()));
        *made = Some((now, json.clone()));
        json
    }
}

/// The snapshot as JSON in which nothing is markup or moves a terminal's cursor, whatever takes it for something else than JSON.
pub(super) fn json(snapshot: &Snapshot) -> String {
    // Maps with keys that aren't text can't be written, and there are none.
    let json = escaped(&serde_json::to_string(snapshot).unwrap_or_default());
    // These stand in texts only.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
#[path = "page/tests.rs"]
mod tests;
