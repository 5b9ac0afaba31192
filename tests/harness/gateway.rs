//! A proxy that speaks HTTP, as operators have them, between browsers and the service.
//!
//! It passes everything on as it comes, streams too. Of requests that a test chose it makes what such proxies make of
//! some: it gives up on them, breaks off in the answer, shows a page of its own, or is slow.
//!
//! Not here: what happens to connections, whatever they carry (`proxy`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// The longest body that is passed on in one piece, or halved.
const MOST_BYTES: usize = 1 << 20;

/// What becomes of a request that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The service never hears of it; it gets this status, and a page in HTML.
    Refused(u16),
    /// It is carried out; it gets this status, and a page in HTML.
    GivenUp(u16),
    /// It gets this status, and a page in HTML, and is carried out after [`Gateway::release`] only.
    GivenUpEarly(u16),
    /// It is carried out; the service says `503 service_unavailable`, as where it can't tell whether it was.
    Doubted,
    /// It is carried out; half of the answer comes, and then the connection is closed.
    Halved,
    /// It is carried out; the answer waits for [`Gateway::release`].
    Held,
    /// It is carried out after [`Gateway::release`] only, and then also when nobody waits for the answer any more.
    Late,
    /// It is carried out; the answer does not say how long it is.
    Unmeasured,
    /// It is carried out; so many bytes of the answer come, and then none, for as long as somebody waits.
    Stalled(usize),
}

/// A running proxy; it ends when dropped.
pub struct Gateway {
    address: SocketAddr,
    way: Arc<Way>,
    _task: AbortOnDropHandle<()>,
}

struct Way {
    to: SocketAddr,
    http: reqwest::Client,
    notes: Mutex<Notes>,
    /// Who waits for it has a receiver.
    release: watch::Sender<()>,
}

#[derive(Default)]
struct Notes {
    turns: Vec<(Method, String, Turn)>,
    answered: Vec<(Method, String)>,
    /// Path, and the header `Range`.
    ranges: Vec<(String, String)>,
}

impl Gateway {
    /// One that leads to this service.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("a client without TLS of its own");
        let way = Arc::new(Way { to: service, http, notes: Mutex::default(), release: watch::Sender::new(()) });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&way));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server without limit does not end");
        });
        Self { address, way, _task: AbortOnDropHandle::new(task) }
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Chooses the next request with this method and path for which nothing was chosen yet.
    pub fn next(&self, method: Method, path: &str, turn: Turn) {
        self.way.notes().turns.push((method, path.to_owned(), turn));
    }

    /// How many answers are held, and still waited for, and how many requests are not passed on yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.way.release.receiver_count()
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.way.release.send_replace(());
    }

    /// How many requests with this method and path the service has answered so far.
    #[must_use]
    pub fn answered(&self, method: &Method, path: &str) -> usize {
        let notes = self.way.notes();
        notes.answered.iter().filter(|(known, at)| known == method && at == path).count()
    }

    /// The headers `Range` of the requests for this path, in their order; empty for those without one.
    #[must_use]
    pub fn ranges(&self, path: &str) -> Vec<String> {
        let notes = self.way.notes();
        notes.ranges.iter().filter(|(at, _)| at == path).map(|(_, range)| range.clone()).collect()
    }
}

impl Way {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no holder panics")
    }

    fn turn(&self, method: &Method, path: &str) -> Option<Turn> {
        let turns = &mut self.notes().turns;
        let at = turns.iter().position(|(chosen, of, _)| chosen == method && of == path)?;
        Some(turns.remove(at).2)
    }

    async fn ask(&self, request: Request) -> Result<Response, axum::BoxError> {
        let (mut head, body) = request.into_parts();
        let url = format!("http://{}{}", self.to, head.uri);
        let body = to_bytes(body, MOST_BYTES).await?;
        end_to_end(&mut head.headers);
        let mut asked = self.http.request(head.method.clone(), url).headers(head.headers);
        if !body.is_empty() {
            asked = asked.body(body);
        }
        let mut answer = axum::http::Response::from(asked.send().await?).map(Body::new);
        end_to_end(answer.headers_mut());
        self.notes().answered.push((head.method, head.uri.path().to_owned()));
        Ok(answer)
    }
}

/// Leaves out what is said from neighbour to neighbour (RFC 9110, 7.6.1), as far as browsers and the service say it.
fn end_to_end(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

async fn serve(State(way): State<Arc<Way>>, request: Request) -> Response {
    let turn = way.turn(request.method(), request.uri().path());
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    way.notes().ranges.push((request.uri().path().to_owned(), range.to_owned()));
    if let Some(Turn::Refused(status)) = turn {
        return page(status);
    }
    if turn == Some(Turn::Late) {
        return late(way, request).await.await.ok().and_then(Result::ok).unwrap_or_else(|| page(502));
    }
    if let Some(Turn::GivenUpEarly(status)) = turn {
        let _carried_out = late(way, request).await;
        return page(status);
    }
    let Ok(answer) = way.ask(request).await else { return page(502) };
    match turn {
        Some(Turn::GivenUp(status)) => page(status),
        Some(Turn::Doubted) => doubt(),
        Some(Turn::Halved) => half(answer).await,
        Some(Turn::Held) => {
            // an error would say that the proxy is gone, and this with it
            let _released = way.release.subscribe().changed().await;
            answer
        }
        Some(Turn::Unmeasured) => unmeasured(answer),
        Some(Turn::Stalled(bytes)) => stalled(answer, bytes),
        Some(Turn::Refused(_) | Turn::Late | Turn::GivenUpEarly(_)) | None => answer,
    }
}

async fn late(way: Arc<Way>, request: Request) -> JoinHandle<Result<Response, axum::BoxError>> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST_BYTES).await;
    let mut released = way.release.subscribe();
    // a task of its own: this one ends with the connection
    tokio::spawn(async move {
        let _released = released.changed().await;
        way.ask(Request::from_parts(head, body?.into())).await
    })
}

fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a test names a status");
    (status, Html("<!doctype html><title>Gateway</title><h1>Not now</h1>")).into_response()
}

fn doubt() -> Response {
    let problem = r#"{"status":503,"code":"service_unavailable","detail":"A part of the service does not answer."}"#;
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/problem+json")], problem).into_response()
}

async fn half(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let Ok(whole) = to_bytes(body, MOST_BYTES).await else { return page(502) };
    head.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    let pieces = futures::stream::iter([Ok(whole.slice(..whole.len() / 2))]);
    let end = futures::stream::once(async {
        // what was written before is lost if the error follows at once
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("broken off on purpose"))
    });
    Response::from_parts(head, Body::from_stream(pieces.chain(end)))
}

fn unmeasured(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from_stream(body.into_data_stream()))
}

fn stalled(answer: Response, bytes: usize) -> Response {
    let (head, body) = answer.into_parts();
    let some = body.into_data_stream().scan(bytes, |left, piece| {
        let piece = piece.map(|piece| piece.slice(..piece.len().min(*left)));
        *left -= piece.as_ref().map_or(0, Bytes::len);
        std::future::ready((!piece.as_ref().is_ok_and(Bytes::is_empty)).then_some(piece))
    });
    // what is behind the last byte is neither passed on nor ended
    Response::from_parts(head, Body::from_stream(some.chain(futures::stream::pending())))
}
