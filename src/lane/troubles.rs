//! What a lane and its client are in trouble with, as `/readyz` shows it.

use std::time::Duration;

use crate::telemetry::troubles::{Dependency, Trouble, Troubles};
use crate::types::TopicPartition;

/// How long a trouble that the client reported stands when nothing more is heard of it.
const STANDS: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct ClientTroubles {
    reported: Trouble,
    reported_until: Duration,
    commits: Trouble,
    /// The partition whose commit wasn't accepted.
    refused: Option<TopicPartition>,
}

impl ClientTroubles {
    pub(super) fn new(troubles: &Troubles) -> Self {
        let [reported, commits] = [(); 2].map(|()| troubles.open(Dependency::Kafka));
        Self { reported, reported_until: Duration::ZERO, commits, refused: None }
    }

    /// The client said so, or refused something.
    pub(super) fn report(&mut self, what: String, now: Duration) {
        self.reported.set(what);
        self.reported_until = now + STANDS;
    }

    /// Forgets what was reported long ago.
    pub(super) fn pass(&mut self, now: Duration) {
        if now >= self.reported_until {
            self.reported.clear();
        }
    }

    /// A commit of `partition` wasn't accepted.
    pub(super) fn refused(&mut self, partition: &TopicPartition, reason: &str) {
        self.commits.set(format!("offset commit of {partition}: {reason}"));
        self.refused = Some(partition.clone());
    }

    /// A commit of `partition` was accepted, or nothing more is committed of it. Another's is tried again, and shows again.
    pub(super) fn is_well(&mut self, partition: &TopicPartition) {
        if self.refused.take_if(|refused| refused == partition).is_some() {
            self.commits.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_refused_commit_then_it_shows_until_one_of_the_same_partition_is_accepted() {
        let troubles = Troubles::default();
        let mut of_client = ClientTroubles::new(&troubles);
        let [one, other] = [0, 1].map(|index| TopicPartition::new("orders", index));
        of_client.refused(&one, "denied");
        of_client.is_well(&other);
        assert_eq!(troubles.lines(), ["kafka: offset commit of orders[0]: denied"]);
        of_client.is_well(&one);
        assert_eq!(troubles.lines(), [] as [&str; 0]);
    }

    #[test]
    fn given_what_the_client_reports_then_it_stands_for_half_a_minute_after_the_last_time() {
        let troubles = Troubles::default();
        let mut of_client = ClientTroubles::new(&troubles);
        let at = Duration::from_secs;
        of_client.report("brokers are down".to_owned(), at(1));
        of_client.report("brokers are down".to_owned(), at(20));
        of_client.pass(at(49));
        assert_eq!(troubles.lines(), ["kafka: brokers are down"]);
        of_client.pass(at(50));
        assert_eq!(troubles.lines(), [] as [&str; 0]);
    }
}
