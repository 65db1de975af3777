//! What each answer means for a put in one request and for one in parts (docs/protocol.md, "Storing is conditional").

use super::fake_store::{Answer, Done, FakeStore, Found, OURS, Refused, Silence, THEIRS, reason, theirs};
use super::*;

#[tokio::test]
async fn given_412_and_an_equal_digest_then_it_is_already_there() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(Some(OURS)),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(store.await.put().await.unwrap(), Stored::AlreadyThere);
}

#[tokio::test]
async fn given_412_and_another_digest_then_it_is_a_conflict_that_names_it() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(Some(THEIRS)),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(theirs(store.await.put().await), Some(THEIRS));
}

#[tokio::test]
async fn given_412_and_no_digest_then_it_is_a_conflict() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(None),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(theirs(store.await.put().await), None);
}

#[tokio::test]
async fn given_412_and_the_object_is_gone_by_then_then_the_put_starts_again() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Refused(404, ""),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert!(reason(store.await.put().await).contains("start again"));
}

#[tokio::test]
async fn given_412_and_a_lookup_that_is_denied_then_it_is_unavailable() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Refused(403, ""),
        _ => Refused(412, "PreconditionFailed"),
    });
    let reason = reason(store.await.put().await);
    assert!(reason.contains("look up a") && reason.contains("HTTP 403"), "{reason}");
}

#[tokio::test]
async fn given_a_store_without_conditional_writes_then_it_is_asked_first_from_then_on() {
    let store = FakeStore::answering(|asked| match asked {
        "put if absent" => Refused(501, "NotImplemented"),
        _ => Done,
    })
    .await;
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    assert_eq!(store.asked(), ["put if absent", "look up", "put", "look up", "put"]);
}

#[tokio::test]
async fn given_a_store_without_conditional_writes_then_nothing_that_is_there_is_overwritten() {
    for there in [OURS, THEIRS] {
        let store = FakeStore::answering(move |asked| match asked {
            "put if absent" => Refused(501, "NotImplemented"),
            "look up" => Found(Some(there)),
            _ => Done,
        })
        .await;
        let outcome = store.put().await;
        if there == OURS {
            assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
        } else {
            assert_eq!(theirs(outcome), Some(THEIRS));
        }
        assert_eq!(store.asked(), ["put if absent", "look up"]);
    }
}

#[tokio::test]
async fn given_501_for_another_reason_then_the_condition_is_not_given_up() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Done,
        _ => Refused(501, "NotImplemented"),
    })
    .await;
    assert!(reason(store.put().await).contains("sink.acl"));
    assert!(reason(store.put().await).contains("sink.acl"));
    assert_eq!(store.asked(), ["put if absent", "look up", "put", "put if absent", "look up", "put"]);
}

#[tokio::test]
async fn given_409_then_the_put_starts_again() {
    let store = FakeStore::in_turn([("put if absent", Refused(409, "ConditionalRequestConflict"))]).await;
    let reason = reason(store.put().await);
    assert!(reason.contains("409 ConditionalRequestConflict") && reason.contains("start again"), "{reason}");
    assert_eq!(store.asked(), ["put if absent"], "one attempt, no lookup");
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    assert_eq!(store.asked(), ["put if absent", "put if absent"]);
}

// ---- in parts ----

#[tokio::test]
async fn given_412_at_completion_then_the_digests_decide_and_the_parts_are_aborted() {
    for there in [Some(OURS), Some(THEIRS), None] {
        let script = [
            ("complete if absent", Refused(412, "PreconditionFailed")),
            ("look up", Done),
            ("look up", Found(there)),
        ];
        let store = FakeStore::in_turn(script).await;
        let outcome = store.put_in_parts().await;
        if there == Some(OURS) {
            assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
        } else {
            assert_eq!(theirs(outcome), there);
        }
        store.wait_until_asked("abort").await;
    }
}

#[tokio::test]
async fn given_412_at_completion_and_the_object_is_gone_by_then_then_the_put_starts_again() {
    let store = FakeStore::in_turn([("complete if absent", Refused(412, "PreconditionFailed"))]).await;
    assert!(reason(store.put_in_parts().await).contains("start again"));
    store.wait_until_asked("abort").await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
}

