//! How much may pass, and what counts against it. What is to pass is judged elsewhere, and the bytes are counted where they
//! pass (`stream`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Guard, Inner, Refusal};

/// What a question with a signed address and some cookies takes. Most take a fifth of that.
const QUESTION_BYTES: u64 = 2 << 10;
/// Of pages and manifests, of which honest ones have a few MiB.
const LOOK_BYTES: u64 = 128 << 20;

/// From a question of a program to the head of its answer. A program that tires first makes guesses: each is told to wait
/// longer, by a time that follows from this one (`ytdlp::command`).
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(12);

/// Of one message: a job, whose request has at most 64 KiB.
const MESSAGE_BYTES: u64 = 256 << 10;
/// Longer than whoever sends it waits for its answer (`webhooks::message`), and says so itself.
const MESSAGE_WITHIN: Duration = Duration::from_secs(20);

/// What one attempt may take of the net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes that come, over all connections.
    pub received_bytes: u64,
    /// Bytes that programs send, answered or not: questions, and what a site wants to be told.
    pub sent_bytes: u64,
    /// Bytes more that programs may send for each answer, of [`Caps::requests`] answers at most: who asks for much has
    /// much to say.
    pub sent_bytes_per_answer: u64,
    /// Connections at once.
    pub connections: usize,
    /// Questions that are seen, and tunnels.
    pub requests: u64,
    /// From a question over http to the head of its answer, the way to its origin included.
    pub head_within: Duration,
}

impl Caps {
    /// For an operator who wants so many fragments at once of each of two formats, if that is more than usual.
    #[must_use]
    pub fn for_fragments(self, at_once: usize) -> Self {
        Self { connections: self.connections.max(2 * at_once + 16), ..self }
    }

    /// For a look at metadata, which takes no medium: it is cheap to order, and is to be cheap to make.
    #[must_use]
    pub fn for_a_look(self) -> Self {
        Self { received_bytes: self.received_bytes.min(LOOK_BYTES), ..self }
    }

    /// For one message that we send. Its answer counts by its head, however much that announces; we read next to nothing of
    /// the rest.
    #[must_use]
    pub fn for_a_message(self) -> Self {
        Self {
            received_bytes: u64::MAX,
            sent_bytes: MESSAGE_BYTES,
            connections: 1,
            requests: 1,
            head_within: MESSAGE_WITHIN,
            ..self
        }
    }

    /// For a job whose files may have so many bytes: they come with heads, with pages, and now and then twice.
    #[must_use]
    pub fn for_files_of(most_bytes: u64) -> Self {
        let received_bytes = most_bytes.saturating_add(most_bytes / 10).saturating_add(64 << 20);
        Self {
            received_bytes,
            sent_bytes: 16 << 20,
            sent_bytes_per_answer: QUESTION_BYTES,
            connections: 64,
            requests: 50_000,
            head_within: HEAD_WITHIN,
        }
    }
}

impl Guard {
    /// So many questions more than of any download: a recording asks as long as it lasts. To be called by whoever knows how
    /// long that is, once.
    pub fn may_ask_more(&self, questions: u64) {
        self.inner.more_requests.store(questions, Ordering::Relaxed);
    }

    /// Another question is asked.
    pub(crate) fn ask(&self) -> Result<(), Refusal> {
        let most = self.inner.caps.requests.saturating_add(self.inner.more_requests.load(Ordering::Relaxed));
        if self.inner.requests.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(());
        }
        self.refuse(Refusal::Requests);
        Err(Refusal::Requests)
    }

    /// A program has been told something that it had asked for: it may go on asking.
    pub(super) fn note_answer(&self) {
        self.inner.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many bytes programs may have sent by now. It grows with what they are told, as far as the number of questions goes,
    /// and so has an end for one that sends something else. What we ask ourselves is bounded by that number alone.
    pub(super) fn may_be_sent_bytes(&self) -> u64 {
        let Inner { answers, caps, .. } = &*self.inner;
        let Caps { sent_bytes, sent_bytes_per_answer, requests, .. } = *caps;
        let answers = answers.load(Ordering::Relaxed).min(requests);
        sent_bytes.saturating_add(answers.saturating_mul(sent_bytes_per_answer))
    }

    /// How many bytes may still come.
    pub(super) fn left_bytes(&self) -> u64 {
        self.inner.caps.received_bytes.saturating_sub(self.taken_bytes())
    }

    /// How many bytes an answer may announce: those of a medium, also to a look, which takes no more than its beginning; and to
    /// a message as many as it likes.
    pub(super) fn may_be_announced_bytes(&self) -> u64 {
        let Inner { rules, caps, .. } = &*self.inner;
        rules.caps.received_bytes.max(caps.received_bytes).saturating_sub(self.taken_bytes())
    }

    fn taken_bytes(&self) -> u64 {
        let Inner { received, written_off, .. } = &*self.inner;
        received.load(Ordering::Relaxed).saturating_sub(written_off.load(Ordering::Relaxed))
    }
}
