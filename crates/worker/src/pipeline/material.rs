//! What a result is made of: files that were fetched, or flows of which the beginning is there.
//!
//! Decides what each of them must be. Not here: what is made of them (`select::settle`, `make`).

use std::path::PathBuf;

use futures::future::try_join_all;
use haul_shared::job::Failure;

use super::download::Run;
use crate::container::Container;
use crate::select::{Seen, Selection, Take};
use crate::shape::Head;
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
            let expected = expected(info, selection, (at, &file.format_id), file.seconds);
            let watch = self.limits.watch();
            let seen = verify::look(&self.ctx.ffmpeg, &file.path, expected, self.verify_bounds(), &watch).await?;
            material.inputs.push((file.path.clone(), seen.container));
            material.seen.push(seen);
        }
        Ok(material)
    }

    /// Judges the beginnings of what is still being fetched. What `make` does with it ends the fetching. `None`: they do not
    /// tell enough.
    pub(super) async fn look_ahead(
        &self,
        info: &Info,
        selection: &Selection,
        heads: &[Head],
    ) -> Result<Option<Material>, Failure> {
        let watch = &self.limits.watch();
        let look = heads.iter().zip(selection.take.ids()).enumerate().map(|(at, (head, id))| async move {
            let expected = expected(info, selection, (at, id), head.seconds);
            let seen = verify::look_ahead(&self.ctx.ffmpeg, &head.file, expected, watch).await?;
            seen.map(|seen| Ok(((head.pipe()?, seen.container), seen))).transpose()
        });
        let looked: Option<Vec<_>> = try_join_all(look).await?.into_iter().collect();
        Ok(looked.map(|looked| {
            let (inputs, seen) = looked.into_iter().unzip();
            Material { inputs, seen }
        }))
    }
}

/// What one of the chosen formats must be, by its place and its id, and by how long its playlist says that it plays.
fn expected(info: &Info, selection: &Selection, (at, id): (usize, &str), seconds: Option<f64>) -> Expected {
    let format = info.formats.iter().find(|format| format.format_id == id);
    let says_video = format.is_some_and(|format| format.video.codec().is_some());
    let duration = seconds.or(info.duration_seconds);
    match (&selection.take, at) {
        (Take::Pair { .. }, 0) => Expected { video: true, audio: false, duration },
        (Take::Pair { .. }, _) => Expected { video: false, audio: true, duration },
        (Take::One(_), _) => Expected { video: says_video, audio: selection.promises_audio, duration },
    }
}
