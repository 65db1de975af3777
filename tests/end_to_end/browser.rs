//! A real browser without a window (tests/stack/browser), moved by tools/browser.py.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

/// Where the browser is, and the Python that moves it.
#[derive(Debug)]
pub(crate) struct Chromium {
    browser: String,
    python: String,
}

impl Chromium {
    /// The one that the environment names; otherwise which variable is missing.
    pub(crate) fn from_env() -> Result<Arc<Self>, String> {
        let variable = |name| env::var(name).map_err(|_| format!("{name} isn't set: there is no browser"));
        let browser = variable("VALVE_TEST_BROWSER")?;
        Ok(Arc::new(Self { browser, python: variable("VALVE_TEST_BROWSER_PYTHON")? }))
    }

    /// Opens a page, and waits until it shows something.
    pub(crate) fn open(&self, url: &str) -> Page {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/tools/browser.py");
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(tool).args([&self.browser, url]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Page { child, orders, answers }
    }
}

/// A page in the browser; both end when this is dropped.
#[derive(Debug)]
pub(crate) struct Page {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Page {
    /// What the page shows, and what `/api/status` says now.
    pub(crate) fn look(&mut self) -> Value {
        self.order(&json!({ "do": "look" }))
    }

    /// Does what one of the tool's functions does.
    pub(crate) fn order(&mut self, order: &Value) -> Value {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("no answer to {order}: the tool's error is above"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Its input ends, and so it does, with the browser.
        drop(self.orders.take());
        drop(self.child.wait());
    }
}
