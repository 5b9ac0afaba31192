//! What bounds a trial: for how long a job is left to others, how much hides behind it, and what is counted, kept and heard.

use super::*;

/// Fault: each time that a job was put off, the time began anew for which others had it first.
#[tokio::test]
async fn a_job_that_is_put_off_again_and_again_is_left_to_others_for_no_longer_than_any() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    bench.end("bad", OLD, 20, true).await?;
    bench.end("bad", NEW, 6, false).await?;
    let full = Outlet { name: "nat".parse().unwrap(), running_limit: Some(1) };
    let (mut old, mut new) = (bench.claims().through(&full), bench.claims());
    old.done_with(Some(OLD.to_owned()));
    new.done_with(Some(NEW.to_owned()));
    bench.order_from("a", "bad", 0).await?;
    assert_eq!(old.take(1).await?.len(), 1, "its address is full");
    let ticket = bench.order_from("a", "bad", 1).await?;
    assert!(new.take(1).await?.is_empty());
    let mut connection = bench.redis.connection().await?;
    let five_minutes_go_by = "for _, key in ipairs(redis.call('KEYS', 'haul1:{0}:j:*')) do \
                                if redis.call('HGET', key, 'lf') then redis.call('HINCRBY', key, 'lf', -300000) end \
                              end";
    redis::cmd("EVAL").arg(five_minutes_go_by).arg(0).query_async::<()>(&mut connection).await?;
    assert!(old.take(1).await?.is_empty());
    assert_eq!(bench.kind(ticket).await?, StateKind::Waiting);
    bench.end_delays().await?;
    bench.look().await?;
    assert_eq!(new.take(1).await?.len(), 1);
    Ok(())
}

/// Fault: 256 jobs that were left to others hid all others, of whatever lane, from a worker.
#[tokio::test]
async fn nothing_hides_behind_jobs_that_are_left_to_others() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    bench.end("bad", OLD, 20, true).await?;
    bench.end("bad", NEW, 6, false).await?;
    for number in 0..20 {
        bench.order_from("deep", "bad", number).await?;
    }
    bench.order_from("deep", "other", 0).await?;
    for number in 100..180 {
        bench.order_from(&format!("client{number}"), "bad", number).await?;
    }
    bench.order_from("last", "other", 1).await?;
    let low = Submission { priority: Priority::Low, ..order("low", "https://other.example/2") };
    accepted(bench.store.submit(&low).await?, low.ticket);
    for version in [OLD, NEW] {
        bench.announce(version, &["default"]).await?;
    }
    bench.store.look_at_trial(100).await?;
    let mut claims = bench.claims();
    claims.done_with(Some(NEW.to_owned()));
    let mut names: Vec<_> = claims.take(4).await?.iter().map(name_of).collect();
    assert!(names.contains(&"other/2".to_owned()), "another lane's is there at once: {names:?}");
    for _ in 0..8 {
        names.extend(claims.take(4).await?.iter().map(name_of));
    }
    names.sort();
    assert_eq!(names, ["other/0", "other/1", "other/2"]);
    bench.recount().await
}

#[tokio::test]
async fn what_was_begun_before_it_was_counted_or_where_only_one_side_is_does_not_count() -> Result<()> {
    let bench = Bench::new().await?;
    bench.announce(OLD, &["default"]).await?;
    let mut jobs = Vec::new();
    for number in 0..2 {
        bench.order_from("a", "site", number).await?;
        jobs.push(bench.takes(OLD).await?);
        bench.look().await?;
    }
    for leased in &jobs {
        bench.store.complete(&leased.lease, &artifact(leased), &[]).await?;
    }
    assert_eq!(bench.tried("site").await?.seen.others, Ends { well: 1, badly: 0 });
    bench.announce(NEW, &["eu"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    bench.order_from("a", "site", 2).await?;
    let leased = bench.takes(OLD).await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.tried("site").await?.seen.others, Ends { well: 1, badly: 0 });
    bench.recount().await
}

#[tokio::test]
async fn a_thousand_sites_that_hardly_anybody_asks_for_keep_none_from_being_counted() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    let mut connection = bench.redis.connection().await?;
    let mut sites = redis::cmd("HSET");
    sites.arg("haul1:{0}:tried").arg("busy.example").arg("5 45 0 0 4 0 40 0 1");
    for number in 1..1000 {
        sites.arg(format!("rare{number}.example")).arg("0 1 0 0 0 0 1 0 1");
    }
    sites.query_async::<()>(&mut connection).await?;
    bench.order_from("a", "late", 0).await?;
    let leased = bench.takes(OLD).await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.tried("late").await?.seen.others, Ends { well: 1, badly: 0 });
    assert_eq!(bench.tried("busy").await?.seen.others, Ends { well: 40, badly: 0 });
    assert_eq!(bench.trial().await?.sites.len(), 1000);
    Ok(())
}

#[tokio::test]
async fn the_first_worker_that_is_seen_settles_nothing_and_a_judge_that_was_overtaken_is_not_heard() -> Result<()> {
    let bench = Bench::new().await?;
    bench.announce(NEW, &["default"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    let mut connection = bench.redis.connection().await?;
    // somebody who looked half a minute later has spoken
    let ruled: u64 = redis::cmd("GET").arg("haul1:{0}:ruled").query_async(&mut connection).await?;
    redis::cmd("SET").arg("haul1:{0}:ruled").arg(ruled + 30_000).query_async::<()>(&mut connection).await?;
    bench.look().await?;
    assert_eq!(bench.store.trial().await?, None);
    redis::cmd("DEL").arg("haul1:{0}:ruled").query_async::<()>(&mut connection).await?;
    bench.look().await?;
    assert_eq!(bench.trial().await?.candidate.as_str(), NEW);
    Ok(())
}
