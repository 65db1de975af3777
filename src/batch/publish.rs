//! Makes a batch durable: stores its files and produces its dead letters. Runs on the async runtime, takes as long as
//! the world takes, and can be dropped at any point.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use tokio::sync::{Semaphore, watch};

use super::manifest::Manifest;
use super::terms::Terms;
use super::{Batch, HourFile};
use crate::avro::container::Header;
use crate::config::{Config, SinkConfig};
use crate::core::Publish;
use crate::core::intent::Place;
use crate::dead_letter::producer::KafkaDeadLetters;
use crate::dead_letter::{DeadLetter, groups};
use crate::fault_point::{self, Point};
use crate::retry::until_done_in_turn;
use crate::sink::patience::Patience;
use crate::sink::retry::Retrying;
use crate::sink::{OpenError, Sink, SinkError};
use crate::telemetry::status::Status;
use crate::telemetry::troubles::{Dependency, Troubles};

/// How many files of one batch are being stored at once.
const AT_ONCE: usize = 8;

/// How many files of the process are, at other places than today's: what is promised for one that can't be reached any more doesn't
/// hold up what is stored today.
const AT_ONCE_ELSEWHERE: usize = 4;

/// How long one try at a group of dead letters may take, and as long again as the store may for a large one.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it is tried to abort the uploads of one file.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);

/// A smaller file goes up in one request, which leaves nothing behind, in bytes.
const MAY_LEAVE_PARTS: u64 = 8 << 20;

/// What lanes and takeovers publish through.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) config: Arc<Config>,
    /// Today's.
    pub(crate) terms: Arc<Terms>,
    pub(crate) cluster: Arc<str>,
    /// Repeats what fails for as long as it takes.
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) dead_letters: Arc<KafkaDeadLetters>,
    /// Hears of each file that is stored.
    pub(crate) status: Status,
    pub(crate) troubles: Troubles,
    turns: Turns,
}

/// Whose turn it is to use what the process has little of.
#[derive(Clone, Debug)]
struct Turns {
    puts_elsewhere: Arc<Semaphore>,
    /// One group of dead letters is on its way at a time: the producer holds a copy.
    dead_letters: Arc<Semaphore>,
}

impl Publisher {
    /// A publisher of today's batches.
    pub(crate) fn new(
        config: Arc<Config>,
        terms: Arc<Terms>,
        cluster: &str,
        sink: Arc<dyn Sink>,
        dead_letters: Arc<KafkaDeadLetters>,
        status: Status,
        troubles: Troubles,
    ) -> Self {
        let turns = Turns {
            puts_elsewhere: Arc::new(Semaphore::new(AT_ONCE_ELSEWHERE)),
            dead_letters: Arc::new(Semaphore::new(1)),
        };
        Self { config, terms, cluster: cluster.into(), sink, dead_letters, status, troubles, turns }
    }

    /// Stores and produces all of `batch`; returns the bytes stored once everything is acknowledged. Nothing more is
    /// begun while `lost` says that the partition may belong to somebody else.
    ///
    /// # Errors
    /// A sentence for the operator, when a key holds other rows or the sink of the batch's terms can't be had.
    pub(crate) async fn publish(
        &self,
        mut batch: Batch,
        publish: &Publish,
        lost: &watch::Receiver<bool>,
    ) -> Result<u64, String> {
        fault_point::reach(Point::Promised);
        let sink = self.sink_of(&batch.terms).await.map_err(|error| error.to_string())?;
        let (terms, outcome) = (Arc::clone(&batch.terms), batch.outcome());
        let manifest = Manifest::new(&terms, &self.config.name, &self.cluster, publish, &outcome);
        let (letters, files, mut account) = batch.into_parts();
        let longest = files.iter().map(|file| file.schema.text().len()).max().unwrap_or(0);
        account.set(account.held() + manifest.memory() + longest * AT_ONCE.min(files.len()));
        let stored = self.store(&*sink, &terms, &manifest, files.into_iter().enumerate(), lost);
        let produced = async {
            self.produce(&letters, publish, lost).await;
            Ok(())
        };
        let (bytes, ()) = tokio::try_join!(stored, produced).map_err(|error: SinkError| error.to_string())?;
        fault_point::reach(Point::Published);
        Ok(bytes)
    }

