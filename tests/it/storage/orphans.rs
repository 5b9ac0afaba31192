//! Objects that no record leads to: which are found and removed, and which never are.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use haul_shared::ids::{Ticket, WorkerId};
use haul_shared::store::{JobStore, Kind, Lease, Progressed, Stats, Swept};
use haul_tests::house::{House, Store};
use haul_tests::processes::until;
use haul_tests::redis::Redis;
use haul_worker::orphans::{self, Terms};

use super::*;
use crate::store::{artifact, order, settings};

const HOUR: Duration = Duration::from_secs(3600);
/// What is younger may be somebody's result.
const AGE: Duration = Duration::from_secs(48 * 3600);
const NAMES: [&str; 2] = ["one", "other"];

/// A store with a Redis beside it.
struct Bench {
    site: Site,
    redis: Redis,
    jobs: JobStore,
    /// Whoever leaves in the middle of a look still has the turn when it comes back.
    workers: [WorkerId; 2],
}

impl Bench {
    async fn both() -> Result<Vec<Self>> {
        let mut both = Vec::new();
        for site in Site::both().await {
            let redis = Redis::start().await?;
            let jobs = JobStore::new(redis.server(4)?, settings());
            both.push(Self { site, redis, jobs, workers: NAMES.map(WorkerId::on_host) });
        }
        Ok(both)
    }

    /// Where the files of the store are.
    fn objects(&self) -> PathBuf {
        self.site.s3.as_ref().map_or_else(|| self.site.directory.path().join("data/objects"), S3::bucket)
    }

    fn is_there(&self, name: &str) -> bool {
        self.objects().join(name).exists()
    }

    /// An object of which nobody knows, put there so long ago.
    async fn put_before(&self, age: Duration) -> Result<ObjectKey> {
        let key = key();
        self.site.put(&key, 1000).await;
        self.age(key.as_str(), age)?;
        Ok(key)
    }

    fn age(&self, name: &str, age: Duration) -> Result<()> {
        aged(&self.objects().join(name), age)
    }

    /// A job that has its result in the store, put there so long ago.
    async fn completed(&self, age: Duration) -> Result<(Lease, ObjectKey)> {
        let order = order("a", &format!("https://example.com/{}", Ticket::new()));
        self.jobs.submit(&order).await?;
        let mut claims = self.jobs.claims(&WorkerId::on_host("bench"), Kind::Download, &["default".parse()?]);
        let leased = claims.take(1).await?.pop().context("a job")?;
        let made = artifact(&leased);
        self.jobs.reserve(&leased.lease, &made.object).await?;
        self.site.put(&made.object, 1000).await;
        self.jobs.complete(&leased.lease, &made, &[]).await?;
        self.age(made.object.as_str(), age)?;
        Ok((leased.lease, made.object))
    }

    /// Looks for orphans as workers do that have little else to do, until it is so.
    async fn sweep_until(&self, what: &str, is_so: impl AsyncFn(&Stats) -> bool) -> Result<()> {
        let terms = Terms { every: Duration::from_secs(1), age: AGE };
        let [one, other] = self.workers.each_ref().map(|it| orphans::run(&self.jobs, &self.site.worker, it, terms));
        tokio::select! {
            () = one => anyhow::bail!("it ended"),
            () = other => anyhow::bail!("it ended"),
            met = until(what, async || match self.jobs.stats().await {
                Ok(stats) => is_so(&stats).await,
                Err(_) => false,
            }) => met.map(drop),
        }
    }

    /// The same, until another look has ended.
    async fn sweep(&self) -> Result<Stats> {
        let before = self.jobs.stats().await?.orphans.last_sweep;
        self.sweep_until("a look ended", async |stats| stats.orphans.last_sweep != before).await?;
        Ok(self.jobs.stats().await?)
    }

    async fn set(&self, field: &str, value: impl redis::ToRedisArgs) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        Ok(redis::cmd("HSET").arg("haul1:{0}:sweep").arg(field).arg(value).query_async(&mut connection).await?)
    }
}

/// Makes a file look as if it had been written so long ago.
fn aged(file: &Path, age: Duration) -> Result<()> {
    Ok(File::options().append(true).open(file)?.set_modified(SystemTime::now() - age)?)
}

