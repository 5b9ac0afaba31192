//! What yt-dlp says of the place where it runs: its Python, the libraries that it found, the JavaScript runtime.
//!
//! It prints that before it does anything (`--verbose`), whichever way it was installed. Asked for no address, it ends with a
//! fault after it.

use std::ffi::OsString;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{QUICKLY, Reach, Ytdlp};
use crate::guard::Guard;
use crate::process::{self, Watch};
use crate::sandbox::CannotRun;

/// Its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The version of Python.
    pub python: Option<String>,
    /// Libraries, each `name-version`.
    pub libraries: Vec<String>,
    /// The JavaScript runtime that it takes, `name-version`; `None`: it found none that it can use.
    pub javascript: Option<String>,
}

impl About {
    /// The library of this name.
    #[must_use]
    pub fn library(&self, name: &str) -> Option<&str> {
        self.libraries.iter().find(|it| it.rsplit_once('-').is_some_and(|(its, _)| its == name)).map(String::as_str)
    }

    fn read(said: &str) -> Self {
        let line = |name: &str| said.lines().find_map(|line| line.strip_prefix("[debug] ")?.strip_prefix(name));
        let list = |text: &str| text.split(',').map(|it| it.trim().to_owned()).filter(|it| it != "none").collect();
        let runtimes: Vec<String> = line("JS runtimes: ").map(list).unwrap_or_default();
        // what it can't use has the reason behind it, in brackets
        let runs = |it: &String| !it.contains('(');
        Self {
            python: line("Python ").and_then(|rest| rest.split(' ').next()).map(str::to_owned),
            libraries: line("Optional libraries: ").map(list).unwrap_or_default(),
            javascript: runtimes.into_iter().find(runs),
        }
    }
}

impl Ytdlp {
    /// What it says, run as for every job: with a guard to reach, without which a sandbox keeps from it what a JavaScript
    /// runtime needs to begin with.
    ///
    /// # Errors
    /// When it cannot be run, or says nothing of the kind.
    pub async fn about(&self, dir: &Path, guard: &Guard) -> Result<About, CannotRun> {
        let mut line: Vec<OsString> =
            ["--verbose", "--ignore-config", "--no-update", "--no-js-runtimes"].map(Into::into).into();
        if let Some(deno) = &self.settings.deno {
            let mut runtime = OsString::from("deno:");
            runtime.push(deno);
            line.extend(["--js-runtimes".into(), runtime]);
        }
        let cannot_run = |said: String| self.sandbox.cannot_run("HAUL_YTDLP", said);
        let address = guard.address().map_err(|error| cannot_run(format!("the guard cannot listen: {error}")))?;
        let reach = Reach { guard: Some((address, guard.clone())), file_size: None, cpu: QUICKLY };
        let watch = Watch::new(QUICKLY, QUICKLY, CancellationToken::new());
        let output = process::output(&self.spec(line, dir, reach), &watch).await;
        let said = output.map_err(|error| cannot_run(error.to_string()))?.stderr_tail;
        if !said.contains("[debug] ") {
            let last = said.lines().last().unwrap_or("it said nothing").to_owned();
            return Err(cannot_run(last));
        }
        Ok(About::read(&said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surroundings_are_read() {
        // of yt-dlp 2026.08.19
        let said = "[debug] Command-line config: ['-v', '--ignore-config']\n\
                    [debug] yt-dlp version stable@2026.08.19 from yt-dlp/yt-dlp [594bd50c2] (pip)\n\
                    [debug] Python 3.11.7 (CPython x86_64 64bit) - Linux-6.18 (OpenSSL 3.0.19 27 Jan 2026, glibc 2.36)\n\
                    [debug] Optional libraries: Cryptodome-3.24.2, certifi-2026.10.18, yt_dlp_ejs-0.8.0\n\
                    [debug] JS runtimes: deno-2.9.8\n";
        let about = About::read(said);
        assert_eq!((about.python.as_deref(), about.javascript.as_deref()), (Some("3.11.7"), Some("deno-2.9.8")));
        assert_eq!(about.library("yt_dlp_ejs"), Some("yt_dlp_ejs-0.8.0"));
        assert_eq!(about.library("yt_dlp"), None);

        let bare = said.replace("Cryptodome-3.24.2, certifi-2026.10.18, yt_dlp_ejs-0.8.0", "none");
        assert!(About::read(&bare).libraries.is_empty());
        for useless in ["none", "none (disabled)", "deno-1.0.0 (unsupported)", "deno (unknown version)"] {
            assert_eq!(About::read(&said.replace("deno-2.9.8", useless)).javascript, None, "{useless}");
        }
        assert_eq!(About::read("bash: not found"), About::default());
    }
}
