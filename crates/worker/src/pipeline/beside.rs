//! What is stored beside a result: the picture that stands for it, and what else belongs to it.
//!
//! Best effort in all of it: what can't be had in time is left out, and no job fails for it. A site's own picture is
//! fetched while its medium is; where it has none, a frame is taken by the run that makes the result, or, where there is
//! no such run, while it is proven or stored.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use haul_shared::job::{Beside, Failure, Stored};
use haul_shared::storage::{ObjectKey, ObjectMeta, content_type_of};
use haul_shared::store::Pulse;
use sha2::{Digest as _, Sha256};

use super::download::Run;
use super::make::Outcome;
use super::texts::Texts;
use crate::ffmpeg::picture::{Frame, Picture, Source, still};
use crate::process::Watch;
use crate::select::{Plan, Seen};
use crate::shape::Head;
use crate::small;
use crate::ytdlp::{DownloadedFile, Info};

/// For a picture to come, and again for it to be made.
const PICTURE_WITHIN: Duration = Duration::from_secs(10);
/// Of a site's picture.
const PICTURE_BYTES: usize = 16 << 20;
/// The frame is taken this far into the medium, by its length, and no further than this many seconds: the first ones
/// are often black.
const FRAME_AT: (f64, f64) = (0.1, 60.0);
/// For an object to be noted and stored.
const STORE_WITHIN: Duration = Duration::from_secs(20);

impl Run<'_> {
    /// The picture that the site has for the medium.
    pub(super) async fn picture_of_site(&self, info: &Info, dir: &Path) -> Option<Picture> {
        let url = info.thumbnail_url.as_deref()?;
        let bounds = small::Bounds { bytes: PICTURE_BYTES, wall: PICTURE_WITHIN.min(self.limits.left()) };
        let headers = info.asked_with();
        let fetched = small::fetch(&self.ctx.config.egress, url, &headers, bounds);
        let bytes = match self.job.stop_token().run_until_cancelled(fetched).await? {
            Ok(bytes) => bytes,
            Err(error) => return self.without_picture(&error),
        };
        let demuxer = still(&bytes)?;
        let file = dir.join("site");
        tokio::fs::write(&file, &bytes).await.ok()?;
        self.picture(Source::Still(&file, demuxer), dir).await
    }

    /// Which frame of what was downloaded stands for it. Of a file only this share may be there, its beginning.
    pub(super) fn frame<'a>(
        plan: &Plan,
        files: &'a [DownloadedFile],
        (seen, share_kept): (&[Seen], f64),
    ) -> Option<Frame<'a>> {
        let picture = plan.video?;
        let (file, seen) = (files.get(picture.input)?, seen.get(picture.input)?);
        let at = frame_at(seen.video_seconds, share_kept);
        Some(Frame { file: &file.path, container: seen.container, stream: picture.index, at })
    }

    /// The picture of a frame.
    pub(super) async fn picture_of_medium(&self, frame: Option<Frame<'_>>, dir: &Path) -> Option<Picture> {
        self.picture(Source::Frame(frame?), dir).await
    }

    /// The first frame of what is still being fetched.
    pub(super) async fn picture_of_head(
        &self,
        plan: &Plan,
        heads: &[Head],
        seen: &[Seen],
        dir: &Path,
    ) -> Option<Picture> {
        let picture = plan.video?;
        let (head, seen) = (heads.get(picture.input)?, seen.get(picture.input)?);
        let frame = Frame { file: &head.file, container: seen.container, stream: picture.index, at: 0.0 };
        self.picture_of_medium(Some(frame), dir).await
    }

    /// A frame of what was made.
    pub(super) async fn picture_of_result(
        &self,
        plan: &Plan,
        (result, seen): (&Outcome<'_>, &[Seen]),
        dir: &Path,
    ) -> Option<Picture> {
        let picture = plan.video?;
        let (file, share_kept) = match result {
            Outcome::File(file) => (file, 1.0),
            Outcome::Arrived(arrived) => (&arrived.copy, arrived.share_kept()),
        };
        // what we make has its picture first
        let stream = if plan.untouched { picture.index } else { 0 };
        let at = frame_at(plan.expected_seconds(seen), share_kept);
        self.picture_of_medium(Some(Frame { file, container: plan.container, stream, at }), dir).await
    }

    async fn picture(&self, source: Source<'_>, dir: &Path) -> Option<Picture> {
        let wall = PICTURE_WITHIN.min(self.limits.left());
        let watch = Watch::new(wall, wall, self.job.stop_token().clone());
        match self.ctx.ffmpeg.picture(source, dir, self.spec.embed_thumbnail, &watch).await {
            Ok(picture) => Some(picture),
            Err(failure) => self.without_picture(&failure.detail),
        }
    }

    fn without_picture<T>(&self, why: &impl std::fmt::Display) -> Option<T> {
        let id = self.job.lease().job;
        tracing::debug!(job.id = %id, "job {id} goes on without a picture: {why}");
        None
    }

    /// Stores what belongs to a result that is stored already.
    ///
    /// # Errors
    /// When texts of a strict request can't be.
    pub(super) async fn store_beside(
        &self,
        object: &ObjectKey,
        picture: Option<&Picture>,
        texts: Texts,
    ) -> Result<Beside, Failure> {
        let thumbnail = match picture {
            Some(picture) => self.store(object.thumbnail(), &picture.thumbnail).await,
            None => None,
        };
        Ok(Beside { thumbnail, subtitles: self.store_texts(object, texts).await? })
    }

    /// Noted first, as every object: should the job not be completed, it is removed.
    pub(super) async fn store(&self, object: ObjectKey, file: &Path) -> Option<Stored> {
        let stored = async {
            let bytes = tokio::fs::read(file).await.ok()?;
            let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let extension = file.extension()?.to_str()?;
            let meta = ObjectMeta { content_type: content_type_of(extension).to_owned(), sha256 };
            let pulse = self.ctx.store.reserve(self.job.lease(), &object).await.ok()?;
            if pulse != Pulse::Ok {
                return None;
            }
            self.ctx.storage.put(&object, file, &meta, |_| {}).await.ok()?;
            Some(Stored { size_bytes: bytes.len() as u64, object })
        };
        tokio::time::timeout(STORE_WITHIN.min(self.limits.left()), stored).await.ok().flatten()
    }
}

/// When there is a frame to show, in seconds, of a medium of which this share is there.
fn frame_at(seconds: Option<f64>, share_kept: f64) -> f64 {
    let (share, most) = FRAME_AT;
    (seconds.unwrap_or_default() * share.min(share_kept / 2.0)).min(most)
}

/// Does some work, while something else goes on that nobody waits for yet.
pub(super) async fn meanwhile<T>(other: impl Future, work: impl Future<Output = T>) -> T {
    match select(pin!(work), pin!(other)).await {
        Either::Left((done, _)) => done,
        Either::Right((_, work)) => work.await,
    }
}
