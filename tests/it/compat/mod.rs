//! Dialects: what clients of other programs send, and what they have to be answered to work.

mod clients;
mod cobalt;
mod door;
mod history;
mod places;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haul_tests::site::{Answer, Site};
use haul_tests::verbatim::{of_lines, say};

/// Where `MeTube`'s dialect is.
const METUBE: (&str, &str) = ("HAUL_COMPAT_METUBE", "/metube");

/// The value of `Authorization` for HTTP Basic.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The answer to a request of these lines, sent as they are.
async fn sent(site: &Site, lines: &str) -> Result<Answer> {
    let address = site.url.strip_prefix("http://").context("an address")?;
    say(address, &of_lines(lines)).await
}

/// The answer to a `GET` that names a host.
async fn get_at(site: &Site, host: &str, path: &str) -> Result<Answer> {
    sent(site, &format!("GET {path} HTTP/1.1\nHost: {host}")).await
}

/// Is it a refusal in the words of `MeTube`: the same sentence under each of its keys?
fn is_refusal(answer: &Answer) -> bool {
    let json = answer.json();
    let said = json["msg"].as_str().unwrap_or_default();
    json["status"] == "error" && !said.is_empty() && json["error"] == said && json["message"] == said
}
