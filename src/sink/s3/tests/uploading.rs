//! How a body goes up in parts. What refusals mean for it is in `conditional.rs`.

use aws_sdk_s3::config::StalledStreamProtectionConfig;

use super::fake_store::{Answer, Done, DoneBut, FakeStore, Found, OURS, Refused, Text, Together, reason};
use super::*;

#[tokio::test]
async fn given_a_large_body_then_it_goes_up_in_parts_and_is_completed_conditionally() {
    let store = FakeStore::answering(|_| Done).await;
    let piece = Bytes::from(vec![0; 4 << 20]);
    let body = Body::new(vec![piece; 17]);
    assert_eq!(store.sink.put("a", OURS, body).await.unwrap(), Stored::Created);
    let mut expected = vec!["look up", "begin"];
    expected.extend(["part"; 9]);
    expected.push("complete if absent");
    assert_eq!(store.asked(), expected);
}

#[tokio::test]
async fn given_an_object_that_is_there_then_a_streaming_put_sends_nothing() {
    let store = FakeStore::answering(|_| Found(Some(OURS))).await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::AlreadyThere);
    assert_eq!(store.asked(), ["look up"]);
}

#[tokio::test]
async fn given_an_upload_that_is_not_completed_then_it_is_aborted() {
    for failing in ["part", "complete if absent"] {
        let store =
            FakeStore::answering(move |asked| if asked == failing { Refused(503, "SlowDown") } else { Done })
                .await;
        assert!(reason(store.put_in_parts().await).contains("SlowDown"));
        store.wait_until_asked("abort").await;
    }
}

#[tokio::test]
async fn given_a_stream_that_fails_then_its_error_is_handed_on_and_the_upload_aborted() {
    let store = FakeStore::answering(|_| Done).await;
    let pieces =
        [Ok(Bytes::from(vec![0; 9 << 20])), Err(SinkError::Unavailable("the range has changed".into()))];
    let error = store.sink.put_streaming("a", OURS, stream::iter(pieces).boxed()).await.unwrap_err();
    assert_eq!(error.to_string(), "the range has changed");
    store.wait_until_asked("abort").await;
    assert!(!store.asked().iter().any(|asked| asked.starts_with("complete")));
}

#[tokio::test]
async fn given_a_streaming_put_that_is_dropped_then_the_upload_is_aborted() {
    let store = FakeStore::answering(|_| Done).await;
    let pieces = stream::iter([Ok(Bytes::from(vec![0; 9 << 20]))]).chain(stream::pending()).boxed();
    tokio::select! {
        outcome = store.sink.put_streaming("a", OURS, pieces) => panic!("ended: {outcome:?}"),
        () = store.wait_until_asked("part") => {}
    }
    store.wait_until_asked("abort").await;
}

#[tokio::test]
async fn given_an_error_inside_a_200_then_the_upload_is_not_complete() {
    let store = FakeStore::answering(|asked| match asked {
        "complete if absent" => DoneBut("InternalError"),
        _ => Done,
    })
    .await;
    assert!(reason(store.put_in_parts().await).contains("InternalError"));
    store.wait_until_asked("abort").await;
}

#[tokio::test]
async fn given_a_body_in_memory_then_four_parts_go_up_at_once_and_no_more() {
    let barrier = Arc::new(Barrier::new(PARTS_AT_ONCE));
    let store = FakeStore::answering(move |asked| match asked {
        "part" => Together(barrier.clone()),
        _ => Done,
    })
    .await;
    // With fewer at once, the first would wait for the others until its time is up.
    let body = Body::new(vec![Bytes::from(vec![0; 8 << 20]); 12]);
    assert_eq!(store.sink.put("a", OURS, body).await.unwrap(), Stored::Created);
    assert_eq!(store.parts_at_once.load(Ordering::SeqCst), PARTS_AT_ONCE);
    let numbers: BTreeSet<String> = store.all("part").iter().map(|part| number(&part.query)).collect();
    assert_eq!(numbers, (1..=12).map(|number| number.to_string()).collect());
}

fn number(query: &str) -> String {
    query.split('&').find_map(|field| field.strip_prefix("partNumber=")).unwrap().to_owned()
}

#[tokio::test]
async fn given_a_streamed_body_then_no_part_is_taken_before_the_one_before_it_is_stored() {
    let taken = Arc::new(AtomicUsize::new(0));
    let (counter, ahead) = (taken.clone(), Arc::new(Mutex::new(Vec::new())));
    let log = ahead.clone();
    let store = FakeStore::answering(move |asked| {
        if asked == "part" {
            log.lock().unwrap().push(taken.load(Ordering::SeqCst));
        }
        Done
    })
    .await;
    let piece = Bytes::from(vec![0; 8 << 20]);
    let pieces = stream::iter(0..4).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(piece.clone())
    });
    assert_eq!(store.sink.put_streaming("a", OURS, pieces.boxed()).await.unwrap(), Stored::Created);
    assert_eq!(*ahead.lock().unwrap(), [1, 2, 3, 4]);
}

/// What S3 sends while it completes an upload, and then the end of it.
fn slowly(end: &str) -> Answer {
    Text(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n   \n \n{end}"))
}

#[tokio::test]
async fn given_blanks_before_the_answer_then_its_end_decides() {
    let done = "<CompleteMultipartUploadResult><Key>a</Key></CompleteMultipartUploadResult>";
    let store = FakeStore::in_turn([("complete if absent", slowly(done))]).await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);

    let failed = "<Error><Code>InternalError</Code><Message>as told</Message></Error>";
    let store = FakeStore::in_turn([("complete if absent", slowly(failed))]).await;
    assert!(reason(store.put_in_parts().await).contains("InternalError"));

    let there = "<Error><Code>PreconditionFailed</Code><Message>as told</Message></Error>";
    let script = [("complete if absent", slowly(there)), ("look up", Done), ("look up", Found(Some(OURS)))];
    let store = FakeStore::in_turn(script).await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::AlreadyThere);
}

#[tokio::test]
async fn given_a_store_that_is_silent_between_blanks_then_the_completion_is_waited_for() {
    let begin = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n ";
    let end = "<CompleteMultipartUploadResult><Key>a</Key></CompleteMultipartUploadResult>";
    let late = Answer::Late(begin, Duration::from_secs(5), end);
    let mut store = FakeStore::in_turn([("complete if absent", late)]).await;
    // With the client's own 20 s this would have to take longer.
    let stalled = StalledStreamProtectionConfig::enabled()
        .upload_enabled(false)
        .grace_period(Duration::from_secs(1))
        .build();
    let config = store.sink.client.config().to_builder().stalled_stream_protection(stalled);
    store.sink.client = Client::from_conf(config.build());
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
}

#[tokio::test]
async fn given_an_answer_that_is_cut_off_then_the_lookup_decides() {
    for answer in [slowly(""), Text(String::new()), slowly("<CompleteMultipartUploadRes")] {
        let store = FakeStore::in_turn([("complete if absent", answer)]).await;
        reason(store.put_in_parts().await);
        store.wait_until_asked("abort").await;
    }
    for answer in [slowly(""), Text(String::new())] {
        let script = [("complete if absent", answer), ("look up", Done), ("look up", Found(Some(OURS)))];
        let store = FakeStore::in_turn(script).await;
        assert_eq!(store.put_in_parts().await.unwrap(), Stored::AlreadyThere);
    }
}
