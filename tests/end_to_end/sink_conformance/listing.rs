//! Listing objects, and reading parts of them.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use valve::sink::{Body, Digest, LIST_PAGE, Listed};

use super::files::{MIB, OURS, file};
use super::stores::Store;
use super::{Check, behaviours};

pub(super) const BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_nothing_when_listed_then_the_page_is_empty,
    given_objects_when_listed_then_they_come_by_key_with_their_lengths,
    given_directories_and_files_of_similar_names_then_the_order_is_that_of_whole_keys,
    given_a_prefix_that_is_part_of_a_name_then_just_what_begins_with_it_is_listed,
    given_a_key_to_begin_behind_then_the_page_begins_there_whether_it_exists_or_not,
    given_more_objects_than_a_page_then_the_pages_hold_each_once,
    given_keys_of_all_kinds_then_they_are_listed_as_they_were_put,
    given_a_put_that_is_not_done_then_it_is_not_listed,
    given_an_object_when_a_range_is_read_then_its_bytes_are_returned,
    given_a_large_object_when_a_range_is_read_then_its_bytes_are_returned,
    given_an_empty_object_when_read_then_there_are_no_bytes,
    given_nothing_when_read_then_none,
];

/// Puts an object of `n` bytes and more as the nth of `names`.
async fn put_all(store: &Store, names: &[&str]) {
    for (n, name) in names.iter().enumerate() {
        store.sink.put(&store.key(name), OURS, file(OURS, n)).await.unwrap();
    }
}

/// The names behind the trial's prefix, of one page.
async fn names(store: &Store, prefix: &str, after: Option<&str>) -> Vec<String> {
    let after = after.map(|after| store.key(after));
    let page = store.sink.list(&store.key(prefix), after.as_deref()).await.unwrap();
    page.into_iter().map(|listed| name(store, &listed)).collect()
}

fn name(store: &Store, listed: &Listed) -> String {
    listed.key.strip_prefix(&store.key("")).unwrap().to_owned()
}

async fn given_nothing_when_listed_then_the_page_is_empty(store: Store) {
    assert_eq!(names(&store, "", None).await, [""; 0]);
    put_all(&store, &["a.avro"]).await;
    assert_eq!(names(&store, "b", None).await, [""; 0]);
    assert_eq!(names(&store, "a.avro/", None).await, [""; 0]);
}

async fn given_objects_when_listed_then_they_come_by_key_with_their_lengths(store: Store) {
    put_all(&store, &["c.avro", "a.avro", "b/1.avro"]).await;
    let page = store.sink.list(&store.key(""), None).await.unwrap();
    let expected = [("a.avro", 1), ("b/1.avro", 2), ("c.avro", 0)];
    let expected = expected.map(|(name, n)| Listed { key: store.key(name), len: file(OURS, n).len() });
    assert_eq!(page, expected);
}

async fn given_directories_and_files_of_similar_names_then_the_order_is_that_of_whole_keys(store: Store) {
    let mut put = ["a/1", "a/2/x", "a.avro", "a-b/1", "a0", "a!", "a/2.avro", "a/10", "B/1", "z", "a/2-/y"];
    put_all(&store, &put).await;
    put.sort_unstable();
    assert_eq!(names(&store, "", None).await, put);
    for (n, after) in put.iter().enumerate() {
        assert_eq!(names(&store, "", Some(after)).await, put[n + 1..], "behind {after}");
    }
}

async fn given_a_prefix_that_is_part_of_a_name_then_just_what_begins_with_it_is_listed(store: Store) {
    let put = [
        "orders/year=2026/month=07/1.avro",
        "orders/year=2026/month=07/2.avro",
        "orders/year=2026/month=08/1.avro",
        "orders/year=2027/month=07/1.avro",
        "orders-eu/year=2026/month=07/1.avro",
        "order",
    ];
    put_all(&store, &put).await;
    for prefix in [
        "",
        "o",
        "order",
        "orders",
        "orders/",
        "orders/year=202",
        "orders/year=2026",
        "orders/year=2026/month=0",
        "orders/year=2026/month=07/1",
        "orders/year=2026/month=07/1.avro",
        "orders-",
        "s",
        "orders/year=2026/month=07/1.avro.",
    ] {
        let mut expected: Vec<&str> = put.into_iter().filter(|name| name.starts_with(prefix)).collect();
        expected.sort_unstable();
        assert_eq!(names(&store, prefix, None).await, expected, "{prefix}");
    }
}

async fn given_a_key_to_begin_behind_then_the_page_begins_there_whether_it_exists_or_not(store: Store) {
    let put = ["a/1", "a/2", "b/1", "b/2", "c"];
    put_all(&store, &put).await;
    for prefix in ["", "a/", "b"] {
        for after in
            ["", "A", "a", "a/", "a/1", "a/10", "a/2", "a0", "b", "b/1", "b/1/x", "b/2", "bb", "c", "d"]
        {
            let mut expected: Vec<&str> = put.to_vec();
            expected.retain(|name| name.starts_with(prefix) && *name > after);
            assert_eq!(names(&store, prefix, Some(after)).await, expected, "{prefix} behind {after}");
        }
    }
}

