//! Where the services are, and names that no other test uses.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::Shared;

/// The addresses that `tests/stack/stack` exports.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) kafka: String,
    pub(crate) registry: String,
    pub(crate) s3_endpoint: String,
    pub(crate) s3_access_key: String,
    pub(crate) s3_secret_key: String,
    pub(crate) bucket: String,
    pub(crate) consul: String,
    pub(crate) consul_tls: String,
    /// The file with the certificate of the authority behind `consul_tls`.
    pub(crate) consul_ca: String,
    /// May do everything.
    pub(crate) consul_token: String,
    /// Ways in that ask who one is; otherwise which variable is missing.
    secure: Result<Secure, String>,
    python: String,
    java_class_path: String,
}

/// The broker's listeners that ask who one is, and who is let in (tests/stack/kafka/service.py).
#[derive(Debug)]
pub(crate) struct Secure {
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 over TLS.
    pub(crate) sasl: String,
    /// TLS with a client's certificate.
    pub(crate) tls: String,
    /// Tokens that nobody signed, over TLS.
    pub(crate) oauth: String,
    /// Tokens of MSK over TLS.
    pub(crate) msk: String,
    /// Whose tokens are taken there.
    pub(crate) access_key: String,
    pub(crate) user: String,
    pub(crate) password: String,
    certificates: PathBuf,
}

impl Secure {
    fn from(variable: impl Fn(&str) -> Result<String, String>) -> Result<Self, String> {
        Ok(Self {
            sasl: variable("VALVE_TEST_KAFKA_SASL")?,
            tls: variable("VALVE_TEST_KAFKA_TLS")?,
            oauth: variable("VALVE_TEST_KAFKA_OAUTH")?,
            msk: variable("VALVE_TEST_KAFKA_MSK")?,
            access_key: variable("VALVE_TEST_KAFKA_ACCESS_KEY")?,
            user: variable("VALVE_TEST_KAFKA_USER")?,
            password: variable("VALVE_TEST_KAFKA_PASSWORD")?,
            certificates: variable("VALVE_TEST_CERTIFICATES")?.into(),
        })
    }

    /// The path of a certificate or key (tests/stack/kafka/certificates.py).
    pub(crate) fn pem(&self, name: &str) -> String {
        self.certificates.join(name).to_str().unwrap().to_owned()
    }
}

/// A message as a Java producer encodes it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JavaMessage {
    /// Wire header and datum, in base64.
    pub(crate) message: String,
    /// The record.
    pub(crate) record: Value,
}

impl Stack {
    /// The services that the environment names; otherwise which variable is missing.
    pub(crate) fn from_env() -> Shared {
        let variable = |name: &str| {
            env::var(name).map_err(|_| format!("{name} isn't set: tests/run starts the services"))
        };
        Ok(Arc::new(Self {
            kafka: variable("VALVE_TEST_KAFKA")?,
            registry: variable("VALVE_TEST_REGISTRY")?,
            s3_endpoint: variable("VALVE_TEST_S3_ENDPOINT")?,
            s3_access_key: variable("VALVE_TEST_S3_ACCESS_KEY")?,
            s3_secret_key: variable("VALVE_TEST_S3_SECRET_KEY")?,
            bucket: variable("VALVE_TEST_S3_BUCKET")?,
            consul: variable("VALVE_TEST_CONSUL")?,
            consul_tls: variable("VALVE_TEST_CONSUL_TLS")?,
            consul_ca: variable("VALVE_TEST_CONSUL_CA")?,
            consul_token: variable("VALVE_TEST_CONSUL_TOKEN")?,
            secure: Secure::from(variable),
            python: variable("VALVE_TEST_PYTHON")?,
            java_class_path: variable("VALVE_TEST_JAVA_CP")?,
        }))
    }

    /// The ways in that ask who one is.
    pub(crate) fn secure(&self) -> &Secure {
        self.secure.as_ref().unwrap()
    }

    /// One of the tools beside this file, ready to be run.
    pub(crate) fn tool(&self, name: &str) -> Command {
        self.python(&format!("end_to_end/tools/{name}"))
    }

    /// A Python program under `tests`, ready to be run.
    pub(crate) fn python(&self, program: &str) -> Command {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut command = Command::new(&self.python);
        command.args(["-B", "-W", "ignore"]).arg(tests.join(program)).stdin(Stdio::null());
        command
    }

    /// The lines (JSON) that a tool prints.
    pub(crate) fn lines_of<T: DeserializeOwned>(&self, tool: &str, arguments: &[&str]) -> Vec<T> {
        lines_of(self.tool(tool).args(arguments))
    }

    /// Random records of a schema, in the encoding of Avro's blocking encoder (tests/judges/java).
    pub(crate) fn encoded_by_java(&self, schema: &str, id: u32, count: u32) -> Vec<JavaMessage> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), schema).unwrap();
        let mut command = Command::new("java");
        command.args(["-cp", &self.java_class_path, "judges.EncodeMessages"]).arg(file.path());
        command.args([&id.to_string(), &count.to_string(), "--blocking", "--records"]);
        lines_of(&mut command)
    }

    /// Creates a bucket.
    pub(crate) fn create_bucket(&self, bucket: &str) {
        let _nothing: Vec<Value> = self.lines_of("create_bucket.py", &[bucket]);
    }

    /// Deletes an object.
    pub(crate) fn delete_object(&self, bucket: &str, key: &str) {
        let _nothing: Vec<Value> = self.lines_of("delete_object.py", &[bucket, key]);
    }
}

/// What the lines (JSON) say that a program prints.
fn lines_of<T: DeserializeOwned>(command: &mut Command) -> Vec<T> {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A name beginning with `what` that nothing else has.
pub(crate) fn unique(what: &str) -> String {
    let uuid = Uuid::new_v4().simple().to_string();
    format!("{what}-{}", &uuid[..8])
}
