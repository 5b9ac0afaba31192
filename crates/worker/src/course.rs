//! How far an attempt is as a whole: by the time that is left, as far as anybody can tell.
//!
//! Each stage costs something fixed, and so much for each byte, as this worker has learned from its jobs. The stage under
//! way is measured by its own pace. What was just done then takes its share of the percentage that was left: with it,
//! the percentage never falls, whatever turns out to be larger or slower than it was thought to be, and it is at its
//! top when nothing is left. The same time is what a client is told as the time left, once there is a pace.
//!
//! Pure but for the clock of a stage. Not here: how far a download of several streams is (`meter`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use haul_shared::job::Stage;

/// All that there is before a job is completed.
pub const TOP: f64 = 99.9;

const STAGES: usize = Stage::ALL.len();

/// Seconds that a stage takes whatever the size: programs that are started, a medium that is looked at, round trips to
/// the store. A first guess for two processors, in the order of [`Stage::ALL`].
const FIXED: [f64; STAGES] = [0.5, 0.3, 0.15, 0.15, 0.05];
/// Seconds per byte before anything was learned: 10 MB/s from a site, 500 MB/s through ffmpeg without coding, 400 MB/s to
/// be hashed and looked through, 80 MB/s into the store.
const PER_BYTE: [f64; STAGES] = [0.0, 1e-7, 2e-9, 2.5e-9, 1.25e-8];
/// Bytes of a medium of which nothing is known.
const USUAL_BYTES: u64 = 50_000_000;

/// Bytes that are still to be stored at the end of what goes into the store while it is made.
const HELD_BACK: u64 = 8 << 20;
/// A smaller medium tells nothing about the cost of a byte.
const TELLING: u64 = 1 << 20;
/// What one job weighs against all before it.
const ONE_JOB: f64 = 0.2;

/// Of a stage, how much has to be done, and for how long, before its own pace is believed.
const BELIEVED_SHARE: f64 = 0.02;
const BELIEVED_AFTER: Duration = Duration::from_millis(500);

/// What stages cost on this worker. A clone learns and knows the same.
#[derive(Debug, Clone)]
pub struct Costs(Arc<Mutex<[f64; STAGES]>>);

impl Default for Costs {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(PER_BYTE)))
    }
}

impl Costs {
    /// A stage has taken so long with a medium of this size.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn learn(&self, stage: Stage, bytes: u64, took: Duration) {
        if bytes >= TELLING && stage != Stage::Extract {
            let told = (took.as_secs_f64() - FIXED[at(stage)]).max(0.0) / bytes as f64;
            let cost = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[at(stage)];
            *cost += ONE_JOB * (told - *cost);
        }
    }

    /// What it is going to take.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn seconds(&self, stage: Stage, bytes: u64) -> f64 {
        FIXED[at(stage)] + self.0.lock().unwrap_or_else(PoisonError::into_inner)[at(stage)] * bytes as f64
    }
}

/// One attempt's.
#[derive(Debug)]
pub(crate) struct Course {
    costs: Costs,
    percent: f64,
    stage: Stage,
    /// When something was first heard of the stage, and how much was done then: it may have waited for its turn before.
    first: Option<(Instant, f64)>,
    /// How much of the stage is done, 0 to 1.
    done: f64,
    /// Seconds that the stage takes in all, by its own pace.
    pace: Option<f64>,
    /// Of the medium, as far as it is known.
    bytes: Option<u64>,
    /// Seconds for what is coded anew.
    coding: f64,
    /// The result is made while its source is fetched.
    makes_meanwhile: bool,
    /// The result goes into the store while it is made.
    stores_meanwhile: bool,
    /// All but its beginning does, and it is hashed when it is made.
    sends_meanwhile: bool,
}

