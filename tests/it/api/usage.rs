//! What callers have, and how much they may have on a day.

use std::time::Duration;

use anyhow::Result;
use haul_shared::job::{Failure, FailureKind};
use haul_tests::keys::Keys;
use haul_tests::processes::until;
use haul_tests::proxy::{Asked, Loss, Proxy};
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DOWNLOADS: &str = "/api/v1/downloads";
const USAGE: &str = "/api/v1/usage";

async fn usage(site: &Site, name: &str) -> Result<Value> {
    let mut told = site.ask(name, Method::GET, USAGE).await?.json();
    let resets = told["resets_at"].take();
    assert!(resets.as_str().is_some_and(|time| time.ends_with("T00:00:00.000Z")), "{resets}");
    Ok(told)
}

#[tokio::test]
async fn a_key_is_told_what_it_has_and_nothing_of_others() -> Result<()> {
    let site = Keys::of(&[("a", "bytes_per_day = 1000"), ("b", ""), ("c", "")])?.site(&[]).await?;
    for (name, url) in [("a", "1"), ("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")] {
        site.submit_as(name, &format!("http://127.0.0.1/{url}.mp4")).await?;
    }
    site.complete(b"12345").await?;
    site.fail(&Failure::new(FailureKind::Private, "")).await?;
    let jobs = |queued: u64, completed: u64, failed: u64| json!({ "queued": queued, "running": 0, "completed": completed, "failed": failed, "cancelled": 0, "expired": 0 });
    let of = |name: &str, jobs: Value, bytes: u64, most: Option<u64>| {
        json!({ "name": name, "jobs": jobs, "stored_bytes": bytes, "delivered_bytes_today": bytes,
            "bytes_per_day": most, "resets_at": null })
    };
    assert_eq!(usage(&site, "a").await?, of("a", jobs(1, 2, 1), 5, Some(1000)));
    assert_eq!(usage(&site, "b").await?, of("b", jobs(0, 1, 0), 5, None));
    assert_eq!(usage(&site, "c").await?, of("c", jobs(0, 0, 0), 0, None));
    assert_eq!(site.get(USAGE).await?.told(), "401 unauthorized");
    assert_eq!(site.ask("a", Method::GET, &format!("{USAGE}?name=b")).await?.told(), "422 invalid_request");

    // what was deleted has been delivered all the same
    let b = site.ask("b", Method::GET, DOWNLOADS).await?.json()["downloads"][0]["id"].clone();
    let gone = site.ask("b", Method::DELETE, &format!("{DOWNLOADS}/{}", b.as_str().unwrap())).await?;
    assert_eq!(gone.status, 204);
    let without = json!({ "name": "b", "jobs": jobs(0, 0, 0), "stored_bytes": 0, "delivered_bytes_today": 5,
        "bytes_per_day": null, "resets_at": null });
    until("what is counted is a moment old", async || usage(&site, "b").await.is_ok_and(|told| told == without))
        .await?;
    Ok(())
}

#[tokio::test]
async fn without_keys_a_private_service_counts_everybody_and_a_public_one_tells_strangers_nothing() -> Result<()> {
    let site = Site::with(&[("HAUL_TRUSTED_PROXIES", "127.0.0.1/32")]).await?;
    for from in ["192.0.2.1", "192.0.2.2"] {
        let order = site.request(Method::POST, DOWNLOADS).header("x-forwarded-for", from);
        assert_eq!(send(order.json(&json!({ "url": "http://127.0.0.1/v.mp4" }))).await?.status, 202);
    }
    site.complete(b"12345").await?;
    let told = site.get(USAGE).await?.json();
    assert_eq!(
        (&told["name"], &told["jobs"]["completed"], &told["bytes_per_day"]),
        (&json!(null), &json!(2), &json!(null))
    );
    assert_eq!((&told["stored_bytes"], &told["delivered_bytes_today"]), (&json!(5), &json!(5)), "it is one result");
    let public = Site::with(&[("HAUL_MODE", "public")]).await?;
    assert_eq!(public.get(USAGE).await?.told(), "403 forbidden");
    Ok(())
}

