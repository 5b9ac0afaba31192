//! What is measured on a page: how far it jumped, how heavy it is, how soon it can be used, and what axe-core finds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Browser;
use crate::processes::PATIENCE;

/// Everything that has moved without the person's doing, since the page was opened: the sum of the scores that web.dev
/// calls layout shift. What follows a press within half a second is the person's doing; so is what follows the answer to an
/// order, which a busy machine gives later than that.
const SHIFTS: &str = "const seen = new PerformanceObserver(() => {}); \
    seen.observe({ type: 'layout-shift', buffered: true }); \
    const orders = performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/api/v1/downloads')); \
    const follows = (one) => orders.some(({ responseEnd: at }) => one.startTime >= at && one.startTime < at + 500); \
    return seen.takeRecords().filter((one) => !one.hadRecentInput && !follows(one)).map((one) => ({ \
        value: one.value, \
        of: one.sources.map(({ node, previousRect: from, currentRect: to }) => \
            `${node?.nodeName}#${node?.id} ${node?.parentNode?.className ?? ''} ${from.y}+${from.height} to ${to.y}+${to.height}`) }))";

/// What the page itself is made of, in bytes before any compression: not what it asks of the service.
const WEIGHT: &str = "const own = ({ name }) => !new URL(name).pathname.includes('/api/') && !name.startsWith('blob:'); \
    const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; \
    return all.filter(own).map(({ name, decodedBodySize }) => [new URL(name).pathname, decodedBodySize])";

/// When it can be seen, and when its scripts have run, in milliseconds after it was asked for.
const SOON: &str = "const [page] = performance.getEntriesByType('navigation'); \
    const [paint] = performance.getEntriesByName('first-contentful-paint'); \
    return [paint?.startTime ?? -1, page.domInteractive, page.domContentLoadedEventEnd]";

const AXE: &str = "const [tags, done] = arguments; \
    axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'], preload: false }) \
        .then(({ violations, passes }) => done({ checked: passes.length, found: violations.flatMap(({ id, help, nodes }) => \
            nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`)) })) \
        .catch((error) => done({ checked: 0, found: [String(error)] }))";

impl Browser {
    /// How far the page has jumped so far, and what did.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn shifts(&self) -> Result<(f64, String)> {
        let shifts = self.run(SHIFTS, &[]).await?;
        let shifts = shifts.as_array().context("a list")?;
        Ok((
            shifts.iter().filter_map(|one| one["value"].as_f64()).fold(0.0, |sum, one| sum + one),
            json!(shifts).to_string(),
        ))
    }

    /// The files of the page, and their bytes.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn weight(&self) -> Result<Vec<(String, u64)>> {
        Ok(serde_json::from_value(self.run(WEIGHT, &[]).await?)?)
    }

    /// Milliseconds until the first paint, until the document was there, and until its scripts had run.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn soon(&self) -> Result<[f64; 3]> {
        Ok(serde_json::from_value(self.run(SOON, &[]).await?)?)
    }

    /// What axe-core has against the page by the rules of WCAG 2.1, A and AA: contrast, names, order, roles. Waits until
    /// nothing moves any more, for colours half-way are nobody's.
    ///
    /// # Errors
    /// When it is not installed, or checks nothing.
    pub async fn found_by_axe(&self) -> Result<Vec<String>> {
        let still = "document.getAnimations().every((one) => one.playState !== 'running' || \
            one.effect.getComputedTiming().endTime === Infinity)";
        self.until("nothing moves", still).await?;
        self.run(&std::fs::read_to_string(axe()?)?, &[]).await?;
        let tags = json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]);
        let answer =
            timeout(PATIENCE, self.client.execute_async(AXE, vec![tags])).await.context("axe-core hangs")??;
        anyhow::ensure!(answer["checked"].as_u64() > Some(0), "axe-core has checked nothing: {answer}");
        let found = answer["found"].as_array().context("a list")?;
        Ok(found.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// Where `tests/run` has installed it.
fn axe() -> Result<PathBuf> {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/checks/lib");
    let found = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
    let file = |entry: std::fs::DirEntry| entry.path().join("site-packages/axe_playwright_python/axe.min.js");
    found.map(file).find(|file| file.exists()).context("axe-core is not there: tests/run installs it")
}
