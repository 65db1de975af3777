//! The way to the StatsD agent: what was counted is summed up for a second, then sent in few UDP packets.
//!
//! The exporter's own UDP sink needs the agent's name at start, never sends what doesn't fill a packet, and sends a
//! line per increment. Here lanes only add to a map; one thread resolves the name, again and again, and
//! sends. While the name can't be resolved (the agent may start after valve) counters are kept, so nothing that
//! was counted is lost; no outage of the agent is felt anywhere else.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cadence::MetricSink;
use metrics_exporter_statsd::{StatsdBuilder, StatsdRecorder};

use super::exporters::{Dimensions, InstallError};

/// What one packet holds at most, in bytes: an Ethernet frame's 1,500 less the headers of IP and UDP, with room for
/// a tunnel's.
const MAX_PACKET: usize = 1432;

/// How often what is pending is sent.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// After how many intervals the agent's name is resolved again: it may have moved.
const RESOLVE_AFTER: u32 = 30;

/// The value of a gauge that is to be forgotten.
const FORGOTTEN: &str = "NaN";

/// How many single measurements (anything but counters and gauges) wait for the agent before new ones are dropped.
const MAX_SINGLES: usize = 10_000;

/// A recorder that puts what it is told into `series`.
pub(super) fn recorder(series: Series, dimensions: &Dimensions) -> Result<StatsdRecorder, InstallError> {
    let tagged = |builder: StatsdBuilder, (name, value): (&str, &str)| {
        builder.with_default_tag(name, tag_value(value))
    };
    let builder = StatsdBuilder::from("", 0).with_sink(series);
    let builder = dimensions.each().into_iter().fold(builder, tagged);
    builder.build(None).map_err(|error| InstallError::Exporter(error.to_string()))
}

/// `text` without the characters that end a tag in StatsD's line format.
fn tag_value(text: &str) -> String {
    text.replace(|c: char| matches!(c, ',' | '|' | '#') || c.is_control(), "_")
}

/// The metrics since the last sending. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pending: Arc<Mutex<Pending>>,
}

/// A series is identified by its name and by what follows its value in a line: type and tags.
type Key = (String, String);

#[derive(Debug, Default)]
struct Pending {
    counters: BTreeMap<Key, u64>,
    gauges: BTreeMap<Key, String>,
    singles: Vec<String>,
}

impl Series {
    /// Takes what is pending, one line per series.
    pub(super) fn take_lines(&self) -> Vec<String> {
        let pending = std::mem::take(&mut *self.lock());
        let counters = pending.counters.iter().map(|((name, rest), sum)| format!("{name}:{sum}|{rest}"));
        let gauges = pending.gauges.iter().map(|((name, rest), value)| format!("{name}:{value}|{rest}"));
        counters.chain(gauges).chain(pending.singles).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricSink for Series {
    /// Takes one line, `name:value|type|#tag:value,…`.
    fn emit(&self, line: &str) -> io::Result<usize> {
        let parts = line.split_once(':').and_then(|(name, tail)| {
            let (value, rest) = tail.split_once('|')?;
            Some((name, value, rest))
        });
        let mut pending = self.lock();
        match parts {
            Some((name, value, rest)) if is_kind(rest, "c") && value.parse::<u64>().is_ok() => {
                let sum = pending.counters.entry((name.to_owned(), rest.to_owned())).or_default();
                *sum = sum.saturating_add(value.parse().unwrap_or(0));
            }
            Some((name, value, rest)) if is_kind(rest, "g") => {
                let key = (name.to_owned(), rest.to_owned());
                if value == FORGOTTEN {
                    pending.gauges.remove(&key);
                } else {
                    pending.gauges.insert(key, value.to_owned());
                }
            }
            _ if pending.singles.len() < MAX_SINGLES => pending.singles.push(line.to_owned()),
            _ => {}
        }
        Ok(line.len())
    }
}

/// Whether what follows a line's value begins with this type.
fn is_kind(rest: &str, kind: &str) -> bool {
    rest.split('|').next() == Some(kind)
}

/// Joins `lines` to packets of at most [`MAX_PACKET`] bytes; a longer line gets a packet of its own.
fn packets(lines: &[String]) -> Vec<String> {
    let mut packets: Vec<String> = Vec::new();
    for line in lines {
        match packets.last_mut() {
            Some(packet) if packet.len() + 1 + line.len() <= MAX_PACKET => {
                packet.push('\n');
                packet.push_str(line);
            }
            _ => packets.push(line.clone()),
        }
    }
    packets
}

/// Where the packets go.
pub(super) struct Agent {
    name: String,
    found: Option<(UdpSocket, SocketAddr)>,
    intervals: u32,
    failing: bool,
}

impl Agent {
    /// The agent at `name` (`host:port`), not looked up yet.
    pub(super) fn new(name: String) -> Self {
        Self { name, found: None, intervals: 0, failing: false }
    }

    /// Sends what is pending; leaves it there while the agent's address isn't known.
    pub(super) fn flush(&mut self, series: &Series) {
        if self.found.is_none() || self.intervals >= RESOLVE_AFTER {
            self.intervals = 0;
            match resolve(&self.name) {
                Ok(found) => self.found = Some(found),
                Err(error) => self.failed(&error),
            }
        }
        self.intervals += 1;
        let Some((socket, address)) = &self.found else { return };
        let sent = packets(&series.take_lines())
            .iter()
            .try_for_each(|packet| socket.send_to(packet.as_bytes(), address).map(drop));
        match sent {
            Ok(()) => self.failing = false,
            Err(error) => self.failed(&error),
        }
    }

    /// Logs the first of several failures.
    fn failed(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::warn!(agent = self.name, %error, "metrics don't reach the StatsD agent");
        }
    }
}

/// Looks up the agent, and opens a socket of its address family; IPv4 first, since agents listen there.
fn resolve(name: &str) -> io::Result<(UdpSocket, SocketAddr)> {
    let mut addresses: Vec<_> = name.to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let address = addresses.first().copied().ok_or_else(|| io::Error::other("the name has no address"))?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    Ok((UdpSocket::bind(any)?, address))
}

#[cfg(test)]
mod tests {
    use super::super::metrics::LAG_AGE;
    use super::*;

