//! The events that the tests produce: schemas as teams evolve them, values in the schema's field order.

use chrono::DateTime;
use serde_json::{Value, json};

/// 2024-03-10T07:00:00Z, the hour that most tests begin in.
pub(crate) const SEVEN: i64 = 1_710_054_000_000;
/// In milliseconds.
pub(crate) const HOUR: i64 = 3_600_000;

/// Three versions of one record, as it grew.
pub(crate) const ORDERS: [&str; 3] = [
    r#"{"type":"record","name":"Order","namespace":"shop","doc":"As it was placed.","fields":[{"name":"id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"customer","type":"string"}]}"#,
    r#"{"type":"record","name":"Order","namespace":"shop","doc":"As it was placed.","fields":[{"name":"id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"customer","type":"string"},{"name":"note","type":["null","string"],"default":null}]}"#,
    r#"{"type":"record","name":"Order","namespace":"shop","doc":"As it was placed.","fields":[{"name":"id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"customer","type":"string"},{"name":"note","type":["null","string"],"default":null},{"name":"channel","type":{"type":"enum","name":"Channel","symbols":["WEB","PHONE"]},"default":"WEB"},{"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[{"name":"sku","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"}]}},"default":[]},{"name":"labels","type":{"type":"map","values":"string"},"default":{}}]}"#,
];

/// A record of another topic, whose timestamp is text.
pub(crate) const PAGE_VIEW: &str = r#"{"type":"record","name":"PageView","namespace":"web","fields":[{"name":"id","type":"long"},{"name":"at","type":"string"},{"name":"path","type":"string"}]}"#;

/// An event, and where it is to go.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) partition: i64,
    pub(crate) schema: String,
    pub(crate) references: Value,
    /// The branch of a top-level union.
    pub(crate) branch: Option<&'static str>,
    pub(crate) value: Value,
    /// Its timestamp, in milliseconds since 1970.
    pub(crate) at: i64,
}

impl Event {
    pub(crate) fn new(topic: &str, schema: &str, value: Value, at: i64) -> Self {
        let (topic, schema) = (topic.to_owned(), schema.to_owned());
        Self { topic, partition: 0, schema, references: json!([]), branch: None, value, at }
    }

    /// Order `id`, under version `1`, `2` or `3` of its schema.
    pub(crate) fn order(topic: &str, version: usize, id: i64, at: i64) -> Self {
        let mut value = json!({"id": id, "at": at, "customer": format!("customer {}", id % 17)});
        if version >= 2 {
            value["note"] = if id % 2 == 0 { json!(null) } else { json!("bitte klingeln ✓") };
        }
        if version >= 3 {
            value["channel"] = json!(if id % 3 == 0 { "PHONE" } else { "WEB" });
            let items =
                (0..id % 4).map(|item| json!({"sku": format!("S{item}"), "quantity": item, "price": 9.75}));
            value["items"] = items.collect();
            value["labels"] = json!({"campaign": "spring", "tier": format!("{}", id % 5)});
        }
        Self::new(topic, ORDERS[version - 1], value, at)
    }

    /// Page view `id`, with its timestamp as text.
    pub(crate) fn page_view(topic: &str, id: i64, at: i64) -> Self {
        let text = DateTime::from_timestamp_millis(at).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        Self::new(topic, PAGE_VIEW, json!({"id": id, "at": text, "path": format!("/{}", id % 7)}), at)
    }

    /// The same for another partition.
    pub(crate) fn in_partition(self, partition: i64) -> Self {
        Self { partition, ..self }
    }

    /// The directories of its hour.
    pub(crate) fn hour(&self) -> String {
        let at = DateTime::from_timestamp_millis(self.at).unwrap();
        at.format("year=%Y/month=%m/day=%d/hour=%H").to_string()
    }

    /// What the producer is told (tools/produce.py).
    pub(crate) fn instruction(&self) -> Value {
        json!({
            "op": "produce",
            "topic": self.topic,
            "partition": self.partition,
            "schema": self.schema,
            "references": self.references,
            "branch": self.branch,
            "value": self.value,
            "key": format!("key of {}", self.value["id"]),
            "headers": [["source", "end-to-end"]],
        })
    }
}

/// Orders `ids` under the first version, a minute apart, spread over `partitions`.
pub(crate) fn orders(topic: &str, ids: std::ops::Range<i64>, partitions: i64) -> Vec<Event> {
    ids.map(|id| Event::order(topic, 1, id, SEVEN + id * 60_000).in_partition(id % partitions)).collect()
}

/// Bytes that are no event and that no codec makes fewer.
pub(crate) fn incompressible(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0] | 2
    });
    bytes.take(count).collect()
}
