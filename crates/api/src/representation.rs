//! A job, or a playlist, as it is sent, and the tag of exactly these bytes.
//!
//! Who polls a job is mostly told what it was told before. So the last answers are kept beside the records that they
//! were made of, and sent again as long as Redis, which is asked every time, has the same record.
//!
//! Not here: how long an answer is held (`hold`).

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use haul_shared::ids::{ClientKey, Ticket};
use haul_shared::job::{Job, JobState, Thumbnail};
use haul_shared::recent::Recent;
use haul_shared::store::Seen;
use haul_shared::view::JobView;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::auth::Caller;
use crate::conditional;
use crate::error::{ApiError, ApiResult, Code};

/// Answers that are kept.
const MOST: usize = 1024;

/// Bytes of an answer that is worth keeping; the usual one has a fifth.
const LARGEST: usize = 8 * 1024;

/// A job, or a playlist, as it is sent.
#[derive(Debug)]
pub struct Representation {
    etag: HeaderValue,
    body: Bytes,
    /// Is it at its end? What may change after that: its thumbnail's link, and that the result expires or is deleted.
    pub has_ended: bool,
}

/// The answers that were given last.
#[derive(Debug)]
pub struct Representations(Recent<Ticket, Arc<Made>>);

impl Default for Representations {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

/// An answer, and what it was made of.
#[derive(Debug)]
struct Made {
    record: Bytes,
    for_admin: bool,
    /// From when on it would be another, although the record is the same.
    until: Option<Timestamp>,
    /// Whose job it is.
    client: ClientKey,
    representation: Arc<Representation>,
}

impl Representations {
    /// The download, if the caller may see it.
    ///
    /// # Errors
    /// As [`App::find`].
    pub fn of(&self, app: &App, caller: &Caller, ticket: Ticket, seen: &Seen) -> ApiResult<Arc<Representation>> {
        let may_see = |client| caller.may_see(client).then_some(()).ok_or_else(|| ApiError::new(Code::NotFound));
        if let Some(made) = self.0.get(&ticket).filter(|made| made.is_still(seen, caller)) {
            may_see(&made.client)?;
            return Ok(Arc::clone(&made.representation));
        }
        let job = seen.job()?;
        // before anything is made of it: a foreign job takes no longer than one that never was
        may_see(&job.client)?;
        let made = Arc::new(Made::of(app, caller, seen, job)?);
        if made.record.len().max(made.representation.body.len()) <= LARGEST {
            self.0.keep(ticket, Arc::clone(&made));
        }
        Ok(Arc::clone(&made.representation))
    }
}

impl Made {
    fn of(app: &App, caller: &Caller, seen: &Seen, job: Job) -> ApiResult<Self> {
        let view = JobView::of(&job, app.request_of(&job)?, &app.base_url, caller.is_admin());
        let representation = Representation::of(&view, job.state.kind().is_end());
        let until = match job.state {
            JobState::Completed { artifact, expires, .. } => Some(match artifact.beside.thumbnail {
                Thumbnail::Coming { until } => until.min(expires),
                Thumbnail::None | Thumbnail::There(_) => expires,
            }),
            JobState::Queued { .. }
            | JobState::Waiting { .. }
            | JobState::Running { .. }
            | JobState::Found { .. }
            | JobState::Failed { .. }
            | JobState::Cancelled { .. }
            | JobState::Expired { .. } => None,
        };
        Ok(Self {
            record: seen.record().clone(),
            for_admin: caller.is_admin(),
            until,
            client: job.client,
            representation: Arc::new(representation),
        })
    }

    fn is_still(&self, seen: &Seen, caller: &Caller) -> bool {
        self.record == seen.record()
            && self.for_admin == caller.is_admin()
            && self.until.is_none_or(|until| seen.at() < until)
    }
}

impl Representation {
    /// A view as it is sent, of something that is at its end or not.
    #[must_use]
    pub fn of(view: &impl Serialize, has_ended: bool) -> Self {
        let mut body = Vec::with_capacity(2048);
        serde_json::to_writer(&mut body, view).expect("a view has only plain fields, and memory takes all bytes");
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
        let etag = HeaderValue::try_from(etag).expect("base64 in quotes");
        Self { etag, body: body.into(), has_ended }
    }

    /// What `If-None-Match` knows it by.
    #[must_use]
    pub fn etag(&self) -> &str {
        self.etag.to_str().expect("base64 in quotes")
    }

    /// The answer to who has what `If-None-Match` lists.
    #[must_use]
    pub fn into_response_unless(&self, known: Option<&str>) -> Response {
        let headers =
            [(header::ETAG, self.etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
        if known.is_some_and(|known| conditional::lists(known, self.etag())) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (headers, json, Body::from(self.body.clone())).into_response()
    }
}
