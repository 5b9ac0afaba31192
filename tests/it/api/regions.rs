//! Where a job goes: to the region that was asked for, else to that of the client's place, else to the API's own.

use anyhow::Result;
use haul_shared::ids::WorkerId;
use haul_shared::store::{Kind, WorkerInfo};
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::{Value, json};

const DOWNLOADS: &str = "/api/v1/downloads";
const MAP: [(&str, &str); 4] = [
    ("HAUL_REGION", "eu"),
    ("HAUL_REGIONS", "eu,us,asia"),
    ("HAUL_REGION_HEADER", "CF-IPCountry"),
    ("HAUL_REGION_MAP", "US=us,JP=asia"),
];

/// A service whose peers on loopback are proxies that are believed, or are not.
async fn site(is_trusted: bool) -> Result<Site> {
    let proxies = ("HAUL_TRUSTED_PROXIES", if is_trusted { "127.0.0.0/8" } else { "10.0.0.0/8" });
    Site::with(&[MAP.as_slice(), &[proxies]].concat()).await
}

/// The region of a job that is ordered from a place: that of the job, and that of its request.
async fn ordered(site: &Site, place: Option<&str>, more: Value) -> Result<[String; 2]> {
    let mut body = json!({ "url": format!("http://127.0.0.1/{}.mp4", uuid()) });
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let request = site.request(Method::POST, DOWNLOADS).json(&body);
    let request = place.into_iter().fold(request, |request, place| request.header("cf-ipcountry", place));
    let answer = send(request).await?;
    assert_eq!(answer.status, 202, "{}", answer.told());
    let job = answer.json();
    Ok([&job["region"], &job["request"]["region"]].map(|region| region.as_str().unwrap_or_default().to_owned()))
}

fn uuid() -> String {
    haul_shared::ids::Ticket::new().to_string()
}

#[tokio::test]
async fn a_job_goes_to_the_region_asked_for_or_to_that_of_the_client_s_place_or_to_the_api_s_own() -> Result<()> {
    let site = site(true).await?;
    let table = [
        (None, json!({}), "eu"),
        (Some("JP"), json!({}), "asia"),
        (Some("jp"), json!({}), "asia"),
        // a region's name is a place
        (Some("Asia"), json!({}), "asia"),
        (Some("XX"), json!({}), "eu"),
        (Some(""), json!({}), "eu"),
        (Some("JP"), json!({ "region": "us" }), "us"),
        (None, json!({ "region": "us" }), "us"),
    ];
    for (place, more, expected) in table {
        assert_eq!(ordered(&site, place, more.clone()).await?, [expected; 2], "{place:?} {more}");
    }
    let refused = site.post(DOWNLOADS, &json!({ "url": "http://127.0.0.1/v.mp4", "region": "mars" })).await?;
    assert_eq!(
        (refused.told(), &refused.json()["errors"][0]["pointer"]),
        ("422 invalid_request".into(), &json!("/region"))
    );
    Ok(())
}

#[tokio::test]
async fn a_place_is_believed_of_trusted_proxies_only() -> Result<()> {
    let site = site(false).await?;
    assert_eq!(ordered(&site, Some("JP"), json!({})).await?, ["eu"; 2]);
    assert_eq!(ordered(&site, Some("JP"), json!({ "region": "asia" })).await?, ["asia"; 2]);
    Ok(())
}

#[tokio::test]
async fn each_item_of_a_batch_and_a_look_at_metadata_go_to_the_client_s_region() -> Result<()> {
    let site = site(true).await?;
    let item = |more: Value| {
        let mut item = json!({ "url": format!("http://127.0.0.1/{}.mp4", uuid()) });
        item.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        item
    };
    let body =
        json!({ "downloads": [item(json!({})), item(json!({ "region": "us" })), item(json!({ "region": "mars" }))] });
    let request = site.request(Method::POST, "/api/v1/downloads/batch").json(&body).header("cf-ipcountry", "JP");
    let results = send(request).await?.json()["results"].clone();
    let regions: Vec<_> = results.as_array().expect("a list").iter().map(|item| &item["job"]["region"]).collect();
    assert_eq!(regions, [&json!("asia"), &json!("us"), &Value::Null]);

    let body = json!({ "url": "http://127.0.0.1/v.mp4" });
    let look = send(site.request(Method::POST, "/api/v1/metadata").json(&body).header("cf-ipcountry", "JP"));
    let leased = async {
        let mut claims = site.jobs.claims(&WorkerId::on_host("asia"), Kind::Metadata, &["asia".parse()?]);
        loop {
            if let Some(leased) = claims.take(1).await?.pop() {
                return anyhow::Ok(leased);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = look => panic!("answered without a worker: {}", answer?.told()),
        leased = leased => drop(leased?),
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_comes_again_from_elsewhere_gets_the_job_of_its_key() -> Result<()> {
    let site = site(true).await?;
    let body = json!({ "url": "http://127.0.0.1/v.mp4" });
    let ask = async |place: &str| {
        let request = site.request(Method::POST, DOWNLOADS).json(&body).header("idempotency-key", "order-17");
        anyhow::Ok(send(request.header("cf-ipcountry", place).header("x-forwarded-for", "203.0.113.9")).await?)
    };
    let (first, again) = (ask("JP").await?, ask("US").await?);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202), "{}", again.told());
    assert_eq!((&again.json()["id"], &again.json()["region"]), (&first.json()["id"], &json!("asia")));
    Ok(())
}

#[tokio::test]
async fn a_region_without_a_live_worker_is_told_to_operators() -> Result<()> {
    let site = site(true).await?;
    let worker = WorkerInfo {
        id: WorkerId::on_host("us").to_string(),
        regions: vec!["us".parse()?, "asia".parse()?],
        slots: 4,
        running: 3,
        disk_full: false,
        sandbox: None,
        version: "1.0.0".to_owned(),
        ytdlp: "none".to_owned(),
        started: jiff::Timestamp::now(),
    };
    site.jobs.announce(&worker).await?;
    ordered(&site, None, json!({})).await?;
    ordered(&site, None, json!({ "priority": "low" })).await?;
    let stats = site.get("/api/v1/stats").await?.json();
    let told: Vec<_> = stats["regions"].as_array().expect("a list").iter().map(|it| it["region"].clone()).collect();
    assert_eq!(told, ["eu", "us", "asia"]);
    let [eu, us] = [&stats["regions"][0], &stats["regions"][1]];
    assert_eq!((&eu["status"], &eu["workers"], &eu["slots"]), (&json!("no_workers"), &json!(0), &json!(0)));
    assert_eq!(eu["depth"], json!({ "normal": 1, "low": 1 }));
    assert!(eu["oldest_seconds"].is_number(), "{eu}");
    assert_eq!((&us["status"], &us["workers"], &us["slots"]), (&json!("served"), &json!(1), &json!(4)));
    assert_eq!((&us["depth"], &us["oldest_seconds"]), (&json!({ "normal": 0, "low": 0 }), &Value::Null));
    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    for (region, [workers, slots, running]) in [("eu", [0, 0, 0]), ("us", [1, 4, 3]), ("asia", [1, 4, 3])] {
        for (name, number) in [("workers", workers), ("slots", slots), ("running", running)] {
            let line = format!("haul_region_{name}{{region=\"{region}\"}} {number}\n");
            assert!(metrics.contains(&line), "{line} in\n{metrics}");
        }
    }
    Ok(())
}
