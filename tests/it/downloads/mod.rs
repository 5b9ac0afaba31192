//! Downloads from the order to the bytes: over HTTP, through the built binaries, with real media.

mod beside;
mod bombs;
mod choice;
mod confined;
mod cookies;
mod cut;
mod deaths;
mod events;
mod flows;
mod formats;
mod guarded;
mod haste;
mod life;
mod live;
mod look;
mod pictures;
mod plan;
mod posing;
mod progress;
mod regions;
mod relay;
mod seats;
mod secrets;
mod sharing;
mod spoilt;
mod sponsor;
mod streaming;
mod texts;
mod thumbnails;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{DOWNLOADS, Fetched, House, Store, request};
use haul_tests::origin::Fault;
use haul_tests::processes::Process;
use haul_tests::{media, processes};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Slow enough that nothing here ever gets to its end by itself.
const SLOW: Fault = Fault::Throttle(20_000);

/// Waits for a download and fetches it: what came through the link is what the job and the link promise, and ffprobe
/// finds in it what the job says. Returns the job's `result`, and what ffprobe saw.
async fn proven(house: &House, job: &str) -> Result<(Value, Value)> {
    let view = house.end(job).await?;
    ensure!(view["status"] == "completed", "{view}");
    assert_eq!(view["progress"]["percent"], 100.0, "{view}");
    let result = view["result"].clone();
    let fetched = house.fetch(job).await?;
    for field in ["filename", "size_bytes", "content_type", "sha256"] {
        assert_eq!(fetched.link[field], result[field], "{field}");
    }
    let body = &fetched.answer.body;
    let sha256: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((result["size_bytes"].as_u64(), &result["sha256"]), (Some(body.len() as u64), &json!(sha256)));
    assert_eq!(fetched.answer.header("content-type"), result["content_type"]);
    let disposition = fetched.answer.header("content-disposition");
    let filename = result["filename"].as_str().context("a name")?;
    assert!(disposition.starts_with("attachment; ") && disposition.contains(filename), "{disposition}");

    let content = house.get(&format!("{job}/content")).await?;
    assert!(content.status == 200 && content.body == *body, "{}", content.told());
    for header in ["content-type", "content-disposition"] {
        assert_eq!(content.header(header), fetched.answer.header(header), "{header}");
    }

    let path = fetched.file.path().to_owned();
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&path)).await?;
    let codec = |kind: &str| {
        let streams = seen["streams"].as_array().cloned().unwrap_or_default();
        let of_kind: Vec<Value> =
            streams.iter().filter(|one| one["codec_type"] == kind).map(|one| one["codec_name"].clone()).collect();
        assert!(of_kind.len() <= 1, "{of_kind:?}");
        of_kind.into_iter().next().unwrap_or_default()
    };
    assert_eq!((codec("video"), codec("audio")), (result["vcodec"].clone(), result["acodec"].clone()));
    let plays: f64 = seen["format"]["duration"].as_str().context("a duration")?.parse()?;
    let says = result["duration_seconds"].as_f64().context("a duration")?;
    assert!((plays - media::DURATION_SECONDS).abs() < 0.3 && (says - plays).abs() < 0.3, "{says} s, plays {plays} s");
    Ok((result, seen))
}

/// Waits for a download, and for a player's first look at it: how long it plays, which the job has told, its chapters as
/// `from-to title; ...`, and the file.
async fn played(house: &House, job: &str) -> Result<(f64, String, Fetched)> {
    let view = house.end(job).await?;
    ensure!(view["status"] == "completed", "{view}");
    let fetched = house.fetch(job).await?;
    let path = fetched.file.path().to_owned();
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&path)).await?;
    let seconds = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(-1.0);
    let chapters = seen["chapters"].as_array().cloned().unwrap_or_default();
    let shown = chapters.iter().map(|chapter| {
        let title = chapter["tags"]["title"].as_str().unwrap_or_default();
        format!("{:.1}-{:.1} {title}", seconds(&chapter["start_time"]), seconds(&chapter["end_time"]))
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    let plays = seconds(&seen["format"]["duration"]);
    let says = view["result"]["duration_seconds"].as_f64().unwrap_or(-1.0);
    assert!((plays - says).abs() < 0.3, "{says} s, plays {plays} s");
    Ok((plays, shown, fetched))
}

/// Waits until nothing is left of the jobs of this worker but their results.
async fn all_gone(house: &House, worker: &Process) -> Result<()> {
    let is_over = async || worker.programs().is_empty() && house.scratch_files() == 0;
    processes::until("programs and scratch are gone", is_over).await.map(drop)
}

/// The words of a result that a table shows: container, type, codecs, what was asked and what came.
fn shown(result: &Value) -> String {
    let words = ["container", "content_type", "vcodec", "acodec", "asked", "got"];
    words.map(|word| result[word].as_str().unwrap_or("-").to_owned()).join(" ")
}