/// What ends an upload without a word on the object.
const STARTS_AGAIN: [(&str, u16, &str); 5] = [
    ("part", 404, "NoSuchUpload"),
    ("complete if absent", 404, "NoSuchUpload"),
    ("complete if absent", 409, "ConditionalRequestConflict"),
    ("complete if absent", 409, "OperationAborted"),
    ("complete if absent", 200, "InternalError"),
];

#[tokio::test]
async fn given_an_upload_that_is_gone_or_in_conflict_then_the_file_starts_again_with_another_one() {
    for (failing, status, code) in STARTS_AGAIN {
        let store = FakeStore::in_turn([(failing, Refused(status, code))]).await;
        let reason = reason(store.put_in_parts().await);
        assert!(reason.contains(code), "{reason}");
        store.wait_until_asked("abort").await;
        let before = store.seen.lock().unwrap().len();
        assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
        assert_eq!(store.asked()[before..], ["look up", "begin", "part", "part", "complete if absent"]);
        let completions = store.seen.lock().unwrap();
        let uploads: BTreeSet<&str> = completions.iter().filter_map(|seen| upload_of(&seen.query)).collect();
        assert_eq!(uploads.len(), 2, "nothing of the first attempt is used in the second: {uploads:?}");
    }
}

fn upload_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|field| field.strip_prefix("uploadId="))
}

#[tokio::test]
async fn given_an_upload_that_is_gone_and_an_object_then_the_next_attempt_compares_the_digests() {
    for (failing, status, code) in STARTS_AGAIN {
        for there in [OURS, THEIRS] {
            let script =
                [(failing, Refused(status, code)), ("look up", Done), ("look up", Found(Some(there)))];
            let store = FakeStore::in_turn(script).await;
            reason(store.put_in_parts().await);
            let outcome = store.put_in_parts().await;
            if there == OURS {
                assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
            } else {
                assert_eq!(theirs(outcome), Some(THEIRS));
            }
        }
    }
}

fn without_conditions(asked: &str) -> Answer {
    if asked.ends_with("if absent") { Refused(501, "NotImplemented") } else { Done }
}

#[tokio::test]
async fn given_a_store_that_completes_only_unconditionally_then_it_is_asked_first_from_then_on() {
    let store = FakeStore::answering(without_conditions).await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
    let begun = ["look up", "begin", "part", "part"];
    assert_eq!(store.asked(), [&begun[..], &["complete if absent", "look up", "complete"]].concat());
    let before = store.asked().len();
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
    assert_eq!(store.asked()[before..], [&begun[..], &["look up", "complete"]].concat());
}

#[tokio::test]
async fn given_a_store_that_completes_only_unconditionally_then_nothing_that_is_there_is_overwritten() {
    for there in [OURS, THEIRS] {
        let looked_up = AtomicUsize::new(0);
        let looked_up = Arc::new(looked_up);
        let store = FakeStore::answering(move |asked| match asked {
            "look up" if looked_up.fetch_add(1, Ordering::SeqCst) > 0 => Found(Some(there)),
            asked => without_conditions(asked),
        })
        .await;
        let outcome = store.put_in_parts().await;
        if there == OURS {
            assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
        } else {
            assert_eq!(theirs(outcome), Some(THEIRS));
        }
        store.wait_until_asked("abort").await;
        assert!(!store.asked().contains(&"complete".to_owned()));
    }
}

#[tokio::test]
async fn given_no_answer_to_the_completion_then_the_lookup_decides() {
    // The completion takes all of its time; all else is answered at once, however slow the machine.
    let patience = Patience { answer: Duration::from_secs(1), bytes_per_second: u64::MAX };
    for there in [Some(OURS), Some(THEIRS), None] {
        let found = there.map_or(Done, |there| Found(Some(there)));
        let script = [("complete if absent", Silence), ("look up", Done), ("look up", found)];
        let mut store = FakeStore::in_turn(script).await;
        store.sink.patience = patience;
        let outcome = store.put_in_parts().await;
        match there {
            Some(OURS) => assert_eq!(outcome.unwrap(), Stored::AlreadyThere),
            Some(_) => assert_eq!(theirs(outcome), Some(THEIRS)),
            None => assert!(reason(outcome).contains("no answer")),
        }
    }
}