async fn given_more_objects_than_a_page_then_the_pages_hold_each_once(store: Store) {
    let mut expected: Vec<String> = (0..2 * LIST_PAGE + 5)
        .map(|n| format!("{}/{}.avro", n % 7, n.wrapping_mul(7919) % 100_003))
        .collect();
    let puts = stream::iter(expected.clone()).map(|name| {
        let key = store.key(&name);
        let sink = store.sink.clone();
        async move { sink.put(&key, OURS, file(OURS, 0)).await.unwrap() }
    });
    puts.buffer_unordered(16).collect::<Vec<_>>().await;
    expected.sort_unstable();
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = names(&store, "", found.last().map(String::as_str)).await;
        if page.is_empty() {
            break;
        }
        pages.push(page.len());
        found.extend(page);
    }
    assert_eq!(found, expected);
    assert_eq!(pages, [LIST_PAGE, LIST_PAGE, 5]);
}

async fn given_keys_of_all_kinds_then_they_are_listed_as_they_were_put(store: Store) {
    let mut put = [
        "a b.avro",
        "a+b.avro",
        "a%20b.avro",
        "größe/日本語 🚰.avro",
        "~!@$&'()*,;:=[]{}^`|#?.avro",
        "<&>.avro",
    ];
    put_all(&store, &put).await;
    put.sort_unstable();
    assert_eq!(names(&store, "", None).await, put);
    for (n, after) in put.iter().enumerate() {
        assert_eq!(names(&store, "", Some(after)).await, put[n + 1..], "behind {after}");
        assert_eq!(names(&store, after, None).await, [*after]);
    }
}

async fn given_a_put_that_is_not_done_then_it_is_not_listed(store: Store) {
    put_all(&store, &["a.avro"]).await;
    let (at_the_end, reached) = tokio::sync::oneshot::channel();
    let never_ends = stream::once(async move {
        at_the_end.send(()).unwrap();
        std::future::pending().await
    });
    let pieces = stream::iter(file(OURS, 20 * MIB).pieces().to_vec().into_iter().map(Ok));
    let key = store.key("b.avro");
    tokio::select! {
        outcome = store.sink.put_streaming(&key, OURS, pieces.chain(never_ends).boxed()) => {
            panic!("ended: {outcome:?}")
        }
        all_taken = reached => all_taken.unwrap(),
    }
    assert_eq!(names(&store, "", None).await, ["a.avro"]);
}

async fn given_an_object_when_a_range_is_read_then_its_bytes_are_returned(store: Store) {
    let key = store.key("a.avro");
    store.sink.put(&key, OURS, Body::new(vec!["0123".into(), "".into(), "456789".into()])).await.unwrap();
    for (start, end, expected) in [
        (0, 10, "0123456789"),
        (0, 1, "0"),
        (2, 7, "23456"),
        (9, 10, "9"),
        (8, 100, "89"),
        (0, u64::MAX, "0123456789"),
        (5, u64::MAX, "56789"),
        (10, 11, ""),
        (99, 100, ""),
        (u64::MAX - 1, u64::MAX, ""),
        (4, 4, ""),
        (7, 3, ""),
    ] {
        let read = store.sink.read(&key, start..end).await.unwrap();
        assert_eq!(read, Some(Bytes::from(expected)), "{start}..{end}");
    }
}

async fn given_a_large_object_when_a_range_is_read_then_its_bytes_are_returned(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 20 * MIB));
    store.sink.put(&key, OURS, body.clone()).await.unwrap();
    let whole = body.pieces().concat();
    for range in [0..64 << 10, 7 * MIB..9 * MIB, 20 * MIB..21 * MIB] {
        let read = store.sink.read(&key, range.start as u64..range.end as u64).await.unwrap().unwrap();
        assert!(read == whole[range.start..range.end.min(whole.len())], "{range:?}");
    }
}

async fn given_an_empty_object_when_read_then_there_are_no_bytes(store: Store) {
    let key = store.key("empty.avro");
    store.sink.put(&key, Digest(1), Body::default()).await.unwrap();
    for range in [0..0, 0..1, 5..10] {
        assert_eq!(store.sink.read(&key, range.clone()).await.unwrap(), Some(Bytes::new()), "{range:?}");
    }
}

async fn given_nothing_when_read_then_none(store: Store) {
    put_all(&store, &["a/b.avro"]).await;
    for name in ["nothing.avro", "a/nothing.avro", "nothing/b.avro"] {
        for range in [0..0, 0..10, 5..10] {
            assert_eq!(store.sink.read(&store.key(name), range).await.unwrap(), None, "{name}");
        }
    }
}
