//! One question about one stream: over which connection, with which headers, through which redirects.
//!
//! Every host is judged when it is dialled, that of a redirect too, and gets only the cookies that are meant for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderValue, RANGE};
use hyper::{HeaderMap, Response, StatusCode};
use url::Url;

use super::hls::LONGEST_PLAYLIST;
use super::lanes::Lanes;
use super::{NotHere, Source, Trouble};
use crate::guard::Guard;
use crate::origin::{
    Connection, Cookies, MOST_REDIRECTS, Refusal, Silence, Unfit, headers_for, is_address, is_chunked, is_plain,
    next_bytes, target, whole_length,
};

/// Connections of all hosts that are kept for the next question: few enough that those which are kept leave room among
/// the connections of a guard for those which are used.
const MOST_IDLE: usize = 16;
/// A key of AES-128.
const KEY_BYTES: usize = 16;

/// Asks for everything of one stream.
pub(super) struct Fetcher {
    guard: Guard,
    source: Url,
    headers: HeaderMap,
    cookies: Cookies,
    idle: Arc<Idle>,
    keys: tokio::sync::Mutex<HashMap<Url, [u8; KEY_BYTES]>>,
}

/// Connections of one job that are kept for the next question, by scheme, host and port: of one host as many as there are
/// lanes.
pub(super) struct Idle {
    lanes: Arc<Lanes>,
    connections: Mutex<Vec<(String, Connection)>>,
}

impl Idle {
    pub(super) fn new(lanes: Arc<Lanes>) -> Self {
        Self { lanes, connections: Mutex::default() }
    }

    fn take(&self, origin: &str) -> Option<Connection> {
        let mut idle = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, connection)| !connection.is_closed());
        let at = idle.iter().rposition(|(of, _)| of == origin)?;
        Some(idle.swap_remove(at).1)
    }

    fn put(&self, origin: String, connection: Connection) {
        let mut idle = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = idle.iter().filter(|(of, _)| *of == origin).count();
        if idle.len() < MOST_IDLE && of_it < self.lanes.width() {
            idle.push((origin, connection));
        }
    }
}

/// Why a try has brought no more.
#[derive(Debug)]
pub(super) enum End {
    /// The origin stopped early, or never began.
    Cut,
    /// It asked to be left alone.
    Refused(Option<Duration>),
    /// Its lane is to be given up: somebody waits for another segment.
    CalledBack,
    /// It has nothing where it was asked to go on; how many bytes it has, if it said.
    Beyond(Option<u64>),
    /// There is nothing more to be had.
    Lost(Trouble),
}

impl End {
    /// What it is where no other try is made.
    pub(super) fn trouble(self) -> Trouble {
        match self {
            Self::Lost(trouble) => trouble,
            Self::Refused(retry_after) => Trouble::Busy { retry_after },
            Self::Beyond(_) => Trouble::Refused(StatusCode::RANGE_NOT_SATISFIABLE),
            Self::Cut | Self::CalledBack => Trouble::Broken,
        }
    }
}

impl<R: Into<NotHere>> From<R> for End {
    fn from(reason: R) -> Self {
        Self::Lost(Trouble::NotHere(reason.into()))
    }
}

/// An answer that is worth reading: 200 or 206, of plain bytes.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, redirects followed.
    pub(super) url: Url,
    /// Of the body, in bytes; `None`: it comes in chunks, the last of which tells its end.
    pub(super) length: Option<u64>,
    body: Incoming,
    connection: Connection,
}

impl Answer {
    /// The next bytes; `None` at the end of a body that is whole.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, End> {
        next_bytes(&mut self.body).await.map_err(silent)
    }
}

impl Fetcher {
    /// With the connections of its job.
    pub(super) fn new(guard: Guard, source: &Source, idle: Arc<Idle>) -> Self {
        Self {
            guard,
            source: source.url.clone(),
            headers: source.headers.clone(),
            cookies: source.cookies.clone(),
            idle,
            keys: tokio::sync::Mutex::default(),
        }
    }

