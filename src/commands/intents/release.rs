//! `valve intents release`

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, promised, settings};
use crate::batch::publish::Publisher;
use crate::batch::terms::Terms;
use crate::budget::Budget;
use crate::cli::IntentsReleaseArgs;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::core::Commit;
use crate::core::intent::Layout;
use crate::core::start::Facts;
use crate::dead_letter::original::Originals;
use crate::dead_letter::producer::KafkaDeadLetters;
use crate::registry::cache::SchemaCache;
use crate::registry::confluent::Confluent;
use crate::release::{Plan, Promised, Releaser};
use crate::sink::Sink;
use crate::sink::retry::Retrying;
use crate::source::offsets::Offsets;
use crate::source::outsider::{Outside, Outsider};
use crate::takeover::Maker;
use crate::telemetry::logging::{self, Format};
use crate::telemetry::status::Status;
use crate::telemetry::troubles::Troubles;
use crate::types::TopicPartition;

/// How long all of it may take, but for the question.
const PATIENCE: Duration = Duration::from_secs(600);

/// Lets a promised batch go, after saying what that may lose.
pub(super) async fn release(args: IntentsReleaseArgs) -> Result<String, Failure> {
    let config = settings(args.config.as_deref()).await?;
    let colours = std::io::stderr().is_terminal();
    logging::install("warn", Format::Human { colours }, std::io::stderr).map_err(Failure::usage)?;
    let partition = TopicPartition::new(&*args.topic, args.partition);
    let config = Arc::new(config);
    let offsets = Offsets::open(&config).map_err(Failure::usage)?;
    let outsider = Outsider::open(&config).map_err(Failure::usage)?;
    let planning = async {
        let (found, _) = ask(&offsets, &partition).await?;
        // The brokers take this only while the group has no members.
        commit_alone(&offsets, &outsider, &found.commit(), found.commit()).await?;
        let (found, facts) = ask(&offsets, &partition).await?;
        let releaser = releaser(&config, &offsets).await?;
        let plan = releaser.plan(found, &facts).await.map_err(Failure::Failed)?;
        Ok((releaser, plan))
    };
    let (releaser, plan) = in_time(Box::pin(planning)).await?;
    let unchanged = plan.promised.commit();
    if plan.is_as_promised() && !args.yes {
        return Err(Failure::Failed(format!(
            "{partition}: the batch can be made as it was promised: start a valve, and it does. (With --yes it is released \
             nevertheless: what lies under its files' keys with other rows stays, and the rows that belong there are lost.)"
        )));
    }
    drop(std::io::stderr().write_all(describe(&plan).as_bytes()));
    if !args.yes && !asked_and_told_to()? {
        return Err(Failure::Failed("nothing was changed".to_owned()));
    }
    in_time(Box::pin(async {
        // What the brokers take only while the group has no members, and nobody has been at work.
        commit_alone(&offsets, &outsider, &unchanged, unchanged.clone()).await?;
        let commit = releaser.carry_out(plan).await.map_err(Failure::Failed)?;
        let at = commit.offset;
        commit_alone(&offsets, &outsider, &unchanged, commit).await?;
        Ok(format!("{partition}: released, committed at {at}\n"))
    }))
    .await
}

async fn ask(offsets: &Offsets, partition: &TopicPartition) -> Result<(Promised, Facts), Failure> {
    let there = offsets.partitions(BTreeSet::from([partition.topic.to_string()])).await;
    if !there.map_err(Failure::Unasked)?.contains(partition) {
        return Err(Failure::Failed(format!("Kafka has no partition {partition}")));
    }
    let known = offsets.facts(vec![partition.clone()]).await.map_err(Failure::Unasked)?;
    let facts = known.into_iter().next().map(|(_, facts)| facts);
    let facts =
        facts.unwrap_or_else(|| Err("nothing is known of it".to_owned())).map_err(Failure::Unasked)?;
    let nothing =
        || Failure::Failed(format!("{partition}: no batch is promised there (see `valve intents show`)"));
    let (offset, text) = facts.committed.clone().ok_or_else(nothing)?;
    let (metadata, intent) = promised(partition, offset, &text).ok_or_else(nothing)?;
    Ok((Promised { partition: partition.clone(), metadata, intent }, facts))
}

