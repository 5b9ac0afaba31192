//! Redis that dies, forgets, or is full.

use futures::StreamExt as _;
use haul_tests::processes::Process;

use super::*;

#[tokio::test]
async fn with_a_sync_before_every_answer_each_202_outlives_a_redis_killed_in_a_burst() -> Result<()> {
    let mut house = House::open(Store::Disk, &[]).await?;
    house.redis.keep("appendfsync", "always").await?;
    let accepted = burst(&mut house).await?;
    let lost = unknown(&house, &accepted).await?;
    assert_eq!(lost, [0; 0], "of {}", accepted.len());
    audit(&house.redis).await
}

/// While the sync of a second is under way, Redis 7.0 holds back what it has answered for up to two seconds before it
/// writes: what is there at the end of its own process is gone.
#[tokio::test]
async fn with_a_sync_every_second_only_what_redis_had_not_written_yet_is_lost_and_nothing_by_half() -> Result<()> {
    let mut house = House::open(Store::Disk, &[]).await?;
    house.redis.keep("appendfsync", "everysec").await?;
    let before = order_all(&house, &addresses(&house.origin, Some(SLOW), 50)).await?;
    let mut connection = house.redis.connection().await?;
    until("redis has written what it has answered", async || {
        let info: redis::RedisResult<String> = redis::cmd("INFO").arg("persistence").query_async(&mut connection).await;
        info.is_ok_and(|info| info.lines().any(|line| line == "aof_buffer_length:0"))
    })
    .await?;
    let accepted = burst(&mut house).await?;
    let before: Vec<String> = before.iter().map(|path| path.replace(&format!("{DOWNLOADS}/"), "")).collect();
    assert_eq!(unknown(&house, &before).await?, [0; 0]);
    let lost = unknown(&house, &accepted).await?;
    let is_the_end = lost.first().is_none_or(|first| first + lost.len() + 16 >= accepted.len());
    assert!(is_the_end, "{lost:?} of {}: more than the newest", accepted.len());
    audit(&house.redis).await
}

/// Orders from sixteen at a time, and kills Redis in the middle; the ids of those that were answered with 202 until then,
/// in the order of their answers. Redis is back afterwards.
async fn burst(house: &mut House) -> Result<Vec<String>> {
    let orders = addresses(&house.origin, None, 200);
    let (mut accepted, mut refused, mut killed) = (Vec::new(), 0, false);
    let posts = orders.iter().map(|order| send(house.request(&house.api, Method::POST, DOWNLOADS).json(order)));
    let mut answers = futures::stream::iter(posts).buffer_unordered(16);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        match answer.status.as_u16() {
            202 => accepted.push(answer.json()["id"].as_str().context("an id")?.to_owned()),
            503 => refused += 1,
            _ => anyhow::bail!("{}", answer.told()),
        }
        if accepted.len() > 100 && !killed {
            house.redis.signal(Signal::KILL)?;
            killed = true;
        }
    }
    drop(answers);
    ensure!(killed && refused > 0, "{} accepted, {refused} refused", accepted.len());
    house.redis.kill()?;
    house.redis.restart().await?;
    Ok(accepted)
}

/// Which of these ids are not known, by their number.
async fn unknown(house: &House, ids: &[String]) -> Result<Vec<usize>> {
    let mut unknown = Vec::new();
    for (nth, id) in ids.iter().enumerate() {
        let answer = house.get(&format!("{DOWNLOADS}/{id}")).await?;
        let view = answer.json();
        match answer.status.as_u16() {
            200 => ensure!(view["id"] == *id && view["status"] == "queued", "{view}"),
            404 => unknown.push(nth),
            _ => anyhow::bail!("{}", answer.told()),
        }
    }
    Ok(unknown)
}

#[tokio::test]
async fn when_redis_has_forgotten_everything_programs_end_and_ids_are_unknown() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4")]).await?;
    let worker = house.worker(&[]).await?;
    let jobs = order_all(&house, &addresses(&house.origin, Some(SLOW), 4)).await?;
    for job in &jobs {
        house.is_fetching(job).await?;
    }
    let programs = worker.programs();
    let mut connection = house.redis.connection().await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
    until("the programs end", async || alive(&programs).is_empty()).await?;
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

/// Fault: it answers, so both were ready, though nothing could be ordered and no job be taken.
#[tokio::test]
async fn who_has_a_redis_that_was_made_a_replica_is_not_ready_until_it_is_master_again() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let log = tempfile::NamedTempFile::new()?;
    let api = house.another_api_telling(&[], || Ok(log.reopen()?.into())).await?;
    let worker = house.worker(&[]).await?;
    let follow = async |host: &str, port: &str| {
        let mut connection = house.redis.connection().await?;
        anyhow::Ok(redis::cmd("REPLICAOF").arg(host).arg(port).query_async::<()>(&mut connection).await?)
    };
    let ready = async |process: &Process| {
        let answer = send(house.request(process, Method::GET, "/readyz")).await?;
        anyhow::Ok((answer.status.as_u16(), answer.json()["redis"].as_str().unwrap_or_default().to_owned()))
    };
    // of a master that is not there, so that it keeps what it has
    follow("127.0.0.1", "1").await?;
    for process in [&api, &worker] {
        assert_eq!(ready(process).await?, (503, "failed".to_owned()));
        assert_eq!(house.metric(process, "haul_redis_up").await?, 0.0);
    }
    let said = std::fs::read_to_string(log.path())?;
    assert!(
        said.lines().any(|line| line.contains("redis is not ready") && line.contains("read only replica")),
        "{said}"
    );
    follow("NO", "ONE").await?;
    for process in [&api, &worker] {
        until("it is ready", async || ready(process).await.is_ok_and(|(status, _)| status == 200)).await?;
        assert_eq!(house.metric(process, "haul_redis_up").await?, 1.0);
    }
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "completed");
    Ok(())
}

#[tokio::test]
async fn a_worker_without_work_sends_at_most_twelve_commands_a_minute() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let wire = Proxy::to_redis(house.redis.address()).await;
    let _worker = house.worker(&[("HAUL_REDIS_URL", &wire.redis_url())]).await?;
    let passes = async |time: Duration| {
        let began = std::time::Instant::now();
        until("time passes", async || began.elapsed() >= time).await
    };
    // what it says when it starts is no part of it
    passes(Duration::from_secs(5)).await?;
    let before = wire.asked();
    passes(Duration::from_secs(30)).await?;
    let asked = wire.asked() - before;
    assert!(asked <= 6, "{asked} commands in half a minute");
    Ok(())
}
