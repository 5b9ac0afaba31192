//! Many callers on few connections.

use anyhow::Result;
use futures::future::try_join_all;
use haul_tests::processes::PATIENCE;
use haul_tests::redis::Redis;

use super::*;

#[tokio::test]
async fn a_command_costs_no_more_than_itself() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(16)?, count());
    count_at(&server, &script, "warm").await?;
    redis::cmd("CONFIG").arg("RESETSTAT").query_async::<()>(&mut redis.connection().await?).await?;

    let calls = (0..64).map(|_| async {
        for _ in 0..10 {
            count_at(&server, &script, "counted").await?;
        }
        Ok::<_, CallError>(())
    });
    try_join_all(calls).await?;
    assert_eq!(redis.carried_out("evalsha").await?, 640);
    for command in ["ping", "unwatch", "eval", "script|load"] {
        assert_eq!(redis.carried_out(command).await?, 0, "{command}");
    }
    let (in_use, idle) = server.pool_state();
    assert!((1..=2).contains(&in_use) && idle == 0, "{in_use} in use, {idle} idle");
    Ok(())
}

#[tokio::test]
async fn a_connection_of_ones_own_is_nobody_elses_and_goes_back() -> Result<()> {
    let redis = Redis::start().await?;
    let server = redis.server(4)?;
    server.ping().await?;
    let (shared, _) = server.pool_state();
    let (first, second) = (server.exclusive("own").await?, server.exclusive("own").await?);
    assert_eq!(server.pool_state(), (shared + 2, 0));
    drop((first, second));
    assert_eq!(server.pool_state(), (shared, 2));
    Ok(())
}

#[tokio::test]
async fn the_bound_on_connections_holds_for_callers_of_every_kind() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(3)?, count());
    let own = try_join_all((0..2).map(|_| server.exclusive("own"))).await?;
    try_join_all((0..20).map(|_| count_at(&server, &script, "counted"))).await?;
    let (in_use, idle) = server.pool_state();
    assert_eq!((in_use, idle), (3, 0));
    assert!(matches!(server.exclusive("own").await, Err(CallError::Connection(_))), "there is none left");
    drop(own);
    server.exclusive("own").await?;
    Ok(())
}

#[tokio::test]
async fn what_is_published_is_heard_again_after_the_connection_broke() -> Result<()> {
    let redis = Redis::start().await?;
    let server = redis.server(2)?;
    let (tell, mut heard) = tokio::sync::mpsc::channel(16);
    let _listener = server.listen(vec!["a".to_owned(), "b".to_owned()], move |what| drop(tell.try_send(what)));
    let mut next = async || tokio::time::timeout(PATIENCE, heard.recv()).await;
    let mut connection = redis.connection().await?;
    for channel in ["a", "b"] {
        assert_eq!(next().await?, Some(Heard::Gap), "what came before was missed");
        redis::cmd("PUBLISH").arg(channel).arg("word").query_async::<()>(&mut connection).await?;
        assert_eq!(next().await?, Some(Heard::Message(b"word".to_vec())));
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).query_async::<()>(&mut connection).await?;
    }
    assert_eq!(next().await?, Some(Heard::Gap));
    Ok(())
}
