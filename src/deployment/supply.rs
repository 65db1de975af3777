//! What is built in: from where, under which licences, and nothing twice that must not be there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde_json::Value;

/// Of these there may be one version. (OpenSSL beside rustls is librdkafka's.)
const ONCE: &[&str] = &[
    "rustls",
    "tokio-rustls",
    "hyper",
    "hyper-rustls",
    "tokio",
    "openssl-src",
    "openssl-sys",
    "rdkafka-sys",
    "zstd-sys",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A list of `deny.toml`, by which `cargo deny` checks the same.
fn listed(name: &str) -> BTreeSet<String> {
    let listed = Figment::from(Toml::file_exact(root().join("deny.toml"))).extract_inner(name);
    listed.unwrap_or_else(|error| panic!("deny.toml: {error}"))
}

/// The packages that are built for Linux, tests' too, as cargo sees them.
fn packages() -> Vec<Value> {
    let target = "--filter-platform=x86_64-unknown-linux-gnu";
    let mut cargo = Command::new(env!("CARGO"));
    let output =
        cargo.args(["metadata", "--locked", "--format-version=1", target]).current_dir(root()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let resolved: BTreeSet<_> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .filter(|package| resolved.contains(package["id"].as_str().expect("an id")))
        .cloned()
        .collect()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether a licence expression ("SPDX License Expressions", and `/` as cargo once had it) can be met with the
/// licences of a list.
fn is_allowed(expression: &str, listed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let (allowed, rest) = either(&words, listed);
    allowed && rest.is_empty()
}

/// Alternatives: whether one is allowed, and what follows them.
fn either<'a>(words: &'a [&'a str], listed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = all(words, listed);
    while let Some(("OR", next)) = rest.split_first().map(|(word, next)| (*word, next)) {
        let (also, behind) = all(next, listed);
        (allowed, rest) = (allowed || also, behind);
    }
    (allowed, rest)
}

/// What must be met together.
fn all<'a>(words: &'a [&'a str], listed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = one(words, listed);
    while let Some(("AND", next)) = rest.split_first().map(|(word, next)| (*word, next)) {
        let (also, behind) = one(next, listed);
        (allowed, rest) = (allowed && also, behind);
    }
    (allowed, rest)
}

/// A licence, perhaps with an exception, or a group. An exception only takes conditions away.
fn one<'a>(words: &'a [&'a str], listed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    match words {
        ["(", rest @ ..] => {
            let (allowed, rest) = either(rest, listed);
            match rest {
                [")", rest @ ..] => (allowed, rest),
                _ => (false, rest),
            }
        }
        [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => (listed.contains(*licence), rest),
        [] => (false, words),
    }
}

#[test]
fn given_licence_expressions_then_those_that_can_be_met_are_allowed() {
    let listed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned).into();
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("(GPL-3.0 OR LGPL-3.0) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT OR", true),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &listed), allowed, "{expression}");
    }
}

#[test]
fn given_all_dependencies_then_their_licences_are_allowed() {
    let (packages, listed) = (packages(), listed("licenses.allow"));
    assert!(packages.len() > 100, "{}", packages.len());
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !is_allowed(text(package, "license"), &listed))
        .map(|package| {
            format!("{} {}: {:?}", text(package, "name"), text(package, "version"), package["license"])
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn given_all_dependencies_then_there_is_one_tls_stack_for_rust_and_one_for_the_kafka_client() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions
            .entry(text(&package, "name").to_owned())
            .or_default()
            .push(text(&package, "version").to_owned());
    }
    for name in ONCE {
        assert_eq!(versions.get(*name).map(Vec::len), Some(1), "{name}: {:?}", versions.get(*name));
    }
    for name in listed("bans.deny") {
        assert!(!versions.contains_key(&name), "{name}");
    }
}

/// The packages of a lock file, each with its lines.
fn locked(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fields = |package: &str| {
        let lines = package.lines().filter_map(|line| line.split_once(" = "));
        lines.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect()
    };
    text.split("[[package]]").skip(1).map(fields).collect()
}

#[test]
fn given_the_lock_files_then_each_package_comes_from_one_registry_by_its_checksum() {
    let files = ["Cargo.lock", "bench/Cargo.lock", "fuzz/Cargo.lock"].map(|name| root().join(name));
    let mut registries = BTreeSet::new();
    for package in files.iter().flat_map(|path| locked(path)) {
        let name = &package["name"];
        if name.starts_with("valve") {
            assert!(!package.contains_key("source"), "{name} is of this repository");
            continue;
        }
        let source = package.get("source").unwrap_or_else(|| panic!("{name} comes from a path"));
        assert!(source.starts_with("registry+"), "{name} comes from {source}");
        registries.insert(source.clone());
        let checksum = package.get("checksum").unwrap_or_else(|| panic!("{name} has no checksum"));
        assert!(
            checksum.len() == 64 && checksum.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{name}: {checksum}"
        );
    }
    assert_eq!(registries.len(), 1, "{registries:?}");
}

#[test]
fn given_the_licence_of_valve_then_its_text_is_there() {
    let licence = fs::read_to_string(root().join("LICENSE")).expect("a licence");
    assert_eq!(env!("CARGO_PKG_LICENSE"), "Apache-2.0");
    assert!(
        licence.trim_start().starts_with("Apache License") && licence.contains("Version 2.0, January 2004")
    );
}
