//! Which failures are tried again, and which are known for a while.

use super::*;

#[tokio::test]
async fn a_failure_that_will_not_pass_is_known_for_a_minute_and_an_explicit_retry_looks_again() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.quick_worker(&[]).await?;
    let (path, url) = ("/removed.mp4", house.origin.url("/removed.mp4"));
    let first = house.order(&request(&url, json!({}))).await?;
    assert_eq!(house.outcome(&first).await?, "unavailable");
    let hits = house.origin.hits(path);

    let answer = house.ask(Method::POST, DOWNLOADS, &request(&url, json!({}))).await?;
    let told = answer.json();
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("failed"), &json!("unavailable")), "{told}");
    let second = format!("{DOWNLOADS}/{}", told["id"].as_str().context("an id")?);
    assert_ne!(second, first, "an id of its own");
    assert_eq!(house.origin.hits(path), hits, "nobody looked");

    house.origin.put(path, std::fs::read(haul_tests::media::file(&MEDIA[1..]))?);
    assert_eq!(house.ask(Method::POST, &format!("{second}/retry"), &Value::Null).await?.status, 202);
    assert_eq!(house.end(&second).await?["status"], "completed");
    assert_eq!(house.outcome(&first).await?, "unavailable", "the other stays as it ended");
    Ok(())
}

#[tokio::test]
async fn what_may_pass_is_tried_as_often_as_may_be_and_then_asked_for_anew() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "3")]).await?;
    let _worker = house.quick_worker(&[]).await?;
    house.origin.turn_away(Some(403));
    let request = request(&house.origin.url(MEDIA), json!({}));
    let first = house.order(&request).await?;
    let view = house.end(&first).await?;
    assert_eq!((&view["error"]["code"], &view["attempt"]), (&json!("site_blocked"), &json!(3)), "{view}");
    house.origin.turn_away(None);
    let second = house.order(&request).await?;
    assert_eq!(house.end(&second).await?["status"], "completed");
    Ok(())
}