#[tokio::test]
async fn what_is_old_and_unknown_goes_and_what_is_young_known_or_a_stranger_s_stays() -> Result<()> {
    for bench in Bench::both().await? {
        let orphan = bench.put_before(AGE + HOUR).await?;
        let young = bench.put_before(AGE - HOUR).await?;
        let (_, result) = bench.completed(AGE * 9).await?;
        // noted for removal, but of no job any more: as a result, and as what was only reserved
        let (lease, noted) = bench.completed(AGE * 9).await?;
        let reserved = bench.put_before(AGE * 9).await?;
        let mut connection = bench.redis.connection().await?;
        redis::cmd("DEL").arg(format!("haul1:{{0}}:j:{}", lease.job)).query_async::<()>(&mut connection).await?;
        redis::cmd("ZADD")
            .arg("haul1:{0}:gc")
            .arg(4e12)
            .arg(format!("-0:{reserved}"))
            .query_async::<()>(&mut connection)
            .await?;
        // of a job that is there, under a name that it has not told of
        let beside = ObjectKey::new(lease_of(&result), Fence(3), "mp4");
        bench.site.put(&beside, 10).await;
        bench.age(beside.as_str(), AGE * 9)?;
        let strangers =
            ["m/ready", "m/films/1/media.mp4", "photo.jpg", &format!("n/{}/1/media.mp4", JobId::new().simple())];
        for name in strangers {
            let path = bench.objects().join(name);
            std::fs::create_dir_all(path.parent().context("a folder")?)?;
            std::fs::write(&path, "theirs")?;
            bench.age(name, AGE * 9)?;
        }

        let told = bench.sweep().await?.orphans;
        assert!(!bench.is_there(orphan.as_str()), "{}", bench.site.name);
        let staying = [&young, &result, &noted, &reserved, &beside].map(ObjectKey::as_str);
        for name in staying.into_iter().chain(strangers) {
            assert!(bench.is_there(name), "{} {name}", bench.site.name);
        }
        let swept = (told.swept.looked_at, told.swept.removed, told.swept.removed_bytes, told.swept.failed);
        assert_eq!(swept, (6, 1, 1000, 0), "{}", bench.site.name);
    }
    Ok(())
}

fn lease_of(object: &ObjectKey) -> JobId {
    object.job()
}

#[tokio::test]
async fn what_was_left_unfinished_goes_too_and_the_finished_one_beside_it_stays() -> Result<()> {
    let [disk, bucket] = <[Bench; 2]>::try_from(Bench::both().await?).map_err(|_| anyhow::anyhow!("two"))?;
    let (_, result) = disk.completed(HOUR).await?;
    let young = disk.put_before(HOUR).await?;
    for (name, age) in [(&result, AGE * 9), (&young, AGE * 9), (&key(), AGE * 9), (&key(), HOUR)] {
        let part = disk.objects().join(format!("{name}.part"));
        std::fs::create_dir_all(part.parent().context("a folder")?)?;
        std::fs::write(&part, "half")?;
        aged(&part, age)?;
    }
    let told = disk.sweep().await?.orphans.swept;
    assert_eq!((told.removed, told.removed_bytes), (2, 8));
    // what a job still leads to is removed with it
    assert!([result.as_str(), young.as_str(), &format!("{result}.part")].iter().all(|name| disk.is_there(name)));
    assert!(!disk.is_there(&format!("{young}.part")));

    let s3 = bucket.site.s3.as_ref().context("a bucket")?;
    let intake = bucket.site.worker.intake().context("a bucket")?;
    let (old, fresh) = (key(), key());
    let mut kept = Vec::new();
    for name in [&old, &fresh] {
        let upload = intake.begin(name, 10_000_000, "video/mp4").await?;
        upload.part(0, vec![Bytes::from(vec![7; 5 << 20])]).await?;
        if name == &old {
            for file in s3.orphans() {
                aged(&file, AGE + HOUR)?;
            }
        }
        kept.push(upload);
    }
    assert_eq!(bucket.sweep().await?.orphans.swept.removed, 1);
    assert_eq!(s3.counts().done(Call::AbortMultipart), 1);
    Ok(())
}

#[tokio::test]
async fn one_worker_looks_at_a_time_and_another_begins_anew_when_it_is_gone() -> Result<()> {
    for bench in Bench::both().await? {
        let orphan = bench.put_before(AGE + HOUR).await?;
        let [one, other] = NAMES.map(WorkerId::on_host);
        let at_once = Duration::ZERO;
        assert!(bench.jobs.begin_sweep(&one, at_once).await?);
        assert!(bench.jobs.begin_sweep(&one, at_once).await?, "an answer that was lost is given again");
        assert!(!bench.jobs.begin_sweep(&other, at_once).await?);
        let during = bench.sweep_until("it is removed", async |_| !bench.is_there(orphan.as_str()));
        assert!(tokio::time::timeout(Duration::from_millis(1500), during).await.is_err(), "while another has its turn");
        // it died, and its turn is over
        bench.set("till", 1).await?;
        bench.sweep().await?;
        assert!(!bench.is_there(orphan.as_str()));
        let late = Swept { removed: 1, ..Swept::default() };
        assert!(!bench.jobs.report_sweep(&one, late, Progressed::GoesOn).await?, "it hears that it has lost its turn");
        assert!(!bench.jobs.begin_sweep(&other, HOUR).await?, "the last look was just now");
    }
    Ok(())
}

