//! A queue in several parts: nobody who speaks to the store can tell.

use haul_shared::ids::Shards;
use haul_shared::store::{Order, SortBy};

use super::*;

async fn cut_in_four() -> Result<Bench> {
    Bench::with(|settings| settings.shards = Shards::new(4).unwrap()).await
}

async fn drawn(bench: &Bench, client: &str, url: &str) -> Result<Submission> {
    let mut order = order(client, url);
    order.ticket = bench.store.draw(&order.spec, &order.region);
    accepted(bench.store.submit(&order).await?, order.ticket);
    Ok(order)
}

#[tokio::test]
async fn a_list_is_sorted_over_all_shards_and_leaves_out_who_is_gone() -> Result<()> {
    let bench = cut_in_four().await?;
    let mut claims = bench.claims();
    let mut expected = Vec::new();
    for seconds in [None, Some(7.5), Some(0.25), Some(3600.0), Some(7.4), None, Some(90.0)] {
        let order = drawn(&bench, "a", &format!("https://example.com/{}", Ticket::new())).await?;
        let leased = claims.take(1).await?.pop().expect("a job");
        let made = Artifact { duration_seconds: seconds, ..artifact(&leased) };
        bench.store.complete(&leased.lease, &made, &[]).await?;
        expected.push((seconds, order.ticket));
    }
    // the longest first, those of no known length last, and of these the newest first
    expected.reverse();
    expected.sort_by(|(one, _), (other, _)| other.unwrap_or(-1.0).total_cmp(&one.unwrap_or(-1.0)));
    let (_, gone) = expected.remove(2);
    let record = format!("haul1:{{{}}}:t:{gone}", gone.shard(bench.settings.shards));
    let mut connection = bench.redis.connection().await?;
    redis::cmd("DEL").arg(record).query_async::<()>(&mut connection).await?;

    let sorting = Sorting { by: SortBy::Duration, order: Order::Descending };
    for scope in [Scope::Everyone, Scope::Client(client("a"))] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = bench.store.list(scope.clone(), sorting, after).await?.next(2).await?;
            seen.extend(page.iter().map(|(_, job)| job.ticket));
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
        }
        assert_eq!(seen, expected.iter().map(|(_, ticket)| *ticket).collect::<Vec<_>>());
    }
    Ok(())
}

#[tokio::test]
async fn jobs_of_all_shards_are_taken_listed_counted_and_swept() -> Result<()> {
    let bench = cut_in_four().await?;
    let mut orders = Vec::new();
    for n in 0..40 {
        orders.push(drawn(&bench, "a", &format!("https://example.com/{n}")).await?);
    }
    let stats = bench.store.stats().await?;
    assert_eq!((stats.jobs[&StateKind::Queued], stats.queues.len()), (40, 1));

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = bench.store.list(Scope::Everyone, Sorting::default(), after).await?.next(7).await?;
        seen.extend(page.iter().map(|(_, job)| (job.created, job.ticket)));
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
    }
    assert!(seen.len() == 40 && seen.is_sorted_by(|one, other| one > other), "newest first, each once");

    let mut claims = bench.claims();
    let mut jobs = Vec::new();
    while jobs.len() < 40 {
        let more = claims.take(7).await?;
        assert!(!more.is_empty(), "{} of 40", jobs.len());
        jobs.extend(more);
    }
    let beats: Vec<Beat> = jobs.iter().map(|leased| beat(leased, 5.0)).collect();
    assert_eq!(bench.store.heartbeat(&beats).await?, [Some(Pulse::Ok); 40]);
    for leased in &jobs {
        bench.store.reserve(&leased.lease, &artifact(leased).object).await?;
        bench.store.complete(&leased.lease, &artifact(leased), &[]).await?;
    }
    for order in &orders {
        assert_eq!(bench.kind(order.ticket).await?, StateKind::Completed);
        assert!(bench.store.forget(order.ticket).await?);
    }
    let garbage = bench.store.collect(&[], 100).await?;
    assert_eq!(garbage.len(), 40);
    assert!(bench.store.collect(&garbage, 100).await?.is_empty());
    assert_eq!(bench.store.stats().await?.stored_objects, 0);
    Ok(())
}

#[tokio::test]
async fn the_same_order_meets_itself_and_an_idempotency_key_its_job_on_whatever_shard() -> Result<()> {
    let bench = cut_in_four().await?;
    for n in 0..8 {
        let url = format!("https://example.com/{n}");
        let promise = |body: &str| Some(Idempotency { key: format!("key {n}"), body_sha256: body.to_owned() });
        let first = Submission { idempotency: promise("one"), ..drawn(&bench, "a", &url).await? };
        let first = Submission { ticket: bench.store.draw(&first.spec, &first.region), ..first };
        accepted(bench.store.submit(&first).await?, first.ticket);
        let again = Submission { ticket: bench.store.draw(&first.spec, &first.region), ..first.clone() };
        let answer = bench.store.submit(&again).await?;
        assert!(matches!(&answer, Submitted::Replayed(job) if job.ticket == first.ticket), "{answer:?}");
        let other = Submission { idempotency: promise("other"), ..drawn(&bench, "a", &format!("{url}/other")).await? };
        assert_eq!(bench.store.submit(&other).await?, Submitted::IdempotencyConflict);
    }
    let mut taken = 0;
    let mut claims = bench.claims();
    while !claims.take(1).await?.is_empty() {
        taken += 1;
    }
    assert_eq!(taken, 16, "each address once, however often it was asked for");
    Ok(())
}

