//! The ways out for metrics: the book, which Prometheus reads at `/metrics`, and beside it, where settings ask for them, a
//! StatsD agent and CloudWatch's embedded metric format on standard output.
//!
//! Each is told the same at the same time. The facade's recorder belongs to the process, and so does the book.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use metrics_util::layers::FanoutBuilder;

use super::book::Book;
use super::emf::{self, Emf};
use super::prometheus;
use super::statsd::{self, Agent, Series};
use crate::clock::Clock;
use crate::config::MetricsConfig;

/// How long an exporter may take for what is left at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What all metrics of the process carry.
#[derive(Clone, Debug)]
pub struct Dimensions {
    consumer_group: String,
    environment: String,
}

impl Dimensions {
    /// Those of the valve `name`, which is its consumer group, in `environment`.
    #[must_use]
    pub fn new(name: &str, environment: &str) -> Self {
        Self { consumer_group: name.to_owned(), environment: environment.to_owned() }
    }

    /// Names and values.
    #[must_use]
    pub fn each(&self) -> [(&'static str, &str); 2] {
        [("CONSUMER_GROUP", &self.consumer_group), ("ENVIRONMENT", &self.environment)]
    }
}

/// What is installed in this process.
static INSTALLED: OnceLock<(Book, Dimensions)> = OnceLock::new();

/// Why metrics cannot be published: an error of the configuration, or a second installation.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// `metrics.statsd` isn't `host:port`.
    #[error("metrics.statsd: {0:?} is not host:port with a port from 1 to 65535")]
    Address(String),
    /// An exporter could not be made.
    #[error("metrics: {0}")]
    Exporter(String),
}

/// The exporters that run by themselves: keep them as long as metrics are to be published. What is pending leaves when they
/// are dropped.
#[derive(Debug)]
pub struct Exporters {
    /// Dropping them is what ends them.
    _running: Vec<Exporter>,
}

/// Makes the process publish its metrics as `config` says, and keep them for [`scrape`]. A StatsD agent need not be there
/// yet, nor its name be known.
///
/// # Errors
/// When `metrics.statsd` isn't an address, or metrics are already installed in this process.
pub fn install(
    config: &MetricsConfig,
    dimensions: &Dimensions,
    clock: Arc<dyn Clock>,
) -> Result<Exporters, InstallError> {
    let book = Book::default();
    let mut all = FanoutBuilder::default().add_recorder(book.clone());
    let mut running = Vec::new();
    let failed = |error: io::Error| InstallError::Exporter(format!("no thread for an exporter: {error}"));
    if let Some(address) = &config.statsd {
        let (series, mut agent) = (Series::default(), Agent::new(checked(address)?));
        all = all.add_recorder(statsd::recorder(series.clone(), dimensions)?);
        let exporter = Exporter::start("statsd", statsd::INTERVAL, move || agent.flush(&series));
        running.push(exporter.map_err(failed)?);
    }
    if config.emf {
        let mut emf = Emf::new(book.clone(), dimensions.clone());
        let exporter = Exporter::start("emf", emf::INTERVAL, move || emf.print(clock.now(), io::stdout()));
        running.push(exporter.map_err(failed)?);
    }
    metrics::set_global_recorder(all.build()).map_err(|error| InstallError::Exporter(error.to_string()))?;
    // Only who has set the recorder comes here.
    drop(INSTALLED.set((book, dimensions.clone())));
    Ok(Exporters { _running: running })
}

/// All metrics as Prometheus reads them; nothing before [`install`].
#[must_use]
pub fn scrape() -> String {
    INSTALLED.get().map(|(book, dimensions)| prometheus::text(book, dimensions)).unwrap_or_default()
}

fn checked(address: &str) -> Result<String, InstallError> {
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if matches!(port, Some(Ok(1..))) {
        Ok(address.to_owned())
    } else {
        Err(InstallError::Address(address.to_owned()))
    }
}

/// Exports at intervals, on a thread of its own. Dropping it exports once more and waits for that, for two seconds at most.
pub(super) struct Exporter {
    name: &'static str,
    stop: Option<Sender<()>>,
    finished: Receiver<()>,
}

impl Exporter {
    /// Calls `export` after every `interval`.
    pub(super) fn start(
        name: &'static str,
        interval: Duration,
        mut export: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped): (Sender<()>, Receiver<()>) = channel();
        let (finish, finished) = channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
                export();
            }
            export();
            drop(finish);
        })?;
        Ok(Self { name, stop: Some(stop), finished })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.finished.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                exporter = self.name,
                "the last metrics may be missing: they couldn't leave in time"
            );
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What tests look at metrics with.
#[cfg(test)]
pub(crate) mod testing {
    use super::super::book::Book;
    use super::super::prometheus;

    /// The series that `publish` sets, as Prometheus reads them but for the dimensions and comments.
    pub(crate) fn scraped(publish: impl FnOnce()) -> String {
        let book = Book::default();
        metrics::with_local_recorder(&book, publish);
        let text = prometheus::text(&book, &super::Dimensions::new("archive", "test"));
        let dimensions = "CONSUMER_GROUP=\"archive\",ENVIRONMENT=\"test\"";
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.replace(&format!("{dimensions},"), "").replace(dimensions, "") + "\n").collect()
    }

    /// What `measure` measures, for each of these histograms.
    pub(crate) fn measured(histograms: &[&str], measure: impl FnOnce()) -> Vec<Vec<f64>> {
        let book = Book::default();
        metrics::with_local_recorder(&book, measure);
        let samples = book.take_samples();
        let of = |name: &&str| samples.iter().find(|(key, _)| key.name() == *name).map(|(_, of)| of.clone());
        histograms.iter().map(|name| of(name).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
#[path = "exporters_tests.rs"]
mod tests;
