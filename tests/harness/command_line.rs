//! A person at a terminal: the program `haul`, in a folder of its own.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::processes::{PATIENCE, built};

/// Somebody who types commands.
pub struct Person {
    server: String,
    key: Option<String>,
    proxy: Option<String>,
    folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None`: it was killed.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A command that is still running; killed when dropped.
pub struct Running(Child);

impl Person {
    /// One who speaks to the service at this address.
    ///
    /// # Errors
    /// When there is no room for a folder.
    pub fn at(server: &str) -> Result<Self> {
        Ok(Self { server: server.to_owned(), key: None, proxy: None, folder: tempfile::tempdir()? })
    }

    /// The same, with a key.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The same, in an environment that names this proxy for everything.
    #[must_use]
    pub fn behind(mut self, proxy: &str) -> Self {
        self.proxy = Some(proxy.to_owned());
        self
    }

    /// Types `haul` and these words, and waits until that has ended.
    ///
    /// # Errors
    /// When it does not.
    pub async fn types(&self, words: &[&str]) -> Result<Said> {
        self.begins(words)?.ends().await
    }

    /// Types `haul` and these words.
    ///
    /// # Errors
    /// When it is not built.
    pub fn begins(&self, words: &[&str]) -> Result<Running> {
        let mut command = Command::new(built("haul")?);
        command.env_clear().env("HAUL_SERVER", &self.server).envs(self.key.as_ref().map(|key| ("HAUL_KEY", key)));
        command.envs(self.proxy.as_ref().map(|proxy| ("ALL_PROXY", proxy)));
        command.args(words).current_dir(self.folder.path()).kill_on_drop(true);
        Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
    }

    /// The folder where it is typed.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The names of the files there, sorted.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let names =
            std::fs::read_dir(self.folder())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// What is in a file there.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder().join(name)).with_context(|| format!("{name} among {:?}", self.files()))
    }
}

impl Running {
    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ends(self) -> Result<Said> {
        let output = timeout(PATIENCE, self.0.wait_with_output()).await.context("it did not end")??;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("UTF-8");
        Ok(Said { code: output.status.code(), out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// Stops reading its standard output, as `head` does.
    pub fn goes_unread(&mut self) {
        drop(self.0.stdout.take());
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Said {
    /// Its standard output as JSON, a value for each line.
    ///
    /// # Errors
    /// When a line is none.
    pub fn json(&self) -> Result<Vec<Value>> {
        self.out.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}
