//! What to do about what the clients of Kafka and of the registry say. Their words are all there is: librdkafka has one code for
//! all that can be wrong with a connection.

/// What a reason begins with when a name leads to no address.
pub(super) const UNKNOWN_NAME: &str = "the name isn't known here";

/// Words (in lower case) of a reason, and what to do about it; `{}` is the setting.
type Advice = &'static [(&'static [&'static str], &'static str)];

const NETWORK: Advice = &[
    (
        &[UNKNOWN_NAME, "failed to resolve", "dns error", "lookup address", "name or service"],
        "correct {}, or the DNS of this machine: a container may have another one",
    ),
    (&["refused"], "nothing listens there: see that the service runs, and correct {}"),
    (
        &["timed out", "no answer", "unreachable", "no route"],
        "nothing comes back: look at firewalls, security groups and routes between here and there, and at {}",
    ),
];

/// Of a connection to a broker, more telling words first.
const KAFKA: Advice = &[
    (
        &["certificate verify failed", "certificate could not be verified"],
        "set kafka.properties.\"ssl.ca.location\" to the file of the authority that signed the brokers' certificates, and name the \
         brokers as their certificates do",
    ),
    (
        &["certificate required", "bad certificate", "alert certificate"],
        "the brokers want a client's certificate: set kafka.properties.\"ssl.certificate.location\" and \"ssl.key.location\"",
    ),
    (
        &["unsupported sasl mechanism", "mechanism handshake failed"],
        "set kafka.properties.\"sasl.mechanism\" to one that the brokers support",
    ),
    (
        &["sasl authentication", "authentication failed", "invalid credentials"],
        "correct kafka.properties.\"sasl.username\" and \"sasl.password\" (or the token), and \"sasl.mechanism\"",
    ),
    (
        &[
            "security.protocol",
            "ssl handshake",
            "wrong version number",
            "connection closed while",
            "disconnected",
        ],
        "kafka.properties.\"security.protocol\" (plaintext, ssl, sasl_ssl, sasl_plaintext) must be that of the brokers' listener",
    ),
    (
        &["transport failure"],
        "see that a broker listens there, and that kafka.properties.\"security.protocol\" is that of its listener",
    ),
];

/// Of a store that can't be asked.
const STORE: Advice = &[
    (
        &["no providers in chain", "credentials"],
        "give valve credentials: those of a role (task, instance, web identity), a profile, or AWS_ACCESS_KEY_ID with \
         AWS_SECRET_ACCESS_KEY",
    ),
    (
        &["certificate"],
        "the store's certificate isn't trusted here: add its authority to those of this machine",
    ),
    (
        &["corrupt message", "invalidcontenttype"],
        "sink.endpoint begins with https://, and the store speaks plain HTTP there",
    ),
];

/// What clients wrap around the reason, and people needn't read.
const NOISE: [&str; 6] = [
    "dispatch failure: ",
    "other: ",
    "io error: ",
    "error sending request: ",
    "client error (Connect): ",
    "error resolving DNS: ",
];

/// A reason without its wrappings; what stands in parentheses behind an error's code, or
/// behind what was in vain, says more.
pub(super) fn unwrapped(reason: &str) -> String {
    let reason = reason.split_once(" (last: ").and_then(|(_, last)| last.strip_suffix(')')).unwrap_or(reason);
    let brokers = reason.split_once(" (Broker: ").and_then(|(_, words)| words.strip_suffix(')'));
    NOISE.iter().fold(brokers.unwrap_or(reason).to_owned(), |text, noise| text.replace(noise, ""))
}

fn find(advice: Advice, reason: &str) -> Option<&'static str> {
    let reason = reason.to_lowercase();
    advice.iter().find(|(words, _)| words.iter().any(|word| reason.contains(word))).map(|(_, to_do)| *to_do)
}

/// About an address in `setting` that isn't reached.
pub(super) fn network(reason: &str, setting: &str) -> String {
    find(NETWORK, reason)
        .unwrap_or("see that the service runs there, and that {} is right")
        .replace("{}", setting)
}

/// About a name in `setting` that isn't known.
pub(super) fn name(setting: &str) -> String {
    network(UNKNOWN_NAME, setting)
}

