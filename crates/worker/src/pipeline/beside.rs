//! What is stored beside a result: the picture that stands for it, and what else belongs to it.
//!
//! Best effort in all of it: what can't be had in time is left out, and no job fails for it. A site's own picture is
//! fetched while its medium is; where it has none, a frame stands for it. A cover is made before the result that it goes
//! into; the thumbnail by the run that makes the result, or after its job (`thumbnails`).

use std::io;
use std::path::Path;
use std::time::Duration;

use haul_shared::job::Stored;
use haul_shared::storage::ObjectKey;
use haul_shared::store::Pulse;
use tokio::time::timeout;

use super::download::{Run, With};
use super::make::Outcome;
use crate::ffmpeg::picture::{Image, Picture, Source};
use crate::process::Watch;
use crate::select::{Plan, Seen};
use crate::shape::Head;
use crate::small;
use crate::thumbnails::{KeptFrame, LARGEST_MEDIUM, SitePicture, Still, Subject};
use crate::ytdlp::{DownloadedFile, Info};

/// For a picture to come.
const PICTURE_WITHIN: Duration = Duration::from_secs(10);
/// Of a site's picture.
pub(super) const PICTURE_BYTES: usize = 16 << 20;
/// The frame is taken this far into the medium, by its length, and no further than this many seconds: the first ones
/// are often black.
const FRAME_AT: (f64, f64) = (0.1, 60.0);
/// For a cover to be made: the download waits for it.
const COVER_WITHIN: Duration = Duration::from_secs(15);
/// For an object to be noted and stored.
const STORE_WITHIN: Duration = Duration::from_secs(20);

impl Run<'_> {
    /// Fetches the picture that the site has for the medium into this folder.
    pub(super) fn picture_of_site(&self, info: &Info, dir: &Path) -> Option<SitePicture> {
        let url = info.thumbnail_url.clone()?;
        let bounds = small::Bounds { bytes: PICTURE_BYTES, wall: PICTURE_WITHIN.min(self.limits.left()) };
        let (guard, asker) = (self.limits.guard.for_what_is_optional(), info.asker());
        let is_cover = self.spec.embed_thumbnail;
        let (id, file, fetches) = (self.job.lease().job, dir.join("site"), self.ctx.thumbnails.fetches());
        Some(SitePicture::fetch(async move {
            let fetched = timeout(bounds.wall, async {
                // so many hosts of strangers are asked at once, and no more; who waits for a cover has a slot, which is a bound
                let _fetch = if is_cover { None } else { fetches.acquire().await.ok() };
                small::open(&guard, &asker, &url, bounds).await.map_err(io::Error::other)?.save(&file).await
            });
            match fetched.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(head) => Image::of(&head).map(|image| Still { file, image }),
                Err(error) => {
                    tracing::debug!(job.id = %id, "job {id} has no picture of its site: {error}");
                    None
                }
            }
        }))
    }

    /// What the thumbnail will be made of, where it can stay until then. A large medium can't: the picture of the site has
    /// to do, and where there is none, the frame is drawn now.
    pub(super) async fn for_thumbnail(&self, mut subject: Subject, with: With) -> Subject {
        subject.site = with.picture;
        if subject.made.is_none()
            && subject.bytes().await > LARGEST_MEDIUM
            && let Some(frame) = subject.frame.take()
            && subject.site.is_none()
        {
            let picture = self.picture(Source::Frame(frame.borrowed()), &with.pictures, false).await;
            subject.made = picture.map(|picture| picture.thumbnail);
        }
        subject.move_into(&with.pictures).await;
        subject
    }

    /// Which frame of what was downloaded stands for it. Of a file only this share may be there, its beginning.
    pub(super) fn frame(
        plan: &Plan,
        files: &[DownloadedFile],
        (seen, share_kept): (&[Seen], f64),
    ) -> Option<KeptFrame> {
        let picture = plan.video?;
        let (file, seen) = (files.get(picture.input)?, seen.get(picture.input)?);
        let at = frame_at(seen.video_seconds, share_kept);
        Some(KeptFrame { file: file.path.clone(), container: seen.container, stream: picture.index, at })
    }

    /// The first frame of what is still being fetched.
    pub(super) fn frame_of_head(plan: &Plan, heads: &[Head], seen: &[Seen]) -> Option<KeptFrame> {
        let picture = plan.video?;
        let (head, seen) = (heads.get(picture.input)?, seen.get(picture.input)?);
        Some(KeptFrame { file: head.file.clone(), container: seen.container, stream: picture.index, at: 0.0 })
    }

    /// A frame of what was made.
    pub(super) fn frame_of_result(plan: &Plan, result: &Outcome<'_>, seen: &[Seen]) -> Option<KeptFrame> {
        let picture = plan.video?;
        let (file, share_kept) = match result {
            Outcome::File(file) => (file.clone(), 1.0),
            Outcome::Growing(growing) => (growing.file().to_owned(), 1.0),
            Outcome::Arrived(arrived) => (arrived.copy.clone(), arrived.share_kept()),
        };
        // what we make has its picture first
        let stream = if plan.untouched { picture.index } else { 0 };
        let at = frame_at(plan.expected_seconds(seen), share_kept);
        Some(KeptFrame { file, container: plan.container, stream, at })
    }

    /// The pictures of an order that wants a cover, of the site's or of this frame. They have to be there before the result
    /// is made; any other job's thumbnail comes after it (`thumbnails`).
    pub(super) async fn with_cover(&self, with: &With, frame: Option<&KeptFrame>) -> Option<Picture> {
        if let Some(site) = &with.picture
            && let Some(Some(still)) = self.limits.guard.stop_token().run_until_cancelled(site.still()).await
            && let Some(picture) = self.picture(Source::Still(&still.file, still.image), &with.pictures, true).await
        {
            return Some(picture);
        }
        self.picture(Source::Frame(frame?.borrowed()), &with.pictures, true).await
    }

    async fn picture(&self, source: Source<'_>, dir: &Path, with_cover: bool) -> Option<Picture> {
        let wall = COVER_WITHIN.min(self.limits.left());
        let watch = Watch::new(wall, wall, self.limits.guard.stop_token().clone());
        let made = self.ctx.ffmpeg.picture(source, dir, with_cover, &watch).await;
        made.inspect_err(|failure| {
            let id = self.job.lease().job;
            tracing::debug!(job.id = %id, "job {id} goes on without a picture: {}", failure.detail);
        })
        .ok()
    }

    /// Noted first, as every object: should the job not be completed, it is removed.
    pub(super) async fn store(&self, object: ObjectKey, file: &Path) -> Option<Stored> {
        let stored = async {
            let pulse = self.ctx.store.reserve(self.job.lease(), &object).await.ok()?;
            if pulse != Pulse::Ok {
                return None;
            }
            self.ctx.put_small(&object, file).await.ok()
        };
        timeout(STORE_WITHIN.min(self.limits.left()), stored).await.ok().flatten()
    }
}

/// When there is a frame to show, in seconds, of a medium of which this share is there.
fn frame_at(seconds: Option<f64>, share_kept: f64) -> f64 {
    let (share, most) = FRAME_AT;
    (seconds.unwrap_or_default() * share.min(share_kept / 2.0)).min(most)
}
