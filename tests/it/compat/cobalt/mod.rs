//! cobalt's dialect: what its clients send, and what each needs back.

mod clients;
mod links;
mod refusals;

use anyhow::{Context as _, Result};
use haul_tests::site::Answer;
use haul_tests::verbatim::{of_lines, say};
use serde_json::json;

/// Where the dialect is: at the root of a host, as cobalt's own page needs it.
const COBALT: (&str, &str) = ("HAUL_COMPAT_COBALT", "cobalt.example");
const URL: &str = "http://127.0.0.1/talk";

/// The answer to a request of these lines, sent as they are to the host of the dialect.
async fn sent(address: &str, lines: &str) -> Result<Answer> {
    let (first, rest) = lines.split_once('\n').unwrap_or((lines, ""));
    say(address, &of_lines(&format!("{first} HTTP/1.1\nHost: cobalt.example\n{rest}"))).await
}

/// The answer to an order with this body, as a script sends it.
async fn ordered(address: &str, body: &str) -> Result<Answer> {
    sent(address, &format!("POST /\nAccept: application/json\nContent-Type: application/json\n\n{body}")).await
}

/// Path and query of the link that an order was answered with.
fn link_of(answer: &Answer) -> Result<String> {
    let json = answer.json();
    anyhow::ensure!(answer.status == 200 && json["status"] == "tunnel", "{} {json}", answer.status);
    let url = json["url"].as_str().context("an address")?;
    Ok(url.strip_prefix("http://cobalt.example").with_context(|| url.to_owned())?.to_owned())
}

/// Is it this refusal, in cobalt's form?
fn is_refusal(answer: &Answer, status: u16, code: &str) -> bool {
    let json = answer.json();
    answer.status == status && json["status"] == "error" && json["error"]["code"] == json!(format!("error.api.{code}"))
}
