//! What the holder of a ticket keeps beside a result: notes, a judgement, and how often it was fetched.

use super::scripts::{self, invocation};
use super::{JobStore, StoreError};
use crate::ids::Ticket;
use crate::job::Annotation;

/// What came of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotated {
    /// It is noted.
    Done,
    /// The job has no result, or none any more.
    Unready,
    /// There is no such ticket.
    Gone,
}

impl JobStore {
    /// Notes something beside the result of a ticket. It may be asked again: the answer is the same.
    ///
    /// # Errors
    /// [`StoreError::OutOfMemory`], [`StoreError::Unavailable`].
    pub async fn annotate(&self, ticket: Ticket, annotation: &Annotation) -> Result<Annotated, StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::ANNOTATE);
        call.arg(ticket.to_string());
        if let Some(notes) = &annotation.notes {
            call.arg("no").arg(notes.as_deref().unwrap_or_default());
        }
        if let Some(favourite) = annotation.favourite {
            call.arg("fav").arg(if favourite { "1" } else { "" });
        }
        if let Some(rating) = annotation.rating {
            call.arg("rat").arg(rating.map_or_else(String::new, |rating| rating.to_string()));
        }
        match self.run_durably::<String>(&call).await?.as_str() {
            "ok" => Ok(Annotated::Done),
            "unready" => Ok(Annotated::Unready),
            "gone" => Ok(Annotated::Gone),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// Counts that the holder of a ticket was handed its result. An unanswered call is not asked again, for it would count
    /// twice.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn fetched(&self, ticket: Ticket) -> Result<(), StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::FETCHED);
        self.run_once::<String>(call.arg(ticket.to_string())).await.map(drop)
    }
}
