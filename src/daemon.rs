//! The daemon: builds what the lanes share, runs them, and ends when all of them have.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::batch::publish::Publisher;
use crate::batch::terms::Terms;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::intent::{Layout, MAX_METADATA};
use crate::dead_letter::limit::Gate;
use crate::dead_letter::original::Originals;
use crate::dead_letter::producer::KafkaDeadLetters;
use crate::lane::{self, Gathering, Shared};
use crate::registry::SchemaSource;
use crate::registry::cache::SchemaCache;
use crate::registry::confluent::Confluent;
use crate::retry::until_done;
use crate::sink::Sink;
use crate::sink::retry::Retrying;
use crate::source::offsets::Offsets;
use crate::stored::Store;
use crate::stored::survey::Survey;
use crate::takeover::{Maker, Takeovers};
use crate::telemetry::gauges::Gauges;
use crate::telemetry::history::History;
use crate::telemetry::http::{Health, Server};
use crate::telemetry::lag_task::{self, LagReading};
use crate::telemetry::page;
use crate::telemetry::snapshot::{Identity, Observed};
use crate::telemetry::status::Status;
use crate::telemetry::troubles::{Dependency, Troubles};
use crate::telemetry::watchdog::{Stalls, Watch};
use crate::topics::{Discovery, TopicIds};

/// How often lag is measured and published.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// What a daemon is watched through, and where it has its time from.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What the lanes did and are doing.
    pub status: Status,
    /// What is wrong with the world.
    pub troubles: Troubles,
    /// The lag as last measured.
    pub lag: LagReading,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where it answers HTTP, once it does.
    pub listening: Arc<OnceLock<SocketAddr>>,
}

impl Surroundings {
    /// Surroundings of a daemon with so many lanes.
    #[must_use]
    pub fn new(lanes: usize, clock: Arc<dyn Clock>) -> Self {
        let status = Status::new(lanes, Arc::clone(&clock));
        Self {
            status,
            troubles: Troubles::default(),
            lag: LagReading::default(),
            clock,
            listening: Arc::default(),
        }
    }
}

/// Why a daemon ended otherwise than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting is wrong in a way that only the part that uses it could tell. Nothing was read or written.
    #[error("{0}")]
    Settings(String),
    /// It can't go on.
    #[error("{0}")]
    Failed(String),
}

fn settings(error: impl std::fmt::Display) -> RunError {
    RunError::Settings(error.to_string())
}

/// Runs until `stop`, and then until everything that was read is stored and committed, or the deadline for that is
/// over.
///
/// # Errors
/// When a part refuses its settings at the start, or a lane can't go on.
pub async fn run(
    config: Config,
    surroundings: Surroundings,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let parts = Parts::open(config, &surroundings).await?;
    // What only watches or serves; it ends with this function.
    let mut attendants = JoinSet::new();
    attend(&mut attendants, &parts, &surroundings, &stop).await?;

    let discovery = parts.discovery(&surroundings);
    let met = async { (cluster_id(&parts.offsets, &surroundings.troubles).await, discovery.find().await) };
    let Some((cluster, topics)) = stop.run_until_cancelled(met).await else { return Ok(()) };
    let layout = parts.terms.layout.settings().map(|(setting, value)| format!("{setting}={value:?}"));
    tracing::info!(topics = topics.join(" "), cluster = &*cluster, layout = layout.join(" "), "starting");
    let (found, topics) = watch::channel(topics);
    let (ids, topic_ids) = watch::channel(TopicIds::default());
    attendants.spawn(discovery.keep_looking(parts.config.topics_refresh, found, ids));
    run_lanes(parts.shared(surroundings, &cluster, (topics, topic_ids), stop)?).await
}

/// What a daemon is made of that its settings can still refuse. Nobody was asked anything yet.
struct Parts {
    config: Arc<Config>,
    terms: Arc<Terms>,
    /// Repeats what fails for as long as it takes.
    sink: Arc<dyn Sink>,
    dead_letters: Arc<KafkaDeadLetters>,
    registry: Arc<dyn SchemaSource>,
    offsets: Offsets,
    budget: Budget,
}

impl Parts {
    async fn open(config: Config, surroundings: &Surroundings) -> Result<Self, RunError> {
        let terms = Arc::new(checked_terms(&config)?);
        let sink = crate::sink::open(&config.sink).await.map_err(settings)?;
        let sink: Arc<dyn Sink> = Arc::new(Retrying::new(sink, surroundings.troubles.clone()));
        let originals = Originals::new(Arc::clone(&sink), &config.sink);
        let dead_letters = Arc::new(KafkaDeadLetters::open(&config, originals).map_err(settings)?);
        let registry = Arc::new(Confluent::new(&config.registry).map_err(settings)?);
        let offsets =
            Offsets::open(&config).map_err(|error| settings(format!("kafka.properties: {error}")))?;
        let budget = Budget::new(config.memory_budget);
        Ok(Self { config: Arc::new(config), terms, sink, dead_letters, registry, offsets, budget })
    }

    fn discovery(&self, surroundings: &Surroundings) -> Discovery {
        let (offsets, registry) = (self.offsets.clone(), Arc::clone(&self.registry));
        Discovery::new(self.config.topics.clone(), offsets, registry, surroundings.troubles.clone())
    }

