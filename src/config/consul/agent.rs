//! Asking Consul's agent, which is found by the variables that Consul's own tools read.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{TryStreamExt as _, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::config::error::{ConfigError, ConfigErrors};
use crate::http_client;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than Consul takes in one value (512 KiB) many times, less than what would hurt.
const MAX_ANSWER: usize = 16 << 20;
/// How much of an answer that is none is shown, in characters.
const SHOWN: usize = 200;
/// How many keys of a folder are asked for at once. Consul lets a client have 200 connections.
const AT_ONCE: usize = 8;
/// All of Consul's answers about keys have it: without it, something else has answered.
const INDEX: &str = "x-consul-index";
/// Says that the answer lacks what the token may not read. Consul leaves that out without an error.
const FILTERED: &str = "x-consul-results-filtered-by-acls";

const FOREIGN: &str = "it answers, but not as Consul does; is CONSUL_HTTP_ADDR the address of its HTTP API?";

const ADDRESS: &str = "CONSUL_HTTP_ADDR";
const VERIFY: &str = "CONSUL_HTTP_SSL_VERIFY";
/// What Consul's tools read, too, and valve would have to ignore.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("CONSUL_CAPATH", "name one file of certificates by CONSUL_CACERT"),
    ("CONSUL_TLS_SERVER_NAME", "address Consul by the name that its certificate has"),
    ("CONSUL_HTTP_AUTH", "identify by CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE"),
];

/// Consul's HTTP API. It holds a token, and so has no `Debug`.
pub(in crate::config) struct Agent {
    base: Url,
    client: Client,
    token: Option<String>,
    /// Whoever is at the address is taken for Consul.
    trusts_anyone: bool,
    /// What every request says beside its key: namespace and partition.
    query: Vec<(&'static str, String)>,
}

/// The variables of the environment that have a value.
struct Variables<'a>(&'a BTreeMap<String, String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `name` is true, as Go's tools read it.
    fn is_true(&self, name: &'static str, otherwise: bool) -> Result<bool, ConfigErrors> {
        match self.get(name) {
            None => Ok(otherwise),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(_) => Err(wrong(name, "it is neither `true` nor `false`")),
        }
    }

    /// What the file holds that `name` names.
    fn file(&self, name: &'static str) -> Result<Option<Vec<u8>>, ConfigErrors> {
        let Some(path) = self.get(name) else { return Ok(None) };
        let unreadable = |error| wrong(name, format!("the file {path:?} cannot be read: {error}"));
        fs::read(path).map(Some).map_err(unreadable)
    }
}

fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigErrors {
    let origin = format!("environment variable {variable}");
    ConfigErrors::new(vec![ConfigError::about(variable, &origin, problem)])
}

impl Agent {
    /// The agent that the environment names; none when it names none.
    ///
    /// # Errors
    /// When one of its variables is wrong.
    pub(in crate::config) fn from_env(env: &BTreeMap<String, String>) -> Result<Option<Self>, ConfigErrors> {
        let env = Variables(env);
        env.get(ADDRESS).map(|address| Self::new(address, &env)).transpose()
    }

    fn new(address: &str, env: &Variables<'_>) -> Result<Self, ConfigErrors> {
        if let Some((name, instead)) = UNSUPPORTED.into_iter().find(|(name, _)| env.get(name).is_some()) {
            return Err(wrong(name, format!("valve doesn't read it: {instead}")));
        }
        let base = base_url(address, env.is_true("CONSUL_HTTP_SSL", false)?)?;
        let token = token(env)?;
        let builder = Client::builder()
            .default_headers(token.as_deref().map(secret_header).transpose()?.unwrap_or_default())
            .user_agent(http_client::USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // An agent is next to the process; Consul's own tools go through no proxy either.
            .no_proxy();
        let client = with_tls(builder, env)?.build().map_err(|error| {
            wrong(ADDRESS, format!("there can be no client: {}", http_client::told(error)))
        })?;
        let optional = [("ns", env.get("CONSUL_NAMESPACE")), ("partition", env.get("CONSUL_PARTITION"))];
        let query =
            optional.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        let trusts_anyone = base.scheme() == "https" && !env.is_true(VERIFY, true)?;
        Ok(Self { base, client, token, trusts_anyone, query })
    }

    /// Whether its certificate isn't looked at, though it has one.
    pub(in crate::config) fn trusts_anyone(&self) -> bool {
        self.trusts_anyone
    }

    /// Where it is, for messages.
    pub(in crate::config) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// Says why there is no answer; the world's fault, which may pass.
    pub(in crate::config) async fn value(&self, key: &str) -> Result<Option<String>, String> {
        let found = self.ask(key, false).await?;
        Ok(found.into_iter().find(|pair| pair.key == key).map(|pair| pair.value))
    }

    /// All keys that begin with `folder`, which ends with a slash. Those of `known` that do are not left out silently.
    ///
    /// # Errors
    /// Says why there is no answer; the world's fault, which may pass.
    pub(in crate::config) async fn below(&self, folder: &str, known: &[String]) -> Result<Vec<Pair>, String> {
        // Who has no token isn't told that something was left out, but is refused a key that may not be read.
        if self.is_anonymous() {
            let keys = known.iter().map(String::as_str).filter(|key| key.starts_with(folder)).chain([folder]);
            let asked = stream::iter(keys.map(Ok));
            let ask = async |key| self.ask(key, false).await.map(drop);
            asked.try_for_each_concurrent(AT_ONCE, ask).await?;
        }
        self.ask(folder, true).await
    }

    /// Whether it is nobody to Consul, which has a token of this name for those who have none.
    fn is_anonymous(&self) -> bool {
        self.token.as_deref().is_none_or(|token| token == "anonymous")
    }

    async fn ask(&self, key: &str, recurse: bool) -> Result<Vec<Pair>, String> {
        let response = self.client.get(self.url(key, recurse)).send().await.map_err(http_client::told)?;
        let status = response.status();
        let headers = response.headers();
        let is_filtered = headers.get(FILTERED).is_some_and(|value| value == "true");
        let is_consul = headers.contains_key(INDEX);
        let body = http_client::body(response, MAX_ANSWER).await?;
        match status {
            _ if is_filtered => Err(denied(key)),
            StatusCode::OK | StatusCode::NOT_FOUND if !is_consul => {
                Err(format!("{key}: HTTP {}: {FOREIGN}", status.as_u16()))
            }
            StatusCode::OK => pairs(&body),
            // So it answers for a key that isn't there.
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            StatusCode::FORBIDDEN => Err(format!("{} ({})", denied(key), self.words(&body))),
            status => Err(format!("{key}: HTTP {}: {}", status.as_u16(), self.words(&body))),
        }
    }

    fn url(&self, key: &str, recurse: bool) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "kv"]).extend(key.split('/'));
        }
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(&self.query);
            if recurse {
                query.append_key_only("recurse");
            }
        }
        url
    }

    /// The first line of an answer that is none, as it may be shown.
    fn words(&self, body: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(body).into_owned();
        if let Some(token) = &self.token {
            text = text.replace(token.as_str(), "…");
        }
        let line = text.lines().next().unwrap_or_default();
        line.chars().take(SHOWN).filter(|c| !c.is_control()).collect()
    }
}

