//! Ends that somebody is to be told of: who has them, for how long, and what is remembered of it.

use anyhow::Context as _;
use haul_shared::store::{Delivery, Outbox, Redelivered, Telling, Then, Told, Webhook, WebhookOrder};
use haul_shared::webhook::{Attempt, Secrets, Signing};
use jiff::Timestamp;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What makes an order one of which somebody wants to be told.
pub(super) fn wanted() -> WebhookOrder {
    let signing = Signing { secrets: Secrets::read([SECRET]).unwrap(), is_own: false };
    WebhookOrder { base: "https://haul.example/".parse().unwrap(), signing }
}

/// An order of which somebody wants to be told.
fn told_of(name: &str, url: &str) -> Submission {
    Submission { webhook: Some(wanted()), ..order(name, url) }
}

/// An attempt that was in vain.
pub(super) fn in_vain() -> Attempt {
    Attempt { at: Timestamp::UNIX_EPOCH, status: Some(500), error: Some("status".to_owned()), duration_ms: 7 }
}

impl Bench {
    /// A job that has ended, and whose end is to be told.
    async fn ended(&self) -> Result<Ticket> {
        let order = told_of("a", "https://example.com/v");
        self.store.submit(&order).await?;
        assert_eq!(self.webhook(order.ticket).await?.state, Delivery::Waiting);
        assert_eq!(self.store.cancel(order.ticket).await?, Cancelled::Now);
        Ok(order.ticket)
    }

    async fn webhook(&self, ticket: Ticket) -> Result<Webhook> {
        self.store.webhook(ticket).await?.context("somebody is to be told")
    }

    fn outbox(&self) -> Outbox {
        self.store.outboxes().swap_remove(0)
    }

    async fn redeliver(&self, ticket: Ticket) -> Result<Redelivered> {
        let limits = order("a", "https://example.com/v").limits;
        Ok(self.store.redeliver(ticket, &client("a"), &limits).await?)
    }

    async fn take(&self) -> Result<Vec<Telling>> {
        Ok(self.outbox().take(10, &[]).await?)
    }

    /// Lets it be due without waiting for that.
    async fn is_due(&self, ticket: Ticket) -> Result<()> {
        let mut zadd = redis::cmd("ZADD");
        zadd.arg("haul1:{0}:untold").arg(1).arg(ticket.to_string());
        Ok(zadd.query_async(&mut self.redis.connection().await?).await?)
    }

    /// Lets its day be over at this time.
    async fn is_told_until(&self, ticket: Ticket, ms: i64) -> Result<()> {
        let mut hset = redis::cmd("HSET");
        hset.arg(format!("haul1:{{0}}:h:{ticket}")).arg("till").arg(ms);
        Ok(hset.query_async(&mut self.redis.connection().await?).await?)
    }
}

#[tokio::test]
async fn what_one_has_nobody_else_gets_until_it_was_silent_for_too_long_and_then_it_is_not_heard() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.ended().await?;
    let [slow] = bench.take().await?.try_into().expect("one end");
    assert_eq!((slow.job.ticket, slow.end, slow.failures), (ticket, StateKind::Cancelled, 0));
    assert_eq!(slow.secrets.as_ref().map(|secrets| secrets.expose().collect::<Vec<_>>()), Some(vec![SECRET]));
    assert!(bench.take().await?.is_empty());
    bench.recount().await?;

    bench.is_due(ticket).await?;
    let [fresh] = bench.take().await?.try_into().expect("the same end");
    assert_eq!(fresh.message, slow.message);
    assert_eq!(bench.store.told(&slow, &in_vain(), Then::Never).await?, Told::Stale);
    // an answer that was lost is given again
    for _ in 0..2 {
        assert_eq!(bench.store.told(&fresh, &in_vain(), Then::Told).await?, Told::Delivered);
    }
    let webhook = bench.webhook(ticket).await?;
    assert_eq!((webhook.state, webhook.attempts.len()), (Delivery::Delivered, 1));
    bench.recount().await
}

#[tokio::test]
async fn what_a_worker_has_no_hand_for_is_given_back_and_counts_as_no_attempt() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.ended().await?;
    let taken = bench.take().await?;
    let hidden = bench.webhook(ticket).await?.state;
    assert!(bench.outbox().take(10, &taken).await?.is_empty(), "not again at once");
    let (Delivery::Pending { next: hidden }, Delivery::Pending { next }) = (hidden, bench.webhook(ticket).await?.state)
    else {
        panic!("it is to be told");
    };
    assert!(next < hidden, "sooner than if nothing had been heard of it");
    bench.is_due(ticket).await?;
    let [again] = bench.take().await?.try_into().expect("one end");
    assert_eq!((again.failures, bench.webhook(ticket).await?.attempts.len()), (0, 0));
    bench.recount().await
}

