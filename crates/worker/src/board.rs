//! The jobs that this worker runs: who works on each writes here how far it is, the heartbeat reads it.
//!
//! A job is on the board from its claim until it has been settled, held there by an [`Entry`]. Stopping a job is
//! said here too, with the reason: what has to be written to the store afterwards follows from it. What a step is of the
//! whole is decided by `course`, what a report is of a download by `meter`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use haul_shared::job::{Progress, Stage};
use haul_shared::media::MediaInfo;
use haul_shared::store::{Beat, Kind, Lease, Pulse};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::course::{Costs, Course};
use crate::meter::Fetched;

/// A download of which nothing was heard for so long has no speed.
const SILENT: Duration = Duration::from_secs(10);

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
pub struct Board {
    jobs: Arc<Mutex<HashMap<Lease, Arc<Running>>>>,
    costs: Costs,
}

/// One job on the board.
pub struct Running {
    lease: Lease,
    attempt: u32,
    attempts: u32,
    state: Mutex<State>,
    stop: CancellationToken,
    reason: OnceLock<StopReason>,
    span: Span,
}

/// How far it is.
struct State {
    course: Course,
    fetched: Option<Fetched>,
    /// When something was last heard of the download.
    heard: Instant,
    media: Option<MediaInfo>,
}

/// A job's place on the board; taken off when dropped.
pub struct Entry {
    running: Arc<Running>,
    board: Board,
}

