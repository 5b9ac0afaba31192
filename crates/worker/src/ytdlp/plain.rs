//! The plain command line: a program of its own for every step.
//!
//! Needs no warm extractor, and is what they are measured against: the same lines, by `main()` of yt-dlp itself.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};

use super::progress::{self, Event};
use super::{MEMORY, PATH, PLUGIN, PLUGIN_FILE, Ytdlp, command, failure};
use crate::guard::Guard;
use crate::process::{self, Ended, Limits, SpawnError, Spec, Stream, Supervised, Watch};
use crate::scratch;

/// yt-dlp finds plugins by the names of the folders, below any one.
const PLUGIN_FOLDER: &str = "haul/yt_dlp_plugins/extractor";

/// What a program gets at.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// Where it finds which; `None`: it has no need of the net.
    pub(super) guard: Option<(SocketAddr, Guard)>,
    pub(super) file_size: Option<u64>,
    pub(super) cpu: Duration,
}

/// Which variables name a proxy (libcurl, Python, ffmpeg; each knows some of them). There is none for what is asked
/// without one.
pub(super) const PROXY_VARIABLES: [&str; 4] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];

impl Ytdlp {
    /// Runs a line to its end; what it prints.
    pub(super) async fn ask(
        &self,
        line: Vec<OsString>,
        dir: &Path,
        reach: Reach,
        watch: &Watch,
    ) -> Result<String, Failure> {
        put_plugin(dir).await?;
        let spec = self.spec(line, dir, reach);
        let output = process::output(&spec, watch).await.map_err(|error| not_started(&error))?;
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
        reach: Reach,
        watch: &Watch,
        mut on_event: impl FnMut(Event),
    ) -> Result<(), Failure> {
        self.check_known(dir, &watch.cancel).await?;
        put_plugin(dir).await?;
        let spec = self.spec(line, dir, reach);
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

    pub(super) fn spec(&self, line: Vec<OsString>, dir: &Path, reach: Reach) -> Spec {
        let limits =
            Limits { file_size: reach.file_size, data: Some(MEMORY), cpu: Some(reach.cpu), ..Limits::default() };
        let spec = Spec::new(&self.settings.program, dir)
            .args(line)
            .limits(limits)
            .sandbox(&self.sandbox)
            .made_of(self.made_of.iter().cloned())
            .env("PATH", PATH)
            .env("HOME", dir)
            .env("TMPDIR", dir)
            .env("XDG_CACHE_HOME", dir)
            .env("LANG", "C.UTF-8")
            .env("PYTHONNOUSERSITE", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let Some((address, guard)) = reach.guard else { return spec };
        let proxy = format!("http://{address}");
        let spec = PROXY_VARIABLES.iter().fold(spec, |spec, variable| spec.env(variable, &proxy));
        spec.reaches(address, Arc::new(move |listener| serve(&guard, listener)))
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

/// By what serves the guard's own.
pub(super) fn serve(guard: &Guard, listener: TcpListener) {
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => guard.serve(listener),
        Err(error) => tracing::warn!(%error, "a program has lost its guard"),
    }
}

fn not_started(error: &SpawnError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Caps;

    #[test]
    fn the_plugin_lets_begin_what_the_guard_lets_end() {
        let bound = format!("\nMOST_FRAGMENTS = {}  #", Caps::for_files_of(0).requests);
        assert!(PLUGIN.contains(&bound));
    }
}
