//! What a client goes on sending when it has its answer: who is refused by the head of a request has its body on the way.
//!
//! Where a body is not read, hyper closes the connection without a word, and what the client sends next is lost with it, and
//! maybe the answer, too. So it is read for nobody. Where little of it is left the connection is good for another request;
//! else the answer says that this was the last one, and the end waits until the client has had time to hear that (RFC 9112
//! §9.6). HTTP/2 needs none of it: there a stream ends by itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use futures::StreamExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

use super::activity::Activity;

/// Bytes that are read so that a connection can go on.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes that are read before one ends.
const LAST_BYTES: u64 = 12 << 20;
/// For them to come; then the connection is closed.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The body of one request, should its handler let go of it before its end.
pub(super) struct Unread {
    left: Arc<Mutex<Option<Left>>>,
    /// The client asks before it sends a body (RFC 9110 §10.1.1).
    asks_before: bool,
}

struct Left {
    body: Body,
    /// Some of it was asked for.
    is_begun: bool,
}

impl Unread {
    /// Stands between a request and its handler; `None`: there is no body that could be left.
    pub(super) fn of(request: &mut hyper::Request<Body>) -> Option<Self> {
        if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
            return None;
        }
        let left = Arc::default();
        let asks_before = request.headers().contains_key(header::EXPECT);
        let body = std::mem::take(request.body_mut());
        let watched = Watched { body, is_begun: false, is_over: false, left: Arc::clone(&left) };
        *request.body_mut() = Body::new(watched);
        Some(Self { left, asks_before })
    }

    /// Has what is left read while the answer goes out, and says in the answer's head if the connection ends with it.
    pub(super) fn settle(self, answer: &mut HeaderMap, activity: Activity) {
        let Some(Left { body, is_begun }) = self.left.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let is_sent = is_begun || !self.asks_before;
        let is_little = body.size_hint().upper().is_some_and(|bytes| bytes <= MOST_BYTES);
        if !(is_sent && is_little) {
            answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // who still waits to be told to send it would be told so
        if is_sent {
            tokio::spawn(timeout(READ_WITHIN, read(body, activity)));
        }
    }
}

async fn read(body: Body, activity: Activity) {
    let (mut pieces, mut more) = (body.into_data_stream(), LAST_BYTES);
    while let Some(Ok(piece)) = pieces.next().await {
        activity.were_asked_for();
        more = more.saturating_sub(piece.len() as u64);
        if more == 0 {
            return;
        }
    }
    // and so does what ends it
    activity.were_asked_for();
}

/// A body on its way to a handler.
struct Watched {
    body: Body,
    is_begun: bool,
    is_over: bool,
    left: Arc<Mutex<Option<Left>>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.is_begun = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_over && !self.body.is_end_stream() {
            let left = Left { body: std::mem::take(&mut self.body), is_begun: self.is_begun };
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}
