//! What the lanes of a process share: the world that they act on, and never each other's state.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fetching::Gathering;
use crate::batch::Batch;
use crate::batch::publish::Publisher;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::batch::BatchId;
use crate::dead_letter::limit::Gate;
use crate::registry::cache::SchemaCache;
use crate::source::offsets::Offsets;
use crate::stored::survey::Survey;
use crate::takeover::Takeovers;
use crate::telemetry::status::Status;
use crate::telemetry::troubles::Troubles;
use crate::topics::TopicIds;
use crate::types::UnixMillis;

/// What the lanes of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) publisher: Publisher,
    pub(crate) schemas: SchemaCache,
    pub(crate) offsets: Offsets,
    pub(crate) survey: Survey,
    pub(crate) budget: Budget,
    pub(crate) takeovers: Takeovers,
    pub(crate) gate: Gate,
    pub(crate) gathering: Arc<Gathering>,
    pub(crate) status: Status,
    pub(crate) troubles: Troubles,
    pub(crate) clock: Arc<dyn Clock>,
    /// The topics to consume, once they are known.
    pub(crate) topics: watch::Receiver<Arc<[String]>>,
    /// The brokers' ids of them, asked for again and again.
    pub(crate) topic_ids: watch::Receiver<TopicIds>,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Shared {
    /// An empty batch under today's terms.
    pub(super) fn new_batch(&self, id: BatchId, instant: UnixMillis) -> Batch {
        Batch::new(id, Arc::clone(&self.publisher.terms), instant, self.budget.account())
    }
}
