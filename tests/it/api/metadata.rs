//! Metadata through the caches; the test plays the worker that looks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::cookies::Cookies;
use haul_shared::ids::WorkerId;
use haul_shared::job::{Failure, FailureKind, JobSpec};
use haul_shared::metadata::{Finding, Look, Metadata, MetadataCache};
use haul_shared::source::SourceUrl;
use haul_shared::store::{Kind, Leased};
use haul_tests::processes::until;
use haul_tests::site::{Answer, Site};
use serde_json::json;
use tokio::time::timeout;

const LOOK: &str = "/api/v1/metadata";
const MEDIA: &str = "http://127.0.0.1/v.mp4";

fn cache(site: &Site) -> Result<MetadataCache> {
    Ok(MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600)))
}

/// As the caller of a private service without keys.
fn source() -> Result<Look> {
    Ok(Look { url: SourceUrl::read(MEDIA)?, cookies: Cookies::Any, first: 1 })
}

fn found(title: &str) -> Finding {
    Finding::Found(Box::new(Metadata { title: Some(title.to_owned()), ..Metadata::default() }))
}

/// Waits until somebody asks, and takes the question.
async fn asked(site: &Site) -> Result<Leased> {
    let mut claims = site.jobs.claims(&WorkerId::on_host("site"), Kind::Metadata, &["default".parse()?]);
    let mut question = None;
    let is_asked = async || {
        question = claims.take(1).await.map(|mut leased| leased.pop()).transpose();
        question.is_some()
    };
    until("somebody asks", is_asked).await?;
    Ok(question.context("a question")??)
}

async fn answer(site: &Site, finding: Finding) -> Result<()> {
    let leased = asked(site).await?;
    let Some(JobSpec::Metadata { url, cookies, first }) = leased.spec else { anyhow::bail!("a question") };
    cache(site)?.put(&Look { url, cookies, first }, &finding).await?;
    site.jobs.found(&leased.lease).await?;
    Ok(())
}

async fn look(site: &Site) -> Result<Answer> {
    site.post(LOOK, &json!({ "url": MEDIA })).await
}

/// Looks until the answer comes from there.
async fn shown_as(site: &Site, origin: &str) -> Result<Answer> {
    let mut shown = None;
    let is_so = async || {
        let answer = look(site).await;
        shown = answer.map(|answer| (answer.header("haul-cache") == origin).then_some(answer)).transpose();
        shown.is_some()
    };
    until(&format!("it is shown as {origin}"), is_so).await?;
    shown.context("an answer")?
}

/// Less than what an API believes without having heard: 30 s.
const SOON: Duration = Duration::from_secs(20);

/// Before it would be anyway, the new one is shown.
async fn soon_new(site: &Site) -> Result<()> {
    let is_new = async || look(site).await.is_ok_and(|answer| answer.json()["title"] == "new");
    timeout(SOON, until("the new one is shown", is_new)).await?.map(drop)
}

fn told(answer: &Answer) -> (String, &str) {
    (answer.told(), answer.header("haul-cache"))
}

