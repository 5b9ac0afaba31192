//! One fork server: how it is started and reached, and by what it is seen to be outdated.
//!
//! It stands under the launcher, as every program does. Its files and its socket are in a private folder only until it
//! listens: then the folder is removed, and the socket is reached by a descriptor that this process alone has.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::interpreter;
use crate::process::{Limits, Spec, Stream, Supervised, Watch};
use crate::sandbox::Sandbox;
use crate::scratch::off_runtime;
use crate::ytdlp::counts::Why;
use crate::ytdlp::floor;
use crate::ytdlp::stamp::Stamp;
use crate::ytdlp::value::{Fields, LINK, WORD};
use crate::ytdlp::{PATH, PLUGIN, PLUGIN_FILE};

const SERVER: &str = include_str!("../server.py");
const SERVER_FILE: &str = "server.py";
const SOCKET: &str = "socket";

/// For the imports, on a machine that is busy.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// For the kernel; the server itself need not even be awake.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// After so long without an end, a server may be replaced for no other reason.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Files that a server names as those of its yt-dlp.
const FILES: usize = 10;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the program is no Python script of yt-dlp's")]
    NotPython,
    #[error("its files could not be written or read")]
    Files(#[from] io::Error),
    #[error("it could not be started")]
    Process(#[from] crate::process::SpawnError),
    #[error("it does not listen: {0}")]
    Silent(String),
    #[error("it may not be used")]
    Unfit(#[from] floor::Unfit),
}

/// What a server is made of.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// The yt-dlp program.
    pub(super) program: PathBuf,
    /// Where private folders are made.
    pub(super) home: PathBuf,
    /// Jobs after which it gives way to a fresh one.
    pub(super) jobs_each: u64,
    /// It is given strangers' addresses.
    pub(super) meets_strangers: bool,
    /// What confines a server, and its jobs further.
    pub(super) sandbox: Sandbox,
    /// What the program is made of.
    pub(super) made_of: Arc<[PathBuf]>,
    /// The tasks that watch over servers.
    pub(super) tasks: TaskTracker,
}

/// A running server. Dropped, it is ended with every job that it still has.
#[derive(Debug)]
pub(super) struct Server {
    version: String,
    socket: OwnedFd,
    files: Vec<(PathBuf, Option<Stamp>)>,
    jobs: AtomicU64,
    jobs_each: u64,
    why: OnceLock<(Why, String)>,
    /// Cancelled when it is to be replaced.
    outdated: CancellationToken,
    _stop: DropGuard,
}

impl Server {
    /// Starts one, and waits until it listens.
    pub(super) async fn start(recipe: &Recipe) -> Result<Self, StartError> {
        let (program, home) = (recipe.program.clone(), recipe.home.clone());
        let prepared = off_runtime(move || {
            let Some(python) = interpreter::of(&program)? else { return Ok(None) };
            // made with mode 0700
            let folder = tempfile::Builder::new().prefix("warm-").rand_bytes(12).tempdir_in(home)?;
            std::fs::write(folder.path().join(SERVER_FILE), SERVER)?;
            std::fs::write(folder.path().join(PLUGIN_FILE), PLUGIN)?;
            Ok(Some((python, folder)))
        });
        let (python, folder) = prepared.await?.ok_or(StartError::NotPython)?;
        let spec = spec(&python, recipe, folder.path());
        let (stop, outdated) = (CancellationToken::new(), CancellationToken::new());
        let watch = Watch::new(YEAR, YEAR, stop.clone());
        let (said, ready) = oneshot::channel();
        let stop = stop.drop_guard();
        let mut process = Supervised::start(&spec)?;
        let ends = outdated.clone().drop_guard();
        recipe.tasks.spawn(async move {
            let _ends = ends;
            let mut said = Some(said);
            let ended = process
                .run(&watch, |line| {
                    if let Some(said) = said.take_if(|_| line.from == Stream::Stdout) {
                        let _ = said.send(line.text);
                    }
                })
                .await;
            // its last words are the exception's; it had no address to name
            let words = process.stderr_tail().lines().last().unwrap_or_default();
            tracing::debug!(words, "a warm extractor {ended}");
        });
        let said = timeout(LISTENS_WITHIN, ready).await.map_err(|_| StartError::Silent("it is too slow".into()))?;
        let said = said.map_err(|_| StartError::Silent("it has ended".into()))?;
        let (version, files) = told(&said).ok_or_else(|| StartError::Silent("it does not say what it is".into()))?;
        if recipe.meets_strangers {
            floor::check(&version)?;
        }
        let (socket, files) = off_runtime(move || look(&folder, files)).await?;
        Ok(Self {
            version,
            socket,
            files,
            jobs: AtomicU64::new(0),
            jobs_each: recipe.jobs_each,
            why: OnceLock::new(),
            outdated,
            _stop: stop,
        })
    }

    /// Which yt-dlp it has loaded.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// A connection of its own for one job.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let path = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        timeout(CONNECTED_WITHIN, UnixStream::connect(path)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    /// May another job be given to it? Counts it. A server that may take no other is outdated from then on.
    pub(super) async fn takes_a_job(&self) -> bool {
        if self.is_outdated() && self.why() != Why::Served {
            return false;
        }
        if self.has_changed().await {
            self.outdate(Why::Changed);
            return false;
        }
        if self.jobs.fetch_add(1, Ordering::Relaxed) + 1 >= self.jobs_each {
            // it goes on until there is a fresh one
            self.outdate(Why::Served);
        }
        true
    }

    /// Is yt-dlp another one than when this began? Jobs load parts of it late, and would mix the two.
    pub(super) async fn has_changed(&self) -> bool {
        for (file, stamp) in &self.files {
            if Stamp::at(file).await != *stamp {
                return true;
            }
        }
        false
    }

    /// Asks for a fresh one in its place.
    pub(super) fn outdate(&self, why: Why) {
        self.outdate_for(why, String::new());
    }

    /// The same, with more to say of it.
    pub(super) fn outdate_for(&self, why: Why, words: String) {
        let _ = self.why.set((why, words));
        self.outdated.cancel();
    }

    /// Is it to be replaced?
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.is_cancelled()
    }

    /// Waits until it is to be replaced.
    pub(super) async fn outdated(&self) {
        self.outdated.cancelled().await;
    }

    /// Why it is to be replaced, once it is.
    pub(super) fn why(&self) -> Why {
        self.why.get().map_or(Why::Died, |(why, _)| *why)
    }

    /// What more there is to say of that.
    pub(super) fn words(&self) -> &str {
        self.why.get().map_or("", |(_, words)| words)
    }
}

