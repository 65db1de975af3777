//! The bucket or directory: whether files can be stored there as valve stores them, and found again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Checks, Finding, Outcome, advice};
use crate::config::{S3Config, SinkConfig};
use crate::sink::local::probe::LocalProbe;
use crate::sink::s3::probe::{Denied, Encryption, S3Probe, Written};

/// How long one request may take.
const ANSWER: Duration = Duration::from_secs(15);

/// What is put, and what is put in its place.
const OURS: &[u8] = b"valve check was here";
const OTHERS: &[u8] = b"valve check was here twice";

pub(super) async fn check(checks: &Checks, config: &SinkConfig) -> Vec<Finding> {
    match config {
        SinkConfig::S3(config) => match S3Probe::open(config).await {
            Ok(probe) => bucket(checks, &probe, config).await,
            Err(error) => vec![Finding::new("bucket", "open it", Outcome::Failed).saying(error)],
        },
        SinkConfig::Local { path, prefix } => directory(checks, path.clone(), prefix).await,
    }
}

/// A step's answer and how long it took.
type Step<T> = (Result<T, Denied>, Duration);

/// Like [`Checks::within`], for what is denied with advice.
async fn step<T>(checks: &Checks, asked: impl Future<Output = Result<T, Denied>>) -> Step<T> {
    let (answer, took) = checks.within(ANSWER, async { Ok::<_, String>(asked.await) }).await;
    let late = |why| Denied { why, to_do: String::new(), is_permission: false };
    (answer.unwrap_or_else(|why| Err(late(why))), took)
}

fn told(tried: impl Into<String>, outcome: Outcome, took: Duration) -> Finding {
    Finding::new("bucket", tried, outcome).took(took)
}

/// What a step comes to that was in vain.
fn in_vain(tried: impl Into<String>, outcome: Outcome, denied: &Denied, took: Duration) -> Finding {
    let why = advice::unwrapped(&denied.why);
    let to_do = if why.starts_with("no answer") { advice::store(&why) } else { denied.to_do.clone() };
    told(tried, outcome, took).saying(why).advising(to_do)
}

async fn bucket(checks: &Checks, probe: &S3Probe, config: &S3Config) -> Vec<Finding> {
    let tried = format!("put an object into {}", probe.place());
    let (mut put, mut took) = step(checks, probe.put(OURS, true)).await;
    let conditional = put != Ok(Written::Unsupported);
    if !conditional {
        (put, took) = step(checks, probe.put(OURS, false)).await;
    }
    let encryption = match put {
        Ok(Written::Done(encryption)) => encryption,
        Ok(Written::Refused | Written::Unsupported) => {
            let odd =
                told(tried, Outcome::Failed, took).saying("the store refuses a key that nobody else has");
            return vec![odd.advising("see what stands between valve and the store")];
        }
        Err(denied) => return without_object(checks, probe, tried, &denied, took).await,
    };
    let mut findings = vec![told(tried, Outcome::Well, took).saying(&probe.key)];
    findings.push(encrypted(encryption.as_ref(), config));
    findings.push(put_again(checks, probe, conditional).await);
    findings.push(read_back(checks, probe).await);
    findings.push(list(checks, probe).await);
    findings.extend(upload(checks, probe).await);
    findings.push(delete(checks, probe).await);
    findings
}

/// Nothing could be put. Where that isn't allowed, listing may still be.
async fn without_object(
    checks: &Checks,
    probe: &S3Probe,
    tried: String,
    denied: &Denied,
    took: Duration,
) -> Vec<Finding> {
    let mut findings = vec![in_vain(tried, Outcome::Failed, denied, took)];
    if denied.is_permission {
        findings.push(list(checks, probe).await);
    }
    let since = "nothing could be put";
    findings.push(Finding::not_tried("bucket", "put again, read, upload in parts, delete", since));
    findings
}

fn encrypted(encryption: Option<&Encryption>, config: &S3Config) -> Finding {
    let tried = format!("see how it is encrypted (sink.sse: {})", config.sse.as_deref().unwrap_or("none"));
    let finding = |outcome| Finding::new("bucket", tried, outcome);
    let said = match encryption {
        None => "the store says nothing of encryption".to_owned(),
        Some(Encryption { algorithm, key: None }) => algorithm.clone(),
        Some(Encryption { algorithm, key: Some(key) }) => format!("{algorithm} with the key {key}"),
    };
    match (&config.sse, encryption) {
        (Some(wanted), Some(is)) if *wanted != is.algorithm => {
            finding(Outcome::Warned).saying(said).advising("see the bucket's policy and default encryption")
        }
        (Some(_), None) => finding(Outcome::Warned)
            .saying(said)
            .advising("see that the store encrypts, or remove sink.sse and sink.kms_key_id"),
        (Some(_), Some(_)) => finding(Outcome::Well).saying(said),
        (None, _) => finding(Outcome::Noted).saying(said),
    }
}

