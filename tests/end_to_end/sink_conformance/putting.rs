//! Objects that are put whole, and looked up.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use valve::sink::{Body, Digest, ObjectInfo, SinkError, Stored};

use super::files::{MIB, OURS, THEIRS, assert_conflict, bytes, file, put_patiently, streamed};
use super::stores::Store;
use super::{Check, behaviours};

pub(super) const BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_nothing_when_looked_up_then_none,
    given_a_put_when_looked_up_then_length_and_digest_are_there,
    given_an_equal_digest_when_put_again_then_it_is_already_there_and_the_bytes_stay,
    given_another_digest_when_put_again_then_the_conflict_names_both_and_the_bytes_stay,
    given_concurrent_puts_of_one_file_then_exactly_one_creates_it,
    given_concurrent_puts_of_different_files_under_one_key_then_the_others_conflict,
    given_an_empty_body_then_it_is_stored,
    given_a_body_of_many_pieces_then_they_are_stored_in_order,
    given_a_body_of_20_mib_then_it_is_stored,
    given_a_body_of_70_mib_then_it_is_stored,
    given_a_put_that_is_dropped_then_the_object_is_whole_or_absent,
    given_keys_of_all_kinds_then_each_is_its_own_object,
    given_an_object_of_another_tool_then_it_is_a_conflict_without_digest,
];

async fn given_nothing_when_looked_up_then_none(store: Store) {
    assert_eq!(store.sink.head(&store.key("nothing.avro")).await.unwrap(), None);
}

async fn given_a_put_when_looked_up_then_length_and_digest_are_there(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 1000));
    assert_eq!(store.sink.put(&key, OURS, body.clone()).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap();
    assert_eq!(found, Some(ObjectInfo { len: body.len(), digest: Some(OURS) }));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_an_equal_digest_when_put_again_then_it_is_already_there_and_the_bytes_stay(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 1000));
    store.sink.put(&key, OURS, body.clone()).await.unwrap();
    let other_bytes = file(OURS, 2000);
    assert_eq!(store.sink.put(&key, OURS, other_bytes).await.unwrap(), Stored::AlreadyThere);
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_another_digest_when_put_again_then_the_conflict_names_both_and_the_bytes_stay(store: Store) {
    let (key, body) = (store.key("a.avro"), file(THEIRS, 1000));
    store.sink.put(&key, THEIRS, body.clone()).await.unwrap();
    assert_conflict(store.sink.put(&key, OURS, file(OURS, 1000)).await, &key, Some(THEIRS));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_concurrent_puts_of_one_file_then_exactly_one_creates_it(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 100_000));
    let puts = (0..8).map(|_| put_patiently(&store, &key, OURS, &body, false));
    let outcomes: Vec<Stored> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|stored| **stored == Stored::Created).count(), 1, "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_concurrent_puts_of_different_files_under_one_key_then_the_others_conflict(store: Store) {
    let key = store.key("a.avro");
    let bodies: Vec<(Digest, Body)> = (1..=8).map(|n| (Digest(n), file(Digest(n), 100_000))).collect();
    let puts = bodies.iter().map(|(digest, body)| put_patiently(&store, &key, *digest, body, false));
    let outcomes = join_all(puts).await;
    let created: Vec<usize> = (0..8).filter(|n| matches!(outcomes[*n], Ok(Stored::Created))).collect();
    let conflicts =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(SinkError::Conflict { .. }))).count();
    assert_eq!((created.len(), conflicts), (1, 7), "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&bodies[created[0]].1));
}

async fn given_an_empty_body_then_it_is_stored(store: Store) {
    let key = store.key("empty.avro");
    assert_eq!(store.sink.put(&key, OURS, Body::default()).await.unwrap(), Stored::Created);
    assert_eq!(store.sink.head(&key).await.unwrap().map(|found| found.len), Some(0));
    assert_eq!(store.bytes(&key).await, Some(Vec::new()));
}

