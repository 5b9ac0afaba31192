//! What goes on over one connection, and when it is of no use any more.
//!
//! A connection of HTTP/2 lives as long as its client answers pings, which costs a client nothing and us one of our
//! connections. So it is asked to end when it has had no request for a while, and so is one whose client takes nothing of
//! what it asked for. Requests that wait for their answer, and answers that are being taken, count as busy.
//!
//! Not here: how long a handler may think (the router), and a client that takes no byte at all (`serve`).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// For a connection without any request.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// For one with requests, of which none begins, ends, or gets a piece of its answer. Longer than any handler takes.
pub(super) const STUCK: Duration = Duration::from_secs(300);
/// Bytes that a client sends between two such events: several bodies, and the frames of HTTP/2 about them. More is a flood
/// of frames that ask for nothing (CVE-2019-9512, CVE-2019-9515).
const MOST_BYTES: usize = 2 << 20;

/// What goes on over one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests whose answer is not yet taken whole.
    busy: usize,
    /// Bytes that came since anything went on.
    idle_bytes: usize,
}

/// One request, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Activity {
    /// A request begins.
    pub(super) fn begin(&self) -> Busy {
        self.goes_on(|state| state.busy += 1);
        Busy(self.clone())
    }

    /// Counts bytes that came. `false`: they ask for nothing, and are too many.
    pub(super) fn read(&self, bytes: usize) -> bool {
        let mut is_fine = true;
        // nobody is woken: this is what goes on when nothing does
        self.0.send_if_modified(|state| {
            state.idle_bytes = state.idle_bytes.saturating_add(bytes);
            is_fine = state.idle_bytes <= MOST_BYTES;
            false
        });
        is_fine
    }

    /// Waits until nothing has gone on for too long.
    pub(super) async fn silence(&self) {
        let mut events = self.0.subscribe();
        loop {
            let longest = if events.borrow_and_update().busy == 0 { IDLE } else { STUCK };
            if timeout(longest, events.changed()).await.is_err() {
                return;
            }
        }
    }

    fn goes_on(&self, change: impl FnOnce(&mut State)) {
        self.0.send_modify(|state| {
            state.idle_bytes = 0;
            change(state);
        });
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
