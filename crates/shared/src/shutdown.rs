//! When a process is told to stop: once to finish, twice to drop everything.
//!
//! `main` gives its `run` the signals, a test gives it tokens. Not here: what finishing means (each
//! process's own `run`).

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two words that a process may be told.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Take nothing new and finish what is under way.
    pub stop: CancellationToken,
    /// Drop everything. Whoever is told this was told [`Shutdown::stop`] before.
    pub kill: CancellationToken,
    /// How long finishing may take.
    pub grace: Duration,
}

impl Shutdown {
    /// Nothing has been told yet.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { stop: CancellationToken::new(), kill: CancellationToken::new(), grace }
    }

    /// The first SIGTERM or SIGINT tells to stop, the second to drop everything. From now on neither kills the process.
    /// Call it inside a runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new(grace);
        let Self { stop, kill, .. } = shutdown.clone();
        tokio::spawn(async move {
            for token in [stop, kill] {
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
    async fn the_first_signal_stops_and_the_second_drops_everything() {
        let shutdown = Shutdown::on_signals(Duration::ZERO).unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        shutdown.stop.cancelled().await;
        assert!(!shutdown.kill.is_cancelled());
        kill_process(getpid(), Signal::INT).unwrap();
        shutdown.kill.cancelled().await;
    }
}