async fn given_a_body_of_many_pieces_then_they_are_stored_in_order(store: Store) {
    let whole = Bytes::from(bytes(&file(OURS, 100_000)));
    let mut pieces = vec![Bytes::new()];
    for start in (0..whole.len()).step_by(13) {
        pieces.push(whole.slice(start..(start + 13).min(whole.len())));
        if start % 5 == 0 {
            pieces.push(Bytes::new());
        }
    }
    let key = store.key("a.avro");
    assert_eq!(store.sink.put(&key, OURS, Body::new(pieces)).await.unwrap(), Stored::Created);
    assert!(store.bytes(&key).await.unwrap() == whole);
}

async fn check_large_body(store: Store, len: usize) {
    let (key, body) = (store.key("large.avro"), file(OURS, len));
    assert_eq!(store.sink.put(&key, OURS, body.clone()).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap();
    assert_eq!(found, Some(ObjectInfo { len: body.len(), digest: Some(OURS) }));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
    assert_eq!(store.sink.put(&key, OURS, body).await.unwrap(), Stored::AlreadyThere);
}

async fn given_a_body_of_20_mib_then_it_is_stored(store: Store) {
    check_large_body(store, 20 * MIB).await;
}

async fn given_a_body_of_70_mib_then_it_is_stored(store: Store) {
    check_large_body(store, 70 * MIB).await;
}

async fn given_a_put_that_is_dropped_then_the_object_is_whole_or_absent(store: Store) {
    let body = file(OURS, 20 * MIB);
    for wait in [0, 1, 3, 10, 30, 100] {
        let key = store.key(&format!("dropped after {wait} ms.avro"));
        let put = store.sink.put(&key, OURS, body.clone());
        let ended = tokio::time::timeout(Duration::from_millis(wait), put).await;
        if let Some(there) = store.bytes(&key).await {
            assert!(there == bytes(&body), "after {wait} ms, ended: {ended:?}");
        }
        let stored = put_patiently(&store, &key, OURS, &body, false).await.unwrap();
        assert!(ended.is_err() || stored == Stored::AlreadyThere);
        assert!(store.bytes(&key).await.unwrap() == bytes(&body));
    }
}

async fn given_keys_of_all_kinds_then_each_is_its_own_object(store: Store) {
    let names = [
        "year=2026/month=07/day=03/hour=09/orders_5-messages_x.avro",
        "a b.avro",
        "a+b.avro",
        "a%20b.avro",
        "a%2Bb.avro",
        "größe/日本語 🚰.avro",
        "~!@$&'()*,;:=[]{}^`|#?.avro",
        ".hidden/..two/three...avro",
        "\"quoted\".avro",
    ];
    for (n, name) in (1..).zip(names) {
        let outcome = store.sink.put(&store.key(name), Digest(n), file(Digest(n), 10)).await;
        assert_eq!(outcome.unwrap(), Stored::Created, "{name}");
    }
    for (n, name) in (1..).zip(names) {
        let found = store.sink.head(&store.key(name)).await.unwrap().unwrap();
        assert_eq!(found.digest, Some(Digest(n)), "{name}");
        assert_eq!(store.bytes(&store.key(name)).await, Some(bytes(&file(Digest(n), 10))), "{name}");
    }
}

async fn given_an_object_of_another_tool_then_it_is_a_conflict_without_digest(store: Store) {
    let key = store.key("foreign.avro");
    store.backdoor.put_foreign(&key, Bytes::from_static(b"not ours")).await;
    assert_conflict(store.sink.put(&key, OURS, file(OURS, 10)).await, &key, None);
    assert_conflict(store.sink.put_streaming(&key, OURS, streamed(&file(OURS, 20 * MIB))).await, &key, None);
    assert_eq!(store.sink.head(&key).await.unwrap(), Some(ObjectInfo { len: 8, digest: None }));
    assert_eq!(store.bytes(&key).await.unwrap(), b"not ours");
}