#[tokio::test]
async fn a_store_that_fails_ends_the_look_and_what_is_left_goes_with_a_later_one() -> Result<()> {
    let [_, bench] = <[Bench; 2]>::try_from(Bench::both().await?).map_err(|_| anyhow::anyhow!("two"))?;
    let s3 = bench.site.s3.as_ref().context("a bucket")?;
    let mut orphans = Vec::new();
    for _ in 0..5 {
        orphans.push(bench.put_before(AGE + HOUR).await?);
    }
    // each call is tried three times, and a look that was given up is soon begun anew
    s3.fail(Call::List, usize::MAX, Fault::Refused(503));
    bench.sweep_until("a look failed", async |stats| stats.orphans.swept.failed > 0).await?;
    assert_eq!((s3.counts().seen(Call::Delete), bench.jobs.stats().await?.orphans.last_sweep), (0, None));
    s3.recover();
    s3.fail(Call::Delete, usize::MAX, Fault::Refused(403));
    bench.sweep_until("removals failed", async |_| s3.counts().seen(Call::Delete) > orphans.len()).await?;
    assert!(orphans.iter().all(|name| bench.is_there(name.as_str())));
    assert!(bench.jobs.stats().await?.orphans.last_sweep.is_none(), "it does not ask for all to be removed in vain");
    s3.recover();
    let told = bench.sweep().await?.orphans;
    assert!(!orphans.iter().any(|name| bench.is_there(name.as_str())));
    assert_eq!((told.swept.removed, told.last_sweep.is_some()), (5, true));
    Ok(())
}

#[tokio::test]
async fn nothing_is_judged_while_redis_does_not_answer() -> Result<()> {
    for mut bench in Bench::both().await? {
        let orphan = bench.put_before(AGE + HOUR).await?;
        bench.redis.kill()?;
        let found = bench.site.worker.survey().next().await?.context("a page")?;
        assert_eq!(found.iter().map(|found| &found.key).collect::<Vec<_>>(), [&orphan]);
        assert!(bench.jobs.unknown(found.clone()).await.is_err());
        bench.redis.restart().await?;
        assert_eq!(bench.jobs.unknown(found.clone()).await?, found);
    }
    Ok(())
}

#[tokio::test]
async fn what_becomes_known_while_a_look_goes_on_stays() -> Result<()> {
    for bench in Bench::both().await? {
        let mut orphans = Vec::new();
        for _ in 0..20 {
            orphans.push(bench.put_before(AGE + HOUR).await?);
        }
        let left = || orphans.iter().filter(|name| bench.is_there(name.as_str()));
        bench
            .sweep_until("the first are removed, and the look at the others is over", async |stats| {
                if stats.orphans.swept.removed == 0 {
                    return false;
                }
                let mut connection = bench.redis.connection().await.unwrap();
                for name in left() {
                    let mut note = redis::cmd("ZADD");
                    note.arg("haul1:{0}:gc").arg(4e12).arg(format!("-0:{name}"));
                    note.query_async::<()>(&mut connection).await.unwrap();
                }
                stats.orphans.last_sweep.is_some()
            })
            .await?;
        assert!(left().count() > 0, "{}", bench.site.name);
    }
    Ok(())
}

#[tokio::test]
async fn workers_that_are_killed_while_they_look_leave_the_rest_to_others() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_ORPHAN_SWEEP", "1s")]).await?;
    let objects = house.objects();
    for _ in 0..40 {
        let path = objects.join(key().as_str());
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, "orphan")?;
        // HAUL_JOB_TTL and HAUL_RESULT_TTL together are three days
        aged(&path, HOUR * 73)?;
    }
    let told = async || anyhow::Ok(house.get("/api/v1/stats").await?.json()["storage"]["orphans"].clone());
    let mut worker = house.worker(&[]).await?;
    until("some are gone", async || (1..40).contains(&house.stored())).await?;
    worker.kill()?;
    let left = house.stored();
    ensure!(left > 0, "it was killed in the middle");
    // nobody waits for the end of its turn here
    let mut connection = house.redis.connection().await?;
    redis::cmd("HSET").arg("haul1:{0}:sweep").arg("till").arg(1).query_async::<()>(&mut connection).await?;
    let _workers = (house.worker(&[]).await?, house.worker(&[]).await?);
    until("a look ended", async || told().await.is_ok_and(|told| told["last_sweep_at"].is_string())).await?;
    let told = told().await?;
    let removed = told["removed"].as_u64().context("a number")?;
    // the one that was being reported when its worker died may be missing
    ensure!(house.stored() == 0 && (39..=40).contains(&removed) && told["failed"] == 0, "{told}");
    assert!(house.metric(&house.api, "haul_orphans_removed_total").await? >= 39.0);
    Ok(())
}
