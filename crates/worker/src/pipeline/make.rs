//! From what was fetched, or is being fetched, to the result: one run of ffmpeg.
//!
//! Decides which of our texts go into the result, and when a job waits: what is coded anew has a lane of its own.
//!
//! Not here: what is made (`select::settle`), how (`ffmpeg`, `shape`), and whether it is right (`verify`).

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use haul_shared::job::{Failure, Stage};
use haul_shared::storage::{Intake, ObjectKey};

use super::Limits;
use super::deliver::{self, Arrived, Coming, Growing, Outgoing, Size};
use super::download::Run;
use super::material::Material;
use crate::container::{AudioCodec, Container, VideoCodec};
use crate::ffmpeg::picture::picture_block;
use crate::ffmpeg::room::{self, Contents};
use crate::ffmpeg::{Embedded, Index, Input, Make, Tags};
use crate::scratch;
use crate::select::{Plan, Sound};
use crate::shape::{Flow, Made, Place, Shaping};
use crate::verify::outline::Keep;
use crate::verify::{self, Verified};
use crate::ytdlp::Info;

impl Run<'_> {
    /// Makes the result of files, or of flows, which are fetched to their ends. What is it already stays as it is; what
    /// streams goes up while it is made.
    pub(super) async fn make(
        &self,
        info: &Info,
        plan: &Plan,
        (material, mut flows): (&Material, Vec<Flow<'_>>),
        with: Embedded<'_>,
        dir: &Path,
    ) -> Result<Outcome<'_>, Failure> {
        if let (true, [(only, _)]) = (plan.untouched, &material.inputs[..]) {
            return match flows.pop() {
                None => Ok(Outcome::File(only.clone())),
                Some(flow) => self.pass_on(flow, plan, &dir.join("copy")).await.map(Outcome::Arrived),
            };
        }
        let _place = self.place(plan).await?;
        let seconds = plan.expected_seconds(&material.seen);
        let texts = self.texts(info, plan, material, with.cover, dir).await?;
        let output = dir.join(format!("media.{}", plan.container.extension()));
        let inputs: Vec<Input<'_>> =
            material.inputs.iter().map(|(file, container)| Input { file, container: *container }).collect();
        let embedded = texts.embedded(with);
        let front = self.front(plan, material, (&embedded, info.chapters.len()), seconds).await;
        let is_mp4 = matches!(plan.container, Container::Mp4 | Container::M4a);
        // files are copied in no time, and only a flow can be held back until the beginning is kept; a guess that
        // has failed an attempt is not made again
        let front = front.filter(|_| !is_mp4 || (!flows.is_empty() && self.job.attempt() == 1));
        let room = front.filter(|_| is_mp4);
        let make = Make { plan, spec: self.spec, inputs: &inputs, embedded, seconds, room, output: &output };
        let most = self.ctx.config.limits.max_file_bytes;
        let seconds = seconds.filter(|seconds| *seconds > 0.0 && flows.is_empty());
        let hear = |done: f64| {
            // with flows, how far it is is how much was fetched
            if let Some(seconds) = seconds {
                self.job.advance(Stage::Process, done / seconds);
            }
        };
        let shaping = Shaping { ffmpeg: &self.ctx.ffmpeg, watch: self.limits.watch(), most, make, flows };
        if !plan.streaming {
            let growing = match front {
                Some(front) => Growing::begin(&self.limits, plan, &output, front).await?,
                None => None,
            };
            let index = shaping.into_file(hear).await?;
            return match (growing, index) {
                (Some(growing), Index::InFront) => Ok(Outcome::Growing(growing.made())),
                (Some(_), Index::Overflows) => {
                    self.job.sends_afterwards();
                    Ok(Outcome::File(output))
                }
                (None, _) => Ok(Outcome::File(output)),
            };
        }
        let copy = dir.join("copy");
        let take = async |mut made: Made| {
            let mut outgoing = Outgoing::begin(&self.limits, coming(plan, &copy)).await?;
            while let Some(bytes) = made.next().await? {
                outgoing.push(bytes).await?;
            }
            outgoing.end().await
        };
        shaping.into_hands(take, hear).await.map(Outcome::Arrived)
    }

    /// How many bytes of the front may change until the result is made, if the rest is to go up meanwhile. A directory takes
    /// the whole file by a link. Of a part of a medium nobody knows how large it is.
    async fn front(
        &self,
        plan: &Plan,
        material: &Material,
        (embedded, chapters): (&Embedded<'_>, usize),
        seconds: Option<f64>,
    ) -> Option<u64> {
        let is_file = !plan.streaming && plan.cut.is_none() && self.ctx.storage.intake().is_some();
        if !is_file {
            return None;
        }
        let rate = match plan.video {
            Some(picture) => material.seen.get(picture.input)?.probe.video.as_ref()?.rate?,
            // most of what was fetched is the picture
            None if material.seen.iter().any(|seen| seen.probe.video.is_some()) => return None,
            None => 0.0,
        };
        let bytes = match material.seen.iter().any(|seen| seen.is_promised) {
            true => self.job.likely_bytes()?,
            false => material.seen.iter().map(|seen| seen.size_bytes).sum(),
        };
        if bytes > Intake::MOST_BYTES {
            return None;
        }
        let mut texts_bytes = 0;
        let subtitles = embedded.subtitles.iter().map(|subtitle| &*subtitle.file);
        for file in embedded.file.into_iter().chain(embedded.cover).chain(subtitles) {
            texts_bytes += tokio::fs::metadata(file).await.ok()?.len();
        }
        let (has_sound, chapters) = (plan.audio.is_some(), chapters as u64);
        room::of(plan.container, &Contents { seconds: seconds?, rate, has_sound, bytes, texts_bytes, chapters })
    }

    /// Sends a flow that is the result as it stands.
    async fn pass_on(&self, flow: Flow<'_>, plan: &Plan, copy: &Path) -> Result<Arrived<'_>, Failure> {
        let mut bytes = flow.bytes().await?;
        // a fault that is found over holes would prove nothing
        let coming = Coming { keep: Keep::Whole, ..coming(plan, copy) };
        let mut outgoing = Outgoing::begin(&self.limits, coming).await?;
        while let Some(piece) = self.limits.step(bytes.next().map(Option::transpose)).await? {
            // its own would be held until it is stored, and a fetcher waits for what is held
            outgoing.push(Bytes::copy_from_slice(&piece)).await?;
        }
        outgoing.end().await
    }

    /// Proves the result. One that stayed as it is has been looked at.
    pub(super) async fn verify(
        &self,
        result: &Outcome<'_>,
        plan: &Plan,
        material: &Material,
    ) -> Result<Verified, Failure> {
        let (seen, watch) = (&material.seen[..], self.limits.watch());
        let file = match result {
            Outcome::File(file) => file,
            Outcome::Growing(growing) => growing.file(),
            Outcome::Arrived(arrived) => &arrived.copy,
        };
        let hashed = async {
            match result {
                Outcome::File(file) => verify::hash(file, &watch).await,
                Outcome::Growing(growing) => growing.hash(&watch).await,
                Outcome::Arrived(arrived) => Ok(arrived.sha256.clone()),
            }
        };
        match (result, seen) {
            (Outcome::File(_), [only]) if plan.untouched => verify::prove(only, hashed.await?, plan, seen),
            _ => verify::verify(&self.ctx.ffmpeg, file, hashed, (plan, seen), self.verify_bounds(), &watch).await,
        }
    }

    /// A place in the lane of what is coded anew, for a plan that needs one.
    async fn place(&self, plan: &Plan) -> Result<Option<Place<'_>>, Failure> {
        if !plan.transcodes() {
            return Ok(None);
        }
        let (id, coding) = (self.job.lease().job, &self.ctx.coding);
        if coding.is_full() {
            tracing::info!(job.id = %id, "job {id} waits until others are coded");
        }
        self.limits.step(async { Ok(Some(coding.enter().await)) }).await
    }

    /// Writes down what goes into the file.
    async fn texts(
        &self,
        info: &Info,
        plan: &Plan,
        material: &Material,
        cover: Option<&Path>,
        dir: &Path,
    ) -> Result<Texts, Failure> {
        let mut tags = self.tags(info);
        if let (Container::Ogg, Some(cover)) = (plan.container, cover) {
            tags.cover = tokio::fs::read(cover).await.ok().map(|jpeg| picture_block(&jpeg));
        }
        let texts =
            Texts { file: dir.join("texts.ffmetadata"), tags: tags.has_text(), chapters: !tags.chapters.is_empty() };
        if texts.tags || texts.chapters {
            let written = tokio::fs::write(&texts.file, tags.to_ffmetadata(plan.whole_seconds(&material.seen))).await;
            written.map_err(|error| scratch::failure(&error))?;
        }
        Ok(texts)
    }

    fn tags(&self, info: &Info) -> Tags {
        let mut tags = Tags::default();
        if self.spec.embed_metadata {
            tags.title.clone_from(&info.title);
            tags.artist.clone_from(&info.uploader);
            tags.date.clone_from(&info.upload_date);
        }
        // with marks among them, and without those that were not asked for
        tags.chapters.clone_from(&info.chapters);
        tags
    }

    pub(super) fn verify_bounds(&self) -> verify::Bounds {
        let limits = &self.ctx.config.limits;
        verify::Bounds { size_bytes: limits.max_file_bytes, duration: limits.max_duration }
    }
}

