//! Questions over http that a program has the guard ask: each is judged, asked anew, and answered.
//!
//! Both sides are spoken by the HTTP library, so that what goes to an origin is never what a program has written. The
//! host is that of the target alone (RFC 9112 §3.2.2); what belongs to a connection stays on its own side.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Position, Url};

use super::pace::Pace;
use super::stream::{Seat, Speaker};
use super::{Guard, NotDialled, Refusal};
use crate::origin::{is_address, is_chunked};

/// Read ahead of an origin; a head has to fit as well.
const READ_BYTES: usize = 64 * 1024;
/// Of an answer. Those of honest sites have fewer than fifty.
const MOST_HEADERS: usize = 200;

/// What is answered.
pub(super) type Answer = Response<Either<Paced, Empty<Bytes>>>;

/// The questions of one connection of a program, and the connection to the origin that they were asked over last.
pub(super) struct Exchange {
    guard: Guard,
    kept: Mutex<Option<Origin>>,
}

/// A connection to an origin.
struct Origin {
    /// Scheme, host and port.
    name: String,
    sender: SendRequest<Incoming>,
    _io: AbortOnDropHandle<()>,
}

impl Exchange {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, kept: Mutex::new(None) }
    }

    /// Asks what a program wants to have asked.
    pub(super) async fn answer(&self, question: Request<Incoming>) -> Result<Answer, Infallible> {
        Ok(self.ask(question).await.unwrap_or_else(nothing))
    }

    async fn ask(&self, question: Request<Incoming>) -> Result<Answer, StatusCode> {
        self.guard.ask().map_err(|_| StatusCode::FORBIDDEN)?;
        let url = Url::parse(&question.uri().to_string()).ok().filter(|url| url.scheme() == "http" && is_address(url));
        let Some(url) = url else {
            self.guard.refuse(Refusal::Target);
            return Err(StatusCode::FORBIDDEN);
        };
        let wants_head = question.method() == Method::HEAD;
        let question = anew(question, &url).ok_or(StatusCode::BAD_REQUEST)?;
        let (origin, answer) = self.send(&url, question).await?;
        *self.kept.lock().await = Some(origin);
        let (mut head, body) = answer.into_parts();
        if !wants_head && body.size_hint().exact().is_some_and(|bytes| bytes > self.guard.may_be_announced_bytes()) {
            self.guard.refuse(Refusal::Announced);
            return Err(StatusCode::FORBIDDEN);
        }
        if head.status.is_informational() {
            return Err(StatusCode::BAD_GATEWAY);
        }
        // coded for this hop (RFC 9112 §6.1), unasked: what is taken off the pieces is coded still
        if head.headers.contains_key(TRANSFER_ENCODING) && !is_chunked(&head.headers) {
            return Err(StatusCode::BAD_GATEWAY);
        }
        keep_one_length(&mut head.headers, wants_head);
        strip(&mut head.headers);
        self.guard.note_answer();
        Ok(Response::from_parts(head, Either::Left(Paced::new(body, self.guard.clone()))))
    }

    /// Over the connection of the question before, if that is to the same origin and still good; else over a new one.
    async fn send(
        &self,
        url: &Url,
        mut question: Request<Incoming>,
    ) -> Result<(Origin, Response<Incoming>), StatusCode> {
        let name = url.origin().ascii_serialization();
        let kept = self.kept.lock().await.take();
        if let Some(mut origin) = kept.filter(|origin| origin.name == name && !origin.sender.is_closed()) {
            // an origin may close an idle connection in the moment in which it is used
            match self.awaited(self.until(), origin.sender.try_send_request(question)).await? {
                Ok(answer) => return Ok((origin, answer)),
                Err(mut error) => question = error.take_message().ok_or(StatusCode::BAD_GATEWAY)?,
            }
        }
        let (host, port) = (url.host().ok_or(StatusCode::BAD_REQUEST)?, url.port_or_known_default().unwrap_or(80));
        // what it waits for among others of its own job is not held against the origin
        let seat = self.guard.seat_for(host.clone(), port).await.map_err(|it| status(&it))?;
        let until = self.until();
        let Ok(connected) = timeout_at(until, self.connect(seat, (host, port), name)).await else {
            self.guard.note_unreached();
            return Err(StatusCode::BAD_GATEWAY);
        };
        let mut origin = connected?;
        let answer = self.awaited(until, origin.sender.send_request(question)).await?;
        Ok((origin, answer.map_err(|_| StatusCode::BAD_GATEWAY)?))
    }

    /// When a question that is asked now is answered, or its program is told that nobody answers it.
    fn until(&self) -> Instant {
        Instant::now() + self.guard.inner.caps.head_within
    }

    async fn connect(&self, seat: Seat, (host, port): (Host<&str>, u16), name: String) -> Result<Origin, StatusCode> {
        let dialled = self.guard.dial_for(Speaker::Program, seat, host, port).await;
        let stream = dialled.map_err(|it| status(&it))?;
        let mut builder = http1::Builder::new();
        builder.read_buf_exact_size(Some(READ_BYTES)).max_headers(MOST_HEADERS);
        builder.preserve_header_case(true).title_case_headers(true);
        let (sender, io) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let io = AbortOnDropHandle::new(tokio::spawn(async move { drop(io.await) }));
        Ok(Origin { name, sender, _io: io })
    }

    /// An origin that does not answer in time is too slow, and so is one that its program has given up waiting for.
    async fn awaited<T>(&self, until: Instant, answer: impl Future<Output = T>) -> Result<T, StatusCode> {
        let mut given_up = GivenUp { guard: &self.guard, pace: Pace::new() };
        given_up.pace.waits();
        let answered = timeout_at(until, answer).await;
        given_up.pace.begins_anew();
        answered.map_err(|_| {
            self.guard.refuse(Refusal::Slow);
            StatusCode::GATEWAY_TIMEOUT
        })
    }
}

