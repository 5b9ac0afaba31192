//! The state machine of a job, once.
//!
//! ```text
//!            submit             lease                complete
//!  (none) ──────────▶ queued ─────────▶ running ───────────────▶ completed
//!                      ▲  ▲  ◀─ release ─┘ │ │ fail for good, third lost lease
//!        promote (due) │  │                │ └─────────────────▶ failed
//!                      │  └── retry ── failed, cancelled
//!                     waiting ◀── fail, defer, reap; lease, for the sake of its site
//!  cancel: queued, waiting, running ▶ cancelled      expire: queued, waiting, running ▶ expired
//!  an owner that was only slow, until somebody else starts:
//!    heartbeat: queued, waiting ▶ running            complete: queued, waiting ▶ completed
//! ```
//! The scripts get this table as text generated from [`ALLOWED`] and know no state by name.

/// A state without its fields. The word is what Redis holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "described at `JobState`")]
pub enum StateKind {
    Queued,
    Waiting,
    Running,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

impl StateKind {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Waiting, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::Expired];

    /// The stored word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Is this an end?
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Waiting | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired => true,
        }
    }
}

/// What can happen to a job that exists. One script each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Another ticket joins the run.
    Join,
    /// A finished result is handed to another ticket.
    Reuse,
    /// Another ticket is told at once that the same has just failed for good.
    Recall,
    /// A worker takes it, or puts it off because its site is to be left alone.
    Lease,
    /// Its worker says that it lives; one whose lease was taken back is welcome until somebody else starts.
    Heartbeat,
    /// Its worker is about to put an object into the store.
    Reserve,
    /// Its worker has the result.
    Complete,
    /// Its worker has the thumbnail that was still to come, or says that none will. It stays what it is.
    Thumbnail,
    /// The holder of a ticket notes something beside the result. It stays what it is.
    Annotate,
    /// Its worker gives up this attempt.
    Fail,
    /// Its worker hands it back untouched.
    Release,
    /// Its worker hands it back for later.
    Defer,
    /// A delay is over.
    Promote,
    /// The last ticket leaves.
    Cancel,
    /// The lease ran out.
    Reap,
    /// The job outlived its time unfinished.
    Expire,
    /// Its region has no live worker: another one does it.
    Relocate,
    /// The holder of a ticket asks for another run.
    Retry,
    /// The holder of a ticket wants to be told its end again. It stays what it is.
    Redeliver,
    /// The holder of a ticket wants it gone.
    Forget,
}

/// Which action may leave which states.
pub const ALLOWED: &[(Action, &[StateKind])] = {
    use StateKind::{Cancelled, Completed, Expired, Failed, Queued, Running, Waiting};
    &[
        (Action::Join, &[Queued, Waiting, Running]),
        (Action::Reuse, &[Completed]),
        (Action::Recall, &[Failed]),
        (Action::Lease, &[Queued]),
        (Action::Heartbeat, &[Queued, Waiting, Running]),
        (Action::Reserve, &[Running]),
        (Action::Complete, &[Queued, Waiting, Running]),
        (Action::Thumbnail, &[Completed]),
        (Action::Annotate, &[Completed]),
        (Action::Fail, &[Running]),
        (Action::Release, &[Running]),
        (Action::Defer, &[Running]),
        (Action::Promote, &[Waiting]),
        (Action::Cancel, &[Queued, Waiting, Running]),
        (Action::Reap, &[Running]),
        (Action::Expire, &[Queued, Waiting, Running]),
        (Action::Relocate, &[Queued]),
        (Action::Retry, &[Failed, Cancelled]),
        (Action::Redeliver, &[Completed, Failed, Cancelled, Expired]),
        (Action::Forget, &[Completed, Failed, Cancelled, Expired]),
    ]
};

impl Action {
    /// May it leave this state?
    #[must_use]
    pub fn may_leave(self, state: StateKind) -> bool {
        ALLOWED.iter().any(|(action, states)| *action == self && states.contains(&state))
    }

    /// The word that scripts know the action by.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Reuse => "reuse",
            Self::Recall => "recall",
            Self::Lease => "lease",
            Self::Heartbeat => "heartbeat",
            Self::Reserve => "reserve",
            Self::Complete => "complete",
            Self::Thumbnail => "thumbnail",
            Self::Annotate => "annotate",
            Self::Fail => "fail",
            Self::Release => "release",
            Self::Defer => "defer",
            Self::Promote => "promote",
            Self::Cancel => "cancel",
            Self::Reap => "reap",
            Self::Expire => "expire",
            Self::Relocate => "relocate",
            Self::Retry => "retry",
            Self::Redeliver => "redeliver",
            Self::Forget => "forget",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_left_only_by_those_who_ask_again_and_forget() {
        for (action, states) in ALLOWED {
            let leaves_an_end = states.iter().any(|state| state.is_end());
            let may = matches!(action, Action::Retry | Action::Reuse | Action::Recall | Action::Forget);
            let stays = matches!(action, Action::Thumbnail | Action::Annotate | Action::Redeliver);
            assert_eq!(leaves_an_end, may || stays, "{action:?}");
        }
    }

    #[test]
    fn words_are_read_back() {
        for state in StateKind::ALL {
            assert_eq!(StateKind::of_word(state.word()), Some(state));
        }
    }
}