/// The count went on, but what came of it was thrown away, and whoever asked next began another.
#[tokio::test]
async fn who_asks_what_it_has_and_goes_away_begins_no_count_anew() -> Result<()> {
    let site = Site::start().await?;
    let wire = Proxy::to_redis(site.redis.address()).await;
    let api = site.another_api(&[("HAUL_REDIS_URL", &wire.redis_url())]).await?;
    // a count takes some time; a second one may be the first, sent again; a third would never end
    wire.delay(Duration::from_millis(100));
    wire.lose(Asked::Script("delivered"), 2, Loss::Held);
    let at = |path: &str| format!("http://{}{path}", api.address());
    for _ in 0..10 {
        let mut asker = TcpStream::connect(api.address()).await?;
        asker.write_all(format!("GET {USAGE} HTTP/1.1\r\nhost: haul\r\n\r\n").as_bytes()).await?;
        // meanwhile the question is read
        send(site.request_to(Method::GET, &at("/healthz"))).await?;
        asker.shutdown().await?;
        // closed from there as well: nobody there waits for the answer any more
        asker.read_to_end(&mut Vec::new()).await?;
    }
    let told = send(site.request_to(Method::GET, &at(USAGE))).await?;
    assert_eq!((told.status.as_u16(), wire.lost()), (200, 0));
    Ok(())
}

#[tokio::test]
async fn a_key_that_has_had_its_bytes_for_today_waits_for_tomorrow_and_what_is_under_way_goes_on() -> Result<()> {
    let site = Keys::of(&[("a", "bytes_per_day = 6"), ("b", "")])?.site(&[]).await?;
    let url = |n: u32| json!({ "url": format!("http://127.0.0.1/{n}.mp4") });
    let failed = site.submit_as("a", "http://127.0.0.1/0.mp4").await?;
    site.fail(&Failure::new(FailureKind::Private, "")).await?;
    for n in 1..=4 {
        assert_eq!(site.post_as("a", DOWNLOADS, &url(n)).await?.status, 202);
    }
    let promised = |n: u32| {
        site.request(Method::POST, DOWNLOADS).bearer_auth("key of a").header("idempotency-key", "k").json(&url(n))
    };
    let early = send(promised(5)).await?.json();
    site.complete(b"12345").await?;
    assert_eq!(site.post_as("a", DOWNLOADS, &url(6)).await?.status, 202, "one byte is left");
    site.complete(b"12345").await?;

    let refused = site.post_as("a", DOWNLOADS, &url(7)).await?;
    assert_eq!(refused.told(), "429 quota_exceeded");
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((1..=86_400).contains(&wait) && refused.json()["retry_after"] == wait, "{wait}");
    for (path, body) in [(DOWNLOADS.to_owned(), url(1)), (format!("{failed}/retry"), json!({}))] {
        assert_eq!(site.post_as("a", &path, &body).await?.told(), "429 quota_exceeded", "{path}");
    }
    let batch = site.post_as("a", &format!("{DOWNLOADS}/batch"), &json!({ "downloads": [url(8), url(1)] })).await?;
    for item in batch.json()["results"].as_array().unwrap() {
        assert_eq!((&item["status"], &item["error"]["code"]), (&json!(429), &json!("quota_exceeded")));
    }
    let again = send(promised(5)).await?;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (202, &early["id"]), "that was promised before");
    assert_eq!(site.post_as("b", DOWNLOADS, &url(9)).await?.status, 202);

    for _ in 0..5 {
        site.complete(b"12345").await?;
    }
    assert_eq!(usage(&site, "a").await?["delivered_bytes_today"], 30, "more than it may have, for it was under way");
    Ok(())
}
