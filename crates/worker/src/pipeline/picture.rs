//! A picture job: what metadata names as the picture of a medium is made small and written to the cache. That there is none
//! is a finding as well, and the job has not failed: it says nothing about the site of the medium.
//!
//! Not here: which picture (`api::metadata` asks for the one that it shows), how it is made (`ffmpeg::picture`).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind, PictureSpec};
use haul_shared::metadata::{LARGEST_PICTURE, Look, refusal_life};
use hyper::HeaderMap;
use tokio::time::Instant;
use url::Url;

use super::Limits;
use super::beside::PICTURE_BYTES;
use super::metadata::not_kept;
use crate::board::Running;
use crate::context::Context;
use crate::ffmpeg::picture::Image;
use crate::guard::Guard;
use crate::origin::Asker;
use crate::process::Watch;
use crate::scratch;
use crate::small::{self, NotFetched};

/// Who looks for it does not wait so long, but comes again.
const LONGEST: Duration = Duration::from_secs(30);
/// For the picture to come.
const FETCH_WITHIN: Duration = Duration::from_secs(15);

/// Makes the picture, with an empty folder for scratch.
///
/// # Errors
/// Our own trouble, and that the job was stopped: nothing is in the cache then. Whatever else keeps it from being made is
/// there.
pub async fn picture(
    ctx: &Context,
    (job, guard): (&Running, &Guard),
    order: &PictureSpec,
    scratch: &Path,
) -> Result<(), Failure> {
    let limits = Limits::new(ctx, (job, guard), LONGEST);
    let made = make(&limits, order, scratch).await.map_err(|failure| guard.explain(failure));
    let made = match &made {
        Ok(jpeg) => Ok(&jpeg[..]),
        Err(failure) if job.stop_token().is_cancelled() || refusal_life(failure.kind, None).is_none() => {
            return Err(failure.clone());
        }
        Err(failure) => {
            let id = job.lease().job;
            tracing::debug!(job.id = %id, "job {id} finds no picture: {}", failure.detail);
            Err(failure.kind)
        }
    };
    let look = Look { url: order.medium.clone(), cookies: order.cookies.clone(), first: 1 };
    ctx.cache.put_picture(&look, made).await.map_err(|error| not_kept("picture", &error))
}

async fn make(limits: &Limits<'_>, order: &PictureSpec, scratch: &Path) -> Result<Vec<u8>, Failure> {
    limits.judge(&order.url)?;
    let (file, image) = limits.step(fetch(limits, order, scratch)).await?;
    let late = || Failure::new(FailureKind::Timeout, "no time was left to make it");
    let ffmpeg = limits.ctx.thumbnails.turn_of_look(Instant::now() + limits.left());
    let _turn = limits.step(async { ffmpeg.await.ok_or_else(late) }).await?;
    let wall = limits.left();
    let watch = Watch::new(wall, wall, limits.guard.stop_token().clone());
    // the watch is of each run, of which there may be several
    limits.step(limits.ctx.ffmpeg.small_picture((&file, image), scratch, LARGEST_PICTURE, &watch)).await
}

async fn fetch(limits: &Limits<'_>, order: &PictureSpec, scratch: &Path) -> Result<(PathBuf, Image), Failure> {
    let jar = limits.jar(&order.cookies, &order.medium).await?;
    let asker = match (jar, Url::parse(order.url.expose())) {
        (Some(jar), Ok(url)) => Asker::of(url, HeaderMap::new(), jar.cookies()),
        _ => Asker::default(),
    };
    let (file, bounds) = (scratch.join("site"), small::Bounds { bytes: PICTURE_BYTES, wall: FETCH_WITHIN });
    let answer = small::open(limits.guard, &asker, order.url.expose(), bounds).await;
    let head = answer.map_err(|error| not_fetched(&error))?.save(&file).await.map_err(|error| not_saved(&error))?;
    let image = Image::of(&head).ok_or_else(|| Failure::new(FailureKind::InvalidMedia, "it is no picture"))?;
    Ok((file, image))
}

fn not_saved(error: &io::Error) -> Failure {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    source.map_or_else(|| scratch::failure(error), not_fetched)
}

fn not_fetched(error: &NotFetched) -> Failure {
    let kind = match error {
        // what is not there will not be there soon
        NotFetched::Status(404 | 410) => FailureKind::Unavailable,
        error => error.kind(),
    };
    Failure::new(kind, error.to_string())
}
