//! Where the services are, and names that no other test uses.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::Shared;

/// The addresses that `tests/stack/stack` exports.
#[derive(Debug)]
pub struct Stack {
    pub kafka: String,
    pub registry: String,
    pub s3_endpoint: String,
    pub s3_access_key: String,
    pub s3_secret_key: String,
    pub bucket: String,
    python: String,
}

impl Stack {
    /// The services that the environment names; otherwise which variable is missing.
    pub fn from_env() -> Shared {
        let variable = |name| env::var(name).map_err(|_| format!("{name} isn't set: tests/run starts the services"));
        Ok(Arc::new(Self {
            kafka: variable("VALVE_TEST_KAFKA")?,
            registry: variable("VALVE_TEST_REGISTRY")?,
            s3_endpoint: variable("VALVE_TEST_S3_ENDPOINT")?,
            s3_access_key: variable("VALVE_TEST_S3_ACCESS_KEY")?,
            s3_secret_key: variable("VALVE_TEST_S3_SECRET_KEY")?,
            bucket: variable("VALVE_TEST_S3_BUCKET")?,
            python: variable("VALVE_TEST_PYTHON")?,
        }))
    }

    /// One of the tools beside this file, ready to be run.
    pub fn tool(&self, name: &str) -> Command {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/tools");
        let mut command = Command::new(&self.python);
        command.args(["-W", "ignore"]).arg(tools.join(name)).stdin(Stdio::null());
        command
    }

    /// The lines (JSON) that a tool prints.
    pub fn lines_of(&self, tool: &str, arguments: &[&str]) -> Vec<Value> {
        let done = self.tool(tool).args(arguments).output().unwrap();
        assert!(done.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) {
        self.lines_of("create_bucket.py", &[bucket]);
    }
}

/// A name beginning with `what` that nothing else has.
pub fn unique(what: &str) -> String {
    let uuid = Uuid::new_v4().simple().to_string();
    format!("{what}-{}", &uuid[..8])
}