    /// Asks for the bytes from the first to the last, or to the end, or for all.
    pub(super) async fn get(&self, url: &Url, range: Option<(u64, Option<u64>)>) -> Result<Answer, End> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            if !is_address(&url) {
                return Err(Unfit::Address.into());
            }
            let (connection, answer) = self.ask(&url, range).await?;
            let status = answer.status();
            if !status.is_redirection() {
                return read(connection, answer, url);
            }
            url = target(&url, answer.headers())?;
        }
        Err(Unfit::Redirects.into())
    }

    async fn ask(&self, url: &Url, range: Option<(u64, Option<u64>)>) -> Result<(Connection, Response<Incoming>), End> {
        let headers = self.question(url, range);
        let origin = url.origin().ascii_serialization();
        // an origin may close an idle connection in the moment in which it is used
        while let Some(mut connection) = self.idle.take(&origin) {
            if let Ok(answer) = connection.get(url, headers.clone()).await {
                return Ok((connection, answer));
            }
        }
        let mut connection = Connection::open(&self.guard, url).await.map_err(silent)?;
        let answer = connection.get(url, headers).await.map_err(silent)?;
        Ok((connection, answer))
    }

    fn question(&self, url: &Url, range: Option<(u64, Option<u64>)>) -> HeaderMap {
        let mut headers = headers_for((&self.source, &self.headers, &self.cookies), url);
        headers.remove(RANGE);
        if let Some((first, last)) = range {
            let last = last.map(|last| last.to_string()).unwrap_or_default();
            // digits are a header
            headers.extend(HeaderValue::from_str(&format!("bytes={first}-{last}")).ok().map(|range| (RANGE, range)));
        }
        headers
    }

    /// Keeps the connection of an answer that was read to its end.
    pub(super) fn keep(&self, answer: Answer) {
        self.idle.put(answer.url.origin().ascii_serialization(), answer.connection);
    }

    /// A playlist, and where it is, redirects followed.
    pub(super) async fn playlist(&self, url: &Url) -> Result<(String, Url), Trouble> {
        let whole = match self.get(url, None).await {
            Ok(answer) => {
                let base = answer.url.clone();
                self.read(answer, LONGEST_PLAYLIST).await.map(|bytes| (bytes, base))
            }
            Err(end) => Err(end),
        };
        match whole {
            Ok((Some(bytes), base)) => {
                let text = String::from_utf8(bytes).map_err(|_| Trouble::NotHere(NotHere::Playlist))?;
                Ok((text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), base))
            }
            Ok((None, _)) => Err(Trouble::NotHere(NotHere::TooMany)),
            Err(End::Lost(Trouble::Refused(_)) | End::Refused(_) | End::Beyond(_)) => Err(Unfit::Status.into()),
            Err(End::Lost(trouble)) => Err(trouble),
            Err(End::Cut | End::CalledBack) => Err(Unfit::Unanswered.into()),
        }
    }

    /// The key that lies at this address; asked for once.
    pub(super) async fn key(&self, url: &Url) -> Result<[u8; KEY_BYTES], End> {
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(url) {
            return Ok(*key);
        }
        let answer = self.get(url, None).await?;
        let bytes = self.read(answer, KEY_BYTES).await?;
        let key = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NotHere::Cipher)?;
        keys.insert(url.clone(), key);
        Ok(key)
    }

    /// The whole body; `None`: it is longer than that.
    async fn read(&self, mut answer: Answer, most: usize) -> Result<Option<Vec<u8>>, End> {
        let mut whole = Vec::new();
        while let Some(bytes) = answer.next().await? {
            if whole.len() + bytes.len() > most {
                return Ok(None);
            }
            whole.extend_from_slice(&bytes);
        }
        self.keep(answer);
        Ok(Some(whole))
    }
}

/// What the head of an answer means.
fn read(connection: Connection, answer: Response<Incoming>, url: Url) -> Result<Answer, End> {
    let (head, body) = answer.into_parts();
    match head.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
        StatusCode::RANGE_NOT_SATISFIABLE => return Err(End::Beyond(whole_length(&head.headers))),
        status => match Refusal::of(status, &head.headers) {
            Refusal::Busy(retry_after) => return Err(End::Refused(retry_after)),
            Refusal::Passing => return Err(End::Cut),
            Refusal::Final => return Err(End::Lost(Trouble::Refused(status))),
        },
    }
    if !is_plain(&head.headers) {
        return Err(Unfit::Encoded.into());
    }
    let length = body.size_hint().exact();
    if length.is_none() && !is_chunked(&head.headers) {
        return Err(Unfit::NoLength.into());
    }
    Ok(Answer { status: head.status, headers: head.headers, url, length, body, connection })
}

fn silent(silence: Silence) -> End {
    match silence {
        Silence::Denied(unreachable) => End::Lost(Trouble::Denied(unreachable)),
        Silence::Unresolved | Silence::Broken => End::Cut,
    }
}