/// The one thing that can't be told in daily work: whether the store honours the condition.
async fn put_again(checks: &Checks, probe: &S3Probe, conditional: bool) -> Finding {
    let tried = "put another in its place, if there is none";
    if !conditional {
        return Finding::new("bucket", tried, Outcome::Warned).saying(unsupported()).advising(ANOTHER_STORE);
    }
    let (put, took) = step(checks, probe.put(OTHERS, true)).await;
    must_be_refused(tried, put, took)
}

const ANOTHER_STORE: &str =
    "use a store with conditional writes, as S3 has them, or a newer version of this one";

fn unsupported() -> &'static str {
    "the store has no conditional writes (501): valve asks before it writes, and two processes that store one file at the same \
     moment both will"
}

fn must_be_refused(tried: &str, written: Result<Written, Denied>, took: Duration) -> Finding {
    match written {
        Ok(Written::Refused) => told(tried, Outcome::Well, took).saying("refused, as it must be"),
        Ok(Written::Done(_)) => told(tried, Outcome::Failed, took)
            .saying("the store replaced the object: it ignores If-None-Match, and without that nothing is exactly once")
            .advising(ANOTHER_STORE),
        Ok(Written::Unsupported) => {
            told(tried, Outcome::Warned, took).saying(unsupported()).advising(ANOTHER_STORE)
        }
        Err(denied) => in_vain(tried, Outcome::Failed, &denied, took),
    }
}

async fn read_back(checks: &Checks, probe: &S3Probe) -> Finding {
    let tried = "read it back";
    match step(checks, probe.holds(OURS)).await {
        (Ok(true), took) => told(tried, Outcome::Well, took).saying("the same bytes and digest"),
        (Ok(false), took) => told(tried, Outcome::Failed, took)
            .saying("it has other bytes, or not the digest that it was stored with (x-amz-meta-valve-digest)")
            .advising("see what stands between valve and the store"),
        (Err(denied), took) => in_vain(tried, Outcome::Failed, &denied, took),
    }
}

async fn list(checks: &Checks, probe: &S3Probe) -> Finding {
    let tried = "list it";
    match step(checks, probe.is_listed()).await {
        (Ok(true), took) => told(tried, Outcome::Well, took).saying("it is there"),
        (Ok(false), took) => told(tried, Outcome::Noted, took).saying("nothing is there"),
        (Err(denied), took) => in_vain(tried, Outcome::Failed, &denied, took),
    }
}

/// Large files go up in parts, and appear when these are completed: under the same condition.
async fn upload(checks: &Checks, probe: &S3Probe) -> Vec<Finding> {
    let tried = "the same by an upload in parts, if there is none";
    let (uploaded, took) = step(checks, probe.upload(OTHERS)).await;
    let (written, id) = match uploaded {
        Ok(uploaded) => uploaded,
        Err(denied) => return vec![in_vain(tried, Outcome::Failed, &denied, took)],
    };
    let is_done = matches!(written, Written::Done(_));
    let mut findings = vec![must_be_refused(tried, Ok(written), took)];
    if !is_done {
        findings.push(list_upload(checks, probe, &id).await);
        findings.push(match step(checks, probe.abort(&id)).await {
            (Ok(()), took) => told("abort it", Outcome::Well, took).saying("aborted"),
            (Err(denied), took) => in_vain("abort it", Outcome::Warned, &denied, took),
        });
    }
    findings
}

/// Valve aborts what a crash left behind, where it may list it.
async fn list_upload(checks: &Checks, probe: &S3Probe, id: &str) -> Finding {
    let tried = "list the upload, which isn't completed";
    match step(checks, probe.lists_upload(id)).await {
        (Ok(Some(true)), took) => told(tried, Outcome::Well, took).saying("it is there"),
        (Ok(_), took) => told(tried, Outcome::Noted, took)
            .saying("the store doesn't list it: uploads that a crash leaves behind stay there"),
        (Err(denied), took) => in_vain(tried, Outcome::Warned, &denied, took),
    }
}

/// Valve itself deletes nothing, and needs no right to.
async fn delete(checks: &Checks, probe: &S3Probe) -> Finding {
    let tried = "delete the object";
    match step(checks, probe.delete()).await {
        (Ok(()), took) => told(tried, Outcome::Well, took).saying("nothing is left behind"),
        (Err(denied), took) => told(tried, Outcome::Noted, took).saying(format!(
            "{}; valve doesn't need to, but {} is left behind: delete it by hand",
            denied.why, probe.key
        )),
    }
}