#[tokio::test]
async fn many_who_ask_wait_for_one_look_and_later_ones_for_none() -> Result<()> {
    let site = Site::start().await?;
    let (one, two, worker) = tokio::join!(look(&site), look(&site), answer(&site, found("talk")));
    worker?;
    for answer in [one?, two?] {
        assert_eq!((told(&answer), answer.json()["title"].clone()), (("200".to_owned(), "miss"), json!("talk")));
    }
    let known = look(&site).await?;
    assert_eq!(told(&known), ("200".to_owned(), "hit"));
    assert!(known.header("age").parse::<u64>()? < 20);
    for field in ["id", "extractor", "duration_seconds", "thumbnail_url", "webpage_url", "upload_date", "uploader"] {
        assert_eq!(known.json().get(field), Some(&json!(null)), "{field}");
    }
    for field in ["formats", "qualities", "subtitles", "chapters", "entries"] {
        assert_eq!(known.json()[field], json!([]), "{field}");
    }
    assert_eq!(site.get("/api/v1/downloads").await?.json()["downloads"], json!([]));
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_metadata_cache_total{result=\"hit\"} 1"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn what_one_api_learned_another_knows() -> Result<()> {
    let site = Site::start().await?;
    cache(&site)?.put(&source()?, &found("talk")).await?;
    assert_eq!(told(&look(&site).await?), ("200".to_owned(), "hit"));
    Ok(())
}

#[tokio::test]
async fn a_refusal_has_its_status_and_is_remembered() -> Result<()> {
    let site = Site::start().await?;
    let (first, worker) =
        tokio::join!(look(&site), answer(&site, Finding::Refused { kind: FailureKind::GeoBlocked, retry_after: None }));
    worker?;
    assert_eq!(told(&first?), ("403 geo_blocked".to_owned(), "miss"));
    assert_eq!(told(&look(&site).await?), ("403 geo_blocked".to_owned(), "hit"));
    Ok(())
}

#[tokio::test]
async fn a_look_that_fails_is_told_and_not_tried_for_long() -> Result<()> {
    let site = Site::start().await?;
    let worker = async {
        let leased = asked(&site).await?;
        site.jobs.fail(&leased.lease, &Failure::new(FailureKind::SiteRateLimited, "429"), Duration::ZERO).await?;
        anyhow::Ok(())
    };
    let (answer, worker) = tokio::join!(look(&site), worker);
    worker?;
    let answer = answer?;
    assert_eq!(told(&answer), ("503 site_rate_limited".to_owned(), "miss"));
    assert!(answer.header("retry-after").parse::<u64>()? >= 1);
    Ok(())
}

#[tokio::test]
async fn what_is_forgotten_is_looked_at_again() -> Result<()> {
    let site = Site::start().await?;
    cache(&site)?.put(&source()?, &found("old")).await?;
    look(&site).await?;
    assert_eq!(site.delete(&format!("{LOOK}?url={MEDIA}")).await?.status, 204);
    let (again, worker) = tokio::join!(look(&site), answer(&site, found("new")));
    worker?;
    assert_eq!(again?.json()["title"], "new");
    for query in ["", "?url=nonsense", "?url=http://127.0.0.1/&x=1"] {
        assert_eq!(site.delete(&format!("{LOOK}{query}")).await?.told(), "422 invalid_request", "{query}");
    }
    Ok(())
}

/// That was `500 internal`: the finding was forgotten after the worker had written it, and before it was read.
#[tokio::test]
async fn what_is_forgotten_before_it_is_read_is_looked_at_again_and_not_for_ever() -> Result<()> {
    let site = Site::start().await?;
    let forgotten = async || {
        let leased = asked(&site).await?;
        anyhow::Ok(site.jobs.found(&leased.lease).await?)
    };
    let (again, worker) = tokio::join!(look(&site), async {
        forgotten().await?;
        answer(&site, found("again")).await
    });
    worker?;
    let again = again?;
    assert_eq!((told(&again), again.json()["title"].clone()), (("200".to_owned(), "miss"), json!("again")));

    assert_eq!(site.delete(&format!("{LOOK}?url={MEDIA}")).await?.status, 204);
    let (never, worker) = tokio::join!(look(&site), async {
        for _ in 0..3 {
            forgotten().await?;
        }
        anyhow::Ok(())
    });
    worker?;
    let never = never?;
    assert_eq!(told(&never), ("503 service_unavailable".to_owned(), "miss"));
    assert!(never.header("retry-after").parse::<u64>()? >= 1);
    Ok(())
}

#[tokio::test]
async fn what_another_api_forgets_is_soon_forgotten_here() -> Result<()> {
    let site = Site::start().await?;
    let another = cache(&site)?;
    another.put(&source()?, &found("old")).await?;
    look(&site).await?;
    another.forget(&source()?).await?;
    another.put(&source()?, &found("new")).await?;
    soon_new(&site).await
}

#[tokio::test]
async fn what_is_stale_is_shown_while_somebody_looks_again() -> Result<()> {
    let site = Site::with(&[("HAUL_METADATA_TTL", "1s")]).await?;
    cache(&site)?.put(&source()?, &found("old")).await?;
    let stale = shown_as(&site, "stale").await?;
    assert_eq!(stale.json()["title"], "old");
    answer(&site, found("new")).await?;
    soon_new(&site).await
}

/// Fault: a site that stumbled for a moment took away what was still good to be shown, and was asked again by every call.
#[tokio::test]
async fn a_passing_failure_leaves_what_is_stale_and_is_followed_by_a_pause() -> Result<()> {
    let site = Site::with(&[("HAUL_METADATA_TTL", "4s")]).await?;
    let cache = MetadataCache::new(site.redis.server(2)?, Duration::from_secs(4));
    cache.put(&source()?, &found("old")).await?;
    shown_as(&site, "stale").await?;
    let leased = asked(&site).await?;
    cache.put(&source()?, &Finding::Refused { kind: FailureKind::Network, retry_after: None }).await?;
    site.jobs.fail(&leased.lease, &Failure::new(FailureKind::Network, "reset"), Duration::ZERO).await?;
    let again = look(&site).await?;
    assert_eq!((told(&again), &again.json()["title"]), (("200".to_owned(), "stale"), &json!("old")));
    assert!(again.header("age").parse::<u64>()? >= 4);
    let mut claims = site.jobs.claims(&WorkerId::on_host("site"), Kind::Metadata, &["default".parse()?]);
    assert!(claims.take(1).await?.is_empty(), "nobody asks again at once");
    // its time is bounded: then it is looked at while the caller waits
    let (over, worker) = tokio::join!(shown_as(&site, "miss"), answer(&site, found("new")));
    worker?;
    assert_eq!(over?.json()["title"], "new");
    Ok(())
}

#[tokio::test]
async fn a_look_at_a_site_that_is_left_alone_is_told_when_to_come_back_and_not_kept_waiting() -> Result<()> {
    let site = Site::start().await?;
    let look_at = async |number: u32| site.post(LOOK, &json!({ "url": format!("{MEDIA}?{number}") })).await;
    for number in 0..8 {
        let turned_away = async {
            let leased = asked(&site).await?;
            site.jobs.fail(&leased.lease, &Failure::new(FailureKind::SiteBlocked, "403"), Duration::ZERO).await?;
            anyhow::Ok(())
        };
        let (answer, worker) = tokio::join!(look_at(number), turned_away);
        worker?;
        assert_eq!(answer?.told(), "502 site_blocked");
    }
    let answer = tokio::select! {
        answer = look_at(8) => answer?,
        question = asked(&site) => anyhow::bail!("nobody should have been asked: {question:?}"),
    };
    assert_eq!(answer.told(), "503 site_rate_limited");
    assert!(answer.header("retry-after").parse::<u64>()? >= 5);
    Ok(())
}

#[tokio::test]
async fn an_address_is_checked_as_for_a_download() -> Result<()> {
    let site = Site::start().await?;
    for (body, expected) in [
        (json!({}), "422 invalid_request"),
        (json!({ "url": 7 }), "422 invalid_request"),
        (json!({ "url": MEDIA, "format": "mp4" }), "422 invalid_request"),
        (json!({ "url": "ftp://127.0.0.1/" }), "422 unsupported_url"),
        (json!({ "url": "http://10.0.0.1/" }), "422 egress_denied"),
    ] {
        assert_eq!(site.post(LOOK, &body).await?.told(), expected, "{body}");
    }
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_egress_denied_total{reason=\"address\"} 1"), "{metrics}");
    Ok(())
}
