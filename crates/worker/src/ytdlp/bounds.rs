//! How far one run of yt-dlp may go: time, processor, size, and the way to the net.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plain::Reach;
use crate::guard::Guard;
use crate::process::Watch;

/// Bytes that a download brings at least for a second of processor time: a tenth of what was measured (decision 0015), less
/// what a slow machine needs more. Where no size is known, an hour.
const BYTES_OF_A_SECOND: u64 = 4 << 20;
const HOUR: Duration = Duration::from_secs(3600);

/// How far one run may go.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The longest that it may take.
    pub wall: Duration,
    /// The longest without output and without a byte.
    pub silence: Duration,
    /// Processor time of one process while it looks; a download has more, by its size.
    pub cpu: Duration,
    /// The largest file, in bytes.
    pub file_size: Option<u64>,
    /// Ends the run.
    pub cancel: CancellationToken,
    /// What it reaches the net by.
    pub guard: Guard,
}

impl Bounds {
    pub(super) fn watch(&self) -> Watch {
        let watch = Watch::new(self.wall, self.silence, self.cancel.clone());
        // what comes is a sign of life, whatever becomes of it; what came before this run was begun is no pace of its
        let received = self.guard.received();
        let before = received();
        Watch { activity: Some(Arc::new(move || received().saturating_sub(before))), ..watch }
    }

    /// Where a program finds its guard.
    pub(super) fn proxy(&self) -> Result<SocketAddr, Failure> {
        let refused = |error| Failure::new(FailureKind::Internal, format!("the guard cannot listen: {error}"));
        self.guard.address().map_err(refused)
    }

    /// For a look.
    pub(super) fn reach(&self) -> Result<Reach, Failure> {
        Ok(Reach { guard: Some((self.proxy()?, self.guard.clone())), file_size: self.file_size, cpu: self.cpu })
    }

    /// For a look and a download.
    pub(super) fn reach_further(&self) -> Result<Reach, Failure> {
        Ok(Reach { cpu: self.cpu_of_all(), ..self.reach()? })
    }

    pub(super) fn cpu_of_all(&self) -> Duration {
        self.cpu + self.file_size.map_or(HOUR, |bytes| Duration::from_secs(bytes / BYTES_OF_A_SECOND))
    }

    /// What is left of them for another try.
    pub(super) fn since(&self, began: Instant) -> Self {
        Self { wall: self.wall.saturating_sub(began.elapsed()), ..self.clone() }
    }
}
