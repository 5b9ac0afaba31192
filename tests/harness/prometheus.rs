//! A real Prometheus over the configuration that is shipped, for one test and gone with it; and its `promtool`.
//!
//! Only what makes a test wait is otherwise: the intervals are a second, and the targets are the test's own processes.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::processes::{self, PATIENCE};

/// Where the configuration is.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// A running Prometheus; killed when dropped.
pub struct Prometheus {
    child: Child,
    url: String,
    http: reqwest::Client,
    _dir: TempDir,
}

impl Prometheus {
    /// Scrapes an API and a worker, and follows the rules.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(api: SocketAddr, worker: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let shipped = fs::read_to_string(folder().join("prometheus.yml"))?;
        let mut told = shipped.clone();
        for (theirs, ours) in [
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            ("evaluation_interval: 15s", "evaluation_interval: 1s".to_owned()),
            ("\"127.0.0.1:8080\"", format!("\"{api}\"")),
            ("\"127.0.0.1:9091\", \"127.0.0.1:9092\"", format!("\"{worker}\"")),
            ("[rules/*.yml]", format!("[\"{}/rules/*.yml\"]", folder().display())),
        ] {
            ensure!(told.contains(theirs), "the configuration has no {theirs}");
            told = told.replacen(theirs, &ours, 1);
        }
        fs::write(dir.path().join("prometheus.yml"), told)?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        // between looking for a free port and using it, somebody else may take it: then another is tried
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let mut child = Command::new(program("prometheus"))
                .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=error")
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .context("prometheus cannot be started: tests/run installs it")?;
            let (url, mut ended) = (format!("http://{address}"), false);
            let ready = format!("{url}/-/ready");
            processes::until("prometheus is ready", async || {
                ended = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
                ended || http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
            })
            .await?;
            if !ended {
                return Ok(Self { child, url, http, _dir: dir });
            }
        }
        bail!("prometheus did not become ready")
    }

    /// The series that an expression gives now, each `{"metric": {...}, "value": [time, "number"]}`.
    ///
    /// # Errors
    /// When Prometheus does not take it.
    pub async fn ask(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.get("query", &[("query", expression)]).await.with_context(|| expression.to_owned())?;
        Ok(data["result"].as_array().context("series")?.clone())
    }

    /// The number that an expression gives now, if it is a single one.
    ///
    /// # Errors
    /// As [`Prometheus::ask`].
    pub async fn number(&self, expression: &str) -> Result<Option<f64>> {
        match self.ask(expression).await?.as_slice() {
            [one] => Ok(Some(one["value"][1].as_str().context("a number")?.parse()?)),
            _ => Ok(None),
        }
    }

    /// All rules, as Prometheus has read and evaluated them.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn rules(&self) -> Result<Vec<Value>> {
        let data = self.get("rules", &[]).await?;
        let groups = data["groups"].as_array().context("groups")?;
        Ok(groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect())
    }

    /// Waits until it is so.
    ///
    /// # Errors
    /// When it does not become so.
    pub async fn until(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> Result<bool>) -> Result<()> {
        processes::until(what, async || is_so(self).await.unwrap_or(false)).await?;
        ensure!(self.child.try_wait()?.is_none(), "prometheus has ended");
        Ok(())
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = url::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query)?;
        let answer: Value = serde_json::from_slice(&self.http.get(url).send().await?.bytes().await?)?;
        ensure!(answer["status"] == "success", "{answer}");
        Ok(answer["data"].clone())
    }
}

/// What `promtool` says to these arguments, in the folder of the configuration, when it is given this text.
///
/// # Errors
/// When it does not end.
pub async fn promtool(arguments: &[&str], text: &[u8]) -> Result<Output> {
    let mut child = Command::new(program("promtool"))
        .current_dir(folder())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("promtool cannot be started: tests/run installs it")?;
    let mut input = child.stdin.take().context("its input")?;
    let said = async {
        // it may end without having read all of it
        let _ = input.write_all(text).await;
        drop(input);
        child.wait_with_output().await
    };
    Ok(timeout(PATIENCE, said).await.context("promtool hangs")??)
}

/// Where `tests/run` puts them, or wherever else they are.
fn program(name: &str) -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin").join(name);
    if ours.exists() { ours } else { name.into() }
}
