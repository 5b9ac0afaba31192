//! Which yt-dlp is used, and whether it may be.
//!
//! It can be replaced while we run. One that nobody has looked at does no other work before somebody has: its version is
//! held against the oldest for strangers, the list of extractors against those that it has, and warm extractors that have
//! loaded another version give way.
//!
//! Not here: how it is seen that a file was replaced (`stamp`), and what becomes of a worker whose yt-dlp may not be used.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use haul_shared::job::{Failure, FailureKind};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::stamp::Stamp;
use super::{QUICKLY, Reach, Ytdlp, command, floor};
use crate::process::Watch;
use crate::sandbox::CannotRun;

/// Why a yt-dlp is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It does not say what it is.
    #[error(transparent)]
    Broken(#[from] CannotRun),
    /// It may not be given strangers' addresses.
    #[error(transparent)]
    Unfit(#[from] floor::Unfit),
    /// The list of extractors is not one for it.
    #[error("HAUL_EXTRACTORS: {0}")]
    Extractors(String),
}

/// What is known of the program. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// By the last look.
    seen: Arc<watch::Sender<Option<Seen>>>,
    /// Held by who looks.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    version: String,
}

impl Ytdlp {
    /// Looks at it; which one it is, `YYYY.MM.DD`. From then on it may be used, until it is replaced.
    ///
    /// # Errors
    /// When it cannot be run, or may not be.
    pub async fn look(&self, dir: &Path) -> Result<String, Unusable> {
        let _turn = self.known.turn.lock().await;
        self.look_in_turn(dir).await
    }

    /// Which one it is, by the last look; `None`: there was none. It waits for nothing.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.known.seen.borrow().as_ref().map(|seen| seen.version.clone())
    }

    /// Is it another one than when it was looked at: by its file, or by what the warm extractors have loaded?
    pub async fn was_replaced(&self) -> bool {
        let now = Stamp::at(&self.settings.program).await;
        let is_warm = |version: &str| self.pool.as_ref().is_some_and(|pool| pool.has_other_than(version));
        self.known.seen.borrow().as_ref().is_some_and(|seen| now != seen.stamp || is_warm(&seen.version))
    }

    /// One that nobody has looked at meets no stranger, and no extractor of it is used that may be one that is left out:
    /// whoever is the first to find it looks.
    pub(super) async fn check_known(&self, dir: &Path, cancel: &CancellationToken) -> Result<(), Failure> {
        let matters = self.settings.meets_strangers || self.settings.extractors.are_restricted();
        if !matters || !self.was_replaced().await {
            return Ok(());
        }
        let looked = cancel.run_until_cancelled(async {
            let _turn = self.known.turn.lock().await;
            if self.was_replaced().await { self.look_in_turn(dir).await.map(drop) } else { Ok(()) }
        });
        let unusable = |unusable: Unusable| Failure::new(FailureKind::Internal, unusable.to_string());
        let cancelled = || Failure::new(FailureKind::Internal, "cancelled before this yt-dlp was looked at");
        looked.await.ok_or_else(cancelled)?.map_err(unusable)
    }

    async fn look_in_turn(&self, dir: &Path) -> Result<String, Unusable> {
        let stamp = Stamp::at(&self.settings.program).await;
        let version = self.say(vec!["--ignore-config".into(), "--version".into()], dir).await?;
        let version = version.trim().to_owned();
        match floor::check(&version) {
            Err(unfit) if self.settings.meets_strangers => return Err(unfit.into()),
            Err(unfit) => tracing::warn!(ytdlp = version, "{unfit}"),
            Ok(()) => {}
        }
        self.check_extractors(dir).await?;
        if let Some(pool) = &self.pool {
            pool.outdate_others_than(&version);
        }
        self.known.seen.send_replace(Some(Seen { stamp, version: version.clone() }));
        Ok(version)
    }

    /// Are the extractors that may be used such as it has?
    async fn check_extractors(&self, dir: &Path) -> Result<(), Unusable> {
        if !self.settings.extractors.are_restricted() {
            return Ok(());
        }
        let listed = self.say(command::extractors(), dir).await?;
        let name = |line: &str| line.split(" (CURRENTLY").next().unwrap_or_default().trim().to_owned();
        let names: Vec<_> = listed.lines().map(name).collect();
        self.settings.extractors.fit(&names).map_err(Unusable::Extractors)
    }

    /// What it says of itself.
    async fn say(&self, line: Vec<OsString>, dir: &Path) -> Result<String, Unusable> {
        let watch = Watch::new(QUICKLY, QUICKLY, CancellationToken::new());
        let said = self.ask(line, dir, Reach { guard: None, file_size: None, cpu: QUICKLY }, &watch).await;
        Ok(said.map_err(|failure| self.sandbox.cannot_run("HAUL_YTDLP", failure.detail))?)
    }
}
