//! A file that goes up while ffmpeg writes it: all but its front, which may change until it is made (`ffmpeg::room`).
//!
//! What lies behind that is written once, from front to end, so that each part of it can go as soon as it is full.
//! The parts at the front go last, while the file is proven, and the upload is completed when it is. The pass that takes its
//! hash shows that no part has changed since it was sent. An upload that fails on the way is no failure of the job: the
//! file is there, and is stored as any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use haul_shared::job::{Failure, FailureKind, Stage};
use haul_shared::storage::{Intake, ObjectKey, StorageError, Upload};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{guarded, key, put_as, reserve};
use crate::pipeline::Limits;
use crate::process::Watch;
use crate::scratch::off_runtime;
use crate::select::Plan;
use crate::verify::{self, Verified};

/// Parts on their way at the same time, as many as of a file that is whole: each is read as it is sent.
const PARTS_AT_ONCE: usize = 10;
const PART: u64 = Intake::PART_OF_FILE;
/// Between two looks whether a part is full.
const LOOK: Duration = Duration::from_millis(50);
/// Between two words of how much is stored.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Bytes in front of the media data of an mp4 beside the room for its index: what the kind of file is, and two heads.
const HEADS: u64 = 4096;
/// Read at once for a sum, in bytes.
const PIECE: usize = 1 << 20;

/// A file that is going up. Dropped, it is given up.
pub(in crate::pipeline) struct Growing {
    key: ObjectKey,
    file: PathBuf,
    made: CancellationToken,
    sent_bytes: Arc<AtomicU64>,
    /// Of each part, as it was proven.
    proven: OnceLock<Vec<u32>>,
    sending: AbortOnDropHandle<Result<Option<Sent>, StorageError>>,
}

impl Growing {
    /// Begins before there is anything of the file; what is written into its first bytes, `front` and a little more, may
    /// change. Nothing is asked of the store before a part is full. `None`: it takes no parts.
    ///
    /// # Errors
    /// When the object can't be noted.
    pub(in crate::pipeline) async fn begin(
        limits: &Limits<'_>,
        plan: &Plan,
        file: &Path,
        front: u64,
    ) -> Result<Option<Self>, Failure> {
        let Some(intake) = limits.ctx.storage.intake() else { return Ok(None) };
        let key = key(limits, plan.container.extension());
        reserve(limits, &key).await?;
        limits.job.sends_meanwhile();
        let (made, sent_bytes) = (CancellationToken::new(), Arc::default());
        let held_back = (front + HEADS).div_ceil(PART) as u32;
        let sender = Sender {
            intake,
            key: key.clone(),
            content_type: plan.container.content_type(plan.video.is_some()),
            file: file.to_owned(),
            held_back,
            next: held_back,
            made: made.clone(),
            sent_bytes: Arc::clone(&sent_bytes),
            upload: None,
            sums: BTreeMap::new(),
            on_their_way: JoinSet::new(),
        };
        let sending = AbortOnDropHandle::new(tokio::spawn(sender.send()));
        let (file, proven) = (file.to_owned(), OnceLock::new());
        Ok(Some(Self { key, file, made, sent_bytes, proven, sending }))
    }

    /// Nothing is written any more. What is left to send is on its way when this returns, and may stay so.
    pub(in crate::pipeline) fn made(self) -> Self {
        self.made.cancel();
        self
    }

    /// Where it is.
    pub(in crate::pipeline) fn file(&self) -> &Path {
        &self.file
    }

