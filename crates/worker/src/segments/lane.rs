//! One segment: fetched until it is whole, over as many connections as that takes, and handed over piece by piece.
//!
//! What was handed over can't be taken back: after a cut it goes on at the byte behind. So it does when it had to give its
//! lane up to one that is waited for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::cipher::Decipher;
use super::fetcher::{Answer, End, Fetcher};
use super::lanes::{Lane, Rank};
use super::plan::Segment;
use super::share::{CHUNK_BYTES, Own, Room, Share};
use super::{NotHere, Trouble};
use crate::origin::{Unfit, Validator, content_range};

/// After the first try that brought nothing; doubled for each one more.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// What comes of a segment.
#[derive(Debug)]
pub(super) enum Part {
    Bytes(Bytes),
    /// It is whole.
    End,
    Lost(Trouble),
}

/// To fetch one segment.
pub(super) struct Errand {
    pub(super) segment: Segment,
    pub(super) rank: Rank,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) share: Arc<Share>,
    pub(super) own: Arc<Own>,
    /// All before it were given out.
    pub(super) due: CancellationToken,
    pub(super) out: mpsc::Sender<Part>,
}

impl Errand {
    pub(super) async fn run(self) {
        let mut progress = Progress::default();
        let end = match self.fetch(&mut progress).await {
            Ok(()) => Part::End,
            Err(trouble) => Part::Lost(trouble),
        };
        // nobody left to tell is fine
        let _ = self.out.send(end).await;
    }

    async fn fetch(&self, progress: &mut Progress) -> Result<(), Trouble> {
        let mut in_vain = 0;
        loop {
            if progress.is_whole() {
                return self.finish(progress).await.map_err(End::trouble);
            }
            if progress.lane.is_none() {
                progress.lane = self.share.lanes.take(self.rank, &self.due).await;
            }
            self.share.quiet().await;
            let (begun, before) = (Instant::now(), progress.taken);
            let last = match self.go_on(progress).await {
                Ok(()) if progress.taken == 0 => return Err(Trouble::Empty),
                Ok(()) => return self.finish(progress).await.map_err(End::trouble),
                Err(end @ (End::Lost(_) | End::Beyond(_))) => return Err(end.trouble()),
                Err(End::CalledBack) => {
                    progress.lane = None;
                    self.give(progress).await.map_err(End::trouble)?;
                    if !progress.is_whole() {
                        // it comes back when it can go on
                        self.make_room(progress).await.map_err(End::trouble)?;
                    }
                    continue;
                }
                Err(End::Cut) => Trouble::Broken,
                Err(End::Refused(retry_after)) => {
                    self.share.refused(&self.segment.url, begun, retry_after)?;
                    // whoever is to have fewer lanes has them at once
                    progress.lane = None;
                    Trouble::Busy { retry_after }
                }
            };
            in_vain = if progress.taken > before { 0 } else { in_vain + 1 };
            if in_vain > self.share.limits.retries {
                return Err(last);
            }
            let doubled = FIRST_DELAY * 2_u32.saturating_pow(in_vain.min(16));
            sleep(doubled.min(LONGEST_DELAY)).await;
        }
    }

    /// Fetches what is missing. `Ok`: nothing is.
    async fn go_on(&self, progress: &mut Progress) -> Result<(), End> {
        // a segment that nobody can take yet is not asked for
        self.make_room(progress).await?;
        if let (Some(cipher), None) = (&self.segment.cipher, &progress.decipher) {
            let key = self.fetcher.key(&cipher.key).await?;
            progress.decipher = Some(Decipher::new(&key, cipher.iv).map_err(|_| NotHere::Cipher)?);
        }
        let asked = match self.segment.range {
            Some((first, last)) => Some((first + progress.taken, Some(last))),
            None => (progress.taken > 0).then_some((progress.taken, None)),
        };
        let mut answer = match self.fetcher.get(&self.segment.url, asked).await {
            // it came without its length, and all of it is there
            Err(End::Beyond(length)) if progress.may_be(length) => return Ok(()),
            answer => answer?,
        };
        let mut skip = self.judge(&answer, progress, asked)?;
        while let Some(bytes) = answer.next().await? {
            let again = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= again as u64;
            let now = progress.taken + (bytes.len() - again) as u64;
            if progress.length.is_some_and(|length| now > length) {
                return Err(Unfit::WrongRange.into());
            }
            self.share.arrived(bytes.len()).await;
            self.take(progress, bytes.slice(again..)).await?;
        }
        if skip > 0 {
            // it ends before what is there already
            return Err(End::Lost(Trouble::Changed));
        }
        self.fetcher.keep(answer);
        if progress.length.is_some_and(|length| progress.taken < length) { Err(End::Cut) } else { Ok(()) }
    }

