//! The jobs that this worker runs: who works on each writes here how far it is, the heartbeat reads it.
//!
//! A job is on the board from its claim until it has been settled, held there by an [`Entry`]. Stopping a job is
//! said here too, with the reason: what has to be written to the store afterwards follows from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use haul_shared::job::{Progress, Stage};
use haul_shared::media::MediaInfo;
use haul_shared::store::{Beat, Kind, Lease, Pulse};
use tokio_util::sync::CancellationToken;

/// Why a job is to be stopped although it has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Nobody wants it any more.
    Cancelled,
    /// Somebody else has it, or it has ended: nothing may be written.
    LeaseLost,
    /// The worker stops: the job goes back to the queue.
    Shutdown,
}

/// All jobs of this worker.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<Lease, Arc<Running>>>>);

/// One job on the board.
pub struct Running {
    lease: Lease,
    state: Mutex<(Progress, Option<MediaInfo>)>,
    stop: CancellationToken,
    reason: OnceLock<StopReason>,
}

/// A job's place on the board; taken off when dropped.
pub struct Entry {
    running: Arc<Running>,
    board: Board,
}

impl Board {
    /// Puts a job on the board; its percentage goes on from where an attempt of the same number had `reached`.
    #[must_use]
    pub fn enter(&self, lease: Lease, reached: Option<Progress>) -> Entry {
        let percent = reached.map_or(0.0, |reached| reached.percent);
        let start = Progress { percent, ..Progress::start() };
        let running = Arc::new(Running {
            lease: lease.clone(),
            state: Mutex::new((start, None)),
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        self.jobs().insert(lease, Arc::clone(&running));
        Entry { running, board: self.clone() }
    }

    /// What there is to say of all of them.
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        let beat = |running: &Arc<Running>| running.beat();
        self.jobs().values().map(beat).collect()
    }

    /// Passes on what the store answered to a beat.
    pub fn heard(&self, lease: &Lease, pulse: Pulse) {
        let reason = match pulse {
            Pulse::Ok => return,
            Pulse::Cancel => StopReason::Cancelled,
            Pulse::Lost | Pulse::Gone => StopReason::LeaseLost,
        };
        let running = self.jobs().get(lease).cloned();
        if let Some(running) = running {
            running.stop(reason);
        }
    }

    /// Stops every job.
    pub fn stop_all(&self, reason: StopReason) {
        let all: Vec<_> = self.jobs().values().cloned().collect();
        all.iter().for_each(|running| running.stop(reason));
    }

    /// How many downloads there are.
    #[must_use]
    pub fn downloads(&self) -> usize {
        self.jobs().keys().filter(|lease| lease.kind == Kind::Download).count()
    }

    /// Bytes of disk that the downloads under way have still to fill, as far as that is known. One of which it is not
    /// known yet has been `promised` so many when it was taken.
    #[must_use]
    pub fn bytes_to_come(&self, promised: u64) -> u64 {
        let to_come = |running: &Arc<Running>| {
            let progress = running.state().0;
            progress.total_bytes.unwrap_or(promised).saturating_sub(progress.downloaded_bytes.unwrap_or(0))
        };
        let jobs = self.jobs();
        let downloads = jobs.values().filter(|running| running.lease.kind == Kind::Download);
        downloads.map(to_come).fold(0, u64::saturating_add)
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Lease, Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The right to write to the job.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Cancelled when the job is to be stopped.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Why it is to be stopped, if it is.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Stops it. The first reason counts.
    pub fn stop(&self, reason: StopReason) {
        let _ = self.reason.set(reason);
        self.stop.cancel();
    }

    /// Some way, 0 to 1, into a stage. What was fetched before stays known.
    pub fn advance(&self, stage: Stage, fraction: f64) {
        let Progress { downloaded_bytes, total_bytes, .. } = self.state().0;
        self.report(Progress { downloaded_bytes, total_bytes, ..Progress::at(stage, fraction) });
    }

    /// How far it is. The percentage never falls: what a site announces may shrink while it is fetched.
    pub fn report(&self, progress: Progress) {
        let mut state = self.state();
        let percent = progress.percent.max(state.0.percent);
        state.0 = Progress { percent, ..progress };
    }

    /// What the medium is.
    pub fn describe(&self, media: MediaInfo) {
        self.state().1 = Some(media);
    }

    /// What the store is told of it.
    #[must_use]
    pub fn beat(&self) -> Beat {
        let (progress, media) = self.state().clone();
        Beat { lease: self.lease.clone(), progress, media }
    }

    fn state(&self) -> MutexGuard<'_, (Progress, Option<MediaInfo>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for Entry {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.board.jobs().remove(&self.running.lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul_shared::ids::{Fence, JobId};

    fn lease() -> Lease {
        Lease { job: JobId::new(), fence: Fence(1), kind: Kind::Download }
    }

    #[test]
    fn the_percentage_never_falls_but_the_rest_is_the_newest() {
        let board = Board::default();
        let job = board.enter(lease(), None);
        job.report(Progress { total_bytes: Some(32), ..Progress::at(Stage::Download, 0.5) });
        job.report(Progress { total_bytes: Some(68), ..Progress::at(Stage::Download, 0.2) });
        let beats = board.beats();
        assert_eq!(beats[0].progress.percent, Progress::at(Stage::Download, 0.5).percent);
        assert_eq!(beats[0].progress.total_bytes, Some(68));
        job.report(Progress { speed_bytes_per_second: Some(9), ..beats[0].progress });
        job.advance(Stage::Upload, 0.0);
        assert_eq!(board.beats()[0].progress, Progress { total_bytes: Some(68), ..Progress::at(Stage::Upload, 0.0) });
    }

    #[test]
    fn what_is_to_come_counts_as_taken() {
        let board = Board::default();
        assert_eq!(board.bytes_to_come(50), 0);
        let look = Lease { kind: Kind::Metadata, ..lease() };
        let jobs = [board.enter(lease(), None), board.enter(lease(), None), board.enter(look, None)];
        assert_eq!(board.bytes_to_come(50), 100);
        let fetched = |done, total| Progress {
            downloaded_bytes: Some(done),
            total_bytes: total,
            ..Progress::at(Stage::Download, 0.5)
        };
        jobs[0].report(fetched(30, Some(100)));
        jobs[1].report(fetched(60, None));
        assert_eq!(board.bytes_to_come(50), 70);
        drop(jobs);
        assert_eq!(board.bytes_to_come(50), 0);
    }

    #[test]
    fn a_job_is_stopped_for_the_first_reason_and_leaves_the_board_when_dropped() {
        let board = Board::default();
        let job = board.enter(lease(), None);
        board.heard(job.lease(), Pulse::Ok);
        assert!(!job.stop_token().is_cancelled());
        board.heard(job.lease(), Pulse::Lost);
        board.stop_all(StopReason::Shutdown);
        assert_eq!(job.stop_reason(), Some(StopReason::LeaseLost));
        drop(job);
        assert!(board.beats().is_empty());
    }
}
