//! What the beginning of something tells that is still being fetched.
//!
//! Enough to decide what is made of it. Whether it is whole is for whoever fetches it to know, and for the verification
//! of the result, which has to play as long as is promised here.

use std::path::Path;

use haul_shared::job::{Failure, FailureKind};
use tokio::io::AsyncReadExt as _;

use super::{Expected, sniff, unreadable};
use crate::ffmpeg::Ffmpeg;
use crate::process::Watch;
use crate::select::Seen;

/// Judges the head of a flow. It is taken to play for as long as is expected of it. `None`: it lacks what the site promised,
/// which may come later.
///
/// # Errors
/// `invalid_media` when it is no medium that we take: what follows makes it none.
pub async fn look_ahead(
    ffmpeg: &Ffmpeg,
    head: &Path,
    expected: Expected,
    watch: &Watch,
) -> Result<Option<Seen>, Failure> {
    let mut window = Vec::with_capacity(sniff::WINDOW);
    let file = tokio::fs::File::open(head).await.map_err(|error| unreadable(&error))?;
    file.take(sniff::WINDOW as u64).read_to_end(&mut window).await.map_err(|error| unreadable(&error))?;
    let Some(container) = sniff::sniff(&window) else {
        return Err(Failure::new(FailureKind::InvalidMedia, "no container that we know"));
    };
    let probe = match ffmpeg.probe(head, container, watch).await {
        Ok(Some(probe)) => probe,
        Err(failure) if failure.kind != FailureKind::CorruptMedia => return Err(failure),
        Ok(None) | Err(_) => return Ok(None),
    };
    if (expected.video && probe.video.is_none()) || (expected.audio && probe.audio.is_none()) {
        return Ok(None);
    }
    let size_bytes = window.len() as u64;
    let duration = expected.duration.or(probe.duration).unwrap_or_default();
    Ok(Some(Seen {
        container,
        size_bytes,
        probe,
        duration,
        video_seconds: expected.duration,
        audio_seconds: expected.duration,
        is_promised: true,
    }))
}
