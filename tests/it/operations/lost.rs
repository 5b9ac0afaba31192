//! Objects that are gone although their time is not over: a bucket that was emptied, or that came back older.

use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::processes::until;
use haul_tests::s3::{Call, Fault};
use haul_tests::site::{Answer, send};
use reqwest::Method;
use serde_json::json;

use super::*;

/// Empties the bucket behind everybody's back.
async fn empty(house: &House) -> Result<()> {
    // Fault: it came while its folder was removed.
    until("its thumbnail has come", async || house.stored_beside() == 1).await?;
    for entry in fs::read_dir(house.objects())? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
    }
    Ok(())
}

/// Leaves no byte of the results, as a loss of power may.
fn cut(house: &House) -> Result<()> {
    let mut folders = vec![house.objects()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_stem().is_some_and(|stem| stem == "media") {
                fs::write(path, "")?;
            }
        }
    }
    Ok(())
}

/// The job of the first order that is not given what there was. A store that was slow is not looked at for a while.
async fn made_anew(order: impl AsyncFn() -> Result<(u16, String)>) -> Result<String> {
    let mut job = None;
    until("it is made anew", async || {
        job = order().await.ok().filter(|(status, _)| *status == 202);
        job.is_some()
    })
    .await?;
    Ok(job.context("a job")?.1)
}

/// What comes of an order: its status, and the job.
fn taken(answer: &Answer) -> Result<(u16, String)> {
    Ok((answer.status.as_u16(), format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?)))
}

#[tokio::test]
async fn a_result_whose_object_is_gone_is_told_so_and_is_made_again_for_the_next_order() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let s3 = house.s3.as_ref().context("a bucket")?;
    let _worker = house.worker(&[]).await?;
    let wanted = request(&house.origin.url("/progressive.mp4"), json!({}));
    let again = async || taken(&house.ask(Method::POST, DOWNLOADS, &wanted).await?);
    let first = house.order(&wanted).await?;
    assert_eq!(house.outcome(&first).await?, "completed");

    // a store that is away is not taken to have lost anything, and not each order waits for it
    let looked = s3.counts().seen(Call::Get);
    s3.fail(Call::Get, usize::MAX, Fault::Silence);
    for _ in 0..5 {
        assert_eq!(again().await?.0, 200);
    }
    assert!((1..5).contains(&(s3.counts().seen(Call::Get) - looked)));
    s3.recover();
    empty(&house).await?;

    // an API that may not list is told that it is forbidden: it hands it out as if it did not look
    let api = house.another_api(&[]).await?;
    let at_another = async || taken(&send(house.request(&api, Method::POST, DOWNLOADS).json(&wanted)).await?);
    s3.fail(Call::Get, usize::MAX, Fault::MissingIsForbidden);
    let (status, blind) = at_another().await?;
    assert_eq!(status, 200);
    let content = send(house.request(&api, Method::GET, &format!("{blind}/content"))).await?;
    assert_eq!(content.told(), "503 service_unavailable");
    s3.recover();

    // who fetches the bytes finds out, and the next order needs no look
    assert_eq!(house.get(&format!("{first}/content")).await?.told(), "410 expired");
    assert!(house.fetch(&first).await.is_err(), "a link is made without a look, and leads nowhere");
    assert_eq!(house.get("/readyz").await?.status, 200);
    let (status, second) = again().await?;
    assert_eq!((status, house.outcome(&second).await?.as_str()), (202, "completed"));
    house.fetch(&second).await?;

    // where nobody has fetched it, the order itself finds out, also of a file without a byte
    cut(&house)?;
    let third = made_anew(at_another).await?;
    assert_eq!(house.outcome(&third).await?, "completed");
    house.fetch(&third).await?;
    assert_eq!(at_another().await?.0, 200, "what is there is handed out again");

    // the records of the lost ones can go, and take nothing along
    for lost in [&first, &blind, &second] {
        assert_eq!(house.ask(Method::DELETE, lost, &Value::Null).await?.status, 204);
    }
    house.fetch(&third).await?;
    assert_eq!(house.metric(&house.api, "haul_queue_repairs_total").await?, 0.0);
    Ok(())
}
