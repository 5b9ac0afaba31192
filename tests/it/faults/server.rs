//! Redis that dies, forgets, or is full.

use futures::StreamExt as _;

use super::*;

#[tokio::test]
async fn what_was_answered_with_202_is_there_after_redis_was_killed_in_the_middle_of_a_burst() -> Result<()> {
    for sync in ["everysec", "always"] {
        let mut house = House::open(Store::Disk, &[]).await?;
        house.redis.set("appendfsync", sync).await?;
        let orders = addresses(&house.origin, None, 200);
        let (mut accepted, mut refused) = (Vec::new(), 0);
        let mut killed = false;
        let mut answers = futures::stream::iter(&orders)
            .map(|order| send(house.request(&house.api, Method::POST, DOWNLOADS).json(order)))
            .buffer_unordered(16);
        while let Some(answer) = answers.next().await {
            let answer = answer?;
            match answer.status.as_u16() {
                202 => accepted.push(answer.json()["id"].as_str().context("an id")?.to_owned()),
                503 => refused += 1,
                _ => anyhow::bail!("{}", answer.told()),
            }
            if accepted.len() > 100 && !killed {
                // sixteen are under way
                house.redis.signal(Signal::KILL)?;
                killed = true;
            }
        }
        drop(answers);
        assert!(killed && refused > 0, "{} accepted, {refused} refused", accepted.len());
        house.redis.kill()?;
        house.redis.restart().await?;
        audit(&house.redis).await?;
        for id in &accepted {
            let view = house.get(&format!("{DOWNLOADS}/{id}")).await?.json();
            assert_eq!((&view["id"], &view["status"]), (&json!(id), &json!("queued")), "{view}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn when_redis_has_forgotten_everything_programs_end_and_ids_are_unknown() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4")]).await?;
    let worker = house.worker(&[]).await?;
    let jobs = order_all(&house, &addresses(&house.origin, Some(SLOW), 4)).await?;
    for job in &jobs {
        house.is_fetching(job).await?;
    }
    let programs = worker.descendants();
    let mut connection = house.redis.connection().await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
    let took = until("the programs end", async || alive(&programs).is_empty()).await?;
    // a heartbeat until it hears of it, and two seconds to end them; the rest is the noise of a busy machine
    assert!(took < Duration::from_secs(6), "{took:?}");
    until("the jobs are counted", async || house.metric(&worker, "haul_jobs_lost_total").await.is_ok_and(|n| n == 4.0))
        .await?;
    for job in &jobs {
        assert_eq!(house.get(job).await?.told(), "404 not_found");
    }
    until("scratch is empty", async || house.scratch_files() == 0).await?;
    // who asks again is served
    let again = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&again).await?, "completed");
    assert_eq!(house.stored(), 1);
    audit(&house.redis).await
}

#[tokio::test]
async fn a_full_redis_takes_no_job_and_everything_in_it_comes_to_its_end() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "3"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let good = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    let hopeless = house.order(&request(&house.origin.url("/no-such-file.mp4"), json!({}))).await?;
    let slow = house.order(&request(&house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
    let waiting = house.order(&request(&house.origin.spoilt(SLOW, "/silent.mp4"), json!({}))).await?;

    let mut connection = house.redis.connection().await?;
    let filler = vec![b'x'; 21 << 20];
    redis::cmd("SET").arg("filler").arg(filler).query_async::<()>(&mut connection).await?;
    house.redis.set("maxmemory", "20mb").await?;
    let refused = house.ask(Method::POST, DOWNLOADS, &request(&house.origin.url("/portrait.mp4"), json!({}))).await?;
    assert_eq!(refused.told(), "503 service_unavailable");
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((5..=600).contains(&wait), "{wait}");

    // even a worker that knows none of the scripts yet
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut connection).await?;
    let worker = house.worker(&[]).await?;
    assert_eq!(house.ask(Method::DELETE, &waiting, &Value::Null).await?.status, 202);
    assert_eq!(house.outcome(&waiting).await?, "cancelled");
    house.is_fetching(&slow).await?;
    assert_eq!(house.ask(Method::DELETE, &slow, &Value::Null).await?.status, 202);
    let mut outcomes = Vec::new();
    for job in [&good, &hopeless, &slow] {
        outcomes.push(house.outcome(job).await?);
    }
    assert_eq!(outcomes, ["completed", "unavailable", "cancelled"]);
    assert_eq!(house.get(&format!("{good}/link")).await?.status, 200);
    assert_eq!(house.metric(&worker, "haul_jobs_lost_total").await?, 0.0);

    redis::cmd("DEL").arg("filler").query_async::<()>(&mut connection).await?;
    let again = house.order(&request(&house.origin.url("/portrait.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&again).await?, "completed");
    audit(&house.redis).await
}