#[tokio::test]
async fn an_end_is_told_for_a_day_and_once_more_for_who_asks() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.ended().await?;
    let now = || Timestamp::now().as_millisecond();
    // Fault: where the next attempt would have come after the day, there was none, up to an hour before the day was over.
    let [telling] = bench.take().await?.try_into().expect("one end");
    bench.is_told_until(ticket, now() + 30_000).await?;
    assert_eq!(bench.store.told(&telling, &in_vain(), Then::Again(MINUTE)).await?, Told::Pending);
    bench.is_told_until(ticket, now() - 1).await?;
    bench.is_due(ticket).await?;
    let [last] = bench.take().await?.try_into().expect("the same end");
    bench.recount().await?;
    assert_eq!(bench.store.told(&last, &in_vain(), Then::Again(MINUTE)).await?, Told::GivenUp);
    let webhook = bench.webhook(ticket).await?;
    assert_eq!((webhook.state, webhook.attempts.len()), (Delivery::GivenUp, 2));
    assert!(bench.take().await?.is_empty());

    assert_eq!(bench.redeliver(ticket).await?, Redelivered::Soon);
    let [telling] = bench.take().await?.try_into().expect("one end");
    assert_eq!((telling.failures, &telling.job.state), (0, &JobState::Cancelled { at: telling.at }));
    assert_eq!(bench.store.told(&telling, &in_vain(), Then::Again(MINUTE)).await?, Told::Pending);
    bench.recount().await
}

#[tokio::test]
async fn who_left_a_run_through_an_older_version_is_not_told_how_it_ended() -> Result<()> {
    let bench = Bench::new().await?;
    let [stays, leaves, comes_back] = ["a", "b", "c"].map(|name| told_of(name, "https://example.com/v"));
    for order in [&stays, &leaves, &comes_back] {
        bench.store.submit(order).await?;
    }
    // all that such a version did of this: it knew nothing of who is to be told
    let mut connection = bench.redis.connection().await?;
    for (order, field, value) in
        [(&leaves, "st", StateKind::Cancelled.word().to_owned()), (&comes_back, "jid", JobId::new().to_string())]
    {
        let mut hset = redis::cmd("HSET");
        hset.arg(format!("haul1:{{0}}:t:{}", order.ticket)).arg(field).arg(value);
        hset.query_async::<()>(&mut connection).await?;
    }
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    let told: Vec<Ticket> = bench.take().await?.into_iter().map(|telling| telling.job.ticket).collect();
    assert_eq!(told, [stays.ticket]);
    for order in [&leaves, &comes_back] {
        assert_eq!(bench.webhook(order.ticket).await?.state, Delivery::Waiting);
    }
    Ok(())
}

#[tokio::test]
async fn of_many_attempts_the_newest_are_remembered() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.ended().await?;
    for n in 0..100 {
        bench.is_due(ticket).await?;
        let [telling] = bench.take().await?.try_into().expect("one end");
        assert_eq!(telling.failures, n);
        let attempt = Attempt { duration_ms: n.into(), ..in_vain() };
        assert_eq!(bench.store.told(&telling, &attempt, Then::Again(MINUTE)).await?, Told::Pending);
    }
    let remembered: Vec<u64> = bench.webhook(ticket).await?.attempts.iter().map(|one| one.duration_ms).collect();
    assert_eq!(remembered, (68..100).collect::<Vec<u64>>());
    let mut connection = bench.redis.connection().await?;
    let kept: u64 = redis::cmd("LLEN").arg(format!("haul1:{{0}}:tries:{ticket}")).query_async(&mut connection).await?;
    assert!(kept <= 64, "{kept}");
    Ok(())
}

#[tokio::test]
async fn who_tries_again_is_told_of_that_run_and_not_of_the_last_one() -> Result<()> {
    let bench = Bench::new().await?;
    let order = told_of("a", "https://example.com/v");
    bench.store.submit(&order).await?;
    bench.store.cancel(order.ticket).await?;
    let [before] = bench.take().await?.try_into().expect("one end");
    assert!(matches!(bench.store.resubmit(&order).await?, Submitted::Accepted(_)));
    assert_eq!(bench.store.told(&before, &in_vain(), Then::Told).await?, Told::Stale);
    let webhook = bench.webhook(order.ticket).await?;
    assert_eq!((webhook.state, webhook.end, webhook.attempts.len()), (Delivery::Waiting, None, 0));
    assert_ne!(webhook.message, before.message);
    assert_eq!(bench.redeliver(order.ticket).await?, Redelivered::Unfinished);

    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    let [after] = bench.take().await?.try_into().expect("one end");
    assert_eq!((after.end, &after.message), (StateKind::Completed, &webhook.message));
    bench.recount().await
}

