//! What pip knows of yt-dlp.

use std::path::Path;
use std::time::Duration;

use haul_shared::config::Env;
use haul_shared::rollout::Version;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Limits, Spec, Watch};

/// For the index to answer, with pip's own retries.
const WITHIN: Duration = Duration::from_secs(60);

/// What pip has to know of where it is: its own settings, and the way to the index. Nothing of ours: some of that is secret.
const NAMES: [&str; 12] = [
    "HOME",
    "PATH",
    "LANG",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "NETRC",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "XDG_CACHE_HOME",
    "TMPDIR",
];

fn is_for_pip(name: &str) -> bool {
    let is_proxy = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].contains(&name.to_ascii_lowercase().as_str());
    is_proxy || name.starts_with("PIP_") || NAMES.contains(&name)
}

/// The newest yt-dlp that pip can have for this interpreter.
pub(super) async fn newest(python: Option<&Path>, env: &Env, dir: &Path) -> Result<Version, String> {
    let python = python.ok_or("HAUL_YTDLP is no program of a Python that can be found: no pip can be asked")?;
    let line =
        ["-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color", "index", "versions", "yt-dlp"];
    let spec = Spec::new(python, dir).args(line).limits(Limits { cpu: Some(WITHIN), ..Limits::default() });
    let spec = env.those(is_for_pip).into_iter().fold(spec, |spec, (name, value)| spec.env(name, value));
    let watch = Watch::new(WITHIN, WITHIN, CancellationToken::new());
    let output = process::output(&spec, &watch).await.map_err(|error| error.to_string())?;
    read(&output.stdout).ok_or_else(|| why(&output.stderr_tail, &output.ended.to_string()))
}

/// Its first line is `yt-dlp (2026.8.19)`.
fn read(said: &str) -> Option<Version> {
    let version = said.lines().find_map(|line| line.strip_prefix("yt-dlp (")?.strip_suffix(')'))?;
    Some(Version::new(version))
}

fn why(said: &str, ended: &str) -> String {
    if said.contains("No module named pip") {
        return "there is no pip beside this yt-dlp".to_owned();
    }
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(ended);
    format!("pip does not tell: {}", last.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_says_is_read() {
        // of pip 23.2.1
        let said = "yt-dlp (2026.10.26)\nAvailable versions: 2026.10.26, 2026.8.19\n  INSTALLED: 2026.8.19\n  LATEST:    2026.10.26\n";
        assert_eq!(read(said), Some(Version::new("2026.10.26")));
        assert_eq!(read("yt-dlp-other (1)\n"), None);
        let none = "WARNING: pip index is currently an experimental command.\nERROR: No matching distribution found for yt-dlp\n";
        assert_eq!(why(none, "exit code 1"), "pip does not tell: ERROR: No matching distribution found for yt-dlp");
        assert_eq!(why("/opt/ytdlp/bin/python3: No module named pip\n", ""), "there is no pip beside this yt-dlp");
        assert_eq!(why("", "it took too long"), "pip does not tell: it took too long");
    }

    #[test]
    fn pip_is_told_its_own_settings_and_nothing_of_ours() {
        for name in ["PIP_INDEX_URL", "HTTPS_PROXY", "no_proxy", "HOME"] {
            assert!(is_for_pip(name), "{name}");
        }
        for name in ["HAUL_REDIS_URL", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "LD_PRELOAD"] {
            assert!(!is_for_pip(name), "{name}");
        }
    }
}
