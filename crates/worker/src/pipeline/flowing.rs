//! A result that is made while its source is fetched.
//!
//! Decides what can be made so, and what needs files instead: what is cut, what is coded anew, and whatever a beginning does
//! not tell enough of. That is fetched to its end first, and made as files are.
//!
//! Not here: how segments are fetched (`native`), how ffmpeg reads them while they come (`shape`).

use std::sync::Arc;

use futures::FutureExt as _;
use haul_shared::job::{Failure, Stage};

use super::download::{Finished, Run, With};
use super::fetch::{Aim, fresh};
use super::material::Material;
use super::native::Streams;
use crate::ffmpeg::Embedded;
use crate::scratch;
use crate::select::{Plan, Seen, Selection, settle};
use crate::shape::{Flow, Head};
use crate::sponsorblock::Segment;
use crate::stages::Stages;
use crate::thumbnails::Subject;
use crate::verify::whole::Whole;
use crate::ytdlp::{DownloadedFile, Info};

impl Run<'_> {
    /// Makes the result of what is coming, proves it and stores it; or says how it is to be fetched instead.
    pub(super) async fn of_streams(
        &self,
        stages: &mut Stages<'_>,
        site: (&Info, &Selection),
        streams: Streams<'_>,
        with: &mut With,
    ) -> Result<Result<Finished, Aim>, Failure> {
        let (tally, folder) = (Arc::clone(&streams.tally), streams.folder.clone());
        let heads: Vec<Head> = streams.flows.iter().map(|flow| flow.head.clone()).collect();
        let made = match self.planned(site, &heads, &with.segments).boxed().await? {
            Some(planned) => self.of_flows(stages, site.0, (streams, &heads, planned), with).boxed().await,
            None => match self.land(site.1, streams.flows).boxed().await {
                Ok(files) => self.of_files(stages, site, &files, with).boxed().await,
                Err(failure) => Err(failure),
            },
        };
        match (made, tally.refused()) {
            (Err(_), Some(why)) => {
                self.job.stores_afterwards();
                scratch::make_room(&folder).await;
                Ok(Err(Aim::Ytdlp(why)))
            }
            (made, _) => made.map(Ok),
        }
    }

    /// What is made of these while they come; `None`: files are needed.
    async fn planned(
        &self,
        (info, selection): (&Info, &Selection),
        heads: &[Head],
        segments: &[Segment],
    ) -> Result<Option<(Material, Plan)>, Failure> {
        let removes = segments.iter().any(|segment| self.spec.sponsorblock.remove.contains(&segment.kind));
        if self.spec.clip.is_some() || removes {
            return Ok(None);
        }
        // what its beginning lacks may come later: the whole of it is judged
        let Some(material) = self.look_ahead(info, selection, heads).await? else { return Ok(None) };
        let plan = settle(&material.seen, self.spec).ok().filter(|plan| flows_into(plan, &material.seen));
        Ok(plan.map(|plan| (material, plan)))
    }

    async fn of_flows(
        &self,
        stages: &mut Stages<'_>,
        info: &Info,
        (Streams { flows, folder, tally }, heads, (material, plan)): (Streams<'_>, &[Head], (Material, Plan)),
        with: &With,
    ) -> Result<Finished, Failure> {
        self.job.makes_meanwhile();
        let info = &self.marked(info.clone(), &with.segments, None, &material.seen);
        let texts = self.place_texts((with.asked.clone(), None), &plan, &material.seen, &with.texts).await?;
        let picture = match self.spec.embed_thumbnail {
            true => {
                let frame = Self::frame_of_head(&plan, heads, &material.seen);
                self.with_cover(with, frame.as_ref()).boxed().await
            }
            false => None,
        };
        let cover = picture.as_ref().and_then(|picture| picture.cover.as_deref());
        let embedded = Embedded { cover, subtitles: &texts.embedded, ..Embedded::default() };
        let dir = fresh(&folder, "result").await?;
        let mut making = self.make(info, &plan, (&material, flows), embedded, &dir).boxed();
        let making = async {
            tokio::select! {
                biased;
                () = tally.whole() => {
                    stages.enter(Stage::Process);
                    making.await
                }
                made = &mut making => made,
            }
        };
        let result = making.await?;
        let frame = Self::frame_of_result(&plan, &result, &material.seen);
        let subject = Subject { made: picture.map(|picture| picture.thumbnail), frame, ..Subject::default() };
        let proven = self.prove(stages, (&result, &plan, &material)).boxed().await?;
        self.store_result(stages, result, (proven, subject), texts).boxed().await
    }

    /// Fetches all of it first.
    async fn land(&self, selection: &Selection, flows: Vec<Flow<'_>>) -> Result<Vec<DownloadedFile>, Failure> {
        let land = flows.into_iter().zip(selection.take.ids()).map(|(flow, id)| async move {
            let seconds = flow.head.seconds;
            let path = flow.land().await?;
            Ok(DownloadedFile { path, format_id: id.to_owned(), ext: String::new(), seconds })
        });
        self.limits.step(futures::future::try_join_all(land)).await
    }
}

/// Can it be made while its source comes? Nothing of it may be coded anew: that takes longer than fetching, and a place of
/// its own. Each flow has to be read to its end, and what was made of it proves how long it was.
fn flows_into(plan: &Plan, seen: &[Seen]) -> bool {
    let is_proven = |(at, seen): (usize, &Seen)| {
        let is_read = match seen.probe.video {
            Some(_) => plan.video.is_some_and(|picture| picture.input == at),
            None => plan.audio.is_some_and(|track| track.input == at),
        };
        is_read && seen.video_seconds.is_some() && Whole::of(seen.container).is_some()
    };
    !plan.transcodes() && seen.iter().enumerate().all(is_proven)
}
