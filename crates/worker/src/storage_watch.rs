//! Whether the store of results takes what is made: what it answered last.
//!
//! A store that is away for a minute must cost no job more than the attempt in which that was found out: who takes one after
//! another meanwhile spends all the attempts of each on it. So none is taken until the store has answered again. Nothing is asked
//! for the sake of it as long as all goes well: attempts and probes tell.

use std::time::{Duration, Instant};

use haul_shared::storage::Storage;
use tokio::sync::Mutex;

/// Between two questions to the store.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Between two that are writes, while the others are answered: in a bucket each is paid for, and where health is asked for
/// every ten seconds a small service would make more of them than results.
const WRITE_EVERY: Duration = Duration::from_secs(300);

/// What the store of results answered last.
#[derive(Default)]
pub struct StorageWatch(Mutex<Known>);

/// What is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    /// What it answered, and when; `None`: nothing yet, or an attempt has found that it does not do its work.
    answer: Option<(Instant, bool)>,
    /// When a question last was a write, if all have been answered well since.
    written: Option<Instant>,
    /// An attempt failed for it after that.
    has_failed: bool,
}

/// What is to be done to know it.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    /// Nothing: it has just said so.
    None(bool),
    /// Look whether it is there.
    Look,
    /// Write.
    Write,
}

impl Known {
    fn question(self, now: Instant) -> Question {
        let is_within = |at: Instant, time: Duration| now.saturating_duration_since(at) < time;
        match (self.answer, self.written) {
            (Some((at, is_ready)), _) if is_within(at, ASK_EVERY) => Question::None(is_ready),
            (Some(_), Some(at)) if is_within(at, WRITE_EVERY) => Question::Look,
            _ => Question::Write,
        }
    }

    fn answered(self, question: &Question, is_ready: bool, now: Instant) -> Self {
        let written = if *question == Question::Write { Some(now) } else { self.written };
        Self { answer: Some((now, is_ready)), written: written.filter(|_| is_ready), has_failed: false }
    }
}

impl StorageWatch {
    /// Is the store ready? Asks it, unless it has answered within the last five seconds. Answers within five more.
    pub async fn is_ready(&self, storage: &Storage) -> bool {
        let mut known = self.0.lock().await;
        let question = known.question(Instant::now());
        // boxed: they are deep in the future of a claim
        let answer = match question {
            Question::None(is_ready) => return is_ready,
            Question::Look => Box::pin(storage.answers()).await,
            Question::Write => Box::pin(storage.ready()).await,
        };
        if let Err(error) = &answer {
            tracing::warn!(error = error as &dyn std::error::Error, "the store of results is not ready");
        }
        *known = known.answered(&question, answer.is_ok(), Instant::now());
        answer.is_ok()
    }

    /// May a download be taken? Asks a store that failed last whether it is back, as [`Self::is_ready`] does; no other.
    pub async fn takes_results(&self, storage: &Storage) -> bool {
        let known = *self.0.lock().await;
        let failed = known.has_failed || known.answer.is_some_and(|(_, is_ready)| !is_ready);
        !failed || self.is_ready(storage).await
    }

    /// An attempt found that the store does not answer, or takes nothing.
    pub async fn failed(&self) {
        *self.0.lock().await = Known { has_failed: true, ..Known::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_believed_for_five_minutes_in_which_the_store_answers_well() {
        let began = Instant::now();
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        assert_eq!(Known::default().question(began), Question::Write);
        let known = Known::default().answered(&Question::Write, true, began);
        assert_eq!(known.question(after(4)), Question::None(true));
        assert_eq!(known.question(after(5)), Question::Look);
        let known = known.answered(&Question::Look, true, after(295));
        assert_eq!(known.question(after(299)), Question::None(true));
        assert_eq!(known.question(after(300)), Question::Write, "looks do not make it younger");
        let known = known.answered(&Question::Look, false, after(300));
        assert_eq!(known.question(after(301)), Question::None(false));
        assert_eq!(known.question(after(305)), Question::Write, "it was away");
        let known = known.answered(&Question::Write, false, after(305));
        assert_eq!(known.question(after(310)), Question::Write);
    }
}
