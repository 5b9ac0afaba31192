//! The page as people have it: in a real browser, over the whole service with real media.

mod callers;
mod choices;
mod following;
mod hands;
mod journey;
mod library;
mod looks;
mod mishaps;
mod rows;
mod watching;

use anyhow::{Context as _, Result, ensure};
use haul_tests::browser::{Browser, Said, Scripts};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::Fault;
use haul_tests::processes::{PATIENCE, Process, until};
use haul_tests::s3::BUCKET;
use serde_json::{Value, json};

/// So slow that nothing gets to its end while somebody looks.
const SLOW: Fault = Fault::Throttle(20_000);
/// A row of a download that is completed.
const COMPLETED: &str = "#jobs li[data-status=completed]";

/// The whole service, and where its page is.
struct Home {
    house: House,
    _worker: Process,
    url: String,
}

impl Home {
    /// One that hands out its results itself.
    async fn open(variables: &[(&str, &str)]) -> Result<Self> {
        Self::over(Store::Disk, variables).await
    }

    /// One whose results are in this store.
    async fn over(store: Store, variables: &[(&str, &str)]) -> Result<Self> {
        let house = House::open(store, variables).await?;
        let _worker = house.worker(variables).await?;
        let url = format!("http://{}", house.api.address());
        Ok(Self { house, _worker, url })
    }

    /// How addresses of results begin that lead to another origin than the page's.
    fn results_elsewhere(&self) -> Vec<String> {
        self.house.s3.iter().map(|s3| format!("{}{BUCKET}/m/", s3.endpoint)).collect()
    }

    /// Puts a page with a medium and a picture there, which says of itself that it is called so; in HTML.
    fn talk(&self, path: &str, title: &str) -> String {
        let page = format!(
            "<!doctype html><title>{title}</title><video src=\"/progressive.mp4\" poster=\"/poster.png\"></video>"
        );
        self.house.origin.put(path, page);
        self.house.origin.url(path)
    }

    /// Puts a page with two media there, of which yt-dlp makes a list.
    fn two(&self) -> String {
        let page =
            "<!doctype html><title>Two</title><video src=/progressive.mp4></video><video src=/silent.mp4></video>";
        self.house.origin.put("/two.html", page);
        self.house.origin.url("/two.html")
    }

    /// Has a download made that is completed before anybody looks.
    async fn completed(&self, url: &str, more: Value) -> Result<Value> {
        let job = self.house.order(&request(url, more)).await?;
        let view = self.house.end(&job).await?;
        ensure!(view["status"] == "completed", "{view}");
        Ok(view)
    }
}

/// What comes into the field that has the focus at once, as from a clipboard.
async fn paste(browser: &Browser, css: &str, text: &str) -> Result<()> {
    browser.find(css).await?.click().await?;
    browser.tool("Input.insertText", json!({ "text": text })).await.map(drop)
}

/// The page has jumped less than anybody sees.
async fn is_calm(browser: &Browser) -> Result<()> {
    let (shift, of) = browser.shifts().await?;
    ensure!(shift <= 0.05, "layout shift of {shift}: {of}");
    Ok(())
}

/// A person who comes to a page, and whoever looks over their shoulder.
struct Visit<'a> {
    /// The page's origin, without a slash at the end.
    home: &'a str,
    /// How addresses begin that are asked besides, each of which has to be; nobody else may be asked for anything.
    elsewhere: &'a [String],
    scripts: Scripts,
    /// What may stand in the console, because the test brings it about: a part of the line, such as `status of 404`.
    brought_about: &'a [&'a str],
}

impl<'a> Visit<'a> {
    fn to(home: &'a str) -> Self {
        Self { home, elsewhere: &[], scripts: Scripts::On, brought_about: &[] }
    }

    /// Does something in a new browser, in which afterwards nothing may have gone wrong.
    async fn goes(self, does: impl AsyncFnOnce(&Browser) -> Result<()>) -> Result<()> {
        let browser = Browser::start(self.scripts).await?;
        let done = does(&browser).await;
        let faults = self.faults(&browser).await?;
        done.map_err(|error| error.context(format!("what was seen beside: {faults:#?}")))?;
        ensure!(faults.is_empty(), "{faults:#?}");
        browser.close().await
    }

    /// What nobody sees who looks at the page only.
    async fn faults(&self, browser: &Browser) -> Result<Vec<String>> {
        // a busy machine makes a picture later than the API waits for it, and the page asks again
        let is_late = |text: &str| text.contains("/thumbnail") && text.contains("status of 409");
        let is_fault = |line: &Said| {
            matches!(line.level.as_str(), "SEVERE" | "WARNING")
                && !is_late(&line.text)
                && !self.brought_about.iter().any(|known| line.text.contains(known))
        };
        let said = browser.console().await?.into_iter().filter(is_fault);
        let mut faults: Vec<String> = said.map(|line| format!("console, {}: {}", line.source, line.text)).collect();
        let is_expected = |url: &str| {
            // the browser's own first page is part of it, and an address of data asks nobody
            if url.starts_with("chrome://") || url.starts_with("data:") {
                return true;
            }
            let of_page = url.strip_prefix("blob:").unwrap_or(url);
            let is_own = of_page.strip_prefix(self.home).is_some_and(|rest| rest.starts_with('/'));
            is_own || self.elsewhere.iter().any(|begin| url.starts_with(begin))
        };
        let asked = browser.asked().await?;
        let never = self.elsewhere.iter().filter(|begin| !asked.iter().any(|url| url.starts_with(*begin)));
        faults.extend(never.map(|begin| format!("never asked {begin}")));
        faults.extend(asked.iter().filter(|url| !is_expected(url)).map(|url| format!("asked {url}")));
        Ok(faults)
    }
}
