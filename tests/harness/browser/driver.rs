//! ChromeDriver, started for one browser and gone with it: its own port, its own process group, and what it is told beyond
//! the standard.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::{ParseError, Url};

use crate::processes::PATIENCE;

/// A running ChromeDriver. Dropped, it is killed with all that it has started.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) url: String,
    child: Child,
    _drained: AbortOnDropHandle<()>,
}

impl Driver {
    pub(super) async fn start() -> Result<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver cannot be started: tests/run installs it")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let port = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await?.context("chromedriver did not become ready")?;
                if let Some((_, port)) = line.trim_end_matches('.').split_once("started successfully on port ") {
                    return Ok::<u16, anyhow::Error>(port.parse()?);
                }
            }
        });
        let url = format!("http://127.0.0.1:{}", port.await??);
        // whoever does not read what it says later keeps it from going on
        let drained = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { url, child, _drained: AbortOnDropHandle::new(drained) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // the browser is in the same group
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// A question of ChromeDriver's own, beside those of the standard.
#[derive(Debug)]
pub(super) struct Asked {
    path: &'static str,
    body: Value,
}

impl Asked {
    pub(super) fn new(path: &'static str, body: Value) -> Self {
        Self { path, body }
    }
}

impl WebDriverCompatibleCommand for Asked {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