    fn emit(series: &Series, line: &str) {
        series.emit(line).expect("the sink takes everything");
    }

    #[test]
    fn given_many_increments_then_one_line_has_their_sum() {
        let series = Series::default();
        for _ in 0..1000 {
            emit(&series, "files:2|c|#topic:orders");
        }
        emit(&series, "files:1|c|#topic:payments");
        assert_eq!(series.take_lines(), ["files:2000|c|#topic:orders", "files:1|c|#topic:payments"]);
        assert!(series.take_lines().is_empty(), "sent twice");
    }

    #[test]
    fn given_a_gauge_set_again_unchanged_then_it_is_sent_again() {
        let series = Series::default();
        for _ in 0..3 {
            emit(&series, "max_offset_lag:7|g");
            assert_eq!(series.take_lines(), ["max_offset_lag:7|g"]);
        }
    }

    #[test]
    fn given_a_hostile_environment_then_a_tag_stays_a_tag() {
        let series = Series::default();
        let recorder =
            recorder(series.clone(), &Dimensions::new("arch|ive,x", "te\nst#")).expect("a recorder");
        metrics::with_local_recorder(&recorder, || LAG_AGE.set(1.0));
        assert_eq!(series.take_lines(), ["lag_age:1|g|#CONSUMER_GROUP:arch_ive_x,ENVIRONMENT:te_st_"]);
    }

    #[test]
    fn given_a_gauge_that_is_forgotten_then_it_is_not_sent() {
        let series = Series::default();
        let recorder = recorder(series.clone(), &Dimensions::new("archive", "test")).expect("a recorder");
        metrics::with_local_recorder(&recorder, || {
            LAG_AGE.set(1.0);
            LAG_AGE.forget(&[]);
        });
        assert!(series.take_lines().is_empty());
    }

    #[test]
    fn given_single_measurements_without_end_then_memory_is_bounded() {
        let series = Series::default();
        for _ in 0..2 * MAX_SINGLES {
            emit(&series, "publish_latency:0.5|h");
        }
        assert_eq!(series.take_lines().len(), MAX_SINGLES);
    }

    #[test]
    fn given_many_lines_then_packets_fit_and_nothing_is_missing() {
        let lines: Vec<String> =
            (0..500).map(|i| format!("files:{i}|c|#topic:{}", "t".repeat(i % 90))).collect();
        let packets = packets(&lines);
        assert!(packets.iter().all(|packet| packet.len() <= MAX_PACKET));
        assert_eq!(packets.join("\n"), lines.join("\n"));
        assert!(packets.len() < 60, "{} packets", packets.len());
    }

    #[test]
    fn given_a_host_that_cannot_be_resolved_then_counters_are_kept() {
        let series = Series::default();
        emit(&series, "files:2|c");
        // A name that the standard library refuses by itself: no resolver is asked.
        let mut agent = Agent::new("agent\0:8125".to_owned());
        agent.flush(&series);
        assert_eq!(series.take_lines(), ["files:2|c"]);
    }
}
