//! The life of a download as its client sees it.

use std::time::{Duration, Instant};

use anyhow::Result;
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::store::Beat;
use haul_tests::processes::until;
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::{Value, json};

const DOWNLOADS: &str = "/api/v1/downloads";
const MEDIA: &str = "http://127.0.0.1/v.mp4";

#[tokio::test]
async fn a_download_is_accepted_with_its_place() -> Result<()> {
    let site = Site::start().await?;
    let answer = site.post(DOWNLOADS, &json!({ "url": MEDIA, "tags": ["talks"] })).await?;
    let job = answer.json();
    assert_eq!(answer.status, 202);
    let this = format!("{}{DOWNLOADS}/{}", site.url, job["id"].as_str().unwrap());
    assert_eq!((answer.header("location"), &job["links"]["self"]), (this.as_str(), &json!(this)));
    assert_eq!((&job["status"], &job["queue_position"], &job["attempt"]), (&json!("queued"), &json!(1), &json!(0)));
    assert_eq!((&job["request"]["tags"], &job["request"]["expires_in"]), (&json!(["talks"]), &json!(86_400)));
    assert_eq!(send(site.request_to(Method::GET, &this)).await?.json(), job);
    Ok(())
}

#[tokio::test]
async fn two_who_ask_for_the_same_get_two_ids_and_the_third_the_result() -> Result<()> {
    let site = Site::start().await?;
    let (one, two) = (site.submit(MEDIA).await?, site.submit(MEDIA).await?);
    assert_ne!(one, two);
    site.complete(b"media").await?;
    for job in [&one, &two] {
        let job = site.get(job).await?.json();
        assert_eq!((&job["status"], &job["progress"]["percent"]), (&json!("completed"), &json!(100.0)));
    }
    let third = site.post(DOWNLOADS, &json!({ "url": MEDIA })).await?;
    assert_eq!((third.status.as_u16(), &third.json()["status"]), (200, &json!("completed")));
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_job_or_a_conflict() -> Result<()> {
    let site = Site::start().await?;
    let post = async |key: &str, body: Value| {
        send(site.request(Method::POST, DOWNLOADS).header("idempotency-key", key).json(&body)).await
    };
    let first = post("order-17", json!({ "url": MEDIA })).await?;
    let again = post("order-17", json!({ "url": MEDIA })).await?;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let other = post("order-17", json!({ "url": MEDIA, "format": "webm" })).await?;
    assert_eq!(other.told(), "409 idempotency_conflict");
    assert_ne!(post("order-18", json!({ "url": MEDIA })).await?.json()["id"], first.json()["id"]);
    Ok(())
}

#[tokio::test]
async fn each_of_a_batch_has_the_status_it_would_have_had_alone() -> Result<()> {
    let site = Site::start().await?;
    let items = json!([{ "url": MEDIA }, { "url": "ftp://a.example/" }, 7, { "url": MEDIA, "format": "mp3" }]);
    let answer = site.post("/api/v1/downloads/batch", &json!({ "downloads": items })).await?;
    assert_eq!(answer.status, 207);
    let results = answer.json()["results"].clone();
    let statuses: Vec<_> = results.as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, [202, 422, 422, 202]);
    assert_eq!((&results[0]["job"]["status"], results[0].get("error")), (&json!("queued"), None));
    assert_eq!((&results[1]["error"]["code"], results[1].get("job")), (&json!("unsupported_url"), None));
    assert_eq!(results[1]["error"]["errors"][0]["pointer"], "/url");
    for body in [json!({ "downloads": [] }), json!({}), json!({ "downloads": vec![json!({ "url": MEDIA }); 11] })] {
        assert_eq!(site.post("/api/v1/downloads/batch", &body).await?.told(), "422 invalid_request");
    }
    Ok(())
}