    /// How many of the bytes that come are there already; refuses what does not fit to them.
    fn judge(&self, answer: &Answer, progress: &mut Progress, asked: Option<(u64, Option<u64>)>) -> Result<u64, End> {
        let (skip, length) = match (answer.status, asked) {
            (StatusCode::PARTIAL_CONTENT, Some((first, last))) => {
                let range = content_range(&answer.headers).ok_or(Unfit::WrongRange)?;
                let is_asked = range.first == first && last.is_none_or(|last| range.last <= last);
                if !is_asked || answer.length.is_some_and(|length| length != range.last - range.first + 1) {
                    return Err(Unfit::WrongRange.into());
                }
                let whole = self.segment.range.map_or(range.total, |(first, last)| Some(last - first + 1));
                (0, whole)
            }
            (StatusCode::OK, _) if self.segment.range.is_none() => (progress.taken, answer.length),
            _ => return Err(Unfit::WrongRange.into()),
        };
        let differs = progress.length.zip(length).is_some_and(|(before, now)| before != now);
        if differs || progress.version.as_ref().is_some_and(|version| !version.fits(&answer.headers)) {
            return Err(End::Lost(Trouble::Changed));
        }
        progress.length = progress.length.or(length);
        progress.version = progress.version.take().or_else(|| Validator::of(&answer.headers));
        Ok(skip)
    }

    /// They have come, and count as taken; they are given on as there is room.
    async fn take(&self, progress: &mut Progress, bytes: Bytes) -> Result<(), End> {
        progress.taken += bytes.len() as u64;
        progress.pending = match &mut progress.decipher {
            None => bytes,
            Some(decipher) => Bytes::copy_from_slice(decipher.next(&bytes).map_err(|_| NotHere::Cipher)?),
        };
        self.give(progress).await
    }

    async fn finish(&self, progress: &mut Progress) -> Result<(), End> {
        progress.lane = None;
        if let Some(decipher) = progress.decipher.take() {
            let rest = decipher.end().map_err(|_| NotHere::Cipher)?;
            progress.pending = Bytes::copy_from_slice(&rest);
            self.give(progress).await?;
        }
        if let Some(chunk) = progress.chunk.take() {
            self.hand_over(chunk).await;
        }
        Ok(())
    }

    /// Copies what has come into chunks: what a connection reads into is larger than what it reads.
    async fn give(&self, progress: &mut Progress) -> Result<(), End> {
        while !progress.pending.is_empty() {
            self.make_room(progress).await?;
            let expected = progress.expected();
            let Some(chunk) = &mut progress.chunk else { return Err(End::Lost(Trouble::Broken)) };
            if chunk.bytes.capacity() == 0 {
                let bytes = expected.max(progress.pending.len()).min(CHUNK_BYTES);
                chunk.bytes.reserve_exact(bytes);
                chunk.room.shrink(bytes);
            }
            let free = CHUNK_BYTES - chunk.bytes.len();
            let now = progress.pending.split_to(progress.pending.len().min(free));
            chunk.bytes.extend_from_slice(&now);
            progress.given += now.len() as u64;
            if chunk.bytes.len() == CHUNK_BYTES
                && let Some(chunk) = progress.chunk.take()
            {
                self.hand_over(chunk).await;
            }
        }
        Ok(())
    }

    /// Waits for room; with a lane, only until that is called back.
    async fn make_room(&self, progress: &mut Progress) -> Result<(), End> {
        if progress.chunk.is_some() {
            return Ok(());
        }
        let room = self.share.room(&self.own, &self.due);
        let room = match &mut progress.lane {
            None => room.await,
            Some(lane) => tokio::select! {
                biased;
                room = room => room,
                () = lane.called_back(progress.taken > 0) => return Err(End::CalledBack),
            },
        };
        let room = room.ok_or(Trouble::Broken).map_err(End::Lost)?;
        progress.chunk = Some(Chunk { bytes: Vec::new(), room });
        Ok(())
    }

    async fn hand_over(&self, chunk: Chunk) {
        if !chunk.bytes.is_empty() {
            let _ = self.out.send(Part::Bytes(Bytes::from_owner(chunk))).await;
        }
    }
}

/// How far a segment is.
#[derive(Default)]
struct Progress {
    /// Of its bytes at the origin, as many are there.
    taken: u64,
    /// Bytes that were given on, which for a cipher are a few less.
    given: u64,
    /// Of all of them; `None`: the origin does not say.
    length: Option<u64>,
    /// What the origin called it.
    version: Option<Validator>,
    decipher: Option<Decipher>,
    /// Permission to fetch it.
    lane: Option<Lane>,
    /// What has come and is in no chunk yet.
    pending: Bytes,
    chunk: Option<Chunk>,
}

impl Progress {
    /// Nothing more is to be asked for.
    fn is_whole(&self) -> bool {
        self.taken > 0 && self.length == Some(self.taken)
    }

    /// Whether what has come may be all, of an origin that has nothing behind it: as much as it says, if it does.
    fn may_be(&self, length: Option<u64>) -> bool {
        self.taken > 0 && self.length.is_none() && length.is_none_or(|length| length == self.taken)
    }

    /// How many bytes are still to come, about; a whole chunk when nobody knows.
    fn expected(&self) -> usize {
        let to_come = self.length.map(|length| length.saturating_sub(self.given));
        to_come.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(CHUNK_BYTES)
    }
}

/// Bytes, and their room in memory until they are dropped.
struct Chunk {
    bytes: Vec<u8>,
    room: Room,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
