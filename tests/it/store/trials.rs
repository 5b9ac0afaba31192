//! A new yt-dlp on trial: which jobs its workers take, what is counted, and what the verdicts do, in the scripts that do it.

use haul_shared::redis::Server;
use haul_shared::rollout::{Ends, Verdict};
use haul_shared::store::{Course, Trial, Tried};

use super::*;

mod bounds;
mod successors;

const OLD: &str = "2026.08.19";
const NEW: &str = "2026.09.01";

/// Percent: every fourth job of a site.
const SHARE: u8 = 25;

impl Bench {
    /// Both versions are at work, and somebody has looked at that.
    async fn on_trial(shards: u16) -> Result<Self> {
        let bench = Self::with(|settings| settings.shards = Shards::new(shards).unwrap()).await?;
        bench.look().await?;
        Ok(bench)
    }

    /// Both versions live, and somebody looks at that.
    async fn look(&self) -> Result<()> {
        for version in [OLD, NEW] {
            self.announce(version, &["default"]).await?;
        }
        Ok(self.store.look_at_trial(SHARE).await?)
    }

    async fn announce(&self, ytdlp: &str, regions: &[&str]) -> Result<WorkerInfo> {
        let worker = WorkerInfo { ytdlp: ytdlp.to_owned(), ..regions::worker(&format!("w-{ytdlp}"), regions) };
        self.store.announce(&worker).await?;
        Ok(worker)
    }

    async fn order_from(&self, client: &str, site: &str, number: usize) -> Result<Ticket> {
        let order = Submission { max_attempts: 4, ..order(client, &format!("https://{site}.example/{number}")) };
        accepted(self.store.submit(&order).await?, order.ticket);
        Ok(order.ticket)
    }

    /// What a worker with this yt-dlp gets, of jobs that have just come into line, or (`late`) have stood there for so long.
    async fn taken_by(&self, ytdlp: &str, late: Duration) -> Result<Option<Leased>> {
        let mut connection = self.redis.connection().await?;
        // what has just come comes now, and what was seen is known for longer: the machine may be slow
        let script = "local now = redis.call('TIME') local t = now[1] * 1000 + math.floor(now[2] / 1000) \
                      for _, key in ipairs(redis.call('KEYS', 'haul1:*:q:*')) do \
                        for _, job in ipairs(redis.call('ZRANGE', key, 0, -1)) do \
                          redis.call('ZADD', key, t - ARGV[1], job) \
                          local record = string.match(key, '^haul1:.-:') .. 'j:' .. job \
                          if redis.call('HEXISTS', record, 'lf') == 1 then redis.call('HSET', record, 'lf', t - ARGV[1]) end \
                        end \
                      end \
                      for _, key in ipairs(redis.call('KEYS', 'haul1:*:trial')) do \
                        if redis.call('HGET', key, 'till') ~= '1' then redis.call('HSET', key, 'till', t + 3600000) end \
                      end";
        let ago = u64::try_from(late.as_millis())?;
        redis::Script::new(script).arg(ago).invoke_async::<()>(&mut connection).await?;
        let mut claims = self.claims();
        claims.done_with(Some(ytdlp.to_owned()));
        Ok(claims.take(1).await?.pop())
    }

    async fn takes(&self, ytdlp: &str) -> Result<Leased> {
        self.taken_by(ytdlp, Duration::ZERO).await?.ok_or_else(|| anyhow::anyhow!("nothing for {ytdlp}"))
    }

    async fn trial(&self) -> Result<Trial> {
        self.store.trial().await?.ok_or_else(|| anyhow::anyhow!("no trial"))
    }

    async fn tried(&self, site: &str) -> Result<Tried> {
        Ok(self.trial().await?.sites.get(&format!("{site}.example")).copied().unwrap_or_default())
    }

    /// Lets so many first attempts at jobs of a site that has an extractor to itself end with this version, well or badly, and
    /// somebody look at that.
    async fn end(&self, site: &str, version: &str, count: usize, well: bool) -> Result<()> {
        self.end_by(Some(site), site, version, count, well).await
    }

