//! The operator's own proxy (`HAUL_PROXY`): all connections of guards go through it, judged before.
//!
//! It is asked by `CONNECT` (RFC 9110 §9.3.6) for the literal address that was judged, for http as for https. Asked by
//! absolute-form it would have to take the host from the address (RFC 9112 §3.2.2): of the name it would resolve it a
//! second time, and of the literal the origin would not know which site is meant.
//!
//! Its own address is the operator's word and is not judged.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::Stream;

/// For the proxy to be reached. Less than any address has (`dial`), so that a proxy which is not there is told from a target
/// which is not.
const REACHED_WITHIN: Duration = Duration::from_secs(3);

/// Where it is, and who we are there. `Debug` shows neither.
#[derive(Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

/// Why there is no way through the proxy.
pub(super) enum NoWay {
    /// It does not answer as a proxy does, or does not know us.
    Proxy(io::Error),
    /// It could not reach the target, or does not want to.
    Target(io::Error),
}

impl Upstream {
    /// Reads `http://[user:password@]host[:port]`; without a port it is 80.
    ///
    /// # Errors
    /// What was expected; the text is a secret and not shown.
    pub fn read(text: &str) -> Result<Self, String> {
        let expected = || "http://[user:password@]host:port".to_owned();
        let url = Url::parse(text).map_err(|_| expected())?;
        let is_plain = url.scheme() == "http" && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let (true, Some(host), Some(port)) = (is_plain, url.host_str(), url.port_or_known_default()) else {
            return Err(expected());
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default()).ok_or_else(expected)?),
        };
        Ok(Self { host, port, authorization })
    }

    /// A connection to the proxy itself.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        timeout(REACHED_WITHIN, TcpStream::connect((self.host.as_str(), self.port))).await?
    }

    /// Has the proxy connect to the target, for as long as whoever dials waits.
    pub(super) async fn tunnel(&self, stream: Stream, target: SocketAddr) -> Result<Stream, NoWay> {
        let broken = |why: &str| NoWay::Proxy(io::Error::other(why.to_owned()));
        let (mut sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(|_| broken("no handshake"))?;
        let io = tokio::spawn(connection.with_upgrades());
        let mut question = Request::new(Empty::<Bytes>::new());
        *question.method_mut() = Method::CONNECT;
        *question.uri_mut() = target.to_string().parse().map_err(|_| broken("no target"))?;
        let host = HeaderValue::from_str(&target.to_string()).map_err(|_| broken("no target"))?;
        question.headers_mut().insert(HOST, host);
        question.headers_mut().extend(self.authorization.clone().map(|value| (PROXY_AUTHORIZATION, value)));
        let answer = sender.send_request(question).await.map_err(|_| broken("no answer"))?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(broken("it does not know us")),
            status => return Err(NoWay::Target(io::Error::other(format!("the proxy answered {status}")))),
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|_| broken("no tunnel"))?;
        drop(io.await);
        let parts = upgraded.downcast::<TokioIo<Stream>>().map_err(|_| broken("no tunnel"))?;
        // who speaks before it is asked speaks neither HTTP nor TLS
        if !parts.read_buf.is_empty() {
            return Err(NoWay::Target(io::ErrorKind::InvalidData.into()));
        }
        Ok(parts.io.into_inner())
    }
}

/// Basic credentials (RFC 7617) of what stands percent-encoded in a URL.
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
