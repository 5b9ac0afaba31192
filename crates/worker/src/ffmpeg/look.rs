//! Whether ffmpeg and ffprobe can be run at all: each says once what it is, as every job will run it.
//!
//! What a sandbox hides of a program shows at the start then, and not as a fault of every job.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Ffmpeg, Line};
use crate::process::{self, Ended, Watch};
use crate::sandbox::CannotRun;

/// For a program to say what it is, on a machine that is busy.
const QUICKLY: Duration = Duration::from_secs(30);

impl Ffmpeg {
    /// Runs both, in a folder where nothing else is.
    ///
    /// # Errors
    /// When one of them cannot be run.
    pub async fn look(&self, dir: &Path) -> Result<(), CannotRun> {
        let programs = [("HAUL_FFMPEG", &self.ffmpeg), ("HAUL_FFPROBE", &self.ffprobe)];
        let runs = programs.map(|(variable, program)| self.runs(variable, program, dir));
        futures::future::try_join_all(runs).await.map(drop)
    }

    async fn runs(&self, variable: &'static str, program: &Path, dir: &Path) -> Result<(), CannotRun> {
        let spec = self.spec_in(program, dir, Line::of("-hide_banner -version"));
        let watch = Watch::new(QUICKLY, QUICKLY, CancellationToken::new());
        let said = match process::output(&spec, &watch).await {
            Ok(output) if output.ended == Ended::Exited(0) => return Ok(()),
            Ok(output) => {
                let last = output.stderr_tail.lines().last().unwrap_or_default();
                format!("it {}: {last}", output.ended)
            }
            Err(error) => error.to_string(),
        };
        Err(self.sandbox.cannot_run(variable, said))
    }
}
