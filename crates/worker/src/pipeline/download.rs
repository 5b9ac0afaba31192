//! A download job, step by step.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use futures::FutureExt as _;
use haul_shared::job::{Artifact, Beside, DownloadSpec, Failure, FailureKind, Stage};
use haul_shared::storage::{ObjectKey, clean_stem};

use super::deliver::Arrived;
use super::fetch::{Aim, Fetched, fresh};
use super::make::Outcome;
use super::material::Material;
use super::texts::{Asked, Texts};
use super::{Limits, Made, PICTURES};
use crate::board::Running;
use crate::context::Context;
use crate::ffmpeg::Embedded;
use crate::ffmpeg::picture::Aside;
use crate::guard::Guard;
use crate::scratch;
use crate::select::{Plan, Selection, select, settle};
use crate::sponsorblock::Segment;
use crate::stages::Stages;
use crate::thumbnails::{SitePicture, Subject};
use crate::verify::outline::Keep;
use crate::verify::{self, Verified};
use crate::ytdlp::{DownloadedFile, Info, Live, Session, Ytdlp};

/// Makes a verified result of an order, in an empty folder for scratch, and puts it into the store.
///
/// # Errors
/// Why there is none. After a stop the failure has no meaning.
pub async fn download(
    ctx: &Context,
    (job, guard): (&Running, &Guard),
    spec: &DownloadSpec,
    scratch: &Path,
) -> Result<Made, Failure> {
    let limits = Limits::new(ctx, (job, guard), ctx.config.limits.timeout);
    let run = Run::begin(limits, spec, scratch).await?;
    make(&run).await.map_err(|failure| guard.explain(failure))
}

async fn make(run: &Run<'_>) -> Result<Made, Failure> {
    let (ctx, job, scratch) = (run.ctx, run.job, run.scratch);
    let mut stages = Stages::new(job, &ctx.metrics);

    stages.enter(Stage::Extract);
    let (info, session) = run.extract(&folder(scratch, "download").await?).await?;
    let selection = run.choose(&info)?;
    run.foresee(&selection, info.duration_seconds);
    let wanted = run.wanted_texts(&info)?;
    let (ids, site, mut session) = (selection.take.ids(), (&info, &selection), Some(session));

    stages.enter(Stage::Download);
    let (pictures, texts) = (folder(scratch, PICTURES).await?, folder(scratch, "texts").await?);
    let picture = run.picture_of_site(&info, &pictures);
    // boxed, here and below: the futures of a job lie in each other too deep for the stack of a thread otherwise
    let fetched = run.fetch(&info, &mut session, &ids, Aim::Result(Keep::Outline)).boxed();
    let beside = async { Ok(tokio::join!(run.fetch_texts(&info, &wanted, &texts), run.marked_segments(&info))) };
    // nobody waits for what would lie beside a medium that can't be had
    let ((mut fetched, mut way), (asked, segments)) = tokio::try_join!(fetched, beside)?;
    let mut with = With { picture, pictures: pictures.clone(), asked: asked?, texts, segments: segments? };
    let finished = loop {
        let aim = match fetched {
            Fetched::Files(files) => break run.of_files(&mut stages, site, &files, &mut with).boxed().await?,
            Fetched::Streams(streams) => match run.of_streams(&mut stages, site, streams, &mut with).boxed().await? {
                Ok(finished) => break finished,
                Err(aim) => aim,
            },
            Fetched::Result(arrived) => {
                match run.as_it_is(&mut stages, site, &mut session, *arrived, &mut with).boxed().await? {
                    Ok(finished) => break finished,
                    Err(aim) => aim,
                }
            }
        };
        stages.enter(Stage::Download);
        run.limits.guard.begin_anew();
        (fetched, way) = run.fetch(&info, &mut session, &ids, aim).boxed().await?;
    };

    let Finished { verified, object, subject, texts } = finished;
    let beside = match run.store_texts(&object, texts).boxed().await {
        Ok(subtitles) => Beside { subtitles, ..Beside::default() },
        Err(failure) => {
            ctx.discard(&object).await;
            return Err(failure);
        }
    };
    let stem = clean_stem(info.title.as_deref().unwrap_or_default());
    let is_recording = info.live == Live::Now;
    let artifact = Artifact { is_recording, ..verified.into_artifact(object, stem, beside, way) };
    let subject = run.for_thumbnail(subject, with).boxed().await;
    Ok(Made { artifact, subject, stages: stages.finish(), way, own_extractor: info.own_extractor })
}

