//! One who follows a download by server-sent events, as a browser's `EventSource` would: it remembers the last id.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::processes::PATIENCE;

/// In which order a job has its states, each its status and stage; it may be found in any of them.
pub const STATES: [&str; 7] = [
    "queued -",
    "running extract",
    "running download",
    "running process",
    "running verify",
    "running upload",
    "completed -",
];

/// What a stream has between two empty lines.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An event.
    Event(Event),
    /// When to come back, in ms.
    Retry(u64),
    /// A sign of life.
    Comment,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// `progress`, `stage`, or an end.
    pub name: String,
    /// The job.
    pub job: Value,
}

impl Event {
    /// `name status stage` in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let word = |field: &str| self.job[field].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", self.name, word("status"), word("stage"))
    }

    /// How far it is.
    #[must_use]
    pub fn percent(&self) -> f64 {
        self.job["progress"]["percent"].as_f64().unwrap_or(-1.0)
    }

    /// Is it the last?
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.name.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// An open stream.
pub struct Following {
    /// The headers that it began with.
    pub headers: reqwest::header::HeaderMap,
    pieces: BoxStream<'static, reqwest::Result<Bytes>>,
    text: Vec<u8>,
}

impl Following {
    /// Opens a stream with this request, after the event with this id. `None`: there is nothing to come back for.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn begin(request: RequestBuilder, last: Option<&str>) -> Result<Option<Self>> {
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        // the client's own time limit is one for the whole answer
        let answer = request.timeout(Duration::from_secs(3600)).send().await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let status = answer.status();
        ensure!(status == 200, "{status}: {}", answer.text().await?);
        let headers = answer.headers().clone();
        ensure!(headers["content-type"] == "text/event-stream", "{headers:?}");
        Ok(Some(Self { headers, pieces: answer.bytes_stream().boxed(), text: Vec::new() }))
    }

    /// What comes next; `None`: the stream has ended.
    ///
    /// # Errors
    /// When it breaks, or nothing comes, or what comes is no event.
    pub async fn piece(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let rest = self.text.split_off(end + 2);
                let block = std::mem::replace(&mut self.text, rest);
                return Ok(Some(read(std::str::from_utf8(&block)?)?));
            }
            match timeout(PATIENCE, self.pieces.try_next()).await.context("nothing comes")?? {
                Some(bytes) => self.text.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// The next event; `None`: the stream has ended.
    ///
    /// # Errors
    /// As [`Following::piece`].
    pub async fn event(&mut self) -> Result<Option<Event>> {
        loop {
            match self.piece().await? {
                Some(Piece::Event(event)) => return Ok(Some(event)),
                Some(Piece::Retry(_) | Piece::Comment) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next event, which has to come.
    ///
    /// # Errors
    /// When the stream ends instead.
    pub async fn must(&mut self) -> Result<Event> {
        self.event().await?.context("the stream has ended")
    }

    /// Everything up to its end.
    ///
    /// # Errors
    /// As [`Following::piece`].
    pub async fn rest(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await? {
            events.push(event);
        }
        Ok(events)
    }
}

fn read(block: &str) -> Result<Piece> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if block.starts_with(':') {
        return Ok(Piece::Comment);
    }
    if let Some(retry) = field("retry") {
        return Ok(Piece::Retry(retry.parse()?));
    }
    let job = serde_json::from_str(field("data").context("data")?)?;
    Ok(Piece::Event(Event {
        id: field("id").map(str::to_owned),
        name: field("event").context("a name")?.to_owned(),
        job,
    }))
}
