//! What to do when the index of an mp4 is larger than the room that was left for it.
//!
//! ffmpeg then has written it over the beginning of the media data, and what it was made of may be gone. So as long as a
//! file is made with room, a copy of its beginning is kept, and nothing that ffmpeg reads ends before there is one. The
//! index is right but for where it says that the samples are: the result is put together anew, with all of it in front.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::ffmpeg::room::Front;
use crate::process::Watch;
use crate::scratch::{self, off_runtime};

/// Of the beginning, so many times the room is kept: that much larger may an index be than it was thought to be.
const TIMES: u64 = 2;
/// Between two looks whether there is enough of it.
const LOOK: Duration = Duration::from_millis(10);
/// What the media data begins with in a file of ffmpeg's: an empty box, which a large one needs, and its own head.
const HEADS: u64 = 16;

/// Keeps the beginning of the media data, in a file beside the result.
pub(super) struct Keeper {
    file: PathBuf,
    room: u64,
    kept: PathBuf,
    /// Cancelled when there is nothing to wait for any more.
    pub(super) done: CancellationToken,
}

impl Keeper {
    /// Without room there is nothing to keep.
    pub(super) fn of(file: &Path, room: Option<u64>) -> Self {
        let done = CancellationToken::new();
        if room.is_none() {
            done.cancel();
        }
        Self { file: file.to_owned(), room: room.unwrap_or_default(), kept: file.with_added_extension("front"), done }
    }

    /// Waits until enough is written, and copies it. Without a copy nothing can be put right, which is no harm yet.
    pub(super) async fn keep(&self) {
        let until = self.room * (1 + TIMES);
        while !self.done.is_cancelled() {
            let length = tokio::fs::metadata(&self.file).await.map_or(0, |about| about.len());
            if length >= until {
                let (file, kept, room) = (self.file.clone(), self.kept.clone(), self.room);
                let copied = off_runtime(move || {
                    let mut file = File::open(file)?;
                    file.seek(SeekFrom::Start(room))?;
                    io::copy(&mut (&mut file).take(until - room), &mut File::create_new(&kept)?)?;
                    // an index that is there already may lie over what was copied: it begins in front of that
                    if Front::read(&mut file)?.is_some() { std::fs::remove_file(kept) } else { Ok(()) }
                });
                if let Err(error) = copied.await {
                    tracing::warn!(%error, "the beginning of a result could not be kept");
                }
                self.done.cancel();
            }
            let _ = timeout(LOOK, self.done.cancelled()).await;
        }
    }

    /// Makes a right file of one whose index has overflown, in its place.
    ///
    /// # Errors
    /// `corrupt_media` when too little of its beginning was kept: another attempt leaves no room. `disk_full`; as the watch
    /// ends it.
    pub(super) async fn mend(&self, watch: &Watch) -> Result<(), Failure> {
        let (file, kept, room, halt) = (self.file.clone(), self.kept.clone(), self.room, watch.cancel.child_token());
        let _halted = halt.clone().drop_guard();
        let mended = off_runtime(move || {
            let whole = file.with_added_extension("mended");
            let mut media = Halting { file: File::open(&file)?, halt };
            let is_whole = mend(&mut media, File::open(kept)?, room, &mut File::create_new(&whole)?)?;
            if is_whole {
                std::fs::rename(whole, file)?;
            }
            Ok(is_whole)
        });
        let late = |_| Failure::new(FailureKind::Timeout, "putting the index in front took too long");
        match timeout(watch.wall, mended).await.map_err(late)? {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(lost()),
            Err(error) => Err(scratch::failure(&error)),
        }
    }
}

/// A file that is read until it is halted.
struct Halting {
    file: File,
    halt: CancellationToken,
}

impl Read for Halting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.halt.is_cancelled() {
            return Err(io::Error::other("halted"));
        }
        self.file.read(bytes)
    }
}

impl Seek for Halting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn lost() -> Failure {
    Failure::new(FailureKind::CorruptMedia, "the index is larger than its room, and what it was written over is lost")
}

/// Puts the index in front of all media data. `kept` has what was in the file from `room` on, before there was an index.
/// `false`: it has too little, or the index is not as ffmpeg writes it.
fn mend(file: &mut Halting, mut kept: File, room: u64, whole: &mut File) -> io::Result<bool> {
    let length = file.file.metadata()?.len();
    let Some(Front { index_at, index_bytes }) = Front::read(&mut *file)? else { return Ok(false) };
    let (index_ends, data_at) = (index_at + index_bytes, index_at + room + HEADS);
    let from = index_ends.max(data_at);
    if from > room + kept.metadata()?.len() || from > length {
        return Ok(false);
    }
    file.rewind()?;
    let mut head = vec![0; usize::try_from(index_at).map_err(io::Error::other)?];
    let mut index = vec![0; usize::try_from(index_bytes).map_err(io::Error::other)?];
    file.read_exact(&mut head)?;
    file.read_exact(&mut index)?;
    // the media data then begins behind the index and its own head, and did behind the room
    let shift = index_bytes.cast_signed() - room.cast_signed();
    if shift_samples(&mut index, shift).is_none() {
        return Ok(false);
    }
    let mut media = Vec::from(*b"\0\0\0\x01mdat");
    media.extend((HEADS + (length - data_at)).to_be_bytes());
    for part in [head, index, media] {
        io::copy(&mut &*part, whole)?;
    }
    kept.seek(SeekFrom::Start(data_at - room))?;
    io::copy(&mut kept.take(from - data_at), whole)?;
    file.seek(SeekFrom::Start(from))?;
    io::copy(file, whole)?;
    Ok(true)
}

/// Adds to all places of samples in a box (ISO 14496-12, 8.7.5), and in the boxes in it. `None`: it is no such box, or a
/// place does not fit where it stands.
fn shift_samples(boxed: &mut [u8], shift: i64) -> Option<()> {
    let kind: [u8; 4] = boxed.get(4..8)?.try_into().ok()?;
    let mut body = boxed.get_mut(8..)?;
    match &kind {
        b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => {
            while !body.is_empty() {
                let size = u32::from_be_bytes(body.get(..4)?.try_into().ok()?);
                let (this, rest) = body.split_at_mut_checked(usize::try_from(size).ok().filter(|size| *size >= 8)?)?;
                shift_samples(this, shift)?;
                body = rest;
            }
        }
        b"stco" => {
            for place in body.get_mut(8..)?.chunks_exact_mut(4) {
                let from = u32::from_be_bytes((&*place).try_into().ok()?);
                place.copy_from_slice(&u32::try_from(u64::from(from).checked_add_signed(shift)?).ok()?.to_be_bytes());
            }
        }
        b"co64" => {
            for place in body.get_mut(8..)?.chunks_exact_mut(8) {
                let from = u64::from_be_bytes((&*place).try_into().ok()?);
                place.copy_from_slice(&from.checked_add_signed(shift)?.to_be_bytes());
            }
        }
        _ => {}
    }
    Some(())
}
