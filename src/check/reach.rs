//! Names and addresses: whether they lead anywhere from here.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::advice;
use super::{Checks, Finding, Outcome};
use crate::config::Config;

/// How long a name and a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Looks `address` (`host:port`) up and connects to it: where it led to.
pub(super) async fn connect(checks: &Checks, address: &str) -> (Result<SocketAddr, String>, Duration) {
    let connected = async {
        let found: Vec<_> = lookup_host(address).await.map_err(unknown_name)?.collect();
        let mut last = "the name has no address".to_owned();
        for each in found {
            match TcpStream::connect(each).await {
                Ok(_) => return Ok(each),
                Err(error) => last = format!("{each}: {error}"),
            }
        }
        Err(last)
    };
    checks.within(CONNECT, connected).await
}

fn unknown_name(error: std::io::Error) -> String {
    format!("{}: {error}", advice::UNKNOWN_NAME)
}

/// What valve itself offers and sends to: the page, and metrics.
pub(super) async fn outlets(checks: &Checks, config: &Config) -> Vec<Finding> {
    let mut findings = vec![listen(checks, config.http_listen).await];
    if let Some(address) = &config.metrics.statsd {
        findings.push(statsd(checks, address).await);
    }
    findings
}

async fn listen(checks: &Checks, address: SocketAddr) -> Finding {
    let tried = format!("listen at {address}");
    let (bound, took) =
        checks.within(CONNECT, async { Ok::<_, String>(TcpListener::bind(address).await) }).await;
    let finding = |outcome| Finding::new("outlets", tried, outcome).took(took);
    match bound {
        Ok(Ok(_)) => finding(Outcome::Well).saying("free, for the status page"),
        Ok(Err(error)) if error.kind() == ErrorKind::AddrInUse => {
            finding(Outcome::Noted).saying("it is in use, perhaps by a valve that runs here")
        }
        Ok(Err(error)) => finding(Outcome::Failed)
            .saying(error)
            .advising("set http.listen to an address of this machine, such as 0.0.0.0:8080"),
        Err(late) => finding(Outcome::Failed).saying(late),
    }
}

async fn statsd(checks: &Checks, address: &str) -> Finding {
    let (found, took) = checks.within(CONNECT, lookup_host(address)).await;
    let finding = |outcome| Finding::new("outlets", format!("look up {address}"), outcome).took(took);
    match found.map(|mut found| found.next()) {
        Ok(Some(at)) => finding(Outcome::Well)
            .saying(format!("{at}, for StatsD; whether somebody listens there, UDP doesn't tell")),
        Ok(None) => finding(Outcome::Failed)
            .saying("the name has no address")
            .advising(advice::name("metrics.statsd")),
        Err(error) => finding(Outcome::Failed).saying(error).advising(advice::name("metrics.statsd")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn given_addresses_then_each_failure_says_which_kind_it_is() {
        let checks = Checks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(connect(&checks, &address.to_string()).await.0, Ok(address));
        drop(listener);
        let refused = connect(&checks, &address.to_string()).await.0.unwrap_err();
        assert!(refused.contains(&address.to_string()) && refused.contains("refused"), "{refused}");
        let unknown = connect(&checks, "no-such-host.invalid:9092").await.0.unwrap_err();
        assert!(unknown.starts_with(advice::UNKNOWN_NAME), "{unknown}");
    }

    #[tokio::test]
    async fn given_an_address_to_listen_at_then_it_is_free_or_in_use_or_not_of_this_machine() {
        let checks = Checks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(listen(&checks, address).await.outcome, Outcome::Noted);
        drop(listener);
        assert_eq!(listen(&checks, address).await.outcome, Outcome::Well);
        let elsewhere = listen(&checks, "192.0.2.1:8080".parse().unwrap()).await;
        assert_eq!(elsewhere.outcome, Outcome::Failed);
        assert!(elsewhere.advice().contains("http.listen"));
    }

    #[tokio::test]
    async fn given_a_statsd_address_then_its_name_must_be_known() {
        let checks = Checks::default();
        assert_eq!(statsd(&checks, "127.0.0.1:8125").await.outcome, Outcome::Well);
        let unknown = statsd(&checks, "no-such-host.invalid:8125").await;
        assert!(unknown.outcome == Outcome::Failed && unknown.advice().contains("metrics.statsd"));
    }
}
