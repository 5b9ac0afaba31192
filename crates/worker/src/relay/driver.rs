//! Who fetches what: pieces are handed to connections in order, and given out in order.
//!
//! A piece gets its room in memory when it is begun and keeps it until its bytes are dropped. Room is given in the
//! order of offsets, so the next piece to be given out always has some, and the relay can't wait for itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::piece::{self, End, Landed, Piece, Route};
use super::probe::First;
use super::room::{self, Room, Taken, UNIT};
use super::width::{LOOK_EVERY, Width};
use super::{Limits, Relayed, Trouble};
use crate::origin::{Connection, LONGEST_QUIET, QUIET};

/// After the first try that brought nothing; doubled for each one more.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// A connection that would need longer for its piece than this is helped by those that have nothing left to do.
const SLOW: Duration = Duration::from_secs(1);
/// Less than this is not worth another question, in bytes.
const SMALLEST: usize = 256 * 1024;
/// With less than this to go, pieces are of one unit, so that there are some for all connections.
const MUCH: u64 = 64 * UNIT as u64;
/// When nothing can be begun because everything waits for one connection, that one may need so long for its piece.
const LATE: Duration = Duration::from_secs(5);

/// Begins with the answer that the probe got.
pub(super) fn start(route: Route, first: First, limits: Limits, room: Room) -> Relayed {
    // as many as there is room for: a piece that is given out hardly ever waits here
    let (out, pieces) = mpsc::channel(room::MOST / SMALLEST.min(limits.piece_bytes() as usize));
    let (version, at, route) = (route.version.clone(), first.at, Arc::new(route));
    let most = route.host.at_once(limits.connections);
    let driver = Driver {
        route: Arc::clone(&route),
        limits,
        width: Width::new(most, first.reach, Instant::now()),
        room,
        lanes: JoinSet::new(),
        under_way: BTreeMap::new(),
        idle: Vec::new(),
        unbegun: at,
        again: BTreeMap::new(),
        whole: BTreeMap::new(),
        forbidden: None,
        due: at,
        out,
    };
    let driver = AbortOnDropHandle::new(tokio::spawn(driver.run(first)));
    Relayed { version, at, pieces, route, _driver: driver }
}

struct Driver {
    route: Arc<Route>,
    limits: Limits,
    width: Width,
    room: Room,
    lanes: JoinSet<Landed>,
    /// What they do, by the first byte of the piece.
    under_way: BTreeMap<u64, Lane>,
    idle: Vec<Connection>,
    /// The first byte that no piece has been begun for.
    unbegun: u64,
    /// Pieces to be tried again, by their first byte, and when.
    again: BTreeMap<u64, (Instant, Piece)>,
    whole: BTreeMap<u64, Piece>,
    /// When the address was refused first; `None` again when something that was asked for later has come.
    forbidden: Option<Instant>,
    /// The next byte to give out.
    due: u64,
    out: mpsc::Sender<Result<Bytes, Trouble>>,
}

/// A piece that is being fetched.
struct Lane {
    /// Since when it has a seat at the host; not set while it waits for one.
    seated: Arc<OnceLock<Instant>>,
    missing_then: usize,
    missing: Box<dyn Fn() -> usize + Send>,
    stop: CancellationToken,
}

impl Lane {
    fn of(piece: &Piece) -> Self {
        let (missing, stop) = (Box::new(piece.watch()), CancellationToken::new());
        Self { seated: Arc::default(), missing_then: missing(), missing, stop }
    }

    /// For how long it has had a seat.
    fn has_had(&self, now: Instant) -> Option<Duration> {
        self.seated.get().map(|since| now.duration_since(*since))
    }

    /// Seconds that it still needs if it goes on as it did; `None` for one that it is not the origin's turn to serve, or
    /// not for longer than this.
    fn needs(&self, now: Instant, after: Duration) -> Option<f64> {
        let had = self.has_had(now).filter(|had| *had > after)?;
        let missing = (self.missing)();
        Some(had.as_secs_f64() * missing as f64 / self.missing_then.saturating_sub(missing).max(1) as f64)
    }
}

impl Driver {
    async fn run(mut self, first: First) {
        if let Err(trouble) = self.relay(first).await {
            // nobody left to tell is fine
            let _ = self.out.send(Err(trouble)).await;
        }
    }