#[tokio::test]
async fn the_list_goes_from_new_to_old_by_cursor_and_filter() -> Result<()> {
    let site = Site::start().await?;
    let mut ids = Vec::new();
    for index in 0..7 {
        let body = json!({
            "url": format!("{MEDIA}?{index}"), "external_id": format!("order-{index}"),
            "tags": if index % 2 == 0 { vec!["even", "all"] } else { vec!["all"] },
        });
        ids.insert(0, site.post(DOWNLOADS, &body).await?.json()["id"].clone());
    }
    let listed = async |query: &str| {
        let list = site.get(&format!("{DOWNLOADS}?{query}")).await?.json();
        let ids: Vec<Value> = list["downloads"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
        anyhow::Ok((ids, list["next_cursor"].clone()))
    };
    assert_eq!(listed("").await?, (ids.clone(), Value::Null));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (part, next) = listed(&format!("limit=3{cursor}")).await?;
        assert!(part.len() <= 3);
        seen.extend(part);
        let Some(next) = next.as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
    assert_eq!(listed("tag=even").await?.0.len(), 4);
    assert_eq!(listed("tag=odd").await?, (Vec::new(), Value::Null));
    assert_eq!(listed("external_id=order-3").await?.0, [ids[3].clone()]);
    assert_eq!(listed("status=queued&tag=all&limit=7").await?, (ids, Value::Null));
    assert_eq!(listed("status=completed").await?.0.len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_answer_waits_for_a_change() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let before = site.get(&job).await?;
    let etag = before.header("etag").to_owned();
    let known = || site.request(Method::GET, &job).header("if-none-match", &etag);
    assert_eq!(send(known()).await?.status, 304);

    let waiting =
        tokio::spawn(send(site.request(Method::GET, &format!("{job}?wait=60")).header("if-none-match", &etag)));
    let leased = site.lease().await?;
    let progress = Progress { downloaded_bytes: Some(7), ..Progress::at(Stage::Download, 0.5) };
    site.jobs.heartbeat(&[Beat { lease: leased.lease, progress, media: None }]).await?;
    let began = Instant::now();
    let changed = waiting.await??;
    assert!(began.elapsed() < Duration::from_secs(50), "it has not waited to the end");
    assert_eq!((changed.status.as_u16(), &changed.json()["status"]), (200, &json!("running")));
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(send(known()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_does_not_wait_for_what_has_ended_and_not_longer_than_asked() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let began = Instant::now();
    let etag = site.get(&job).await?.header("etag").to_owned();
    let waited = send(site.request(Method::GET, &format!("{job}?wait=1")).header("if-none-match", &etag)).await?;
    assert_eq!(waited.status, 304);
    assert!(began.elapsed() >= Duration::from_secs(1));
    site.delete(&job).await?;
    let began = Instant::now();
    assert_eq!(site.get(&format!("{job}?wait=60")).await?.json()["status"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(50), "it has not waited to the end");
    Ok(())
}

#[tokio::test]
async fn who_waits_is_not_held_when_the_api_stops() -> Result<()> {
    let mut site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let waiting = tokio::spawn(send(site.request(Method::GET, &format!("{job}?wait=60"))));
    let mut connection = site.redis.connection().await?;
    until("it is watched", async || {
        let channels = redis::cmd("PUBSUB").arg("CHANNELS").query_async::<Vec<String>>(&mut connection).await;
        channels.is_ok_and(|channels| !channels.is_empty())
    })
    .await?;
    let began = Instant::now();
    site.stop().await?;
    assert!(began.elapsed() < Duration::from_secs(9));
    assert_eq!(waiting.await??.json()["status"], "queued");
    Ok(())
}

#[tokio::test]
async fn many_lists_at_once_do_not_wait_for_each_other() -> Result<()> {
    // Each held one connection to Redis while it waited for another: all that there are, and nobody went on.
    let site = Site::with(&[("HAUL_REDIS_POOL_SIZE", "2")]).await?;
    site.submit(MEDIA).await?;
    let lists = futures::future::try_join_all((0..20).map(|_| site.get("/api/v1/downloads"))).await?;
    for list in lists {
        assert_eq!((list.status.as_u16(), list.json()["downloads"].as_array().map(Vec::len)), (200, Some(1)));
    }
    Ok(())
}

#[tokio::test]
async fn delete_cancels_and_then_forgets() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let cancelled = site.delete(&job).await?;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["status"]), (202, &json!("cancelled")));
    assert_eq!(site.get(&format!("{job}/link")).await?.told(), "409 cancelled");
    assert_eq!(site.delete(&job).await?.status, 204);
    assert_eq!(site.get(&job).await?.told(), "404 not_found");
    assert_eq!(site.delete(&job).await?.told(), "404 not_found");
    Ok(())
}

#[tokio::test]
async fn cancelling_deletes_nothing_however_often_it_is_asked_for() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let cancel = async || anyhow::Ok(send(site.request(Method::POST, &format!("{job}/cancel"))).await?);
    for status in [202, 200] {
        let answer = cancel().await?;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (status, &json!("cancelled")));
        assert_eq!(answer.json(), site.get(&job).await?.json());
    }
    send(site.request(Method::POST, &format!("{job}/retry"))).await?;
    site.complete(b"media").await?;
    // who saw it running, and pressed too late
    let answer = cancel().await?;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("completed")));
    assert_eq!(site.get(&format!("{job}/content")).await?.body, b"media");
    site.delete(&job).await?;
    assert_eq!(cancel().await?.told(), "404 not_found");
    Ok(())
}

#[tokio::test]
async fn while_a_worker_stops_delete_says_so_again() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let leased = site.lease().await?;
    for _ in 0..2 {
        assert_eq!(site.delete(&job).await?.status, 202);
    }
    site.jobs.fail(&leased.lease, &Failure::new(FailureKind::Internal, "stopped"), Duration::ZERO).await?;
    assert_eq!(site.get(&job).await?.json()["status"], "cancelled");
    assert_eq!(site.delete(&job).await?.status, 204);
    Ok(())
}

#[tokio::test]
async fn a_failed_download_tells_why_and_can_be_tried_again() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    assert_eq!(send(site.request(Method::POST, &format!("{job}/retry"))).await?.told(), "409 not_retryable");
    site.fail(&Failure::new(FailureKind::GeoBlocked, "the uploader has not made this available")).await?;
    let failed = site.get(&job).await?.json();
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("geo_blocked")));
    assert_eq!((&failed["error"]["retryable"], failed["error"].get("detail")), (&json!(false), None));
    for rest in ["link", "content"] {
        assert_eq!(site.get(&format!("{job}/{rest}")).await?.told(), "409 geo_blocked");
    }
    let again = send(site.request(Method::POST, &format!("{job}/retry"))).await?;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (202, &json!("queued")));
    assert_eq!(again.json()["id"], failed["id"]);
    site.complete(b"media").await?;
    assert_eq!(site.get(&job).await?.json()["status"], "completed");
    assert_eq!(send(site.request(Method::POST, &format!("{job}/retry"))).await?.told(), "409 not_retryable");
    Ok(())
}

#[tokio::test]
async fn a_download_that_waits_for_its_next_attempt_is_queued_and_says_when() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    site.fail(&Failure::new(FailureKind::Network, "reset")).await?;
    let waiting = site.get(&job).await?.json();
    assert_eq!((&waiting["status"], &waiting["error"]["code"]), (&json!("queued"), &json!("network")));
    assert!(waiting["next_attempt_at"].is_string());
    assert_eq!(waiting["progress"]["percent"], 0.0);
    assert_eq!(site.get(&format!("{job}/link")).await?.told(), "409 not_ready");
    Ok(())
}
