//! Where an audit looks, and what it finds there: the listing, the headers, and with `--deep` the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use super::layouts::Layouts;
use super::report::Finding;
use super::rows::RowReader;
use super::scope::Scope;
use crate::core::layout::{Hour, KeyTemplate};
use crate::sink::SinkError;
use crate::stored::store::AT_ONCE;
use crate::stored::{FileHeader, Recognised, Store, StoredFile};
use crate::types::TopicPartition;

/// How many listings are under way at once.
const LISTINGS: usize = 8;

/// How many files' rows are read at once.
const ROWS_AT_ONCE: usize = 4;

/// Most hours that can be asked for: ten years.
pub(crate) const MAX_HOURS: i64 = 10 * 366 * 24;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Request {
    /// What every key begins with, as `sink.prefix`.
    pub prefix: String,
    /// `layout.key`
    pub template: KeyTemplate,
    /// Only these topics; all when there are none.
    pub topics: BTreeSet<String>,
    /// The topics that the group is known to have consumed.
    pub known_topics: BTreeSet<String>,
    /// Only the hours `[from, to)`.
    pub hours: Option<(Hour, Hour)>,
    /// Whether the rows are read.
    pub deep: bool,
    /// Whether each offset is to have had a record.
    pub dense: bool,
}

/// Which keys are listed, and what that leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// None of them begins another.
    pub prefixes: Vec<String>,
    /// What that is of the whole.
    pub scope: Scope,
    /// What a reader of the result should know.
    pub notes: Vec<String>,
}

impl Request {
    /// Where to look.
    #[must_use]
    pub fn plan(&self) -> Plan {
        if let Some((from, to)) = self.hours {
            if let Some(prefixes) = self.hour_prefixes(from, to) {
                let notes = vec![format!(
                    "only the hours from {from} to {to} (exclusive) were listed, by today's layout.key. It was checked that the \
                     batches found there have all their files of these hours, that their counts add up, and that none \
                     overlap; it was not checked that every offset is covered: a batch may be missing whole"
                )];
                return Plan { scope: Scope::Prefixes(prefixes.clone()), prefixes, notes };
            }
            let note = "layout.key doesn't let hours be listed on their own: everything was audited";
            return Plan { prefixes: vec![self.root()], scope: Scope::All, notes: vec![note.to_owned()] };
        }
        let topics = self.topics.iter().map(|topic| self.template.topic_prefix(&self.prefix, topic));
        let prefixes = topics.collect::<Option<BTreeSet<_>>>().filter(|prefixes| !prefixes.is_empty());
        let prefixes = prefixes.map_or_else(|| vec![self.root()], without_nested);
        Plan { prefixes, scope: Scope::All, notes: Vec::new() }
    }

    fn root(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) }
    }

    fn hour_prefixes(&self, from: Hour, to: Hour) -> Option<Vec<String>> {
        let topics = if self.topics.is_empty() { &self.known_topics } else { &self.topics };
        let prefixes = (from.0..to.0).flat_map(|hour| {
            topics.iter().map(move |topic| self.template.hour_prefix(&self.prefix, topic, Hour(hour)))
        });
        prefixes.collect::<Option<BTreeSet<_>>>().map(without_nested)
    }
}

/// Without those that begin with another.
fn without_nested(prefixes: BTreeSet<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for prefix in prefixes {
        if kept.last().is_none_or(|last| !prefix.starts_with(last)) {
            kept.push(prefix);
        }
    }
    kept
}

/// How far the looking has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Keys that were listed and may be this valve's.
    pub listed: AtomicU64,
    /// Headers that were read, and with `--deep` the rows behind them.
    pub looked_at: AtomicU64,
}

impl Progress {
    /// A number that changes whenever there is progress.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.listed.load(Ordering::Relaxed) + self.looked_at.load(Ordering::Relaxed)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// This valve's files.
    pub files: BTreeMap<TopicPartition, Vec<StoredFile>>,
    /// What is wrong with files.
    pub findings: Vec<Finding>,
    /// Objects that are none of this valve's files.
    pub foreign: u64,
    /// Under which layouts the files were stored.
    pub layouts: Layouts,
}

/// Lists and looks at everything that `plan` says.
///
/// # Errors
/// When the sink gives up.
pub async fn look(
    store: &Store,
    request: &Request,
    plan: &Plan,
    progress: &Progress,
) -> Result<Found, SinkError> {
    let rows = request.deep.then(|| RowReader::new(store.clone()));
    let looker = Looker { store, rows, progress };
    let at_once = if request.deep { ROWS_AT_ONCE } else { AT_ONCE };
    let prefixes = plan.prefixes.iter().cloned();
    let listings = iter(prefixes).map(|prefix| store.list(prefix).boxed()).flatten_unordered(LISTINGS);
    let looks = listings.map_ok(|listed| {
        progress.listed.fetch_add(1, Ordering::Relaxed);
        looker.look(listed.key)
    });
    let mut found = Found::default();
    let mut looks = looks.try_buffer_unordered(at_once);
    while let Some(look) = looks.try_next().await? {
        found.add(look, request);
    }
    if !plan.scope.is_all() {
        looker.first_files(&mut found, request, &plan.scope).await?;
    }
    Ok(found)
}

/// What one object is.
struct Look {
    key: String,
    recognised: Option<Recognised>,
    /// What is different about its rows.
    different: Option<String>,
}

struct Looker<'a> {
    store: &'a Store,
    rows: Option<RowReader>,
    progress: &'a Progress,
}

