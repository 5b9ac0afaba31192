//! Many at once, over several APIs: one run, one promise, one limit.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use haul_tests::media;
use haul_tests::processes::Process;
use haul_tests::site::Answer;

use super::*;

/// Sends a request for a download to one of several APIs, under a key if there is one.
async fn post(house: &House, api: &Process, body: &Value, key: Option<&str>) -> Result<Answer> {
    let request = house.request(api, Method::POST, DOWNLOADS).json(body);
    send(match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    })
    .await
}

fn id(answer: &Answer) -> Result<String> {
    answer.json()["id"].as_str().map(str::to_owned).with_context(|| answer.told())
}

#[tokio::test]
async fn five_hundred_orders_over_three_apis_are_one_run_with_five_hundred_ids() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let others = [house.another_api(&[]).await?, house.another_api(&[]).await?];
    let apis = [&house.api, &others[0], &others[1]];
    let file = std::fs::read(media::file("progressive.mp4"))?;
    house.origin.put("/alone.mp4", file.clone());
    house.origin.put("/wanted.mp4", file);
    let _worker = house.worker(&[]).await?;
    let alone = house.order(&request(&house.origin.url("/alone.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&alone).await?, "completed");

    let wanted = request(&house.origin.url("/wanted.mp4"), json!({}));
    let posts = (0..500).map(|n| post(&house, apis[n % 3], &wanted, None));
    let answers = futures::future::try_join_all(posts).await?;
    let ids = answers.iter().map(id).collect::<Result<BTreeSet<String>>>()?;
    assert_eq!(ids.len(), 500);
    let mut results = BTreeSet::new();
    for id in &ids {
        let view = house.end(&format!("{DOWNLOADS}/{id}")).await?;
        assert_eq!((&view["id"], &view["status"]), (&json!(id), &json!("completed")), "{view}");
        results.insert(view["result"].to_string());
    }
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(house.origin.hits("/wanted.mp4"), house.origin.hits("/alone.mp4"));
    assert_eq!(house.stored(), 2);
    audit(&house.redis).await
}

#[tokio::test]
async fn one_idempotency_key_is_one_job_whichever_api_is_asked() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let other = house.another_api(&[]).await?;
    for round in 0..10 {
        let key = format!("order-{round}");
        // no two of them are the same thing to the service: only the key makes them one
        let body = request(&house.origin.url(&format!("/{round}.mp4")), json!({ "external_id": key }));
        let posts = (0..20).map(|n| post(&house, if n % 2 == 0 { &house.api } else { &other }, &body, Some(&key)));
        let answers = futures::future::try_join_all(posts).await?;
        assert!(answers.iter().all(|answer| answer.status == 202), "{}", answers[0].told());
        let ids = answers.iter().map(id).collect::<Result<BTreeSet<String>>>()?;
        assert_eq!(ids.len(), 1);

        let another = request(&house.origin.url("/another.mp4"), json!({}));
        for api in [&house.api, &other] {
            assert_eq!(post(&house, api, &another, Some(&key)).await?.told(), "409 idempotency_conflict");
            let path = format!("{DOWNLOADS}?external_id={key}");
            let list = send(house.request(api, Method::GET, &path)).await?.json();
            let listed: Vec<_> = list["downloads"].as_array().context("a list")?.iter().map(|job| &job["id"]).collect();
            assert_eq!(listed, ids.iter().collect::<Vec<_>>(), "one job goes by this name");
        }
    }
    audit(&house.redis).await
}

#[tokio::test]
async fn two_bodies_race_for_one_key_and_exactly_one_wins() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let other = house.another_api(&[]).await?;
    for round in 0..10 {
        let key = format!("race-{round}");
        let body = |n: usize| request(&house.origin.url(&format!("/{round}-{}.mp4", n % 2)), json!({}));
        let bodies: Vec<Value> = (0..20).map(body).collect();
        let posts = bodies.iter().enumerate().map(|(n, body)| {
            let api = if n < 10 { &house.api } else { &other };
            post(&house, api, body, Some(&key))
        });
        let answers = futures::future::try_join_all(posts).await?;
        let told: BTreeSet<String> = answers.iter().map(Answer::told).collect();
        assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), ["202", "409 idempotency_conflict"]);
        let accepted = answers.iter().filter(|answer| answer.status == 202);
        assert_eq!(accepted.map(id).collect::<Result<BTreeSet<String>>>()?.len(), 1);
    }
    let list = house.get(&format!("{DOWNLOADS}?limit=100")).await?.json();
    assert_eq!(list["downloads"].as_array().map(Vec::len), Some(10));
    audit(&house.redis).await
}

#[tokio::test]
async fn a_flood_is_refused_at_the_limits_and_takes_no_memory() -> Result<()> {
    let variables =
        [("HAUL_QUEUE_LIMIT", "1000"), ("HAUL_CLIENT_QUEUE_LIMIT", "100"), ("HAUL_TRUSTED_PROXIES", "127.0.0.0/8")];
    let house = House::open(Store::Disk, &variables).await?;
    let flood = async |client: usize, count: usize| {
        let posts = (0..count).map(|n| {
            let order = request(&house.origin.url(&format!("/{client}-{n}.mp4")), json!({}));
            let from = format!("203.0.113.{client}");
            send(house.request(&house.api, Method::POST, DOWNLOADS).header("x-forwarded-for", from).json(&order))
        });
        let answers: Vec<Result<Answer>> = futures::stream::iter(posts).buffer_unordered(16).collect().await;
        answers.into_iter().collect::<Result<Vec<Answer>>>()
    };
    let told = |answers: &[Answer], told: &str| answers.iter().filter(|answer| answer.told() == told).count();
    let first = flood(0, 120).await?;
    assert_eq!((told(&first, "202"), told(&first, "429 client_queue_full")), (100, 20));
    for client in 1..10 {
        assert_eq!(told(&flood(client, 100).await?, "202"), 100);
    }
    let before = house.api.peak_memory()?;
    let mut refused = first;
    for client in 10..20 {
        let answers = flood(client, 150).await?;
        assert_eq!(told(&answers, "503 queue_full"), 150);
        refused.extend(answers);
    }
    let more = house.api.peak_memory()?.saturating_sub(before);
    assert!(more < 8 << 20, "{more} bytes more");
    for answer in refused.iter().filter(|answer| answer.status != 202) {
        let wait: u64 = answer.header("retry-after").parse()?;
        assert!((5..=600).contains(&wait), "{wait}");
    }
    audit(&house.redis).await
}
