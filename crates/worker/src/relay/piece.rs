//! One piece, over one connection: what is fetched goes into its buffer, and a cut goes on at the byte behind it.
//!
//! Not here: when it is tried again, and how often (`driver`).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::hosts::{Host, Seat, Turn};
use super::room::Taken;
use super::{Trouble, Version};
use crate::guard::{Guard, Seat as Place};
use crate::origin::{Connection, Pace, Refusal, Silence, Unfit, content_range, is_plain, next_bytes};

/// Where the probe ended, which is where all pieces come from.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) guard: Guard,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) version: Version,
    pub(super) host: Host,
    pub(super) turn: Turn,
    pub(super) pace: Option<Arc<Pace>>,
    /// By all connections together.
    pub(super) arrived_bytes: AtomicU64,
}

/// Some bytes of the file, as far as they are there.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) first: u64,
    length: usize,
    bytes: Vec<u8>,
    /// Its room in the memory of the relay.
    room: Taken,
    /// Tries that brought nothing, one after the other.
    pub(super) in_vain: u32,
    /// Bytes that are there, for whoever watches.
    arrived: Arc<AtomicUsize>,
}

impl Piece {
    pub(super) fn new(first: u64, length: usize, mut room: Taken) -> Self {
        room.keep(length);
        let arrived = Arc::default();
        Self { first, length, bytes: Vec::with_capacity(length), room, in_vain: 0, arrived }
    }

    /// Watches it while somebody else fetches it.
    pub(super) fn watch(&self) -> impl Fn() -> usize + Send + use<> {
        let (length, arrived) = (self.length, Arc::clone(&self.arrived));
        move || length - arrived.load(Ordering::Relaxed)
    }

    /// Takes the second half of what is missing off it.
    pub(super) fn split(&mut self, room: Taken) -> Self {
        let kept = self.length - (self.length - self.bytes.len()) / 2;
        let second = Self::new(self.first + kept as u64, self.length - kept, room);
        self.length = kept;
        second
    }

    /// The range that is still to come, both ends included.
    fn rest(&self) -> (u64, u64) {
        (self.first + self.bytes.len() as u64, self.first + self.length as u64 - 1)
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.length
    }

    /// The bytes, which keep their room until they are dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(Held { bytes: self.bytes, _room: self.room })
    }
}

struct Held {
    bytes: Vec<u8>,
    _room: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How a try ended.
#[derive(Debug)]
pub(super) enum End {
    /// The piece is whole.
    Whole,
    /// The origin stopped early, or never began.
    Cut,
    /// It asked to be left alone.
    Refused { status: u16, retry_after: Option<Duration> },
    /// It said no: to this address, or to one connection too many.
    Forbidden,
    /// We stopped it.
    Stopped,
    /// There is nothing more to be had here.
    Lost(Trouble),
}

/// A piece that came back.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) piece: Piece,
    /// If it is free for the next question.
    pub(super) connection: Option<Connection>,
    pub(super) begun: Instant,
    pub(super) end: End,
}

/// Fetches what is missing of a piece until it is told to stop, over a connection that was used before if there is one.
/// Says when it got its seat.
pub(super) async fn fetch(
    route: &Route,
    mut piece: Piece,
    idle: Option<Connection>,
    (seated, stop): (&OnceLock<Instant>, &CancellationToken),
) -> Landed {
    let before = piece.bytes.len();
    let idle = idle.filter(|connection| !connection.is_closed());
    let was_used = idle.is_some();
    let mut tried = attempt(route, &mut piece, idle, (seated, stop)).await;
    // an origin may close an idle connection in the moment in which it is used: nothing is in vain by that
    if was_used && matches!(tried, (_, _, End::Cut)) && piece.bytes.len() == before {
        tried = attempt(route, &mut piece, None, (seated, stop)).await;
    }
    let (begun, connection, end) = tried;
    piece.in_vain = if piece.bytes.len() > before { 0 } else { piece.in_vain + 1 };
    Landed { piece, connection, begun, end }
}

