//! Brings the demo together: broker, registry, daemon, generator, and whoever watches them; then looks at the outcome.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::events::{Events, SchemaIds, TOPICS};
use super::generator::Generator;
use super::letters::Letters;
use super::positions::Positions;
use super::progress::{Progress, Snapshot};
use super::registry_server::RegistryServer;
use super::report::Report;
use super::settings::settings;
use super::verify::verify;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, RunError, Surroundings};
use crate::memory;
use crate::source::embedded::{BrokerError, EmbeddedBroker};
use crate::telemetry::exporters::Dimensions;

/// How long the daemon may read nothing of what there is, once no more is generated, before it is asked to stop
/// and the outcome is looked at as it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one may choose.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many events; `None` is until it is stopped.
    pub(crate) records: Option<u64>,
    /// Events a second; 0 is as many as the broker can keep.
    pub(crate) rate: u64,
    /// Where files go: a directory without anything in it.
    pub(crate) directory: PathBuf,
    /// Where the daemon shows its status page and answers its health checks.
    pub(crate) http: SocketAddr,
    /// What decides the events.
    pub(crate) seed: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The options are wrong. Nothing was written.
    #[error("{0}")]
    Options(String),
    /// A part of the demo, or the daemon, failed.
    #[error("{0}")]
    Failed(String),
}

