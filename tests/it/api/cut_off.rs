//! Who is cut off from a stream and comes back to an API that knows less, or that has to stop.

use anyhow::{Context as _, Result};
use haul_shared::job::{Progress, Stage};
use haul_shared::store::{Beat, Leased};
use haul_tests::events::{Event, Following, Piece};
use haul_tests::proxy::{Asked, Loss, Proxy};
use haul_tests::site::Site;
use reqwest::Method;

const MEDIA: &str = "http://127.0.0.1/v.mp4";

async fn follow(site: &Site, url: &str, job: &str, last: Option<&str>) -> Result<Option<Following>> {
    Following::begin(site.request_to(Method::GET, &format!("{url}{job}/events")), last).await
}

async fn beat(site: &Site, leased: &Leased, stage: Stage, percent: f64) -> Result<()> {
    let progress = Progress::at(stage, percent);
    site.jobs.heartbeat(&[Beat { lease: leased.lease.clone(), progress, media: None }]).await?;
    Ok(())
}

fn told(event: &Event) -> (String, f64) {
    (event.told(), event.percent())
}

/// It took the id for none of its own, and told once more what had been told before.
#[tokio::test]
async fn an_api_that_did_not_hear_of_it_yet_tells_nothing_again_to_who_heard_more_from_another() -> Result<()> {
    let site = Site::start().await?;
    let wire = Proxy::to_redis(site.redis.address()).await;
    // who listens begins with this: it hears of no change, and what is followed there stays as it was until it looks by itself
    for _ in 0..100 {
        wire.lose(Asked::Command("HELLO"), 0, Loss::Silent);
    }
    let api = site.another_api(&[("HAUL_REDIS_URL", &wire.redis_url())]).await?;
    let other = format!("http://{}", api.address());
    let job = site.submit(MEDIA).await?;
    let leased = site.lease().await?;
    beat(&site, &leased, Stage::Download, 60.0).await?;
    let mut steady = follow(&site, &other, &job, None).await?.context("a stream")?;
    assert_eq!(told(&steady.must().await?), ("stage running download".to_owned(), 60.0));

    beat(&site, &leased, Stage::Process, 80.0).await?;
    let mut stream = follow(&site, &site.url, &job, None).await?.context("a stream")?;
    let heard = stream.must().await?;
    assert_eq!(told(&heard), ("stage running process".to_owned(), 80.0));
    let mut cut_off = follow(&site, &other, &job, heard.id.as_deref()).await?.context("a stream")?;
    beat(&site, &leased, Stage::Upload, 90.0).await?;
    assert_eq!(told(&cut_off.must().await?), ("stage running upload".to_owned(), 90.0));
    assert_eq!(steady.must().await?.told(), "stage running process", "who was there all the time is told each");
    assert_eq!(steady.must().await?.told(), "stage running upload");

    site.finish(&leased, b"media").await?;
    let end = stream.rest().await?.pop().context("an end")?;
    assert!(follow(&site, &other, &job, end.id.as_deref()).await?.is_none(), "the end was heard");
    for mut stream in [steady, cut_off] {
        assert_eq!(stream.rest().await?.iter().map(Event::told).collect::<Vec<_>>(), ["completed completed -"]);
    }
    Ok(())
}

/// It was waited for until the grace was over, and then broken off.
#[tokio::test]
async fn a_stream_that_waits_for_redis_ends_when_the_api_stops() -> Result<()> {
    let mut site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let leased = site.lease().await?;
    beat(&site, &leased, Stage::Download, 5.0).await?;
    let mut steady = follow(&site, &site.url, &job, None).await?.context("a stream")?;
    assert_eq!(steady.must().await?.told(), "stage running download");
    site.redis.kill()?;
    let mut stream = follow(&site, &site.url, &job, Some("0-1.0")).await?.context("a stream")?;
    assert!(matches!(stream.piece().await?, Some(Piece::Retry(_))));
    assert_eq!(stream.piece().await?, Some(Piece::Comment), "what was missed can't be read");
    let (steady, rest, stopped) = tokio::join!(steady.rest(), stream.rest(), site.stop());
    stopped?;
    assert_eq!((steady?, rest?), (vec![], vec![]));
    Ok(())
}
