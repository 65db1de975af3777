//! Signing in at MSK by IAM, as far as one can without AWS: the broker takes tokens as MSK does, none older than 20 seconds
//! (tests/stack/kafka/java/MskTokens.java), and the credentials last for 15, so that tokens must be renewed again and again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::event::orders;
use crate::patience::{stays, wait_until};
use crate::scene::Scene;
use crate::secure_kafka::ASKING;
use crate::stack::Stack;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_credentials_that_end_soon_then_valve_works_on_with_fresh_tokens_and_each_command_signs_in,
    given_no_credentials_then_valve_waits_says_so_and_goes_on_once_there_are_some,
];

/// Where the AWS client finds the program that gives it credentials.
struct Credentials {
    directory: TempDir,
}

impl Credentials {
    fn new(stack: &Stack) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let this = Self { directory };
        let program = stack.tool("short_credentials.py");
        let words = [program.get_program()].into_iter().chain(program.get_args());
        let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
        let (key, counter) = (&stack.secure().access_key, this.counter());
        let profile =
            format!("[default]\ncredential_process = {} {key} {}\n", words.join(" "), counter.display());
        fs::write(this.directory.path().join("config"), profile).unwrap();
        this
    }

    fn counter(&self) -> PathBuf {
        self.directory.path().join("counter")
    }

    /// How often credentials were asked for.
    fn asked(&self) -> u64 {
        fs::metadata(self.counter()).map_or(0, |file| file.len())
    }

    fn refusal(&self) -> PathBuf {
        self.directory.path().join("counter.refuse")
    }

    /// Settings of the scene's valve, which stores in a directory: the bucket is of other credentials.
    fn settings(&self, scene: &Scene<'_>) -> Settings {
        let secure = scene.stack.secure();
        let files = self.directory.path().join("files");
        let settings = scene
            .settings()
            .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &secure.msk)
            .with("VALVE_KAFKA__AUTH", "msk-iam")
            .with("VALVE_KAFKA__REGION", "us-east-1")
            .with("VALVE_KAFKA__PROPERTIES__SSL_CA_LOCATION", &secure.pem("ca.pem"))
            .with("AWS_CONFIG_FILE", self.directory.path().join("config").to_str().unwrap())
            .with("VALVE_SINK__TYPE", "local")
            .with("VALVE_SINK__PATH", files.to_str().unwrap());
        let of_s3 = ["BUCKET", "ENDPOINT", "PATH_STYLE", "REGION"].map(|name| format!("VALVE_SINK__{name}"));
        let others = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned);
        of_s3.iter().chain(&others).fold(settings, |settings, name| settings.without(name))
    }
}

fn given_credentials_that_end_soon_then_valve_works_on_with_fresh_tokens_and_each_command_signs_in(
    stack: &Stack,
) {
    let mut scene = Scene::without_dead_letter_topic(stack, 2);
    let credentials = Credentials::new(stack);
    let settings = credentials.settings(&scene);
    let topic = scene.topic.clone();
    let valve = Valve::run(&settings);
    // Connections are signed in again when their tokens end, and those that are made anew need a fresh one.
    for round in 0..5 {
        scene.produce(&orders(&topic, round * 20..(round + 1) * 20, 2));
        scene.producer.produce_raw(&topic, Some(b"no wire header"));
        scene.wait_committed();
        valve.wait_ready();
        stays("well", Duration::from_secs(9), || valve.get("/readyz").0 == 200);
    }
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [5], "the topic was made, and has the letters");
    assert!(credentials.asked() >= 4, "asked for credentials {} times", credentials.asked());
    let said = valve.stop_and_listen();
    assert!(!said.contains("planted") && !said.contains("X-Amz-Signature"), "{said}");
    for arguments in ASKING.iter().chain([&["deadletters", "replay"][..]].iter()) {
        let (code, said) = run(&settings, arguments);
        assert!(code == 0, "{arguments:?}: exit code {code}: {said}");
    }
}

fn given_no_credentials_then_valve_waits_says_so_and_goes_on_once_there_are_some(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let credentials = Credentials::new(stack);
    fs::write(credentials.refusal(), "").unwrap();
    let valve = Valve::run(&credentials.settings(&scene));
    wait_until("the reason", || valve.wait_unready("kafka: ").contains("no credentials today"));
    assert_eq!(valve.get("/livez").0, 200, "an outage is nothing that a restart mends");
    fs::remove_file(credentials.refusal()).unwrap();
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_no_dead_letters();
}
