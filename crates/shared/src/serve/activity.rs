//! What goes on over one connection, and when it is of no use any more.
//!
//! A connection lives as long as its client keeps it, which costs a client nothing and us one of our connections. So it is
//! asked to end when it has had no request for a while, and so is one whose client takes nothing of what it asked for.
//! Requests that wait for their answer, and answers that are being taken, count as busy.
//!
//! Not here: how long a handler may think (the router), and a client that takes no byte at all (`serve`).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// For a connection without any request. Proxies keep one for 60 s (nginx's `keepalive_timeout` of an upstream, the idle
/// time-out of AWS's load balancers) and send an order over it that nobody sends again: who closes first has to be they.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// For one with requests, of which none begins, ends, or gets a piece of its answer. Longer than any handler takes.
pub(super) const STUCK: Duration = Duration::from_secs(300);
/// Bytes that a client sends between two such events: several bodies, and the frames of HTTP/2 about them. More is a flood
/// of frames that ask for nothing (CVE-2019-9512, CVE-2019-9515).
const MOST_BYTES: usize = 2 << 20;

/// What goes on over one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose answer is not yet taken whole.
    busy: usize,
    /// Bytes that came since anything went on.
    idle_bytes: usize,
    /// When the first of these came, without a request: with HTTP/1 it begins a head.
    in_head_since: Option<Instant>,
    /// When anything last went on.
    last: Instant,
}

/// One request, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Activity {
    /// Of a connection that begins now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { busy: 0, idle_bytes: 0, in_head_since: None, last: Instant::now() })))
    }

    /// A request begins.
    pub(super) fn begin(&self) -> Busy {
        self.goes_on(|state| state.busy += 1);
        Busy(self.clone())
    }

    /// Bytes that came belong to a request that is over.
    pub(super) fn were_asked_for(&self) {
        self.goes_on(|_| ());
    }

    /// Whatever silence was until now counts no more.
    pub(super) fn begin_anew(&self) {
        self.lock().last = Instant::now();
    }

    /// Counts bytes that came. `false`: they ask for nothing, and are too many.
    pub(super) fn read(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        if state.busy == 0 && bytes > 0 {
            state.in_head_since.get_or_insert_with(Instant::now);
        }
        state.idle_bytes = state.idle_bytes.saturating_add(bytes);
        state.idle_bytes <= MOST_BYTES
    }

    /// When a head has begun of which the rest is not there yet, where it is HTTP/1.
    pub(super) fn in_head_since(&self) -> Option<Instant> {
        self.lock().in_head_since
    }

    /// Waits until nothing has gone on for too long. It looks again and again, as nobody wakes it: a connection has then
    /// no channel of its own, and no event wakes it twice.
    pub(super) async fn silence(&self) {
        while let Some(again) = self.look_again() {
            sleep_until(again).await;
        }
    }

    /// When it may be silent for too long at the earliest. `None`: it is.
    fn look_again(&self) -> Option<Instant> {
        let (state, now) = (self.lock(), Instant::now());
        let end = state.last + if state.busy == 0 { IDLE } else { STUCK };
        // whatever ends its last request until then has this long from there
        (end > now).then(|| end.min(now + IDLE))
    }

    fn goes_on(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        (state.idle_bytes, state.in_head_since, state.last) = (0, None, Instant::now());
        change(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// The request ends with the last of this body.
    pub(super) fn until_taken(self, body: Body) -> Body {
        Body::new(Taken { body, busy: self })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.goes_on(|state| state.busy -= 1);
    }
}

/// The body of an answer on its way.
struct Taken {
    body: Body,
    busy: Busy,
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.busy.0.goes_on(|_| ());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
