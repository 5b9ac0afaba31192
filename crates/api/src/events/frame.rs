//! An event as text (WHATWG HTML §9.2.6), and the id by which a client says where it was.

use std::fmt::Write as _;

use bytes::Bytes;
use haul_shared::job::{Job, JobState, Progress, Stage};
use haul_shared::store::Place;

/// What is sent when there is nothing to tell.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Only numbers are others.
    Progress,
    /// Status, stage or attempt is another.
    Stage,
    /// There is, or was, a result. The last event.
    Completed,
    /// There is none, and none will come. The last event.
    Failed,
    /// Its client took it back. The last event.
    Cancelled,
}

impl Name {
    /// Of a job's end; `None`: it goes on. What is `expired` is told by what came of it before.
    pub(super) fn of_end(state: &JobState) -> Option<Self> {
        match state {
            JobState::Queued { .. } | JobState::Waiting { .. } | JobState::Running { .. } => None,
            JobState::Completed { .. } | JobState::Found { .. } | JobState::Expired { artifact: Some(_), .. } => {
                Some(Self::Completed)
            }
            JobState::Failed { .. } | JobState::Expired { artifact: None, .. } => Some(Self::Failed),
            JobState::Cancelled { .. } => Some(Self::Cancelled),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Stage => "stage",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What makes an event one of a stage, when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    stage: Option<Stage>,
    attempt: u32,
}

impl Phase {
    pub(super) fn of(job: &Job) -> Self {
        let is_running = matches!(job.state, JobState::Running { .. });
        let stage = is_running.then(|| job.progress.unwrap_or_else(Progress::start).stage);
        Self { stage, attempt: job.attempt }
    }
}

/// An event. Without an id, a client goes on from the one before.
pub(super) fn frame(id: Option<Place>, name: Name, json: &[u8]) -> Bytes {
    let mut head = String::with_capacity(64);
    if let Some(Place { turn, moment, changes }) = id {
        let _infallible = writeln!(head, "id: {turn}-{moment}.{changes}");
    }
    let _infallible = write!(head, "event: {}\ndata: ", name.word());
    // JSON has no line break outside of its strings, and none in them that is not escaped
    [head.as_bytes(), json, b"\n\n"].concat().into()
}

/// The place that an id stands for; `None`: it is none of ours.
#[must_use]
pub fn place(id: &str) -> Option<Place> {
    let (turn, rest) = id.split_once('-')?;
    let (moment, changes) = rest.split_once('.')?;
    let place = Place { turn: turn.parse().ok()?, moment: moment.parse().ok()?, changes: changes.parse().ok()? };
    (place.moment > 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_text_that_says_where_its_reader_is() {
        let at = Place { turn: 1, moment: 12, changes: 3 };
        let event = frame(Some(at), Name::Progress, b"{\"id\":1}");
        assert_eq!(event, "id: 1-12.3\nevent: progress\ndata: {\"id\":1}\n\n");
        assert_eq!(frame(None, Name::Stage, b"{}"), "event: stage\ndata: {}\n\n");
        assert_eq!(place("1-12.3"), Some(at));
        for garbage in ["", "-", "1-2", "1.2-3", "a-1.1", "1-1.1.1", "1-1.99999999999", "1-0.1", "1--1.0", "é-1.0"] {
            assert_eq!(place(garbage), None, "{garbage}");
        }
    }
}
