//! The entries of a list, for who orders them.
//!
//! They are taken from what is fresh only: what is stale is shown to who looks, but not ordered from. Of an entry its address
//! and title are taken, as a client could have sent them. Not here: which of them are ordered (`playlist`).

use haul_shared::metadata::{Entry, Look};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{MetadataService, Recalled, Remembered};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};

/// What is at an address, as far as it matters to who orders a list. Read from what is shown of it.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct List {
    /// Of the list, or of the medium.
    pub title: Option<String>,
    /// Where it says that it is.
    pub webpage_url: Option<String>,
    /// Those that were looked at; none of a medium.
    pub entries: Vec<Entry>,
    formats: Vec<IgnoredAny>,
}

impl List {
    /// Is it no list, but a medium?
    #[must_use]
    pub fn is_medium(&self) -> bool {
        self.entries.is_empty() && !self.formats.is_empty()
    }

    fn of(known: &Remembered) -> ApiResult<Self> {
        serde_json::from_slice(&known.body).map_err(|error| ApiError::new(Code::Internal).because(&error))
    }
}

impl MetadataService {
    /// The list at an address, if that is known without a look.
    ///
    /// # Errors
    /// Why there is none, if that is known.
    pub async fn known_list(&self, what: &Look) -> ApiResult<Option<List>> {
        match self.recall(what).await {
            Some(Recalled::Found(known)) if known.found.elapsed() < self.fresh => List::of(&known).map(Some),
            Some(Recalled::Refused(refusal, _)) => Err(refusal),
            Some(Recalled::Found(_)) | None => Ok(None),
        }
    }

    /// Has a worker look at the list at an address, and waits for what it finds.
    ///
    /// # Errors
    /// Why nothing is found; those of having a job done.
    pub async fn find_list(&self, what: &Look, caller: &Caller) -> ApiResult<List> {
        if self.memory.get(what).await.is_some_and(|known| known.found.elapsed() >= self.fresh) {
            // or who looks would be given it
            self.memory.invalidate(what).await;
        }
        List::of(&self.looked(what, caller).await?)
    }
}
