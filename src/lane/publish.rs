//! Makes a batch durable: stores its files and produces its dead letters. Runs on the async runtime, takes as long as
//! the world takes, and can be dropped at any point.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde_json::json;

use super::batch::{Batch, HourFile};
use crate::avro::container::Header;
use crate::config::Config;
use crate::core::Publish;
use crate::core::identity::{Identity, sync_marker};
use crate::core::intent::Layout;
use crate::core::layout::FilePlace;
use crate::dead_letter::{DeadLetters, groups};
use crate::retry::until_done;
use crate::sink::{DIGEST_IN_HEADER, Sink, SinkError};
use crate::telemetry::troubles::{Dependency, Troubles};

/// How many files of one batch are being stored at once.
const AT_ONCE: usize = 8;

/// How long one try at a group of dead letters may take.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(60);

/// What every lane publishes through.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) config: Arc<Config>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) cluster: Arc<str>,
    /// Repeats what fails for as long as it takes.
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) troubles: Troubles,
}

/// One file of the batch, and where it goes.
struct Addressed {
    key: String,
    sync: [u8; 16],
    metadata: Vec<(&'static str, String)>,
    file: HourFile,
}

impl Publisher {
    /// Stores and produces all of `batch`; returns the bytes stored once everything is acknowledged. Nothing more is
    /// begun once `lost` says that the partition belongs to somebody else.
    ///
    /// # Errors
    /// A sentence for the operator, when a key holds other rows.
    pub(super) async fn publish(
        &self,
        batch: Batch,
        publish: &Publish,
        lost: &AtomicBool,
    ) -> Result<u64, String> {
        let (letters, files, _account) = batch.into_parts();
        let stored = self.store(self.place(files, publish), lost);
        let produced = async {
            // What is acknowledged isn't produced again when a later one fails.
            for group in groups(&letters) {
                let what = format!("dead letters of {}", publish.partition);
                let attempt = || async {
                    while_owned(lost).await;
                    self.dead_letters.store(group, publish.instant).await
                };
                let dependency = Dependency::DeadLetterTopic;
                until_done(&self.troubles, dependency, &what, DEAD_LETTER_TIMEOUT, attempt).await;
            }
            Ok(())
        };
        let (bytes, ()) = tokio::try_join!(stored, produced).map_err(|error: SinkError| error.to_string())?;
        Ok(bytes)
    }

    async fn store(&self, files: Vec<Addressed>, lost: &AtomicBool) -> Result<u64, SinkError> {
        let store = |placed: Addressed| async move {
            while_owned(lost).await;
            let digest = placed.file.file.digest();
            let header = Header {
                schema: placed.file.schema.text(),
                codec: self.config.codec,
                metadata: &placed.metadata,
                sync: placed.sync,
            };
            let body = placed.file.file.into_body(&header);
            let bytes = body.len();
            self.sink.put(&placed.key, digest, body).await?;
            Ok(bytes)
        };
        let sizes = iter(files.into_iter().map(store)).buffer_unordered(AT_ONCE);
        sizes.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) }).await
    }

    /// Gives each file its key and what its header says. The first one lists all, the others name the first.
    fn place(&self, files: Vec<HourFile>, publish: &Publish) -> Vec<Addressed> {
        let identity =
            Identity { valve: &self.config.name, cluster: &self.cluster, metadata: &publish.metadata };
        let topic = &*publish.partition.topic;
        let mut list = Vec::with_capacity(files.len());
        let mut placed: Vec<Addressed> = Vec::with_capacity(files.len());
        for file in files {
            let (hour, schema, count) = (file.hour, file.schema.id(), file.file.rows());
            let uuid = identity.uuid(hour, schema);
            let place = FilePlace { topic, hour, count, uuid };
            let key = self.config.layout.key.key(&self.layout.prefix, &place);
            list.push(json!([key, count, file.file.digest().to_string()]));
            placed.push(Addressed {
                key,
                sync: sync_marker(uuid),
                metadata: self.describe(publish, &file),
                file,
            });
        }
        let first_key = placed.first().map(|first| first.key.clone());
        for (index, file) in placed.iter_mut().enumerate() {
            if index > 0 {
                file.metadata.push(("valve.first_file", first_key.clone().unwrap_or_default()));
                continue;
            }
            let cover = &publish.cover;
            file.metadata.push(("valve.dead_letters", cover.dead_letters.to_string()));
            file.metadata.push(("valve.skipped", cover.skipped.to_string()));
            file.metadata.push(("valve.empty", cover.empty.to_string()));
            file.metadata.push(("valve.lost", json!(cover.lost).to_string()));
            file.metadata.push(("valve.released", json!(cover.released).to_string()));
            file.metadata.push(("valve.files", json!(list).to_string()));
        }
        placed
    }

    /// What a file's header says of it and of its batch (DESIGN.md, idea 4).
    fn describe(&self, publish: &Publish, file: &HourFile) -> Vec<(&'static str, String)> {
        vec![
            ("valve.name", self.config.name.clone()),
            ("valve.topic", publish.partition.topic.to_string()),
            ("valve.partition", publish.partition.partition.to_string()),
            ("valve.first", publish.first.to_string()),
            ("valve.end", publish.end.to_string()),
            ("valve.covered_from", publish.cover.from.to_string()),
            ("valve.intent", publish.metadata.clone()),
            ("valve.hour", file.hour.to_string()),
            ("valve.schema_id", file.schema.id().to_string()),
            ("valve.rows", file.file.rows().to_string()),
            (DIGEST_IN_HEADER, file.file.digest().to_string()),
        ]
    }
}

/// Goes on for ever once the partition is somebody else's: the lane drops the batch, and this with it.
async fn while_owned(lost: &AtomicBool) {
    if lost.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
