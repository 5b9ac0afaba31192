//! yt-dlp: asked what is at an address, and told to download exactly what we chose.
//!
//! [`command`] makes its command lines, [`progress`], [`info`] and [`failure`] read its words; all without IO. Here
//! they are put together with `process`, and with a plugin of ours that keeps to `Retry-After`.
//!
//! Not here: which formats are taken (`select`), what is made of them (`ffmpeg`), whether they are what they claim
//! (`verify`): an exit code of 0 proves nothing, and here only the promised files are counted.

pub mod command;
pub mod failure;
pub mod info;
mod patience;
pub mod progress;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::source::SourceUrl;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Ended, Limits, Pace, SpawnError, Spec, Stream, Supervised, Watch};
use crate::scratch;

pub use command::YtdlpSettings;
pub use info::{Info, Live, SiteFormat, Track};
use patience::Patience;
pub use progress::{Event, Report};

/// Private memory of one process: enough for the JavaScript runtime, and a page that blows up ends in a clean error.
const MEMORY: u64 = 1 << 30;
/// Slower than this for this long is stalled.
const SLOWEST: Pace = Pace { bytes: 30 << 10, window: Duration::from_secs(30) };
/// Where the interpreter of the program is found.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Keeps to `Retry-After`. yt-dlp finds plugins by the names of the folders, below any one.
const PLUGIN: &str = include_str!("retry_after.py");
const PLUGIN_FOLDER: &str = "haul/yt_dlp_plugins/extractor";
const PLUGIN_FILE: &str = "retry_after.py";

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

/// How far one run may go.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The longest that it may take.
    pub wall: Duration,
    /// The longest without output and without a byte.
    pub silence: Duration,
    /// The largest file, in bytes.
    pub file_size: Option<u64>,
    /// Ends the run.
    pub cancel: CancellationToken,
}

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadedFile {
    /// In the folder of the run.
    pub path: PathBuf,
    /// Which format it holds.
    pub format_id: String,
    /// As yt-dlp named it, without a dot.
    pub ext: String,
}

/// Runs yt-dlp. Each call wants a folder of its own, where nothing else is.
#[derive(Debug, Clone)]
pub struct Ytdlp {
    settings: YtdlpSettings,
    patience: Patience,
}

impl Ytdlp {
    /// A runner of the program that the settings name.
    #[must_use]
    pub fn new(settings: YtdlpSettings) -> Self {
        Self { settings, patience: Patience::default() }
    }