/// Fault: who was refused a part of a playlist was told the ends of others, of which nobody had told it.
#[tokio::test]
async fn nobody_is_told_of_what_is_retracted() -> Result<()> {
    let bench = Bench::new().await?;
    let retract = async |order: &Submission| bench.store.retract(order.ticket).await;
    let running = told_of("a", "https://example.com/1");
    bench.store.submit(&running).await?;
    let leased = bench.must_lease().await?;
    let [shared, last, ended] = [("a", "2"), ("b", "2"), ("c", "3")]
        .map(|(name, which)| told_of(name, &format!("https://example.com/{which}")));
    for order in [&shared, &last, &ended] {
        bench.store.submit(order).await?;
    }
    assert_eq!(bench.store.cancel(ended.ticket).await?, Cancelled::Now);
    assert_eq!(retract(&ended).await?, Cancelled::AlreadyEnded, "and its end was to be told");
    for order in [&shared, &last] {
        assert_eq!(retract(order).await?, Cancelled::Now);
    }
    assert_eq!(retract(&running).await?, Cancelled::Stopping);
    bench.recount().await?;
    assert_eq!(bench.store.fail(&leased.lease, &trouble(FailureKind::Internal), MINUTE).await?, Ended::Cancelled);
    for order in [&running, &shared, &last, &ended] {
        assert_eq!(
            (bench.store.webhook(order.ticket).await?, bench.job(order.ticket).await?.state.kind()),
            (None, StateKind::Cancelled)
        );
    }
    assert!(bench.take().await?.is_empty());
    bench.recount().await
}

#[tokio::test]
async fn nothing_is_left_of_a_webhook_whose_job_was_deleted() -> Result<()> {
    let bench = Bench::new().await?;
    let (told, other) = (told_of("a", "https://example.com/v"), told_of("b", "https://example.com/v"));
    bench.store.submit(&told).await?;
    bench.store.submit(&other).await?;
    bench.store.cancel(told.ticket).await?;
    bench.recount().await?;
    bench.store.cancel(other.ticket).await?;
    for ticket in [told.ticket, other.ticket] {
        assert!(bench.store.forget(ticket).await?);
        assert_eq!(bench.redeliver(ticket).await?, Redelivered::Unasked);
        assert_eq!(bench.store.webhook(ticket).await?, None);
    }
    assert!(bench.take().await?.is_empty());
    let mut connection = bench.redis.connection().await?;
    for pattern in ["h:*", "hooks:*", "tries:*", "untold"] {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("haul1:{{0}}:{pattern}")).query_async(&mut connection).await?;
        assert!(keys.is_empty(), "{keys:?}");
    }
    bench.recount().await
}

