//! The first question: is there something to relay, and where?
//!
//! It asks for the first piece at once, so that a good answer costs no round trip of its own. Redirects are followed
//! by hand: each host is judged when it is dialled, and cookies stay with the host they were meant for.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::hosts::{Seat, Turn};
use super::piece::Route;
use super::room::UNIT;
use super::{NotHere, Relay, Source, Trouble, Validator, Version};
use crate::origin::{
    Connection, MOST_REDIRECTS, Refusal, Silence, Unfit, content_range, headers_for, is_address, is_plain, target,
};

/// The first piece, whose bytes are still to be read.
#[derive(Debug)]
pub(super) struct First {
    pub(super) at: u64,
    /// Of the piece.
    pub(super) length: u64,
    pub(super) connection: Connection,
    pub(super) body: Incoming,
    /// From dialling to this answer.
    pub(super) reach: Duration,
    /// At the host, for as long as the piece is read.
    pub(super) seat: Seat,
}

/// Asks for the piece at `at`.
pub(super) async fn probe(relay: &Relay, turn: &Turn, source: &Source, at: u64) -> Result<(Route, First), Trouble> {
    let last = at.saturating_add(relay.limits.piece_bytes().min(UNIT as u64) - 1);
    let mut url = source.url.clone();
    for _ in 0..=MOST_REDIRECTS {
        if !is_address(&url) {
            return Err(Unfit::Address.into());
        }
        let host = relay.hosts.host(url.host_str().unwrap_or_default());
        let headers = headers_for((&source.url, &source.headers, &source.cookies), &url);
        // ours first: no other job waits for this host because our guard is crowded
        let place = Connection::seat(&relay.guard, &url).await.map_err(trouble)?;
        let seat = host.seat(turn).await;
        let dialled = Instant::now();
        let mut connection = Connection::open_on(place, &relay.guard, &url).await.map_err(trouble)?;
        let answer = connection.ask((&url, &headers), (at, last), None).await.map_err(trouble)?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (version, length) = judge(answer.headers(), at, last).map_err(Trouble::NotHere)?;
                let (body, reach) = (answer.into_body(), dialled.elapsed());
                let first = First { at, length, connection, body, reach, seat };
                let (guard, pace, turn) = (relay.guard.clone(), relay.pace.clone(), turn.clone());
                let arrived_bytes = AtomicU64::new(0);
                return Ok((Route { guard, url, headers, version, host, turn, pace, arrived_bytes }, first));
            }
            status if status.is_redirection() => {
                url = target(&url, answer.headers())?;
            }
            status => {
                let trouble = refused(status, answer.headers());
                if matches!(trouble, Trouble::Busy { .. }) {
                    host.asked();
                }
                return Err(trouble);
            }
        }
    }
    Err(Unfit::Redirects.into())
}

/// What a range is of, and how much of it comes.
fn judge(headers: &HeaderMap, at: u64, last: u64) -> Result<(Version, u64), NotHere> {
    if !is_plain(headers) {
        return Err(Unfit::Encoded.into());
    }
    let range = content_range(headers).ok_or(Unfit::WrongRange)?;
    let length = range.total.ok_or(Unfit::NoLength)?;
    if range.first != at || range.last > last {
        return Err(Unfit::WrongRange.into());
    }
    let validator = Validator::of(headers).ok_or(NotHere::NoValidator)?;
    Ok((Version { length, validator }, range.last - range.first + 1))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Trouble {
    match status {
        StatusCode::OK => Trouble::NotHere(NotHere::NoRanges),
        StatusCode::FORBIDDEN | StatusCode::GONE => Trouble::Expired,
        status => match Refusal::of(status, headers) {
            Refusal::Busy(retry_after) => Trouble::Busy { status: status.as_u16(), retry_after },
            Refusal::Passing | Refusal::Final => Unfit::Status.into(),
        },
    }
}

fn trouble(silence: Silence) -> Trouble {
    match silence {
        Silence::Denied(unreachable) => Trouble::Denied(unreachable),
        Silence::Unresolved | Silence::Broken => Unfit::Unanswered.into(),
    }
}
