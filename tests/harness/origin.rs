//! A site on loopback that serves the test media, as it should be or spoilt on purpose.
//!
//! `origin.url("/hls-ts/master.m3u8")` is the file; `origin.spoilt(Fault::Missing("360p-1.ts"), "/hls-ts/master.m3u8")`
//! is the same with a fault, which a playlist hands on to its segments because it is the first part of the path.
//!
//! Not here: how the media are made (`media`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::door::Door;
use crate::media;

const PIECE_BYTES: usize = 16 * 1024;

/// How an answer is spoilt. A file is named by the end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every answer is sent at this many bytes per second.
    Throttle(u64),
    /// The right length is announced, and every connection is cut after this many bytes of the body.
    Cut(usize),
    /// The first connection for each path is cut so; later ones bring all.
    CutOnce(usize),
    /// The first so many per cent of the file are served as if they were the whole; above 100, more is announced
    /// than is sent.
    Lying(usize),
    /// The file of this name is not found.
    Missing(&'static str),
    /// The file of this name is served by half, as if it were the whole.
    Halved(&'static str),
    /// The first requests for each path, as many as the second number, get this status, with `Retry-After: 1`.
    Status(u16, u64),
    /// The same, with this `Retry-After` in seconds, or until a date so far away.
    Asks(u16, u64, Wait),
    /// The connection is accepted, and nothing is ever sent.
    Hang,
    /// One byte per second.
    Drip,
}

/// A form of `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// So many seconds.
    Seconds(u64),
    /// Until the time so many seconds from now.
    Until(u64),
}

/// As the first part of a path.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttle(rate) => write!(f, "throttle={rate}"),
            Self::Cut(bytes) => write!(f, "cut={bytes}"),
            Self::CutOnce(bytes) => write!(f, "cut-once={bytes}"),
            Self::Lying(percent) => write!(f, "lying={percent}"),
            Self::Missing(name) => write!(f, "missing={name}"),
            Self::Halved(name) => write!(f, "halved={name}"),
            Self::Status(status, times) => write!(f, "status={status}-{times}"),
            Self::Asks(status, times, Wait::Seconds(wait)) => write!(f, "asks={status}-{times}-{wait}"),
            Self::Asks(status, times, Wait::Until(wait)) => write!(f, "until={status}-{times}-{wait}"),
            Self::Hang => f.write_str("hang="),
            Self::Drip => f.write_str("throttle=1"),
        }
    }
}

/// A running site; it ends when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    site: Arc<Site>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Site {
    hits: Mutex<HashMap<String, Vec<Instant>>>,
    /// Files that one test put there, by path.
    own: Mutex<HashMap<String, Bytes>>,
    /// Answers that one test put there, by path.
    answers: Mutex<HashMap<String, (StatusCode, HeaderMap, Bytes)>>,
    /// What everybody is answered, whatever they ask for.
    turns_away: Mutex<Option<StatusCode>>,
    /// Who is let in, and where to.
    door: Door,
}