    /// What the lanes share, on the cluster with this id, with the topics as they are found and their ids.
    fn shared(
        self,
        surroundings: Surroundings,
        cluster: &str,
        (topics, topic_ids): (watch::Receiver<Arc<[String]>>, watch::Receiver<TopicIds>),
        stop: CancellationToken,
    ) -> Result<Shared, RunError> {
        let Self { config, terms, sink, dead_letters, registry, offsets, budget } = self;
        let Surroundings { status, troubles, clock, .. } = surroundings;
        let publisher = Publisher::new(
            Arc::clone(&config),
            terms,
            cluster,
            sink,
            dead_letters,
            status.clone(),
            troubles.clone(),
        );
        let unknown_after = config.registry.unknown_after;
        let schemas = SchemaCache::new(registry, unknown_after, Arc::clone(&clock), troubles.clone());
        let runtime = tokio::runtime::Handle::current();
        let takeovers = Takeovers::begin(Maker {
            publisher: publisher.clone(),
            schemas: schemas.clone(),
            budget: budget.clone(),
            clock: Arc::clone(&clock),
            troubles: troubles.clone(),
            runtime: runtime.clone(),
        });
        let survey = Survey {
            store: Store::new(Arc::clone(&publisher.sink), &*config.name),
            terms: Arc::clone(&publisher.terms),
            offsets: offsets.clone(),
            start: config.start,
        };
        Ok(Shared {
            gathering: Arc::new(Gathering::of(config.lanes)),
            gate: Gate::new(config.dead_letter_limits, troubles.clone()),
            takeovers: takeovers
                .map_err(|error| RunError::Failed(format!("no thread for takeovers: {error}")))?,
            config,
            publisher,
            schemas,
            offsets,
            survey,
            budget,
            status,
            troubles,
            clock,
            topics,
            topic_ids,
            stop,
            runtime,
        })
    }
}

/// Begins to answer HTTP, to measure, to publish, and to notice lanes without progress.
async fn attend(
    attendants: &mut JoinSet<()>,
    parts: &Parts,
    surroundings: &Surroundings,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let Surroundings { status, troubles, lag, clock, listening } = surroundings.clone();
    let (config, budget, stalls) = (&*parts.config, parts.budget.clone(), Stalls::default());
    let observed = Observed {
        identity: Identity::of(config, &*clock),
        health: Health::new(status.clone(), troubles.clone()).watched(stalls.clone()),
        status: status.clone(),
        troubles: troubles.clone(),
        lag: lag.clone(),
        history: History::default(),
        budget: budget.clone(),
        stop: stop.clone(),
    };
    let server = Server::bind(config.http_listen, observed.health.clone()).await.map_err(settings)?;
    listening.get_or_init(|| server.address());
    attendants.spawn(serve(server.with(page::routes(observed.clone())), stop_never()));
    attendants.spawn(observed.history.keep(status.clone(), lag.clone(), stop_never()));
    let ends = Arc::new(parts.offsets.clone());
    let measuring =
        lag_task::run(status.clone(), ends, lag.clone(), LAG_INTERVAL, troubles.clone(), stop_never());
    attendants.spawn(measuring);
    let gauges = Gauges {
        status: status.clone(),
        troubles: troubles.clone(),
        lag: lag.clone(),
        budget: budget.clone(),
        per_partition: config.metrics.per_partition,
    };
    attendants.spawn(gauges.run(LAG_INTERVAL));
    attendants.spawn(Watch { status, lag, troubles, budget, stalls }.run(config.watchdog_stall));
    Ok(())
}

/// The terms, if every intent that they can lead to fits into an offset commit.
///
/// # Errors
/// What to shorten, otherwise.
pub(crate) fn checked_terms(config: &Config) -> Result<Terms, RunError> {
    let layout = Layout::of(config);
    let longest = layout.longest_metadata();
    if longest > MAX_METADATA {
        return Err(RunError::Settings(format!(
            "an offset commit's metadata could take {longest} bytes, more than {MAX_METADATA}: shorten sink.prefix, \
             layout.key, timestamp, sink.path or sink.endpoint"
        )));
    }
    Terms::of(&layout).map_err(RunError::Settings)
}

/// The cluster's id, once there is a broker to ask. All members must know the same, or they would name files differently;
/// so an unreachable cluster is waited for.
async fn cluster_id(offsets: &Offsets, troubles: &Troubles) -> Arc<str> {
    let timeout = Duration::from_secs(30);
    let ask = || offsets.cluster_id();
    until_done(troubles, Dependency::Kafka, "reach the cluster", timeout, ask).await.into()
}

async fn serve(server: Server, stop: CancellationToken) {
    if let Err(error) = server.run(stop).await {
        tracing::error!(%error, "the HTTP server failed");
    }
}

/// Attendants are aborted when the lanes have ended, not asked before.
fn stop_never() -> CancellationToken {
    CancellationToken::new()
}

/// One thread each. When one fails, the others are asked to stop.
async fn run_lanes(shared: Shared) -> Result<(), RunError> {
    let mut lanes = JoinSet::new();
    for index in 0..shared.config.lanes {
        let (done, ended) = tokio::sync::oneshot::channel();
        let lane = shared.clone();
        let thread = std::thread::Builder::new().name(format!("lane-{index}"));
        let spawned = thread.spawn(move || drop(done.send(lane::run(&lane, index))));
        spawned.map_err(|error| RunError::Failed(format!("no thread for lane {index}: {error}")))?;
        lanes.spawn(ended);
    }
    let mut result = Ok(());
    while let Some(ended) = lanes.join_next().await {
        let failure = match ended {
            Ok(Ok(Ok(()))) => continue,
            Ok(Ok(Err(reason))) => reason,
            Ok(Err(_)) | Err(_) => "a lane's thread panicked; the log says where".to_owned(),
        };
        tracing::error!(reason = failure, "a lane failed; stopping the others");
        shared.stop.cancel();
        result = Err(RunError::Failed(failure));
    }
    result
}
