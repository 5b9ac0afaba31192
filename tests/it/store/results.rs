//! How long results stay, and who may fetch them meanwhile.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context as _;
use futures::FutureExt as _;
use haul_shared::config::Rate;

use super::*;

#[tokio::test]
async fn forgetting_the_last_ticket_gives_the_object_to_the_sweep() -> Result<()> {
    let bench = Bench::new().await?;
    let a = bench.submit("a", "https://example.com/v").await?;
    let b = bench.submit("b", "https://example.com/v").await?;
    assert!(!bench.store.forget(a).await?, "it has not ended");
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    bench.store.complete(&leased.lease, &made, &[]).await?;

    assert!(bench.store.forget(a).await?);
    assert!(bench.store.get(a).await?.is_none() && !bench.store.forget(a).await?);
    assert!(bench.store.collect(&[], 10).await?.is_empty(), "b may still fetch it");
    assert!(bench.store.forget(b).await?);
    let due = bench.store.collect(&[], 10).await?;
    assert_eq!(due.iter().map(|garbage| &garbage.object).collect::<Vec<_>>(), [&made.object]);
    assert!(bench.store.collect(&due, 10).await?.is_empty());
    let stats = bench.store.stats().await?;
    assert_eq!((stats.stored_bytes, stats.stored_objects), (0, 0));
    Ok(())
}

#[tokio::test]
async fn who_comes_late_keeps_a_result_for_as_long_as_they_asked() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    bench.store.complete(&leased.lease, &made, &[]).await?;
    let mut connection = bench.redis.connection().await?;
    let (job, gc, entry) =
        (format!("haul1:{{0}}:j:{}", leased.lease.job), "haul1:{0}:gc", format!("+1000:{}", made.object));
    // as if most of the result's life were over
    redis::cmd("HINCRBY").arg(&job).arg("del").arg(-240_000).query_async::<()>(&mut connection).await?;
    redis::cmd("ZINCRBY").arg(gc).arg(-240_000).arg(&entry).query_async::<()>(&mut connection).await?;

    let late = Submission { expires_in: MINUTE * 4, ..order("b", "https://example.com/v") };
    reused(bench.store.submit(&late).await?, late.ticket);
    let job = bench.job(late.ticket).await?;
    let JobState::Completed { expires, .. } = job.state else { panic!("not completed") };
    assert!(expires >= job.created + MINUTE * 4, "{expires}");
    let goes: i64 = redis::cmd("ZSCORE").arg(gc).arg(&entry).query_async(&mut connection).await?;
    assert!(goes >= expires.as_millisecond(), "swept while it could be fetched");
    Ok(())
}

/// The store of results as somebody sees it who looks, and who counts the looks.
struct Eyes {
    there: AtomicBool,
    looks: AtomicUsize,
}

#[tokio::test]
async fn a_result_that_is_lost_is_made_anew_for_the_next_order_and_whoever_held_it_keeps_that() -> Result<()> {
    static EYES: Eyes = Eyes { there: AtomicBool::new(true), looks: AtomicUsize::new(0) };
    let bench = Bench::new().await?;
    let seeing = JobStore::seeing(
        bench.redis.server(4)?,
        bench.settings,
        Box::new(|_| {
            EYES.looks.fetch_add(1, Ordering::Relaxed);
            async { EYES.there.load(Ordering::Relaxed) }.boxed()
        }),
    );
    // one order in a minute: a look that counted as one would be one too many
    let once = |client| {
        let rate = Some(Rate { count: NonZeroU32::MIN, per: MINUTE });
        let order = order(client, "https://example.com/v");
        Submission { limits: ClientLimits { rate, ..order.limits }, ..order }
    };
    let first = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let lost = artifact(&leased);
    bench.store.complete(&leased.lease, &lost, &[]).await?;
    let late = once("b");
    reused(seeing.submit(&late).await?, late.ticket);
    assert_eq!(EYES.looks.load(Ordering::Relaxed), 1);

    EYES.there.store(false, Ordering::Relaxed);
    let (one, other) = (once("c"), once("d"));
    let (new, joined) = tokio::try_join!(seeing.submit(&one), seeing.submit(&other))?;
    accepted(new, one.ticket);
    accepted(joined, other.ticket);
    let leased = bench.must_lease().await?;
    assert!(bench.lease().await?.is_none(), "both are one run");
    assert_eq!([bench.kind(first).await?, bench.kind(late.ticket).await?], [StateKind::Completed; 2]);
    // somebody finds out late: what is made now is another one
    seeing.unshare(&lost.object).await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;

    EYES.there.store(true, Ordering::Relaxed);
    assert!(bench.store.forget(first).await? && bench.store.forget(late.ticket).await?, "the lost one goes");
    let last = once("e");
    reused(seeing.submit(&last).await?, last.ticket);
    // what was found in the bytes themselves, by who reads them
    seeing.unshare(&artifact(&leased).object.thumbnail()).await?;
    let still = once("f");
    reused(seeing.submit(&still).await?, still.ticket);
    seeing.unshare(&artifact(&leased).object).await?;
    let anew = once("g");
    accepted(seeing.submit(&anew).await?, anew.ticket);
    bench.recount().await
}

#[tokio::test]
async fn an_object_whose_job_was_never_completed_is_swept_when_its_reservation_ends() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let object = artifact(&leased).object;
    bench.store.reserve(&leased.lease, &object).await?;
    let mut connection = bench.redis.connection().await?;
    let held: Vec<String> =
        redis::cmd("ZRANGE").arg("haul1:{0}:gc").arg(0).arg(-1).query_async(&mut connection).await?;
    assert_eq!(held, [format!("-0:{object}")]);
    Ok(())
}

