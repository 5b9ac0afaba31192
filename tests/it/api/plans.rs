//! Plans of downloads; the test plays the worker that makes them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::cookies::Cookies;
use haul_shared::ids::{Region, WorkerId};
use haul_shared::job::{Failure, FailureKind, JobSpec, PlanSpec};
use haul_shared::media::{Format, Quality};
use haul_shared::metadata::{DownloadPlan, Finding, MediaFormat, MetadataCache};
use haul_shared::store::{Kind, Lease, Leased};
use haul_tests::processes::PATIENCE;
use haul_tests::site::{Answer, Site};
use serde_json::{Value, json};
use tokio::time::timeout;

const PLAN: &str = "/api/v1/plan";
const MEDIA: &str = "http://127.0.0.1/v.mp4";

fn cache(site: &Site) -> Result<MetadataCache> {
    Ok(MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600)))
}

/// Waits until a worker of this region is asked.
async fn asked(site: &Site, region: &str) -> Result<(PlanSpec, Lease)> {
    let mut claims = site.jobs.claims(&WorkerId::on_host("site"), Kind::Metadata, &[region.parse()?]);
    let question = async {
        loop {
            if let Some(Leased { spec, lease, .. }) = claims.take(1).await?.pop() {
                let Some(JobSpec::Plan(order)) = spec else { anyhow::bail!("a plan: {spec:?}") };
                return anyhow::Ok((order, lease));
            }
        }
    };
    timeout(PATIENCE, question).await?
}

async fn plan(site: &Site, more: Value) -> Result<Answer> {
    let mut order = json!({ "url": MEDIA });
    order.as_object_mut().context("an object")?.extend(more.as_object().cloned().unwrap_or_default());
    site.post(PLAN, &order).await
}

/// Answers the next question in a region with this plan, or refusal.
async fn answer(site: &Site, region: &str, finding: Finding<DownloadPlan>) -> Result<PlanSpec> {
    let (order, lease) = asked(site, region).await?;
    cache(site)?.put_plan(&order, &finding).await?;
    site.jobs.found(&lease).await?;
    Ok(order)
}

fn found(plan: DownloadPlan) -> Finding<DownloadPlan> {
    Finding::Found(Box::new(plan))
}

#[tokio::test]
async fn a_plan_is_shown_whole_and_what_is_not_known_is_null() -> Result<()> {
    let site = Site::start().await?;
    let stream = MediaFormat { format_id: "22".to_owned(), ext: "mp4".to_owned(), ..MediaFormat::default() };
    let known = DownloadPlan {
        streams: vec![stream],
        container: Some("mp4".to_owned()),
        estimated_bytes: Some(7),
        duration_seconds: Some(2.5),
        transcodes: true,
        asked: Some(Quality::Best),
        got: Some(Quality::AtMost(720)),
        reason: "because".to_owned(),
    };
    let more = json!({ "format": "webm", "audio_bitrate_kbps": 64, "playlist_index": 3 });
    let (shown, order) = tokio::join!(plan(&site, more), answer(&site, "default", found(known)));
    let (shown, order) = (shown?, order?);
    assert_eq!((shown.told(), shown.header("haul-cache"), shown.header("age")), ("200".to_owned(), "miss", "0"));
    let empty = json!({ "width": null, "height": null, "fps": null, "vcodec": null, "acodec": null, "bitrate_kbps": null, "size_bytes": null, "protocol": "" });
    let mut stream = json!({ "format_id": "22", "ext": "mp4" });
    stream.as_object_mut().context("an object")?.extend(empty.as_object().cloned().context("an object")?);
    assert_eq!(
        shown.json(),
        json!({ "streams": [stream], "container": "mp4", "estimated_bytes": 7, "duration_seconds": 2.5, "transcodes": true,
            "asked": "best", "got": "720p", "reason": "because" })
    );
    let asked = order.download;
    assert_eq!((asked.format, asked.audio_bitrate_kbps, asked.playlist_index), (Format::Webm, 64, 3));
    assert_eq!((asked.url.expose(), asked.cookies), (MEDIA, Cookies::Any));

    let (shown, order) = tokio::join!(plan(&site, json!({})), answer(&site, "default", found(DownloadPlan::default())));
    order?;
    assert_eq!(
        shown?.json(),
        json!({ "streams": [], "container": null, "estimated_bytes": null, "duration_seconds": null, "transcodes": false,
            "asked": null, "got": null, "reason": "" })
    );
    Ok(())
}