    /// Produces dead letters until all are acknowledged. What is acknowledged isn't produced again when a later one
    /// fails.
    pub(crate) async fn produce(
        &self,
        letters: &[DeadLetter],
        publish: &Publish,
        lost: &watch::Receiver<bool>,
    ) {
        for group in groups(letters) {
            let what = format!("dead letters of {}", publish.partition);
            let attempt = || async {
                while_owned(lost).await;
                self.dead_letters.store(group, publish.instant).await
            };
            let bytes: usize = group.iter().map(DeadLetter::size).sum();
            let timeout = DEAD_LETTER_TIMEOUT + Patience::default().for_put(bytes as u64);
            let (troubles, turns) = (&self.troubles, &self.turns.dead_letters);
            until_done_in_turn(troubles, Dependency::DeadLetterTopic, &what, timeout, turns, attempt).await;
        }
    }

    /// Stores files, each as the manifest says of its place in the outcome; returns their bytes.
    pub(crate) async fn store(
        &self,
        sink: &dyn Sink,
        terms: &Terms,
        manifest: &Manifest<'_>,
        files: impl Iterator<Item = (usize, HourFile)>,
        lost: &watch::Receiver<bool>,
    ) -> Result<u64, SinkError> {
        let store = |(index, file): (usize, HourFile)| async move {
            while_owned(lost).await;
            let Some(entry) = manifest.entry(index) else { return Ok(0) };
            let header = Header {
                schema: file.schema.text(),
                codec: terms.layout.codec,
                metadata: &entry.metadata,
                sync: entry.sync,
            };
            let (digest, rows) = (file.file.digest(), file.file.rows());
            let body = file.file.into_body(&header);
            let bytes = body.len();
            sink.put(&entry.key, digest, body).await?;
            if entry.was_promised_before && bytes >= MAY_LEAVE_PARTS {
                abort_uploads(sink, &entry.key).await;
            }
            self.status.stored(entry.key, rows, bytes);
            fault_point::reach(Point::Stored);
            Ok(bytes)
        };
        let sizes = iter(files.map(store)).buffer_unordered(AT_ONCE);
        sizes.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) }).await
    }

    /// The sink that `terms` say: today's most often, otherwise one with today's credentials at another place.
    ///
    /// # Errors
    /// When there can be none with today's settings.
    pub(crate) async fn sink_of(&self, terms: &Terms) -> Result<Arc<dyn Sink>, OpenError> {
        let place = &terms.layout.place;
        if *place == self.terms.layout.place {
            return Ok(Arc::clone(&self.sink));
        }
        tracing::warn!(?place, "a batch that was promised for another place is stored there");
        let sink = crate::sink::open(&self.sink_at(place)?).await?;
        let puts = Arc::clone(&self.turns.puts_elsewhere);
        Ok(Arc::new(Retrying::new(sink, self.troubles.clone()).in_turns(puts)))
    }

    fn sink_at(&self, place: &Place) -> Result<SinkConfig, OpenError> {
        match (place, &self.config.sink) {
            (Place::Local { path }, today) => {
                Ok(SinkConfig::Local { path: path.into(), prefix: today.prefix().to_owned() })
            }
            (Place::S3 { bucket, endpoint }, SinkConfig::S3(today)) => {
                let mut config = today.clone();
                config.bucket.clone_from(bucket);
                config.endpoint.clone_from(endpoint);
                Ok(SinkConfig::S3(config))
            }
            (Place::S3 { bucket, .. }, SinkConfig::Local { .. }) => Err(OpenError {
                setting: "sink.type",
                reason: format!(
                    "a batch was promised for the bucket {bucket}: run with sink.type = s3 once more, until it is stored"
                ),
            }),
        }
    }
}

/// Aborts uploads that an earlier owner left behind. Their parts cost money, no more, so nothing waits for it for long: the
/// object is there, and whoever is still uploading it finds it there too.
pub(crate) async fn abort_uploads(sink: &dyn Sink, key: &str) {
    match tokio::time::timeout(ABORT_TIMEOUT, sink.abort_uploads(key)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(key, %error, "uploads that were left behind can't be aborted"),
        Err(_) => tracing::warn!(key, "uploads that were left behind weren't aborted within 10 s"),
    }
}

/// Waits while some partition is lost: if it is this one, the lane drops the batch meanwhile, and this with it.
pub(crate) async fn while_owned(lost: &watch::Receiver<bool>) {
    if lost.clone().wait_for(|lost| !lost).await.is_err() {
        // The lane has ended.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn given_something_that_is_lost_then_nothing_is_begun_until_it_has_been_given_up() {
        let (lane, lost) = watch::channel(false);
        assert!(while_owned(&lost).now_or_never().is_some());
        lane.send_replace(true);
        let mut waiting = std::pin::pin!(while_owned(&lost));
        assert!(waiting.as_mut().now_or_never().is_none());
        lane.send_replace(false);
        waiting.await;
        lane.send_replace(true);
        drop(lane);
        assert!(while_owned(&lost).now_or_never().is_none(), "a lane that has ended owns nothing");
    }
}
