//! The same thing asked for by many is fetched once.

use std::collections::BTreeSet;
use std::fs;

use super::*;

#[tokio::test]
async fn a_hundred_orders_for_the_same_thing_are_one_run() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let file = fs::read(media::file("progressive.mp4"))?;
    house.origin.put("/alone.mp4", file.clone());
    house.origin.put("/wanted.mp4", file);
    let wanted = request(&house.origin.url("/wanted.mp4"), json!({}));
    let posts = (0..100).map(|_| house.order(&wanted));
    let jobs: Vec<String> = futures::future::join_all(posts).await.into_iter().collect::<Result<_>>()?;
    let ids: BTreeSet<&String> = jobs.iter().collect();
    assert_eq!(ids.len(), 100);

    let _worker = house.worker(&[]).await?;
    let alone = house.order(&request(&house.origin.url("/alone.mp4"), json!({}))).await?;
    proven(&house, &alone).await?;
    for job in &jobs {
        proven(&house, job).await?;
    }
    assert_eq!(house.origin.hits("/wanted.mp4"), house.origin.hits("/alone.mp4"));
    assert_eq!(house.stored(), 2);

    let again = house.ask(Method::POST, DOWNLOADS, &wanted).await?;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (200, &json!("completed")));
    let again = format!("{DOWNLOADS}/{}", again.json()["id"].as_str().context("an id")?);
    assert!(!ids.contains(&again));
    proven(&house, &again).await?;
    assert_eq!(house.origin.hits("/wanted.mp4"), house.origin.hits("/alone.mp4"));

    // who is done with it takes nothing from the others
    assert_eq!(house.ask(Method::DELETE, &jobs[0], &Value::Null).await?.status, 204);
    proven(&house, &jobs[1]).await?;
    Ok(())
}
