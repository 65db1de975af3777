//! What the consumers are configured with, and what memory that makes a lane's client take.

use rdkafka::config::ClientConfig;

use super::client::configure;
use crate::config::{Assignment, Config, GroupProtocol, Isolation};

/// The bounds of a lane's fetch queue, in KiB: as fast as a larger one from 8 MiB on.
const QUEUE_KIB: (usize, usize) = (256, 8 << 10);

/// The client fetches when fewer records are in it than these: the shortest queue is filled when it is empty.
const QUEUE_RECORDS: (usize, usize) = (1, 10_000);

/// What a lane's client takes beside what it fetches, in bytes: its threads and connections.
const CLIENT: usize = 1 << 20;

/// What the client takes for a record batch of a megabyte, which brokers allow, whatever the queue's length, in bytes: with
/// each record it keeps some 500 bytes.
const ONE_BATCH: usize = 3 << 20;

/// Of records that are larger than that, a lane has so many in memory, in one form or another, beside its batches.
const AT_ONCE: usize = 3;

/// In milliseconds.
const HOUR: u128 = 3_600_000;

/// The memory that one lane takes for what is fetched, in bytes, when values have up to `longest`: the client's queue, twice
/// as much for what it keeps with small records, and a response on its way; of large records the one that is being placed, what
/// becomes of it, and the next one; and a compressor of `compressor` bytes. (A record batch that decompresses to several megabytes
/// is beyond this.)
///
/// For large records no more is set aside than makes half the budget for all lanes and a takeover: what is left lets them go on,
/// however large the records are.
pub(crate) fn fetch_reserve(config: &Config, longest: usize, compressor: usize) -> usize {
    let most = (config.memory_budget / 2 / (config.lanes + 1)).saturating_sub(CLIENT + compressor);
    let large = longest.saturating_mul(AT_ONCE).min(most);
    (queue_kib(config) * 1024 * 4).max(ONE_BATCH).max(large) + CLIENT + compressor
}

fn queue_kib(config: &Config) -> usize {
    (config.memory_budget / 64 / config.lanes.max(1) / 1024).clamp(QUEUE_KIB.0, QUEUE_KIB.1)
}

/// What decides speed and memory first, so that `kafka.properties` can change it; what belongs to valve last.
pub(super) fn consumer_config(config: &Config, client_id: &str) -> ClientConfig {
    let queue = queue_kib(config);
    let records = ((queue - QUEUE_KIB.0) * 4).clamp(QUEUE_RECORDS.0, QUEUE_RECORDS.1);
    let mut properties = ClientConfig::new();
    properties
        .set("queued.max.messages.kbytes", queue.to_string())
        .set("queued.min.messages", records.to_string())
        .set("fetch.message.max.bytes", "65536")
        // A full queue is looked at again so soon that a short one doesn't run empty meanwhile.
        .set("fetch.queue.backoff.ms", "2")
        // How soon the group learns of partitions that a topic was given. (The client takes an hour at most.)
        .set("topic.metadata.refresh.interval.ms", config.topics_refresh.as_millis().min(HOUR).to_string())
        .set("check.crcs", "true")
        .set("log.connection.close", "false");
    // A member hears of a rebalance with its next heartbeat, and one that gives partitions away takes two. (Under the newer
    // protocol the group's coordinator decides, and the client refuses this.)
    if config.group.protocol == GroupProtocol::Classic {
        properties.set("heartbeat.interval.ms", "1000");
    }
    configure(&mut properties, &config.kafka);
    limit_responses(&mut properties);
    properties.set("client.id", client_id).set("group.id", &config.name);
    own_by_valve(&mut properties, config);
    properties
}

/// Lets a response be a quarter of the queue, unless `kafka.properties` say how long it may be: what is fetched at once may
/// decompress to many times its size before the queue is known to be full.
fn limit_responses(properties: &mut ClientConfig) {
    let number = |properties: &ClientConfig, name| properties.get(name).and_then(|text| text.parse().ok());
    let queue: usize = number(properties, "queued.max.messages.kbytes").unwrap_or(QUEUE_KIB.1);
    // The client takes no less.
    let response = (queue.saturating_mul(1024) / 4).max(1000);
    // The client wants a response to be no shorter than this, which bounds what producers send.
    let message = number(properties, "message.max.bytes").unwrap_or(response.min(1_000_000));
    properties.set("message.max.bytes", message.to_string());
    if properties.get("fetch.max.bytes").is_none() {
        properties.set("fetch.max.bytes", response.max(message).to_string());
    }
}

/// `isolation.level`
pub(super) fn isolation(read_committed: bool) -> &'static str {
    if read_committed { "read_committed" } else { "read_uncommitted" }
}

/// The properties that the protocol depends on (docs/protocol.md, "What belongs to valve").
fn own_by_valve(properties: &mut ClientConfig, config: &Config) {
    let isolation = isolation(config.group.isolation == Isolation::ReadCommitted);
    properties
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "false")
        .set("isolation.level", isolation);
    match config.group.protocol {
        GroupProtocol::Consumer => properties.set("group.protocol", "consumer"),
        GroupProtocol::Classic => properties.set("group.protocol", "classic").set(
            "partition.assignment.strategy",
            match config.group.assignment {
                Assignment::CooperativeSticky => "cooperative-sticky",
                Assignment::Range => "range",
                Assignment::RoundRobin => "roundrobin",
            },
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(given: &[(&str, &str)]) -> (String, String) {
        let mut properties = ClientConfig::new();
        for (name, value) in given {
            properties.set(*name, *value);
        }
        limit_responses(&mut properties);
        let value = |name| properties.get(name).unwrap().to_owned();
        (value("fetch.max.bytes"), value("message.max.bytes"))
    }

    #[test]
    fn given_a_queue_then_a_response_is_a_quarter_of_it_and_no_shorter_than_a_message_that_may_be_sent() {
        let queue = "queued.max.messages.kbytes";
        let text = |fetch: &str, message: &str| (fetch.to_owned(), message.to_owned());
        assert_eq!(limits(&[(queue, "512")]), text("131072", "131072"));
        assert_eq!(limits(&[(queue, "8192")]), text("2097152", "1000000"));
        assert_eq!(limits(&[(queue, "1")]), text("1000", "1000"));
        assert_eq!(limits(&[(queue, "512"), ("message.max.bytes", "5000000")]), text("5000000", "5000000"));
        assert_eq!(limits(&[(queue, "512"), ("fetch.max.bytes", "77")]).0, "77");
    }
}