/// About brokers that aren't reached, or don't let this client in.
pub(super) fn kafka(reason: &str) -> String {
    find(KAFKA, reason).map_or_else(|| network(reason, "kafka.bootstrap_servers"), str::to_owned)
}

/// About a registry. What it answers has the advice behind it; what comes from the network has none.
pub(super) fn registry(reason: &str) -> (String, String) {
    let reason = unwrapped(reason);
    let reason = reason.as_str();
    match reason.split_once("HTTP ").and(reason.rsplit_once("; ")) {
        Some((why, to_do)) => (why.to_owned(), to_do.to_owned()),
        None if reason.contains("HTTP ") => (reason.to_owned(), "see the registry's own log".to_owned()),
        None if reason.to_lowercase().contains("certificate") => {
            let to_do =
                "the registry's certificate isn't trusted here: add its authority to those of this machine";
            (reason.to_owned(), to_do.to_owned())
        }
        None => (reason.to_owned(), network(reason, "registry.url")),
    }
}

/// About a store that gave no answer.
pub(super) fn store(reason: &str) -> String {
    find(STORE, reason).map_or_else(|| network(reason, "sink.endpoint"), str::to_owned)
}

/// Which right to grant on a resource of Kafka's, by the tool that comes with it.
pub(super) fn grant(operations: &[&str], kind: &str, name: &str) -> String {
    let flags: Vec<String> = operations.iter().map(|operation| format!("--operation {operation}")).collect();
    format!(
        "grant {} on the {kind} {name}: kafka-acls.sh --add --allow-principal User:… {} --{kind} {name}",
        operations.join(" and "),
        flags.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_what_librdkafka_says_of_a_connection_then_the_setting_to_look_at_is_named() {
        // As librdkafka 2.12.1 says it.
        for (reason, to_do) in [
            ("kafka-9:9092/bootstrap: Failed to resolve 'kafka-9:9092': Name or service not known", "DNS"),
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused",
                "nothing listens",
            ),
            ("10.0.0.9:9092/bootstrap: Connection setup timed out in state CONNECT", "security groups"),
            (
                "ssl://k:9093/bootstrap: SSL handshake failed: error:0A000086: certificate verify failed: broker certificate \
                 could not be verified, verify that ssl.ca.location is correctly configured",
                "ssl.ca.location",
            ),
            (
                "ssl://k:9092/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number: \
                 client SSL authentication might be required",
                "security.protocol",
            ),
            (
                "k:9093/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect \
                 security.protocol configuration (connecting to a SSL listener?)",
                "security.protocol",
            ),
            (
                "sasl_plaintext://k:9094/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL \
                 mechanism: broker's supported mechanisms: SCRAM-SHA-512",
                "sasl.mechanism",
            ),
            (
                "sasl_ssl://k:9094/bootstrap: SASL authentication error: Authentication failed during authentication due \
                 to invalid credentials with SASL mechanism SCRAM-SHA-512",
                "sasl.password",
            ),
        ] {
            assert!(kafka(reason).contains(to_do), "{reason} => {}", kafka(reason));
        }
    }

    #[test]
    fn given_what_a_registry_says_then_reason_and_advice_are_apart() {
        let (why, to_do) =
            registry("GET http://r/subjects: HTTP 401: it wants other credentials; see registry.username");
        assert_eq!(
            (&*why, &*to_do),
            ("GET http://r/subjects: HTTP 401: it wants other credentials", "see registry.username")
        );
        let (_, to_do) =
            registry("GET http://r/: error sending request: tcp connect error: Connection refused");
        assert!(to_do.contains("registry.url") && to_do.contains("nothing listens"), "{to_do}");
        let (_, to_do) =
            registry("GET http://r/: error sending request: dns error: failed to lookup address");
        assert!(to_do.contains("DNS"), "{to_do}");
        let (_, to_do) = registry("GET https://r/: invalid peer certificate: UnknownIssuer");
        assert!(to_do.contains("trusted"), "{to_do}");
    }

    #[test]
    fn given_a_right_that_is_missing_then_the_command_grants_it() {
        let text = grant(&["Read", "Describe"], "topic", "orders");
        assert!(text.starts_with("grant Read and Describe on the topic orders: kafka-acls.sh"), "{text}");
        assert!(text.ends_with("--operation Read --operation Describe --topic orders"), "{text}");
    }
}
