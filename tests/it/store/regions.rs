//! Where jobs are done: by a worker of their region, and elsewhere when that has had none for long enough.

use super::*;

const PATIENCE: Duration = MINUTE;

pub(super) fn regions(names: &[&str]) -> Vec<Region> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn worker(id: &str, names: &[&str]) -> WorkerInfo {
    WorkerInfo {
        id: id.to_owned(),
        regions: regions(names),
        slots: 1,
        running: 0,
        disk_full: false,
        sandbox: None,
        version: "1.0.0".to_owned(),
        ytdlp: "none".to_owned(),
        started: jiff::Timestamp::now(),
    }
}

fn order_to(region: &str, name: &str, url: &str) -> Submission {
    Submission { region: region.parse().unwrap(), ..order(name, &format!("https://example.com/{url}")) }
}

impl Bench {
    /// Orders a job for `eu`.
    async fn order_eu(&self, name: &str, url: &str) -> Result<Ticket> {
        let order = order_to("eu", name, url);
        accepted(self.store.submit(&order).await?, order.ticket);
        Ok(order.ticket)
    }

    async fn relocate(&self) -> Result<u64> {
        Ok(self.store.relocate(&regions(&["eu", "us", "asia"]), PATIENCE).await?)
    }

    async fn region(&self, ticket: Ticket) -> Result<String> {
        Ok(self.job(ticket).await?.region.to_string())
    }

    /// Takes everything that a worker of these regions gets, and names it by the end of its address.
    async fn taken(&self, names: &[&str]) -> Result<Vec<String>> {
        let mut claims = self.store.claims(&self.worker, Kind::Download, &regions(names));
        let mut taken = Vec::new();
        while let Some(leased) = claims.take(1).await?.pop() {
            let Some(JobSpec::Download(spec)) = &leased.spec else { anyhow::bail!("a download") };
            taken.push(spec.url.expose().trim_start_matches("https://example.com/").to_owned());
            self.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
        }
        Ok(taken)
    }