fn denied(key: &str) -> String {
    format!(
        "{key}: the token may not read all of it; give its policy `key_prefix \"{key}\" {{ policy = \"read\" }}`"
    )
}

/// By which each request shows the token.
fn secret_header(token: &str) -> Result<HeaderMap, ConfigErrors> {
    let value = HeaderValue::from_str(token);
    let mut value =
        value.map_err(|_| wrong("CONSUL_HTTP_TOKEN", "the token has characters that no header takes"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(HeaderName::from_static("x-consul-token"), value)]))
}

/// `host:port`, or a URL. TLS that was asked for is never taken back by the address.
fn base_url(address: &str, ssl: bool) -> Result<Url, ConfigErrors> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let scheme = match scheme {
        "http" if !ssl => "http",
        "http" | "https" => "https",
        _ => return Err(wrong(ADDRESS, "it is neither `host:port` nor an `http://` or `https://` URL")),
    };
    let url = Url::parse(&format!("{scheme}://{rest}"));
    let url = url.map_err(|error| wrong(ADDRESS, format!("it is not an address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(ADDRESS, "it must not hold credentials; see CONSUL_HTTP_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(ADDRESS, "it must not have a `?` or `#`"));
    }
    Ok(url)
}

/// The file's, if one is named, as Consul's tools have it.
fn token(env: &Variables<'_>) -> Result<Option<String>, ConfigErrors> {
    let name = "CONSUL_HTTP_TOKEN_FILE";
    match env.file(name)? {
        Some(text) => match String::from_utf8(text) {
            Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            _ => Err(wrong(name, "the file that it names holds no token")),
        },
        None => {
            let token = env.get("CONSUL_HTTP_TOKEN").map(str::trim).filter(|token| !token.is_empty());
            Ok(token.map(str::to_owned))
        }
    }
}

/// With the authority, the certificate of the client and how strictly Consul's is looked at.
fn with_tls(builder: ClientBuilder, env: &Variables<'_>) -> Result<ClientBuilder, ConfigErrors> {
    let mut builder = builder;
    if let Some(authorities) = env.file("CONSUL_CACERT")? {
        let authorities = http_client::certificates(&authorities)
            .ok_or_else(|| wrong("CONSUL_CACERT", "the file holds no certificate in PEM"))?;
        // As Consul's own tools have it: these authorities alone.
        builder = builder.tls_certs_only(authorities);
    }
    match (env.file("CONSUL_CLIENT_CERT")?, env.file("CONSUL_CLIENT_KEY")?) {
        (Some(certificate), Some(key)) => {
            let identity = http_client::identity(certificate, key).ok_or_else(|| {
                wrong("CONSUL_CLIENT_CERT", "it and CONSUL_CLIENT_KEY hold no certificate and its key in PEM")
            })?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        (Some(_), None) => return Err(wrong("CONSUL_CLIENT_CERT", "it needs CONSUL_CLIENT_KEY")),
        (None, Some(_)) => return Err(wrong("CONSUL_CLIENT_KEY", "it needs CONSUL_CLIENT_CERT")),
    }
    Ok(builder.tls_danger_accept_invalid_certs(!env.is_true(VERIFY, true)?))
}

/// One key and its value. It may be a secret, and so has no `Debug`.
pub(in crate::config) struct Pair {
    pub(in crate::config) key: String,
    pub(in crate::config) value: String,
}

fn pairs(body: &[u8]) -> Result<Vec<Pair>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        key: String,
        value: Option<String>,
    }
    let foreign = || FOREIGN.to_owned();
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|_| foreign())?;
    let decoded = entries.into_iter().map(|Entry { key, value }| {
        let bytes = STANDARD.decode(value.unwrap_or_default()).map_err(|_| foreign())?;
        // What isn't UTF-8 gets U+FFFD, by which the setting is refused.
        let text = String::from_utf8_lossy(&bytes);
        // `consul kv put key @file` takes the file's last line break with it.
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Pair { key, value: line.strip_suffix('\r').unwrap_or(line).to_owned() })
    });
    decoded.collect()
}