    async fn relay(&mut self, first: First) -> Result<(), Trouble> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.begin_with(first).await;
        while self.due < self.route.version.length {
            let now = Instant::now();
            self.try_again(now);
            let quiet = self.width.quiet_until(now);
            let may_begin = quiet.is_none()
                && self.lanes.len() < self.width.lanes()
                && self.unbegun < self.route.version.length
                && !self.again.values().any(|(when, _)| *when <= now);
            let wake = self.again.values().map(|(when, _)| *when).chain(quiet).filter(|when| *when > now).min();
            let units = self.units();
            tokio::select! {
                // a connection is not seen idle that is about to begin
                biased;
                Some(landed) = self.lanes.join_next() => {
                    // a lane that panicked has lost its piece
                    self.settle(landed.map_err(|_| Trouble::Broken)?)?;
                    self.give_out().await;
                }
                Some(room) = self.room.take(units), if may_begin => self.begin(room),
                _ = looks.tick() => self.look(),
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
        Ok(())
    }

    async fn begin_with(&mut self, first: First) {
        let Some(room) = self.room.take(1).await else { return };
        let route = Arc::clone(&self.route);
        self.unbegun = first.at + first.length;
        // at most a piece: the probe asked for no more
        let piece = Piece::new(first.at, first.length as usize, room);
        let lane = Lane::of(&piece);
        let (stop, _) = (lane.stop.clone(), lane.seated.set(Instant::now()));
        self.under_way.insert(piece.first, lane);
        let answer = (first.connection, first.body, first.seat);
        self.lanes.spawn(async move { piece::read(&route, piece, answer, &stop).await });
    }

    /// Of the next piece.
    fn units(&self) -> u32 {
        let is_much = self.route.version.length - self.unbegun > MUCH && self.limits.piece_bytes() > UNIT as u64;
        if is_much { 2 } else { 1 }
    }

    fn begin(&mut self, room: Taken) {
        let most = self.limits.piece_bytes().min(room.bytes());
        let length = most.min(self.route.version.length - self.unbegun);
        let piece = Piece::new(self.unbegun, length as usize, room);
        self.unbegun += length;
        self.fetch(piece);
    }

    fn fetch(&mut self, piece: Piece) {
        let (route, connection) = (Arc::clone(&self.route), self.idle.pop());
        let lane = Lane::of(&piece);
        let (seated, stop) = (Arc::clone(&lane.seated), lane.stop.clone());
        self.under_way.insert(piece.first, lane);
        self.lanes.spawn(async move { piece::fetch(&route, piece, connection, (&seated, &stop)).await });
    }

    /// Those that came first go first: everything behind them waits for them.
    fn try_again(&mut self, now: Instant) {
        while self.lanes.len() < self.width.lanes() && self.width.quiet_until(now).is_none() {
            let ripe = self.again.iter().find(|(_, (when, _))| *when <= now).map(|(first, _)| *first);
            let Some((_, piece)) = ripe.and_then(|first| self.again.remove(&first)) else { return };
            self.fetch(piece);
        }
    }

    fn settle(&mut self, landed: Landed) -> Result<(), Trouble> {
        let Landed { mut piece, connection, begun, end } = landed;
        let now = Instant::now();
        self.under_way.remove(&piece.first);
        self.idle.extend(connection);
        let refused = match end {
            End::Whole => {
                self.forbidden = self.forbidden.filter(|first| begun <= *first);
                self.whole.insert(piece.first, piece);
                return Ok(());
            }
            End::Lost(trouble) => return Err(trouble),
            End::Stopped => {
                // the half of a piece is a unit at most
                if let Some(room) = self.room.try_take(1) {
                    let second = piece.split(room);
                    self.again.insert(second.first, (now, second));
                }
                self.again.insert(piece.first, (now, piece));
                return Ok(());
            }
            End::Cut => {
                if piece.in_vain > 0 {
                    // some origins object by hanging up
                    self.width.refused(begun, Duration::ZERO, now);
                }
                None
            }
            End::Forbidden => {
                // an address that is used up is refused again, and is all that is left when nothing else comes
                let again = self.forbidden.is_some_and(|first| begun > first);
                if again || self.under_way.is_empty() {
                    return Err(Trouble::Expired);
                }
                self.forbidden.get_or_insert(now);
                self.width.refused(begun, Duration::ZERO, now);
                Some(Trouble::Expired)
            }
            End::Refused { status, retry_after } => {
                self.route.host.asked();
                let (wait, busy) = (retry_after.unwrap_or(QUIET), Trouble::Busy { status, retry_after });
                if wait > LONGEST_QUIET {
                    return Err(busy);
                }
                self.width.refused(begun, wait, now);
                Some(busy)
            }
        };
        if piece.in_vain > self.limits.retries {
            return Err(refused.unwrap_or(Trouble::Broken));
        }
        let doubled = FIRST_DELAY * 2_u32.saturating_pow(piece.in_vain.saturating_sub(1).min(16));
        let delay = if piece.in_vain == 0 { Duration::ZERO } else { doubled.min(LONGEST_DELAY) };
        self.again.insert(piece.first, (now + delay, piece));
        Ok(())
    }

    async fn give_out(&mut self) {
        while let Some(piece) = self.whole.remove(&self.due) {
            let bytes = piece.into_bytes();
            self.due += bytes.len() as u64;
            // whoever gives up listening drops this task as well
            let _ = self.out.send(Ok(bytes)).await;
        }
    }

    /// At the end, has the slowest connection share its piece with one that has nothing left to do.
    fn help_the_slowest(&self, now: Instant) {
        let is_over = self.unbegun == self.route.version.length && self.again.is_empty();
        let has_hands = self.lanes.len() < self.width.lanes() && self.room.is_free();
        if !is_over || !has_hands || self.width.quiet_until(now).is_some() {
            return;
        }
        let large = self.under_way.values().filter(|lane| (lane.missing)() >= 2 * SMALLEST);
        let slow = large.filter_map(|lane| Some((lane.needs(now, SLOW)?, lane)));
        let slowest = slow.max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, lane)) = slowest.filter(|(needs, _)| *needs > SLOW.as_secs_f64()) {
            lane.stop.cancel();
        }
    }

    /// Has another connection go on with the piece that everything waits for.
    fn relieve_the_due(&self, now: Instant) {
        // with a rate to keep, slow is what it should be
        if self.room.is_free() || self.route.pace.is_some() || self.width.quiet_until(now).is_some() {
            return;
        }
        let due = self.under_way.get(&self.due);
        if let Some(lane) = due.filter(|lane| lane.needs(now, LATE).is_some_and(|needs| needs > LATE.as_secs_f64())) {
            lane.stop.cancel();
        }
    }

    fn look(&mut self) {
        self.help_the_slowest(Instant::now());
        self.relieve_the_due(Instant::now());
        // one that waits for a seat is not at work
        let at_work = self.under_way.values().filter(|lane| lane.seated.get().is_some()).count();
        let full = at_work >= self.width.lanes();
        self.width.look(self.route.arrived_bytes.load(Ordering::Relaxed), full, Instant::now());
        self.idle.truncate(self.width.lanes());
    }
}
