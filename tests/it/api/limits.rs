//! How often a client may ask, and what it is told.

use anyhow::Result;
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::json;

const DOWNLOADS: &str = "/api/v1/downloads";

#[tokio::test]
async fn downloads_are_limited_and_reads_are_not() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_DOWNLOADS", "3/m")]).await?;
    let body = json!({ "url": "http://127.0.0.1/v.mp4" });
    for remaining in ["2", "1", "0"] {
        let answer = site.post(DOWNLOADS, &body).await?;
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("3", remaining));
    }
    let refused = site.post(DOWNLOADS, &body).await?;
    assert_eq!(refused.told(), "429 rate_limited");
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(refused.json()["retry_after"], wait);
    assert_eq!((refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), ("3", "0"));
    assert!(!refused.header("x-ratelimit-reset").is_empty());
    assert_eq!(site.get(DOWNLOADS).await?.status, 200);
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_rate_limited_total{class=\"downloads\"} 1"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_batch_pays_for_each_of_its_items() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_DOWNLOADS", "3/m")]).await?;
    let item = |index: u32| json!({ "url": format!("http://127.0.0.1/{index}.mp4") });
    let body = json!({ "downloads": [item(1), { "url": 7 }, item(3), item(4)] });
    let results = site.post("/api/v1/downloads/batch", &body).await?.json()["results"].clone();
    let statuses: Vec<_> = results.as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, [202, 422, 202, 429]);
    assert_eq!(results[3]["error"]["code"], "rate_limited");
    Ok(())
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_READS", "2/h"), ("HAUL_TRUSTED_PROXIES", "127.0.0.0/8")]).await?;
    let ask = async |forwarded: &str| {
        let request = site.request(Method::GET, DOWNLOADS).header("x-forwarded-for", forwarded);
        anyhow::Ok(send(request).await?.status.as_u16())
    };
    // the left-most entry is the client's own word: it does not make a new client
    for (index, expected) in [(1, 200), (2, 200), (3, 429)] {
        assert_eq!(ask(&format!("6.6.6.{index}, 203.0.113.9")).await?, expected);
    }
    assert_eq!(ask("203.0.113.10").await?, 200);
    assert_eq!(ask("2001:db8:1:2::1").await?, 200);
    assert_eq!(ask("2001:db8:1:2::2").await?, 200);
    assert_eq!(ask("2001:db8:1:2::3").await?, 429);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() -> Result<()> {
    let site = Site::with(&[("HAUL_CLIENT_QUEUE_LIMIT", "1"), ("HAUL_QUEUE_LIMIT", "2")]).await?;
    site.submit("http://127.0.0.1/1.mp4").await?;
    let refused = site.post(DOWNLOADS, &json!({ "url": "http://127.0.0.1/2.mp4" })).await?;
    assert_eq!(refused.told(), "429 client_queue_full");
    assert!(refused.header("retry-after").parse::<u64>()? >= 1);
    Ok(())
}