#[tokio::test]
async fn those_who_ask_at_once_share_a_plan_and_a_region_has_its_own() -> Result<()> {
    let site = Site::with(&[("HAUL_REGION", "eu"), ("HAUL_REGIONS", "eu,us")]).await?;
    let [eu, us] =
        ["eu", "us"].map(|region| found(DownloadPlan { reason: region.to_owned(), ..DownloadPlan::default() }));
    let (one, other, order) =
        tokio::join!(plan(&site, json!({})), plan(&site, json!({ "region": "eu" })), answer(&site, "eu", eu));
    assert_eq!(order?.region, "eu".parse::<Region>()?);
    assert_eq!((&one?.json()["reason"], &other?.json()["reason"]), (&json!("eu"), &json!("eu")));
    let (shown, order) = tokio::join!(plan(&site, json!({ "region": "us" })), answer(&site, "us", us));
    assert_eq!((&shown?.json()["reason"], order?.region), (&json!("us"), "us".parse()?));
    let known = plan(&site, json!({})).await?;
    assert_eq!((known.header("haul-cache"), &known.json()["reason"]), ("hit", &json!("eu")));
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_metadata_cache_total{result=\"hit\"} 1"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn why_there_is_no_plan_has_its_status_and_is_remembered() -> Result<()> {
    let site = Site::start().await?;
    for (n, (kind, retry_after, expected)) in [
        (FailureKind::FormatUnavailable, None, "422 format_unavailable"),
        (FailureKind::NotYetAvailable, None, "409 not_yet_available"),
        (FailureKind::SiteRateLimited, Some(Duration::from_secs(900)), "503 site_rate_limited"),
    ]
    .into_iter()
    .enumerate()
    {
        let more = json!({ "playlist_index": n + 1 });
        let refusal = async {
            let (order, lease) = asked(&site, "default").await?;
            cache(&site)?.put_plan(&order, &Finding::Refused { kind, retry_after }).await?;
            site.jobs.fail(&lease, &Failure { retry_after, ..Failure::new(kind, "") }, Duration::ZERO).await?;
            anyhow::Ok(())
        };
        let (first, told) = tokio::join!(plan(&site, more.clone()), refusal);
        told?;
        let again = plan(&site, more).await?;
        for (answer, origin) in [(first?, "miss"), (again, "hit")] {
            assert_eq!((answer.told().as_str(), answer.header("haul-cache")), (expected, origin));
            assert_eq!(answer.header("retry-after").parse::<u64>().is_ok_and(|wait| wait > 800), retry_after.is_some());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_plan_is_checked_as_a_download_and_charged_as_a_look() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_METADATA", "8/h")]).await?;
    for (more, expected, pointer) in [
        (json!({ "formats": "mp4" }), "422 invalid_request", "/formats"),
        (json!({ "quality": "999p" }), "422 invalid_request", "/quality"),
        (json!({ "clip": { "start": 2, "end": 1 } }), "422 invalid_request", "/clip/end"),
        (json!({ "region": "mars" }), "422 invalid_request", "/region"),
        (json!({ "webhook": { "url": "https://hooks.example/" } }), "422 invalid_request", "/webhook"),
        (json!({ "url": "ftp://127.0.0.1/" }), "422 unsupported_url", "/url"),
        (json!({ "url": "http://10.0.0.1/" }), "422 egress_denied", "/url"),
        (json!({ "url": null }), "422 invalid_request", "/url"),
    ] {
        let answer = plan(&site, more.clone()).await?;
        assert_eq!(
            (answer.told().as_str(), &answer.json()["errors"][0]["pointer"]),
            (expected, &json!(pointer)),
            "{more}"
        );
    }
    assert_eq!(plan(&site, json!({})).await?.told(), "429 rate_limited");
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_egress_denied_total{reason=\"address\"} 1"), "{metrics}");
    assert!(metrics.contains("haul_rate_limited_total{class=\"metadata\"} 1"), "{metrics}");
    Ok(())
}
