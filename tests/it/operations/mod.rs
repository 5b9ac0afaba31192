//! What operators watch: the metrics, the rules that judge them, the dashboard that shows them, and the page that says what
//! to do. Each names what the others have. And what that page has them do by hand: copies, other secrets, lost objects.

mod lost;
mod manual;
mod probes;
mod refused;
mod restore;
mod rotation;
mod rules;
mod scrape;
mod unmounted;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A file of the tree, by its path from the top.
fn file(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).with_context(|| path.to_owned())
}

/// What follows `begins` in the lines of a text that begin so, without what is around it.
fn named<'t>(text: &'t str, begins: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(begins)).map(str::trim)
}

/// The names of the alerts.
fn alerts() -> Result<BTreeSet<String>> {
    Ok(named(&file("deploy/prometheus/rules/alerts.yml")?, "alert: ").map(str::to_owned).collect())
}

/// What stands for the dashboard's variables where there is no Grafana.
const VARIABLES: [(&str, &str); 3] = [("$__rate_interval", "1m"), ("$region", ".*"), ("$instance", ".*")];

/// A question of the dashboard, with the title of its panel.
struct Question {
    title: String,
    expression: String,
}

/// All questions of the dashboard.
fn questions() -> Result<Vec<Question>> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/haul.json")?)?;
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let mut expression = target["expr"].as_str().context("an expression")?.to_owned();
            for (variable, value) in VARIABLES {
                expression = expression.replace(variable, value);
            }
            all.push(Question { title: title.to_owned(), expression });
        }
    }
    Ok(all)
}

/// The metrics and recorded series that a text of expressions names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let is_one = |word: &&str| {
        let name = word.rsplit(':').nth(1).unwrap_or(word);
        name.starts_with("haul_") || name.starts_with("process_") || word.starts_with("haul:")
    };
    words.filter(is_one).map(|word| family(word).to_owned()).collect()
}

/// The metric that a series is of.
fn family(series: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| series.strip_suffix(part).filter(|rest| rest.ends_with("_seconds"))).unwrap_or(series)
}
