//! A connection to an origin, and one question over it.
//!
//! Sockets are opened by the guard alone. Every wait has a limit, and so has what is read ahead.

use std::time::Duration;

use bytes::Bytes;
use haul_shared::egress::Unreachable;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderValue, IF_RANGE, RANGE};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Position, Url};

use super::answer::Validator;
use crate::guard::{Guard, NotDialled, Seat};

/// TLS, once the socket is there.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// From the question to the head of its answer: what yt-dlp would wait if it were told nothing (`--socket-timeout`).
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// From some bytes of a body to the next: the same.
const BYTES_WITHIN: Duration = Duration::from_secs(20);
/// Read ahead per connection; a head has to fit as well.
const READ_BYTES: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It may not be asked.
    Denied(Unreachable),
    /// Its name leads nowhere.
    Unresolved,
    /// It did not answer in time, or not in HTTP/1.1.
    Broken,
}

impl From<NotDialled> for Silence {
    fn from(error: NotDialled) -> Self {
        match error {
            NotDialled::Unreachable(unreachable @ Unreachable::Denied(_)) => Self::Denied(unreachable),
            NotDialled::Unreachable(Unreachable::Unresolved) => Self::Unresolved,
            NotDialled::Failed(_) | NotDialled::Crowded(_) => Self::Broken,
        }
    }
}

/// The host and the port of an http(s) URL.
fn place(url: &Url) -> Result<(Host<&str>, u16), Silence> {
    url.host().zip(url.port_or_known_default()).ok_or(Silence::Broken)
}

/// A connection that is free for a question. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    guard: Guard,
    _io: AbortOnDropHandle<()>,
}

impl Connection {
    /// Connects to the host of an http(s) URL, through the guard.
    pub(crate) async fn open(guard: &Guard, url: &Url) -> Result<Self, Silence> {
        Self::open_on(Self::seat(guard, url).await?, guard, url).await
    }

    /// Waits for a place for it among the connections of the guard.
    pub(crate) async fn seat(guard: &Guard, url: &Url) -> Result<Seat, Silence> {
        let (host, port) = place(url)?;
        guard.seat_for(host, port).await.map_err(Silence::from)
    }

    /// Connects on such a place.
    pub(crate) async fn open_on(seat: Seat, guard: &Guard, url: &Url) -> Result<Self, Silence> {
        let (host, port) = place(url)?;
        let socket = guard.dial_on(seat, host.clone(), port).await?;
        if url.scheme() == "http" {
            return Self::over(guard, socket).await;
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| Silence::Broken)?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        };
        match timeout(HANDSHAKE_WITHIN, guard.tls().connect(name, socket)).await {
            Ok(Ok(stream)) => Self::over(guard, stream).await,
            Ok(Err(_)) | Err(_) => Err(Silence::Broken),
        }
    }

    async fn over<S>(guard: &Guard, stream: S) -> Result<Self, Silence>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http1::Builder::new().read_buf_exact_size(Some(READ_BYTES)).handshake(TokioIo::new(stream));
        let (sender, io) = handshake.await.map_err(|_| Silence::Broken)?;
        // how it ends is seen by whoever reads the answer
        let io = tokio::spawn(async move { drop(io.await) });
        Ok(Self { sender, guard: guard.clone(), _io: AbortOnDropHandle::new(io) })
    }

    /// Whether the origin has closed it meanwhile.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks for the bytes from `first` to `last`, both included; of this version, if one is given.
    pub(crate) async fn ask(
        &mut self,
        (url, headers): (&Url, &HeaderMap),
        (first, last): (u64, u64),
        version: Option<&Validator>,
    ) -> Result<Response<Incoming>, Silence> {
        let mut headers = headers.clone();
        let range = HeaderValue::from_str(&format!("bytes={first}-{last}"));
        headers.insert(RANGE, range.map_err(|_| Silence::Broken)?);
        match version {
            Some(version) => headers.insert(IF_RANGE, version.value().clone()),
            None => headers.remove(IF_RANGE),
        };
        self.get(url, headers).await
    }

    /// Asks, with these headers, for bytes that are not encoded.
    pub(crate) async fn get(&mut self, url: &Url, headers: HeaderMap) -> Result<Response<Incoming>, Silence> {
        self.guard.ask().map_err(|_| Silence::Broken)?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| Silence::Broken)?;
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        let head = request.headers_mut();
        head.insert(HOST, host.map_err(|_| Silence::Broken)?);
        head.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = timeout(HEAD_WITHIN, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        answer.await.map_err(|_| Silence::Broken)?.map_err(|_| Silence::Broken)
    }
}

/// The next bytes of an answer; `None` at its end, if that is where it said it would be.
pub(crate) async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, Silence> {
    loop {
        match timeout(BYTES_WITHIN, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_) => continue, // a trailer
            },
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) | Err(_) => return Err(Silence::Broken),
        }
    }
}
