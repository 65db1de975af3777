//! Container files, judged by readers that valve has no part in: Python's fastavro and Avro's own library for Java.
//!
//! The judges come from outside: `VALVE_TEST_PYTHON` names a Python that has `fastavro[snappy,zstandard]`,
//! `VALVE_TEST_JAVA_CP` the class path with the judge of `tests/judges/java` (its pom.xml says how that is built).
//! What lacks its judge shows as ignored; with `VALVE_TEST_REQUIRE_SERVICES=1` it fails instead.
#![expect(clippy::disallowed_methods, reason = "the judges are named by the environment")]

#[path = "container_judges/cases.rs"]
mod cases;
#[path = "container_judges/judge.rs"]
mod judge;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tempfile::TempDir;
use valve::avro::codec::{Codec, Compressor};
use valve::avro::container::{Header, OpenFile};

use cases::Case;
use judge::{Judge, Report};

const SYNC: [u8; 16] = *b"<- sync marker->";

const CODECS: [Codec; 10] = [
    Codec::Null,
    Codec::Snappy,
    Codec::Deflate(1),
    Codec::Deflate(6),
    Codec::Deflate(12),
    Codec::Zstd(1),
    Codec::Zstd(3),
    Codec::Zstd(9),
    Codec::Zstd(19),
    Codec::Zstd(22),
];

fn main() {
    let python = Judge::fastavro(std::env::var("VALVE_TEST_PYTHON").ok());
    let java = Judge::java(std::env::var("VALVE_TEST_JAVA_CP").ok());
    let required = std::env::var_os("VALVE_TEST_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    let is_ignored = |judges: &[&Judge]| !required && judges.iter().any(|judge| judge.is_missing());
    let mut trials = Vec::new();
    for judge in [&python, &java] {
        for case in cases::all() {
            let name =
                format!("given_{}_under_every_codec_then_{}_reads_every_record", case.name, judge.name);
            let ignored = is_ignored(&[judge]);
            let judge = judge.clone();
            trials.push(Trial::test(name, move || files_are_read(&case, &judge)).with_ignored_flag(ignored));
        }
        for blocking in [false, true] {
            let encoder = if blocking { "blocking" } else { "binary" };
            let name =
                format!("given_datums_of_javas_{encoder}_encoder_then_{}_reads_every_record", judge.name);
            let ignored = is_ignored(&[judge, &java]);
            let (judge, java) = (judge.clone(), java.clone());
            let trial = Trial::test(name, move || javas_datums_are_read(&java, blocking, &judge));
            trials.push(trial.with_ignored_flag(ignored));
        }
    }
    let name = "given_javas_blocking_encoder_then_its_datums_are_other_bytes_for_the_same_records";
    let ignored = is_ignored(&[&java]);
    trials.push(Trial::test(name, move || encoders_differ(&java)).with_ignored_flag(ignored));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn files_are_read(case: &Case, judge: &Judge) -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let datums = case.datums()?;
    let expected = case.records();
    check(folder.path(), case.schema, &datums, &expected, judge)
}

fn javas_datums_are_read(java: &Judge, blocking: bool, judge: &Judge) -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let (datums, expected) = javas_datums(java, blocking)?;
    check(folder.path(), cases::NESTED_SCHEMA, &datums, &expected, judge)
}

/// Without this, the trials with the blocking encoder could show no more than those with the other.
fn encoders_differ(java: &Judge) -> Result<(), Failed> {
    let (plain, records) = javas_datums(java, false)?;
    let (blocked, same_records) = javas_datums(java, true)?;
    ensure(records == same_records, || "other records".to_owned())?;
    let differ = plain.iter().zip(&blocked).filter(|(plain, blocked)| plain != blocked).count();
    // Byte sizes make a datum longer; only those without any array item or map entry are the same.
    ensure(differ > plain.len() / 2, || format!("{differ} of {} datums differ", plain.len()))?;
    let lengths = [plain.concat().len(), blocked.concat().len()];
    Ok(ensure(lengths[0] < lengths[1], || format!("{lengths:?} bytes"))?)
}

/// Datums that Java encoded, out of their wire format, and the records that they are of.
fn javas_datums(java: &Judge, blocking: bool) -> Result<(Vec<Vec<u8>>, Vec<Value>), Failed> {
    const COUNT: u32 = 1500;
    let folder = TempDir::new()?;
    let schema = folder.path().join("schema.avsc");
    fs::write(&schema, cases::NESTED_SCHEMA)?;
    let (mut datums, mut records) = (Vec::new(), Vec::new());
    for mut line in java.encode_messages(&schema, 258, COUNT, blocking)? {
        let message = BASE64_STANDARD.decode(line["message"].as_str().unwrap_or_default())?;
        let datum = message.strip_prefix(&[0, 0, 0, 1, 2]).ok_or("no wire header with id 258")?;
        datums.push(datum.to_vec());
        records.push(line["record"].take());
    }
    ensure(datums.len() == COUNT as usize, || format!("{} messages", datums.len()))?;
    Ok((datums, records))
}

/// Writes `datums` with every codec and has the judge read them all back.
fn check(
    folder: &Path,
    schema: &str,
    datums: &[Vec<u8>],
    expected: &[Value],
    judge: &Judge,
) -> Result<(), Failed> {
    let mut files = Vec::new();
    for codec in CODECS {
        let path = folder.join(format!("{codec}.avro"));
        write_file(&path, schema, datums, codec)?;
        files.push(path);
    }
    let reports = judge.read(&files)?;
    ensure(reports.len() == CODECS.len(), || format!("{} files read", reports.len()))?;
    for (report, codec) in reports.iter().zip(CODECS) {
        compare(report, schema, expected, codec).map_err(|what| format!("{codec}: {what}"))?;
    }
    Ok(())
}

fn metadata(codec: Codec) -> [(&'static str, String); 3] {
    let text = |text: &str| text.to_owned();
    [
        ("valve.topic", text("orders")),
        ("valve.codec", codec.to_string()),
        ("valve.note", text("ä \u{1f600} \"\n")),
    ]
}

fn write_file(path: &Path, schema: &str, datums: &[Vec<u8>], codec: Codec) -> Result<(), Failed> {
    let mut compressor = Compressor::new(codec);
    let mut file = OpenFile::new(1);
    for datum in datums {
        file.append(datum, &mut compressor);
    }
    file.close(&mut compressor);
    let bytes = file.into_body(&Header { schema, codec, metadata: &metadata(codec), sync: SYNC });
    let bytes = bytes.pieces().concat();
    let markers = bytes.windows(SYNC.len()).filter(|window| *window == SYNC).count();
    ensure(markers >= 4, || format!("several blocks are wanted, not {markers} markers"))?;
    Ok(fs::write(path, bytes)?)
}

fn compare(report: &Report, schema: &str, expected: &[Value], codec: Codec) -> Result<(), String> {
    let summary = &report.summary;
    ensure(summary["rows"] == expected.len(), || {
        format!("{} rows, not {}", summary["rows"], expected.len())
    })?;
    ensure(summary["codec"] == codec.header_name(), || format!("codec {}", summary["codec"]))?;
    ensure(summary["schema"] == schema, || format!("schema {}", summary["schema"]))?;
    for (name, text) in metadata(codec) {
        ensure(summary["metadata"][name] == text, || format!("metadata {}", summary["metadata"]))?;
    }
    ensure(report.records.len() == expected.len(), || format!("{} records", report.records.len()))?;
    for (row, (record, expected)) in report.records.iter().zip(expected).enumerate() {
        ensure(record == expected, || format!("row {row} is {record}, not {expected}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
