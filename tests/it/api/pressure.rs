//! What several APIs hold together, and what clients are told when there is too much of them.

use anyhow::Result;
use haul_tests::house::{DOWNLOADS, House, Store};
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::json;

/// Orders something else each time.
async fn order(house: &House, api: usize, another: &haul_tests::processes::Process, n: usize) -> Result<Answer> {
    let api = if api == 0 { &house.api } else { another };
    let body = json!({ "url": format!("http://127.0.0.1/{n}.mp4") });
    send(house.request(api, Method::POST, DOWNLOADS).json(&body)).await
}

#[tokio::test]
async fn two_apis_share_the_rate_of_a_client() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_RATE_DOWNLOADS", "3/m")]).await?;
    let another = house.another_api(&[]).await?;
    for n in 0..3 {
        assert_eq!(order(&house, n % 2, &another, n).await?.status, 202);
    }
    // each API by itself would still let one pass
    for n in 3..6 {
        let refused = order(&house, n % 2, &another, n).await?;
        assert_eq!(refused.told(), "429 rate_limited");
        let wait: u64 = refused.header("retry-after").parse()?;
        assert!((1..=20).contains(&wait), "{wait}");
        assert_eq!((refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), ("3", "0"));
        let reset: u64 = refused.header("x-ratelimit-reset").parse()?;
        assert!((wait + 39..=wait + 41).contains(&reset), "one is back after {wait} s, all are after {reset} s");
    }
    let metrics = String::from_utf8(house.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_rate_limited_total{class=\"downloads\"} 1"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_batch_is_charged_by_all_apis_together_and_says_how_it_stands() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_RATE_DOWNLOADS", "3/m")]).await?;
    let another = house.another_api(&[]).await?;
    assert_eq!(order(&house, 1, &another, 0).await?.status, 202);
    let item = |n: usize| json!({ "url": format!("http://127.0.0.1/{n}.mp4") });
    let body = json!({ "downloads": [item(1), item(2), item(3)] });
    let answer = house.ask(Method::POST, &format!("{DOWNLOADS}/batch"), &body).await?;
    let results = answer.json()["results"].clone();
    let statuses: Vec<_> = results.as_array().expect("a list").iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [202, 202, 429]);
    assert!(results[2]["error"]["retry_after"].as_u64().is_some_and(|wait| (1..=20).contains(&wait)), "{results}");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    Ok(())
}

#[tokio::test]
async fn who_comes_again_with_a_promise_is_not_charged_again() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_RATE_DOWNLOADS", "3/m")]).await?;
    let another = house.another_api(&[]).await?;
    let body = json!({ "url": "http://127.0.0.1/v.mp4" });
    let mut ids = Vec::new();
    for api in [&house.api, &another, &house.api, &another] {
        let request = house.request(api, Method::POST, DOWNLOADS).json(&body).header("idempotency-key", "order-17");
        let answer = send(request).await?;
        assert_eq!(answer.status, 202);
        ids.push(answer.json()["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(order(&house, 1, &another, 1).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn who_has_a_webhook_sent_again_is_charged_as_for_a_download_by_all_apis_together() -> Result<()> {
    let secret = ("HAUL_WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let house = House::open(Store::Disk, &[("HAUL_RATE_DOWNLOADS", "3/h"), secret]).await?;
    let another = house.another_api(&[]).await?;
    let job =
        house.order(&json!({ "url": "http://127.0.0.1/v.mp4", "webhook": { "url": "http://127.0.0.1/hook" } })).await?;
    assert_eq!(house.ask(Method::DELETE, &job, &json!(null)).await?.json()["status"], "cancelled");
    let again = async |api| send(house.request(api, Method::POST, &format!("{job}/webhook/redeliver"))).await;
    for api in [&another, &another] {
        assert_eq!(again(api).await?.status, 202);
    }
    // each API by itself would still let one pass
    for api in [&house.api, &another] {
        let refused = again(api).await?;
        assert_eq!(refused.told(), "429 rate_limited");
        assert!((1..=1200).contains(&refused.header("retry-after").parse::<u64>()?), "{refused:?}");
    }
    assert_eq!(order(&house, 0, &another, 1).await?.told(), "429 rate_limited");
    let metrics = String::from_utf8(house.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_rate_limited_total{class=\"downloads\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back_and_takes_no_more() -> Result<()> {
    let site = Site::with(&[("HAUL_QUEUE_LIMIT", "1")]).await?;
    site.submit("http://127.0.0.1/1.mp4").await?;
    let refused = site.post(DOWNLOADS, &json!({ "url": "http://127.0.0.1/2.mp4" })).await?;
    assert_eq!(refused.told(), "503 queue_full");
    assert!((5..=600).contains(&refused.header("retry-after").parse::<u64>()?), "{refused:?}");
    let shown = site.get(DOWNLOADS).await?.json();
    assert_eq!(shown["downloads"].as_array().map(Vec::len), Some(1));
    Ok(())
}
