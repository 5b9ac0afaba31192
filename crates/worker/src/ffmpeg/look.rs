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
        let [ffmpeg, ffprobe] = self.versions(dir).await;
        ffmpeg.and(ffprobe).map(drop)
    }

    /// The versions of both, as they say them.
    pub async fn versions(&self, dir: &Path) -> [Result<String, CannotRun>; 2] {
        let programs = [("HAUL_FFMPEG", &self.ffmpeg), ("HAUL_FFPROBE", &self.ffprobe)];
        let [ffmpeg, ffprobe] = programs.map(|(variable, program)| async move {
            let said = self.says(variable, program, dir, "-version").await?;
            let words = said.lines().next().unwrap_or_default().split_whitespace();
            Ok(words.skip_while(|word| *word != "version").nth(1).unwrap_or("of no version").to_owned())
        });
        tokio::join!(ffmpeg, ffprobe).into()
    }

    /// What a program prints when it is asked for something of itself.
    pub(super) async fn says(
        &self,
        variable: &'static str,
        program: &Path,
        dir: &Path,
        option: &str,
    ) -> Result<String, CannotRun> {
        let spec = self.spec_in(program, dir, Line::of(&format!("-hide_banner {option}")));
        let watch = Watch::new(QUICKLY, QUICKLY, CancellationToken::new());
        let said = match process::output(&spec, &watch).await {
            Ok(output) if output.ended == Ended::Exited(0) => return Ok(output.stdout),
            Ok(output) => {
                let last = output.stderr_tail.lines().last().unwrap_or_default();
                format!("it {}: {last}", output.ended)
            }
            Err(error) => error.to_string(),
        };
        Err(self.sandbox.cannot_run(variable, said))
    }
}
