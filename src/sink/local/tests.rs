//! What only the local store promises; the rest is in the conformance suite.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn sink() -> (TempDir, LocalSink) {
    let root = tempfile::tempdir().unwrap();
    let sink = LocalSink::new(root.path().join("made/by/the first put"));
    (root, sink)
}

fn body() -> Body {
    Body::new(vec![Bytes::from_static(b"rows")])
}

async fn put(sink: &LocalSink, key: &str) -> Result<Stored, SinkError> {
    sink.put(key, Digest(1), body()).await
}

fn reason(result: Result<Stored, SinkError>) -> String {
    match result {
        Err(SinkError::Unavailable(reason)) => reason,
        other => panic!("expected Unavailable, got {other:?}"),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn given_no_root_when_put_then_it_is_made_and_only_the_file_is_in_it() {
    let (_root, sink) = sink();
    assert_eq!(put(&sink, "a/b.avro").await.unwrap(), Stored::Created);
    assert_eq!(names(&sink.root), ["a"]);
    assert_eq!(names(&sink.root.join("a")), ["b.avro"]);
}

#[tokio::test]
async fn given_a_key_that_leaves_the_root_or_is_no_path_then_nothing_is_written() {
    let (root, sink) = sink();
    for key in ["", "/", "/etc/x", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", "a\0b", "a/.x.tmp"] {
        let reason = reason(put(&sink, key).await);
        assert!(reason.contains("layout.key"), "{key:?}: {reason}");
        assert!(sink.head(key).await.is_err(), "{key:?}");
    }
    assert!(names(root.path()).is_empty());
}

#[tokio::test]
async fn given_a_file_where_a_directory_should_be_then_the_reason_names_the_path_and_what_to_do() {
    let (_root, sink) = sink();
    put(&sink, "a").await.unwrap();
    let reason = reason(put(&sink, "a/b.avro").await);
    assert!(reason.contains("a/b.avro") && reason.contains("move it away"), "{reason}");
}

#[tokio::test]
async fn given_a_directory_under_the_files_name_then_it_is_unavailable() {
    let (_root, sink) = sink();
    fs::create_dir_all(sink.root.join("a/b.avro")).unwrap();
    let reason = reason(put(&sink, "a/b.avro").await);
    assert!(reason.contains("a/b.avro"), "{reason}");
}

#[tokio::test]
async fn given_a_name_that_is_too_long_then_the_reason_says_so() {
    let (_root, sink) = sink();
    let reason = reason(put(&sink, &format!("{}.avro", "x".repeat(300))).await);
    assert!(reason.contains("shorten layout.key"), "{reason}");
}

#[test]
fn given_a_full_or_forbidden_disk_then_the_reason_says_what_to_do() {
    let (_root, sink) = sink();
    let target = sink.target("a").unwrap();
    for (kind, advice) in [
        (ErrorKind::StorageFull, "make room"),
        (ErrorKind::PermissionDenied, "let valve's user"),
        (ErrorKind::ReadOnlyFilesystem, "mount it for writing"),
    ] {
        let reason = target.unavailable("write", &kind.into()).to_string();
        assert!(reason.contains(advice), "{reason}");
    }
}

#[tokio::test]
async fn given_temporary_files_then_only_those_older_than_a_day_are_removed() {
    let (_root, sink) = sink();
    put(&sink, "a/1.avro").await.unwrap();
    let directory = sink.root.join("a");
    let written = fs::metadata(directory.join("1.avro")).unwrap().modified().unwrap();
    for (name, age) in
        [(".old.tmp", 2 * LEFT_BEHIND), (".new.tmp", LEFT_BEHIND / 2), ("old.avro", 9 * LEFT_BEHIND)]
    {
        let file = File::create(directory.join(name)).unwrap();
        file.set_modified(written - age).unwrap();
    }
    put(&sink, "a/2.avro").await.unwrap();
    assert_eq!(names(&directory), [".new.tmp", "1.avro", "2.avro", "old.avro"]);
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test]
async fn given_a_streaming_put_that_is_dropped_then_no_file_is_left() {
    let (_root, sink) = sink();
    let directory = sink.root.join("a");
    let endless = futures_util::stream::iter([Ok(Bytes::from_static(b"x"))])
        .chain(futures_util::stream::pending())
        .boxed();
    let mut put = sink.put_streaming("a/b.avro", Digest(1), endless);
    tokio::select! {
        done = &mut put => panic!("it ended: {done:?}"),
        () = until("a temporary file", || directory.exists() && !names(&directory).is_empty()) => {}
    }
    drop(put);
    // A thread may still be at it.
    until("it to be gone", || names(&directory).is_empty()).await;
}

async fn listed(sink: &LocalSink, prefix: &str, after: Option<&str>) -> Vec<String> {
    sink.list(prefix, after).await.unwrap().into_iter().map(|listed| listed.key).collect()
}

#[tokio::test]
async fn given_no_root_when_listed_then_nothing_is_there() {
    let (_root, sink) = sink();
    assert_eq!(listed(&sink, "", None).await, [""; 0]);
}

#[tokio::test]
async fn given_what_no_put_has_made_when_listed_then_it_is_passed_over() {
    let (_root, sink) = sink();
    put(&sink, "a/1.avro").await.unwrap();
    let directory = sink.root.join("a");
    fs::write(directory.join(".half.tmp"), "half").unwrap();
    fs::create_dir(directory.join(".directory.tmp")).unwrap();
    fs::write(directory.join(".directory.tmp/x"), "x").unwrap();
    fs::create_dir(directory.join("empty")).unwrap();
    fs::write(directory.join(OsStr::from_bytes(b"not\xffunicode")), "x").unwrap();
    symlink("nowhere", directory.join("dangling")).unwrap();
    let _socket = UnixListener::bind(directory.join("socket")).unwrap();
    assert_eq!(listed(&sink, "", None).await, ["a/1.avro"]);
}

#[tokio::test]
async fn given_links_when_listed_then_they_are_what_they_lead_to() {
    let (root, sink) = sink();
    put(&sink, "a/1.avro").await.unwrap();
    fs::create_dir(root.path().join("elsewhere")).unwrap();
    fs::write(root.path().join("elsewhere/2.avro"), "rows").unwrap();
    symlink(root.path().join("elsewhere"), sink.root.join("b")).unwrap();
    symlink("1.avro", sink.root.join("a/0.avro")).unwrap();
    assert_eq!(listed(&sink, "", None).await, ["a/0.avro", "a/1.avro", "b/2.avro"]);
    assert_eq!(sink.read("b/2.avro", 0..2).await.unwrap(), Some(Bytes::from_static(b"ro")));
}

#[tokio::test]
async fn given_links_in_a_circle_when_listed_then_the_reason_names_the_path() {
    let (_root, sink) = sink();
    put(&sink, "a/b/1.avro").await.unwrap();
    symlink("..", sink.root.join("a/b/0")).unwrap();
    let error = sink.list("a/", None).await.unwrap_err().to_string();
    assert!(error.contains("a/b/0/b/0") && error.contains("sink.path"), "{error}");
}
