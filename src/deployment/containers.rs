//! What a task may do and how it is stopped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::example::{EXAMPLES, Example};
use super::module::{Module, directory};

/// What Fargate allows at most, in seconds.
const LONGEST_STOP: u64 = 120;

/// What leaving the group may take after the deadline, in seconds (README).
const LEAVING: u64 = 5;

#[test]
fn given_a_task_then_it_is_killed_only_after_valve_had_its_time() {
    for name in EXAMPLES {
        let example = Example::read(name);
        let stop = example.container("valve")["stopTimeout"].as_u64().expect("seconds");
        let deadline = &example.pairs("valve", "environment", "value")["VALVE_SHUTDOWN__DEADLINE"];
        let deadline: u64 = deadline.strip_suffix('s').expect("seconds").parse().unwrap();
        assert!(deadline + LEAVING < stop && stop <= LONGEST_STOP, "{name}: {deadline} s, {stop} s");
    }
}

#[test]
fn given_a_task_then_valve_runs_without_rights_that_it_does_not_need() {
    for name in EXAMPLES {
        let example = Example::read(name);
        let valve = example.container("valve");
        assert_eq!(valve["command"], serde_json::json!(["run"]));
        assert_eq!(valve["readonlyRootFilesystem"], true);
        assert_eq!(valve["linuxParameters"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert_eq!(valve["healthCheck"]["command"], serde_json::json!(["CMD", "valve", "healthcheck"]));
        assert_eq!(valve["ulimits"][0]["name"], "nofile");
        let user = valve["user"].as_str().expect("a user");
        let image = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap();
        assert!(image.contains(&format!("USER {user}\n")), "the image's user is another than {user}");
    }
}

#[test]
fn given_a_task_with_an_agent_then_the_agent_is_there_before_valve_and_their_memory_fits() {
    let example = Example::read("holding-tank");
    let valve = example.container("valve");
    assert_eq!(valve["dependsOn"], serde_json::json!([{"containerName": "agent", "condition": "START"}]));
    let memory = |container: &str| example.container(container)["memory"].as_u64().expect("MiB");
    assert_eq!(memory("valve") + memory("agent"), 2048);
    let archive = Example::read("archive");
    assert_eq!(archive.locals["containers"].as_array().map(Vec::len), Some(1));
    assert_eq!(archive.container("valve")["dependsOn"], serde_json::json!([]));
}

/// The right that each call of the store needs ("Actions, resources, and condition keys for Amazon S3").
fn right(call: &str) -> &'static str {
    match call {
        "put_object" | "create_multipart_upload" | "upload_part" | "complete_multipart_upload" => {
            "s3:PutObject"
        }
        "get_object" | "head_object" => "s3:GetObject",
        "abort_multipart_upload" => "s3:AbortMultipartUpload",
        "list_objects_v2" | "head_bucket" => "s3:ListBucket",
        "delete_object" => "s3:DeleteObject",
        "list_multipart_uploads" => "s3:ListBucketMultipartUploads",
        other => panic!("which right does {other} need?"),
    }
}

/// The files of the S3 client, without its tests.
fn sources() -> Vec<PathBuf> {
    let sink = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink");
    let inner = fs::read_dir(sink.join("s3")).unwrap().map(|entry| entry.unwrap().path());
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    inner.chain([sink.join("s3.rs")]).filter(rust).filter(|path| !path.ends_with("tests.rs")).collect()
}

#[test]
fn given_the_calls_of_the_store_then_the_role_has_their_rights_and_no_others() {
    let call = Regex::new(r"\.(\w+)\(\)\s*\.bucket\(").unwrap();
    let texts: Vec<_> = sources().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let needed: BTreeSet<_> = texts
        .iter()
        .flat_map(|text| call.captures_iter(text))
        .map(|found| right(&found[1]).to_owned())
        .collect();
    assert!(needed.len() >= 5, "{needed:?}");
    let text = fs::read_to_string(directory("modules/valve/iam.tf")).unwrap();
    let granted = Regex::new(r#""(s3:\w+)""#).unwrap();
    let granted: BTreeSet<_> = granted.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    // A condition's key, no right.
    assert_eq!(
        granted.iter().filter(|right| *right != "s3:prefix").cloned().collect::<BTreeSet<_>>(),
        needed
    );
}

#[test]
fn given_the_dashboard_then_terraform_fills_in_all_of_its_places() {
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/cloudwatch-dashboard.json");
    let dashboard = fs::read_to_string(dashboard).unwrap();
    let place = Regex::new(r"\$\{(\w+)\}").unwrap();
    let places: BTreeSet<_> = place.captures_iter(&dashboard).map(|found| found[1].to_owned()).collect();
    let text = Module::read("modules/valve").text;
    let call = Regex::new(r"(?s)cloudwatch-dashboard\.json.*?\{(.*?)\}\)").unwrap();
    let given = call.captures(&text).expect("the dashboard is filled in")[1].to_owned();
    let name = Regex::new(r"(\w+)\s*=").unwrap();
    assert_eq!(name.captures_iter(&given).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>(), places);
    assert!(!dashboard.contains("%{") && !dashboard.contains("$${"), "Terraform would take it for its own");
}
