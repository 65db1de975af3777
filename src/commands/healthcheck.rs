//! `valve healthcheck`: asks a running valve over HTTP how it is, for the health checks of containers. An image needs no
//! other tool for that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use url::Url;

use super::failure::{Failure, report};
use crate::cli::HealthcheckArgs;
use crate::config::{self, Sources};
use crate::http_client;

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Succeeds when the valve answers that it lives, or with `--ready` that it is ready; otherwise says why not.
pub async fn healthcheck(args: HealthcheckArgs) -> ExitCode {
    let asked = async { ask(url(&args)?, LIMIT).await };
    report(asked.await.map_err(Failure::Failed))
}

/// What is asked.
fn url(args: &HealthcheckArgs) -> Result<Url, String> {
    let base = match &args.url {
        Some(url) => url.clone(),
        None => {
            // Never from Consul: an outage of that mustn't look like one of this valve.
            let listen = Sources::local(args.config.as_deref(), config::process_environment())
                .and_then(|sources| sources.http_listen());
            own(listen.map_err(|errors| errors.to_string())?)?
        }
    };
    let mut url = Url::parse(&base).map_err(|error| format!("--url {base:?}: {error}"))?;
    if url.path() == "/" {
        url.set_path(if args.ready { "readyz" } else { "livez" });
    }
    Ok(url)
}

/// Where a valve of this machine that listens on `address` is reached.
fn own(mut address: SocketAddr) -> Result<String, String> {
    if address.port() == 0 {
        return Err(
            "http.listen takes any free port, so say where the valve answers: --url http://…".to_owned()
        );
    }
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}

/// The answer, if it is a good one.
async fn ask(url: Url, limit: Duration) -> Result<String, String> {
    let shown = url.to_string();
    let client = reqwest::Client::builder().no_proxy().timeout(limit).build();
    let answer = async {
        let answer = client?.get(url).send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    let (status, text) = answer.await.map_err(|error: reqwest::Error| {
        if error.is_timeout() {
            format!("{shown}: no answer within {limit:?}")
        } else {
            format!("{shown}: {}", http_client::told(error))
        }
    })?;
    if status.is_success() { Ok(text) } else { Err(format!("{shown}: {status}\n{}", text.trim_end())) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::telemetry::http::{Health, Server};
    use crate::telemetry::status::{Membership, Status};
    use crate::telemetry::test_clock::TestClock;
    use crate::telemetry::troubles::Troubles;
    use crate::types::UnixMillis;

    fn asked(base: &str, ready: bool) -> Url {
        url(&HealthcheckArgs { config: None, url: Some(base.to_owned()), ready }).expect("a URL")
    }

    #[test]
    fn given_an_address_to_listen_on_then_it_is_asked_on_this_machine() {
        let own = |address: &str| own(address.parse().unwrap());
        assert_eq!(own("0.0.0.0:8080").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(own("[::]:8080").unwrap(), "http://[::1]:8080");
        assert_eq!(own("10.0.0.7:9").unwrap(), "http://10.0.0.7:9");
        assert!(own("127.0.0.1:0").unwrap_err().contains("--url"));
    }

    #[test]
    fn given_a_url_then_its_path_is_kept_or_follows_from_what_is_asked() {
        assert_eq!(asked("http://valve:80", false).as_str(), "http://valve/livez");
        assert_eq!(asked("http://valve:8080/", true).as_str(), "http://valve:8080/readyz");
        assert_eq!(asked("http://valve/a/livez", true).as_str(), "http://valve/a/livez");
        let nonsense = url(&HealthcheckArgs { config: None, url: Some("valve".to_owned()), ready: false });
        assert!(nonsense.unwrap_err().contains("--url"));
    }

    #[tokio::test]
    async fn given_a_valve_then_it_is_asked_what_it_is_asked_for_and_reasons_come_back() {
        let clock = Arc::new(TestClock::new(UnixMillis(0)));
        let status = Status::new(1, clock.clone());
        let health = Health::new(status.clone(), Troubles::default());
        let server = Server::bind(([127, 0, 0, 1], 0).into(), health).await.expect("a free port");
        let base = own(server.address()).unwrap();
        tokio::spawn(server.run(CancellationToken::new()));

        assert_eq!(ask(asked(&base, false), LIMIT).await.unwrap(), "ok\n");
        let reason = ask(asked(&base, true), LIMIT).await.unwrap_err();
        assert!(
            reason.contains("503") && reason.ends_with("lane 0: is joining the consumer group"),
            "{reason}"
        );
        status.lane(0).membership(Membership::Member(0));
        assert!(ask(asked(&base, true), LIMIT).await.is_ok());
        status.lane(0).polled();
        clock.advance(Duration::from_secs(11));
        assert!(ask(asked(&base, false), LIMIT).await.unwrap_err().contains("hasn't polled"));
    }

    #[tokio::test]
    async fn given_nobody_or_somebody_who_is_silent_then_the_reason_says_so_in_time() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = own(silent.local_addr().unwrap()).unwrap();
        let reason = ask(asked(&base, false), Duration::from_millis(200)).await.unwrap_err();
        assert!(reason.contains("no answer within 200ms"), "{reason}");
        drop(silent);
        let reason = ask(asked(&base, false), LIMIT).await.unwrap_err();
        assert!(reason.contains("refused"), "{reason}");
    }
}