impl Origin {
    /// Starts a site on a free port of 127.0.0.1. Beside the media it has `/page.html` (a page without media),
    /// `/empty.mp4` (zero bytes), and `/endless.mp4` (a video without end).
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// The same on a free port of another address of loopback.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let site = Arc::new(Site::default());
        tokio::task::spawn_blocking(media::folder).await.expect("the media can be made");
        let origin = Self { address, site, tasks: Mutex::default() };
        origin.serve_also(listener);
        origin
    }

    /// Answers here as well.
    pub fn serve_also(&self, listener: TcpListener) {
        let router = Router::new().fallback(serve).with_state(Arc::clone(&self.site));
        self.tasks.lock().expect("no holder panics").spawn(async move {
            axum::serve(listener, router).await.expect("a server without limit does not end");
        });
    }

    /// The address of a path that begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address of a path with a fault.
    #[must_use]
    pub fn spoilt(&self, fault: Fault, path: &str) -> String {
        self.url(&format!("/{fault}{path}"))
    }

    /// Serves bytes of the test's own at a path; the media type follows from the name.
    pub fn put(&self, path: &str, body: impl Into<Bytes>) {
        self.site.own.lock().expect("no holder panics").insert(path.to_owned(), body.into());
    }

    /// Answers at a path with this status and these headers.
    pub fn answer(&self, path: &str, status: u16, headers: &[(HeaderName, &str)], body: impl Into<Bytes>) {
        let status = StatusCode::from_u16(status).expect("a status");
        let header = |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().expect("a header's value"));
        let answer = (status, headers.iter().map(header).collect(), body.into());
        self.site.answers.lock().expect("no holder panics").insert(path.to_owned(), answer);
    }

    /// Serves, at a path that ends in `.mp4`, a playlist that names a file of the machine: what a stock
    /// post-processor would read and hand out.
    pub fn put_playlist_of(&self, path: &str, local: &Path) {
        let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{}\n#EXT-X-ENDLIST\n", local.display());
        self.put(path, playlist);
    }

    /// How often a path was asked for, faults and all, whatever came of it.
    #[must_use]
    pub fn hits(&self, path: &str) -> u64 {
        self.times(path).len() as u64
    }

    /// When a path was asked for, in order.
    #[must_use]
    pub fn times(&self, path: &str) -> Vec<Instant> {
        self.site.hits.lock().expect("no holder panics").get(path).cloned().unwrap_or_default()
    }

    /// Answers everything with this status from now on; with `None`, as it should again.
    pub fn turn_away(&self, status: Option<u16>) {
        let status = status.map(|code| StatusCode::from_u16(code).expect("a status"));
        *self.site.turns_away.lock().expect("no holder panics") = status;
    }

    /// Who is let in, and where to.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.site.door
    }

    /// How often anything was asked for.
    #[must_use]
    pub fn all_hits(&self) -> usize {
        self.site.hits.lock().expect("no holder panics").values().map(Vec::len).sum()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(State(site): State<Arc<Site>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let hit = site.hit(&path);
    let turned_away = *site.turns_away.lock().expect("no holder panics");
    if let Some(status) = turned_away {
        return status.into_response();
    }
    if let Some(answer) = site.door.answer(request.headers()) {
        return answer;
    }
    let own = site.answers.lock().expect("no holder panics").get(&path).cloned();
    if let Some((status, headers, body)) = own {
        return (status, headers, body).into_response();
    }
    let (fault, path) = match path[1..].split_once('/') {
        Some((first, rest)) if first.contains('=') => (first.split_once('='), format!("/{rest}")),
        _ => (None, path),
    };
    let (fault, value) = fault.unwrap_or_default();
    let number = value.parse::<usize>().unwrap_or_default();
    let Some(mut body) = site.file(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let mut answer = Answer { rate: None, cut: None, announce: None };
    match fault {
        "throttle" => answer.rate = Some(number.max(1)),
        "cut" => answer.cut = Some(number),
        "cut-once" => answer.cut = (hit == 1).then_some(number),
        "lying" if number > 100 => answer.announce = Some(body.len() * number / 100),
        "lying" => body.truncate(body.len() * number / 100),
        "missing" if path.ends_with(value) => return StatusCode::NOT_FOUND.into_response(),
        "halved" if path.ends_with(value) => body.truncate(body.len() / 2),
        "status" | "asks" | "until" => {
            let (status, rest) = value.split_once('-').expect("a status has its number of times");
            let (times, wait) = rest.split_once('-').unwrap_or((rest, "1"));
            if hit <= times.parse().expect("a number of times") {
                let status = status.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok());
                let wait = if fault == "until" { http_date(wait) } else { wait.to_owned() };
                return (status.expect("a status"), [(header::RETRY_AFTER, wait)]).into_response();
            }
        }
        "hang" => return std::future::pending().await,
        _ => {}
    }
    if path == "/endless.mp4" {
        return endless(body);
    }
    answer.of(&path, body, request.headers())
}

impl Site {
    fn hit(&self, path: &str) -> u64 {
        let mut hits = self.hits.lock().expect("no holder panics");
        let times = hits.entry(path.to_owned()).or_default();
        times.push(Instant::now());
        times.len() as u64
    }

    fn file(&self, path: &str) -> Option<Bytes> {
        if let Some(own) = self.own.lock().expect("no holder panics").get(path) {
            return Some(own.clone());
        }
        match path {
            "/page.html" => Some(Bytes::from_static(b"<!doctype html><title>Nothing to see</title><p>Only words.")),
            "/empty.mp4" => Some(Bytes::new()),
            "/endless.mp4" => fs::read(media::file("progressive.mp4")).ok().map(Bytes::from),
            _ if path.contains("..") => None,
            _ => fs::read(media::file(&path[1..])).ok().map(Bytes::from),
        }
    }
}

/// What is peculiar about the answer: bytes per second, bytes after which it is cut, the length announced.
struct Answer {
    rate: Option<usize>,
    cut: Option<usize>,
    announce: Option<usize>,
}

impl Answer {
    fn of(self, path: &str, whole: Bytes, asked: &HeaderMap) -> Response {
        let range = asked.get(header::RANGE).and_then(|value| value.to_str().ok());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        if path.ends_with(".gz") {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, tag_of(&whole));
        // RFC 9110, 13.1.5: a range of another version is not what was asked for
        let is_meant = asked.get(header::IF_RANGE).is_none_or(|version| version == headers[header::ETAG]);
        let (status, body) = match range.filter(|_| is_meant).map(|range| read_range(range, whole.len())) {
            None | Some(Range::NotUnderstood) => (StatusCode::OK, whole),
            Some(Range::Part(from, until)) => {
                let text = format!("bytes {from}-{}/{}", until - 1, whole.len());
                headers.insert(header::CONTENT_RANGE, text.parse().expect("digits are a header"));
                (StatusCode::PARTIAL_CONTENT, whole.slice(from..until))
            }
            Some(Range::Outside) => {
                let text = format!("bytes */{}", whole.len());
                headers.insert(header::CONTENT_RANGE, text.parse().expect("digits are a header"));
                (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
            }
        };
        headers.insert(header::CONTENT_LENGTH, self.announce.unwrap_or(body.len()).into());
        (status, headers, self.send(body)).into_response()
    }

    fn send(&self, body: Bytes) -> Body {
        let breaks = self.cut.is_some_and(|cut| cut < body.len()) || self.announce.is_some();
        let body = body.slice(..self.cut.unwrap_or(body.len()).min(body.len()));
        let piece = self.rate.map_or(PIECE_BYTES, |rate| (rate / 10).clamp(1, PIECE_BYTES));
        let pause = self.rate.map(|rate| Duration::from_secs_f64(piece as f64 / rate as f64));
        let pieces = futures::stream::unfold((body, pause), move |(mut rest, pause)| async move {
            if rest.is_empty() {
                return None;
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let piece = rest.split_to(piece.min(rest.len()));
            Some((Ok(piece), (rest, pause)))
        });
        let end = futures::stream::iter(breaks.then_some(())).then(|()| async {
            // what was written before is lost if the error follows at once
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(std::io::Error::other("cut on purpose"))
        });
        Body::from_stream(pieces.chain(end))
    }
}

/// A real beginning, then zeros for ever, without a length.
fn endless(beginning: Bytes) -> Response {
    let zeros = futures::stream::repeat(Bytes::from_static(&[0; PIECE_BYTES]));
    let body = futures::stream::iter([beginning]).chain(zeros).map(Ok::<_, Infallible>);
    ([(header::CONTENT_TYPE, "video/mp4")], Body::from_stream(body)).into_response()
}

/// A strong tag of the content: by its size and a part of it, for it is made for every range.
fn tag_of(whole: &[u8]) -> HeaderValue {
    let mut hash = DefaultHasher::new();
    (whole.len(), whole.iter().step_by(1 + whole.len() / 4096).collect::<Vec<_>>()).hash(&mut hash);
    format!("\"{:x}\"", hash.finish()).parse().expect("digits are a header")
}

enum Range {
    /// From and until, the end not included.
    Part(usize, usize),
    Outside,
    NotUnderstood,
}

/// Reads a single range of RFC 9110 §14.
fn read_range(text: &str, length: usize) -> Range {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::NotUnderstood;
    };
    match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), _) if from >= length => Range::Outside,
        (Ok(from), Ok(to)) if to >= from => Range::Part(from, (to + 1).min(length)),
        (Ok(from), Err(_)) if to.is_empty() => Range::Part(from, length),
        (Err(_), Ok(last)) if from.is_empty() && last > 0 => Range::Part(length.saturating_sub(last), length),
        _ => Range::NotUnderstood,
    }
}

/// So many seconds from now, as `Retry-After` may have it (RFC 9110 §5.6.7).
fn http_date(seconds: &str) -> String {
    let from_now = SignedDuration::from_secs(seconds.parse().expect("a number of seconds"));
    (Timestamp::now() + from_now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "mp4" => "video/mp4",
        "m4s" => "video/iso.segment",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "ts" => "video/mp2t",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "mp3" => "audio/mpeg",
        "opus" => "audio/ogg",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "png" => "image/png",
        // a page that is sent compressed
        "html" | "gz" => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}
