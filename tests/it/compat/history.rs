//! A download of `MeTube`'s dialect from its order to its file, as its history and the API show it.

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::media::MediaInfo;
use haul_shared::store::Beat;
use haul_tests::house::{House, Store};
use haul_tests::keys::Keys;
use haul_tests::processes::{PATIENCE, until};
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::{Value, json};

use super::{METUBE, is_refusal};

const URL: &str = "http://127.0.0.1/talk";

async fn only_item(site: &Site, list: &str) -> Result<Value> {
    let told = site.get("/metube/history").await?.json();
    let items = told[list].as_array().context("a list")?;
    anyhow::ensure!(items.len() == 1, "{told}");
    Ok(items[0].clone())
}

/// The bytes behind a redirect.
async fn followed(site: &Site, path: &str) -> Result<Answer> {
    let told = site.get(path).await?;
    anyhow::ensure!(told.status == 302, "{path}: {}", told.status);
    assert_eq!(told.header("referrer-policy"), "no-referrer");
    send(site.request_to(Method::GET, told.header("location"))).await
}

#[tokio::test]
async fn an_item_shows_its_download_from_its_order_to_its_file_and_is_then_forgotten() -> Result<()> {
    let site = Site::with(&[METUBE]).await?;
    let order = json!({"url": URL, "quality": "720", "format": "mp4", "folder": "talks", "custom_name_prefix": "me/1", "clip_end": "1:30"});
    let add = async || -> Result<String> {
        let told = site.post("/metube/add", &order).await?.json();
        Ok(told["id"].as_str().with_context(|| told.to_string())?.to_owned())
    };
    let older = add().await?;
    let native = site.get(&format!("/api/v1/downloads/{older}")).await?.json();
    assert_eq!((&native["request"]["quality"], &native["request"]["format"]), (&json!("720p"), &json!("mp4")));
    assert_eq!(native["request"]["tags"], json!(["folder:talks", "prefix:me/1"]));

    let item = only_item(&site, "queue").await?;
    let expected = json!({
        "id": older, "title": format!("me/1.{URL}"), "url": URL, "quality": "720", "download_type": "video", "codec": "auto",
        "format": "mp4", "folder": "talks", "custom_name_prefix": "me/1", "playlist_item_limit": 0, "split_by_chapters": false,
        "sponsorblock": false, "chapter_template": "", "subtitle_language": "en", "subtitle_mode": "prefer_manual",
        "ytdl_options_presets": [], "ytdl_options_overrides": {}, "clip_start": 0.0, "clip_end": 90.0, "live_status": null,
        "live_release_timestamp": null, "status": "pending", "msg": null, "error": null, "percent": null, "speed": null,
        "eta": null, "size": null, "filename": null, "timestamp": item["timestamp"], "chapter_files": [],
    });
    assert_eq!(item, expected);
    assert!(item["timestamp"].as_i64().context("a number")? > 1_700_000_000_000_000_000);
    assert!(is_refusal(&site.get(&format!("/metube/download/{older}/x")).await?), "there is no file yet");

    let failure = Failure { kind: FailureKind::GeoBlocked, detail: "secret words".to_owned(), retry_after: None };
    site.fail(&failure).await?;
    let item = only_item(&site, "done").await?;
    let said = FailureKind::GeoBlocked.sentence();
    assert_eq!((&item["status"], &item["msg"], &item["error"]), (&json!("error"), &json!(said), &json!(said)));
    // ordered once more it has failed as well, by what was just found out: of both an address means the newer
    let id = add().await?;
    assert_ne!(id, older);
    let retried = site.post("/metube/retry", &json!({ "id": URL })).await?;
    assert_eq!((retried.status.as_u16(), retried.json()), (200, json!({"status": "ok"})));
    assert_eq!(only_item(&site, "queue").await?["id"], id, "under the same id");
    assert!(is_refusal(&site.post("/metube/retry", &json!({ "id": id })).await?), "it has not failed");
    assert_eq!(only_item(&site, "done").await?["id"], older, "the same file once is enough");
    site.post("/metube/delete", &json!({"ids": [older], "where": "done"})).await?;

    let bytes = b"moving pictures";
    let leased = site.lease().await?;
    let media = MediaInfo {
        title: None,
        uploader: None,
        duration_seconds: None,
        webpage_url: None,
        extractor: None,
        is_of_list: true,
    };
    let progress = Progress::at(Stage::Extract, 1.0);
    site.jobs.heartbeat(&[Beat { lease: leased.lease.clone(), progress, media: Some(media) }]).await?;
    let item = only_item(&site, "queue").await?;
    assert_eq!((&item["status"], &item["error"]), (&json!("preparing"), &Value::Null));
    assert!(item["msg"].as_str().context("words")?.contains("POST /api/v1/playlists"), "{item}");
    site.finish(&leased, bytes).await?;
    let item = only_item(&site, "done").await?;
    let told = [&item["status"], &item["filename"], &item["size"], &item["percent"], &item["error"]];
    assert_eq!(json!(told), json!(["finished", "me-1.Ein Vortrag.mp4", bytes.len(), 100.0, null]));
    let name = "me-1.Ein%20Vortrag.mp4";
    for path in [
        format!("{id}/{name}"),
        format!("{id}%2Fany"),
        name.to_owned(),
        format!("talks/{name}"),
        format!("talks%2F{name}"),
    ] {
        let file = followed(&site, &format!("/metube/download/{path}")).await?;
        assert_eq!(file.body, bytes, "{path}");
        assert!(file.header("content-disposition").contains("me-1.Ein Vortrag.mp4"), "{path}");
    }
    for path in ["x.mp4", "other/me-1.Ein%20Vortrag.mp4", "../me-1.Ein%20Vortrag.mp4"] {
        assert_eq!(site.get(&format!("/metube/audio_download/{path}")).await?.status, 404, "{path}");
    }

    let delete = |list: &str| json!({"ids": [URL], "where": list});
    site.post("/metube/delete", &delete("queue")).await?;
    assert_eq!(only_item(&site, "done").await?["id"], id, "what has ended is not taken back");
    site.post("/metube/delete", &delete("done")).await?;
    let left = json!({"done": [], "queue": [], "pending": []});
    assert_eq!(site.get("/metube/history").await?.json(), left);
    assert_eq!(site.get(&format!("/api/v1/downloads/{id}")).await?.told(), "404 not_found");
    Ok(())
}