impl Course {
    /// Nothing is done; `percent` was reached before.
    pub(crate) fn begin(costs: Costs, percent: f64) -> Self {
        Self {
            costs,
            percent,
            stage: Stage::Extract,
            first: None,
            done: 0.0,
            pace: None,
            bytes: None,
            coding: 0.0,
            makes_meanwhile: false,
            stores_meanwhile: false,
            sends_meanwhile: false,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Of the whole, up to [`TOP`].
    pub(crate) fn percent(&self) -> f64 {
        self.percent
    }

    /// Seconds until the end; `None` while the stage has no pace.
    pub(crate) fn seconds_left(&self) -> Option<f64> {
        self.pace.map(|_| self.left(self.stage, self.done))
    }

    /// Of the medium, as far as anybody knows.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The medium has so many bytes, as far as anybody knows.
    pub(crate) fn expect_bytes(&mut self, bytes: u64) {
        self.bytes = Some(bytes);
    }

    /// Something is coded anew, which takes about so long.
    pub(crate) fn expect_coding(&mut self, takes: Duration) {
        self.coding = takes.as_secs_f64();
    }

    /// What is fetched is made into the result at once.
    pub(crate) fn expect_making_meanwhile(&mut self) {
        self.makes_meanwhile = true;
    }

    /// What is made goes into the store at once.
    pub(crate) fn expect_storing_meanwhile(&mut self) {
        self.stores_meanwhile = true;
    }

    /// What is made goes into the store at once, all but its beginning, and is proven when it is whole.
    pub(crate) fn expect_sending_meanwhile(&mut self) {
        self.sends_meanwhile = true;
    }

    /// Nothing goes into the store before the result is whole.
    pub(crate) fn expect_sending_afterwards(&mut self) {
        self.sends_meanwhile = false;
    }

    /// Nothing is done meanwhile, after all.
    pub(crate) fn expect_storing_afterwards(&mut self) {
        (self.makes_meanwhile, self.stores_meanwhile, self.sends_meanwhile) = (false, false, false);
    }

    /// The stage under way has ended, well, and this one begins.
    pub(crate) fn enter(&mut self, stage: Stage) {
        let before = self.left(self.stage, self.done);
        (self.stage, self.first, self.done, self.pace) = (stage, None, 0.0, None);
        self.move_on(before);
    }

    /// The stage under way has ended, well, after so long.
    pub(crate) fn learn(&self, took: Duration) {
        let is_odd = match self.stage {
            Stage::Process => self.coding > 0.0 || self.makes_meanwhile,
            Stage::Verify => self.stores_meanwhile,
            Stage::Upload => self.stores_meanwhile || self.sends_meanwhile,
            Stage::Extract | Stage::Download => false,
        };
        if let Some(bytes) = self.bytes.filter(|_| !is_odd) {
            self.costs.learn(self.stage, bytes, took);
        }
    }

    /// So much of the stage is done; its pace is that which it has had so far.
    pub(crate) fn advance(&mut self, done: f64) {
        let (since, from) = *self.first.get_or_insert_with(|| (Instant::now(), done));
        let (took, share) = (since.elapsed(), done - from);
        let has_pace = share >= BELIEVED_SHARE && took >= BELIEVED_AFTER;
        self.advance_in(done, has_pace.then(|| took.as_secs_f64() / share));
    }

    /// So much of the stage is done, and so many seconds of it are left, if that is known.
    pub(crate) fn advance_with(&mut self, done: f64, seconds_left: Option<f64>) {
        let pace = seconds_left.filter(|_| done < 1.0).map(|left| left / (1.0 - done));
        self.advance_in(done, pace);
    }

    fn advance_in(&mut self, done: f64, pace: Option<f64>) {
        self.pace = pace;
        let before = self.left(self.stage, self.done);
        self.done = done.clamp(0.0, 1.0);
        self.move_on(before);
    }

    /// What was done of the seconds that were left takes its share of the percentage.
    fn move_on(&mut self, before: f64) {
        if before > 0.0 {
            let remains = (self.left(self.stage, self.done) / before).clamp(0.0, 1.0);
            self.percent = TOP - (TOP - self.percent) * remains;
        }
    }

    /// Seconds left when so much of this stage is done.
    fn left(&self, stage: Stage, done: f64) -> f64 {
        let this = self.pace.filter(|_| stage == self.stage).unwrap_or_else(|| self.seconds(stage));
        let later = Stage::ALL.into_iter().filter(|other| at(*other) > at(stage));
        this * (1.0 - done) + later.map(|stage| self.seconds(stage)).sum::<f64>()
    }

    fn seconds(&self, stage: Stage) -> f64 {
        let bytes = self.bytes.unwrap_or(USUAL_BYTES);
        match stage {
            Stage::Process if self.makes_meanwhile => FIXED[at(stage)],
            Stage::Verify | Stage::Upload if self.stores_meanwhile => FIXED[at(stage)],
            Stage::Upload if self.sends_meanwhile => self.costs.seconds(stage, bytes.min(HELD_BACK)),
            Stage::Process => self.costs.seconds(stage, bytes) + self.coding,
            _ => self.costs.seconds(stage, bytes),
        }
    }
}

fn at(stage: Stage) -> usize {
    stage as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        Course::begin(Costs::default(), 0.0)
    }

    #[test]
    fn each_stage_takes_its_share_by_what_it_costs() {
        let mut course = course();
        course.expect_bytes(1_000_000_000);
        // 0.5 s, 100.3 s, 2.15 s, 2.65 s, 12.55 s
        let mut ends = Vec::new();
        for stage in Stage::ALL {
            course.enter(stage);
            course.advance_with(1.0, None);
            ends.push(course.percent().round());
        }
        assert_eq!(ends, [0.0, 85.0, 87.0, 89.0, 100.0]);
        assert_eq!(course.percent(), TOP, "100 is for completed jobs");
    }

    /// A stage that is slower than it was thought to be takes more of what is left.
    #[test]
    fn the_pace_of_a_stage_counts_and_not_what_was_learned() {
        let mut course = course();
        course.expect_bytes(100_000_000);
        course.enter(Stage::Download);
        course.advance_with(0.5, Some(300.0));
        // half of what is left after a look that took a half of a second of ten
        assert_eq!((course.percent().round(), course.seconds_left().map(f64::round)), (52.0, Some(302.0)));
        course.enter(Stage::Process);
        assert!(course.percent() > 99.0, "{}", course.percent());
        assert_eq!(course.seconds_left(), None, "it has no pace yet");
    }

    #[test]
    fn whatever_turns_out_the_percentage_never_falls_and_ends_at_its_top() {
        let mut course = Course::begin(Costs::default(), 40.0);
        let mut reached = vec![course.percent()];
        course.enter(Stage::Download);
        for (bytes, done, left) in [
            (5, 0.5, Some(1.0)),
            (5_000_000_000, 0.01, Some(400.0)),
            (32, 0.9, None),
            (7, 0.2, Some(1e9)),
            (0, 1.0, None),
        ] {
            course.expect_bytes(bytes);
            course.advance_with(done, left);
            reached.push(course.percent());
        }
        course.expect_coding(Duration::from_secs(100));
        for stage in [Stage::Process, Stage::Verify, Stage::Upload] {
            course.enter(stage);
            reached.push(course.percent());
            course.expect_storing_meanwhile();
            course.advance(0.7);
            reached.push(course.percent());
        }
        course.advance(1.0);
        assert!(reached.is_sorted() && reached.iter().all(|percent| *percent < TOP), "{reached:?}");
        assert_eq!(course.percent(), TOP);
    }

    /// Fault: a result that was begun in the store, and given up for a file, was stored for nothing.
    #[test]
    fn what_is_stored_afterwards_after_all_costs_what_it_costs() {
        let left = |tell: fn(&mut Course)| {
            let mut course = course();
            course.expect_bytes(1_000_000_000);
            tell(&mut course);
            course.enter(Stage::Verify);
            course.advance_with(0.5, Some(1.0));
            course.seconds_left().map(f64::round)
        };
        assert_eq!(left(Course::expect_storing_meanwhile), Some(1.0));
        assert_eq!(left(Course::expect_sending_meanwhile), Some(1.0), "its beginning takes a tenth of a second");
        let given_up = |course: &mut Course| {
            course.expect_storing_meanwhile();
            course.expect_sending_meanwhile();
            course.expect_storing_afterwards();
        };
        assert_eq!(left(given_up), Some(14.0));
    }

    #[test]
    fn what_a_stage_has_taken_is_learned_and_odd_jobs_teach_nothing() {
        let costs = Costs::default();
        let took = |course: &mut Course, stage, seconds| {
            course.expect_bytes(100_000_000);
            course.enter(stage);
            course.learn(Duration::from_secs(seconds));
        };
        (0..100).for_each(|_| took(&mut Course::begin(costs.clone(), 0.0), Stage::Upload, 50));
        assert_eq!(costs.seconds(Stage::Upload, 200_000_000).round(), 100.0);
        let mut odd = Course::begin(costs.clone(), 0.0);
        odd.expect_storing_meanwhile();
        odd.expect_making_meanwhile();
        took(&mut odd, Stage::Upload, 0);
        let before = costs.seconds(Stage::Process, 200_000_000);
        took(&mut odd, Stage::Process, 900);
        assert_eq!(costs.seconds(Stage::Process, 200_000_000), before);
        let mut tiny = Course::begin(costs.clone(), 0.0);
        took(&mut tiny, Stage::Extract, 1);
        assert_eq!(costs.seconds(Stage::Upload, 200_000_000).round(), 100.0);
    }
}
