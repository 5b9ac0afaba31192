//! The service as seen from here: requests to its API, and to wherever its links lead.
//!
//! Every answer has a time. The key goes to the API, and nowhere else: whoever holds the
//! results never sees it, no redirect takes it along, and what is on this machine is asked
//! directly, whatever proxy the environment names.
//!
//! Not here: what is asked and answered (`call`), and when to ask again (`patience`).

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::timeout;
use url::{Host, Url};

use crate::args::Global;
use crate::call::Call;
use crate::error::Error;
use crate::text::plain;

/// Bytes of a file that holds a key.
const LARGEST_KEY_FILE: u64 = 4096;

/// A connection is kept for so long, less than a service does: one that is closed while it is used again fails a request.
const IDLE: Duration = Duration::from_secs(5);
/// How long a connection may take at most: who can't be reached at all is not waited for as an answer is.
const CONNECT: Duration = Duration::from_secs(10);

/// Redirects of a store to another place of its own.
const MOST_REDIRECTS: usize = 3;

/// Why no answer came.
struct Silence {
    why: String,
    /// Or was there no connection on which it could be?
    was_sent: bool,
}

/// A service, and who calls it.
#[derive(Debug)]
pub struct Client {
    api: reqwest::Client,
    store: reqwest::Client,
    /// For links that lead to this machine.
    store_here: reqwest::Client,
    server: Url,
    key: Option<HeaderValue>,
    timeout: Duration,
    /// Has it answered at all?
    was_there: AtomicBool,
}

impl Client {
    /// A client of the service that the command line names.
    ///
    /// # Errors
    /// When the key can't be read, or is none.
    pub fn new(global: &Global) -> Result<Self, Error> {
        Self::connected(global, |api| api)
    }

    /// The same, with connections as the caller wants them.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub(crate) fn connected(
        global: &Global,
        connections: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, Error> {
        let builder = || {
            let agent = concat!("haul/", env!("CARGO_PKG_VERSION"));
            let builder = reqwest::Client::builder().user_agent(agent).pool_idle_timeout(IDLE);
            connections(builder.connect_timeout(CONNECT.min(global.timeout)))
        };
        let api = || if is_loopback(&global.server) { builder().no_proxy() } else { builder() };
        let store = || builder().redirect(redirect::Policy::limited(MOST_REDIRECTS)).referer(false);
        let build = |builder: ClientBuilder| {
            builder.build().map_err(|error| Error::Usage(format!("TLS can't be set up: {}", innermost(&error))))
        };
        Ok(Self {
            api: build(api().redirect(redirect::Policy::none()))?,
            store: build(store())?,
            store_here: build(store().no_proxy())?,
            server: global.server.clone(),
            key: key_of(global)?.map(|key| bearer(&key)).transpose()?,
            timeout: global.timeout,
            was_there: AtomicBool::new(false),
        })
    }

