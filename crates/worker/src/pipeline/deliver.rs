//! How a result gets into the store: as a file, or as bytes that are still being made.
//!
//! Whoever makes bytes pushes them in order and waits when the store is slower. They are hashed, go up in parts, and leave
//! a copy in scratch that tells `verify` what they are (`verify::outline`). Nothing is reachable before [`Arrived::finish`], which
//! is called for what was verified; dropped before, everything is given up. Of a file that ffmpeg makes, all but its
//! beginning goes up while it grows (`growing`). A directory takes the copy itself, whole, by
//! a link.
//!
//! Not here: where the bytes come from, and whether they are what they should be.

mod call;
mod growing;
mod parts;
mod scribe;

use std::mem;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{FutureExt as _, TryFutureExt as _};
use haul_shared::job::{Failure, FailureKind, Stage};
use haul_shared::storage::{Intake, ObjectKey, ObjectMeta, StorageError};
use haul_shared::store::Pulse;

use call::{Call, Haste, Look};
use parts::Parts;
use scribe::{Busy, Scribe};

use super::{Limits, storage_failure};
use crate::board::StopReason;
use crate::container::Container;
use crate::context::Context;
use crate::insist::surely;
use crate::scratch::{self, off_runtime};
use crate::verify::Verified;
use crate::verify::outline::{Keep, Outline};

pub(super) use growing::Growing;

/// Results up to this size are held in memory and stored by one call, which is quicker than three.
const ONE_CALL: u64 = 16 << 20;

/// How many bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// So many.
    Exactly(u64),
    /// No more than these.
    AtMost(u64),
}

impl Size {
    fn most(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::AtMost(bytes) => bytes,
        }
    }
}

/// How many bytes can go into the store while they come; a result that is larger has to be a file first.
pub(super) fn most_bytes(ctx: &Context) -> u64 {
    let of_store = if ctx.storage.intake().is_some() { Intake::MOST_BYTES } else { u64::MAX };
    of_store.min(ctx.config.limits.max_file_bytes)
}

/// What comes, as far as it is known before its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming<'a> {
    pub(super) container: Container,
    pub(super) has_video: bool,
    pub(super) size: Size,
    /// What is kept for the verification.
    pub(super) keep: Keep,
    /// It may go in one call, which can't be made again when it breaks: that is `storage_unavailable`.
    pub(super) may_break: bool,
    /// Where the copy goes: a file that is not there yet.
    pub(super) copy: &'a Path,
}

/// A result on its way into the store.
pub(super) struct Outgoing<'a> {
    limits: &'a Limits<'a>,
    key: ObjectKey,
    content_type: &'static str,
    size: Size,
    most_bytes: u64,
    taken_bytes: u64,
    look: Look,
    copy: PathBuf,
    scribe: Busy,
    way: Way,
}

/// How it goes.
enum Way {
    /// As a file.
    Link,
    /// By one call at the end, if no more comes; what is held so far.
    Held(Intake, Vec<Bytes>),
    /// By one call, which is under way.
    Call(Call),
    Parts(Parts),
}

impl<'a> Outgoing<'a> {
    /// Begins with a copy that is empty. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// `disk_full`, `too_large`.
    pub(super) async fn begin(limits: &'a Limits<'a>, coming: Coming<'_>) -> Result<Self, Failure> {
        let Coming { container, has_video, size, keep, may_break, copy } = coming;
        let most_bytes = most_bytes(limits.ctx).min(size.most());
        if let Size::Exactly(bytes) = size
            && bytes > most_bytes
        {
            return Err(Failure::new(FailureKind::TooLarge, format!("{bytes} bytes are announced")));
        }
        let intake = limits.ctx.storage.intake();
        if intake.is_some() {
            limits.job.stores_meanwhile();
        }
        // what becomes the object by a link has no holes
        let keep = if intake.is_some() { keep } else { Keep::Whole };
        let known_bytes = if let Size::Exactly(bytes) = size { Some(bytes) } else { None };
        let (path, outline) = (copy.to_owned(), Outline::of(container, keep));
        let begun = off_runtime(move || Scribe::begin(&path, outline)).await;
        Ok(Self {
            limits,
            key: key(limits, container.extension()),
            content_type: container.content_type(has_video),
            size,
            most_bytes,
            taken_bytes: 0,
            look: Look::new(known_bytes, may_break),
            copy: copy.to_owned(),
            scribe: Busy::new(begun.map_err(|error| scratch::failure(&error))?),
            way: intake.map_or(Way::Link, |intake| Way::Held(intake, Vec::new())),
        })
    }

