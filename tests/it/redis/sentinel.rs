//! A primary that dies, and a sentinel that puts its replica in its place.

use anyhow::Result;
use haul_tests::processes::{PATIENCE, until};
use haul_tests::redis::Redis;
use haul_tests::sentinel::Watched;

use super::*;

#[tokio::test]
async fn nothing_acknowledged_is_lost_with_the_primary() -> Result<()> {
    let mut watched = Watched::start().await?;
    let (server, script) = (watched.server(8)?, count());
    server.check(Durability::Replica).await?;
    let mut acknowledged = 0;
    until("fifty are acknowledged", async || {
        if let Ok(counted) = server.call_durably(script.call().key("counted")).await {
            acknowledged = counted;
        }
        acknowledged >= 50
    })
    .await?;
    watched.primary.kill()?;
    let mut first = None;
    until("the replica is master", async || {
        first = count_at(&server, &script, "counted").await.ok();
        first.is_some()
    })
    .await?;
    assert!(first > Some(acknowledged), "{first:?} after {acknowledged}");
    let refused = server.call_durably::<u64>(script.call().key("counted")).await;
    assert!(matches!(refused, Err(CallError::NotReplicated)), "it has no replica itself");
    Ok(())
}

#[tokio::test]
async fn a_listener_follows_the_master() -> Result<()> {
    let mut watched = Watched::start().await?;
    let server = watched.server(2)?;
    let (tell, mut heard) = tokio::sync::mpsc::channel(16);
    let _listener = server.listen(vec!["a".to_owned()], move |what| drop(tell.try_send(what)));
    let mut next = async || tokio::time::timeout(PATIENCE, heard.recv()).await;
    assert_eq!(next().await?, Some(Heard::Gap));
    watched.primary.kill()?;
    assert_eq!(next().await?, Some(Heard::Gap));
    redis::cmd("PUBLISH").arg("a").arg("word").query_async::<()>(&mut watched.replica.connection().await?).await?;
    assert_eq!(next().await?, Some(Heard::Message(b"word".to_vec())));
    Ok(())
}

#[tokio::test]
async fn without_a_replica_nothing_is_acknowledged() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(4)?, count());
    server.check(Durability::Replica).await?;
    let refused = server.call_durably::<u64>(script.call().key("counted")).await;
    assert!(matches!(refused, Err(CallError::NotReplicated)));
    Ok(())
}
