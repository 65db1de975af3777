//! What a store may answer to a listing and to a read.

use super::fake_store::{Answer, FakeStore, Found, Refused, Silence, Text, reason};
use super::*;

const BYTES: &[u8] = b"0123456789";

fn page(keys: &[&str], more: Option<&str>) -> Answer {
    let objects: Vec<String> = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>{}</Size></Contents>", key.len()))
        .collect();
    let more = more.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    Text(format!("<ListBucketResult>{more}{}</ListBucketResult>", objects.concat()))
}

async fn list(store: &FakeStore) -> Result<Vec<Listed>, SinkError> {
    store.sink.list("a", Some("a1")).await
}

#[tokio::test]
async fn given_a_page_then_it_was_asked_for_by_prefix_and_by_what_it_begins_behind() {
    let store = FakeStore::in_turn([("list", page(&["a2", "a30"], None))]).await;
    let expected = [("a2", 2), ("a30", 3)].map(|(key, len)| Listed { key: key.to_owned(), len });
    assert_eq!(list(&store).await.unwrap(), expected);
    let query = store.all("list")[0].query.clone();
    for field in ["prefix=a", "start-after=a1", "max-keys=1000"] {
        assert!(query.split('&').any(|found| found == field), "{field}: {query}");
    }
}

#[tokio::test]
async fn given_an_empty_page_with_more_behind_it_then_the_next_is_asked_for() {
    let script = [("list", page(&[], Some("t1"))), ("list", page(&["a2"], Some("t2")))];
    let store = FakeStore::in_turn(script).await;
    assert_eq!(list(&store).await.unwrap().len(), 1, "the caller goes on behind it");
    let asked = store.all("list");
    assert!(asked.len() == 2 && asked[1].query.contains("continuation-token=t1"), "{asked:?}");
}

#[tokio::test]
async fn given_a_store_that_lists_in_another_order_then_it_is_unavailable() {
    for keys in [["a3", "a2"], ["a2", "a2"], ["a0", "a2"]] {
        let store = FakeStore::in_turn([("list", page(&keys, None))]).await;
        assert!(reason(list(&store).await).contains("order"), "{keys:?}");
    }
}

#[tokio::test]
async fn given_a_listing_that_is_refused_then_the_reason_says_what_to_do() {
    for (status, code, advice) in
        [(403, "AccessDenied", "s3:ListBucket"), (404, "NoSuchBucket", "create the bucket")]
    {
        let store = FakeStore::in_turn([("list", Refused(status, code))]).await;
        let reason = reason(list(&store).await);
        assert!(reason.contains("list a in bucket") && reason.contains(advice), "{reason}");
    }
}

/// An answer with all of the object's bytes, as of a store that knows no ranges.
async fn read(answer: Answer, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
    FakeStore::in_turn([("read", answer)]).await.sink.read("a", range).await
}

fn whole() -> Answer {
    Text(String::from_utf8(BYTES.to_vec()).unwrap())
}

#[tokio::test]
async fn given_a_store_that_knows_no_ranges_then_the_wanted_bytes_are_cut_out() {
    for (range, expected) in
        [(0..4, "0123"), (3..7, "3456"), (8..20, "89"), (10..12, ""), (90..99, ""), (2..u64::MAX, "23456789")]
    {
        assert_eq!(read(whole(), range).await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn given_a_range_then_both_its_ends_are_asked_for() {
    let store = FakeStore::in_turn([("read", whole())]).await;
    store.sink.read("a", 2..5).await.unwrap();
    assert_eq!(store.all("read")[0].headers["range"], "bytes=2-4");
}

#[tokio::test]
async fn given_an_empty_range_then_the_object_is_looked_up() {
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may get wrong")]
    for range in [0..0, 7..7, 7..3] {
        let store = FakeStore::in_turn([("look up", Found(None))]).await;
        assert_eq!(store.sink.read("a", range.clone()).await.unwrap(), Some(Bytes::new()));
        assert_eq!(store.sink.read("a", range).await.unwrap(), None);
        assert_eq!(store.asked(), ["look up", "look up"]);
    }
}

#[tokio::test]
async fn given_a_range_behind_the_end_then_there_are_no_bytes() {
    let refused = Refused(416, "InvalidRange");
    assert_eq!(read(refused, 5..9).await.unwrap(), Some(Bytes::new()));
}

#[tokio::test]
async fn given_404_then_the_code_tells_the_object_from_the_bucket() {
    assert_eq!(read(Refused(404, "NoSuchKey"), 0..1).await.unwrap(), None);
    let reason = reason(read(Refused(404, "NoSuchBucket"), 0..1).await);
    assert!(reason.contains("read a in bucket") && reason.contains("create the bucket"), "{reason}");
}

#[tokio::test]
async fn given_a_store_that_does_not_answer_then_a_read_ends_in_time() {
    let mut store = FakeStore::in_turn([("read", Silence)]).await;
    store.sink.patience = Patience { answer: Duration::from_millis(100), bytes_per_second: u64::MAX };
    assert!(reason(store.sink.read("a", 0..1).await).contains("no answer"));
}

#[tokio::test]
async fn given_a_body_that_stalls_then_a_read_ends_in_time() {
    let mut store = FakeStore::in_turn([("read", Answer::Stalls)]).await;
    store.sink.patience = Patience { answer: Duration::from_millis(300), bytes_per_second: u64::MAX };
    assert!(reason(store.sink.read("a", 0..10).await).contains("not read within"));
    assert_eq!(store.sink.read("a", 0..1).await.unwrap(), Some(Bytes::new()), "the fake's object is empty");
}
