//! The cookies of a run: a copy in its folder for as long as yt-dlp may read it, and no longer.
//!
//! Not here: who may use which jar, and what of it (`crate::jar`); the word of the command line (`command`).

use std::path::Path;

use haul_shared::job::Failure;

use super::{Ytdlp, command};
use crate::scratch;

impl Ytdlp {
    /// Puts the cookies into the folder of a run, where its command line names them.
    pub(super) async fn put_jar(&self, dir: &Path) -> Result<(), Failure> {
        let Some(jar) = &self.jar else { return Ok(()) };
        jar.put(dir.join(command::JAR)).await.map_err(|error| scratch::failure(&error))
    }

    /// Takes them away again. What is decoded in this folder later must not find them beside itself.
    pub(super) async fn take_jar(&self, dir: &Path) {
        if self.jar.is_none() {
            return;
        }
        match tokio::fs::remove_file(dir.join(command::JAR)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the copy of a jar stays until its attempt ends");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