    /// Takes the next bytes; waits as long as enough are on their way. They are held until they are stored: small pieces
    /// of large buffers had better be copied.
    ///
    /// # Errors
    /// `too_large` for more than may come, `disk_full`, `storage_unavailable`. After a stop the failure has no meaning.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.taken_bytes += bytes.len() as u64;
        if self.taken_bytes > self.most_bytes {
            return Err(Failure::new(FailureKind::TooLarge, format!("more than {} bytes came", self.most_bytes)));
        }
        self.limits.step(self.scribe.take(bytes.clone())).await?;
        match &mut self.way {
            Way::Link => {}
            Way::Held(intake, held) => {
                held.push(bytes);
                let known = matches!(self.size, Size::Exactly(all) if all > ONE_CALL);
                let haste = self.look.came(self.taken_bytes);
                if (known && haste != Haste::Perhaps) || self.taken_bytes > ONE_CALL {
                    let (intake, held) = (intake.clone(), mem::take(held));
                    self.way = self.begin_upload(&intake, held, haste).await?;
                }
            }
            Way::Call(call) => {
                let taken = async { call.take(bytes).await.map_err(|error| storage_failure(&error)) };
                self.limits.step(taken).await?;
            }
            Way::Parts(parts) => self.limits.step(parts.take(bytes)).await?,
        }
        Ok(())
    }

    async fn begin_upload(&self, intake: &Intake, held: Vec<Bytes>, haste: Haste) -> Result<Way, Failure> {
        reserve(self.limits, &self.key).await?;
        if haste == Haste::Yes {
            let begun = Call::begin(intake, (&self.key, self.content_type), self.size.most(), &held);
            if let Some(call) = self.limits.step(async { Ok(begun.await) }).await? {
                return Ok(Way::Call(call));
            }
        }
        let mut parts = self.begin_parts(intake).await?;
        for bytes in held {
            self.limits.step(parts.take(bytes)).await?;
        }
        Ok(Way::Parts(parts))
    }

    async fn begin_parts(&self, intake: &Intake) -> Result<Parts, Failure> {
        let begun = async {
            let begun = intake.begin(&self.key, self.most_bytes, self.content_type).await;
            begun.map_err(|error| storage_failure(&error))
        };
        Ok(Parts::of(self.limits.step(begun).await?))
    }

    /// All bytes were pushed. The last of them may still be on their way when this returns.
    ///
    /// # Errors
    /// `corrupt_media` when fewer came than were announced, `disk_full`, `storage_unavailable`.
    pub(super) async fn end(mut self) -> Result<Arrived<'a>, Failure> {
        if let Size::Exactly(bytes) = self.size
            && bytes != self.taken_bytes
        {
            let detail = format!("{} of {bytes} bytes came", self.taken_bytes);
            return Err(Failure::new(FailureKind::CorruptMedia, detail));
        }
        if let Way::Parts(parts) = &mut self.way {
            self.limits.step(parts.flush()).await?;
        }
        let (sha256, left_out_bytes) = self.limits.step(self.scribe.end(self.taken_bytes)).await?;
        let Self { limits, key, taken_bytes: size_bytes, copy, way, .. } = self;
        Ok(Arrived { limits, key, way, copy, sha256, size_bytes, left_out_bytes })
    }
}

/// A result of which every byte was taken, and which nobody can reach. Dropped, it is given up.
pub(super) struct Arrived<'a> {
    limits: &'a Limits<'a>,
    key: ObjectKey,
    way: Way,
    /// What tells what it is: as long as the result.
    pub(super) copy: PathBuf,
    /// 64 lower-case hex digits.
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
    /// Media data that the copy lacks.
    left_out_bytes: u64,
}

