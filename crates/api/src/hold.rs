//! Answers that are held: until they would say something else, for some time at most, and not beyond the end of this API.
//!
//! Not here: how many answers one client may have held (`shares`), and how a change is heard of (`store::watch`).

use std::time::Duration;

use axum::http::{HeaderMap, header};
use haul_shared::ids::Ticket;
use haul_shared::store::Seen;
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::auth::Caller;
use crate::conditional;
use crate::error::{ApiError, ApiResult, Code};
use crate::query::Params;
use crate::representation::Representation;
use crate::shares::Share;

/// Longest `wait`.
const LONGEST_WAIT_SECONDS: u64 = 60;

/// How a client wants to be answered: at once, or when the answer is another than it has.
#[derive(Debug)]
pub struct Wish<'a> {
    /// What it has, as `If-None-Match` lists it.
    pub known: Option<&'a str>,
    wait: Duration,
}

impl<'a> Wish<'a> {
    /// Reads `wait`, which has to be the only parameter, and `If-None-Match`.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn read(mut params: Params, headers: &'a HeaderMap) -> ApiResult<Self> {
        let wait = params.number("wait", 0..=LONGEST_WAIT_SECONDS).unwrap_or(0);
        params.end()?;
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        Ok(Self { known, wait: Duration::from_secs(wait) })
    }

    /// A place among those who wait. None: it wants its answer at once, or gets it so, because enough others of the client's
    /// are held.
    #[must_use]
    pub fn place(&self, app: &App, caller: &Caller) -> Option<Share> {
        if self.wait.is_zero() { None } else { app.waits.take(&caller.client).ok() }
    }

    /// For how long it waits, from now on.
    #[must_use]
    pub fn hold<'h>(&self, app: &'h App) -> Hold<'h> {
        Hold::new(app, self.wait)
    }

    /// For what.
    #[must_use]
    pub fn news(&self) -> News<'a> {
        News { known: self.known, first: None }
    }
}

/// What is waited for: another answer than the client has or, where it has none, than the first would have been.
#[derive(Debug)]
pub struct News<'a> {
    known: Option<&'a str>,
    first: Option<String>,
}

impl News<'_> {
    /// Are they in this? An end is news to everybody: nothing comes after it.
    pub fn are_in(&mut self, now: &Representation) -> bool {
        let changed = match (self.known, &self.first) {
            (Some(known), _) => !conditional::lists(known, now.etag()),
            (None, Some(first)) => first.as_str() != now.etag(),
            (None, None) => false,
        };
        self.first.get_or_insert_with(|| now.etag().to_owned());
        changed || now.has_ended
    }
}

/// A time for which an answer may be held.
pub struct Hold<'a> {
    app: &'a App,
    until: Instant,
}

impl<'a> Hold<'a> {
    /// So long from now on.
    #[must_use]
    pub fn new(app: &'a App, time: Duration) -> Self {
        Self { app, until: Instant::now() + time }
    }

    /// Is it to be answered now, whatever there is to say?
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.app.shutdown.is_cancelled()
    }

    /// Waits for a change, as far as there is time.
    pub async fn pause(&self, change: impl Future<Output = ()>) {
        tokio::select! {
            () = change => {}
            () = sleep_until(self.until) => {}
            () = self.app.shutdown.cancelled() => {}
        }
    }

    /// What `see` makes of the job behind a ticket, as soon as it `will_do`, or as it is when the time is over.
    ///
    /// # Errors
    /// `not_found`: there is no such job, or none any more; those of `see`; `service_unavailable`.
    pub async fn job<T>(
        &self,
        ticket: Ticket,
        see: impl Fn(&Seen) -> ApiResult<T>,
        mut will_do: impl FnMut(&T) -> bool,
    ) -> ApiResult<T> {
        let (jobs, gone) = (&self.app.jobs, || ApiError::new(Code::NotFound));
        // watched before the first look: a change between the two wakes us
        let mut watch = jobs.watch(ticket).await?.ok_or_else(gone)?;
        loop {
            let now = see(&jobs.look_watched(&mut watch).await?.ok_or_else(gone)?)?;
            if will_do(&now) || self.is_over() {
                return Ok(now);
            }
            self.pause(watch.changed()).await;
        }
    }
}
