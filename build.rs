//! Says which commit is built: `VALVE_COMMIT` where that is set, otherwise what git says of this checkout, otherwise nothing.
//!
//! Nothing else of the machine or the time gets into the program, so the same commit makes the same version. Debug builds don't
//! ask git: each commit would have everything compiled again.

#![expect(clippy::disallowed_methods, reason = "cargo talks to build scripts through the environment")]

use std::env;
use std::path::Path;
use std::process::Command;

/// How many of a commit's digits are told.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed=VALVE_COMMIT");
    let told = env::var("VALVE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(of_git).unwrap_or_default();
    let short: String = commit.chars().take(DIGITS).collect();
    println!("cargo::rustc-env=VALVE_COMMIT={short}");
}

/// The commit that is checked out, where this is a checkout with git at hand. Also has cargo look again when that changes.
fn of_git() -> Option<String> {
    // Sources without a repository of their own may lie in another project's.
    if env::var("PROFILE").as_deref() != Ok("release") || !Path::new(".git").exists() {
        return None;
    }
    for moving in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", moving])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

/// What git answers, in one line.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
