//! The page as people have it: in a real browser, over the whole service with real media.

mod watching;

use anyhow::{Result, ensure};
use haul_tests::browser::{Browser, Scripts};
use haul_tests::house::{House, Store};

/// A person who comes to a page, and whoever looks over their shoulder.
struct Visit<'a> {
    /// The page's origin, without a slash at the end: nobody else may be asked for anything.
    home: &'a str,
    scripts: Scripts,
    /// What may stand in the console, because the test brings it about: a part of the line, such as `status of 404`.
    brought_about: &'a [&'a str],
}

impl<'a> Visit<'a> {
    fn to(home: &'a str) -> Self {
        Self { home, scripts: Scripts::On, brought_about: &[] }
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
        let is_fault = |line: &haul_tests::browser::Said| {
            matches!(line.level.as_str(), "SEVERE" | "WARNING")
                && !self.brought_about.iter().any(|known| line.text.contains(known))
        };
        let said = browser.console().await?.into_iter().filter(is_fault);
        let mut faults: Vec<String> = said.map(|line| format!("console, {}: {}", line.source, line.text)).collect();
        let is_own = |url: &str| {
            // the browser's own first page is part of it, and an address of data asks nobody
            if url.starts_with("chrome://") || url.starts_with("data:") {
                return true;
            }
            let of_page = url.strip_prefix("blob:").unwrap_or(url);
            of_page.strip_prefix(self.home).is_some_and(|rest| rest.starts_with('/'))
        };
        faults.extend(browser.asked().await?.into_iter().filter(|url| !is_own(url)).map(|url| format!("asked {url}")));
        Ok(faults)
    }
}
