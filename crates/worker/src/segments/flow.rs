//! A stream on its way: segments are begun in order, as many at once as may be, and given out in order.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Trouble;
use super::fetcher::Fetcher;
use super::lane::{self, Part};
use super::lanes::Rank;
use super::plan::{Plan, Segment};
use super::share::{MOST_PARTS, Own, Share};

/// A stream on its way. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct Flow {
    seconds: Option<f64>,
    segments: usize,
    done: usize,
    bytes: u64,
    state: State,
    slots: mpsc::Receiver<Slot>,
    share: Handle,
    _driver: AbortOnDropHandle<()>,
}

/// What a flow is read from.
#[derive(Debug)]
enum State {
    /// The next segment is due.
    Between,
    Within(Slot),
    Over,
}

/// A segment that was begun.
#[derive(Debug)]
struct Slot {
    parts: mpsc::Receiver<Part>,
    due: CancellationToken,
    _lane: AbortOnDropHandle<()>,
}

struct Handle(Arc<Share>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Share")
    }
}

impl Flow {
    /// `stream`: its number among those of its job.
    pub(super) fn begin(stream: usize, plan: Plan, fetcher: Arc<Fetcher>, share: Arc<Share>) -> Self {
        let Plan { segments, seconds } = plan;
        // that may be fetched and are not given out: enough to keep all lanes busy while one segment is late
        let (out, slots) = mpsc::channel(2 * share.limits.at_once.max(1));
        let count = segments.len();
        let driver = tokio::spawn(drive(stream, segments, fetcher, Arc::clone(&share), out));
        Self {
            seconds,
            segments: count,
            done: 0,
            bytes: 0,
            state: State::Between,
            slots,
            share: Handle(share),
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// The next bytes in order, at most 256 KiB; `None` after the last. Nothing more is fetched while much of it is held.
    ///
    /// # Errors
    /// [`Trouble`]; then there is no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match &mut self.state {
                State::Over => return Ok(None),
                State::Between if self.done == self.segments => self.state = State::Over,
                State::Between => {
                    // a driver that ends without having begun all has panicked
                    let slot = self.slots.recv().await.ok_or(Trouble::Broken)?;
                    slot.due.cancel();
                    self.state = State::Within(slot);
                }
                State::Within(slot) => match slot.parts.recv().await.unwrap_or(Part::Lost(Trouble::Broken)) {
                    Part::Bytes(bytes) => {
                        self.share.0.take(bytes.len())?;
                        self.bytes += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                    Part::End => {
                        self.done += 1;
                        self.state = State::Between;
                    }
                    Part::Lost(trouble) => {
                        self.state = State::Over;
                        return Err(trouble);
                    }
                },
            }
        }
    }

    /// How long it plays, by its playlist, in seconds.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// How many segments were given out, and how many there are, an initialisation included.
    #[must_use]
    pub fn segments(&self) -> (usize, usize) {
        (self.done, self.segments)
    }

    /// Given out so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows while bytes arrive for any stream of the job, also for those that are not due.
    #[must_use]
    pub fn arrived_bytes(&self) -> Arc<AtomicU64> {
        self.share.0.arrived_bytes()
    }
}

/// Begins one segment after the other. Each asks for a lane itself: then it is known which of them is due.
async fn drive(
    stream: usize,
    segments: Vec<Segment>,
    fetcher: Arc<Fetcher>,
    share: Arc<Share>,
    out: mpsc::Sender<Slot>,
) {
    let (own, all) = (Arc::new(Own::new()), segments.len());
    for (at, segment) in segments.into_iter().enumerate() {
        let Ok(place) = out.reserve().await else { return };
        let (sender, parts) = mpsc::channel(MOST_PARTS);
        let due = CancellationToken::new();
        let errand = lane::Errand {
            segment,
            rank: Rank::of(stream, at, all),
            fetcher: Arc::clone(&fetcher),
            share: Arc::clone(&share),
            own: Arc::clone(&own),
            due: due.clone(),
            out: sender,
        };
        place.send(Slot { parts, due, _lane: AbortOnDropHandle::new(tokio::spawn(errand.run())) });
    }
}
