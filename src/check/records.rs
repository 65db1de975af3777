//! What would become of the topics' newest records: fetched as a lane does, with their schema and the hour by `timestamp`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::kafka::some;
use super::{Checks, Clients, Finding, Outcome, advice};
use crate::avro::program::Program;
use crate::avro::wire;
use crate::clock::Clock as _;
use crate::config::Config;
use crate::core::layout::Hour;
use crate::registry::cache::{Lookup, use_schema};
use crate::registry::{Answer, SchemaSource};
use crate::source::offsets::newest::{Fetched, Newest};
use crate::types::{SchemaId, UnixMillis};

const AREA: &str = "records";

/// The newest record of so many topics is fetched.
const MOST_TOPICS: usize = 20;

/// How long that may take.
const FETCH: Duration = Duration::from_secs(20);

/// How long a schema may take, with all that it refers to.
const SCHEMA: Duration = Duration::from_secs(12);

/// What is found of the newest records of `topics`, if these are known.
pub(super) async fn check(
    checks: &Checks,
    clients: &Clients,
    topics: Option<&[String]>,
    registry_is_well: bool,
) -> Vec<Finding> {
    const TRIED: &str = "fetch the newest record of each topic";
    let topics: Vec<String> = match topics {
        None | Some([]) => {
            return vec![Finding::not_tried(AREA, TRIED, "no topic is found that may be read")];
        }
        Some(topics) => topics.iter().take(MOST_TOPICS).cloned().collect(),
    };
    let tried = format!("fetch the newest record of {}", some(topics.len(), "topic"));
    let asked = clients.offsets.newest(Arc::clone(&clients.config), topics);
    let (fetched, took) = checks.within(FETCH, asked).await;
    let finding = |outcome| Finding::new(AREA, tried, outcome).took(took);
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(why) => return vec![finding(Outcome::Failed).saying(&why).advising(advice::kafka(&why))],
    };
    let mut findings = vec![summary(&fetched, finding)];
    let mut schemas = BTreeMap::new();
    for (topic, fetched) in fetched {
        match fetched {
            Fetched::Empty => {}
            Fetched::Failed(why) => findings.push(unread(&topic, &why)),
            Fetched::Record(_) if !registry_is_well => {
                let tried = format!("look up the schema of {topic}'s newest record");
                findings.push(Finding::not_tried(AREA, tried, "the registry doesn't answer"));
            }
            Fetched::Record(record) => findings.push(place(checks, clients, &mut schemas, &record).await),
        }
    }
    findings
}

fn summary(fetched: &BTreeMap<String, Fetched>, finding: impl FnOnce(Outcome) -> Finding) -> Finding {
    let count = |is: fn(&Fetched) -> bool| fetched.values().filter(|fetched| is(fetched)).count();
    let came = count(|fetched| matches!(fetched, Fetched::Record(_)));
    let empty = count(|fetched| matches!(fetched, Fetched::Empty));
    let empty = if empty == 0 {
        String::new()
    } else {
        format!(
            ", {} empty",
            if empty == 1 { "1 topic is".to_owned() } else { format!("{empty} topics are") }
        )
    };
    let failed = came == 0 && fetched.values().any(|fetched| matches!(fetched, Fetched::Failed(_)));
    let outcome = if failed { Outcome::Noted } else { Outcome::Well };
    finding(outcome).saying(format!("{came} came{empty}; what would become of each:"))
}

fn unread(topic: &str, why: &str) -> Finding {
    let to_do = if why.contains("authorization") {
        advice::grant(&["Read", "Describe"], "topic", topic)
    } else {
        "see the brokers' logs, and whether each partition of the topic has a leader".to_owned()
    };
    Finding::new(AREA, format!("fetch from {topic}"), Outcome::Failed).saying(why).advising(to_do)
}

/// What the registry said of each id, asked once.
type Schemas = BTreeMap<SchemaId, Result<Answer, String>>;

/// What would become of a record.
async fn place(checks: &Checks, clients: &Clients, schemas: &mut Schemas, record: &Newest) -> Finding {
    let tried = format!("{} at offset {}", record.partition, record.offset);
    let finding = |outcome| Finding::new(AREA, &*tried, outcome);
    let Some(value) = &record.value else {
        return finding(Outcome::Noted)
            .saying(format!("it has no value: nulls = {:?}", clients.config.nulls).to_lowercase());
    };
    let (id, datum) = match wire::split(value) {
        Ok(split) => split,
        Err(error) => {
            let to_do = "valve reads what Confluent's serializers write; all else becomes dead letters";
            return finding(Outcome::Warned).saying(error).advising(to_do);
        }
    };
    let answer = match schemas.get(&id) {
        Some(known) => known,
        None => {
            let (answer, _) = checks.within(SCHEMA, clients.registry.schema(id)).await;
            schemas.entry(id).or_insert(answer)
        }
    };
    match answer {
        Err(why) => {
            let (why, to_do) = advice::registry(why);
            finding(Outcome::Failed).saying(format!("schema {id}: {why}")).advising(to_do)
        }
        Ok(Answer::Unknown) => finding(Outcome::Warned)
            .saying(format!("the registry doesn't know its schema id {id}"))
            .advising("see that registry.url is the registry that the producers of this topic use"),
        Ok(Answer::Unusable(why)) => finding(Outcome::Warned).saying(format!("schema {id}: {why}")).advising(
            "valve stores Avro records only: leave the topic out of `topics`, or expect dead letters",
        ),
        Ok(Answer::Found(raw)) => match use_schema(id, raw) {
            Lookup::Known(schema) => {
                let program = Program::compile(&schema, &clients.config.timestamp);
                let now = checks.clock.now();
                judge(
                    &clients.config,
                    id,
                    program.map_err(|error| error.0),
                    datum,
                    (record.timestamp, now),
                    finding,
                )
            }
            Lookup::Unusable(why) => finding(Outcome::Warned).saying(format!("schema {id}: {why}")),
            Lookup::Unknown => finding(Outcome::NotTried),
        },
    }
}