impl Looker<'_> {
    async fn look(&self, key: String) -> Result<Look, SinkError> {
        let mut look = Look { recognised: self.store.recognise(&key).await?, key, different: None };
        if let Some(rows) = &self.rows
            && let Some(Recognised::Own(header)) = look.recognised.take_if(is_own)
        {
            let (header, different) = read_rows(rows.clone(), header).await?;
            look = Look { recognised: Some(Recognised::Own(header)), different, ..look };
        }
        self.progress.looked_at.fetch_add(1, Ordering::Relaxed);
        Ok(look)
    }

    /// Of some hours, a batch's first file may lie in an hour before.
    async fn first_files(
        &self,
        found: &mut Found,
        request: &Request,
        scope: &Scope,
    ) -> Result<(), SinkError> {
        let files = || found.files.values().flatten();
        let outside: BTreeSet<&str> =
            files().map(StoredFile::first_file).filter(|key| !scope.has(key)).collect();
        let looks: Vec<Look> = iter(outside.into_iter().map(str::to_owned).collect::<Vec<_>>())
            .map(|key| self.look(key))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        looks.into_iter().for_each(|look| found.add(look, request));
        Ok(())
    }
}

fn is_own(recognised: &mut Recognised) -> bool {
    matches!(recognised, Recognised::Own(_))
}

/// Reads rows on any thread of the runtime: that is work, not waiting.
async fn read_rows(
    rows: RowReader,
    header: Box<FileHeader>,
) -> Result<(Box<FileHeader>, Option<String>), SinkError> {
    let work = tokio::spawn(async move {
        let outcome = rows.compare(&header).await;
        outcome.map(|outcome| (header, outcome))
    });
    work.await.unwrap_or_else(|error| {
        Err(SinkError::Unavailable(format!("the process is on its way out, or reading rows failed: {error}")))
    })
}

impl Found {
    fn add(&mut self, look: Look, request: &Request) {
        let Look { key, recognised, different } = look;
        match recognised {
            // It was removed since it was listed.
            None => {}
            Some(Recognised::Foreign) => self.foreign += 1,
            Some(Recognised::Broken(reason)) => self.findings.push(Finding::UnreadableFile { key, reason }),
            Some(Recognised::Own(header)) => {
                let file = header.file;
                if request.topics.is_empty() || request.topics.contains(&*file.partition.topic) {
                    self.findings
                        .extend(different.map(|what| Finding::DifferentFile { key: file.key.clone(), what }));
                    if let Some(intent) = &header.promise.intent {
                        self.layouts.meet(intent);
                    }
                    self.files.entry(file.partition.clone()).or_default().push(file);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::layout::DEFAULT_KEY;

    fn request(template: &str, topics: &[&str], hours: Option<(&str, &str)>) -> Request {
        Request {
            prefix: "tank".to_owned(),
            template: template.parse().unwrap(),
            topics: topics.iter().map(ToString::to_string).collect(),
            known_topics: BTreeSet::from(["orders".to_owned(), "payments".to_owned()]),
            hours: hours.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())),
            deep: false,
            dense: false,
        }
    }

    #[test]
    fn given_no_restriction_then_everything_below_the_prefix_is_listed() {
        let plan = request(DEFAULT_KEY, &[], None).plan();
        assert_eq!(plan, Plan { prefixes: vec!["tank/".to_owned()], scope: Scope::All, notes: vec![] });
    }

    #[test]
    fn given_topics_then_only_their_keys_are_listed_if_the_layout_allows_it() {
        let plan = request(DEFAULT_KEY, &["orders"], None).plan();
        assert_eq!(plan.prefixes, ["tank/orders/year="]);
        let plan = request("{year}/{month}/{day}/{hour}/{topic}_{uuid}", &["orders"], None).plan();
        assert_eq!(plan.prefixes, ["tank/"]);
    }

    #[test]
    fn given_hours_then_each_of_each_topic_is_listed_and_what_was_not_checked_is_said() {
        let hours = Some(("2024-01-01T23", "2024-01-02T01"));
        let plan = request(DEFAULT_KEY, &[], hours).plan();
        assert_eq!(
            plan.prefixes,
            [
                "tank/orders/year=2024/month=01/day=01/hour=23/orders_",
                "tank/orders/year=2024/month=01/day=02/hour=00/orders_",
                "tank/payments/year=2024/month=01/day=01/hour=23/payments_",
                "tank/payments/year=2024/month=01/day=02/hour=00/payments_",
            ]
        );
        assert!(plan.notes[0].contains("not checked"), "{:?}", plan.notes);
        assert!(!plan.scope.is_all());
    }

    #[test]
    fn given_hours_that_the_layout_hides_then_everything_is_audited_and_that_is_said() {
        let hours = Some(("2024-01-01T23", "2024-01-02T01"));
        let plan = request("{topic}/{uuid}/{year}{month}{day}{hour}", &[], hours).plan();
        assert_eq!((plan.prefixes, plan.scope), (vec!["tank/".to_owned()], Scope::All));
        assert!(plan.notes[0].contains("everything was audited"));
    }

    #[test]
    fn given_a_topic_whose_prefix_begins_anothers_then_nothing_is_listed_twice() {
        let plan = request("{topic}_{uuid}/{year}{month}{day}{hour}", &["a", "a_", "b"], None).plan();
        assert_eq!(plan.prefixes, ["tank/a_", "tank/b_"]);
    }
}
