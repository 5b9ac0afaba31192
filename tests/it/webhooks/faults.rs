//! Workers that die, stop, or are many: what was accepted is told, and told once as far as anybody can know.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn what_a_killed_worker_was_telling_is_told_again_by_another() -> Result<()> {
    let house = house().await?;
    let (mut worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    receiver.will([Reply::Silence]);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    receiver.has(1).await?;
    // it has been told, perhaps, and nobody knows
    worker.kill()?;
    let _another = house.worker(&[]).await?;
    let messages = receiver.has(2).await?;
    assert_eq!(said(&messages[1])?["data"]["id"], said(&messages[0])?["data"]["id"]);
    assert_eq!(messages[1].header("webhook-id"), messages[0].header("webhook-id"));
    assert_eq!(errors(&delivery(&house, &job, "delivered").await?), ["-"]);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_no_receiver_and_the_next_one_tells() -> Result<()> {
    let house = house().await?;
    let (mut worker, receiver) = (house.worker(&[("HAUL_SHUTDOWN_GRACE", "1s")]).await?, Receiver::start().await?);
    receiver.will([Reply::Silence]);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    receiver.has(1).await?;
    worker.signal(Signal::TERM)?;
    assert!(worker.ended().await?.success());
    assert_eq!(house.get(&format!("{job}/webhook")).await?.json()["state"], "pending");
    let _another = house.worker(&[]).await?;
    said(&receiver.has(2).await?[1])?;
    delivery(&house, &job, "delivered").await?;
    Ok(())
}

#[tokio::test]
async fn several_workers_tell_each_end_once() -> Result<()> {
    let house = house().await?;
    let receiver = Receiver::start().await?;
    let order = told_to(&receiver, &house.origin.url("/progressive.mp4"));
    futures::future::try_join_all((0..60).map(|_| house.order(&order))).await?;
    let (_one, _two, _three) = (house.worker(&[]).await?, house.worker(&[]).await?, house.worker(&[]).await?);
    let messages = receiver.has(60).await?;
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!(ids.len(), 60);
    stays_at(&receiver, 60).await
}

#[tokio::test]
async fn an_end_whose_wake_token_was_lost_is_told_all_the_same() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    delivery(&house, &job, "delivered").await?;
    // as `redeliver` does it, but for the token
    let ticket = job.rsplit('/').next().context("an id")?;
    let mut connection = house.redis.connection().await?;
    redis::cmd("ZADD").arg("haul1:{0}:untold").arg(1).arg(ticket).query_async::<()>(&mut connection).await?;
    said(&receiver.has(2).await?[1])?;
    Ok(())
}

#[tokio::test]
async fn ends_of_all_shards_are_told_and_those_of_a_stranger_s_deletion_are_not() -> Result<()> {
    let variables = [("HAUL_WEBHOOK_SECRETS", SECRET), ("HAUL_QUEUE_SHARDS", "3")];
    let house = House::open(Store::Disk, &variables).await?;
    let receiver = Receiver::start().await?;
    let mut jobs = BTreeSet::new();
    for n in 0..12 {
        jobs.insert(house.order(&told_to(&receiver, &house.origin.url(&format!("/nothing-{n}.mp4")))).await?);
    }
    // cancelled and deleted before anybody could tell: then nobody is told of what can't be shown
    let gone = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    assert_eq!(house.ask(Method::DELETE, &gone, &Value::Null).await?.status, 202);
    assert_eq!(house.ask(Method::DELETE, &gone, &Value::Null).await?.status, 204);
    let _worker = house.worker(&[]).await?;
    let messages = receiver.has(12).await?;
    let told: BTreeSet<String> = messages.iter().map(|one| Ok(told(&said(one)?)?.1)).collect::<Result<_>>()?;
    assert_eq!(told, jobs);
    stays_at(&receiver, 12).await
}
