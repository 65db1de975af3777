//! Who a file is: a function of the valve, the batch's intent, the hour and the schema, of nothing else.
//!
//! So whoever makes a batch again makes the same keys, and a zombie's files are the owner's.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::layout::Hour;
use crate::types::SchemaId;

/// The namespace of valve's version 5 UUIDs.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d1c_5a54_6f0b_4b52_9d8e_3c0b_7f61_12aa);

/// What the files of one batch have in common.
#[derive(Clone, Debug)]
pub struct Identity<'a> {
    /// The valve's name.
    pub valve: &'a str,
    /// Kafka's id of the cluster.
    pub cluster: &'a str,
    /// The encoded metadata with the batch's intent.
    pub metadata: &'a str,
}

impl Identity<'_> {
    /// The UUID of the batch's file for `hour` and `schema`.
    #[must_use]
    pub fn uuid(&self, hour: Hour, schema: SchemaId) -> Uuid {
        let mut name = Vec::with_capacity(64 + self.metadata.len());
        for part in [self.valve, self.cluster, self.metadata] {
            name.extend_from_slice(&(part.len() as u64).to_le_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        name.extend_from_slice(&hour.0.to_le_bytes());
        name.extend_from_slice(&schema.0.to_le_bytes());
        Uuid::new_v5(&NAMESPACE, &name)
    }
}

/// The sync marker of the file with this UUID.
#[must_use]
pub fn sync_marker(uuid: Uuid) -> [u8; 16] {
    xxh3_128(uuid.as_bytes()).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_same_intent_then_each_hour_and_schema_has_its_own_lasting_uuid() {
        let identity = Identity { valve: "archive", cluster: "c1", metadata: "v1:abc" };
        let uuid = identity.uuid(Hour(10), SchemaId(1));
        assert_eq!(uuid, identity.uuid(Hour(10), SchemaId(1)));
        assert_eq!(uuid.to_string(), "3ac93d9f-271d-57c4-aab8-65f109857053");
        assert_ne!(uuid, identity.uuid(Hour(11), SchemaId(1)));
        assert_ne!(uuid, identity.uuid(Hour(10), SchemaId(2)));
    }

    #[test]
    fn given_names_that_run_together_then_the_uuids_differ() {
        let one = Identity { valve: "ab", cluster: "c", metadata: "" };
        let other = Identity { valve: "a", cluster: "bc", metadata: "" };
        assert_ne!(one.uuid(Hour(0), SchemaId(1)), other.uuid(Hour(0), SchemaId(1)));
    }
}
