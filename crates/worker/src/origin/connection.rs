//! A connection to an origin, and one question over it.
//!
//! Sockets are opened by the egress policy alone. Every wait has a limit, and so has what is read ahead.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use haul_shared::egress::{EgressPolicy, NotDialled, Unreachable};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderValue, IF_RANGE, RANGE};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Position, Url};

use super::answer::Validator;

/// TLS, once the socket is there.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// From the question to the head of its answer: yt-dlp's own `--socket-timeout`.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// From some bytes of a body to the next: the same.
const BYTES_WITHIN: Duration = Duration::from_secs(20);
/// Read ahead per connection; a head has to fit as well.
const READ_BYTES: usize = 64 * 1024;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Dialler {
    egress: EgressPolicy,
    tls: TlsConnector,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler").field("egress", &self.egress).finish_non_exhaustive()
    }
}

/// The certificates of this machine could not be read.
#[derive(Debug, thiserror::Error)]
#[error("there is no way to check certificates")]
pub struct NoTrust(#[from] rustls::Error);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It may not be asked.
    Denied(Unreachable),
    /// It did not answer in time, or not in HTTP/1.1.
    Broken,
}

impl Dialler {
    pub(crate) fn new(egress: EgressPolicy) -> Result<Self, NoTrust> {
        Ok(Self::with_tls(egress, ClientConfig::with_platform_verifier()?))
    }

    /// With a trust of its own.
    pub(crate) fn with_tls(egress: EgressPolicy, tls: ClientConfig) -> Self {
        Self { egress, tls: TlsConnector::from(Arc::new(tls)) }
    }

    /// Connects to the host of an http(s) URL.
    pub(crate) async fn connect(&self, url: &Url) -> Result<Connection, Silence> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return Err(Silence::Broken) };
        let socket = self.egress.dial(host.clone(), port).await.map_err(|error| match error {
            NotDialled::Unreachable(unreachable @ Unreachable::Denied(_)) => Silence::Denied(unreachable),
            NotDialled::Unreachable(Unreachable::Unresolved) | NotDialled::Failed(_) => Silence::Broken,
        })?;
        if url.scheme() == "http" {
            return Connection::over(socket).await;
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| Silence::Broken)?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        };
        match timeout(HANDSHAKE_WITHIN, self.tls.connect(name, socket)).await {
            Ok(Ok(stream)) => Connection::over(stream).await,
            Ok(Err(_)) | Err(_) => Err(Silence::Broken),
        }
    }
}

/// A connection that is free for a question. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    _io: AbortOnDropHandle<()>,
}

impl Connection {
    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Self, Silence> {
        let handshake = http1::Builder::new().read_buf_exact_size(Some(READ_BYTES)).handshake(TokioIo::new(stream));
        let (sender, io) = handshake.await.map_err(|_| Silence::Broken)?;
        // how it ends is seen by whoever reads the answer
        let io = tokio::spawn(async move { drop(io.await) });
        Ok(Self { sender, _io: AbortOnDropHandle::new(io) })
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