#[tokio::test]
async fn who_waits_is_woken_from_every_shard_and_who_watches_hears_of_it() -> Result<()> {
    let bench = cut_in_four().await?;
    let mut claims = bench.claims();
    for n in 0..8 {
        assert!(claims.take(1).await?.is_empty());
        let url = format!("https://example.com/{n}");
        let (woken, order) = tokio::join!(claims.wait(), drawn(&bench, "a", &url));
        woken?;
        let ticket = order?.ticket;
        let mut watch = bench.store.watch(ticket).await?.expect("there is such a job");
        while claims.take(1).await?.is_empty() {
            claims.wait().await?;
        }
        while bench.kind(ticket).await? != StateKind::Running {
            watch.changed().await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_cuts_the_queue_otherwise_is_told_so_at_start() -> Result<()> {
    let bench = cut_in_four().await?;
    bench.store.agree().await?;
    bench.store.agree().await?;
    let other = JobStore::new(bench.redis.server(1)?, StoreSettings { shards: Shards::ONE, ..bench.settings });
    let refused = other.agree().await;
    assert!(matches!(refused, Err(StoreError::OtherShards { ours: 1, theirs: 4 })), "{refused:?}");
    Ok(())
}

/// A full Redis refuses every `SET`: nobody could be started any more who would have made room.
#[tokio::test]
async fn a_process_starts_over_a_full_redis_that_knows_the_shards() -> Result<()> {
    let bench = cut_in_four().await?;
    bench.store.agree().await?;
    bench.redis.set("maxmemory", "1").await?;
    let late = JobStore::new(bench.redis.server(1)?, bench.settings);
    Ok(late.agree().await?)
}

#[tokio::test]
async fn whoever_signs_links_agrees_on_one_secret_again_after_redis_has_lost_it() -> Result<()> {
    // Who had asked before went on with the old one for good, and whoever started later drew another.
    let bench = cut_in_four().await?;
    let late = JobStore::new(bench.redis.server(1)?, bench.settings);
    let before = bench.store.link_secret(None).await?;
    assert_eq!(late.link_secret(None).await?, before);
    assert_eq!(late.link_secret(Some([7; 32])).await?, before, "what is there counts");
    let lose = async || {
        let mut connection = bench.redis.connection().await?;
        anyhow::Ok(redis::cmd("DEL").arg("haul1:links").query_async::<u8>(&mut connection).await?)
    };
    assert_eq!(lose().await?, 1);
    assert_eq!(bench.store.link_secret(Some(before)).await?, before, "links of before are good again");
    assert_eq!(late.link_secret(None).await?, before);
    lose().await?;
    let drawn = late.link_secret(None).await?;
    assert_ne!(drawn, before);
    assert_eq!(bench.store.link_secret(Some(before)).await?, drawn, "who comes second follows");
    Ok(())
}

#[tokio::test]
async fn workers_that_were_killed_are_forgotten_on_every_shard() -> Result<()> {
    // Only the first shard's were, and by whoever asked for numbers.
    let bench = cut_in_four().await?;
    let worker = |id: &str| WorkerInfo {
        id: id.to_owned(),
        regions: vec!["default".parse().unwrap()],
        slots: 1,
        running: 0,
        disk_full: false,
        sandbox: None,
        version: "1".to_owned(),
        ytdlp: "1".to_owned(),
        started: jiff::Timestamp::now(),
    };
    let mut connection = bench.redis.connection().await?;
    bench.store.announce(&worker("killed")).await?;
    for shard in 0..4 {
        let key = |rest: &str| format!("haul1:{{{shard}}}:{rest}");
        redis::cmd("DEL").arg(key("w:killed")).query_async::<()>(&mut connection).await?;
        redis::cmd("ZADD").arg(key("alive")).arg(1).arg("killed").query_async::<()>(&mut connection).await?;
    }
    bench.store.announce(&worker("next")).await?;
    for shard in 0..4 {
        let alive: Vec<String> = redis::cmd("ZRANGE")
            .arg(format!("haul1:{{{shard}}}:alive"))
            .arg(0)
            .arg(-1)
            .query_async(&mut connection)
            .await?;
        assert_eq!(alive, ["next"], "shard {shard}");
    }
    let shown = bench.store.stats().await?.workers;
    assert_eq!(shown.iter().map(|worker| worker.id.as_str()).collect::<Vec<_>>(), ["next"]);
    Ok(())
}
