//! When a process is told to stop: once to finish, twice to drop everything.
//!
//! `main` gives its `run` the signals, a test gives it tokens. Not here: what finishing means, and how long it may
//! take (each process's own `run`).

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two words that a process may be told.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new and finish what is under way.
    pub drain: CancellationToken,
    /// End at once. Whoever is told this was told [`Shutdown::drain`] before.
    pub now: CancellationToken,
}

impl Shutdown {
    /// The first SIGTERM or SIGINT drains, the second ends at once. From now on neither kills the process.
    /// Call it inside a runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::default();
        let Self { drain, now } = shutdown.clone();
        tokio::spawn(async move {
            for token in [drain, now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(shutdown)
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_ends_at_once() {
        let shutdown = Shutdown::on_signals().unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        shutdown.drain.cancelled().await;
        assert!(!shutdown.now.is_cancelled());
        kill_process(getpid(), Signal::INT).unwrap();
        shutdown.now.cancelled().await;
    }
}
