//! What a key may order, and how one is made.

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind};
use haul_tests::keys::{Keys, text};
use haul_tests::processes::{said, until};
use haul_tests::site::send;
use reqwest::Method;
use serde_json::{Value, json};

const DOWNLOADS: &str = "/api/v1/downloads";
const METADATA: &str = "/api/v1/metadata";
const PLAN: &str = "/api/v1/plan";

/// The code, and the places that it names.
fn told(answer: &Value) -> (&str, Vec<&str>) {
    let places = answer["errors"].as_array().into_iter().flatten().filter_map(|fault| fault["pointer"].as_str());
    (answer["code"].as_str().unwrap_or_default(), places.collect())
}

#[tokio::test]
async fn a_key_orders_only_what_it_may_by_whichever_route() -> Result<()> {
    let narrow = "formats = [\"mp3\", \"m4a\"]\nsites = [\"video.example\"]";
    let site = Keys::of(&[("narrow", narrow), ("wide", "")])?.site(&[]).await?;
    let body = |url: &str, format: &str| json!({ "url": url, "format": format });
    for (url, format, places) in [
        ("https://video.example/1", "mp3", vec![]),
        ("https://a.video.example/1", "m4a", vec![]),
        ("https://video.example/1", "mp4", vec!["/format"]),
        ("https://notvideo.example/1", "mp3", vec!["/url"]),
        ("https://other.example/video.example", "flac", vec!["/url", "/format"]),
    ] {
        let alone = site.post_as("narrow", DOWNLOADS, &body(url, format)).await?;
        let batch = json!({ "downloads": [body(url, format), body("https://video.example/1", "mp3")] });
        let batch = site.post_as("narrow", &format!("{DOWNLOADS}/batch"), &batch).await?.json();
        if places.is_empty() {
            assert_eq!((alone.status.as_u16(), &batch["results"][0]["status"]), (202, &json!(202)), "{url} {format}");
        } else {
            assert_eq!((alone.status.as_u16(), told(&alone.json())), (403, ("forbidden", places.clone())));
            let plan = site.post_as("narrow", PLAN, &body(url, format)).await?;
            assert_eq!((plan.status.as_u16(), told(&plan.json())), (403, ("forbidden", places.clone())));
            assert_eq!(batch["results"][0]["status"], 403);
            assert_eq!(told(&batch["results"][0]["error"]), ("forbidden", places));
        }
        assert_eq!(batch["results"][1]["status"], 202, "one that may not spoils no other");
        assert_eq!(site.post_as("wide", DOWNLOADS, &body(url, format)).await?.status, 202, "{url} {format}");
    }
    let detail =
        site.post_as("narrow", DOWNLOADS, &body("https://video.example/1", "mp4")).await?.json()["detail"].clone();
    assert_eq!(detail, "Not allowed to this API key: format is mp4, and this API key may order only mp3, m4a.");

    // a look, and forgetting what another one has looked at
    let elsewhere = "https://other.example/1";
    let look = site.post_as("narrow", METADATA, &json!({ "url": elsewhere })).await?;
    assert_eq!((look.status.as_u16(), told(&look.json())), (403, ("forbidden", vec!["/url"])));
    let picture = format!("{METADATA}/thumbnail?url=https%3A%2F%2Fother.example%2F1");
    assert_eq!(site.ask("narrow", Method::GET, &picture).await?.told(), "403 forbidden");
    let forget = |url: &str| format!("{METADATA}?url={}", url.replace(':', "%3A").replace('/', "%2F"));
    for (name, url, status) in
        [("narrow", elsewhere, 403), ("narrow", "https://video.example/1", 204), ("wide", elsewhere, 204)]
    {
        assert_eq!(site.ask(name, Method::DELETE, &forget(url)).await?.status, status, "{name} {url}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_key_may_no_more_order_it_cannot_try_again_but_still_sees() -> Result<()> {
    let keys = Keys::of(&[("a", "")])?;
    let site = keys.site(&[]).await?;
    let job = site.submit_as("a", "http://127.0.0.1/v.mp4").await?;
    site.fail(&Failure::new(FailureKind::Private, "")).await?;
    std::fs::write(keys.path(), text(&[("a", "formats = [\"mp3\"]")]))?;
    let retry = format!("{job}/retry");
    let order = json!({ "url": "http://127.0.0.1/w.mp4" });
    until("the key may order less", async || {
        site.post_as("a", DOWNLOADS, &order).await.is_ok_and(|answer| answer.status == 403)
    })
    .await?;
    assert_eq!(told(&site.post_as("a", &retry, &json!({})).await?.json()), ("forbidden", vec!["/format"]));
    assert_eq!(site.ask("a", Method::GET, &job).await?.json()["status"], "failed");
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_shown_once_and_its_entry_can_be_pasted() -> Result<()> {
    let keys = Keys::of(&[("first", "")])?;
    let names = [("studio", None), ("it's \"a\" = [b] # \\ é", None), ("-", None), ("page", Some("--uuid"))];
    for (name, option) in names {
        let line: Vec<_> = ["key", "new"].into_iter().chain(option).chain(["--", name]).collect();
        let made = said("haul-api", &line).await?;
        assert!(made.status.success(), "{made:?}");
        let key = String::from_utf8(made.stdout)?;
        let (key, entry) = (key.strip_suffix('\n').context("a line")?, String::from_utf8(made.stderr)?);
        if option.is_none() {
            let is_plain = key.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
            assert!(key.starts_with("haul_") && key.len() == 48 && is_plain, "{key}");
        } else {
            let is_hex = |part: &str| part.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
            let parts: Vec<_> = key.split('-').filter(|part| is_hex(part)).map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{key} is none that cobalt's page takes");
        }
        assert!(!entry.contains(&key[5..]), "{entry}");

        std::fs::write(keys.path(), text(&[("first", "")]).trim_end().to_owned() + "\n" + &entry)?;
        let site = keys.site(&[]).await?;
        let usage = send(site.request(Method::GET, "/api/v1/usage").bearer_auth(key)).await?;
        assert_eq!(usage.json()["name"], name);
    }
    for name in ["", &"a".repeat(65), "two\nlines"] {
        let refused = said("haul-api", &["key", "new", name]).await?;
        assert_eq!((refused.status.code(), refused.stdout.is_empty()), (Some(2), true), "{name:?}");
        assert!(!String::from_utf8(refused.stderr)?.contains("[[keys]]"));
    }
    Ok(())
}

#[tokio::test]
async fn which_sites_others_fetch_from_is_told_to_admins_only() -> Result<()> {
    let site = Keys::of(&[("a", ""), ("b", ""), ("admin", "admin = true")])?.site(&[]).await?;
    for n in 0..8 {
        site.submit_as("a", &format!("http://127.0.0.1/{n}.mp4")).await?;
        site.fail(&Failure::new(FailureKind::SiteBlocked, "")).await?;
    }
    let stats = async |name: &str| anyhow::Ok(site.ask(name, Method::GET, "/api/v1/stats").await?.json());
    assert_eq!(stats("admin").await?["site_breakers"][0]["site"], "127.0.0.1");
    assert_eq!(stats("b").await?["site_breakers"], json!([]));
    Ok(())
}
