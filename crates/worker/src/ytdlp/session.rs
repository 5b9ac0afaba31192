//! One medium that was found, until it is downloaded or let go.
//!
//! With a warm extractor the child that found it still has it, and downloads exactly that, without asking the site again.
//! By the plain command line, or when that child is lost, yt-dlp looks again.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use haul_shared::job::{Failure, FailureKind};
use haul_shared::source::SourceUrl;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::warm::{Child, NoAnswer};
use super::{Bounds, DownloadedFile, Event, Pace, Watch, Ytdlp, YtdlpSettings, argv, command};
use crate::scratch;
use crate::spans;

/// Slower than this for this long is stalled.
pub(crate) const SLOWEST: Pace = Pace { bytes: 30 << 10, window: Duration::from_secs(30) };
/// Extensions that yt-dlp may give to a file. `unknown_video` is a file of which the site does not say what it is.
const EXTENSIONS: [&str; 33] = [
    "3gp",
    "aac",
    "ac3",
    "aiff",
    "alac",
    "asf",
    "avi",
    "eac3",
    "f4v",
    "flac",
    "flv",
    "m2ts",
    "m4a",
    "m4v",
    "mka",
    "mkv",
    "mov",
    "mp2",
    "mp3",
    "mp4",
    "mpeg",
    "mpg",
    "mts",
    "oga",
    "ogg",
    "ogv",
    "opus",
    "ts",
    "unknown_video",
    "wav",
    "weba",
    "webm",
    "wma",
];

/// For a download that begins again, so that nothing half-done is in its way.
const AGAIN: &str = "again";

/// A medium that was found. Dropped, the process that has it is ended; [`Session::end`] also waits for that.
pub struct Session {
    ytdlp: Ytdlp,
    url: SourceUrl,
    entry: u32,
    dir: PathBuf,
    child: Option<Child>,
}

impl Session {
    pub(super) fn new(ytdlp: Ytdlp, url: SourceUrl, entry: u32, dir: PathBuf, child: Option<Child>) -> Self {
        Self { ytdlp, url, entry, dir, child }
    }

    /// Downloads these formats, each into a file of its own below the folder, all at once where more than one connection
    /// is allowed; the files, in this order. Every format has given a file, or it has failed.
    ///
    /// # Errors
    /// Why there are no files, or not all of them. After a cancel the failure has no meaning.
    pub async fn download(
        mut self,
        format_ids: &[&str],
        bounds: &Bounds,
        mut on_event: impl FnMut(&Event),
    ) -> Result<Vec<DownloadedFile>, Failure> {
        let began = Instant::now();
        let mut folder = self.dir.clone();
        if let Some(child) = self.child.take() {
            let parts = self.parts(&folder, format_ids).await?;
            let ended = self.by_child(child, &parts, bounds, &mut on_event).await;
            self.take_jars(&parts).await;
            match ended {
                Ok(files) => return collect(&files, format_ids, &parts).await,
                Err(NoAnswer::Failed(failure)) => return Err(self.ytdlp.heed(&self.url, failure)),
                Err(NoAnswer::Broken) => {
                    tracing::warn!("a child of a warm extractor was lost; its job takes the plain command line");
                    folder = made(self.dir.join(AGAIN)).await?;
                }
            }
        }
        let parts = self.parts(&folder, format_ids).await?;
        let files = self.by_programs(&parts, &bounds.since(began), on_event).await;
        self.take_jars(&parts).await;
        collect(&files.map_err(|failure| self.ytdlp.heed(&self.url, failure))?, format_ids, &parts).await
    }

    /// Lets go of it, and waits until the process that has it is gone.
    pub async fn end(mut self) {
        if let Some(child) = self.child.take() {
            child.end().await;
        }
    }

