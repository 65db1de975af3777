//! Whether this process lives and does its work, over HTTP: for an orchestrator, a load balancer, a person.
//!
//! `/livez` fails only for what a restart can mend: a lane that doesn't poll, or that makes no progress and is itself to
//! blame. A dependency's outage is no such thing; it shows at `/readyz`, one reason per line.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::exporters;
use super::prometheus;
use super::status::{Membership, Status};
use super::troubles::Troubles;
use super::watchdog::Stalls;
use crate::columns::plain;

/// A lane polls every second at the latest (ARCHITECTURE.md, invariant 7); one that hasn't for this long is stuck.
const POLL_LIMIT: Duration = Duration::from_secs(10);

/// So many reasons are told: there may be one for each partition, and a client that is slow holds its answer in memory.
const TOLD: usize = 200;

/// What the health of the process is judged by. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Health {
    status: Status,
    troubles: Troubles,
    stalls: Stalls,
}

impl Health {
    /// The health of the process whose lanes report to `status` and whose dependencies to `troubles`.
    #[must_use]
    pub fn new(status: Status, troubles: Troubles) -> Self {
        Self { status, troubles, stalls: Stalls::default() }
    }

    /// The same, with what the watchdog sees.
    #[must_use]
    pub fn watched(mut self, stalls: Stalls) -> Self {
        self.stalls = stalls;
        self
    }

    /// Why the process doesn't live: one line per lane that has begun to poll and hasn't for ten seconds. (The lanes begin
    /// once the cluster can be reached: waiting for that is life, and a restart no cure.) A lane that is leaving may
    /// have ended; the deadline of the shutdown watches over it. And one line per lane that the watchdog has given up.
    #[must_use]
    pub fn dead_because(&self) -> Vec<String> {
        let now = self.status.clock().monotonic();
        let lanes = self.status.last_polled().into_iter().zip(self.status.memberships()).enumerate();
        let silent = lanes.filter_map(|(lane, (polled, membership))| {
            let silent = now.saturating_sub(polled?);
            (silent > POLL_LIMIT && membership != Membership::Leaving)
                .then(|| format!("lane {lane}: hasn't polled Kafka for {} s", silent.as_secs()))
        });
        silent.chain(self.stalls(true)).collect()
    }

    /// Why the process isn't ready: one line per lane that is no member of the consumer group, per dependency in
    /// trouble, per partition held, and per lane without progress. A member without partitions waits for some, and is ready.
    #[must_use]
    pub fn unready_because(&self) -> Vec<String> {
        let stalls = [self.stalled_because(), self.stalls(true)].concat();
        [self.outside_because(), self.troubles.lines(), self.held_because(), stalls].concat()
    }

    /// One line per lane without progress that isn't given up.
    #[must_use]
    pub fn stalled_because(&self) -> Vec<String> {
        self.stalls(false)
    }

    fn stalls(&self, lost: bool) -> Vec<String> {
        let stalls = self.stalls.latest().into_iter().filter(|stall| stall.is_lost == lost);
        stalls.map(|stall| stall.to_string()).collect()
    }

    /// One line per lane that is no member of the consumer group.
    #[must_use]
    pub fn outside_because(&self) -> Vec<String> {
        let lanes = self.status.memberships().into_iter().enumerate().filter_map(|(lane, membership)| {
            let reason = match membership {
                Membership::Member(_) => return None,
                Membership::Joining => "is joining the consumer group",
                Membership::Leaving => "is leaving the consumer group",
            };
            Some(format!("lane {lane}: {reason}"))
        });
        lanes.collect()
    }

    /// One line per partition held.
    #[must_use]
    pub fn held_because(&self) -> Vec<String> {
        let holds = self.status.holds();
        holds.iter().map(|(partition, reason)| format!("held {partition}: {reason}")).collect()
    }
}

/// The address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: can't listen on {address}: {source}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound server that answers once it [runs](Server::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: Router,
}