    /// A request to a route below `/api/v1`, given by its segments.
    pub fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        Call::new(self, method, self.below(&[&["api", "v1"], path].concat()), self.timeout)
    }

    /// The address of something of the service, given by the segments of its path.
    pub(crate) fn below(&self, path: &[&str]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// A request to the API, with the key; whoever sends it sets its time.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.api.request(method, url);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key),
            None => request,
        }
    }

    /// A request to whoever holds the results, without key; whoever sends it sets its time.
    pub(crate) fn request_of_link(&self, url: Url) -> RequestBuilder {
        if is_loopback(&url) { self.store_here.get(url) } else { self.store.get(url) }
    }

    /// Sends a request to the API, with the key; any status is an answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Response, Error> {
        let mut request = self.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = sent(request, limit).await.map_err(|silence| self.silent(silence))?;
        self.was_there.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// The API heard a request, and no whole answer came, for this reason.
    pub(crate) fn away(&self, why: String) -> Error {
        self.silent(Silence { why, was_sent: true })
    }

    fn silent(&self, silence: Silence) -> Error {
        away(self.host(), silence, self.was_there.load(Ordering::Relaxed))
    }

    /// Host and port of the API.
    pub(crate) fn host(&self) -> String {
        host_of(&self.server)
    }

    /// How long an answer, or a further piece of one, may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Opens what is at a link, which is whoever holds the results: without key.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no answer comes; any status is one.
    pub async fn open_link(&self, url: Url, headers: HeaderMap) -> Result<Response, Error> {
        let server = host_of(&url);
        sent(self.request_of_link(url).headers(headers), self.timeout)
            .await
            .map_err(|silence| away(server, silence, true))
    }

    /// The next piece of an answer that was opened; `None` at its end.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none comes in time, or it breaks off.
    pub async fn next_piece(&self, response: &mut Response) -> Result<Option<Bytes>, Error> {
        let piece = match timeout(self.timeout, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| innermost(&error)),
            Err(_) => Err(late(self.timeout)),
        };
        piece.map_err(|why| away(host_of(response.url()), Silence { why, was_sent: true }, true))
    }
}

async fn sent(request: RequestBuilder, limit: Duration) -> Result<Response, Silence> {
    match timeout(limit, request.send()).await {
        Ok(response) => response.map_err(|error| Silence { why: innermost(&error), was_sent: !error.is_connect() }),
        Err(_) => Err(Silence { why: late(limit), was_sent: true }),
    }
}

fn away(server: String, Silence { why, was_sent }: Silence, was_there: bool) -> Error {
    Error::Unreachable { server, why, was_sent, was_there }
}

/// In words.
pub(crate) fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

/// The cause that a person understands; those around it only say that it was a request. It never has the address, of which
/// the query may be a signature.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_some() { plain(&cause.to_string()) } else { "the request can't be sent".to_owned() }
}

/// Is it this machine? To a proxy the same address would be another one.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn host_of(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// The key that the command line names: that of the file before that of the variable.
fn key_of(global: &Global) -> Result<Option<SecretString>, Error> {
    let Some(path) = &global.key_file else {
        return Ok(global.key.clone().filter(|key| !key.expose_secret().is_empty()));
    };
    let read = || -> io::Result<SecretString> {
        let mut text = String::new();
        File::open(path)?.take(LARGEST_KEY_FILE).read_to_string(&mut text)?;
        Ok(SecretString::from(text.trim().to_owned()))
    };
    read().map(Some).map_err(|error| Error::Usage(format!("--key-file {}: {error}", path.display())))
}

fn bearer(key: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
    let mut value = value.map_err(|_| Error::Usage("the key has characters that no key has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::args::Cli;

    /// A refused connection was once taken for an order whose answer was lost.
    #[tokio::test]
    async fn a_request_is_sent_only_where_somebody_could_hear_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&Cli::parse_from(["haul", "stats", "--server", &url]).global).unwrap();
        let ask = async || client.call(Method::POST, &["downloads"]).send().await.map(drop).unwrap_err();
        // whoever hears of it, and is gone
        let hears = async { listener.accept().await.unwrap().0.readable().await.unwrap() };
        let (error, ()) = tokio::join!(ask(), hears);
        assert!(matches!(error, Error::Unreachable { was_sent: true, .. }) && error.may_be_taken(), "{error:?}");
        drop(listener);
        let error = ask().await;
        assert!(matches!(error, Error::Unreachable { was_sent: false, .. }) && !error.may_be_taken(), "{error:?}");
    }

    #[test]
    fn this_machine_is_known_by_its_addresses_and_its_name() {
        for (url, is_here) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.8.8.8/", true),
            ("http://[::1]/", true),
            ("http://localhost:8080/haul/", true),
            ("http://localhost.example/", false),
            ("https://haul.example/", false),
            ("http://10.0.0.1/", false),
            ("http://0.0.0.0/", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), is_here, "{url}");
        }
    }
}
