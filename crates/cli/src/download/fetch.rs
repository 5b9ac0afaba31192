//! The bytes of a result: from where its link leads, or through the API, on from what is there already.
//!
//! Nothing that a server says makes bytes of two files one: an answer to a range has to begin where the part ends, be of a
//! file of the promised size, and have the validator that was seen before, where there is one (RFC 9110, 14 and 13.1.5). In
//! the end the hash decides ([`super::part`]).

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use reqwest::{Method, Response, StatusCode};
use url::Url;
use uuid::Uuid;

use super::part::Part;
use crate::client::Client;
use crate::error::Error;
use crate::patience::Patience;
use crate::screen::{Row, Screen};
use crate::wire::{Artifact, Link};

/// Which way bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From whoever holds the results, by a link that the API signs.
    Link,
    /// Through the API.
    Api,
}

/// The bytes of one result that are still to come.
#[derive(Debug)]
pub struct Fetch<'a> {
    /// Of whom to ask for them.
    pub client: &'a Client,
    /// Who is told when they go another way.
    pub screen: &'a Screen,
    /// Whose result it is.
    pub job: Uuid,
    /// What was promised.
    pub result: &'a Artifact,
    /// Which way they come.
    pub way: Way,
    /// What this way knows the file by, as far as it has said.
    pub validator: Option<HeaderValue>,
}

/// Why no more bytes come for now.
enum Stopped {
    /// They will not come this way; so another is tried first.
    Way(Error),
    /// They may come when asked for again.
    Broken(Error),
    /// It is no matter of the way.
    Other(Error),
}

impl Fetch<'_> {
    /// Adds to the part what it lacks.
    ///
    /// # Errors
    /// When no way leads to the bytes for too long, the result is gone, or the part can't be written.
    pub async fn all(mut self, part: &mut Part, patience: &mut Patience, row: &mut Row<'_>) -> Result<(), Error> {
        // further than ever, not only than the last time: whoever begins anew each time gets nowhere
        let mut most = part.size_bytes();
        while part.size_bytes() < self.result.size_bytes {
            let stopped = self.some(part, row).await;
            if part.size_bytes() > most {
                most = part.size_bytes();
                patience.renew();
            }
            match stopped {
                Ok(()) => {}
                Err(Stopped::Way(error)) if self.way == Way::Link => {
                    self.screen.note(&format!("{error}; going through the API"));
                    (self.way, self.validator) = (Way::Api, None);
                }
                Err(Stopped::Way(error) | Stopped::Broken(error)) => patience.outlast(error).await?,
                Err(Stopped::Other(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks once, and adds what comes.
    async fn some(&mut self, part: &mut Part, row: &mut Row<'_>) -> Result<(), Stopped> {
        row.saves(part.size_bytes(), self.result.size_bytes);
        let mut response = self.open(part.size_bytes()).await?;
        self.fits(&response, part).await?;
        let before = part.size_bytes();
        loop {
            let piece = match self.client.next_piece(&mut response).await {
                Ok(Some(piece)) => piece,
                Ok(None) if part.size_bytes() < self.result.size_bytes => {
                    return Err(Stopped::Broken(odd("it ended before the file did")));
                }
                Ok(None) => return Ok(()),
                // a way by which nothing comes is none
                Err(error) if part.size_bytes() == before => return Err(Stopped::Way(error)),
                Err(error) => return Err(Stopped::Broken(error)),
            };
            if part.size_bytes() + piece.len() as u64 > self.result.size_bytes {
                part.restart().await.map_err(Stopped::Other)?;
                return Err(Stopped::Way(odd("it is longer than the file")));
            }
            part.add(&piece).await.map_err(Stopped::Other)?;
            row.saves(part.size_bytes(), self.result.size_bytes);
        }
    }

    async fn open(&self, from: u64) -> Result<Response, Stopped> {
        let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        if from > 0 {
            headers.insert(RANGE, HeaderValue::try_from(format!("bytes={from}-")).expect("digits"));
            // the API knows a result by its hash from the beginning
            let hash = || HeaderValue::try_from(format!("\"{}\"", self.result.sha256.hex())).ok();
            let known = self.validator.clone().or_else(|| (self.way == Way::Api).then(hash).flatten());
            headers.extend(known.map(|validator| (IF_RANGE, validator)));
        }
        let id = self.job.to_string();
        match self.way {
            Way::Api => {
                let call = self.client.call(Method::GET, &["downloads", &id, "content"]).headers(headers);
                call.open().await.map_err(Stopped::Broken)
            }
            Way::Link => {
                // a new one each time: whatever has ended in between, this one has not
                let told = self.client.call(Method::GET, &["downloads", &id, "link"]).send().await;
                let link: Link = told.and_then(|answer| answer.read()).map_err(Stopped::Broken)?;
                let url = Url::parse(&link.url).map_err(|_| Stopped::Way(odd("the link is none")))?;
                self.client.open_link(url, headers).await.map_err(Stopped::Way)
            }
        }
    }

    /// Is what comes what the part lacks? If it is the whole file, the part begins anew.
    async fn fits(&mut self, response: &Response, part: &mut Part) -> Result<(), Stopped> {
        let tag = response.headers().get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")).cloned();
        let is_same = self.validator.is_none() || tag.is_none() || self.validator == tag;
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let goes_on = range.is_some_and(|range| goes_on(range, part.size_bytes(), self.result.size_bytes));
        let is_encoded = response.headers().get(CONTENT_ENCODING).is_some_and(|it| it != "identity");
        match response.status() {
            _ if is_encoded => return Err(Stopped::Way(odd("it is compressed, which nobody asked for"))),
            // one that does not say how long it is may be a page of whoever stands between: it empties no part
            StatusCode::OK if response.content_length() != Some(self.result.size_bytes) => {
                return Err(Stopped::Way(odd("it is not as long as the file")));
            }
            StatusCode::OK => part.restart().await.map_err(Stopped::Other)?,
            StatusCode::PARTIAL_CONTENT if is_same && goes_on => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart().await.map_err(Stopped::Other)?;
                self.validator = None;
                return Err(Stopped::Way(odd("it is not of the same file as before")));
            }
            status => return Err(Stopped::Way(odd(&format!("where the link leads it is {status}")))),
        }
        self.validator = tag;
        Ok(())
    }
}

/// An answer with bytes that can't be used; another may be.
fn odd(what: &str) -> Error {
    Error::Garbled { what: what.to_owned(), passes: Some(Duration::ZERO) }
}

/// Is a `Content-Range` the rest, from a byte on, of a file of this size?
fn goes_on(range: &str, from: u64, size_bytes: u64) -> bool {
    let parsed = range.strip_prefix("bytes ").and_then(|range| {
        let (span, total) = range.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let is_total = total == "*" || total.parse() == Ok(size_bytes);
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, is_total))
    });
    parsed.is_some_and(|(first, last, is_total)| first == from && first <= last && last < size_bytes && is_total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_of_a_file_of_the_same_size_goes_on_with_a_part() {
        for (range, goes) in [
            ("bytes 10-99/100", true),
            ("bytes 10-99/*", true),
            ("bytes 10-50/100", true),
            ("bytes 0-99/100", false),
            ("bytes 11-99/100", false),
            ("bytes 10-99/101", false),
            ("bytes 10-100/*", false),
            ("bytes 10-9/100", false),
            ("bytes */100", false),
            ("items 10-99/100", false),
            ("", false),
        ] {
            assert_eq!(goes_on(range, 10, 100), goes, "{range}");
        }
    }
}
