//! Lines that a log lacks, because nobody took them in time or they could not be written: counted, and told once a minute.
//!
//! It is told as a line of that log, and how many there are since the start. So where that line gets lost too, another follows.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing_appender::non_blocking::ErrorCounter;

use super::AUDIT;

/// The target of lines about lines that the whole log lacks. They are logged at every level of `HAUL_LOG`, as those of [`AUDIT`].
pub(super) const TARGET: &str = module_path!();

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// All lines.
    Whole,
    /// The file of [`AUDIT`] alone.
    Audit,
}

/// The lines that one log lacks.
#[derive(Debug)]
pub(super) struct Gaps {
    log: Log,
    /// Those that found too many waiting.
    crowded_out: ErrorCounter,
    unwritten: Arc<AtomicU64>,
    told: AtomicU64,
}

impl Gaps {
    /// Those of a log of which `crowded_out` counts what finds no room, and [`Counted`] what could not be written.
    pub(super) fn of(log: Log, crowded_out: ErrorCounter, unwritten: Arc<AtomicU64>) -> Self {
        Self { log, crowded_out, unwritten, told: AtomicU64::new(0) }
    }

    /// Says how many there are, if there are more than when it was last said.
    pub(super) fn tell(&self) {
        let lost = (self.crowded_out.dropped_lines() as u64).saturating_add(self.unwritten.load(Ordering::Relaxed));
        if self.told.swap(lost, Ordering::Relaxed) == lost {
            return;
        }
        let why = "they came faster than they were taken, or could not be written";
        match self.log {
            Log::Whole => {
                tracing::warn!(target: TARGET, lost, "{lost} lines of this log were lost since its start: {why}");
            }
            Log::Audit => {
                tracing::warn!(target: AUDIT, lost, "{lost} lines of the audit were lost since its start: {why}");
            }
        }
    }
}

/// Tells of these, as long as it is not dropped.
pub(super) async fn look_after(gaps: Arc<[Gaps]>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        gaps.iter().for_each(Gaps::tell);
    }
}

/// Counts the lines that could not be written.
pub(super) struct Counted<W> {
    pub(super) inner: W,
    pub(super) unwritten: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    /// A call is a line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.inner.write_all(line);
        written.inspect_err(|_| {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