impl From<BrokerError> for DemoError {
    fn from(error: BrokerError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<JoinError> for DemoError {
    fn from(error: JoinError) -> Self {
        Self::Failed(format!("a part of the demo ended: {error}"))
    }
}

impl From<RunError> for DemoError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Settings(reason) => Self::Options(reason),
            RunError::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// A demo whose broker and registry run, and nothing else yet.
#[derive(Debug)]
pub(crate) struct Demo {
    options: Options,
    config: Config,
    broker: Arc<EmbeddedBroker>,
    registry: RegistryServer,
    events: Arc<Events>,
    /// What the daemon reports, once it runs.
    #[cfg(test)]
    status: std::sync::OnceLock<crate::telemetry::status::Status>,
}

impl Demo {
    /// The broker that it runs on.
    #[cfg(test)]
    pub(super) fn broker(&self) -> &EmbeddedBroker {
        &self.broker
    }

    /// The errors in the place of records that the daemon has met so far.
    #[cfg(test)]
    pub(super) fn fetch_failures(&self) -> u64 {
        self.status.get().map_or(0, |status| status.totals().consume_failed)
    }

    /// What the daemon's metrics carry.
    pub(crate) fn dimensions(&self) -> Dimensions {
        Dimensions::new(&self.config.name, &self.config.environment)
    }

    /// Starts the broker and the registry.
    pub(crate) async fn start(options: Options) -> Result<Self, DemoError> {
        let registry = RegistryServer::start().await?;
        let register = |subject: &str, text: &&str| registry.register(subject, text, &[]);
        let ids = TOPICS.map(|topic| {
            let subject = format!("{}-value", topic.name());
            topic.schemas().iter().map(|text| register(&subject, text)).collect()
        });
        let broker = EmbeddedBroker::start(&TOPICS.map(|topic| (topic.name(), topic.partitions())))?;
        let config = settings(broker.bootstrap_servers(), registry.url(), &options.directory, options.http)
            .map_err(|errors| DemoError::Options(errors.to_string()))?;
        broker.create(&config.dead_letter_topic(), 1)?;
        let events = Arc::new(Events::new(options.seed, SchemaIds(ids)));
        Ok(Self {
            options,
            config,
            broker: Arc::new(broker),
            registry,
            events,
            #[cfg(test)]
            status: std::sync::OnceLock::new(),
        })
    }

    /// Runs until all events are generated, or `stop`, and all of them are durable; then compares what was stored
    /// with what was generated.
    pub(crate) async fn run<W: Write>(
        &self,
        progress: &mut Progress<W>,
        clock: Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> Result<Report, DemoError> {
        let mut running = self.set_going(clock, stop)?;
        let generated = running.until_durable(progress).await;
        running.stop_daemon.cancel();
        running.stop_watching.cancel();
        progress.end()?;
        let (generated, letters) = (generated?, running.letters.await??);
        progress.say("Reading it all back …")?;
        let (events, directory) = (Arc::clone(&self.events), self.options.directory.clone());
        Ok(spawn_blocking(move || verify(&events, generated, &directory, &letters)).await??)
    }

    fn set_going(&self, clock: Arc<dyn Clock>, stop: &CancellationToken) -> Result<Running, DemoError> {
        let positions = Arc::new(Positions::new());
        let surroundings = Surroundings::new(self.config.lanes, Arc::clone(&clock));
        #[cfg(test)]
        drop(self.status.set(surroundings.status.clone()));
        let (stop_daemon, stop_watching) = (CancellationToken::new(), CancellationToken::new());

        let offsets = self.broker.offsets(&self.config.name, &positions.partitions())?;
        let (followed, until) = (Arc::clone(&positions), stop_watching.clone());
        let follower = spawn_blocking(move || followed.follow(&offsets, &until));

        let reader = self.broker.read(&self.config.dead_letter_topic())?;
        let until = stop_watching.clone();
        let letters = spawn_blocking(move || Letters::collect(reader, &until));

        let daemon =
            tokio::spawn(daemon::run(self.config.clone(), surroundings.clone(), stop_daemon.clone()));
        let generator = self.generate(Arc::clone(&positions), Arc::clone(&clock), stop.clone());
        let (started, stop) = (clock.monotonic(), stop.clone());
        Ok(Running {
            positions,
            surroundings,
            started,
            stop,
            stop_daemon,
            stop_watching,
            generator,
            daemon,
            follower,
            letters,
        })
    }

    fn generate(
        &self,
        positions: Arc<Positions>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> JoinHandle<Result<u64, BrokerError>> {
        let (broker, events) = (Arc::clone(&self.broker), Arc::clone(&self.events));
        let Options { rate, records, .. } = self.options;
        spawn_blocking(move || {
            let (broker, events, positions, clock) = (&*broker, &*events, &*positions, &*clock);
            Generator { broker, events, positions, clock, rate, records }.run(&stop)
        })
    }
}

impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (broker, registry) = (self.broker.bootstrap_servers(), self.registry.url());
        writeln!(f, "Kafka at {broker}, registry at {registry}, both embedded.")?;
        writeln!(f, "Files go to {}", self.options.directory.display())?;
        match self.options.records {
            Some(_) => Ok(()),
            None => writeln!(f, "Ctrl-C stops, and checks what was stored; a second one leaves at once."),
        }
    }
}

/// A demo in which everything runs.
struct Running {
    positions: Arc<Positions>,
    surroundings: Surroundings,
    started: Duration,
    /// Stops the generator.
    stop: CancellationToken,
    stop_daemon: CancellationToken,
    /// Stops those that watch the broker.
    stop_watching: CancellationToken,
    generator: JoinHandle<Result<u64, BrokerError>>,
    daemon: JoinHandle<Result<(), RunError>>,
    follower: JoinHandle<Result<(), BrokerError>>,
    letters: JoinHandle<Result<Letters, BrokerError>>,
}

impl Running {
    /// Shows progress until the generator has ended and the daemon has made durable what there is; returns the number
    /// of events.
    async fn until_durable<W: Write>(&mut self, progress: &mut Progress<W>) -> Result<u64, DemoError> {
        let mut generated = None;
        let mut idle = Idle::default();
        let mut told = false;
        let mut ticks = tokio::time::interval(Progress::<W>::INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Some(address) = self.surroundings.listening.get().filter(|_| !told) {
                        progress.say(&format!("Status page: http://{address}/"))?;
                        told = true;
                    }
                    let snapshot = self.snapshot();
                    progress.show(&snapshot)?;
                    let all_read = self.positions.all_read(&self.surroundings.status.durables());
                    if generated.is_some() && (all_read || idle.since(&snapshot) > PATIENCE) {
                        self.stop_daemon.cancel();
                    }
                }
                ended = &mut self.generator, if generated.is_none() => generated = Some(ended??),
                ended = &mut self.daemon => {
                    ended??;
                    progress.show(&self.snapshot())?;
                    return generated.ok_or_else(|| DemoError::Failed("the daemon ended by itself".to_owned()));
                }
                ended = &mut self.follower => {
                    ended??;
                    return Err(DemoError::Failed("nobody asks for committed offsets any more".to_owned()));
                }
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let Surroundings { status, clock, .. } = &self.surroundings;
        let totals = status.totals();
        Snapshot {
            elapsed: clock.monotonic().saturating_sub(self.started),
            records: totals.consumed,
            files: totals.files,
            dead_letters: totals.dead_lettered(),
            lag: self.positions.lag(),
            memory: memory::resident(),
            note: self.note(),
        }
    }

    /// In a few words; the log has the reasons.
    fn note(&self) -> String {
        let Surroundings { status, troubles, .. } = &self.surroundings;
        if let Some(partition) = status.holds().into_keys().next() {
            return format!("{partition} is held");
        }
        match troubles.lines().first().and_then(|line| line.split(':').next()) {
            Some(dependency) => format!("waiting for {dependency}"),
            None if self.stop.is_cancelled() => "stopping".to_owned(),
            None => String::new(),
        }
    }
}

/// Since when nothing has been read.
#[derive(Debug, Default)]
struct Idle {
    records: u64,
    at: Duration,
}

impl Idle {
    /// For how long the number of records in `snapshot` has been what it is.
    fn since(&mut self, snapshot: &Snapshot) -> Duration {
        if self.at.is_zero() || snapshot.records != self.records {
            (self.records, self.at) = (snapshot.records, snapshot.elapsed);
        }
        snapshot.elapsed.saturating_sub(self.at)
    }
}

/// Makes sure that `directory` is there and has nothing in it, and says where it is, absolutely.
pub(crate) fn empty_directory(directory: &Path) -> Result<PathBuf, DemoError> {
    let unusable = |error: io::Error| DemoError::Options(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(unusable)?;
    let directory = directory.canonicalize().map_err(unusable)?;
    match std::fs::read_dir(&directory).map_err(unusable)?.next() {
        None => Ok(directory),
        Some(_) => Err(DemoError::Options(format!(
            "{} has something in it; the demo checks all that it finds, so it wants an empty directory or a new one",
            directory.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_new_or_empty_directory_then_it_is_taken_and_another_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let new = root.path().join("a/b");
        assert!(empty_directory(&new).unwrap().is_absolute());
        assert!(empty_directory(&new).is_ok());
        let refused = empty_directory(root.path()).unwrap_err().to_string();
        assert!(refused.contains("wants an empty directory"), "{refused}");
        std::fs::write(root.path().join("file"), "").unwrap();
        assert!(matches!(empty_directory(&root.path().join("file")), Err(DemoError::Options(_))));
    }
}
