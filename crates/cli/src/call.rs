//! One request to the API, and its answer: bounded in time and in size.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IntoHeaderName, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;
use url::Url;

use crate::client::{Client, innermost, late};
use crate::error::Error;
use crate::problem::Problem;
use crate::text::plain;

/// Bytes of an answer in JSON; a hundred jobs with long notes have a tenth of it.
const LARGEST_ANSWER: usize = 8 << 20;

/// Bytes of a refusal.
const LARGEST_REFUSAL: usize = 64 << 10;

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

/// Why a body was not read.
enum Unread {
    Broken(String),
    TooLarge,
}

impl<'c> Call<'c> {
    /// A request that is sent by this client, and answered within this time.
    pub(crate) fn new(client: &'c Client, method: Method, url: Url, limit: Duration) -> Self {
        Self { client, method, url, headers: HeaderMap::new(), body: None, limit }
    }

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
        self.limit = self.limit.saturating_add(more);
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
        let response = client.ask(self.method, self.url, self.headers, self.body.as_ref(), self.limit).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            _ => Err(client.refusal(response).await),
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

impl Client {
    fn unread(&self, error: Unread) -> Error {
        match error {
            Unread::Broken(why) => self.away(why),
            Unread::TooLarge => Error::Garbled { what: "it has no end".to_owned(), passes: None },
        }
    }

    /// What an answer that is none of success says.
    async fn refusal(&self, mut response: Response) -> Error {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let is_problem = kind.starts_with("application/problem+json");
        let asked = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()).and_then(seconds_asked_for);
        let body = timeout(self.timeout(), read(&mut response, LARGEST_REFUSAL)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem => {
                let retry_after = problem.retry_after.max(asked);
                Error::Refused(Box::new(Problem { retry_after, ..problem }))
            }
            _ => {
                let retry_after = Duration::from_secs(asked.unwrap_or_default());
                Error::Foreign { server: self.host(), status, retry_after }
            }
        }
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

/// Reads a `Retry-After` of either form (RFC 9110, 10.2.3): seconds, or a date, by the clock of this machine.
fn seconds_asked_for(text: &str) -> Option<u64> {
    let until = || Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    let from_now = || Some(until()?.duration_since(Timestamp::now()).as_secs_f64().ceil() as u64);
    text.parse().ok().or_else(from_now)
}

fn garbled(error: &serde_json::Error) -> Error {
    // what it quotes is the server's
    Error::Garbled { what: plain(&error.to_string()), passes: None }
}