#[tokio::test]
async fn each_key_has_its_own_history_and_a_stranger_has_none() -> Result<()> {
    let keys = Keys::of(&[("a", ""), ("b", "formats = [\"mp3\"]")])?;
    let site = keys.site(&[METUBE]).await?;
    let own = site.post_as("a", "/metube/add", &json!({ "url": URL })).await?.json();
    let all = |list: &str| json!({"ids": [URL, own["id"]], "where": list});
    assert_eq!(site.ask("b", Method::GET, "/metube/history").await?.json()["queue"], json!([]));
    assert_eq!(site.post_as("b", "/metube/delete", &all("queue")).await?.json()["status"], "ok");
    assert_eq!(
        site.ask("a", Method::GET, "/metube/history").await?.json()["queue"][0]["id"],
        own["id"],
        "it is still there"
    );
    let path = format!("/metube/download/{}/x", own["id"].as_str().context("an id")?);
    assert_eq!(site.ask("b", Method::GET, &path).await?.status, 404);
    let refused = site.post_as("b", "/metube/add", &json!({ "url": URL })).await?;
    assert!(refused.status == 400 && is_refusal(&refused), "what a key may not order");

    let public = Site::with(&[METUBE, ("HAUL_MODE", "public")]).await?;
    for _ in 0..2 {
        let told = public.post("/metube/add", &json!({ "url": URL })).await?;
        assert_eq!(told.json()["msg"], Value::Null, "who is at the same address is not told of others");
        assert_eq!(told.json()["status"], "ok");
    }
    assert!(is_refusal(&public.get("/metube/history").await?));
    Ok(())
}

#[tokio::test]
async fn what_is_added_is_downloaded_and_led_to_and_one_entry_of_a_list_says_what_it_is() -> Result<()> {
    let house = House::open(Store::Disk, &[METUBE]).await?;
    let _worker = house.worker(&[]).await?;
    let videos = "<video src='/progressive.mp4'></video><video src='/progressive.mp4?2'></video>";
    house.origin.put("/list.html", format!("<!doctype html><title>Two</title>{videos}"));
    let url = house.origin.url("/list.html");
    let taken = house.ask(Method::POST, "/metube/add", &json!({ "url": url })).await?;
    assert_eq!(taken.json()["status"], "ok", "{}", taken.json());
    let history = async || house.get("/metube/history").await.map(|told| told.json()).unwrap_or_default();
    until("it is done", async || history().await["done"][0].is_object()).await?;
    let item = history().await["done"][0].clone();
    assert_eq!((&item["status"], &item["error"]), (&json!("finished"), &Value::Null), "{item}");
    assert!(item["msg"].as_str().context("words")?.contains("one entry of a list"), "{item}");
    let name = item["filename"].as_str().context("a name")?;
    let led = house.get(&format!("/metube/download/{name}")).await?;
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let got = send(http.get(led.header("location"))).await?;
    let origin = send(http.get(house.origin.url("/progressive.mp4"))).await?;
    assert!(got.status == 200 && got.body == origin.body && !got.body.is_empty());
    assert_eq!(item["size"], json!(got.body.len()));
    Ok(())
}
