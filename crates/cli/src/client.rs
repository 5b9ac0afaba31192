//! The service as seen from here: requests to its API, and to wherever its links lead.
//!
//! Every answer has a time, and every one that is kept a size. The key goes to the API, and nowhere else: whoever holds the
//! results never sees it, and no redirect takes it along.
//!
//! Not here: when to ask again (`patience`).

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IntoHeaderName};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;
use url::Url;

use crate::args::Global;
use crate::error::Error;
use crate::text::plain;

/// Bytes of an answer in JSON; a hundred jobs with long notes have a tenth of it.
const LARGEST_ANSWER: usize = 8 << 20;

/// Bytes of a refusal.
const LARGEST_REFUSAL: usize = 64 << 10;

/// Bytes of a file that holds a key.
const LARGEST_KEY_FILE: u64 = 4096;

/// How long a connection may take at most: who can't be reached at all is not waited for as an answer is.
const CONNECT: Duration = Duration::from_secs(10);

/// Redirects of a store to another place of its own.
const MOST_REDIRECTS: usize = 3;

/// A service, and who calls it.
#[derive(Debug)]
pub struct Client {
    api: reqwest::Client,
    store: reqwest::Client,
    server: Url,
    key: Option<HeaderValue>,
    timeout: Duration,
    /// Has it answered at all?
    was_there: AtomicBool,
}

/// A request to the API that is still to be sent.
#[derive(Debug)]
pub struct Call<'c> {
    client: &'c Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Value>,
    limit: Duration,
}

/// An answer of the API that is no refusal, read whole.
#[derive(Debug)]
pub struct Answer {
    /// 2xx or 304.
    pub status: StatusCode,
    /// What the API knows these bytes by.
    pub etag: Option<HeaderValue>,
    body: Bytes,
}

impl Client {
    /// A client of the service that the command line names.
    ///
    /// # Errors
    /// When the key can't be read, or is none.
    pub fn new(global: &Global) -> Result<Self, Error> {
        let builder = || {
            let agent = concat!("haul/", env!("CARGO_PKG_VERSION"));
            reqwest::Client::builder().user_agent(agent).connect_timeout(CONNECT.min(global.timeout))
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| Error::Usage(format!("TLS can't be set up: {}", innermost(&error))))
        };
        Ok(Self {
            api: build(builder().redirect(redirect::Policy::none()))?,
            store: build(builder().redirect(redirect::Policy::limited(MOST_REDIRECTS)).referer(false))?,
            server: global.server.clone(),
            key: key_of(global)?.map(|key| bearer(&key)).transpose()?,
            timeout: global.timeout,
            was_there: AtomicBool::new(false),
        })
    }

    /// How long one answer, or a further piece of one, may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A request to a route below `/api/v1`, given by its segments.
    pub fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        Call { client: self, method, url, headers: HeaderMap::new(), body: None, limit: self.timeout }
    }

    /// Opens what is at a link, which is whoever holds the results: without key.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no answer comes; any status is one.
    pub async fn open_link(&self, url: Url, headers: HeaderMap) -> Result<Response, Error> {
        let server = host_of(&url);
        sent(self.store.get(url).headers(headers), self.timeout).await.map_err(|why| away(server, why, true))
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
        piece.map_err(|why| away(host_of(response.url()), why, true))
    }
}

impl Call<'_> {
    /// With a parameter of the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With a parameter of the query, if there is something to say.
    #[must_use]
    pub fn query_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: impl IntoHeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With headers.
    #[must_use]
    pub fn headers(mut self, more: HeaderMap) -> Self {
        self.headers.extend(more);
        self
    }

    /// With a body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The answer may take so much longer than usual.
    #[must_use]
    pub fn longer_by(mut self, more: Duration) -> Self {
        self.limit += more;
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// When no answer comes in time, or none of the contract, or a refusal.
    pub async fn send(self) -> Result<Answer, Error> {
        let (client, limit) = (self.client, self.limit);
        let late = || client.away(late(limit));
        timeout(limit, async {
            let mut response = self.open().await?;
            let (status, etag) = (response.status(), response.headers().get(ETAG).cloned());
            let body = read(&mut response, LARGEST_ANSWER).await.map_err(|error| client.unread(error))?;
            Ok(Answer { status, etag, body })
        })
        .await
        .unwrap_or_else(|_| Err(late()))
    }

    /// Sends it and leaves the body, if it is no refusal, unread.
    ///
    /// # Errors
    /// As [`Call::send`]; 416 is no refusal here, and means that there is nothing in the range.
    pub async fn open(self) -> Result<Response, Error> {
        let client = self.client;
        let mut request = client.api.request(self.method, self.url).headers(self.headers);
        if let Some(key) = &client.key {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        let response = sent(request, self.limit).await.map_err(|why| client.away(why))?;
        client.was_there.store(true, Ordering::Relaxed);
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            _ => Err(client.refusal(response).await),
        }
    }
}

impl Client {
    fn away(&self, why: String) -> Error {
        away(host_of(&self.server), why, self.was_there.load(Ordering::Relaxed))
    }

    fn unread(&self, error: Unread) -> Error {
        match error {
            Unread::Broken(why) => self.away(why),
            Unread::TooLarge => Error::Garbled { what: "it has no end".to_owned(), passes: false },
        }
    }

    /// What an answer that is none of success says.
    async fn refusal(&self, mut response: Response) -> Error {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let is_problem = kind.starts_with("application/problem+json");
        let body = timeout(self.timeout, read(&mut response, LARGEST_REFUSAL)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(problem) if is_problem => Error::Refused(Box::new(problem)),
            _ => Error::Garbled {
                what: format!("{status}, and no problem of this API; is {} a Haul service?", host_of(&self.server)),
                passes: status.is_server_error() || matches!(status.as_u16(), 408 | 429),
            },
        }
    }
}

impl Answer {
    /// What it says, as far as that is read here.
    ///
    /// # Errors
    /// When it is not what the contract says.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| garbled(&error))
    }

    /// What it says, whatever that is.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// What it says, as it was said, in one line.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn line(&self) -> Result<Box<RawValue>, Error> {
        let raw: &RawValue = serde_json::from_slice(&self.body).map_err(|error| garbled(&error))?;
        // in JSON a line break is only ever space between two words
        RawValue::from_string(raw.get().replace(['\n', '\r'], " ")).map_err(|error| garbled(&error))
    }
}

/// Why a body was not read.
enum Unread {
    Broken(String),
    TooLarge,
}

async fn sent(request: RequestBuilder, limit: Duration) -> Result<Response, String> {
    match timeout(limit, request.send()).await {
        Ok(response) => response.map_err(|error| innermost(&error)),
        Err(_) => Err(late(limit)),
    }
}

async fn read(response: &mut Response, most: usize) -> Result<Bytes, Unread> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Unread::Broken(innermost(&error)))? {
        if body.len() + piece.len() > most {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

fn away(server: String, why: String, was_there: bool) -> Error {
    Error::Unreachable { server, why, was_there }
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

fn garbled(error: &serde_json::Error) -> Error {
    // what it quotes is the server's
    Error::Garbled { what: plain(&error.to_string()), passes: false }
}

/// The cause that a person understands; those around it only say that it was a request. It never has the address, of which
/// the query may be a signature.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_some() { plain(&cause.to_string()) } else { "the request can't be sent".to_owned() }
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
