//! All results of a playlist in one ZIP, as its bytes come from the store.
//!
//! The form is the library's, which writes without looking back: what is only known behind a file's bytes stands behind
//! them. Files are stored as they are, for media do not get smaller; so the length of the whole is known before its first
//! byte, from a run of the library over as many bytes that nobody keeps. A file that is not what its job says, or a store
//! that fails, breaks the answer off: what came is too short, and no ZIP that looks whole.
//!
//! Not here: which results, under which names (`routes::playlist_zip`).

use std::io::{self, Write};
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use haul_shared::storage::{ObjectBody, ObjectKey};
use jiff::Timestamp;
use rawzip::time::UtcDateTime;
use rawzip::{DataDescriptorOutput, ZipArchiveWriter, ZipEntryWriter};
use tokio::sync::mpsc;

use crate::app::App;
use crate::stored;

/// A regular file that everybody may read.
const MODE: u32 = 0o100_644;

/// What stands for the bytes of files where only their number counts.
static NOTHING: [u8; 1 << 20] = [0; 1 << 20];

/// A result that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called; no two are called the same.
    pub name: String,
    /// Where its bytes are.
    pub object: ObjectKey,
    /// How many.
    pub size_bytes: u64,
    /// When it was made.
    pub modified: Timestamp,
}

/// How many bytes a ZIP of these has.
///
/// # Errors
/// When they are more than a ZIP can have.
pub fn length(entries: &[Entry]) -> io::Result<u64> {
    let mut archive = ZipArchiveWriter::new(Counted(0));
    for entry in entries {
        let mut file = begin(&mut archive, entry)?;
        let mut left = entry.size_bytes;
        while left > 0 {
            let some = usize::try_from(left).map_or(NOTHING.len(), |left| left.min(NOTHING.len()));
            file.write_all(&NOTHING[..some])?;
            left -= some as u64;
        }
        file.finish(DataDescriptorOutput::new(0, entry.size_bytes)).map_err(io::Error::other)?;
    }
    archive.finish().map(|Counted(bytes)| bytes).map_err(io::Error::other)
}

/// The bytes of a ZIP of these, of which the first one is open already. `begun` hears when the bytes of one begin to be sent.
/// They are made in a task of their own, a chunk ahead of who takes them, which ends when nobody does any more.
pub fn send(
    app: Arc<App>,
    entries: Vec<Entry>,
    first: ObjectBody,
    mut begun: impl FnMut(&Entry) + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (pieces, taken) = mpsc::channel(1);
    tokio::spawn(async move {
        let made = write(&app, &entries, first, &mut begun, &pieces).await;
        let last = match made {
            Ok(()) => Piece::End,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a ZIP was broken off");
                Piece::Broken(error)
            }
        };
        // nobody there: nobody was told that it is whole
        let _gone = pieces.send(last).await;
    });
    stream::unfold(Some(taken), |taken| async move {
        let mut taken = taken?;
        match taken.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(taken))),
            Some(Piece::End) => None,
            Some(Piece::Broken(error)) => Some((Err(error), None)),
            // whoever makes them has died
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    })
    // whoever compresses it asks once more after the end
    .fuse()
}

/// What goes to who takes the bytes.
enum Piece {
    Bytes(Bytes),
    End,
    Broken(io::Error),
}

async fn write(
    app: &App,
    entries: &[Entry],
    first: ObjectBody,
    begun: &mut (impl FnMut(&Entry) + Send),
    pieces: &mpsc::Sender<Piece>,
) -> io::Result<()> {
    let written = Written::default();
    let mut archive = ZipArchiveWriter::new(written.clone());
    let mut open = Some(first);
    for entry in entries {
        let object = match open.take() {
            Some(object) => object,
            None => app.open(&entry.object, None).await.map_err(io::Error::other)?,
        };
        begun(entry);
        let mut file = begin(&mut archive, entry)?;
        let (mut sum, mut left) = (crc32fast::Hasher::new(), entry.size_bytes);
        let mut chunks = pin!(stored::in_time(object.body));
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| io::Error::other("a result is too long"))?;
            sum.update(&chunk);
            file.write_all(&chunk)?;
            give(&written, pieces).await?;
        }
        if left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = DataDescriptorOutput::new(sum.finalize(), entry.size_bytes);
        file.finish(end).map_err(io::Error::other)?;
    }
    archive.finish().map_err(io::Error::other)?;
    give(&written, pieces).await
}

/// What a file's bytes follow. The same bytes for the same entry, whatever is written.
fn begin<'a, W: Write>(archive: &'a mut ZipArchiveWriter<W>, entry: &Entry) -> io::Result<ZipEntryWriter<'a, W>> {
    let modified = UtcDateTime::from_unix(entry.modified.as_second());
    let file = archive.new_file(entry.name.as_str()).last_modified(modified).unix_permissions(MODE);
    file.start().map(|(file, _)| file).map_err(io::Error::other)
}

async fn give(written: &Written, pieces: &mpsc::Sender<Piece>) -> io::Result<()> {
    let bytes = mem::take(&mut *written.bytes());
    pieces.send(Piece::Bytes(bytes.into())).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// What the library has written and nobody has taken yet.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much the library has written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size_bytes: u64) -> Entry {
        let object = ObjectKey::parse("m/0b3a6f1e5b0c4c579a523b1f2f3a7c11/1/media.mp4").expect("a key");
        Entry { name: name.to_owned(), object, size_bytes, modified: Timestamp::UNIX_EPOCH }
    }

    /// By APPNOTE.TXT 6.3.10, with the time as an extra field of the directory: what stands before, behind and at the end for each file, and
    /// at the end of all; more, as soon as a size or a place needs 64 bits.
    #[test]
    fn the_length_is_that_of_the_form_also_where_numbers_need_64_bits() {
        const LARGE: u64 = 5 << 30;
        let name = "01 - ä.mp4";
        let around = |descriptor: u64, zip64: u64| {
            let name = name.len() as u64;
            (30 + name) + descriptor + (46 + name + 9 + zip64)
        };
        let lengths = |sizes: &[u64]| {
            let entries: Vec<Entry> = sizes.iter().map(|size| entry(name, *size)).collect();
            length(&entries).expect("a length")
        };
        assert_eq!(lengths(&[]), 22);
        assert_eq!(lengths(&[0, 1000]), 1000 + 2 * around(16, 0) + 22);
        assert_eq!(lengths(&[LARGE]), LARGE + around(24, 4 + 16) + 56 + 20 + 22);
        // the second one stands beyond 4 GiB
        assert_eq!(lengths(&[LARGE, 7]), LARGE + 7 + around(24, 4 + 16) + around(16, 4 + 8) + 56 + 20 + 22);
    }
}
