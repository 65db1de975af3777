//! The real binary as a process: started with settings, asked over HTTP, stopped by signals, never left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::patience::{wait_for, wait_until};
use crate::stack::Stack;

/// What a valve is started with: its environment, nothing of ours.
#[derive(Clone, Debug)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// No settings at all.
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// A valve `name` (also its prefix in the bucket) that reads `topics` and stores to the stack's S3, with batches
    /// that end soon and failure detection in seconds.
    pub(crate) fn new(stack: &Stack, name: &str, topics: &str) -> Self {
        Self::none()
            .with("VALVE_NAME", name)
            .with("VALVE_TOPICS", topics)
            .with("VALVE_TOPICS_REFRESH", "1s")
            .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", &stack.kafka)
            .with("VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "6000")
            .with("VALVE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", "1000")
            .with("VALVE_REGISTRY__URL", &stack.registry)
            .with("VALVE_REGISTRY__UNKNOWN_AFTER", "1s")
            .with("VALVE_TIMESTAMP", "field:at")
            .with("VALVE_SINK__BUCKET", &stack.bucket)
            .with("VALVE_SINK__PREFIX", name)
            .with("VALVE_SINK__ENDPOINT", &stack.s3_endpoint)
            .with("VALVE_SINK__PATH_STYLE", "true")
            .with("VALVE_SINK__REGION", "us-east-1")
            .with("VALVE_BATCH__MAX_AGE", "3s")
            .with("VALVE_BATCH__MAX_IDLE", "1s")
            .with("VALVE_LANES", "2")
            .with("VALVE_MEMORY__BUDGET", "256MiB")
            .with("VALVE_HTTP__LISTEN", "127.0.0.1:0")
            .with("AWS_ACCESS_KEY_ID", &stack.s3_access_key)
            .with("AWS_SECRET_ACCESS_KEY", &stack.s3_secret_key)
            .with("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// The same with one setting more, or another value for it.
    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.0.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// The names of the variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a variable, which must be there.
    pub(crate) fn get(&self, variable: &str) -> &str {
        &self.0[variable]
    }

    /// `valve` with these settings and arguments, ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_valve"));
        command.args(arguments).env_clear().envs(&self.0).stdin(Stdio::null());
        command
    }

    /// The same without a setting.
    pub(crate) fn without(mut self, variable: &str) -> Self {
        self.0.remove(variable);
        self
    }
}

/// Exit code and output (on both streams) of a command that ends by itself.
pub(crate) fn run(settings: &Settings, arguments: &[&str]) -> (i32, String) {
    let output = settings.command(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8(said).unwrap())
}

/// A running valve; killed when dropped.
#[derive(Debug)]
pub(crate) struct Valve {
    child: Child,
    output: Arc<Mutex<String>>,
    listeners: Vec<thread::JoinHandle<()>>,
}

impl Valve {
    /// `valve run`
    pub(crate) fn run(settings: &Settings) -> Self {
        Self::start(&["run"], settings)
    }

    /// `valve` with other arguments
    pub(crate) fn start(arguments: &[&str], settings: &Settings) -> Self {
        Self::spawn(&mut settings.command(arguments))
    }

    /// `valve run`, with a standard error whose reader is gone
    pub(crate) fn unheard(settings: &Settings) -> Self {
        let mut command = settings.command(&["run"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        Self { child, output: Arc::default(), listeners: Vec::new() }
    }

    /// A command that becomes a valve
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let listeners = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&output)),
            collect(child.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        Self { child, output, listeners }
    }

    /// What it has said so far, on both streams.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// The answer of its HTTP server: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let url = self.url(path);
        wait_for("an answer of valve's HTTP server", || get(&url))
    }

    /// Where its HTTP server listens.
    pub(crate) fn address(&self) -> String {
        wait_for("valve's HTTP address in its log", || address_in(&self.output()))
    }

    /// The URL of a path of its HTTP server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Waits until `/readyz` says yes.
    pub(crate) fn wait_ready(&self) {
        wait_until("valve to be ready", || self.get("/readyz").0 == 200);
    }

    /// Waits until `/readyz` says no and why: a line that begins with `reason`.
    pub(crate) fn wait_unready(&self, reason: &str) -> String {
        wait_for(&format!("/readyz to say {reason}"), || {
            let (status, body) = self.get("/readyz");
            let line = body.lines().find(|line| line.starts_with(reason)).map(str::to_owned);
            line.filter(|_| status == 503)
        })
    }

    /// SIGTERM, as an orchestrator sends it.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// SIGINT, as Ctrl-C sends it.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// SIGKILL: a crash.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it does nothing until it is thawed.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // Not reaped before `wait`, so the id is still this child's.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The most memory that it has had resident so far (`VmHWM`), but for its program's pages (`RssFile`), in bytes.
    pub(crate) fn peak_of_its_own(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() << 10
        };
        bytes("VmHWM:") - bytes("RssFile:")
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends; its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_for("valve to end", || self.ended()).code()
    }

    /// SIGTERM, and it must end well; what it said until then, on both streams.
    pub(crate) fn stop_and_listen(mut self) -> String {
        self.terminate();
        assert_eq!(self.exit_code(), Some(0), "the exit code after SIGTERM");
        let listeners = std::mem::take(&mut self.listeners);
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        self.output()
    }

    /// SIGTERM, and it must end well.
    pub(crate) fn stop(mut self) {
        self.terminate();
        assert_eq!(self.exit_code(), Some(0), "the exit code after SIGTERM");
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            eprintln!("--- valve said:\n{}---", self.output());
        }
    }
}

/// Takes what a pipe gives, so that valve never waits for us.
fn collect(pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}

fn address_in(output: &str) -> Option<String> {
    let said = ["listening on http://", "Status page: http://"];
    let (_, address) = output.lines().find_map(|line| said.iter().find_map(|said| line.split_once(said)))?;
    Some(
        address
            .chars()
            .take_while(|character| character.is_ascii_digit() || ".:".contains(*character))
            .collect(),
    )
}

/// Status and body of a GET, unless the server isn't there.
pub(crate) fn get(url: &str) -> Option<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = reqwest::get(url).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    })
}