    /// The same where it has none: of a stranger.
    async fn end_by(&self, own: Option<&str>, site: &str, version: &str, count: usize, well: bool) -> Result<()> {
        for number in 0..count {
            let name = format!("{version}-{well}-{number}");
            let order = Submission { max_attempts: 1, ..order("one", &format!("https://{site}.example/{name}")) };
            accepted(self.store.submit(&order).await?, order.ticket);
            let leased = self.taken_by(version, MINUTE * 9).await?.expect("it has waited for long enough");
            if well {
                let course = Course { own_extractor: own, ..Course::default() };
                self.store.complete_after(&leased.lease, &artifact(&leased), course).await?;
            } else {
                self.store.fail(&leased.lease, &trouble(FailureKind::ExtractorError), MINUTE).await?;
            }
        }
        self.look().await
    }
}

fn name_of(leased: &Leased) -> String {
    let Some(JobSpec::Download(spec)) = &leased.spec else { panic!("a download") };
    spec.url.expose().trim_start_matches("https://").replace(".example", "")
}

#[tokio::test]
async fn a_job_tells_which_yt_dlp_its_newest_attempt_was_begun_with() -> Result<()> {
    let bench = Bench::new().await?;
    let (a, b) = (bench.submit("a", "https://example.com/1").await?, bench.submit("b", "https://example.com/1").await?);
    assert_eq!(bench.job(a).await?.ytdlp, None);
    let leased = bench.takes(OLD).await?;
    assert_eq!((leased.ytdlp.as_deref(), bench.job(a).await?.ytdlp.as_deref()), (Some(OLD), Some(OLD)));
    bench.store.release(&leased.lease).await?;
    assert_eq!(bench.job(a).await?.ytdlp, None, "that attempt did not count");
    let leased = bench.takes(NEW).await?;
    assert_eq!(bench.store.cancel(a).await?, Cancelled::Now);
    bench.store.fail(&leased.lease, &trouble(FailureKind::Network), MINUTE).await?;
    bench.end_delays().await?;
    assert_eq!(bench.job(b).await?.ytdlp.as_deref(), Some(NEW), "until the next one begins");
    let leased = bench.must_lease().await?;
    assert_eq!(bench.job(b).await?.ytdlp, None, "its worker does not tell");
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.job(a).await?.ytdlp.as_deref(), Some(NEW), "as it was when it was left");
    bench.recount().await
}

#[tokio::test]
async fn a_new_yt_dlp_gets_its_share_of_each_site_and_what_it_leaves_keeps_its_place() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    for site in ["one", "two"] {
        let (mut new, mut next) = (0, 0);
        for number in 0..40 {
            bench.order_from("client", site, number).await?;
            let leased = match bench.taken_by(NEW, Duration::ZERO).await? {
                Some(leased) => {
                    new += 1;
                    leased
                }
                None => bench.takes(OLD).await?,
            };
            assert_eq!((name_of(&leased), leased.attempt), (format!("{site}/{next}"), 1));
            next += 1;
            bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
            assert!(new.max(1) * 4 <= number + 5, "{new} of {}", number + 1);
        }
        assert!((9..=11).contains(&new), "{new} of 40");
    }
    // it is a part at most: the others leave it nothing
    for number in 0..8 {
        bench.order_from("client", "three", number).await?;
        let leased = bench.takes(OLD).await?;
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    }
    assert_eq!(bench.traces().await?, [0; 6]);
    bench.recount().await
}

#[tokio::test]
async fn jobs_that_are_left_to_others_keep_none_behind_them_waiting() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    bench.end("bad", OLD, 20, true).await?;
    bench.end("bad", NEW, 6, false).await?;
    assert_eq!(bench.tried("bad").await?.verdict, Verdict::RolledBack);
    for number in 0..3 {
        bench.order_from("a", "bad", number).await?;
    }
    bench.order_from("a", "other", 0).await?;
    bench.order_from("b", "bad", 3).await?;
    // of a site that nobody knows, the first who asks may take what has failed with others
    let ticket = bench.order_from("b", "other", 1).await?;
    let mut names = Vec::new();
    while let Some(leased) = bench.taken_by(NEW, Duration::from_secs(10)).await? {
        names.push(name_of(&leased));
    }
    names.sort();
    assert_eq!(names, ["other/0", "other/1"]);
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    let mut others = Vec::new();
    while let Some(leased) = bench.taken_by(OLD, Duration::ZERO).await? {
        others.push(name_of(&leased));
    }
    others.sort();
    assert_eq!(others, ["bad/0", "bad/1", "bad/2", "bad/3"]);
    bench.recount().await
}

