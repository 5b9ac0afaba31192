//! How a playlist stands: told by how its downloads stand, each time anew, without IO.

use haul_shared::job::JobState;
use haul_shared::view::status_word;

/// The status of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of it has begun.
    Queued,
    /// Some of it is done, or being done, and not all.
    Running,
    /// It has ended, and there is a result of everything; some may have expired since.
    Completed,
    /// It has ended, with results of some.
    Partial,
    /// It has ended without a result.
    Failed,
    /// The same, because somebody wanted no more of it.
    Cancelled,
    /// There were results, and none is left.
    Expired,
}

impl Standing {
    /// Of a playlist with these downloads, those of them that are not deleted, and so many entries that were refused.
    #[must_use]
    pub fn of<'a>(states: impl IntoIterator<Item = &'a JobState>, refused: usize) -> Self {
        let (mut waiting, mut running, mut there, mut gone) = (0, 0, 0, 0);
        let (mut failed, mut cancelled) = (refused, 0);
        for state in states {
            *match state {
                JobState::Queued { .. } | JobState::Waiting { .. } => &mut waiting,
                JobState::Running { .. } => &mut running,
                JobState::Completed { .. } | JobState::Found { .. } => &mut there,
                JobState::Expired { artifact: Some(_), .. } => &mut gone,
                // its time was over before it was done
                JobState::Failed { .. } | JobState::Expired { artifact: None, .. } => &mut failed,
                JobState::Cancelled { .. } => &mut cancelled,
            } += 1;
        }
        let ended = there + gone + failed - refused + cancelled;
        match (waiting, running) {
            (0, 0) if there > 0 && failed + cancelled == 0 => Self::Completed,
            (0, 0) if there > 0 => Self::Partial,
            (0, 0) if gone > 0 => Self::Expired,
            (0, 0) if cancelled > 0 => Self::Cancelled,
            (0, 0) if failed > 0 => Self::Failed,
            // each was deleted, or outlived its record
            (0, 0) => Self::Expired,
            (_, 0) if ended == 0 => Self::Queued,
            _ => Self::Running,
        }
    }

    /// The word of `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Does nothing of it go on?
    #[must_use]
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Is there something to be sent as a ZIP?
    #[must_use]
    pub fn has_results(self) -> bool {
        matches!(self, Self::Completed | Self::Partial)
    }
}

/// How many of these have this status.
pub(super) fn count(states: &[&JobState], status: &str) -> usize {
    states.iter().filter(|state| status_word(state) == status).count()
}

#[cfg(test)]
pub(super) mod tests {
    use haul_shared::ids::WorkerId;
    use haul_shared::job::{Artifact, Failure, FailureKind};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn artifact() -> Artifact {
        serde_json::from_value(json!({
            "o": "m/0b3a6f1e5b0c4c579a523b1f2f3a7c11/1/media.mp4", "n": "a", "e": "mp4", "b": 7, "t": "video/mp4", "s": "",
            "c": "mp4",
        }))
        .expect("a result")
    }

    /// The state of this letter; a result has 7 bytes.
    pub(in super::super) fn state(letter: char) -> JobState {
        let at = Timestamp::UNIX_EPOCH;
        match letter {
            'q' => JobState::Queued { position: 1 },
            'w' => JobState::Waiting { due: at, last: None },
            'r' => JobState::Running { worker: WorkerId::stored("w") },
            'c' => JobState::Completed { artifact: artifact(), finished: at, expires: Timestamp::MAX },
            'f' => JobState::Failed { failure: Failure::new(FailureKind::Private, ""), finished: at },
            'x' => JobState::Cancelled { at },
            'e' => JobState::Expired { artifact: Some(artifact()), finished: at, at },
            'l' => JobState::Expired { artifact: None, finished: at, at },
            other => panic!("no state {other}"),
        }
    }

    #[test]
    fn a_playlist_stands_as_its_downloads_do() {
        for (states, refused, word) in [
            ("qqq", 0, "queued"),
            ("qwq", 2, "queued"),
            ("qrq", 0, "running"),
            ("qcq", 0, "running"),
            ("xxq", 0, "running"),
            ("fw", 0, "running"),
            ("ccc", 0, "completed"),
            ("cec", 0, "completed"),
            ("ccc", 1, "partial"),
            ("cfc", 0, "partial"),
            ("cxx", 0, "partial"),
            ("cl", 0, "partial"),
            ("eee", 0, "expired"),
            ("ef", 0, "expired"),
            ("ffx", 0, "cancelled"),
            ("xxx", 1, "cancelled"),
            ("fff", 0, "failed"),
            ("", 3, "failed"),
            ("l", 0, "failed"),
            ("", 0, "expired"),
        ] {
            let all: Vec<JobState> = states.chars().map(state).collect();
            let standing = Standing::of(&all, refused);
            assert_eq!(standing.word(), word, "{states} and {refused} refused");
            assert_eq!(standing.is_end(), !states.contains(['q', 'w', 'r']), "{states}");
        }
    }
}