/// One such job made the whole list an error, and one such object kept all others in the store.
#[tokio::test]
async fn what_a_newer_version_wrote_hides_nothing_else() -> Result<()> {
    let bench = Bench::new().await?;
    let mut made = Vec::new();
    for url in ["https://example.com/v", "https://example.com/w"] {
        let ticket = bench.submit("a", url).await?;
        let leased = bench.must_lease().await?;
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
        made.push((ticket, leased));
    }
    let [(_, newer), (ticket, known)] = &made[..] else { panic!("two") };
    let mut connection = bench.redis.connection().await?;
    let record = format!("haul1:{{0}}:j:{}", newer.lease.job);
    redis::cmd("HSET").arg(record).arg("res").arg("{}").query_async::<()>(&mut connection).await?;
    redis::cmd("ZADD").arg("haul1:{0}:gc").arg(0).arg("+1:elsewhere").query_async::<()>(&mut connection).await?;

    let listed = bench.listed(Scope::Everyone).await?;
    assert_eq!(listed.iter().map(|job| job.ticket).collect::<Vec<_>>(), [*ticket]);
    assert!(bench.store.forget(*ticket).await?);
    let due = bench.store.collect(&[], 10).await?;
    assert_eq!(due.iter().map(|garbage| &garbage.object).collect::<Vec<_>>(), [&artifact(known).object]);
    Ok(())
}

#[tokio::test]
async fn a_thumbnail_is_noted_before_it_is_written_and_lives_and_goes_with_its_result() -> Result<()> {
    let bench = Bench::new().await?;
    let (ticket, follower) = (bench.submit("a", "https://example.com/v").await?, order("b", "https://example.com/v"));
    let leased = bench.must_lease().await?;
    let (made, lease) = (artifact(&leased), &leased.lease);
    let object = made.object.thumbnail();
    bench.store.complete_before_thumbnail(lease, &made, &[], MINUTE).await?;
    let mut connection = bench.redis.connection().await?;
    let mut noted = async |entry: String| -> Result<Option<i64>> {
        Ok(redis::cmd("ZSCORE").arg("haul1:{0}:gc").arg(entry).query_async(&mut connection).await?)
    };
    assert!(noted(format!("-0:{object}")).await?.is_some());
    let thumbnail = async |ticket| match bench.job(ticket).await?.state {
        JobState::Completed { artifact, .. } => anyhow::Ok(artifact.beside.thumbnail),
        other => anyhow::bail!("not completed: {other:?}"),
    };
    let Thumbnail::Coming { until } = thumbnail(ticket).await? else { anyhow::bail!("it is to come") };
    let held = noted(format!("-0:{object}")).await?.context("its note")? - until.as_millisecond();
    assert!((60_000..600_000).contains(&held), "{held} ms after its time");
    let follower_ticket = follower.ticket;
    reused(bench.store.submit(&follower).await?, follower_ticket);

    let stale = Lease { fence: Fence(lease.fence.0 - 1), ..lease.clone() };
    assert!(!bench.store.thumbnail(&stale, &object, Some(7)).await?);
    for _ in 0..2 {
        assert!(bench.store.thumbnail(lease, &object, Some(7)).await?, "an answer may be lost");
    }
    let there = Thumbnail::There(Stored { object: object.clone(), size_bytes: 7 });
    assert_eq!((thumbnail(ticket).await?, thumbnail(follower_ticket).await?), (there.clone(), there));
    assert!(noted(format!("-0:{object}")).await?.is_none());
    assert_eq!(noted(format!("+7:{object}")).await?, noted(format!("+1000:{}", made.object)).await?);
    let stats = bench.store.stats().await?;
    assert_eq!((stats.stored_bytes, stats.stored_objects), (1007, 2));

    assert!(bench.store.forget(ticket).await? && bench.store.forget(follower_ticket).await?);
    assert_eq!(bench.store.collect(&[], 10).await?.len(), 2);
    assert!(!bench.store.thumbnail(lease, &object, Some(7)).await?, "nothing leads to it");

    // deleted before it came: what is written all the same goes when its note says so
    let ticket = bench.submit("a", "https://example.com/w").await?;
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    bench.store.complete_before_thumbnail(&leased.lease, &made, &[], MINUTE).await?;
    assert!(bench.store.forget(ticket).await?);
    assert!(!bench.store.thumbnail(&leased.lease, &made.object.thumbnail(), Some(7)).await?);
    assert!(noted(format!("-0:{}", made.object.thumbnail())).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn what_is_said_of_a_thumbnail_after_its_time_is_not_heard() -> Result<()> {
    let bench = Bench::new().await?;
    for (url, within) in [("https://example.com/over", Duration::from_millis(1)), ("https://example.com/said", MINUTE)]
    {
        let ticket = bench.submit("a", url).await?;
        let leased = bench.must_lease().await?;
        let (made, lease) = (artifact(&leased), &leased.lease);
        bench.store.complete_before_thumbnail(lease, &made, &[], within).await?;
        let is_none = async || match bench.job(ticket).await?.state {
            JobState::Completed { artifact, .. } => anyhow::Ok(artifact.beside.thumbnail == Thumbnail::None),
            other => anyhow::bail!("not completed: {other:?}"),
        };
        let object = made.object.thumbnail();
        if within == MINUTE {
            for _ in 0..2 {
                assert!(bench.store.thumbnail(lease, &object, None).await?, "an answer may be lost");
            }
        }
        haul_tests::processes::until("none comes", async || is_none().await.unwrap_or(false)).await?;
        assert!(!bench.store.thumbnail(lease, &object, Some(7)).await?);
        assert!(is_none().await?, "{url}");
    }
    Ok(())
}
