//! SIGTERM and Ctrl-C: the first asks to stop, a second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that SIGTERM ended.
const TERMINATED: i32 = 128 + 15;

/// Cancels `stop` at the first signal and ends the process at the second.
///
/// # Errors
/// When the process may not listen to signals.
pub(super) fn listen(stop: CancellationToken) -> std::io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: storing and committing what was read; a second signal leaves at once");
        stop.cancel();
        next().await;
        tracing::warn!("leaving at once; what isn't committed is read again by the next owner");
        std::process::exit(TERMINATED);
    });
    Ok(())
}