#[tokio::test]
async fn nobody_waits_for_workers_that_are_busy_gone_or_elsewhere_nor_when_nobody_looks() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    bench.end("bad", OLD, 20, true).await?;
    bench.end("bad", NEW, 6, false).await?;
    let mut number = 0;
    let mut takes = async |site: &str, late: u64| {
        number += 1;
        bench.order_from("a", site, number).await?;
        let taken = bench.taken_by(NEW, Duration::from_secs(late)).await?;
        let is_taken = taken.is_some();
        let leased = match taken {
            Some(leased) => leased,
            None => bench.takes(OLD).await?,
        };
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
        anyhow::Ok(is_taken)
    };
    // busy: after a while in line, which is longer where it was found to be worse
    assert!(!takes("bad", 0).await?);
    assert!(!takes("bad", 200).await?);
    assert!(takes("bad", 400).await?);
    // of four jobs of a site at least two are beyond its share
    let mut beyond = 0;
    for _ in 0..4 {
        beyond += usize::from(!takes("unknown", 0).await?);
    }
    assert!(beyond >= 2, "{beyond}");
    for _ in 0..4 {
        assert!(takes("unknown", 6).await?);
    }
    // elsewhere
    bench.announce(OLD, &["eu"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert!(takes("bad", 0).await?);
    let old = bench.announce(OLD, &["default"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert!(!takes("bad", 0).await?);
    // nobody has looked for a while
    let mut connection = bench.redis.connection().await?;
    redis::cmd("HSET").arg("haul1:{0}:trial").arg("till").arg(1).query_async::<()>(&mut connection).await?;
    assert!(takes("bad", 0).await?);
    assert_eq!(bench.store.trial().await?, None, "nor is any shown");
    bench.store.look_at_trial(SHARE).await?;
    assert!(!takes("bad", 0).await?, "what was ruled is still known");
    // gone, and back: a restart ends no trial
    bench.store.sign_off(&old).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert!(takes("bad", 0).await?);
    bench.store.announce(&old).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert!(!takes("bad", 0).await?);
    // gone for good: the trial is over, and nothing is left of it
    bench.store.sign_off(&old).await?;
    bench.store.look_at_trial(SHARE).await?;
    let (key, long) = ("haul1:{0}:apart", format!("1 {NEW}"));
    redis::cmd("SET").arg(key).arg(long).arg("XX").arg("KEEPTTL").query_async::<()>(&mut connection).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert!(takes("bad", 0).await?);
    assert_eq!(bench.store.trial().await?, None);
    let left: Vec<String> = redis::cmd("KEYS").arg("haul1:{0}:tri*").query_async(&mut connection).await?;
    assert_eq!(left, [""; 0]);
    // the old one comes back: it is not the new one that is new now
    bench.announce(OLD, &["default"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert_eq!(bench.store.trial().await?, None);
    bench.recount().await
}

#[tokio::test]
async fn a_first_attempt_counts_once_if_it_speaks_of_yt_dlp_and_the_next_is_somebody_elses() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    // the new one's turn comes within four jobs
    for number in 0..4 {
        bench.order_from("a", "site", number).await?;
    }
    let mut old = Vec::new();
    let mut leased = loop {
        match bench.taken_by(NEW, Duration::ZERO).await? {
            Some(leased) => break leased,
            None => old.push(bench.takes(OLD).await?),
        }
    };
    let fails = async |leased: &Leased, kind| bench.store.fail(&leased.lease, &trouble(kind), Duration::ZERO).await;
    let seen = async || bench.tried("site").await.map(|tried| (tried.seen.candidate, tried.seen.others));
    let ends = |well, badly| Ends { well, badly };
    for leased in &old {
        fails(leased, FailureKind::Timeout).await?;
    }
    assert_eq!(seen().await?, (ends(0, 0), ends(0, 0)), "that says nothing of yt-dlp");
    for _ in 0..2 {
        assert_eq!(fails(&leased, FailureKind::ExtractorError).await?, Ended::Waiting);
    }
    assert_eq!(seen().await?, (ends(0, 1), ends(0, 0)), "the second call is the first one again");
    let failed = leased.lease.job;
    bench.end_delays().await?;
    let mut theirs = Vec::new();
    while let Some(other) = bench.taken_by(OLD, Duration::ZERO).await? {
        theirs.push(other);
    }
    let again = theirs.iter().find(|leased| leased.lease.job == failed).expect("it is the others'");
    assert_eq!(again.attempt, 2);
    for _ in 0..2 {
        assert_eq!(bench.store.complete(&again.lease, &artifact(again), &[]).await?, Done::Completed);
    }
    assert_eq!(seen().await?, (ends(0, 1), ends(0, 0)), "it was the second attempt");
    // what failed with the others is the new one's at once, beyond its share
    bench.order_from("b", "theirs", 1).await?;
    leased = bench.takes(OLD).await?;
    fails(&leased, FailureKind::ExtractorError).await?;
    bench.end_delays().await?;
    let mended = bench.takes(NEW).await?;
    assert_eq!(mended.lease.job, leased.lease.job);
    bench.store.complete(&mended.lease, &artifact(&mended), &[]).await?;
    let tried = bench.tried("theirs").await?;
    assert_eq!((tried.seen.candidate, tried.seen.others), (ends(0, 0), ends(0, 1)));
    bench.recount().await
}

#[tokio::test]
async fn what_the_new_one_breaks_is_rolled_back_there_and_what_it_mends_it_takes_on_every_shard() -> Result<()> {
    let bench = Bench::on_trial(3).await?;
    bench.end("broken", OLD, 24, true).await?;
    bench.end("broken", NEW, 6, false).await?;
    bench.end("mended", OLD, 24, false).await?;
    bench.end("mended", NEW, 6, true).await?;
    let restarted = JobStore::new(Server::at(&bench.redis.url(), 4)?, bench.settings);
    let trial = restarted.trial().await?.expect("it goes on");
    let verdict = |site: &str| trial.sites[&format!("{site}.example")].verdict;
    assert_eq!(
        (verdict("broken"), verdict("mended"), trial.verdict),
        (Verdict::RolledBack, Verdict::Promoted, Verdict::Undecided)
    );
    assert_eq!(trial.candidate.as_str(), NEW);
    // whichever shard they are on
    for number in 0..12 {
        bench.order_from("a", "broken", number).await?;
        assert!(bench.taken_by(NEW, Duration::from_secs(60)).await?.is_none(), "{number}");
    }
    for number in 0..12 {
        bench.takes(OLD).await?;
        bench.order_from("a", "mended", number).await?;
        bench.takes(NEW).await?;
    }
    bench.recount().await
}

#[tokio::test]
async fn what_fails_at_site_after_site_is_rolled_back_at_all_and_what_does_as_well_is_promoted() -> Result<()> {
    for (is_well, verdict) in [(false, Verdict::RolledBack), (true, Verdict::Promoted)] {
        let bench = Bench::on_trial(1).await?;
        // whoever owns domains wants the contrary
        for number in 0..12 {
            let site = format!("stranger{number}");
            bench.end_by(None, &site, OLD, 3, is_well).await?;
            bench.end_by(None, &site, NEW, 2, !is_well).await?;
        }
        assert_eq!(bench.trial().await?.verdict, Verdict::Undecided);
        for number in 0..30 {
            let site = format!("rare{number}");
            bench.end(&site, OLD, 2, true).await?;
            bench.end(&site, NEW, 2, is_well).await?;
        }
        let trial = bench.trial().await?;
        assert!(trial.sites.values().all(|site| site.verdict == Verdict::Undecided), "{trial:?}");
        assert_eq!(trial.verdict, verdict);
        let waited = if is_well { Duration::ZERO } else { MINUTE };
        for number in 0..8 {
            bench.order_from("a", "new", number).await?;
            assert_eq!(bench.taken_by(NEW, waited).await?.is_some(), is_well, "{number}");
        }
    }
    Ok(())
}
