//! The judges as programs: how they are called, and what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

const FASTAVRO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/read_fastavro.py");

/// A reader; `place` is its Python or its class path, when there is one.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) name: &'static str,
    setting: &'static str,
    place: Option<String>,
}

/// What a judge says of one file.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) summary: Value,
    pub(crate) records: Vec<Value>,
}

impl Judge {
    pub(crate) fn fastavro(python: Option<String>) -> Self {
        Self { name: "fastavro", setting: "VALVE_TEST_PYTHON", place: python }
    }

    pub(crate) fn java(class_path: Option<String>) -> Self {
        Self { name: "java", setting: "VALVE_TEST_JAVA_CP", place: class_path }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.place.is_none()
    }

    /// Reads `files`, which are reported in their order.
    pub(crate) fn read(&self, files: &[PathBuf]) -> Result<Vec<Report>, Failed> {
        let mut command = self.program(FASTAVRO, "judges.ReadFiles")?;
        command.arg("--records").args(files);
        let mut reports = Vec::new();
        let mut records = Vec::new();
        for mut line in run(&mut command)? {
            if line.get("record").is_some() {
                if line["row"] != records.len() {
                    return Err(format!("row {} follows {} records", line["row"], records.len()).into());
                }
                records.push(line["record"].take());
            } else {
                let file = files.get(reports.len()).ok_or("more files than there are")?;
                if line["file"].as_str().map(Path::new) != Some(file) {
                    return Err(format!("{} is reported as {}", file.display(), line["file"]).into());
                }
                reports.push(Report { summary: line, records: std::mem::take(&mut records) });
            }
        }
        Ok(reports)
    }

    /// Lines of `message` (base64) and `record`, from the Java judge's other program.
    pub(crate) fn encode_messages(
        &self,
        schema: &Path,
        id: u32,
        count: u32,
        blocking: bool,
    ) -> Result<Vec<Value>, Failed> {
        let mut command = self.program("", "judges.EncodeMessages")?;
        command.arg(schema).args([id.to_string(), count.to_string()]).arg("--records");
        if blocking {
            command.arg("--blocking");
        }
        run(&mut command)
    }

    fn program(&self, script: &str, class: &str) -> Result<Command, Failed> {
        let place = self.place.as_ref().ok_or_else(|| format!("{} isn't set", self.setting))?;
        if self.name == "java" {
            let mut command = Command::new("java");
            command.args(["-cp", place, class]);
            Ok(command)
        } else {
            let mut command = Command::new(place);
            command.arg(script);
            Ok(command)
        }
    }
}

/// Runs `command` and parses what it prints, a line of JSON each.
fn run(command: &mut Command) -> Result<Vec<Value>, Failed> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {said}", output.status).into());
    }
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| serde_json::from_str(line).map_err(Failed::from)).collect()
}
