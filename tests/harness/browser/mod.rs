//! A real Chromium, driven by WebDriver as a person's hands and eyes would be.
//!
//! It has a profile and a folder for downloads of its own, reaches nothing but 127.0.0.1, and is gone with its test. What a
//! person never sees is looked at as well: what stands in the console, and who was asked for anything.
//!
//! Not here: what is measured on a page (`checks`), and which page it is.

mod checks;
mod driver;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::processes::{PATIENCE, until};
use driver::{Asked, Driver};

/// What a browser does by itself and no page asks for: updates, reports, suggestions. No name of the world has an address.
const ALONE: [&str; 15] = [
    "--headless=new",
    "--window-size=1280,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
];

/// With what a browser starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// Pages may run theirs.
    On,
    /// They may not, as some people like it.
    Off,
}

/// What a person prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of `prefers-color-scheme`")]
pub enum Scheme {
    Light,
    Dark,
}

/// A line of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `SEVERE`, `WARNING`, `INFO`, ...
    pub level: String,
    /// Who says it: `javascript`, `network`, `security`, ...
    pub source: String,
    /// What.
    pub text: String,
}

/// A browser with one window.
pub struct Browser {
    client: Client,
    asked: Mutex<Vec<String>>,
    downloads: PathBuf,
    _driver: Driver,
    _folder: TempDir,
}

