//! Objects that are made while they are stored.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use valve::sink::{Body, Digest, SinkError, Stored};

use super::files::{MIB, OURS, THEIRS, assert_conflict, bytes, file, put_patiently, streamed};
use super::stores::Store;
use super::{Check, behaviours};

pub(super) const BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_a_stream_of_20_mib_then_it_is_stored,
    given_a_short_stream_then_it_is_stored,
    given_an_empty_stream_then_it_is_stored,
    given_a_stream_that_fails_in_the_middle_then_nothing_becomes_visible,
    given_a_streaming_put_that_is_dropped_then_nothing_becomes_visible,
    given_an_object_when_streamed_again_then_the_digests_decide,
    given_a_put_and_a_streaming_put_of_one_file_then_exactly_one_creates_it,
];

async fn check_stream(store: Store, body: Body, digest: Option<Digest>) {
    let key = store.key("streamed.avro");
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap().unwrap();
    assert_eq!(found.len, body.len());
    if digest.is_some() {
        assert_eq!(found.digest, digest);
    }
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_a_stream_of_20_mib_then_it_is_stored(store: Store) {
    check_stream(store, file(OURS, 20 * MIB), Some(OURS)).await;
}

async fn given_a_short_stream_then_it_is_stored(store: Store) {
    check_stream(store, file(OURS, 1000), Some(OURS)).await;
}

async fn given_an_empty_stream_then_it_is_stored(store: Store) {
    check_stream(store, Body::default(), None).await;
}

async fn given_a_stream_that_fails_in_the_middle_then_nothing_becomes_visible(store: Store) {
    let body = file(OURS, 20 * MIB);
    let key = store.key("a.avro");
    for len in [0, 3, 35] {
        let pieces: Vec<_> = body.pieces()[..len].iter().cloned().map(Ok).collect();
        let fails = stream::iter([Err(SinkError::Unavailable("the range has changed".to_owned()))]);
        let error = store.sink.put_streaming(&key, OURS, stream::iter(pieces).chain(fails).boxed()).await;
        assert_eq!(error.unwrap_err().to_string(), "the range has changed");
        assert_eq!(store.sink.head(&key).await.unwrap(), None);
        assert_eq!(store.bytes(&key).await, None);
    }
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
}

async fn given_a_streaming_put_that_is_dropped_then_nothing_becomes_visible(store: Store) {
    let body = file(OURS, 20 * MIB);
    let key = store.key("a.avro");
    let (at_the_end, reached) = tokio::sync::oneshot::channel();
    let never_ends = stream::once(async move {
        at_the_end.send(()).unwrap();
        std::future::pending().await
    });
    tokio::select! {
        outcome = store.sink.put_streaming(&key, OURS, streamed(&body).chain(never_ends).boxed()) => {
            panic!("ended: {outcome:?}")
        }
        all_taken = reached => all_taken.unwrap(),
    }
    assert_eq!(store.sink.head(&key).await.unwrap(), None);
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_an_object_when_streamed_again_then_the_digests_decide(store: Store) {
    for len in [1000, 20 * MIB] {
        let (key, body) = (store.key(&format!("{len}.avro")), file(OURS, len));
        store.sink.put(&key, OURS, body.clone()).await.unwrap();
        let stored = store.sink.put_streaming(&key, OURS, streamed(&file(OURS, len + 1))).await;
        assert_eq!(stored.unwrap(), Stored::AlreadyThere);
        assert!(store.bytes(&key).await.unwrap() == bytes(&body));

        let (key, theirs) = (store.key(&format!("{len} theirs.avro")), file(THEIRS, len));
        store.sink.put(&key, THEIRS, theirs.clone()).await.unwrap();
        assert_conflict(store.sink.put_streaming(&key, OURS, streamed(&body)).await, &key, Some(THEIRS));
        assert!(store.bytes(&key).await.unwrap() == bytes(&theirs));
    }
}

async fn given_a_put_and_a_streaming_put_of_one_file_then_exactly_one_creates_it(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 10 * MIB));
    let puts = (0..6).map(|n| put_patiently(&store, &key, OURS, &body, n % 2 == 0));
    let outcomes: Vec<Stored> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|stored| **stored == Stored::Created).count(), 1, "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}