/// Where a datum belongs by `timestamp`, and whether its schema has all fields that this names.
fn judge(
    config: &Config,
    id: SchemaId,
    program: Result<Program, String>,
    datum: &[u8],
    (kafka, now): (Option<UnixMillis>, UnixMillis),
    finding: impl Fn(Outcome) -> Finding,
) -> Finding {
    let warned = |said: String, to_do: &str| finding(Outcome::Warned).saying(said).advising(to_do);
    let program = match program {
        Ok(program) => program,
        Err(why) => return warned(format!("schema {id}: {why}"), "its records become dead letters"),
    };
    let fields = match program.walk(datum) {
        Ok(fields) => fields,
        Err(error) => {
            let said = format!("it doesn't match its schema {id}: {error}");
            return warned(said, "see how the producer writes it; such records become dead letters");
        }
    };
    let missing: Vec<String> = program.without(&config.timestamp).map(ToString::to_string).collect();
    match config.timestamp.resolve(&fields, kafka, now) {
        Err(why) => warned(
            format!("schema {id}: {why}"),
            "correct `timestamp`, or add a last resort such as kafka: such records become dead letters",
        ),
        Ok(time) => {
            let hour = Hour::of(time, config.layout.granularity);
            let said = format!("schema {id}, hour {hour}");
            if missing.is_empty() {
                return finding(Outcome::Well).saying(said);
            }
            let said = format!("{said}, by another time: its schema has no {}", missing.join(", "));
            warned(said, "see that `timestamp` names the fields as the schema does")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::schema::WriterSchema;
    use crate::config::Sources;

    const SCHEMA_TEXT: &str = r#"{"type":"record","name":"E","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

    /// What is said of a datum of [`SCHEMA_TEXT`] under this `timestamp`.
    fn said(timestamp: &str, datum: &[u8]) -> Finding {
        let given = [
            ("VALVE_NAME", "archive"),
            ("VALVE_TOPICS", "orders"),
            ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"),
            ("VALVE_REGISTRY__URL", "http://127.0.0.1:1"),
            ("VALVE_SINK__BUCKET", "events"),
            ("VALVE_TIMESTAMP", timestamp),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config =
            Sources::local(None, given.into_iter()).and_then(Sources::validate).expect("valid settings");
        let schema = WriterSchema::new(SchemaId(7), SCHEMA_TEXT).unwrap();
        let program = Program::compile(&schema, &config.timestamp).map_err(|error| error.0);
        let times = (Some(UnixMillis(3_600_000)), UnixMillis(7_200_000));
        judge(&config, SchemaId(7), program, datum, times, |outcome| Finding::new(AREA, "place", outcome))
    }

    /// 0, zigzag: 1970-01-01T00.
    const MIDNIGHT: &[u8] = &[0];

    #[test]
    fn given_a_record_then_its_hour_is_said() {
        let well = said("field:at", MIDNIGHT);
        assert_eq!((well.outcome, &*well.said), (Outcome::Well, "schema 7, hour 1970-01-01T00"));
    }

    #[test]
    fn given_a_field_that_the_schema_lacks_then_one_is_warned_whether_another_time_is_there_or_not() {
        let other = said("field:att,kafka", MIDNIGHT);
        assert_eq!(other.outcome, Outcome::Warned);
        assert!(
            other.said.contains("hour 1970-01-01T01") && other.said.contains("no field:att"),
            "{other:?}"
        );
        let none = said("field:att", MIDNIGHT);
        assert!(none.outcome == Outcome::Warned && none.said.contains("no usable timestamp"), "{none:?}");
    }

    #[test]
    fn given_a_datum_of_another_schema_then_one_is_warned() {
        let wrong = said("field:at", &[0, 0]);
        assert!(wrong.outcome == Outcome::Warned && wrong.said.contains("match its schema 7"), "{wrong:?}");
    }

    #[test]
    fn given_a_topic_that_may_not_be_read_then_the_right_is_named() {
        let denied = unread("orders", "Broker: Topic authorization failed");
        assert!(denied.outcome == Outcome::Failed && denied.advice().contains("Read"));
        assert!(unread("orders", "Broker: Leader not available").advice().contains("leader"));
    }
}