/// When it began, the connection if it is free again, and how it ended.
async fn attempt(
    route: &Route,
    piece: &mut Piece,
    idle: Option<Connection>,
    (seated, stop): (&OnceLock<Instant>, &CancellationToken),
) -> (Instant, Option<Connection>, End) {
    // ours first: no other job waits for this host because our guard is crowded
    let over = match idle {
        Some(connection) => Over::Used(connection),
        None => match stop.run_until_cancelled(Connection::seat(&route.guard, &route.url)).await {
            Some(Ok(place)) => Over::New(place),
            Some(Err(silence)) => return (Instant::now(), None, silent(silence)),
            None => return (Instant::now(), None, End::Stopped),
        },
    };
    let _seat = route.host.seat(&route.turn).await;
    let begun = Instant::now();
    // told once: a piece of several tries is one of several lanes
    let _ = seated.set(begun);
    let tried = async {
        let connection = match over {
            Over::Used(connection) => connection,
            Over::New(place) => match Connection::open_on(place, &route.guard, &route.url).await {
                Ok(connection) => connection,
                Err(silence) => return (None, silent(silence)),
            },
        };
        ask(route, piece, connection).await
    };
    let (connection, end) = stop.run_until_cancelled(tried).await.unwrap_or((None, End::Stopped));
    (begun, connection, end)
}

/// What a piece is fetched over.
enum Over {
    Used(Connection),
    /// One that is opened on this place.
    New(Place),
}

/// Reads the piece that the probe asked for, on the seat that the probe had.
pub(super) async fn read(
    route: &Route,
    mut piece: Piece,
    (connection, body, _seat): (Connection, Incoming, Seat),
    stop: &CancellationToken,
) -> Landed {
    let begun = Instant::now();
    let expected = piece.length;
    let read = stop.run_until_cancelled(take(route, &mut piece, expected, connection, body)).await;
    let (connection, end) = read.unwrap_or((None, End::Stopped));
    Landed { piece, connection, begun, end }
}

async fn ask(route: &Route, piece: &mut Piece, mut connection: Connection) -> (Option<Connection>, End) {
    let (first, last) = piece.rest();
    let asked = connection.ask((&route.url, &route.headers), (first, last), Some(&route.version.validator));
    let answer = match asked.await {
        Ok(answer) => answer,
        Err(silence) => return (None, silent(silence)),
    };
    let headers = answer.headers();
    let end = match answer.status() {
        StatusCode::PARTIAL_CONTENT => match judge(route, headers, first, last) {
            Ok(coming) => {
                let expected = piece.bytes.len() + coming;
                return take(route, piece, expected, connection, answer.into_body()).await;
            }
            Err(trouble) => End::Lost(trouble),
        },
        // what `If-Range` gets for another version, and a file that is shorter now
        StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => {
            End::Lost(Trouble::Changed)
        }
        StatusCode::FORBIDDEN => End::Forbidden,
        status => match Refusal::of(status, headers) {
            Refusal::Busy(retry_after) => End::Refused { status: status.as_u16(), retry_after },
            Refusal::Passing => End::Cut,
            // what was good for the first piece is no longer
            Refusal::Final => End::Lost(Trouble::Expired),
        },
    };
    // an answer that is not read leaves its connection in the middle of something
    (None, end)
}

/// How many bytes come, if they are the right ones: an origin may send less than it was asked for.
fn judge(route: &Route, headers: &HeaderMap, first: u64, last: u64) -> Result<usize, Trouble> {
    let version = &route.version;
    let wrong = Trouble::from(Unfit::WrongRange);
    let range = content_range(headers).filter(|_| is_plain(headers)).ok_or(wrong)?;
    if range.total.is_some_and(|total| total != version.length) || !version.validator.fits(headers) {
        return Err(Trouble::Changed);
    }
    if range.first != first || range.last > last {
        return Err(wrong);
    }
    usize::try_from(range.last - range.first + 1).map_err(|_| wrong)
}

/// Reads until the buffer holds as much as is expected, and not a byte more.
async fn take(
    route: &Route,
    piece: &mut Piece,
    expected: usize,
    connection: Connection,
    mut body: Incoming,
) -> (Option<Connection>, End) {
    loop {
        match next_bytes(&mut body).await {
            Ok(Some(data)) => {
                if data.len() > expected - piece.bytes.len() {
                    return (None, End::Lost(Unfit::WrongRange.into()));
                }
                piece.bytes.extend_from_slice(&data);
                piece.arrived.store(piece.bytes.len(), Ordering::Relaxed);
                route.arrived_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                if let Some(pace) = &route.pace {
                    pace.keep(data.len()).await;
                }
            }
            Ok(None) if piece.is_whole() => return (Some(connection), End::Whole),
            Ok(None) if piece.bytes.len() == expected => return (Some(connection), End::Cut),
            // whole is whole, however the connection ended
            Ok(None) | Err(_) => {
                return (None, if piece.is_whole() { End::Whole } else { End::Cut });
            }
        }
    }
}

fn silent(silence: Silence) -> End {
    match silence {
        Silence::Denied(unreachable) => End::Lost(Trouble::Denied(unreachable)),
        Silence::Unresolved | Silence::Broken => End::Cut,
    }
}