    /// The hash of the whole file: what was sent of it must be the same.
    ///
    /// # Errors
    /// As [`verify::hash`].
    pub(in crate::pipeline) async fn hash(&self, watch: &Watch) -> Result<String, Failure> {
        let sums = Arc::new(Mutex::new(Sums::default()));
        let taken = Arc::clone(&sums);
        let hear = move |bytes: &[u8]| taken.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        let sha256 = verify::hash_and(&self.file, watch, hear).await?;
        let sums = std::mem::take(&mut *sums.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = self.proven.set(sums.of_all());
        Ok(sha256)
    }

    /// Puts it where only its completed job leads.
    ///
    /// # Errors
    /// `storage_unavailable`, `disk_full`. There is nothing in the store then.
    pub(in crate::pipeline) async fn finish(
        self,
        limits: &Limits<'_>,
        verified: &Verified,
    ) -> Result<ObjectKey, Failure> {
        let Self { key, file, sent_bytes, proven, mut sending, .. } = self;
        let size_bytes = verified.size_bytes;
        let sent = async {
            loop {
                if let Ok(sent) = timeout(TELL_EVERY, &mut sending).await {
                    return Ok(sent);
                }
                let sent_bytes = sent_bytes.load(Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a share, shown in tenths of a percent")]
                limits.job.advance(Stage::Upload, sent_bytes as f64 / size_bytes.max(1) as f64);
            }
        };
        let proven = proven.into_inner().unwrap_or_default();
        let id = limits.job.lease().job;
        match limits.step(sent).await? {
            Ok(Ok(Some(sent))) if sent.sums.values().eq(&proven) => {
                // noted again: making may have taken longer than a note lasts
                reserve(limits, &key).await?;
                match guarded(limits, &key, sent.upload.finish(size_bytes)).boxed().await {
                    Ok(()) => {
                        limits.ctx.metrics.uploaded(size_bytes);
                        return Ok(key);
                    }
                    Err(failure) if failure.kind == FailureKind::StorageUnavailable => {
                        tracing::warn!(job.id = %id, "the result of job {id} is sent again: {}", failure.detail);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            Ok(Ok(Some(changed))) => {
                tracing::error!(job.id = %id, "a part of the result of job {id} has changed");
                drop(changed);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(job.id = %id, %error, "the result of job {id} is sent again"),
            Err(error) => tracing::error!(job.id = %id, %error, "the result of job {id} is sent again"),
        }
        limits.job.sends_afterwards();
        put_as(limits, key, &file, verified).boxed().await
    }
}

/// Whoever looks how far the file is, and sends what is full.
struct Sender {
    intake: Intake,
    key: ObjectKey,
    content_type: &'static str,
    file: PathBuf,
    /// How many parts wait until the file is made.
    held_back: u32,
    /// The number of the next part behind them.
    next: u32,
    made: CancellationToken,
    sent_bytes: Arc<AtomicU64>,
    upload: Option<Arc<Upload>>,
    sums: BTreeMap<u32, u32>,
    on_their_way: JoinSet<Result<(u32, u32, u64), StorageError>>,
}

impl Sender {
    /// Until the file is made and all of it is sent; `None`: it was not worth an upload in parts.
    async fn send(mut self) -> Result<Option<Sent>, StorageError> {
        loop {
            // asked before how long it is: nothing is missed
            let is_whole = self.made.is_cancelled();
            let length = tokio::fs::metadata(&self.file).await.map_or(0, |about| about.len());
            loop {
                let bytes = PART.min(length.saturating_sub(u64::from(self.next) * PART));
                let is_last = is_whole && self.upload.is_some();
                if bytes == 0 || (bytes < PART && !is_last) {
                    break;
                }
                self.send_part(self.next, bytes).await?;
                self.next += 1;
            }
            if is_whole {
                break;
            }
            tokio::select! {
                () = self.made.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(landed) = self.on_their_way.join_next() => self.heard(landed)?,
            }
        }
        if self.upload.is_none() {
            return Ok(None);
        }
        for number in 0..self.held_back {
            self.send_part(number, PART).await?;
        }
        while let Some(landed) = self.on_their_way.join_next().await {
            self.heard(landed)?;
        }
        let Some(upload) = self.upload else { return Ok(None) };
        let upload = Arc::into_inner(upload);
        let upload = upload.ok_or_else(|| StorageError::Unavailable("a part is still on its way".into()))?;
        Ok(Some(Sent { upload, sums: self.sums }))
    }

    /// Sends a part, when fewer than [`PARTS_AT_ONCE`] are on their way.
    async fn send_part(&mut self, number: u32, bytes: u64) -> Result<(), StorageError> {
        let upload = match &self.upload {
            Some(upload) => Arc::clone(upload),
            None => {
                let begun = Arc::new(self.intake.begin_file(&self.key, self.content_type).await?);
                Arc::clone(self.upload.insert(begun))
            }
        };
        while self.on_their_way.len() >= PARTS_AT_ONCE
            && let Some(landed) = self.on_their_way.join_next().await
        {
            self.heard(landed)?;
        }
        let file = self.file.clone();
        self.on_their_way.spawn(async move {
            let source = file.clone();
            let sum = off_runtime(move || sum(&source, u64::from(number) * PART, bytes)).await;
            let sum = sum.map_err(StorageError::File)?;
            upload.part_of(number, &file, bytes).await?;
            Ok((number, sum, bytes))
        });
        Ok(())
    }

    fn heard(&mut self, landed: Result<Result<(u32, u32, u64), StorageError>, JoinError>) -> Result<(), StorageError> {
        let (number, sum, bytes) = landed.map_err(|stopped| StorageError::Unavailable(stopped.into()))??;
        self.sums.insert(number, sum);
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// An upload of which every part is there.
struct Sent {
    upload: Upload,
    /// Of each part, right before it was sent.
    sums: BTreeMap<u32, u32>,
}

/// A sum of each part of bytes that come in order (CRC-32): it guards against accidents, such as an ffmpeg that goes back
/// where none was seen to. Who could do so on purpose could have written anything to begin with.
#[derive(Default)]
struct Sums {
    of_part: crc32fast::Hasher,
    part_bytes: u64,
    done: Vec<u32>,
}

impl Sums {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PART - self.part_bytes).unwrap_or(usize::MAX);
            let (these, rest) = bytes.split_at(bytes.len().min(room));
            self.of_part.update(these);
            self.part_bytes += these.len() as u64;
            if self.part_bytes == PART {
                self.end_part();
            }
            bytes = rest;
        }
    }

    fn end_part(&mut self) {
        self.done.push(std::mem::take(&mut self.of_part).finalize());
        self.part_bytes = 0;
    }

    fn of_all(mut self) -> Vec<u32> {
        if self.part_bytes > 0 {
            self.end_part();
        }
        self.done
    }
}

/// The sum of so many bytes of a file.
fn sum(file: &Path, from: u64, bytes: u64) -> io::Result<u32> {
    let (mut file, mut sum, mut piece, mut left) = (File::open(file)?, crc32fast::Hasher::new(), vec![0; PIECE], bytes);
    file.seek(SeekFrom::Start(from))?;
    while left > 0 {
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact(&mut piece[..most])?;
        sum.update(&piece[..most]);
        left -= most as u64;
    }
    Ok(sum.finalize())
}
