//! `sink.*`

use std::path::PathBuf;

use super::MAX_KEY_PART;
use super::syntax::{base_url, choice, one_line, region, word};
use crate::config::check::Checker;
use crate::config::error::Problem;
use crate::config::value::boolean;
use crate::config::{S3Config, SinkConfig};

const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
];
const ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];
const ENCRYPTIONS: &[&str] = &["AES256", "aws:kms", "aws:kms:dsse"];
const ONLY_S3: &[&str] = &[
    "sink.bucket",
    "sink.region",
    "sink.endpoint",
    "sink.path_style",
    "sink.storage_class",
    "sink.acl",
    "sink.sse",
    "sink.kms_key_id",
];
const ONLY_LOCAL: &[&str] = &["sink.path"];

#[derive(Clone, Copy)]
enum Type {
    S3,
    Local,
}

/// The settings `sink.*`.
pub(super) fn sink(settings: &mut Checker) -> Option<SinkConfig> {
    let kind =
        settings.required("sink.type", |text| choice(text, &[("s3", Type::S3), ("local", Type::Local)]));
    let prefix = settings.optional("sink.prefix", prefix);
    let prefix = prefix.unwrap_or_default();
    match kind? {
        Type::S3 => {
            refuse_given(settings, ONLY_LOCAL, "local");
            s3(settings, prefix).map(SinkConfig::S3)
        }
        Type::Local => {
            refuse_given(settings, ONLY_S3, "s3");
            let path = settings.required("sink.path", directory)?;
            Some(SinkConfig::Local { path, prefix })
        }
    }
}

/// Options of another type of sink would have no effect, and whoever gave them expects one.
fn refuse_given(settings: &mut Checker, names: &[&str], kind: &str) {
    for name in names {
        if settings.is_given(name) {
            settings.refuse(name, format!("it belongs to `sink.type` = `{kind}`, which isn't chosen").into());
        }
    }
}

fn s3(settings: &mut Checker, prefix: String) -> Option<S3Config> {
    let bucket = settings.required("sink.bucket", bucket);
    let region = settings.optional("sink.region", region);
    let endpoint = settings.optional("sink.endpoint", base_url);
    let path_style = settings.required("sink.path_style", boolean);
    let storage_class = settings.optional("sink.storage_class", |text| word(text, STORAGE_CLASSES));
    let acl = settings.optional("sink.acl", |text| word(text, ACLS));
    let sse = settings.optional("sink.sse", |text| word(text, ENCRYPTIONS));
    let kms_key_id = settings.optional("sink.kms_key_id", one_line);
    let has_kms = sse.as_deref().is_some_and(|sse| sse.starts_with("aws:kms"));
    if kms_key_id.is_some() && !has_kms && (sse.is_some() || !settings.is_given("sink.sse")) {
        settings.refuse("sink.kms_key_id", "it needs `sink.sse` = `aws:kms` or `aws:kms:dsse`".into());
    }
    Some(S3Config {
        bucket: bucket?,
        prefix,
        region,
        endpoint,
        path_style: path_style?,
        storage_class,
        acl,
        sse,
        kms_key_id,
    })
}

/// The form that S3 gives the names of buckets.
fn bucket(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if !(3..=63).contains(&text.len()) {
        return Err("a bucket's name has 3 to 63 characters".into());
    }
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_middle = |byte: u8| is_end(Some(byte)) || matches!(byte, b'.' | b'-');
    if text.starts_with("s3:") || text.starts_with("arn:") {
        return Err("it must be the bucket's bare name (for an access point, its alias)".into());
    }
    if !text.bytes().all(is_middle) || !is_end(text.bytes().next()) || !is_end(text.bytes().last()) {
        return Err("a bucket's name has lower-case letters, digits, `.` and `-`, and neither of the last two at its ends".into());
    }
    if text.contains("..") || text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("a bucket's name has no two dots in a row and is no IP address".into());
    }
    Ok(text.to_owned())
}

/// What every key begins with: a relative path that can't leave its place.
pub(in crate::config) fn prefix(text: &str) -> Result<String, Problem> {
    if text.len() > MAX_KEY_PART {
        return Err(format!("it is longer than {MAX_KEY_PART} bytes").into());
    }
    if text.starts_with('/') || text.ends_with('/') {
        let bare = text.trim_matches('/');
        return Err(Problem::with_hint("it has a slash at an end", format!("write {bare:?}")));
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("it has an empty part, `.` or `..` between its slashes".into());
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character".into());
    }
    Ok(text.to_owned())
}

fn directory(text: &str) -> Result<PathBuf, Problem> {
    if text.contains('\0') { Err("it has a zero byte".into()) } else { Ok(PathBuf::from(text)) }
}
