//! A download job, step by step.

use std::path::{Path, PathBuf};

use haul_shared::job::{DownloadSpec, Failure, FailureKind, Stage};
use haul_shared::storage::clean_stem;

use super::{Limits, Made};
use crate::board::Running;
use crate::context::Context;
use crate::ffmpeg::Embedded;
use crate::meter::Meter;
use crate::scratch;
use crate::select::{Selection, select, settle};
use crate::stages::Stages;
use crate::ytdlp::{DownloadedFile, Event, Info, Live, Session, SiteFormat};

/// Makes a verified result of an order, in an empty folder for scratch, and puts it into the store.
///
/// # Errors
/// Why there is none. After a stop the failure has no meaning.
pub async fn download(ctx: &Context, job: &Running, spec: &DownloadSpec, scratch: &Path) -> Result<Made, Failure> {
    let run = Run { limits: Limits::new(ctx, job, ctx.config.limits.timeout), ctx, job, spec };
    let mut stages = Stages::new(job, &ctx.metrics);

    stages.enter(Stage::Extract);
    let downloads = folder(scratch, "download").await?;
    let (info, session) = run.extract(&downloads).await?;
    let selection = run.choose(&info)?;
    let wanted = run.wanted_texts(&info)?;

    stages.enter(Stage::Download);
    let (pictures, texts) = (folder(scratch, "picture").await?, folder(scratch, "texts").await?);
    let fetched = run.fetch(&info, &selection, session, &downloads);
    let (files, picture, asked, segments) = tokio::join!(
        fetched,
        run.picture_of_site(&info, &pictures),
        run.fetch_texts(&info, &wanted, &texts),
        run.marked_segments(&info)
    );
    let (files, asked, segments) = (files?, asked?, segments?);

    stages.enter(Stage::Process);
    let material = run.look(&info, &selection, &files).await?;
    let kept = run.kept(&segments, &files, &material.seen).await?;
    let info = run.marked(info, &segments, kept.as_ref(), &material.seen);
    let (files, material) = match &kept {
        Some(kept) => {
            let files = run.leave_out(kept, &files, &material.seen, &downloads).await?;
            let material = run.look(&info, &selection, &files).await?;
            (files, material)
        }
        None => (files, material),
    };
    let plan = settle(&material.seen, spec)?;
    let plan = run.cut((&info, kept.as_ref()), plan, &files, &material.seen).await?;
    let frame = || run.picture_of_medium(&plan, &files, &material.seen, &pictures);
    let picture = if picture.is_none() && spec.embed_thumbnail { frame().await } else { picture };
    let texts = run.place_texts((asked, kept.as_ref()), &plan, &material.seen, &texts).await?;
    let cover = picture.as_ref().and_then(|picture| picture.cover.as_deref());
    let with = Embedded { cover, subtitles: &texts.embedded, ..Embedded::default() };
    let result = run.make(&info, &plan, (&material, Vec::new()), with, &folder(scratch, "result").await?).await?;

    stages.enter(Stage::Verify);
    let standing = async {
        match picture {
            None if !spec.embed_thumbnail => frame().await,
            picture => picture,
        }
    };
    let (verified, picture) = tokio::join!(run.verify(&result, &plan, &material), standing);
    let verified = verified?;

    stages.enter(Stage::Upload);
    let object = result.store(&run.limits, &verified).await?;
    let beside = match run.store_beside(&object, picture.as_ref(), texts).await {
        Ok(beside) => beside,
        Err(failure) => {
            ctx.discard(&object).await;
            return Err(failure);
        }
    };
    let stem = clean_stem(info.title.as_deref().unwrap_or_default());
    Ok(Made { artifact: verified.into_artifact(object, stem, beside), stages: stages.finish() })
}

/// A folder of its own for each step: what one leaves does not confuse the next.
async fn folder(scratch: &Path, name: &str) -> Result<PathBuf, Failure> {
    let folder = scratch.join(name);
    tokio::fs::create_dir(&folder).await.map_err(|error| scratch::failure(&error))?;
    Ok(folder)
}

/// One attempt.
pub(super) struct Run<'a> {
    pub(super) limits: Limits<'a>,
    pub(super) ctx: &'a Context,
    pub(super) job: &'a Running,
    pub(super) spec: &'a DownloadSpec,
}

impl Run<'_> {
    /// What is at the address?
    async fn extract(&self, dir: &Path) -> Result<(Info, Session), Failure> {
        self.limits.step(self.limits.judge(&self.spec.url)).await?;
        let entry = self.spec.playlist_index;
        let (info, session) = self.ctx.ytdlp.extract(&self.spec.url, entry, dir, &self.limits.bounds()).await?;
        self.job.describe(info.media());
        let longest = self.ctx.config.limits.max_duration;
        let too_long = info.duration_seconds.zip(longest).filter(|(seconds, longest)| *seconds > longest.as_secs_f64());
        if let Some((seconds, _)) = too_long {
            return Err(Failure::new(FailureKind::TooLong, format!("plays {seconds:.0} s")));
        }
        self.check_clip(info.duration_seconds)?;
        Ok((info, session))
    }

    /// Which streams are fetched?
    fn choose(&self, info: &Info) -> Result<Selection, Failure> {
        let selection = select(info, self.spec)?;
        let id = self.job.lease().job;
        tracing::info!(job.id = %id, reason = %selection.reason, "job {id} takes {}", selection.take.ids().join(" and "));
        let chosen = self.chosen(info, &selection);
        let announced = chosen.iter().filter(|format| !format.size_is_a_guess).filter_map(|format| format.size_bytes);
        let bytes: u64 = announced.sum();
        if bytes > self.ctx.config.limits.max_file_bytes {
            return Err(Failure::new(FailureKind::TooLarge, format!("{bytes} bytes are announced")));
        }
        self.foresee(&selection, info.duration_seconds);
        Ok(selection)
    }

    fn chosen<'i>(&self, info: &'i Info, selection: &Selection) -> Vec<&'i SiteFormat> {
        let format = |id: &&str| info.formats.iter().find(|format| format.format_id == *id);
        selection.take.ids().iter().filter_map(format).collect()
    }

    /// Fetches them, one file each.
    async fn fetch(
        &self,
        info: &Info,
        selection: &Selection,
        session: Session,
        dir: &Path,
    ) -> Result<Vec<DownloadedFile>, Failure> {
        if let (Live::Now, Some(seconds)) = (info.live, self.spec.live_seconds) {
            session.end().await;
            return self.record(&self.chosen(info, selection), seconds, dir).await;
        }
        let mut meter = Meter::of(&self.chosen(info, selection));
        let ids = selection.take.ids();
        let hear = |event: &Event| {
            if let Event::Progress(report) = event {
                self.job.report(meter.heard(report));
            }
        };
        let files = session.download(&ids, &self.limits.bounds(), hear).await;
        self.ctx.metrics.downloaded(meter.fetched_bytes());
        // The site had just named these formats: that they are gone is its trouble, and passes.
        files.map_err(|failure| match failure.kind {
            FailureKind::FormatUnavailable => Failure::new(FailureKind::ExtractorError, failure.detail),
            _ => failure,
        })
    }
}