/// A result that is still to be proven.
pub(super) enum Outcome<'a> {
    /// A file.
    File(PathBuf),
    /// A file of which most is on its way into the store already.
    Growing(Growing),
    /// Bytes that are.
    Arrived(Arrived<'a>),
}

impl Outcome<'_> {
    /// Puts it where only its completed job leads.
    pub(super) async fn store(self, limits: &Limits<'_>, verified: &Verified) -> Result<ObjectKey, Failure> {
        // boxed: what is sent lies too deep for the stack of a thread otherwise
        match self {
            Self::File(file) => deliver::put(limits, &file, verified).boxed().await,
            Self::Growing(growing) => growing.finish(limits, verified).boxed().await,
            Self::Arrived(arrived) => arrived.finish(verified).boxed().await,
        }
    }
}

/// What is known of a stream before its first byte.
fn coming<'a>(plan: &Plan, copy: &'a Path) -> Coming<'a> {
    Coming {
        container: plan.container,
        has_video: plan.video.is_some(),
        size: Size::AtMost(u64::MAX),
        keep: keep(plan),
        may_break: false,
        copy,
    }
}

/// Of codecs that ffprobe was seen to describe without their data, the data is not kept.
fn keep(plan: &Plan) -> Keep {
    let picture = plan.video.is_none_or(|video| matches!(video.codec, VideoCodec::H264 | VideoCodec::Vp9));
    let sound = plan.audio.is_none_or(|track| {
        matches!(track.sound, Sound::Aac | Sound::Copy(AudioCodec::Aac | AudioCodec::Mp3 | AudioCodec::Opus))
    });
    if picture && sound { Keep::Outline } else { Keep::Whole }
}

/// Our texts, in a file if there are any.
struct Texts {
    file: PathBuf,
    tags: bool,
    chapters: bool,
}

impl Texts {
    fn embedded<'a>(&'a self, with: Embedded<'a>) -> Embedded<'a> {
        let there = self.tags || self.chapters;
        Embedded { file: there.then_some(&*self.file), tags: self.tags, chapters: self.chapters, ..with }
    }
}
