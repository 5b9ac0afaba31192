//! The plain command line: a program of its own for every step.
//!
//! Needs no warm extractor, and is what they are measured against: the same lines, by `main()` of yt-dlp itself.

use std::ffi::OsString;
use std::path::Path;

use haul_shared::job::{Failure, FailureKind};

use super::progress::{self, Event};
use super::{Bounds, MEMORY, PATH, PLUGIN, PLUGIN_FILE, Ytdlp, command, failure};
use crate::process::{self, Ended, Limits, SpawnError, Spec, Stream, Supervised, Watch};
use crate::scratch;

/// yt-dlp finds plugins by the names of the folders, below any one.
const PLUGIN_FOLDER: &str = "haul/yt_dlp_plugins/extractor";

impl Ytdlp {
    /// Runs a line to its end; what it prints.
    pub(super) async fn ask(&self, line: Vec<OsString>, dir: &Path, bounds: &Bounds) -> Result<String, Failure> {
        put_plugin(dir).await?;
        let spec = self.spec(line, dir, bounds);
        let output = process::output(&spec, &bounds.watch()).await.map_err(|error| not_started(&error))?;
        match output.ended {
            Ended::Exited(0) if output.cut => Err(Failure::new(FailureKind::InvalidMedia, "the metadata is too large")),
            Ended::Exited(0) => Ok(output.stdout),
            ended => Err(failure::failure(ended, &output.stderr_tail, false)),
        }
    }

    /// Runs a line that downloads.
    pub(super) async fn run(
        &self,
        line: Vec<OsString>,
        dir: &Path,
        bounds: &Bounds,
        watch: &Watch,
        mut on_event: impl FnMut(Event),
    ) -> Result<(), Failure> {
        put_plugin(dir).await?;
        let spec = self.spec(line, dir, bounds);
        let mut was_live = false;
        let mut program = Supervised::start(&spec).map_err(|error| not_started(&error))?;
        let ended = program
            .run(watch, |line| {
                let is_event = line.from == Stream::Stdout && !line.cut;
                if let Some(event) = is_event.then(|| progress::event(&line.text)).flatten() {
                    was_live |= matches!(event, Event::Begin { is_live: true, .. });
                    on_event(event);
                }
            })
            .await;
        if ended.is_success() { Ok(()) } else { Err(failure::failure(ended, program.stderr_tail(), was_live)) }
    }

    fn spec(&self, line: Vec<OsString>, dir: &Path, bounds: &Bounds) -> Spec {
        let limits = Limits { file_size: bounds.file_size, data: Some(MEMORY), ..Limits::default() };
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

fn not_started(error: &SpawnError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}