impl Board {
    /// Puts an attempt at a job on the board, by its number and how many there may be; its percentage goes on from where an attempt of the same number had `reached`.
    #[must_use]
    pub fn enter(&self, lease: Lease, (attempt, attempts): (u32, u32), reached: Option<Progress>) -> Entry {
        let percent = reached.map_or(0.0, |reached| reached.percent);
        let course = Course::begin(self.costs.clone(), percent);
        let running = Arc::new(Running {
            lease: lease.clone(),
            attempt,
            attempts,
            state: Mutex::new(State { course, fetched: None, heard: Instant::now(), media: None }),
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
            span: Span::current(),
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
            let progress = running.state().progress();
            progress.total_bytes.unwrap_or(promised).saturating_sub(progress.downloaded_bytes.unwrap_or(0))
        };
        let jobs = self.jobs();
        let downloads = jobs.values().filter(|running| running.lease.kind == Kind::Download);
        downloads.map(to_come).fold(0, u64::saturating_add)
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Lease, Arc<Running>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Should it fail, will there be no other?
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.attempts
    }

    /// The right to write to the job.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The span of its attempt: the one in which it came onto the board.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
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

    /// The stage under way has ended, well, and this one begins.
    pub fn enter(&self, stage: Stage) {
        self.state().course.enter(stage);
    }

    /// The stage under way has ended, well, and took so long: what the next jobs are measured by.
    pub fn ended(&self, took: Duration) {
        self.state().course.learn(took);
    }

    /// Some way, 0 to 1, into a stage. Of another stage than the one under way it says nothing: what is made, or stored,
    /// while it is fetched is counted once.
    pub fn advance(&self, stage: Stage, fraction: f64) {
        let course = &mut self.state().course;
        if course.stage() == stage {
            course.advance(fraction);
        }
    }

    /// How far the download is.
    pub fn report(&self, fetched: Fetched) {
        let mut state = self.state();
        (state.fetched, state.heard) = (Some(fetched), Instant::now());
        if let Some(bytes) = fetched.likely_bytes {
            state.course.expect_bytes(bytes);
        }
        if state.course.stage() == Stage::Download {
            state.course.advance_with(fetched.done, fetched.seconds_left);
        }
    }

    /// Something will be coded anew, which takes about so long.
    pub fn foresee_coding(&self, takes: Duration) {
        self.state().course.expect_coding(takes);
    }

    /// The result is made while its source is fetched.
    pub fn makes_meanwhile(&self) {
        self.state().course.expect_making_meanwhile();
    }

    /// The result goes into the store while it is fetched, or made.
    pub fn stores_meanwhile(&self) {
        self.state().course.expect_storing_meanwhile();
    }

    /// All but its beginning does, while it is made.
    pub fn sends_meanwhile(&self) {
        self.state().course.expect_sending_meanwhile();
    }

    /// How large the medium will be, as far as anybody can tell, in bytes.
    #[must_use]
    pub fn likely_bytes(&self) -> Option<u64> {
        self.state().course.bytes()
    }

    /// What was begun was given up: the result goes into the store once it is whole.
    pub fn sends_afterwards(&self) {
        self.state().course.expect_sending_afterwards();
    }

    /// The same, and it is made of files.
    pub fn stores_afterwards(&self) {
        self.state().course.expect_storing_afterwards();
    }

    /// What the medium is.
    pub fn describe(&self, media: MediaInfo) {
        self.span.record("job.extractor", media.extractor.as_deref());
        self.state().media = Some(media);
    }

    /// What the store is told of it.
    #[must_use]
    pub fn beat(&self) -> Beat {
        let state = self.state();
        Beat { lease: self.lease.clone(), progress: state.progress(), media: state.media.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn progress(&self) -> Progress {
        let stage = self.course.stage();
        let fetched = self.fetched;
        let is_silent = self.heard.elapsed() > SILENT;
        let speed = fetched.filter(|_| stage == Stage::Download).and_then(|fetched| fetched.speed);
        let seconds_left = self.course.seconds_left().filter(|_| stage != Stage::Download || !is_silent);
        Progress {
            downloaded_bytes: fetched.map(|fetched| fetched.bytes),
            total_bytes: fetched.and_then(|fetched| fetched.total_bytes),
            speed_bytes_per_second: if is_silent { speed.map(|_| 0) } else { speed },
            eta_seconds: seconds_left.map(whole_seconds),
            ..Progress::at(stage, self.course.percent())
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
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

    fn fetched(bytes: u64, total_bytes: Option<u64>) -> Fetched {
        Fetched { bytes, total_bytes, ..Fetched::default() }
    }

    #[test]
    fn what_was_fetched_stays_known_and_a_stage_that_is_not_under_way_says_nothing() {
        let board = Board::default();
        let job = board.enter(lease(), (1, 3), None);
        let percent = || board.beats()[0].progress.percent;
        job.enter(Stage::Download);
        job.report(Fetched { done: 0.5, speed: Some(9), seconds_left: Some(20.0), ..fetched(34, Some(68)) });
        let half = board.beats()[0].progress;
        assert_eq!((half.stage, half.downloaded_bytes, half.total_bytes), (Stage::Download, Some(34), Some(68)));
        assert_eq!(half.speed_bytes_per_second, Some(9));
        assert!(half.eta_seconds.is_some_and(|seconds| (20..25).contains(&seconds)), "{half:?}");
        job.report(Fetched { done: 0.2, ..fetched(35, None) });
        assert_eq!((percent(), board.beats()[0].progress.eta_seconds), (half.percent, None));
        job.advance(Stage::Upload, 0.9);
        assert_eq!(percent(), half.percent);
        job.enter(Stage::Upload);
        job.report(Fetched { done: 1.0, ..fetched(68, Some(68)) });
        let after = board.beats()[0].progress;
        assert_eq!((after.stage, after.downloaded_bytes, after.total_bytes), (Stage::Upload, Some(68), Some(68)));
        assert_eq!(after.speed_bytes_per_second, None);
        assert!(after.percent > half.percent);
        job.advance(Stage::Upload, 1.0);
        assert_eq!(percent(), crate::course::TOP);
    }

    #[test]
    fn what_is_to_come_counts_as_taken() {
        let board = Board::default();
        assert_eq!(board.bytes_to_come(50), 0);
        let look = Lease { kind: Kind::Metadata, ..lease() };
        let jobs =
            [board.enter(lease(), (1, 3), None), board.enter(lease(), (1, 3), None), board.enter(look, (1, 3), None)];
        assert_eq!(board.bytes_to_come(50), 100);
        jobs[0].report(fetched(30, Some(100)));
        jobs[1].report(fetched(60, None));
        assert_eq!(board.bytes_to_come(50), 70);
        drop(jobs);
        assert_eq!(board.bytes_to_come(50), 0);
    }

    #[test]
    fn a_job_is_stopped_for_the_first_reason_and_leaves_the_board_when_dropped() {
        let board = Board::default();
        let job = board.enter(lease(), (1, 3), None);
        board.heard(job.lease(), Pulse::Ok);
        assert!(!job.stop_token().is_cancelled());
        board.heard(job.lease(), Pulse::Lost);
        board.stop_all(StopReason::Shutdown);
        assert_eq!(job.stop_reason(), Some(StopReason::LeaseLost));
        drop(job);
        assert!(board.beats().is_empty());
    }
}
