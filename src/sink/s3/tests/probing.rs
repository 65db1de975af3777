//! What the probe of `valve check` makes of what a store answers.

use super::fake_store::{FakeStore, Refused, Text, config};
use super::*;
use crate::sink::s3::probe::{Denied, S3Probe, Written};

async fn probe(script: Vec<(&'static str, fake_store::Answer)>) -> S3Probe {
    let FakeStore { sink, .. } = FakeStore::in_turn(script).await;
    // The store is named by its sink; the rest of the settings by IAM's names.
    S3Probe::of(sink, &S3Config { prefix: "archive".to_owned(), ..config(None) })
}

#[tokio::test]
async fn given_a_store_that_heeds_the_condition_or_ignores_or_doesnt_know_it_then_the_probe_can_tell() {
    let heeds =
        probe(vec![("put if absent", Done), ("put if absent", Refused(412, "PreconditionFailed"))]).await;
    assert!(matches!(heeds.put(b"a", true).await, Ok(Written::Done(_))));
    assert_eq!(heeds.put(b"b", true).await, Ok(Written::Refused));
    let ignores = probe(Vec::new()).await;
    assert!(matches!(ignores.put(b"a", true).await, Ok(Written::Done(_))));
    assert!(matches!(ignores.put(b"b", true).await, Ok(Written::Done(_))));
    let unsupported = probe(vec![("put if absent", Refused(501, "NotImplemented"))]).await;
    assert_eq!(unsupported.put(b"a", true).await, Ok(Written::Unsupported));
    assert!(matches!(unsupported.put(b"a", false).await, Ok(Written::Done(_))));
}

#[tokio::test]
async fn given_an_upload_then_its_completion_tells_the_same_and_it_is_found_and_aborted() {
    let refused = [("complete if absent", Refused(412, "PreconditionFailed"))];
    let heeds = probe(refused.into_iter().collect()).await;
    let (written, id) = heeds.upload(b"a").await.unwrap();
    assert_eq!(written, Written::Refused);
    heeds.abort(&id).await.unwrap();
    let (written, _) = probe(Vec::new()).await.upload(b"a").await.unwrap();
    assert_eq!(written, Written::Done(None));
    let text = "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>7</UploadId></Upload></ListMultipartUploadsResult>";
    let lists = probe(vec![("list uploads", Text(text.to_owned()))]).await;
    assert_eq!(lists.lists_upload("7").await, Ok(Some(true)));
    let unable = probe(vec![("list uploads", Refused(501, "NotImplemented"))]).await;
    assert_eq!(unable.lists_upload("7").await, Ok(None));
}

#[tokio::test]
async fn given_each_refusal_then_the_probe_says_what_to_do() {
    for (status, code, to_do) in [
        (403, "AccessDenied", "allow s3:PutObject on arn:aws:s3:::bucket/archive/*"),
        (404, "NoSuchBucket", "create the bucket"),
        (403, "SignatureDoesNotMatch", "check them"),
        (403, "InvalidAccessKeyId", "check them"),
        (403, "RequestTimeTooSkewed", "set this machine's clock"),
        (400, "ExpiredToken", "renew"),
        (301, "PermanentRedirect", "set sink.region to eu-west-9"),
        (400, "KMS.NotFoundException", "sink.kms_key_id"),
        (400, "AccessControlListNotSupported", "remove sink.acl"),
    ] {
        let denied = probe(vec![("put if absent", Refused(status, code))]).await;
        let Err(Denied { why, to_do: said, .. }) = denied.put(b"a", true).await else { panic!("{code}") };
        assert!(
            said.contains(to_do) && why.contains(code) && !why.contains(to_do),
            "{code}: {why} => {said}"
        );
    }
    for (kind, action) in [("read", "s3:GetObject"), ("list", "s3:ListBucket"), ("abort", "s3:DeleteObject")]
    {
        let denied = probe(vec![(kind, Refused(403, "AccessDenied"))]).await;
        let denied = match kind {
            "read" => denied.holds(b"a").await.unwrap_err(),
            "list" => denied.is_listed().await.unwrap_err(),
            _ => denied.delete().await.unwrap_err(),
        };
        assert!(denied.to_do.contains(&format!("allow {action} on ")) && denied.is_permission, "{denied:?}");
    }
}
