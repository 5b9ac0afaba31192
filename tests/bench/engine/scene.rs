//! The scene of a run: a folder of its own, the site, and the store that is emptied after each download.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use haul_tests::s3::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{media, origin};
use crate::roles::Part;

/// Where programs are looked for, beside the folder of yt-dlp.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What everybody shares.
pub struct Scene {
    folder: TempDir,
    _origin: Part,
    _store: Part,
    site: Ports,
    s3: Ports,
    keys: usize,
}

/// The same server, fast and slow.
#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: SocketAddr,
    slow: SocketAddr,
}

impl Scene {
    /// Starts the site and the store. All that this run writes lies below the target directory, on the disk that counts.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn set() -> Result<Self> {
        let media = media::folder()?;
        let target = media.ancestors().nth(2).context("the media lie below the target")?;
        let folder = tempfile::Builder::new().prefix("bench-run-").tempdir_in(target)?;
        let start = async |role: &str, folder: &Path| -> Result<(Part, Ports)> {
            let mut part = Part::start(&[role, folder.to_str().context("a path in UTF-8")?]).await?;
            let (plain, slow) = origin::ports(&part.line().await?)?;
            Ok((part, Ports { plain, slow }))
        };
        fs::create_dir_all(&media)?;
        let (site_process, site) = start("origin", &media).await?;
        let (store_process, s3) = start("store", &folder.path().join("store")).await?;
        Ok(Self { folder, _origin: site_process, _store: store_process, site, s3, keys: 0 })
    }

    /// The address of a medium, each time another one, so that nobody has it already.
    pub fn address(&mut self, path: &str, throttled: bool) -> String {
        self.keys += 1;
        let site = if throttled { self.site.slow } else { self.site.plain };
        format!("http://{site}{path}?job={}", self.keys)
    }

    /// Where the fast site is.
    #[must_use]
    pub fn site(&self) -> SocketAddr {
        self.site.plain
    }

    /// A name for an object that has none yet.
    pub fn key(&mut self) -> String {
        self.keys += 1;
        format!("rival/{}", self.keys)
    }

    /// Where the store is.
    #[must_use]
    pub fn endpoint(&self, throttled: bool) -> String {
        format!("http://{}", if throttled { self.s3.slow } else { self.s3.plain })
    }

    /// What `boto3.client("s3", ...)` wants to know.
    #[must_use]
    pub fn boto3(&self, throttled: bool) -> Value {
        json!({
            "endpoint_url": self.endpoint(throttled),
            "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY,
            "region_name": "us-east-1",
        })
    }

    /// An empty folder of this name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes all objects but the one by which Haul sees whether the store answers.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn empty_store(&self) -> Result<()> {
        empty(&self.folder.path().join("store").join(BUCKET))
    }

    /// A command that inherits nothing from whoever runs the benchmark: no proxy, no settings of theirs.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:{PATH}", haul_tests::tools().display()))
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .current_dir(self.folder.path());
        command
    }
}

fn empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            empty(&entry.path())?;
        } else if entry.file_name() != "ready" {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
