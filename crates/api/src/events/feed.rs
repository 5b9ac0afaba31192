//! Feeds: of each job that somebody follows, how it stands, looked at and made into bytes once for all who do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use haul_shared::ids::{ClientKey, Ticket};
use haul_shared::job::Job;
use haul_shared::store::{Past, Place, Seen, Standing, StoreError, Watch};
use haul_shared::view::JobView;
use tokio::sync::{OnceCell, watch};

use super::frame::{Name, Phase, frame};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// Until the next look when Redis does not answer. Who follows a job is kept meanwhile.
const BREATHE: Duration = Duration::from_secs(1);

/// How a job stands, and whether it stands otherwise. Closed: there is nothing more to tell, or nobody who could.
pub type News = watch::Receiver<Arc<Newest>>;

/// A job, and whether it is shown as admins see it.
type Subject = (Ticket, bool);

/// Tells who follows it how a job stands.
type Sender = watch::Sender<Arc<Newest>>;

/// The jobs that somebody follows.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<Subject, Arc<Sender>>>);

/// How a job stands.
#[derive(Debug)]
pub struct Newest {
    /// Whose job it is.
    client: ClientKey,
    /// Which of its moments that is.
    pub standing: Standing,
    /// When the look at it began.
    looked: Instant,
    /// None: it goes on.
    pub(super) end: Option<Name>,
    pub(super) phase: Phase,
    /// The event, for all who have heard the one before.
    pub(super) event: Bytes,
    /// What the event was made with.
    pub(super) made: (bool, Name),
    json: std::ops::Range<usize>,
    past: OnceCell<Option<Arc<Past>>>,
}

impl Newest {
    /// Has the job ended? Then this is the last that there is to tell.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The job, as JSON.
    pub(super) fn json(&self) -> &[u8] {
        &self.event[self.json.clone()]
    }

    /// The moments up to here, as far as they are recorded; read once for all who have missed some. `None`: the job is gone.
    pub(super) async fn past(&self, app: &App, ticket: Ticket) -> Result<Option<Arc<Past>>, StoreError> {
        let read = async || Ok(app.jobs.moments(ticket).await?.map(Arc::new));
        self.past.get_or_try_init(read).await.cloned()
    }

    fn of(app: &App, seen: (Job, Standing), looked: Instant, admin: bool, before: Option<&Self>) -> ApiResult<Self> {
        let (job, standing) = seen;
        let view = JobView::of(&job, app.request_of(&job)?, &app.base_url, admin);
        let json = serde_json::to_vec(&view).expect("a view has only plain fields, and memory takes all bytes");
        let (end, phase, place) = (Name::of_end(&job.state), Phase::of(&job), standing.place);
        let is_other = before.is_none_or(|before| before.standing.place != place);
        let is_moment = match before {
            Some(before) if !is_other => before.phase != phase,
            _ => place.changes == 0,
        };
        let name = end.unwrap_or(if is_moment { Name::Stage } else { Name::Progress });
        let event = frame(is_other.then_some(place), name, &json);
        let till = event.len() - 2;
        Ok(Self {
            client: job.client,
            standing,
            looked,
            end,
            phase,
            json: till - json.len()..till,
            event,
            made: (is_other, name),
            past: OnceCell::new(),
        })
    }
}

impl Feeds {
    /// Follows a job, for one who has `heard` of it up to this place, maybe elsewhere. `None`: the caller may see none such.
    ///
    /// # Errors
    /// `service_unavailable`; `internal` for a record that this version cannot read.
    pub async fn follow(
        &self,
        app: &Arc<App>,
        ticket: Ticket,
        caller: &Caller,
        heard: Option<Place>,
    ) -> ApiResult<Option<News>> {
        let subject = (ticket, caller.is_admin());
        let found = self.lock().get(&subject).map(|feed| (Arc::clone(feed), feed.subscribe()));
        let Some((feed, news)) = found else { return self.begin(app, subject, caller).await };
        let before = Arc::clone(&news.borrow());
        if caller.may_see(&before.client) && heard.is_none_or(|heard| heard <= before.standing.place) {
            return Ok(Some(news));
        }
        // another API was quicker to tell it; or it is somebody else's, and answered as if nobody followed it
        let looked = Instant::now();
        let Some(seen) = app.jobs.look(ticket).await? else { return Ok(None) };
        let Some(seen) = theirs(&seen, caller)? else { return Ok(None) };
        show(&feed, Newest::of(app, seen, looked, subject.1, Some(&before))?);
        Ok(Some(news))
    }

