//! The stages of one attempt: where it is, and how long each took.

use std::time::{Duration, Instant};

use haul_shared::job::Stage;
use tracing::Span;

use crate::board::Running;
use crate::metrics::Metrics;
use crate::spans;

/// The clock of one attempt.
pub struct Stages<'a> {
    job: &'a Running,
    metrics: &'a Metrics,
    current: Option<(Stage, Instant, Span)>,
    done: Vec<(&'static str, Duration)>,
}

impl<'a> Stages<'a> {
    /// Before the first stage.
    #[must_use]
    pub fn new(job: &'a Running, metrics: &'a Metrics) -> Self {
        Self { job, metrics, current: None, done: Vec::new() }
    }

    /// Ends the stage under way, well, and begins the next.
    pub fn enter(&mut self, stage: Stage) {
        self.end();
        self.job.enter(stage);
        self.current = Some((stage, Instant::now(), spans::stage(self.job.span(), stage)));
    }

    /// Ends the last stage; what each took.
    #[must_use]
    pub fn finish(mut self) -> Vec<(&'static str, Duration)> {
        self.end();
        self.done
    }

    fn end(&mut self) {
        if let Some((stage, began, _)) = self.current.take() {
            let took = began.elapsed();
            self.job.ended(took);
            self.metrics.finished(stage, took);
            self.done.push((stage.word(), took));
        }
    }
}