/// It loads as much as it wants; its jobs are limited, each by itself.
fn spec(python: &Path, recipe: &Recipe, folder: &Path) -> Spec {
    let inside = recipe.sandbox.guard_inside().map(|address| address.port().to_string());
    Spec::new(python, folder)
        // isolated: no variable, no folder of a user, and not the working directory decides what is imported
        .args(["-I", "-B", SERVER_FILE])
        .args([recipe.program.as_os_str()])
        .args(inside)
        .sandbox(&recipe.sandbox)
        .made_of(recipe.made_of.iter().cloned())
        .of_a_server()
        .limits(Limits::default())
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", "/nonexistent")
}

/// The version that a server has loaded, and the files that it names.
fn told(said: &str) -> Option<(String, Vec<PathBuf>)> {
    let said: &RawValue = serde_json::from_str(said).ok()?;
    let said = Fields::of(said)?;
    let files = said.texts("files", LINK, FILES);
    let files = (!files.is_empty()).then(|| files.into_iter().map(PathBuf::from).collect())?;
    Some((said.text("version", WORD)?, files))
}

type Looked = (OwnedFd, Vec<(PathBuf, Option<Stamp>)>);

/// Takes hold of the socket; the folder goes when this returns.
fn look(folder: &TempDir, files: Vec<PathBuf>) -> io::Result<Looked> {
    let socket = open(folder.path().join(SOCKET), OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    let stamped = files.into_iter().map(|file| {
        let stamp = std::fs::metadata(&file).ok().map(|meta| Stamp::of(&meta));
        (file, stamp)
    });
    Ok((socket, stamped.collect()))
}
