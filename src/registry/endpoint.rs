//! One URL of the registry: a request, and what its reply means.
//!
//! Redirects are followed within the origin that was asked only, so credentials go nowhere else. Nothing here may
//! show credentials, in errors neither.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::tls::Tls;
use super::{RegistryUnavailable, bounded};
use crate::config::RegistryAuth;
use crate::http_client;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any schema, less than what would hurt.
const MAX_RESPONSE_BYTES: usize = 16 << 20;
const MAX_REDIRECTS: usize = 5;

/// `registry.*` can't be used: a client can't be made of it. Stop, and name the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRegistry(pub String);

/// What a registry replied to one request.
#[derive(Debug)]
pub(super) enum Reply<T> {
    /// What was asked for.
    Found(T),
    /// HTTP 404 with one of the registry's own codes.
    Missing(Missing),
}

/// A registry's own 404.
#[derive(Debug, thiserror::Error)]
#[error("GET {url}: not there (HTTP 404, error code {code})")]
pub(super) struct Missing {
    url: String,
    /// 40401: no such subject; 40402: no such version; 40403: no such schema.
    pub(super) code: u32,
}

/// One URL of the registry.
#[derive(Debug)]
pub(super) struct Endpoint {
    base: Url,
    auth: Option<RegistryAuth>,
    client: Client,
}

impl Endpoint {
    /// The registry at `url`; each request may take `timeout` from connecting to the last byte.
    pub(super) fn new(
        url: &str,
        auth: Option<&RegistryAuth>,
        tls: &Tls,
        timeout: Duration,
    ) -> Result<Self, InvalidRegistry> {
        let base = base_url(url, auth.is_some())?;
        let client = tls
            .apply(Client::builder())
            .user_agent(http_client::USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(redirect::Policy::custom(stay_at_origin));
        // What listens on this machine isn't behind a proxy, whatever the environment says of proxies.
        let is_loopback = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let client = if is_loopback { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| {
            InvalidRegistry(format!("registry: no HTTP client: {}", http_client::told(error)))
        })?;
        Ok(Self { base, auth: auth.cloned(), client })
    }

    /// Asks once for the JSON at `path` below the base URL; segments are escaped here.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<Reply<T>, RegistryUnavailable> {
        let url = self.url(path);
        let shown = without_credentials(&url);
        let fail = |reason: String| RegistryUnavailable(format!("GET {shown}: {reason}"));
        let request =
            self.client.get(url).header("accept", "application/vnd.schemaregistry.v1+json, */*;q=0.5");
        let request = match &self.auth {
            Some(RegistryAuth::Basic { username, password }) => {
                request.basic_auth(username, Some(password.reveal()))
            }
            Some(RegistryAuth::Bearer(token)) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let response = request.send().await.map_err(|error| fail(http_client::told(error)))?;
        let status = response.status();
        let body = http_client::body(response, MAX_RESPONSE_BYTES).await.map_err(&fail)?;
        understood(&shown, status, &body)
    }

    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if path != ["subjects"] {
            url.set_query(Some("deleted=true"));
        }
        url
    }
}

/// What a response to a request for the URL `shown` says.
pub(super) fn understood<T: DeserializeOwned>(
    shown: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<Reply<T>, RegistryUnavailable> {
    let fail = |reason: String| RegistryUnavailable(bounded(format!("GET {shown}: {reason}")));
    match (status, error_code(status, body)) {
        (StatusCode::OK, _) => serde_json::from_slice(body).map(Reply::Found).map_err(|error| {
            fail(format!("not what a registry answers ({error}); is registry.url its base URL?"))
        }),
        (_, Some(code)) => Ok(Reply::Missing(Missing { url: shown.to_owned(), code })),
        (status, None) => Err(fail(advice(status))),
    }
}

/// `url` as a base that paths can be appended to; without its own credentials when others are configured.
fn base_url(url: &str, has_auth: bool) -> Result<Url, InvalidRegistry> {
    // The text itself is not repeated: it may hold a password.
    let invalid = |reason: &str| InvalidRegistry(format!("registry.url: {reason}"));
    let mut base = Url::parse(url.trim()).map_err(|error| invalid(&format!("not a URL ({error})")))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(invalid("must begin with http:// or https://"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(invalid("must end with its path, without `?` or `#`"));
    }
    if has_auth {
        base = Url::parse(&without_credentials(&base)).map_err(|error| invalid(&error.to_string()))?;
    }
    Ok(base)
}

/// `url` as it may be shown.
fn without_credentials(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that can't have credentials.
    if shown.set_username("").and(shown.set_password(None)).is_err() {
        return "(a URL without a host)".to_owned();
    }
    shown.to_string()
}

/// Follows redirects within the origin that was asked; any other is left as the answer.
fn stay_at_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if is_same && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// The registry's own code of a 404. A 404 without one comes from something else: a proxy, a wrong path.
fn error_code(status: StatusCode, body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Body {
        error_code: u32,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    Some(body.error_code).filter(|code| status == StatusCode::NOT_FOUND && (40401..=40403).contains(code))
}

/// What a status means, and what to do about it.
fn advice(status: StatusCode) -> String {
    let code = status.as_u16();
    let advice = match code {
        300..=399 => "it redirects to another origin; set registry.url to where it is",
        401 => "it wants other credentials; see registry.username and registry.password, or registry.token",
        403 => "these credentials may not read schemas; grant them read access",
        404 => "there is no such path; registry.url must be the base URL of a Confluent-compatible API",
        408 | 504 => "it takes too long",
        429 => "it is throttling",
        500..=599 => "it is in trouble; see its log",
        _ => "not what a registry answers; is registry.url its base URL?",
    };
    format!("HTTP {code}: {advice}")
}