    /// Which yt-dlp it is, `YYYY.MM.DD`.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn version(&self, dir: &Path) -> Result<String, Failure> {
        let quickly = Duration::from_secs(30);
        let bounds = Bounds { wall: quickly, silence: quickly, file_size: None, cancel: CancellationToken::new() };
        Ok(self.ask(vec!["--ignore-config".into(), "--version".into()], dir, &bounds).await?.trim().to_owned())
    }

    /// Asks what is at an address: of a list, its entry with this number (from 1), with all its formats.
    ///
    /// # Errors
    /// Why there is nothing to download. After a cancel the failure has no meaning.
    pub async fn extract(&self, url: &SourceUrl, entry: u32, dir: &Path, bounds: &Bounds) -> Result<Info, Failure> {
        put_plugin(dir).await?;
        let asked = self.ask(command::extract(&self.settings, url, dir, entry), dir, bounds).await;
        let json = asked.map_err(|failure| self.heed(url, failure))?;
        Info::parse_entry(&json).ok_or_else(|| Failure::new(FailureKind::Unavailable, "the list has no such entry"))
    }

    /// Asks what is at an address, for display: a list is listed.
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub async fn metadata(&self, url: &SourceUrl, dir: &Path, bounds: &Bounds) -> Result<Info, Failure> {
        put_plugin(dir).await?;
        let asked = self.ask(command::metadata(&self.settings, url, dir), dir, bounds).await;
        let json = asked.map_err(|failure| self.heed(url, failure))?;
        Info::parse(&json).ok_or_else(|| Failure::new(FailureKind::ExtractorError, "yt-dlp printed no JSON"))
    }

    /// Downloads these formats, in this order, into the folder. Every format has given a file, or it has failed.
    ///
    /// # Errors
    /// Why there are no files, or not all of them. After a cancel the failure has no meaning.
    pub async fn download(
        &self,
        url: &SourceUrl,
        entry: u32,
        format_ids: &[&str],
        dir: &Path,
        bounds: &Bounds,
        mut on_event: impl FnMut(&Event),
    ) -> Result<Vec<DownloadedFile>, Failure> {
        let most = self.settings.concurrent_fragments;
        let concurrent_fragments = self.patience.at_once(&url.host().to_string(), most);
        let settings = YtdlpSettings { concurrent_fragments, ..self.settings.clone() };
        let line = command::download(&settings, url, dir, entry, format_ids.iter().copied());
        put_plugin(dir).await?;
        let spec = self.spec(line, dir, bounds);
        let folder = dir.to_owned();
        let watch = Watch {
            activity: Some(Arc::new(move || bytes_in(&folder))),
            slowest: Some(SLOWEST),
            ..Watch::new(bounds.wall, bounds.silence, bounds.cancel.clone())
        };
        let mut files = Vec::new();
        let mut was_live = false;
        let mut program = Supervised::start(&spec).map_err(|error| not_started(&error))?;
        let ended = program
            .run(&watch, |line| {
                let Some(event) =
                    (line.from == Stream::Stdout && !line.cut).then(|| progress::event(&line.text)).flatten()
                else {
                    return;
                };
                match &event {
                    Event::Begin { is_live, .. } => was_live |= is_live,
                    Event::File { path, format_id, ext } => files.push((path.clone(), format_id.clone(), ext.clone())),
                    Event::Progress(_) => {}
                }
                on_event(&event);
            })
            .await;
        if !ended.is_success() {
            return Err(self.heed(url, failure::failure(ended, program.stderr_tail(), was_live)));
        }
        let mut found = Vec::with_capacity(format_ids.len());
        for id in format_ids {
            found.push(find(&files, id, dir).await?);
        }
        Ok(found)
    }

    /// Remembers it when a site asks for fewer requests.
    fn heed(&self, url: &SourceUrl, failure: Failure) -> Failure {
        if failure.kind == FailureKind::SiteRateLimited {
            self.patience.asked(url.host().to_string());
        }
        failure
    }

    async fn ask(&self, line: Vec<std::ffi::OsString>, dir: &Path, bounds: &Bounds) -> Result<String, Failure> {
        let spec = self.spec(line, dir, bounds);
        let watch = Watch::new(bounds.wall, bounds.silence, bounds.cancel.clone());
        let output = process::output(&spec, &watch).await.map_err(|error| not_started(&error))?;
        match output.ended {
            Ended::Exited(0) if output.cut => Err(Failure::new(FailureKind::InvalidMedia, "the metadata is too large")),
            Ended::Exited(0) => Ok(output.stdout),
            ended => Err(failure::failure(ended, &output.stderr_tail, false)),
        }
    }

    fn spec(&self, line: Vec<std::ffi::OsString>, dir: &Path, bounds: &Bounds) -> Spec {
        let limits = Limits { file_size: bounds.file_size, data: Some(MEMORY), open_files: None };
        Spec::new(&self.settings.program, dir)
            .args(line)
            .limits(limits)
            .env("PATH", PATH)
            .env("HOME", dir)
            .env("TMPDIR", dir)
            .env("XDG_CACHE_HOME", dir)
            .env("LANG", "C.UTF-8")
            .env("PYTHONNOUSERSITE", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }
}

/// Puts our plugin into the folder of a run.
async fn put_plugin(dir: &Path) -> Result<(), Failure> {
    let folder = dir.join(command::PLUGINS).join(PLUGIN_FOLDER);
    let put = async {
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::write(folder.join(PLUGIN_FILE), PLUGIN).await
    };
    put.await.map_err(|error| scratch::failure(&error))
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
    Ok(DownloadedFile { path, format_id: format_id.to_owned(), ext: ext.clone() })
}

fn not_started(error: &SpawnError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

/// The sizes of the files in a folder, together.
fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|meta| meta.len()).sum()
}