    /// As if everything in line had stood there for long, and everybody who is silent been so for long.
    pub(super) async fn age(&self, what: &str) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
             for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZADD', key, 1, member) end end";
        let pattern = format!("haul1:*:{what}:*");
        redis::Script::new(script).arg(pattern).invoke_async::<()>(&mut connection).await?;
        Ok(())
    }

    /// As if somebody had looked all the time.
    pub(super) async fn has_been_watched(&self) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        for shard in self.settings.shards.all() {
            let mut note = redis::cmd("EVAL");
            note.arg("redis.call('HSET', KEYS[1], 'since', 1, 'last', redis.call('TIME')[1] .. '000')").arg(1);
            note.arg(format!("haul1:{{{shard}}}:watched")).query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_job_is_done_in_its_region_only_and_the_preferred_region_comes_first() -> Result<()> {
    let bench = Bench::new().await?;
    for (region, url) in [("us", "1"), ("eu", "2"), ("us", "3"), ("eu", "4")] {
        bench.store.submit(&order_to(region, "a", url)).await?;
    }
    assert_eq!(bench.taken(&["asia"]).await?, [""; 0]);
    assert_eq!(bench.taken(&["eu"]).await?, ["2", "4"]);
    bench.order_eu("a", "5").await?;
    assert_eq!(bench.taken(&["eu", "us"]).await?, ["5", "1", "3"]);
    Ok(())
}

#[tokio::test]
async fn a_job_waits_for_a_worker_of_its_region_and_then_goes_to_the_first_that_has_one() -> Result<()> {
    let bench = Bench::new().await?;
    let old = bench.order_eu("a", "old").await?;
    bench.age("q").await?;
    let young = bench.order_eu("a", "young").await?;
    bench.store.announce(&worker("w-asia", &["asia"])).await?;
    bench.store.announce(&worker("w-us", &["us", "asia"])).await?;
    assert_eq!(bench.relocate().await?, 0, "nobody knows yet since when nobody serves it");
    bench.has_been_watched().await?;
    assert_eq!(bench.relocate().await?, 1);
    assert_eq!((bench.region(old).await?, bench.region(young).await?), ("us".to_owned(), "eu".to_owned()));
    let position = bench.job(old).await?.state;
    assert_eq!(position, JobState::Queued { position: 1 });
    assert_eq!(bench.taken(&["eu"]).await?, ["young"]);
    assert_eq!(bench.taken(&["us"]).await?, ["old"]);
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn nothing_moves_while_no_region_is_served_and_not_long_before_was_the_own_one() -> Result<()> {
    let bench = Bench::new().await?;
    let (eu, us) = (worker("w-eu", &["eu"]), worker("w-us", &["us"]));
    let job = bench.order_eu("a", "1").await?;
    bench.age("q").await?;
    bench.has_been_watched().await?;
    assert_eq!(bench.relocate().await?, 0, "there is no region to go to");
    bench.store.announce(&eu).await?;
    bench.store.announce(&us).await?;
    assert_eq!(bench.relocate().await?, 0, "its region has a worker");
    bench.store.sign_off(&eu).await?;
    assert_eq!(bench.relocate().await?, 0, "its region had one a moment ago");
    bench.store.sign_off(&us).await?;
    bench.age("serving").await?;
    assert_eq!(bench.relocate().await?, 0, "no region has one");
    bench.store.announce(&us).await?;
    assert_eq!(bench.relocate().await?, 1);
    assert_eq!(bench.region(job).await?, "us");

    // what comes later waits for a worker that comes back
    let later = bench.order_eu("a", "2").await?;
    assert_eq!(bench.relocate().await?, 0);
    bench.store.announce(&eu).await?;
    bench.age("q").await?;
    assert_eq!(bench.relocate().await?, 0);
    assert_eq!((bench.region(later).await?.as_str(), bench.taken(&["eu"]).await?), ("eu", vec!["2".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn a_job_whose_worker_was_the_last_of_its_region_moves_when_it_is_tried_again() -> Result<()> {
    let bench = Bench::new().await?;
    let job = bench.order_eu("a", "1").await?;
    let mut claims = bench.store.claims(&bench.worker, Kind::Download, &regions(&["eu"]));
    let lost = claims.take(1).await?.pop().expect("a job");
    bench.store.announce(&worker("w-eu", &["eu"])).await?;
    bench.store.announce(&worker("w-us", &["us"])).await?;
    bench.run_out(lost.lease.job).await?;
    bench.end_delays().await?;
    bench.has_been_watched().await?;
    assert_eq!(bench.relocate().await?, 0);
    bench.age("serving").await?;
    bench.store.announce(&worker("w-us", &["us"])).await?;
    assert_eq!(bench.relocate().await?, 1);
    assert_eq!((bench.region(job).await?.as_str(), bench.taken(&["us"]).await?), ("us", vec!["1".to_owned()]));
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn jobs_that_move_are_taken_in_the_order_in_which_they_would_have_been() -> Result<()> {
    let mut orders = Vec::new();
    for moves in [false, true] {
        let bench = Bench::new().await?;
        for n in 0..120 {
            bench.order_eu("greedy", &format!("g{n}")).await?;
        }
        for n in 0..3 {
            bench.order_eu("small", &format!("s{n}")).await?;
            let low = Submission { priority: Priority::Low, ..order_to("eu", "greedy", &format!("low{n}")) };
            bench.store.submit(&low).await?;
        }
        // a share in a far job, which is thereby served early
        bench.order_eu("small", "g100").await?;
        // one that was handed back comes before its client's others, though it stands in line for the shortest time
        let mut claims = bench.store.claims(&bench.worker, Kind::Download, &regions(&["eu"]));
        let first = claims.take(1).await?.pop().expect("a job");
        bench.age("q").await?;
        bench.store.release(&first.lease).await?;
        if moves {
            bench.store.announce(&worker("w-us", &["us"])).await?;
            bench.has_been_watched().await?;
            assert_eq!(bench.relocate().await?, 126);
            let mut connection = bench.redis.connection().await?;
            for left in ["c:download:eu*", "ring:download:eu*", "q:download:eu*"] {
                let pattern = format!("haul1:?0?:{left}");
                let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await?;
                assert_eq!(keys, [""; 0]);
            }
        }
        orders.push(bench.taken(&[if moves { "us" } else { "eu" }]).await?);
        assert_eq!(bench.traces().await?, [0; 6]);
    }
    assert_eq!(orders[0].len(), 126);
    assert_eq!(orders[0], orders[1]);
    Ok(())
}

/// Each was asked for by itself: who looked at a trial beside a thousand of them made five hundred calls a second.
#[tokio::test]
async fn all_workers_of_a_large_fleet_are_read_in_a_few_calls() -> Result<()> {
    let bench = Bench::new().await?;
    let ids: Vec<String> = (0..450).map(|number| format!("w-{number:03}")).collect();
    for id in &ids {
        bench.store.announce(&worker(id, &["default"])).await?;
    }
    // this one falls silent now: its name outlives its word
    let mut connection = bench.redis.connection().await?;
    redis::cmd("DEL").arg("haul1:{0}:w:w-207").exec_async(&mut connection).await?;
    let before = bench.redis.carried_out("mget").await?;
    let shown = bench.store.workers().await?;
    let expected: Vec<&String> = ids.iter().filter(|id| *id != "w-207").collect();
    assert_eq!(shown.iter().map(|worker| &worker.id).collect::<Vec<_>>(), expected);
    assert_eq!(bench.redis.carried_out("mget").await? - before, 3);
    Ok(())
}