    async fn begin(&self, app: &Arc<App>, subject: Subject, caller: &Caller) -> ApiResult<Option<News>> {
        let (ticket, admin) = subject;
        // watched before it is looked at: what happens between the two wakes the feed
        let Some(mut watch) = app.jobs.watch(ticket).await? else { return Ok(None) };
        let looked = Instant::now();
        let Some(seen) = app.jobs.look_watched(&mut watch).await? else { return Ok(None) };
        let Some(seen) = theirs(&seen, caller)? else { return Ok(None) };
        let newest = Newest::of(app, seen, looked, admin, None)?;
        if newest.has_ended() {
            return Ok(Some(watch::channel(Arc::new(newest)).1));
        }
        let mut feeds = self.lock();
        if let Some(feed) = feeds.get(&subject) {
            let news = feed.subscribe();
            show(feed, newest);
            return Ok(Some(news));
        }
        let (sender, news) = watch::channel(Arc::new(newest));
        let sender = Arc::new(sender);
        feeds.insert(subject, Arc::clone(&sender));
        drop(feeds);
        let feed = Feed { app: Arc::clone(app), subject, sender };
        tokio::spawn(async move {
            let stop = feed.app.shutdown.clone();
            stop.run_until_cancelled(feed.run(watch)).await;
        });
        Ok(Some(news))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Arc<Sender>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was seen, if it is for the caller: as of any other, nothing more is made of it, and nothing said.
fn theirs(seen: &Seen, caller: &Caller) -> ApiResult<Option<(Job, Standing)>> {
    let (job, standing) = seen.standing()?;
    Ok(caller.may_see(&job.client).then_some((job, standing)))
}

/// Tells all who follow a job how it stands, unless they know, or know better. Of two looks at once, the later one may be
/// answered first, and even have read earlier: a place never falls by itself, so only among equals the later look counts.
fn show(feed: &Sender, newest: Newest) {
    let newest = Arc::new(newest);
    feed.send_if_modified(|shown| {
        let is_other = newest.standing != shown.standing || newest.json() != shown.json();
        let is_later = (newest.standing.place, newest.looked) >= (shown.standing.place, shown.looked);
        let is_news = is_other && is_later;
        if is_news {
            *shown = Arc::clone(&newest);
        }
        is_news
    });
}

/// The duty to look at a job for all who follow it. Dropped, there is nothing more to tell.
struct Feed {
    app: Arc<App>,
    subject: Subject,
    sender: Arc<Sender>,
}

impl Feed {
    /// Tells how the job stands until it ends, is gone, or nobody follows it.
    async fn run(self, mut watch: Watch) {
        loop {
            tokio::select! {
                () = watch.changed() => {}
                () = self.sender.closed() => {
                    if self.is_left() {
                        return;
                    }
                }
            }
            match self.look(&mut watch).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!("a job that is followed cannot be shown: {error:?}");
                    return;
                }
            }
        }
    }

    /// Tells how the job stands now. `false`: that was the last.
    async fn look(&self, watch: &mut Watch) -> ApiResult<bool> {
        let (looked, seen) = loop {
            let looked = Instant::now();
            match self.app.jobs.look_watched(watch).await {
                Ok(Some(seen)) => break (looked, seen),
                Ok(None) => return Ok(false),
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(BREATHE).await,
                Err(error) => return Err(ApiError::from(error)),
            }
        };
        let before = Arc::clone(&self.sender.borrow());
        let newest = Newest::of(&self.app, seen.standing()?, looked, self.subject.1, Some(&before))?;
        let goes_on = !newest.has_ended();
        show(&self.sender, newest);
        Ok(goes_on)
    }

    /// Does nobody follow it? Then nobody finds it any more.
    fn is_left(&self) -> bool {
        let mut feeds = self.app.feeds.lock();
        let is_left = self.sender.receiver_count() == 0;
        if is_left {
            feeds.remove(&self.subject);
        }
        is_left
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut feeds = self.app.feeds.lock();
        if feeds.get(&self.subject).is_some_and(|feed| Arc::ptr_eq(feed, &self.sender)) {
            feeds.remove(&self.subject);
        }
    }
}
