//! One who follows a job: what they have heard, and what is next.
//!
//! A follower holds no more than its place. Who reads slowly, or comes back, is told each moment that was missed, which the
//! job's record has, and of all that was between them the newest.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use futures::{FutureExt as _, Stream, stream};
use haul_shared::ids::{ClientKey, Ticket};
use haul_shared::store::{Past, Place, StoreError};
use haul_shared::view::JobView;
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep, timeout};

use super::feed::{Newest, News};
use super::frame::{HEARTBEAT, Name, Phase, frame};
use crate::app::App;
use crate::auth::{Caller, bearer};
use crate::error::ApiResult;
use crate::shares::Share;

/// Between two signs of life; proxies end what is silent for a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// How often a key is looked at again, when there is something to tell. The keys file is read as often.
const KEY_AGAIN: Duration = Duration::from_secs(2);

/// Milliseconds after which a client comes back that was cut off: not all of them at once.
const COME_BACK_MS: std::ops::RangeInclusive<u32> = 2000..=4000;

/// Who follows, and whether they still may.
pub struct Asker {
    client: ClientKey,
    admin: bool,
    key: Option<SecretString>,
    checked: Instant,
}

impl Asker {
    /// Whoever sent this request, who may follow now.
    #[must_use]
    pub fn of(caller: &Caller, headers: &HeaderMap) -> Self {
        let key = bearer(headers).map(SecretString::from);
        Self { client: caller.client.clone(), admin: caller.is_admin(), key, checked: Instant::now() }
    }

    /// Is their key still what it was?
    fn may_go_on(&mut self, app: &App) -> bool {
        let Some(ring) = &app.keys else { return true };
        if self.checked.elapsed() < KEY_AGAIN {
            return true;
        }
        self.checked = Instant::now();
        let key = self.key.as_ref().and_then(|key| ring.find(key.expose_secret()));
        key.is_some_and(|key| ClientKey::of_api_key(&key.name) == self.client && key.admin == self.admin)
    }
}

/// One who follows a job.
pub struct Follower {
    app: Arc<App>,
    ticket: Ticket,
    asker: Asker,
    news: News,
    /// The last that was told; none: nothing yet.
    heard: Option<Place>,
    /// Status, stage and attempt then, as far as that is known.
    phase: Option<Phase>,
    /// The newest has not been dealt with.
    is_unread: bool,
    /// What was missed, up to this moment.
    missed: Option<(Arc<Past>, u32)>,
    has_begun: bool,
    has_ended: bool,
    _place: Share,
}

impl Follower {
    /// Follows from the place that it has `heard`; from now on, if there was none such.
    #[must_use]
    pub fn new(
        app: Arc<App>,
        ticket: Ticket,
        asker: Asker,
        mut news: News,
        heard: Option<Place>,
        place: Share,
    ) -> Self {
        let newest = news.borrow_and_update().standing.place;
        let heard = heard.filter(|heard| *heard <= newest);
        Self {
            app,
            ticket,
            asker,
            is_unread: heard != Some(newest),
            news,
            heard,
            phase: None,
            missed: None,
            has_begun: false,
            has_ended: false,
            _place: place,
        }
    }

    /// Has it been told all, the end included? Then there is nothing to come back for.
    #[must_use]
    pub fn has_heard_all(&self) -> bool {
        // in one look: it may end between two
        let newest = self.news.borrow();
        newest.has_ended() && self.heard == Some(newest.standing.place)
    }