    /// One for each format, or a single one for all when there may only be one connection.
    async fn parts<'f>(&self, folder: &Path, format_ids: &[&'f str]) -> Result<Vec<Part<'f>>, Failure> {
        if format_ids.len() == 1 || self.settings().at_once() == 1 {
            self.ytdlp.put_jar(folder).await?;
            return Ok(vec![Part { folder: folder.to_owned(), format_ids: format_ids.to_vec() }]);
        }
        let mut parts = Vec::with_capacity(format_ids.len());
        for (at, id) in format_ids.iter().enumerate() {
            let folder = made(folder.join(at.to_string())).await?;
            self.ytdlp.put_jar(&folder).await?;
            parts.push(Part { folder, format_ids: vec![id] });
        }
        Ok(parts)
    }

    async fn take_jars(&self, parts: &[Part<'_>]) {
        for part in parts {
            self.ytdlp.take_jar(&part.folder).await;
        }
    }

    async fn by_child(
        &self,
        mut child: Child,
        parts: &[Part<'_>],
        bounds: &Bounds,
        on_event: &mut impl FnMut(&Event),
    ) -> Result<Files, NoAnswer> {
        let proxy = bounds.proxy().map_err(NoAnswer::Failed)?;
        let line = |part: &Part<'_>| Some((part.folder.clone(), argv(&self.line(part, proxy))?));
        let lines: Option<Vec<_>> = parts.iter().map(line).collect();
        let mut files = Files::default();
        let hear = |event: Event| {
            files.heard(&event);
            on_event(&event);
        };
        let lines = lines.ok_or(NoAnswer::Broken)?;
        child.download(&lines, &watch(bounds), hear).instrument(spans::program("yt-dlp")).await?;
        child.end().await;
        Ok(files)
    }

    /// One program for each part. When one fails, the others are ended, and its failure is that of all.
    async fn by_programs(
        &self,
        parts: &[Part<'_>],
        bounds: &Bounds,
        on_event: impl FnMut(&Event),
    ) -> Result<Files, Failure> {
        let bounds = Bounds { cancel: bounds.cancel.child_token(), ..bounds.clone() };
        let (reach, proxy) = (bounds.reach_further()?, bounds.proxy()?);
        let (heard, failed) = (Mutex::new((Files::default(), on_event)), OnceLock::new());
        let run = async |part: &Part<'_>| {
            let watch = watch(&bounds);
            let run = self.ytdlp.run(self.line(part, proxy), &part.folder, reach.clone(), &watch, |event| {
                let (files, on_event) = &mut *heard.lock().unwrap_or_else(PoisonError::into_inner);
                files.heard(&event);
                on_event(&event);
            });
            if let Err(failure) = run.await {
                let _ = failed.set(failure);
                bounds.cancel.cancel();
            }
        };
        join_all(parts.iter().map(run)).await;
        let (files, _) = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.into_inner().map_or(Ok(files), Err)
    }

    fn line(&self, part: &Part<'_>, proxy: SocketAddr) -> Vec<OsString> {
        let ids = part.format_ids.iter().copied();
        command::download(&self.settings(), &self.url, (&part.folder, proxy), self.entry, ids)
    }

    /// Those of the operator; a host that has asked for patience gets it.
    fn settings(&self) -> YtdlpSettings {
        let most = self.ytdlp.settings.concurrent_fragments;
        let concurrent_fragments = self.ytdlp.patience.at_once(&self.url.host().to_string(), most);
        YtdlpSettings { concurrent_fragments, ..self.ytdlp.settings.clone() }
    }
}

/// What one run of yt-dlp downloads, and where: two in one folder would take each other's fragments for theirs.
struct Part<'f> {
    folder: PathBuf,
    format_ids: Vec<&'f str>,
}

async fn made(folder: PathBuf) -> Result<PathBuf, Failure> {
    tokio::fs::create_dir(&folder).await.map_err(|error| scratch::failure(&error))?;
    Ok(folder)
}

/// Silence and pace are judged by what comes for all parts together.
fn watch(bounds: &Bounds) -> Watch {
    Watch { slowest: Some(SLOWEST), ..bounds.watch() }
}

/// What yt-dlp says that it has written.
#[derive(Default)]
struct Files(Vec<(String, String, String)>);

impl Files {
    fn heard(&mut self, event: &Event) {
        // more than one for each format is nothing that we asked for
        if let Event::File { path, format_id, ext } = event
            && self.0.len() < 1000
        {
            self.0.push((path.clone(), format_id.clone(), ext.clone()));
        }
    }
}

async fn collect(files: &Files, format_ids: &[&str], parts: &[Part<'_>]) -> Result<Vec<DownloadedFile>, Failure> {
    let mut found = Vec::with_capacity(format_ids.len());
    for id in format_ids {
        let part = parts.iter().find(|part| part.format_ids.contains(id));
        let folder = part.map_or(Path::new(""), |part| &part.folder);
        found.push(find(&files.0, id, folder).await?);
    }
    Ok(found)
}

/// The file that holds a format: said by yt-dlp, of an allowed kind, in our folder, and really there.
async fn find(files: &[(String, String, String)], format_id: &str, dir: &Path) -> Result<DownloadedFile, Failure> {
    let Some((path, _, ext)) = files.iter().find(|(_, id, _)| id == format_id) else {
        return Err(Failure::new(FailureKind::FormatUnavailable, "a chosen format gave no file"));
    };
    if !EXTENSIONS.contains(&ext.as_str()) {
        return Err(Failure::new(FailureKind::InvalidMedia, format!("a file of the kind {ext}")));
    }
    let name = Path::new(path).file_name().unwrap_or_default();
    let path = dir.join(name);
    let is_there = tokio::fs::symlink_metadata(&path).await.is_ok_and(|meta| meta.is_file() && meta.len() > 0);
    if !is_there {
        return Err(Failure::new(FailureKind::CorruptMedia, "a file that yt-dlp named is not there, or is empty"));
    }
    Ok(DownloadedFile { path, format_id: format_id.to_owned(), ext: ext.clone(), seconds: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_taken_from_its_own_folder_only_and_only_if_it_is_called_a_medium() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("job");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(home.path().join("theirs.mp4"), "theirs").unwrap();
        for name in ["ours.mp4", "ours.exe"] {
            std::fs::write(dir.join(name), "ours").unwrap();
        }
        std::fs::write(dir.join("empty.mp4"), "").unwrap();
        std::os::unix::fs::symlink(home.path().join("theirs.mp4"), dir.join("link.mp4")).unwrap();
        let said = async |path: &str, ext: &str| {
            let file = find(&[(path.to_owned(), "1".to_owned(), ext.to_owned())], "1", &dir).await;
            file.map(|file| file.path).map_err(|failure| failure.kind)
        };
        assert_eq!(said("/elsewhere/ours.mp4", "mp4").await, Ok(dir.join("ours.mp4")));
        for ext in ["exe", "desktop", "so", "../x", "mp4\0", "MP4", ""] {
            assert_eq!(said("ours.exe", ext).await, Err(FailureKind::InvalidMedia), "{ext:?}");
        }
        for path in ["../theirs.mp4", "link.mp4", "empty.mp4", "nowhere.mp4", "..", ""] {
            assert_eq!(said(path, "mp4").await, Err(FailureKind::CorruptMedia), "{path}");
        }
    }
}