impl Browser {
    /// A browser that has never been anywhere.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(scripts: Scripts) -> Result<Self> {
        let (driver, folder) = (Driver::start().await?, tempfile::tempdir()?);
        let downloads = folder.path().join("downloads");
        std::fs::create_dir(&downloads)?;
        let mut arguments = ALONE.map(str::to_owned).to_vec();
        // in containers /dev/shm is small
        arguments.push("--disable-dev-shm-usage".to_owned());
        arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
        if rustix::process::geteuid().is_root() {
            // its sandbox does not start as root; it looks at nobody's pages but ours
            arguments.push("--no-sandbox".to_owned());
        }
        let javascript = if scripts == Scripts::On { 1 } else { 2 };
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {
                    "download.default_directory": downloads,
                    "download.prompt_for_download": false,
                    "profile.managed_default_content_settings.javascript": javascript,
                },
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(capabilities).connect(&driver.url);
        let client = timeout(PATIENCE, connecting).await.context("no browser came")??;
        Ok(Self { client, asked: Mutex::default(), downloads, _driver: driver, _folder: folder })
    }

    /// WebDriver itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Goes to an address.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn go(&self, url: &str) -> Result<()> {
        Ok(timeout(PATIENCE, self.client.goto(url)).await??)
    }

    /// A tool of the protocol beneath, for what WebDriver has no words for.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn tool(&self, name: &str, parameters: Value) -> Result<Value> {
        self.ask("goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    async fn ask(&self, path: &'static str, body: Value) -> Result<Value> {
        let answer = timeout(PATIENCE, self.client.issue_cmd(Asked::new(path, body)));
        answer.await.context("the browser hangs")?.with_context(|| path.to_owned())
    }

    /// Looks at the page through a window of this size, in pixels.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn view(&self, (width, height): (u32, u32), scheme: Scheme) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tool("Emulation.setDeviceMetricsOverride", size).await?;
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.tool("Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// Runs a script that returns something.
    ///
    /// # Errors
    /// When it throws.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        Ok(timeout(PATIENCE, self.client.execute(script, arguments.to_vec())).await.context("a script hangs")??)
    }

    /// What a person reads in an element: its text as it is shown, or a field's value. Empty, if there is none.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn text(&self, css: &str) -> Result<String> {
        let script = "const it = document.querySelector(arguments[0]); \
            return it?.matches('input, select, textarea') ? it.value : it?.innerText ?? ''";
        Ok(self.run(script, &[json!(css)]).await?.as_str().unwrap_or_default().trim().to_owned())
    }

    /// How many elements a person can see of those that fit.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn count(&self, css: &str) -> Result<usize> {
        let script = "return [...document.querySelectorAll(arguments[0])].filter((it) => it.checkVisibility()).length";
        let count = self.run(script, &[json!(css)]).await?;
        count.as_u64().and_then(|count| usize::try_from(count).ok()).context("a number")
    }

    /// Waits until an expression of the page is true.
    ///
    /// # Errors
    /// When it never is; tells what is shown instead.
    pub async fn until(&self, what: &str, expression: &str) -> Result<()> {
        let script = format!("return Boolean({expression})");
        let is_so = async || self.run(&script, &[]).await.is_ok_and(|answer| answer == true);
        if until(what, is_so).await.is_err() {
            let shown = self.text("body").await.unwrap_or_default();
            anyhow::bail!("waited in vain until {what}; the page shows:\n{shown}");
        }
        Ok(())
    }

    /// The first element that fits, once there is one to be seen.
    ///
    /// # Errors
    /// When none comes.
    pub async fn find(&self, css: &str) -> Result<Element> {
        let is_there = format!("document.querySelector({})?.checkVisibility()", json!(css));
        self.until(&format!("{css} is there"), &is_there).await?;
        Ok(self.client.find(Locator::Css(css)).await?)
    }

    /// The first element with this role and name, as assistive technology knows it, once there is one.
    ///
    /// # Errors
    /// When none comes.
    pub async fn named(&self, role: &str, name: &str) -> Result<Element> {
        let found = Mutex::new(None);
        let is_there = async || {
            let element = self.by_name(role, name).await.ok().flatten();
            let is_there = element.is_some();
            *found.lock().unwrap_or_else(PoisonError::into_inner) = element;
            is_there
        };
        if until("it is there", is_there).await.is_err() {
            let shown = self.text("body").await.unwrap_or_default();
            anyhow::bail!("there is no {role} named {name:?}; the page shows:\n{shown}");
        }
        found.into_inner().unwrap_or_else(PoisonError::into_inner).context("it was there")
    }

    async fn by_name(&self, role: &str, name: &str) -> Result<Option<Element>> {
        let root = self.tool("DOM.getDocument", json!({ "depth": 0 })).await?["root"]["nodeId"].clone();
        let wanted = json!({ "nodeId": root, "role": role, "accessibleName": name });
        let seen = self.tool("Accessibility.queryAXTree", wanted).await?;
        let nodes = seen["nodes"].as_array().context("nodes")?;
        let Some(node) = nodes.iter().find(|node| node["ignored"] == false) else { return Ok(None) };
        let wanted = json!({ "backendNodeId": node["backendDOMNodeId"] });
        let object = self.tool("DOM.resolveNode", wanted).await?["object"]["objectId"].clone();
        let handed = json!({ "objectId": object, "functionDeclaration": "function () { window.handed = this }" });
        self.tool("Runtime.callFunctionOn", handed).await?;
        let handed = self.run("const it = window.handed; delete window.handed; return it", &[]).await?;
        let id = handed.as_object().and_then(|it| it.values().next()).and_then(Value::as_str).context("an element")?;
        Ok(Some(Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned()))))
    }

    /// Clicks what has this role and name.
    ///
    /// # Errors
    /// When there is none, or it can't be clicked.
    pub async fn press(&self, role: &str, name: &str) -> Result<()> {
        Ok(self.named(role, name).await?.click().await?)
    }

    /// Presses keys, wherever the focus is. Special ones are [`fantoccini::key::Key`].
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn keys(&self, keys: &str) -> Result<()> {
        Ok(self.client.active_element().await?.send_keys(keys).await?)
    }

    /// What stands in the console since the last look.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn console(&self) -> Result<Vec<Said>> {
        let lines = self.ask("se/log", json!({ "type": "browser" })).await?;
        let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let lines = lines.as_array().context("a list")?.iter();
        let said =
            |line| Said { level: text(line, "level"), source: text(line, "source"), text: text(line, "message") };
        Ok(lines.map(said).collect())
    }

    /// Every address that was asked so far, or listened at, whoever is behind it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn asked(&self) -> Result<Vec<String>> {
        let log = self.ask("se/log", json!({ "type": "performance" })).await?;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for line in log.as_array().context("a list")? {
            let event: Value = serde_json::from_str(line["message"].as_str().unwrap_or_default())?;
            let (method, parameters) = (&event["message"]["method"], &event["message"]["params"]);
            let url = match method.as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => &parameters["request"]["url"],
                "Network.webSocketCreated" => &parameters["url"],
                _ => continue,
            };
            asked.push(url.as_str().context("an address")?.to_owned());
        }
        Ok(asked.clone())
    }

    /// Waits for the only file that was downloaded, and reads it. Further ones have to be waited for by name.
    ///
    /// # Errors
    /// When none comes.
    pub async fn downloaded(&self) -> Result<(String, Vec<u8>)> {
        // while it comes it has another name
        let whole = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && !name.ends_with(".crdownload")
        };
        let files = || -> Result<Vec<PathBuf>> {
            let all = std::fs::read_dir(&self.downloads)?.map(|entry| Ok(entry?.path()));
            all.collect()
        };
        let is_there = async || files().is_ok_and(|all| !all.is_empty() && all.iter().all(|path| whole(path)));
        until("a file is downloaded", is_there).await?;
        let files = files()?;
        ensure!(files.len() == 1, "{files:?}");
        let name = files[0].file_name().context("a name")?.to_string_lossy().into_owned();
        Ok((name, std::fs::read(&files[0])?))
    }

    /// A picture of what is to be seen, as PNG.
    ///
    /// # Errors
    /// When there is none.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        Ok(timeout(PATIENCE, self.client.screenshot()).await??)
    }

    /// Closes it, so that it ends by itself.
    ///
    /// # Errors
    /// When it does not.
    pub async fn close(self) -> Result<()> {
        Ok(timeout(PATIENCE, self.client.clone().close()).await??)
    }
}
