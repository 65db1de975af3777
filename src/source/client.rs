//! What every Kafka client of the process has in common.

use std::error::Error;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::raw::token::set_token;
use super::raw::{describe, exit, large};
use super::tokens;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, KafkaConfig};
use crate::telemetry::repeats::Repeats;

/// A client's configuration with the brokers and the properties of `kafka`; what belongs to one kind of client
/// is set on top of it.
#[must_use]
pub(crate) fn client_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    configure(&mut config, kafka);
    config
}

/// The same over what `config` has already. (What a `ClientConfig` tells of its properties has no passwords: it can't be copied.)
pub(crate) fn configure(config: &mut ClientConfig, kafka: &KafkaConfig) {
    exit::without_clean_up();
    large::give_back_at_once();
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    config.set("client.id", "valve");
    // Half a megabyte a client for histograms that nobody asked for.
    config.set("enable.metrics.push", "false");
    if kafka.auth.is_some() {
        config.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "OAUTHBEARER");
    }
    if is_tls(kafka) && !kafka.properties.contains_key("ssl.ca.pem") {
        // OpenSSL is built along, and looks for the system's authorities in a place where there are none.
        config.set("ssl.ca.location", config::system_authorities().as_deref().unwrap_or("probe"));
    }
    for (property, value) in &kafka.properties {
        config.set(property, value.reveal());
    }
}

/// Lets a new client sign in where that takes a token: those that aren't polled before they are asked something would wait for
/// one in vain. To be called for every client.
pub(crate) fn sign_in<C: ClientContext>(client: &Client<C>, kafka: &KafkaConfig) {
    let Some(auth) = &kafka.auth else { return };
    tokens::begin(auth);
    let given = tokens::token().and_then(|token| set_token(client, &token));
    if let Err(reason) = given {
        tracing::debug!(reason, "a Kafka client begins without a token");
    }
}

/// The token that a client asks for while it is polled: for the contexts of all clients.
///
/// # Errors
/// Why there is none; the client asks again ten seconds later.
pub(crate) fn token() -> Result<OAuthToken, Box<dyn Error>> {
    tokens::token().map_err(Into::into)
}

/// Whether brokers have to show certificates.
fn is_tls(kafka: &KafkaConfig) -> bool {
    if kafka.auth.is_some() {
        return true;
    }
    let protocol = kafka.properties.get("security.protocol");
    protocol.is_some_and(|protocol| protocol.reveal().to_lowercase().contains("ssl"))
}

/// The version of librdkafka that this program is built with.
#[must_use]
pub(crate) fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// Properties of `kafka.properties` that only consumers know: a producer would complain about each.
const CONSUMERS_ONLY: [&str; 9] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "check.crcs",
    "fetch.",
    "queued.",
    "group.",
    "partition.assignment.",
    "coordinator.",
];

/// Likewise for a client that only produces.
#[must_use]
pub(crate) fn producer_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = client_config(kafka);
    for property in kafka.properties.keys() {
        if CONSUMERS_ONLY.iter().any(|name| property.starts_with(name)) {
            config.remove(property);
        }
    }
    config
}

/// What the client says, without the value of a property, which may be a secret.
pub(crate) fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, property, value) if value.is_empty() => {
            format!("{property}: {description}")
        }
        KafkaError::ClientConfig(_, description, property, value) => {
            format!("{property}: {}", description.replace(value, "(hidden)"))
        }
        _ => error.to_string(),
    }
}

/// Whether the client may write to `topic`; `None` when the brokers don't tell. Blocks for up to `timeout`.
///
/// # Errors
/// A sentence, when they can't be asked.
pub(crate) fn may_write<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<bool>, String> {
    describe::may_write(client, topic, timeout)
}

/// Hands a line of librdkafka's own log to ours, under the target `rdkafka`. Each client repeats its warnings for as long as a
/// broker is away: of one facility, one is let through in half a minute, the others are for debugging.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);
    static REPEATS: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

    let is_error = match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => true,
        RDKafkaLogLevel::Warning => false,
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "rdkafka", facility, "{message}");
            return;
        }
        RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "rdkafka", facility, "{message}");
            return;
        }
    };
    let mut repeats = REPEATS.lock().unwrap_or_else(PoisonError::into_inner);
    match repeats.let_through(facility, CLOCK.monotonic()) {
        Some(held_back) if is_error => {
            tracing::error!(target: "rdkafka", facility, held_back, "{message}");
        }
        Some(held_back) => tracing::warn!(target: "rdkafka", facility, held_back, "{message}"),
        None => tracing::debug!(target: "rdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn kafka(properties: &[(&str, &str)]) -> KafkaConfig {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        KafkaConfig {
            bootstrap_servers: "kafka:9093".to_owned(),
            auth: None,
            properties: properties.collect(),
        }
    }

    #[test]
    fn given_secrets_among_the_properties_then_each_kind_of_client_is_given_them() {
        let names = ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret"];
        let kafka = kafka(&names.map(|name| (name, "hunter2")));
        let mut over = ClientConfig::new();
        configure(&mut over, &kafka);
        for config in [client_config(&kafka), producer_config(&kafka), over] {
            assert!(names.iter().all(|name| config.get(name) == Some("hunter2")), "{config:?}");
        }
    }

    #[test]
    fn given_tls_then_the_systems_authorities_are_trusted_unless_others_are_named() {
        let trusted =
            |properties: &[_]| client_config(&kafka(properties)).get("ssl.ca.location").map(str::to_owned);
        assert_eq!(trusted(&[]), None);
        assert_eq!(trusted(&[("security.protocol", "SASL_PLAINTEXT")]), None);
        for protocol in ["ssl", "SASL_SSL"] {
            let default = trusted(&[("security.protocol", protocol)]);
            assert_eq!(default, Some(config::system_authorities().unwrap_or_else(|| "probe".to_owned())));
            let named = trusted(&[("security.protocol", protocol), ("ssl.ca.location", "/ca.pem")]);
            assert_eq!(named.as_deref(), Some("/ca.pem"));
            assert_eq!(trusted(&[("security.protocol", protocol), ("ssl.ca.pem", "-----BEGIN")]), None);
        }
    }
}