/// A wait that is given up counts as one for something too slow.
struct GivenUp<'a> {
    guard: &'a Guard,
    pace: Pace,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if self.pace.is_awaited_in_vain() {
            self.guard.refuse(Refusal::Slow);
        }
    }
}

/// What is answered to a question that can't be asked.
pub(super) fn status(error: &NotDialled) -> StatusCode {
    use haul_shared::egress::Unreachable;
    match error {
        NotDialled::Unreachable(Unreachable::Denied(_)) => StatusCode::FORBIDDEN,
        NotDialled::Unreachable(Unreachable::Unresolved) | NotDialled::Failed(_) => StatusCode::BAD_GATEWAY,
        NotDialled::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// No body, and the end of the connection.
fn nothing(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The question as it goes to its origin.
fn anew(question: Request<Incoming>, url: &Url) -> Option<Request<Incoming>> {
    let (mut head, body) = question.into_parts();
    head.uri = url[Position::BeforePath..Position::AfterQuery].parse().ok()?;
    head.version = Version::HTTP_11;
    strip(&mut head.headers);
    head.headers.remove(EXPECT);
    // the library says how long the body is
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(HOST, HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()?);
    Some(Request::from_parts(head, body))
}

/// The library says how long the body is, which is not what the head says if it comes in pieces (RFC 9112 §6.3). Of an
/// answer to `HEAD` only the head knows.
fn keep_one_length(headers: &mut HeaderMap, wants_head: bool) {
    let is_in_pieces = headers.contains_key(TRANSFER_ENCODING);
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let only = lengths.next().filter(|_| lengths.next().is_none());
    let digits = only.and_then(|only| only.to_str().ok()).filter(|only| !only.starts_with('+'));
    let length = digits.and_then(|digits| digits.parse::<u64>().ok());
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.filter(|_| wants_head && !is_in_pieces) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

/// Takes away what is said to the next hop only (RFC 9110 §7.6.1), and what is said to a proxy.
fn strip(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    let proxies = headers.keys().filter(|name| name.as_str().starts_with("proxy-")).cloned();
    let keep_alive = HeaderName::from_static("keep-alive");
    let all: Vec<HeaderName> = named
        .into_iter()
        .chain(proxies)
        .chain([CONNECTION, keep_alive, TE, TRAILER, TRANSFER_ENCODING, UPGRADE])
        .collect();
    for name in all {
        headers.remove(name);
    }
}

/// A body that comes at no less than the least pace, or ends.
pub(super) struct Paced {
    body: Incoming,
    guard: Guard,
    pace: Pace,
    is_head_sent: bool,
    end: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(body: Incoming, guard: Guard) -> Self {
        Self { body, guard, pace: Pace::new(), is_head_sent: false, end: None }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        // the library sends the head while it waits, and lets go of it when the body breaks off before that
        if !mem::replace(&mut this.is_head_sent, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
                this.end = None;
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                if this.pace.is_too_slow_after(bytes as u64) && frame.is_some() {
                    this.guard.refuse(Refusal::Slow);
                    return Poll::Ready(Some(Err(Refusal::Slow.into())));
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
            let until = this.pace.waits();
            let end = this.end.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(end.as_mut().poll(cx));
            this.end = None;
            if this.pace.is_too_slow_after(0) {
                this.guard.refuse(Refusal::Slow);
                return Poll::Ready(Some(Err(Refusal::Slow.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if self.pace.is_awaited_in_vain() {
            self.guard.refuse(Refusal::Slow);
        }
    }
}
