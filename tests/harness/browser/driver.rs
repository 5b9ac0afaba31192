//! ChromeDriver, started for one browser and gone with it: its own port, its own programs, and what it is told beyond
//! the standard.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::{ParseError, Url};

use crate::processes::{PATIENCE, descendants_of};

/// A running ChromeDriver. Dropped, it is killed with all that it has started.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) url: String,
    child: Child,
    _drained: AbortOnDropHandle<()>,
}

impl Driver {
    pub(super) async fn start() -> Result<Self> {
        // between looking for a free port and using it, somebody else may take it: then another is tried
        for _ in 0..5 {
            if let Some(driver) = Self::try_to_start().await? {
                return Ok(driver);
            }
        }
        bail!("chromedriver did not become ready")
    }

    /// `None`: it has ended without being ready.
    async fn try_to_start() -> Result<Option<Self>> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // in the group of the test, with which it ends when whoever runs the test loses patience
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver cannot be started: tests/run installs it")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let port = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, port)) = line.trim_end_matches('.').split_once("started successfully on port ") {
                    return anyhow::Ok(Some(port.parse::<u16>()?));
                }
            }
            Ok(None)
        });
        let Some(port) = port.await.context("chromedriver hangs")?? else { return Ok(None) };
        let url = format!("http://127.0.0.1:{port}");
        // whoever does not read what it says later keeps it from going on
        let drained = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Some(Self { url, child, _drained: AbortOnDropHandle::new(drained) }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // the browser would outlive it
        let started = self.child.id().map(|id| descendants_of(id.cast_signed())).unwrap_or_default();
        for one in started {
            let _ = one.kill();
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