/// What goes into a result or beside it, and the folders where it is made.
pub(super) struct With {
    /// That of the site; it may still be on its way.
    pub(super) picture: Option<SitePicture>,
    pub(super) pictures: PathBuf,
    pub(super) asked: Vec<Asked>,
    pub(super) texts: PathBuf,
    pub(super) segments: Vec<Segment>,
}

/// A result in the store.
pub(super) struct Finished {
    verified: Verified,
    object: ObjectKey,
    /// What its thumbnail is made of, but for the picture of the site.
    subject: Subject,
    texts: Texts,
}

/// A folder of its own for each step: what one leaves does not confuse the next.
pub(super) async fn folder(scratch: &Path, name: &str) -> Result<PathBuf, Failure> {
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
    /// The folder of the attempt.
    pub(super) scratch: &'a Path,
    /// With the cookies of the order.
    pub(super) ytdlp: Ytdlp,
    /// An address was used up: what the session knows is out of date.
    pub(super) has_renewed: AtomicBool,
}

impl<'a> Run<'a> {
    /// An attempt at an order, in an empty folder.
    ///
    /// # Errors
    /// Those of the order's cookies.
    pub(super) async fn begin(limits: Limits<'a>, spec: &'a DownloadSpec, scratch: &'a Path) -> Result<Self, Failure> {
        let (ctx, job) = (limits.ctx, limits.job);
        let ytdlp = ctx.ytdlp.with(limits.step(limits.jar(&spec.cookies, &spec.url)).await?);
        Ok(Self { limits, ctx, job, spec, scratch, ytdlp, has_renewed: AtomicBool::new(false) })
    }
}

