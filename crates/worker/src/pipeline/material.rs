//! What a result is made of: files that were fetched, or flows of which the beginning is there.
//!
//! Decides what each of them must be. Not here: what is made of them (`select::settle`, `make`).

use std::path::{Path, PathBuf};

use haul_shared::job::Failure;

use super::download::Run;
use crate::container::Container;
use crate::select::{Seen, Selection, Take};
use crate::shape::{self, Begun, Flow};
use crate::verify::{self, Expected};
use crate::ytdlp::{DownloadedFile, Info};

/// What a result is made of.
pub(super) struct Material {
    /// Where it is, the picture first: a file, or the pipe of a flow.
    pub(super) inputs: Vec<(PathBuf, Container)>,
    /// What was seen of each.
    pub(super) seen: Vec<Seen>,
}

impl Run<'_> {
    /// Judges what was fetched, before ffmpeg makes a flawless short file of a cut one.
    pub(super) async fn look(
        &self,
        info: &Info,
        selection: &Selection,
        files: &[DownloadedFile],
    ) -> Result<Material, Failure> {
        let mut material = Material { inputs: Vec::new(), seen: Vec::new() };
        for (at, file) in files.iter().enumerate() {
            let expected = expected(info, selection, (at, &file.format_id));
            let expected = Expected { duration: file.seconds.or(expected.duration), ..expected };
            let watch = self.limits.watch();
            let seen = verify::look(&self.ctx.ffmpeg, &file.path, expected, self.verify_bounds(), &watch).await?;
            material.inputs.push((file.path.clone(), seen.container));
            material.seen.push(seen);
        }
        Ok(material)
    }

    /// Waits for the beginnings of the chosen formats, and judges those. What `make` does with them ends the fetching.
    #[expect(dead_code, reason = "the fetcher of segments, which has such flows, lands behind this")]
    pub(super) async fn look_ahead(
        &self,
        info: &Info,
        selection: &Selection,
        flows: Vec<Flow>,
        dir: &Path,
    ) -> Result<(Material, Vec<Begun>), Failure> {
        let begun = self.limits.step(shape::begin(flows, dir)).await?;
        let mut material = Material { inputs: Vec::new(), seen: Vec::new() };
        for (at, (flow, id)) in begun.iter().zip(selection.take.ids()).enumerate() {
            let expected = expected(info, selection, (at, id));
            let expected = Expected { duration: flow.seconds.or(expected.duration), ..expected };
            let seen = verify::look_ahead(&self.ctx.ffmpeg, &flow.head, expected, &self.limits.watch()).await?;
            material.inputs.push((flow.pipe()?, seen.container));
            material.seen.push(seen);
        }
        Ok((material, begun))
    }
}

/// What one of the chosen formats must be, by its place and its id.
fn expected(info: &Info, selection: &Selection, (at, id): (usize, &str)) -> Expected {
    let format = info.formats.iter().find(|format| format.format_id == id);
    let says_video = format.is_some_and(|format| format.video.codec().is_some());
    let duration = info.duration_seconds;
    match (&selection.take, at) {
        (Take::Pair { .. }, 0) => Expected { video: true, audio: false, duration },
        (Take::Pair { .. }, _) => Expected { video: false, audio: true, duration },
        (Take::One(_), _) => Expected { video: says_video, audio: selection.promises_audio, duration },
    }
}