async fn directory(checks: &Checks, root: PathBuf, prefix: &str) -> Vec<Finding> {
    let probe = LocalProbe::new(root, prefix);
    let path = probe.path();
    let mut findings = Vec::new();
    let mut note = |tried: String, said: Result<&str, (String, &str)>, took| {
        let finding = |outcome| Finding::new("directory", tried, outcome).took(took);
        findings.push(match said {
            Ok(said) => finding(Outcome::Well).saying(said),
            Err((why, to_do)) => finding(Outcome::Failed).saying(why).advising(to_do),
        });
    };
    let (put, took) = checks.within(ANSWER, probe.put(OURS)).await;
    let is_put = put.is_ok();
    note(format!("write {}", path.display()), put.map(|_| "written").map_err(|why| (why, PERMISSIONS)), took);
    if !is_put {
        findings.push(Finding::not_tried(
            "directory",
            "write again, read, remove",
            "nothing could be written",
        ));
        return findings;
    }
    let (again, took) = checks.within(ANSWER, probe.put(OTHERS)).await;
    let again = match again {
        Ok(false) => Ok("refused, as it must be"),
        Ok(true) => Err(("the file was replaced".to_owned(), "use a file system with hard links")),
        Err(why) => Err((why, PERMISSIONS)),
    };
    note("write other bytes in its place".to_owned(), again, took);
    let (held, took) = checks.within(ANSWER, probe.holds(OURS)).await;
    note("read and list it".to_owned(), same(held), took);
    let (removed, took) = checks.within(ANSWER, probe.remove()).await;
    note(
        "remove it".to_owned(),
        removed.map(|()| "nothing is left behind").map_err(|why| (why, PERMISSIONS)),
        took,
    );
    findings
}

const PERMISSIONS: &str = "let valve's user read and write below sink.path, and mount it for writing";

fn same(held: Result<bool, impl fmt::Display>) -> Result<&'static str, (String, &'static str)> {
    match held {
        Ok(true) => Ok("the same bytes"),
        Ok(false) => Err(("it has other bytes, or isn't listed".to_owned(), "see what else writes there")),
        Err(why) => Err((why.to_string(), PERMISSIONS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sse: Option<&str>) -> S3Config {
        S3Config {
            bucket: "events".to_owned(),
            prefix: String::new(),
            region: None,
            endpoint: None,
            path_style: false,
            storage_class: None,
            acl: None,
            sse: sse.map(str::to_owned),
            kms_key_id: None,
        }
    }

    #[test]
    fn given_a_second_put_then_only_its_refusal_is_well() {
        let outcome = |written| must_be_refused("put again", written, Duration::ZERO).outcome;
        assert_eq!(outcome(Ok(Written::Refused)), Outcome::Well);
        assert_eq!(outcome(Ok(Written::Unsupported)), Outcome::Warned);
        let replaced = must_be_refused("put again", Ok(Written::Done(None)), Duration::ZERO);
        assert!(
            replaced.outcome == Outcome::Failed && replaced.said.contains("If-None-Match"),
            "{replaced:?}"
        );
        let denied = Denied { why: "HTTP 403".to_owned(), to_do: "allow it".to_owned(), is_permission: true };
        let denied = must_be_refused("put again", Err(denied), Duration::ZERO);
        assert_eq!((denied.outcome, denied.advice()), (Outcome::Failed, "allow it"));
    }

    #[test]
    fn given_what_the_store_says_of_encryption_then_it_is_compared_with_the_setting() {
        let is = |algorithm: &str, key: Option<&str>| Encryption {
            algorithm: algorithm.to_owned(),
            key: key.map(str::to_owned),
        };
        let kms = is("aws:kms", Some("key-1"));
        assert_eq!(encrypted(None, &config(None)).outcome, Outcome::Noted);
        assert_eq!(encrypted(None, &config(Some("AES256"))).outcome, Outcome::Warned);
        assert_eq!(encrypted(Some(&is("AES256", None)), &config(Some("aws:kms"))).outcome, Outcome::Warned);
        let well = encrypted(Some(&kms), &config(Some("aws:kms")));
        assert_eq!((well.outcome, &*well.said), (Outcome::Well, "aws:kms with the key key-1"));
    }

    #[test]
    fn given_a_store_that_gives_no_answer_then_the_advice_is_about_why() {
        let silent = |why: &str| {
            let denied =
                Denied { why: why.to_owned(), to_do: "check everything".to_owned(), is_permission: false };
            in_vain("put", Outcome::Failed, &denied, Duration::ZERO)
        };
        let refused =
            silent("no answer: dispatch failure: io error: client error (Connect): Connection refused");
        assert_eq!(refused.said, "no answer: Connection refused");
        assert!(refused.advice().contains("sink.endpoint"), "{refused:?}");
        let nobody = silent("no answer: dispatch failure: other: no providers in chain provided credentials");
        assert!(nobody.advice().contains("AWS_ACCESS_KEY_ID"), "{nobody:?}");
        assert!(silent("no answer within 15s").advice().contains("security groups"));
    }
}
