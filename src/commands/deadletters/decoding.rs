//! A dead letter's value as JSON, by its schema: both may come from anyone.

use std::time::Duration;

use apache_avro::reader::datum::GenericDatumReader;

use crate::avro::program::Program;
use crate::avro::references;
use crate::avro::schema::{WriterSchema, weightless};
use crate::avro::timestamp::TimestampRules;
use crate::avro::wire;
use crate::columns::escaped;
use crate::config::Config;
use crate::registry::confluent::Confluent;
use crate::registry::{Answer, SchemaSource as _};
use crate::types::SchemaId;

/// How long the registry may take.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// A value isn't decoded that may hold more values than this that take none of its bytes: they would take a gigabyte.
const MAX_WEIGHTLESS: u64 = 8_000_000;

/// The value as JSON, or why it can't be had.
pub(super) async fn decode(config: &Config, value: &[u8]) -> Result<String, String> {
    let (id, datum) = wire::split(value).map_err(|error| error.to_string())?;
    as_json(&schema(config, id).await?, &config.timestamp, datum)
}

fn as_json(schema: &WriterSchema, timestamp: &TimestampRules, datum: &[u8]) -> Result<String, String> {
    // The walk bounds depth and lengths; the library that decodes trusts the datum.
    let program = Program::compile(schema, timestamp).map_err(|error| error.to_string())?;
    program.walk(datum).map_err(|error| error.to_string())?;
    // Its reduced form: in the whole text, the library would evaluate fields' defaults for as long as they are nested.
    let schema = schema.parsed().map_err(|error| error.to_string())?;
    if weightless::values(&schema, datum.len()) > MAX_WEIGHTLESS {
        return Err(format!(
            "by its schema, it may hold more than {MAX_WEIGHTLESS} values that take no byte"
        ));
    }
    let reader = GenericDatumReader::builder(&schema).build().map_err(|error| error.to_string())?;
    let decoded = reader.read_value(&mut &datum[..]).map_err(|error| error.to_string())?;
    let json = serde_json::Value::try_from(decoded).map_err(|error| error.to_string())?;
    serde_json::to_string_pretty(&json).map(|json| escaped(&json)).map_err(|error| error.to_string())
}

async fn schema(config: &Config, id: SchemaId) -> Result<WriterSchema, String> {
    let registry = Confluent::new(&config.registry).map_err(|error| error.to_string())?;
    let asked = tokio::time::timeout(REGISTRY_TIMEOUT, registry.schema(id)).await;
    match asked.map_err(|_| "the schema registry doesn't answer".to_owned())? {
        Ok(Answer::Found(raw)) => {
            let schema = references::inline(&raw).and_then(|text| WriterSchema::new(id, &text));
            schema.map_err(|error| format!("schema id {id}: {error}"))
        }
        Ok(Answer::Unknown) => Err(format!("the schema registry doesn't know schema id {id}")),
        Ok(Answer::Unusable(why)) => Err(format!("schema id {id}: {why}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::schema::weightless::tests::doubled;
    use crate::avro::timestamp::Candidate;

    fn decoded(text: &str, datum: &[u8]) -> Result<String, String> {
        let rules = TimestampRules::new(vec![Candidate::Kafka], (1970, 2100)).unwrap();
        as_json(&WriterSchema::new(SchemaId(1), text).unwrap(), &rules, datum)
    }

    #[test]
    fn given_an_empty_record_in_a_few_pairs_then_the_value_is_decoded() {
        let json: serde_json::Value = serde_json::from_str(&decoded(&doubled(1), &[]).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({"f0": {}, "f1": {"f0": {}, "f1": {}}}));
    }

    #[test]
    fn given_empty_records_in_pairs_of_pairs_then_the_value_isnt_decoded_and_it_is_said_why() {
        for times in [7, 100] {
            let why = decoded(&doubled(times), &[]).unwrap_err();
            assert!(why.contains("8000000 values that take no byte"), "{why}");
        }
    }
}