#[tokio::test]
async fn secrets_are_kept_where_a_webhook_was_ordered_and_are_those_of_now() -> Result<()> {
    let bench = Bench::new().await?;
    let secrets = |text: &str| Secrets::read([text]).unwrap();
    let (new, own) = (secrets("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), secrets(&format!("whsec_{}", "A".repeat(32))));
    let mut connection = bench.redis.connection().await?;
    let key = "haul1:{0}:secrets";
    bench.store.rotate(Some(&new), &[(client("a"), own.clone())]).await?;
    let kept: bool = redis::cmd("EXISTS").arg(key).query_async(&mut connection).await?;
    assert!(!kept, "nobody has ordered a webhook");

    let ticket = bench.ended().await?;
    let now = async || {
        bench.is_due(ticket).await?;
        anyhow::Ok(bench.take().await?.swap_remove(0).secrets)
    };
    assert_eq!(now().await?, Some(secrets(SECRET)));
    bench.store.rotate(Some(&new), &[(client("b"), own.clone())]).await?;
    assert_eq!(now().await?, Some(new.clone()));
    bench.store.rotate(Some(&new), &[(client("a"), own.clone())]).await?;
    assert_eq!(now().await?, Some(own));
    bench.store.rotate(Some(&new), &[]).await?;
    assert_eq!(now().await?, Some(new));
    bench.store.rotate(None, &[]).await?;
    assert_eq!(now().await?, None);
    bench.store.rotate(Some(&secrets(SECRET)), &[]).await?;
    assert_eq!(now().await?, Some(secrets(SECRET)));
    let life: i64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await?;
    assert!(life != -1, "they live for ever");
    Ok(())
}

/// Fault: an order that had been on its way since before a secret was taken away brought it back.
#[tokio::test]
async fn an_order_brings_back_no_secret_that_was_replaced_meanwhile() -> Result<()> {
    let bench = Bench::new().await?;
    let new = Secrets::read(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
    bench.ended().await?;
    bench.store.rotate(Some(&new), &[]).await?;
    let late = told_of("b", "https://example.com/late");
    bench.store.submit(&late).await?;
    bench.store.cancel(late.ticket).await?;
    let secrets: Vec<_> = bench.take().await?.into_iter().map(|telling| telling.secrets).collect();
    assert_eq!(secrets, [Some(new.clone()), Some(new)]);
    Ok(())
}

/// Fault: a call that came again, because its answer was lost, put off for twice as long what it had given back before.
#[tokio::test]
async fn what_is_given_back_twice_is_put_off_once() -> Result<()> {
    let bench = Bench::new().await?;
    bench.ended().await?;
    let taken = bench.take().await?;
    let due = async || {
        let mut ask = redis::cmd("ZRANGE");
        ask.arg("haul1:{0}:untold").arg(0).arg(-1).arg("WITHSCORES");
        anyhow::Ok(ask.query_async::<Vec<String>>(&mut bench.redis.connection().await?).await?)
    };
    assert!(bench.outbox().take(0, &taken).await?.is_empty());
    let put_off = due().await?;
    assert!(bench.outbox().take(0, &taken).await?.is_empty());
    assert_eq!(due().await?, put_off);
    bench.recount().await
}

/// Fault: what was asked for once more was charged by each process for itself.
#[tokio::test]
async fn who_is_told_again_has_ordered_a_download_less() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.ended().await?;
    let rate = Some("2/h".parse()?);
    let limits = ClientLimits { rate, ..order("a", "https://example.com/v").limits };
    let again = async |name: &str| bench.store.redeliver(ticket, &client(name), &limits).await;
    let another = || Submission { limits, ..order("a", "https://example.com/another") };
    assert_eq!(again("a").await?, Redelivered::Soon);
    assert!(matches!(bench.store.submit(&another()).await?, Submitted::Accepted(_)));
    assert!(matches!(bench.store.submit(&another()).await?, Submitted::RateLimited { .. }));
    assert!(matches!(again("a").await?, Redelivered::RateLimited { retry_after } if !retry_after.is_zero()));
    assert_eq!(again("b").await?, Redelivered::Soon);
    Ok(())
}

/// Fault: all that waited for one slow receiver was looked at every few seconds, by every worker.
#[tokio::test]
async fn what_is_put_off_is_due_again_later_each_time_and_soon_once_it_was_tried() -> Result<()> {
    let bench = Bench::new().await?;
    let (ticket, mut outbox) = (bench.ended().await?, bench.outbox());
    let mut connection = bench.redis.connection().await?;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        bench.is_due(ticket).await?;
        let taken = outbox.take(10, &[]).await?;
        let now = taken[0].now().as_millisecond();
        outbox.take(0, &taken).await?;
        let mut ask = redis::cmd("ZSCORE");
        let due: f64 = ask.arg("haul1:{0}:untold").arg(ticket.to_string()).query_async(&mut connection).await?;
        pauses.push(due as i64 - now);
    }
    let least = [2, 4, 8, 16, 32, 64, 64, 64].map(|seconds| seconds * 1000);
    // what is blurred, and what the calls took
    assert!(pauses.iter().zip(least).all(|(pause, least)| (least..least + 4000).contains(pause)), "{pauses:?}");

    bench.is_due(ticket).await?;
    let tried = bench.take().await?.swap_remove(0);
    bench.store.told(&tried, &in_vain(), Then::Again(Duration::ZERO)).await?;
    let mut ask = redis::cmd("HEXISTS");
    let is_remembered: bool =
        ask.arg(format!("haul1:{{0}}:h:{ticket}")).arg("off").query_async(&mut connection).await?;
    assert!(!is_remembered);
    Ok(())
}

/// Fault: the end of a run that 20,000 shared took Redis a third of a second.
#[tokio::test]
async fn a_run_has_at_most_a_thousand_holders_and_the_next_one_begins_another() -> Result<()> {
    let bench = Bench::new().await?;
    let live = async || {
        let mut ask = redis::cmd("ZCARD");
        anyhow::Ok(ask.arg("haul1:{0}:live").query_async::<u32>(&mut bench.redis.connection().await?).await?)
    };
    for _ in 0..1000 {
        bench.submit("a", "https://example.com/v").await?;
    }
    assert_eq!(live().await?, 1);
    bench.submit("b", "https://example.com/v").await?;
    assert_eq!(live().await?, 2);
    bench.submit("c", "https://example.com/v").await?;
    assert_eq!(live().await?, 2, "who comes later shares the new one");
    Ok(())
}
