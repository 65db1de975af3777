//! The invariants of the source's layout (ARCHITECTURE.md), read from the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A word, and the only places where code may use it; tests and comments may everywhere.
const PLACES: &[(&str, &[&str])] = &[
    ("rdkafka::", &["source/", "dead_letter/producer"]),
    ("rdkafka_sys::", &["source/raw/"]),
    ("aws_sdk_s3::", &["sink/s3.rs", "sink/s3/"]),
    ("aws_config::", &["sink/s3.rs", "sink/s3/", "source/tokens/"]),
    ("std::env", &["config/"]),
    ("SystemTime", &["clock.rs"]),
    ("Instant::now", &["clock.rs"]),
    ("Utc::now", &["clock.rs"]),
    ("unsafe {", &["source/raw/"]),
    ("unsafe fn", &["source/raw/"]),
];

/// What the core must not know.
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "async ",
    ".await",
    "std::fs",
    "std::net",
    "std::thread",
    "std::time::Instant",
    "crate::source",
    "crate::lane::",
    "crate::telemetry",
];

#[test]
fn given_the_source_then_each_outside_world_is_named_in_its_own_module_only() {
    for (path, code) in source() {
        for (word, places) in PLACES {
            let allowed = places.iter().any(|place| path.starts_with(place));
            assert!(allowed || !code.contains(word), "src/{path} uses {word}: that belongs to {places:?}");
        }
    }
}

#[test]
fn given_the_core_then_it_has_no_io_no_clock_and_no_async() {
    for (path, code) in source().into_iter().filter(|(path, _)| path.starts_with("core/")) {
        for word in NOT_IN_CORE {
            assert!(!code.contains(word), "src/{path} uses {word}: the core only decides");
        }
    }
}

#[test]
fn given_the_unsafe_code_then_docs_security_lists_each_file_of_it() {
    let listed = include_str!("../docs/security.md");
    let listed: BTreeSet<_> =
        listed.lines().filter_map(|line| line.trim().strip_prefix("| `")?.split_once('`')).collect();
    let listed: BTreeSet<_> = listed.into_iter().map(|(file, _)| format!("source/raw/{file}")).collect();
    let unsafe_files = source().into_iter().filter(|(_, code)| code.contains("unsafe {"));
    let unsafe_files: BTreeSet<_> = unsafe_files.map(|(path, _)| path).collect();
    assert_eq!(unsafe_files, listed);
}

/// The paths below `src/` with their code: without comments, and without what only tests compile.
fn source() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
    let named = files.into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap()));
    let code: Vec<_> =
        named.filter(|(path, _)| !is_test(path)).map(|(path, text)| (path, code(&text))).collect();
    assert!(code.len() > 80, "{} files were found: the paths are wrong", code.len());
    code
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    let words = ["tests", "simulation", "architecture"];
    path.split(['/', '.', '_']).any(|word| words.contains(&word))
}

fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = before_tests.lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}