impl Server {
    /// Listens on `address` and logs where (port 0 becomes a free one).
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn bind(address: SocketAddr, health: Health) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!("listening on http://{address}");
        Ok(Self { listener, address, routes: routes(health) })
    }

    /// Answers these, too.
    #[must_use]
    pub fn with(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, then finishes the answers that are under way.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let connections = Connections::new(self.listener);
        axum::serve(connections, self.routes).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

fn routes(health: Health) -> Router {
    Router::new()
        .route("/livez", get(async |State(health): State<Health>| verdict(&health.dead_because())))
        .route("/readyz", get(async |State(health): State<Health>| unready(&health)))
        .route("/metrics", get(async || ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], exporters::scrape())))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .with_state(health)
}

/// What `/readyz` answers.
pub(super) fn unready(health: &Health) -> (StatusCode, String) {
    verdict(&health.unready_because())
}

/// 200 without reasons against it; otherwise 503 with one reason per line, as far as they are told.
fn verdict(reasons: &[String]) -> (StatusCode, String) {
    if reasons.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let told = reasons.iter().take(TOLD);
    let mut lines: String = told.map(|reason| plain(&reason.replace(['\n', '\r'], " ")) + "\n").collect();
    if reasons.len() > TOLD {
        lines.push_str(&format!("and {} more\n", reasons.len() - TOLD));
    }
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpStream;

    use super::*;
    use crate::core::view::Durable;
    use crate::telemetry::connections::{AT_ONCE, LASTS};
    use crate::telemetry::status::LaneStatus;
    use crate::telemetry::test_clock::TestClock;
    use crate::telemetry::troubles::Dependency;
    use crate::telemetry::watchdog::Stall;
    use crate::types::{Offset, TopicPartition, UnixMillis};

    struct Running {
        clock: Arc<TestClock>,
        lanes: [LaneStatus; 2],
        troubles: Troubles,
        stalls: Stalls,
        address: SocketAddr,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    impl Running {
        async fn start() -> Self {
            let clock = Arc::new(TestClock::new(UnixMillis(0)));
            let status = Status::new(2, clock.clone());
            let lanes = [status.lane(0), status.lane(1)];
            let troubles = Troubles::default();
            let stalls = Stalls::default();
            let health = Health::new(status, troubles.clone()).watched(stalls.clone());
            let server = Server::bind(([127, 0, 0, 1], 0).into(), health).await.expect("a free port");
            let (address, stop) = (server.address(), CancellationToken::new());
            let task = tokio::spawn(server.run(stop.clone()));
            Self { clock, lanes, troubles, stalls, address, stop, task }
        }

        async fn get(&self, path: &str) -> (u16, String) {
            let answer = reqwest::get(format!("http://{}{path}", self.address)).await.expect("an answer");
            assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        }
    }

    fn ok() -> (u16, String) {
        (200, "ok\n".to_owned())
    }

    #[tokio::test]
    async fn given_a_lane_that_stops_polling_then_livez_names_it() {
        let running = Running::start().await;
        // Before their first poll the lanes wait for the cluster, for however long.
        running.clock.advance(Duration::from_secs(60));
        assert_eq!(running.get("/livez").await, ok());
        running.lanes.iter().for_each(LaneStatus::polled);
        running.clock.advance(Duration::from_secs(10));
        assert_eq!(running.get("/livez").await, ok());
        running.lanes[0].polled();
        running.clock.advance(Duration::from_secs(1));
        assert_eq!(running.get("/livez").await, (503, "lane 1: hasn't polled Kafka for 11 s\n".to_owned()));
        running.lanes[1].polled();
        assert_eq!(running.get("/livez").await, ok());
    }

    #[tokio::test]
    async fn given_a_lane_that_is_leaving_then_livez_doesnt_wait_for_its_polls() {
        let running = Running::start().await;
        running.lanes.iter().for_each(|lane| lane.membership(Membership::Leaving));
        running.clock.advance(Duration::from_secs(60));
        assert_eq!(running.get("/livez").await, ok());
        assert_eq!(running.get("/readyz").await.0, 503);
    }

    #[tokio::test]
    async fn given_members_without_partitions_then_the_process_is_ready() {
        let running = Running::start().await;
        running.lanes[0].membership(Membership::Member(0));
        assert_eq!(running.get("/readyz").await, (503, "lane 1: is joining the consumer group\n".to_owned()));
        running.lanes[1].membership(Membership::Member(3));
        assert_eq!(running.get("/readyz").await, ok());
    }

    #[tokio::test]
    async fn given_a_trouble_and_a_hold_then_readyz_has_a_line_for_each_and_livez_is_well() {
        let running = Running::start().await;
        running.lanes.iter().for_each(|lane| lane.membership(Membership::Member(1)));
        let trouble = running.troubles.open(Dependency::Sink);
        trouble.set("put a.avro:\n403".to_owned());
        let partition = TopicPartition::new("orders", 3);
        let durable =
            Durable { partition: partition.clone(), committed: Offset(0), read: Offset(0), oldest: None };
        running.lanes[0].owns(vec![durable], [].into());
        running.lanes[0].hold(&partition, Some("other rows are stored".to_owned()));

        let expected = "sink: put a.avro: 403\nheld orders[3]: other rows are stored\n";
        assert_eq!(running.get("/readyz").await, (503, expected.to_owned()));
        assert_eq!(running.get("/livez").await, ok());
        drop(trouble);
        running.lanes[0].hold(&partition, None);
        assert_eq!(running.get("/readyz").await, ok());
    }

    #[tokio::test]
    async fn given_a_lane_without_progress_then_readyz_says_so_and_livez_only_when_it_is_lost() {
        let running = Running::start().await;
        running.lanes.iter().for_each(|lane| lane.membership(Membership::Member(1)));
        let reasons = vec!["orders[3] (7) waits for a schema".to_owned()];
        let stall =
            |is_lost| Stall { lane: 1, silent: POLL_LIMIT, backlog: 7, reasons: reasons.clone(), is_lost };
        let line = "lane 1: no progress for 10 s with 7 records to read: orders[3] (7) waits for a schema\n";
        running.stalls.store(vec![stall(false)]);
        assert_eq!(running.get("/readyz").await, (503, line.to_owned()));
        assert_eq!(running.get("/livez").await, ok());
        running.stalls.store(vec![stall(true)]);
        assert_eq!(running.get("/readyz").await, (503, line.to_owned()));
        assert_eq!(running.get("/livez").await, (503, line.to_owned()));
    }

    #[test]
    fn given_a_reason_that_would_move_a_terminals_cursor_then_the_answer_does_not() {
        let reasons = ["held orders[3]: \u{1b}[2Ja\r\nb\u{9b}31m".to_owned()];
        assert_eq!(verdict(&reasons).1, "held orders[3]: \u{fffd}[2Ja  b\u{fffd}31m\n");
    }

    #[test]
    fn given_more_reasons_than_are_told_then_the_answer_says_how_many_there_are() {
        let reasons = |count| vec!["held orders[3]: other rows are stored".to_owned(); count];
        assert_eq!(verdict(&reasons(TOLD)).1.lines().count(), TOLD);
        let (status, told) = verdict(&reasons(10_000));
        assert_eq!((status, told.lines().count()), (StatusCode::SERVICE_UNAVAILABLE, TOLD + 1));
        assert_eq!(told.lines().last(), Some("and 9800 more"));
    }

    #[tokio::test]
    async fn given_clients_in_all_places_that_ask_nothing_then_livez_answers_long_before_they_end() {
        let running = Running::start().await;
        let mut clients = Vec::new();
        for _ in 0..2 * AT_ONCE {
            clients.push(TcpStream::connect(running.address).await.unwrap());
        }
        let asked = tokio::time::timeout(LASTS / 3, running.get("/livez")).await;
        assert_eq!(asked.expect("an answer"), ok());
    }

    #[tokio::test]
    async fn given_another_path_then_it_is_not_found() {
        assert_eq!(Running::start().await.get("/nothing").await.0, 404);
    }

    #[tokio::test]
    async fn given_a_stop_then_the_server_ends() {
        let running = Running::start().await;
        running.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), running.task).await.expect("ends");
        ended.expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn given_an_address_in_use_then_the_error_names_the_setting_and_the_address() {
        let running = Running::start().await;
        let health = Health::new(Status::new(0, running.clock.clone()), Troubles::default());
        let error = Server::bind(running.address, health).await.expect_err("in use").to_string();
        assert!(error.contains("http.listen") && error.contains(&running.address.to_string()), "{error}");
    }
}
