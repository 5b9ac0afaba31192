//! Who may use which cookies: what the API says in an order.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use haul_shared::cookies::Cookies;
use haul_shared::job::{Failure, FailureKind};
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

const DOWNLOADS: &str = "/api/v1/downloads";

fn keys(entries: &[(&str, &str)]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for (name, more) in entries {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n{more}")?;
    }
    Ok(file)
}

async fn post(site: &Site, key: &str, path: &str, body: &Value) -> Result<Value> {
    let answer = send(site.request(Method::POST, path).bearer_auth(key).json(body)).await?;
    anyhow::ensure!(answer.status.is_success(), "{}", answer.told());
    Ok(answer.json())
}

/// Whose cookies the next order may use, which then fails.
async fn ordered(site: &Site) -> Result<String> {
    let leased = site.lease().await?;
    site.jobs.fail(&leased.lease, &Failure::new(FailureKind::Private, ""), std::time::Duration::ZERO).await?;
    Ok(leased.spec.context("an order")?.cookies().clone().into())
}

#[tokio::test]
async fn the_key_decides_whose_cookies_an_order_may_use_also_in_a_batch_and_tried_again() -> Result<()> {
    let of = "cookies = [\"video.example\", \"www.video.example\"]";
    let file = keys(&[("member", of), ("stranger", "admin = true")])?;
    let site = Site::with(&[("HAUL_API_KEYS_FILE", &file.path().display().to_string())]).await?;
    for (key, url, jar) in [
        ("member", "https://video.example/1", "video.example"),
        ("member", "https://cdn.video.example/1", "video.example"),
        ("member", "https://a.www.video.example/1", "www.video.example"),
        ("member", "https://evilvideo.example/1", ""),
        ("member", "https://video.example.evil.example/1", ""),
        ("stranger", "https://video.example/1", ""),
    ] {
        let job = post(&site, key, DOWNLOADS, &json!({ "url": url })).await?;
        assert_eq!(ordered(&site).await?, jar, "{key} {url}");
        let again = format!("{DOWNLOADS}/{}/retry", job["id"].as_str().context("an id")?);
        post(&site, key, &again, &json!({})).await?;
        assert_eq!(ordered(&site).await?, jar, "{key} {url}, again");
    }
    let batch = json!({ "downloads": [{ "url": "https://video.example/2" }, { "url": "https://other.example/2" }] });
    post(&site, "member", &format!("{DOWNLOADS}/batch"), &batch).await?;
    let mut both = [ordered(&site).await?, ordered(&site).await?];
    both.sort();
    assert_eq!(both, ["", "video.example"]);

    // two who ask for the same at once, one with a jar: two runs
    let url = json!({ "url": "https://video.example/3" });
    for key in ["member", "stranger"] {
        post(&site, key, DOWNLOADS, &url).await?;
    }
    let mut both = [ordered(&site).await?, ordered(&site).await?];
    both.sort();
    assert_eq!(both, ["", "video.example"]);
    Ok(())
}

#[tokio::test]
async fn without_a_key_cookies_are_for_a_person_alone_and_never_for_strangers() -> Result<()> {
    for (mode, cookies) in [("private", Cookies::Any), ("public", Cookies::None)] {
        let site = Site::with(&[("HAUL_MODE", mode)]).await?;
        site.submit("https://video.example/1").await?;
        assert_eq!(ordered(&site).await?, String::from(cookies), "{mode}");
    }
    Ok(())
}