/// Commits, if what is committed is still `unchanged`: a valve that was started and stopped meanwhile may be far beyond,
/// and to go back would have the next one store all that again.
async fn commit_alone(
    offsets: &Offsets,
    outsider: &Outsider,
    unchanged: &Commit,
    commit: Commit,
) -> Result<(), Failure> {
    let found = offsets.committed_in(commit.partition.clone()).await.map_err(Failure::Unasked)?;
    if found.as_ref() != Some(&(unchanged.offset, unchanged.metadata.clone())) {
        return Err(Failure::Failed(
            "a valve has been at work on the partition meanwhile: look again. Nothing was committed"
                .to_owned(),
        ));
    }
    match outsider.commit(commit).await {
        Ok(Outside::Committed) => Ok(()),
        Ok(Outside::HasMembers) => Err(Failure::Failed(
            "the consumer group has members: stop every process of this valve, wait until their sessions are over, and try \
             again. Nothing was committed"
                .to_owned(),
        )),
        Err(reason) => Err(Failure::Unasked(format!("commit: {reason}"))),
    }
}

async fn releaser(config: &Arc<Config>, offsets: &Offsets) -> Result<Releaser, Failure> {
    let troubles = Troubles::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cluster = offsets.cluster_id().await.map_err(Failure::Unasked)?;
    let sink = crate::sink::open(&config.sink).await.map_err(Failure::usage)?;
    let registry = Confluent::new(&config.registry).map_err(Failure::usage)?;
    let unknown_after = config.registry.unknown_after;
    let terms = Arc::new(Terms::of(&Layout::of(config)).map_err(Failure::Usage)?);
    let sink: Arc<dyn Sink> = Arc::new(Retrying::new(sink, troubles.clone()));
    let originals = Originals::new(Arc::clone(&sink), &config.sink);
    let dead_letters = Arc::new(KafkaDeadLetters::open(config, originals).map_err(Failure::usage)?);
    let status = Status::new(0, Arc::clone(&clock));
    let publisher =
        Publisher::new(Arc::clone(config), terms, &cluster, sink, dead_letters, status, troubles.clone());
    let maker = Maker {
        publisher: publisher.clone(),
        schemas: SchemaCache::new(Arc::new(registry), unknown_after, Arc::clone(&clock), troubles.clone()),
        budget: Budget::new(config.memory_budget),
        clock,
        troubles,
        runtime: tokio::runtime::Handle::current(),
    };
    Ok(Releaser { maker: Arc::new(maker), publisher })
}

async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| {
        Failure::Unasked(format!(
            "given up after {PATIENCE:?}: Kafka, the registry or the store doesn't answer"
        ))
    };
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

fn describe(plan: &Plan) -> String {
    let promised = &plan.promised;
    let (files, rows) = plan.storable();
    let (dead_letters, skipped) = plan.others();
    let stored: u64 = plan.stored.iter().map(|(_, rows)| rows).sum();
    let gone =
        plan.gone.iter().map(|(first, end)| format!("[{first}, {end})")).collect::<Vec<_>>().join(" and ");
    let mut text =
        format!("{}: the batch [{}, {})\n", promised.partition, promised.metadata.first, promised.intent.end);
    let lines = [
        ("gone from the log", if gone.is_empty() { "nothing".to_owned() } else { gone }),
        ("stored already", format!("{} files, {stored} rows", plan.stored.len())),
        ("can be stored now", format!("{files} files, {rows} rows")),
        ("besides", format!("{dead_letters} dead letters, {skipped} skipped")),
        (
            "in the way",
            if plan.in_the_way.is_empty() {
                "nothing".to_owned()
            } else {
                format!("other objects where its files belong: {}", plan.in_the_way.join(" "))
            },
        ),
        ("lost for good", format!("at most {} records", plan.lost_at_most())),
    ];
    for (name, value) in lines {
        text.push_str(&format!("  {name:<18} {value}\n"));
    }
    text.push_str(
        "Released, it counts as done, and the audit reports it as unproven from then on, as long as the partition's record goes on. \
         Files of it in hours of which nothing can be read any more aren't looked for; they stay.\n",
    );
    text
}

/// Asks on the terminal.
fn asked_and_told_to() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("nobody can be asked here: give --yes".to_owned()));
    }
    drop(write!(std::io::stderr(), "Release it? Type `release`: "));
    drop(std::io::stderr().flush());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(answer.trim() == "release")
}