impl Run<'_> {
    /// What is at the address?
    pub(super) async fn extract(&self, dir: &Path) -> Result<(Info, Session), Failure> {
        self.limits.judge(&self.spec.url)?;
        let entry = self.spec.playlist_index;
        let (info, session) = self.ytdlp.extract(&self.spec.url, entry, dir, &self.limits.bounds_of_look()).await?;
        self.limits.guard.has_done_without();
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
    pub(super) fn choose(&self, info: &Info) -> Result<Selection, Failure> {
        let selection = select(info, self.spec)?;
        let id = self.job.lease().job;
        tracing::info!(job.id = %id, reason = %selection.reason, "job {id} takes {}", selection.take.ids().join(" and "));
        let announced = selection.formats(info).filter(|format| !format.size_is_a_guess);
        let bytes = announced.filter_map(|format| format.size_bytes).fold(0, u64::saturating_add);
        if bytes > self.ctx.config.limits.max_file_bytes {
            return Err(Failure::new(FailureKind::TooLarge, format!("{bytes} bytes are announced")));
        }
        Ok(selection)
    }

    /// Makes the result of files in scratch, proves it and stores it.
    pub(super) async fn of_files(
        &self,
        stages: &mut Stages<'_>,
        (info, selection): (&Info, &Selection),
        files: &[DownloadedFile],
        with: &mut With,
    ) -> Result<Finished, Failure> {
        stages.enter(Stage::Process);
        let asked = mem::take(&mut with.asked);
        let material = self.look(info, selection, files).await?;
        let kept = self.kept(&with.segments, files, &material.seen).await?;
        let info = &self.marked(info.clone(), &with.segments, kept.as_ref(), &material.seen);
        let parts;
        let (files, material) = match &kept {
            Some(kept) => {
                let dir = folder(self.scratch, "kept").await?;
                parts = self.leave_out(kept, files, &material.seen, &dir).await?;
                (&parts[..], self.look(info, selection, &parts).await?)
            }
            None => (files, material),
        };
        let plan = settle(&material.seen, self.spec)?;
        let plan = self.cut((info, kept.as_ref()), plan, files, &material.seen).await?;
        let frame = Self::frame(&plan, files, (&material.seen, 1.0));
        let picture = match self.spec.embed_thumbnail {
            true => self.with_cover(with, frame.as_ref()).boxed().await,
            false => None,
        };
        let texts = self.place_texts((asked, kept.as_ref()), &plan, &material.seen, &with.texts).await?;
        let cover = picture.as_ref().and_then(|picture| picture.cover.as_deref());
        let thumbnail = with.pictures.join("aside.jpg");
        // of what streams there is one run only
        let own = frame.as_ref().filter(|_| with.picture.is_none() && picture.is_none() && !plan.streaming);
        let aside = own.map(|frame| Aside { frame: frame.borrowed(), thumbnail: &thumbnail });
        let embedded = Embedded { cover, subtitles: &texts.embedded, aside, ..Embedded::default() };
        let dir = fresh(self.scratch, "result").await?;
        let result = self.make(info, &plan, (&material, Vec::new()), embedded, &dir).boxed().await?;
        let picture = match (picture, aside) {
            (None, Some(aside)) => aside.picture().await,
            (picture, _) => picture,
        };
        let made = picture.map(|picture| picture.thumbnail);
        let subject = Subject { made, frame, ..Subject::default() };
        let proven = self.prove(stages, (&result, &plan, &material)).boxed().await?;
        self.store_result(stages, result, (proven, subject), texts).boxed().await
    }

    /// Proves a result.
    pub(super) async fn prove(
        &self,
        stages: &mut Stages<'_>,
        (result, plan, material): (&Outcome<'_>, &Plan, &Material),
    ) -> Result<Verified, Failure> {
        stages.enter(Stage::Verify);
        self.verify(result, plan, material).await
    }

    /// Puts a result that was proven into the store.
    pub(super) async fn store_result(
        &self,
        stages: &mut Stages<'_>,
        result: Outcome<'_>,
        (verified, subject): (Verified, Subject),
        texts: Texts,
    ) -> Result<Finished, Failure> {
        stages.enter(Stage::Upload);
        let object = result.store(&self.limits, &verified).await?;
        Ok(Finished { verified, object, subject, texts })
    }

    /// Proves a result that came as it is, and has it stored; or says what is to be fetched instead.
    async fn as_it_is(
        &self,
        stages: &mut Stages<'_>,
        (info, selection): (&Info, &Selection),
        session: &mut Option<Session>,
        arrived: Arrived<'_>,
        with: &mut With,
    ) -> Result<Result<Finished, Aim>, Failure> {
        stages.enter(Stage::Verify);
        let format_id = selection.take.ids().concat();
        let files = [DownloadedFile { path: arrived.copy.clone(), format_id, ext: String::new(), seconds: None }];
        let seen = match self.look(info, selection, &files).await {
            // in a copy with holes it proves nothing
            Err(failure) if arrived.has_holes() && is_of_media(&failure) => {
                arrived.give_up().await;
                return Ok(Err(Aim::Result(Keep::Whole)));
            }
            looked => looked?.seen,
        };
        let plan = settle(&seen, self.spec)?;
        let ([only], true) = (&seen[..], plan.untouched) else {
            arrived.give_up().await;
            return Ok(Err(Aim::Files));
        };
        let verified = verify::prove(only, arrived.sha256.clone(), &plan, &seen)?;
        let texts = self.place_texts((with.asked.clone(), None), &plan, &seen, &with.texts).await?;

        stages.enter(Stage::Upload);
        let frame = Self::frame(&plan, &files, (&seen, arrived.share_kept()));
        let ended = async {
            if let Some(session) = session.take() {
                session.end().await;
            }
        };
        let (object, ()) = tokio::join!(arrived.finish(&verified), ended);
        let subject = Subject { frame, ..Subject::default() };
        Ok(Ok(Finished { verified, object: object?, subject, texts }))
    }
}

/// Does it say that the file is not what it should be?
fn is_of_media(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::CorruptMedia | FailureKind::InvalidMedia)
}
