//! SIGTERM and Ctrl-C: the first asks to stop, a second leaves at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that SIGTERM ended.
const TERMINATED: i32 = 128 + 15;

/// One wish to stop can come as two signals: to the process, and to its process group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// How much longer than the deadline the process may take to end: leaving the group waits for the coordinator.
const LEAVE: Duration = Duration::from_secs(5);

/// Ends the process when it hasn't ended by itself within `deadline` (and a little for leaving the group) after `stop`.
/// What isn't committed by then is read again by the next owner.
pub(super) fn enforce(stop: CancellationToken, deadline: Duration) {
    tokio::spawn(async move {
        stop.cancelled().await;
        tokio::time::sleep(deadline + LEAVE).await;
        tracing::error!(?deadline, "shutdown.deadline is over; leaving at once");
        std::process::exit(1);
    });
}

/// Cancels `stop` at the first signal and ends the process at the second, half a second later or more.
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
        stop.cancel();
        tracing::info!("stopping: storing and committing what was read; a second signal leaves at once");
        let same_wish = async {
            loop {
                next().await;
            }
        };
        // It ends by the timeout only.
        drop(tokio::time::timeout(SAME_WISH, same_wish).await);
        next().await;
        tracing::warn!("leaving at once; what isn't committed is read again by the next owner");
        std::process::exit(TERMINATED);
    });
    Ok(())
}