impl Arrived<'_> {
    /// A fault that is found in a copy with holes proves nothing.
    pub(super) fn has_holes(&self) -> bool {
        self.left_out_bytes > 0
    }

    /// How much of the result is in the copy, 0 to 1.
    pub(super) fn share_kept(&self) -> f64 {
        1.0 - self.left_out_bytes as f64 / self.size_bytes.max(1) as f64
    }

    /// Something else is to be fetched: its copy makes room for that.
    pub(super) async fn give_up(self) {
        self.limits.job.stores_afterwards();
        scratch::make_room(&self.copy).await;
    }

    /// Puts it where only its completed job leads.
    ///
    /// # Errors
    /// `storage_unavailable`, `disk_full`. There is nothing in the store then.
    pub(super) async fn finish(self, verified: &Verified) -> Result<ObjectKey, Failure> {
        let Self { limits, key, way, copy, size_bytes, .. } = self;
        match way {
            Way::Link => return put_as(limits, key, &copy, verified).await,
            Way::Held(intake, held) => {
                reserve(limits, &key).await?;
                guarded(limits, &key, intake.put(&key, held, &meta(verified))).await?;
            }
            Way::Call(call) => guarded(limits, &key, call.finish()).await?,
            Way::Parts(parts) => guarded(limits, &key, parts.finish(size_bytes)).await?,
        }
        limits.ctx.metrics.uploaded(size_bytes);
        Ok(key)
    }
}

/// Puts a file that was verified where only its completed job leads.
///
/// # Errors
/// As [`Arrived::finish`].
pub(super) async fn put(limits: &Limits<'_>, file: &Path, verified: &Verified) -> Result<ObjectKey, Failure> {
    put_as(limits, key(limits, &verified.extension), file, verified).await
}

async fn put_as(limits: &Limits<'_>, key: ObjectKey, file: &Path, verified: &Verified) -> Result<ObjectKey, Failure> {
    reserve(limits, &key).await?;
    #[expect(clippy::cast_precision_loss, reason = "a share, shown in tenths of a percent")]
    let hear = |bytes: u64| limits.job.advance(Stage::Upload, bytes as f64 / verified.size_bytes.max(1) as f64);
    guarded(limits, &key, limits.ctx.storage.put(&key, file, &meta(verified), hear)).await?;
    limits.ctx.metrics.uploaded(verified.size_bytes);
    Ok(key)
}

fn meta(verified: &Verified) -> ObjectMeta {
    ObjectMeta { content_type: verified.content_type.clone(), sha256: verified.sha256.clone() }
}

fn key(limits: &Limits<'_>, extension: &str) -> ObjectKey {
    let lease = limits.job.lease();
    ObjectKey::new(lease.job, lease.fence, extension)
}

/// Notes an object before it is written, so that it is removed should its job never be completed.
async fn reserve(limits: &Limits<'_>, key: &ObjectKey) -> Result<(), Failure> {
    let (ctx, lease) = (limits.ctx, limits.job.lease());
    let reserved = async {
        // Redis may be away for a while: what was fetched is not given up for that.
        let pulse = surely(|| ctx.store.reserve(lease, key)).await;
        pulse.map_err(|error| Failure::new(FailureKind::Internal, format!("the object was not reserved: {error}")))
    };
    // Fault: a job that was done before the first heartbeat never told what the medium is.
    let beats = [limits.job.beat()];
    // boxed: the futures of a job lie in each other too deep for the compiler otherwise
    let (reserved, _) = tokio::join!(limits.step(reserved.boxed()), ctx.store.heartbeat(&beats).boxed());
    match reserved? {
        Pulse::Ok => {}
        Pulse::Cancel => limits.job.stop(StopReason::Cancelled),
        Pulse::Lost | Pulse::Gone => limits.job.stop(StopReason::LeaseLost),
    }
    Ok(())
}

/// The step after which there is an object.
async fn guarded(
    limits: &Limits<'_>,
    key: &ObjectKey,
    step: impl Future<Output = Result<(), StorageError>>,
) -> Result<(), Failure> {
    let ended = limits.step(Box::pin(step).map_err(|error| storage_failure(&error))).await;
    if ended.is_err() {
        // it may have been under way: nothing is stored of a cancelled job
        limits.ctx.discard(key).await;
    }
    ended
}
