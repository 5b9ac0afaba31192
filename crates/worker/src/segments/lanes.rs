//! The connections of one job: who may fetch next.
//!
//! Picture and sound play side by side, so what plays first is fetched first, of whichever stream: none runs ahead of the
//! others, and no connection is kept for a stream that has nothing to ask. What somebody waits for goes before all.
//!
//! A segment that stands still, because as much is held as may be, gives its lane up for one that is waited for. So no
//! stream waits for another one for ever, whichever is read first.
//!
//! Not here: how much may be held (`share`), which connection it is (`fetcher`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Where a segment stands among those of all streams; the least goes first. No two have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// How much of its stream lies before it: streams of one job play equally long.
    place: u64,
    stream: usize,
}

impl Rank {
    /// Of a segment by its number, among so many of a stream.
    pub(super) fn of(stream: usize, segment: usize, segments: usize) -> Self {
        Self { place: ((segment as u64) << 32) / segments.max(1) as u64, stream }
    }
}

/// Of those that stand still, who has most to lose is told last to give its lane up.
type Standing = (bool, Rank);

/// The lanes of one job.
pub(super) struct Lanes(Mutex<State>);

struct State {
    free: usize,
    /// How many there are, those on loan included.
    width: usize,
    /// Of those on loan, so many are not to come back.
    surplus: usize,
    /// Who waits while somebody waits for it, and who else waits.
    due: BTreeMap<Rank, oneshot::Sender<Lane>>,
    others: BTreeMap<Rank, oneshot::Sender<Lane>>,
    /// Who has a lane and stands still.
    still: BTreeMap<Standing, oneshot::Sender<()>>,
    /// Of those, so many were told to give theirs up, whether or not they have heard it, and have not done it yet.
    called: usize,
}

impl Lanes {
    /// So many, and at least one.
    pub(super) fn new(width: usize) -> Arc<Self> {
        let width = width.max(1);
        let state = State {
            free: width,
            width,
            surplus: 0,
            due: BTreeMap::new(),
            others: BTreeMap::new(),
            still: BTreeMap::new(),
            called: 0,
        };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Permission to fetch a segment, when it is its turn; `due` is cancelled when somebody waits for it.
    pub(super) async fn take(self: &Arc<Self>, rank: Rank, due: &CancellationToken) -> Option<Lane> {
        let mut coming = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Lane::of(self, rank));
            }
            let (sender, coming) = oneshot::channel();
            state.others.insert(rank, sender);
            coming
        };
        tokio::select! {
            biased;
            lane = &mut coming => return lane.ok(),
            () = due.cancelled() => {}
        }
        {
            let mut state = self.state();
            if let Some(sender) = state.others.remove(&rank) {
                state.due.insert(rank, sender);
                state.call_back();
            }
        }
        coming.await.ok()
    }

    /// How many there are.
    pub(super) fn width(&self) -> usize {
        self.state().width
    }

    /// Half of them from now on, and at least one.
    pub(super) fn halve(&self) {
        let mut state = self.state();
        let fewer = (state.width / 2).max(1);
        state.surplus += state.width - fewer;
        state.width = fewer;
        let gone = state.surplus.min(state.free);
        state.free -= gone;
        state.surplus -= gone;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(self: &Arc<Self>, called: bool) {
        let mut state = self.state();
        state.called -= usize::from(called);
        if state.surplus > 0 {
            state.surplus -= 1;
            // it was not for whoever it was called back for
            state.call_back();
            return;
        }
        while let Some((rank, sender)) = state.due.pop_first().or_else(|| state.others.pop_first()) {
            match sender.send(Lane::of(self, rank)) {
                Ok(()) => return,
                // whoever waited has given up
                Err(lane) => lane.disarm(),
            }
        }
        state.free += 1;
    }
}

impl State {
    /// Tells as many that stand still as somebody waits for to give up their lanes: those of which nothing has come, then
    /// those that play last.
    fn call_back(&mut self) {
        while self.due.len() > self.called
            && let Some((_, told)) = self.still.pop_last()
        {
            // whoever goes on at this moment takes itself off again
            let _ = told.send(());
            self.called += 1;
        }
    }
}

/// Permission to fetch one segment; given back when dropped.
#[derive(Debug)]
pub(super) struct Lane {
    lanes: Option<Arc<Lanes>>,
    rank: Rank,
    /// It was told to be given up.
    called: bool,
}

impl Lane {
    fn of(lanes: &Arc<Lanes>, rank: Rank) -> Self {
        Self { lanes: Some(Arc::clone(lanes)), rank, called: false }
    }

    /// Whoever holds it stands still, and may have `asked` already, which it would have to do again. Returns when it is to be
    /// given up; may be dropped and called again.
    pub(super) async fn called_back(&mut self, asked: bool) {
        let Some(lanes) = self.lanes.clone() else { return };
        let (sender, told) = oneshot::channel();
        let standing = (!asked, self.rank);
        {
            let mut state = lanes.state();
            state.still.insert(standing, sender);
            state.call_back();
        }
        let mut still = Still { lanes, standing, goes_on: true };
        if told.await.is_ok() {
            still.goes_on = false;
            self.called = true;
        }
    }

    fn disarm(mut self) {
        self.lanes = None;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let Some(lanes) = self.lanes.take() else { return };
        lanes.give_back(self.called);
    }
}

/// Somebody who stands still, until dropped.
struct Still {
    lanes: Arc<Lanes>,
    standing: Standing,
    /// It keeps its lane.
    goes_on: bool,
}

impl Drop for Still {
    fn drop(&mut self) {
        let mut state = self.lanes.state();
        if state.still.remove(&self.standing).is_none() && self.goes_on {
            // it was told, and had room in the same moment: another one is to give way
            state.called -= 1;
            state.call_back();
        }
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}
