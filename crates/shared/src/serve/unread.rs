//! What a client goes on sending when it has its answer: who is refused is refused by the head of the request, and nobody
//! reads the body.
//!
//! hyper closes a connection when a body was not read, without a word, and the client's next request is lost with it. So
//! what is left is read for a while, and the connection is good for another request; where that would be too much, the
//! answer says that this was the last one (RFC 9112 §9.6). HTTP/2 needs neither: a stream ends by itself.

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

/// Bytes that are read for nobody.
const MOST: u64 = 16 << 20;
/// For them to come.
const WITHIN: Duration = Duration::from_secs(5);

/// What is left of the body of one request, once its handler has let go of it.
pub(super) struct Unread {
    left: Arc<Mutex<Option<Body>>>,
    /// The client waits to be told before it sends a body (RFC 9110 §10.1.1), and was told something else.
    waits: bool,
}

impl Unread {
    /// Stands between a request and its handler; `None`: there is no body that could be left.
    pub(super) fn of(request: &mut hyper::Request<Body>) -> Option<Self> {
        if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
            return None;
        }
        let left = Arc::default();
        let waits = request.headers().contains_key(header::EXPECT);
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Watched { body, is_over: false, left: Arc::clone(&left) });
        Some(Self { left, waits })
    }

    /// Reads it while the answer goes out, or says in the answer's head that the connection ends.
    pub(super) fn settle(self, answer: &mut HeaderMap, activity: Activity) {
        let Some(body) = self.left.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if self.waits || body.size_hint().lower() > MOST {
            answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
            return;
        }
        tokio::spawn(timeout(WITHIN, read(body, activity)));
    }
}

async fn read(body: Body, activity: Activity) {
    let (mut pieces, mut more) = (body.into_data_stream(), MOST);
    while let Some(Ok(piece)) = pieces.next().await {
        // it is no flood that asks for nothing: it was asked with it
        activity.begin_anew();
        more = more.saturating_sub(piece.len() as u64);
        if more == 0 {
            return;
        }
    }
}

/// A body on its way to a handler.
struct Watched {
    body: Body,
    is_over: bool,
    left: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
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
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::mem::take(&mut self.body));
        }
    }
}
