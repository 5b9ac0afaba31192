//! Objects that are gone although their time is not over: a bucket that was emptied, or that came back older.

use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::processes::until;
use reqwest::Method;
use serde_json::json;

use super::*;

/// Has Redis forget which result answers to which order, and nothing else, as the manual says.
async fn forget_results(house: &House) -> Result<()> {
    let mut connection = house.redis.connection().await?;
    let names: Vec<String> = redis::cmd("KEYS").arg("haul1:*:fp:*").query_async(&mut connection).await?;
    Ok(redis::cmd("UNLINK").arg(names).query_async(&mut connection).await?)
}

#[tokio::test]
async fn a_result_whose_object_is_gone_is_told_so_and_is_made_again_once_redis_has_forgotten_it() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let order = request(&house.origin.url("/progressive.mp4"), json!({}));
    let job = house.order(&order).await?;
    assert_eq!(house.outcome(&job).await?, "completed");
    // Fault: it came while its folder was removed.
    until("its thumbnail has come", async || house.stored_beside() == 1).await?;
    for entry in fs::read_dir(house.objects())? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
    }

    assert_eq!(house.get(&format!("{job}/content")).await?.told(), "410 expired");
    assert!(house.fetch(&job).await.is_err(), "a link is made without a look, and leads nowhere");
    assert_eq!(house.get("/readyz").await?.status, 200);
    // the queue does not know: the same order is given what is not there
    assert_eq!(house.ask(Method::POST, DOWNLOADS, &order).await?.status, 200);

    forget_results(&house).await?;
    let answer = house.ask(Method::POST, DOWNLOADS, &order).await?;
    assert_eq!(answer.status, 202);
    let again = format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?);
    assert_eq!(house.outcome(&again).await?, "completed");
    house.fetch(&again).await?;
    // the record of the lost one can go, and takes nothing along
    assert_eq!(house.ask(Method::DELETE, &job, &Value::Null).await?.status, 204);
    house.fetch(&again).await?;
    assert_eq!(house.metric(&house.api, "haul_queue_repairs_total").await?, 0.0);
    Ok(())
}
