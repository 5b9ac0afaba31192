//! An even newer yt-dlp comes while one is on trial, and goes: what was decided of the one before it, meanwhile and then.

use super::*;

const NEWER: &str = "2026.09.08";

impl Bench {
    /// None of this version lives any more, for so long that no restart explains it.
    async fn gone(&self, gone: &WorkerInfo, newest: &str) -> Result<()> {
        self.store.sign_off(gone).await?;
        self.look().await?;
        let mut connection = self.redis.connection().await?;
        let long = format!("1 {newest}");
        redis::cmd("SET").arg("haul1:{0}:apart").arg(long).arg("KEEPTTL").query_async::<()>(&mut connection).await?;
        self.look().await
    }

    /// Whether these get a job of a site that has just come, each a fresh one.
    async fn who_takes(&self, site: &str, versions: [&str; 3]) -> Result<[bool; 3]> {
        let mut taken = [false; 3];
        for (version, is_taken) in versions.into_iter().zip(&mut taken) {
            let ticket = self.order_from("a", site, rand::random_range(0..1 << 40)).await?;
            *is_taken = self.taken_by(version, MINUTE).await?.is_some();
            if !*is_taken {
                self.store.cancel(ticket).await?;
            }
        }
        Ok(taken)
    }
}

#[tokio::test]
async fn what_was_decided_of_a_version_is_held_against_no_newer_one_and_stands_when_that_has_gone() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    bench.end("bad", OLD, 20, true).await?;
    bench.end("bad", NEW, 6, false).await?;
    bench.end("good", OLD, 20, false).await?;
    bench.end("good", NEW, 6, true).await?;
    let all = [OLD, NEW, NEWER];
    assert_eq!(bench.who_takes("bad", all).await?, [true, false, true]);

    let newer = bench.announce(NEWER, &["default"]).await?;
    bench.look().await?;
    bench.look().await?;
    let trial = bench.trial().await?;
    assert_eq!((trial.candidate.as_str(), trial.sites.len(), trial.verdict), (NEWER, 0, Verdict::Undecided));
    assert_eq!(bench.who_takes("bad", all).await?, [true, false, true], "it is none of the others there");
    assert_eq!(bench.who_takes("good", all).await?, [true; 3]);
    // nobody else is better for sure
    let old = bench.announce(OLD, &["eu"]).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert_eq!(bench.who_takes("bad", all).await?, [true; 3]);
    bench.store.announce(&WorkerInfo { regions: vec!["default".parse()?], ..old }).await?;

    bench.gone(&newer, NEW).await?;
    let trial = bench.trial().await?;
    let verdict = |site: &str| trial.sites[&format!("{site}.example")].verdict;
    assert_eq!((trial.candidate.as_str(), trial.verdict), (NEW, Verdict::Undecided));
    assert_eq!((verdict("bad"), verdict("good")), (Verdict::RolledBack, Verdict::Promoted));
    assert_eq!(bench.who_takes("bad", all).await?, [true, false, true], "it is not tried as if it were new");
    bench.recount().await
}

#[tokio::test]
async fn of_the_versions_before_the_one_on_trial_three_are_remembered_until_there_is_no_trial() -> Result<()> {
    let bench = Bench::on_trial(1).await?;
    let mut connection = bench.redis.connection().await?;
    let mut remembered =
        async || redis::cmd("KEYS").arg("haul1:{0}:decided:*").query_async::<Vec<String>>(&mut connection).await;
    let mut workers = Vec::new();
    for (day, count) in [(10, 1), (11, 2), (12, 3), (13, 3), (14, 3)] {
        workers.push(bench.announce(&format!("2026.09.{day}"), &["default"]).await?);
        bench.look().await?;
        assert_eq!(remembered().await?.len(), count, "{day}");
    }
    let newest = workers.pop().expect("some");
    for worker in &workers {
        bench.store.sign_off(worker).await?;
    }
    for worker in [OLD, NEW] {
        bench.store.sign_off(&bench.announce(worker, &["default"]).await?).await?;
    }
    bench.store.look_at_trial(SHARE).await?;
    let mut other = bench.redis.connection().await?;
    let long = format!("1 {}", newest.ytdlp);
    redis::cmd("SET").arg("haul1:{0}:apart").arg(long).arg("KEEPTTL").query_async::<()>(&mut other).await?;
    bench.store.look_at_trial(SHARE).await?;
    assert_eq!(bench.store.trial().await?, None);
    assert_eq!(remembered().await?, [""; 0]);
    Ok(())
}