    /// What is told, piece by piece, until the job ends, or is gone, or nothing more may be told.
    pub fn tell(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, |mut follower| async move { Some((follower.next().await?, follower)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if !self.has_begun {
            self.has_begun = true;
            // at once: whoever connects sees that it worked
            return Some(format!("retry: {}\n\n", rand::rng().random_range(COME_BACK_MS)).into());
        }
        loop {
            if self.has_ended || !self.asker.may_go_on(&self.app) {
                return None;
            }
            if self.is_unread {
                match self.unread().await {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => {}
                    // what was missed can't be read: until it can, nothing later is told
                    Err(StoreError::Unavailable(_)) => {
                        let slept = self.app.shutdown.run_until_cancelled(sleep(KEY_AGAIN)).await;
                        return slept.map(|()| HEARTBEAT);
                    }
                    Err(_) => return None,
                }
                continue;
            }
            match timeout(SIGN_OF_LIFE, self.news.changed()).await {
                Ok(Ok(())) => self.is_unread = true,
                Ok(Err(_closed)) => return None,
                Err(_elapsed) if self.asker.may_go_on(&self.app) => return Some(HEARTBEAT),
                Err(_elapsed) => return None,
            }
        }
    }

    /// The next that was not told yet. `None`: look again.
    async fn unread(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let Some(event) = self.next_missed() {
            return Ok(Some(event));
        }
        let newest = Arc::clone(&self.news.borrow_and_update());
        let place = newest.standing.place;
        let next = match self.heard {
            None => place.moment,
            Some(heard) if heard.turn == place.turn => (heard.moment + 1).max(newest.standing.first),
            // it was tried again
            Some(_) => newest.standing.first,
        };
        let is_the_newest = place.changes == 0 || newest.has_ended();
        if self.heard.is_none() || next > place.moment || (next == place.moment && is_the_newest) {
            return Ok(Some(self.show(&newest, next)));
        }
        // boxed: it is rarely needed, and each follower would have room for a whole call of Redis
        let past = newest.past(&self.app, self.ticket).boxed();
        // none: the job is gone, or the API stops
        let Some(past) = self.app.shutdown.run_until_cancelled(past).await.transpose()?.flatten() else {
            self.has_ended = true;
            return Ok(None);
        };
        self.heard = Some(Place { turn: place.turn, moment: next - 1, changes: 0 });
        self.missed = Some((past, if is_the_newest { place.moment - 1 } else { place.moment }));
        Ok(None)
    }

    /// The next of what was missed.
    fn next_missed(&mut self) -> Option<Bytes> {
        let (past, last) = self.missed.take()?;
        let heard = self.heard?;
        let is_next = |number: u32| past.place.turn == heard.turn && number > heard.moment && number <= last;
        let Some(moment) = past.moments.iter().find(|moment| is_next(moment.number)) else {
            // also past what the record has forgotten
            self.heard = Some(Place { moment: last.max(heard.moment), ..heard });
            return None;
        };
        let job = moment.of(&past.job);
        let place = Place { moment: moment.number, changes: 0, ..heard };
        let event = self.event_of(&job, place).ok();
        (self.heard, self.phase) = (Some(place), Some(Phase::of(&job)));
        self.missed = Some((past, last));
        event
    }

    fn event_of(&self, job: &haul_shared::job::Job, place: Place) -> ApiResult<Bytes> {
        let view = JobView::of(job, self.app.request_of(job)?, &self.app.base_url, self.asker.admin);
        let json = serde_json::to_vec(&view).expect("a view has only plain fields, and memory takes all bytes");
        Ok(frame(Some(place), Name::Stage, &json))
    }

    /// How the job stands, to whom `next` is the next moment.
    fn show(&mut self, newest: &Newest, next: u32) -> Bytes {
        let place = newest.standing.place;
        let is_news = self.heard.is_none() || next == place.moment || self.phase.is_some_and(|it| it != newest.phase);
        let name = newest.end.unwrap_or(if is_news { Name::Stage } else { Name::Progress });
        let has_id = self.heard != Some(place);
        (self.heard, self.phase) = (Some(place), Some(newest.phase));
        (self.is_unread, self.has_ended) = (false, newest.has_ended());
        if newest.made == (has_id, name) {
            newest.event.clone()
        } else {
            frame(has_id.then_some(place), name, newest.json())
        }
    }
}
