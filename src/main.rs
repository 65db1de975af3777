//! The valve daemon.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use valve::cli::{Cli, Command};
use valve::commands;

/// Also what the C libraries allocate from, librdkafka above all: its records are made by one thread and given back by
/// another, which leaves the system's allocator with much memory that it can neither use nor return.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            drop(writeln!(std::io::stderr(), "valve can't start its threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match command {
            Command::Run(args) => commands::run(args).await,
            Command::Demo(args) => commands::demo(args).await,
            Command::Config(args) => commands::config(args).await,
            Command::Check(args) => commands::check(args).await,
            Command::Audit(args) => commands::audit(args).await,
            Command::Hours(args) => commands::hours(args).await,
            Command::Deadletters { command } => commands::deadletters(command).await,
            Command::Healthcheck(args) => commands::healthcheck(args).await,
            Command::Intents { command } => commands::intents(command).await,
        }
    });
    // Uploads of abandoned batches, if any, are not waited for.
    runtime.shutdown_background();
    code
}
