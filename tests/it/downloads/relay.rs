//! Single files that the worker fetches by ranges itself: the result is the file, or there is none.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_tests::s3::{Call, Fault as Refusal};
use rustix::process::Signal;

use super::*;

/// Media of about 19 MB, of which the copy that is looked at has holes.
pub(super) fn large(times: usize) -> Result<Bytes> {
    let folder = tempfile::tempdir()?;
    Ok(fs::read(media::repeated(folder.path(), "large.mp4", times))?.into())
}

fn sha256(bytes: &[u8]) -> Value {
    json!(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn typed(answer: Answer) -> Answer {
    answer.with("Content-Type", "video/mp4")
}

async fn original(house: &House, url: &str) -> Result<Value> {
    let job = house.order(&request(url, json!({ "format": "original" }))).await?;
    let view = house.end(&job).await?;
    if view["status"] == "completed" {
        let fetched = house.fetch(&job).await?;
        assert_eq!(sha256(&fetched.answer.body), view["result"]["sha256"], "{view}");
    }
    Ok(view)
}

#[tokio::test]
async fn a_file_that_stays_as_it_is_goes_from_its_origin_into_the_store_over_several_connections() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let worker = house.worker(&[]).await?;
    let (content, small) = (large(50)?, Bytes::from(fs::read(media::file("progressive.mp4"))?));
    assert!(content.len() > 17 << 20, "{} bytes", content.len());
    let (served, few) = (content.clone(), small.clone());
    let origin = RangeOrigin::start(move |asked| match asked.path.as_str() {
        "/small.mp4" => typed(asked.served(&few, TAG)),
        _ => typed(asked.served(&served, TAG).rate(2_000_000)),
    });
    let origin = origin.await;
    let before = worker.written_bytes()?;
    let view = original(&house, &origin.url("/large.mp4")).await?;
    assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("relay")), "{view}");
    assert_eq!(view["result"]["sha256"], sha256(&content));
    // the rest of it is a hole
    let written = worker.written_bytes()? - before;
    assert!(written < 4 << 20, "{written} bytes written");
    let most = origin.asked().iter().map(|asked| asked.open).max();
    assert!(most >= Some(4), "{most:?} connections");
    let s3 = house.s3.as_ref().context("a bucket")?;
    let parts = s3.counts().done(Call::UploadPart);
    assert!(parts > 1 && s3.orphans().is_empty(), "{parts} parts, {:?}", s3.orphans());

    let puts = s3.counts().done(Call::CreateMultipart);
    let view = original(&house, &origin.url("/small.mp4")).await?;
    assert_eq!((&view["result"]["delivery"], &view["result"]["sha256"]), (&json!("relay"), &sha256(&small)), "{view}");
    assert_eq!(s3.counts().done(Call::CreateMultipart), puts, "one call is enough");
    assert_eq!(house.metric(&worker, r#"haul_deliveries_total{reason="fit",way="relay"}"#).await?, 2.0);
    processes::until("scratch is empty", async || house.scratch_files() == 0).await?;
    Ok(())
}

#[tokio::test]
async fn whatever_an_origin_does_half_way_the_result_is_one_version_of_its_file_or_there_is_none() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[("HAUL_SLOTS", "4")]).await?;
    let (content, other) = (large(10)?, large(11)?);
    let halved = content.slice(..content.len() / 2);
    let (served, second) = (content.clone(), other.clone());
    let ranged = Mutex::new(HashMap::<String, usize>::new());
    let origin = RangeOrigin::start(move |asked: &Asked| {
        let (path, is_ranged) = (asked.path.as_str(), asked.range.is_some());
        let mut ranged = ranged.lock().expect("no holder panics");
        let hits = ranged.entry(path.to_owned()).or_default();
        *hits += usize::from(is_ranged);
        let whole = typed(asked.served(&served, TAG));
        match path {
            "/cut.mp4" if whole.body.len() > 400_000 && is_ranged => whole.cut(400_000),
            // until it is extracted again
            "/expired.mp4" if !is_ranged => {
                *hits = 0;
                whole
            }
            "/expired.mp4" if *hits > 3 => Answer::status(403),
            "/changed.mp4" if is_ranged && *hits > 3 => typed(asked.served(&second, "\"second\"")),
            // less than tells what it is
            "/short.mp4" if is_ranged && *hits == 1 => typed(
                Asked { range: asked.range.map(|(first, _)| (first, first + 3)), ..asked.clone() }.served(&served, TAG),
            ),
            "/busy.mp4" if is_ranged && *hits == 1 => Answer::status(503).with("Retry-After", "1"),
            "/wrong.mp4" if is_ranged => whole.with("Content-Range", "bytes 7-106/100000"),
            "/elsewhere.mp4" if is_ranged => Answer::status(302).with("Location", "http://10.0.0.1/file.mp4"),
            "/halved.mp4" => typed(asked.served(&halved, TAG)),
            _ => whole,
        }
    });
    let origin = origin.await;
    let mut jobs = Vec::new();
    for (name, outcome, delivery, expected) in [
        ("cut", "completed", "relay", &content),
        ("expired", "completed", "relay", &content),
        ("changed", "completed", "relay", &other),
        ("short", "completed", "relay", &content),
        ("busy", "completed", "relay", &content),
        ("wrong", "completed", "ytdlp", &content),
        ("elsewhere", "egress_denied", "", &content),
        ("halved", "corrupt_media", "", &content),
    ] {
        let order = request(&origin.url(&format!("/{name}.mp4")), json!({ "format": "original" }));
        jobs.push((house.order(&order).await?, name, outcome, delivery, expected));
    }
    for (job, name, outcome, delivery, expected) in jobs {
        assert_eq!(house.outcome(&job).await?, outcome, "{name}");
        if outcome == "completed" {
            let result = house.get(&job).await?.json()["result"].clone();
            assert_eq!((&result["delivery"], &result["sha256"]), (&json!(delivery), &sha256(expected)), "{name}");
            assert_eq!(sha256(&house.fetch(&job).await?.answer.body), sha256(expected), "{name}");
        }
    }
    // what was not proven is nowhere, in whole or in parts
    let s3 = house.s3.as_ref().context("a bucket")?;
    processes::until("parts are gone", async || s3.orphans().is_empty()).await?;
    assert_eq!(house.stored(), 6);
    Ok(())
}

/// Fault: it was renewed without end, or yt-dlp was sent to the one that was used up first, with the file of the relay
/// still beside its own.
#[tokio::test]
async fn an_address_that_is_used_up_again_and_again_is_left_to_yt_dlp_with_a_new_one() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    let content = large(50)?;
    let (served, looks) = (content.clone(), AtomicUsize::new(0));
    let ranged = Mutex::new(HashMap::<String, usize>::new());
    let origin = RangeOrigin::start(move |asked| {
        if asked.path == "/watch" {
            let number = looks.fetch_add(1, Ordering::Relaxed);
            return Answer::status(302).with("Location", format!("/{number}/media.mp4"));
        }
        let mut ranged = ranged.lock().expect("no holder panics");
        let hits = ranged.entry(asked.path.clone()).or_default();
        *hits += usize::from(asked.range.is_some());
        let whole = typed(asked.served(&served, TAG));
        match asked.range {
            _ if *hits > 4 => Answer::status(403),
            Some(_) => whole,
            None => whole.rate(5_000_000),
        }
    });
    let origin = origin.await;
    let job = house.order(&request(&origin.url("/watch"), json!({ "format": "original" }))).await?;
    let unranged = |asked: &Asked| asked.range.is_none().then(|| asked.path.clone());
    processes::until("yt-dlp fetches it", async || {
        let paths: Vec<_> = origin.asked().iter().filter_map(unranged).filter(|path| path != "/watch").collect();
        paths.iter().any(|path| paths.iter().filter(|other| *other == path).count() == 2)
    })
    .await?;
    processes::until("its file is alone", async || house.scratch_files() == 1).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("ytdlp")), "{view}");
    assert_eq!(view["result"]["sha256"], sha256(&content));
    let looks = origin.asked().iter().filter(|asked| asked.path == "/watch").count();
    assert!((3..=5).contains(&looks), "{looks} looks");
    Ok(())
}

/// Fault: what was thrown away with an address that was used up counted as fetched.
#[tokio::test]
async fn what_is_fetched_again_counts_once() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_LEASE", "3s")]).await?;
    let _worker = house.worker(&[]).await?;
    let (content, is_used_up) = (large(50)?, Arc::new(AtomicBool::new(false)));
    let served = content.clone();
    let (looks, gone) = (AtomicUsize::new(0), Arc::clone(&is_used_up));
    let origin = RangeOrigin::start(move |asked| {
        let whole = typed(asked.served(&served, TAG));
        match (asked.path.as_str(), asked.range) {
            ("/watch", _) => {
                let number = looks.fetch_add(1, Ordering::Relaxed);
                Answer::status(302).with("Location", format!("/{number}/media.mp4"))
            }
            // all but the first piece comes
            ("/0/media.mp4", Some((0, _))) => whole.rate(1000),
            ("/0/media.mp4", Some((first, _))) if first > 12 << 20 => match gone.load(Ordering::Relaxed) {
                true => Answer::status(403),
                false => Answer::status(503).with("Retry-After", "1"),
            },
            _ => whole,
        }
    });
    let origin = origin.await;
    let job = house.order(&request(&origin.url("/watch"), json!({ "format": "original" }))).await?;
    let fetched = |view: &Value| view["progress"]["downloaded_bytes"].as_u64().unwrap_or_default();
    let counted = fetched(&house.until(&job, |view| fetched(view) > 8 << 20).await?);
    is_used_up.store(true, Ordering::Relaxed);
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["result"]["sha256"]), (&json!("completed"), &sha256(&content)), "{view}");
    // what was asked of other addresses is what had not been counted, or was given up and asked for twice
    let is_another = |asked: &Asked| !["/watch", "/0/media.mp4"].contains(&asked.path.as_str());
    let asked = origin.asked().into_iter().filter(is_another).filter_map(|asked| asked.range);
    let again: usize = asked.map(|(first, last)| last.min(content.len() - 1) + 1 - first).sum();
    assert!(again + counted as usize <= content.len() + (4 << 20), "{counted} bytes counted, {again} asked for");
    assert!(again > 0, "the address was never used up");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_stops_while_it_relays_leaves_no_parts_and_one_that_is_killed_nothing_that_can_be_reached()
-> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let mut worker = house.worker(&[("HAUL_SHUTDOWN_GRACE", "1s")]).await?;
    let served = large(50)?;
    let origin = RangeOrigin::start(move |asked| match asked.range {
        // the last byte never comes
        Some((first, _)) if first > 12 << 20 => typed(asked.served(&served, TAG).rate(1000)),
        // too slow for one call
        Some(_) => typed(asked.served(&served, TAG).rate(4_000_000)),
        None => typed(asked.served(&served, TAG)),
    });
    let origin = origin.await;
    let job = house.order(&request(&origin.url("/large.mp4"), json!({ "format": "original" }))).await?;
    let s3 = house.s3.as_ref().context("a bucket")?;
    s3.wait_until(|counts| counts.done(Call::UploadPart) > 0).await;
    // Fault: nobody waited for it, and it ended with the process.
    s3.fail(Call::AbortMultipart, 2, Refusal::Refused(503));
    worker.signal(Signal::TERM)?;
    assert!(worker.ended().await?.success());
    assert!(s3.counts().done(Call::AbortMultipart) == 1 && s3.orphans().is_empty(), "{:?}", s3.counts());

    let sent = s3.counts().done(Call::UploadPart);
    let mut worker = house.worker(&[]).await?;
    s3.wait_until(|counts| counts.done(Call::UploadPart) > sent).await;
    worker.kill()?;
    assert_eq!(house.stored(), 0);
    assert_eq!(house.get(&format!("{job}/link")).await?.told(), "409 not_ready");
    Ok(())
}

#[tokio::test]
async fn a_file_is_relayed_no_faster_than_the_operator_allows() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let _worker = house.worker(&[("HAUL_RATE_LIMIT", "200000")]).await?;
    let content = Bytes::from(fs::read(media::file("progressive.mp4"))?);
    let (served, takes) = (content.clone(), content.len() as f64 / 200_000.0);
    let origin = RangeOrigin::start(move |asked| typed(asked.served(&served, TAG))).await;
    let began = Instant::now();
    let view = original(&house, &origin.url("/small.mp4")).await?;
    assert_eq!(
        (&view["result"]["delivery"], &view["result"]["sha256"]),
        (&json!("relay"), &sha256(&content)),
        "{view}"
    );
    // however slow this machine is, it is no quicker than that
    assert!(began.elapsed().as_secs_f64() >= takes, "{:?} instead of {takes} s", began.elapsed());
    Ok(())
}

/// Picture and sound, each a file of its own: a manifest without segments names them.
#[tokio::test]
async fn picture_and_sound_that_are_files_are_relayed_side_by_side_and_merged() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    let manifest = r#"<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT8S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>
        <AdaptationSet mimeType="video/mp4" contentType="video"><Representation id="v" codecs="avc1.42c01e"
        width="640" height="360" bandwidth="500000"><BaseURL>silent.mp4</BaseURL></Representation></AdaptationSet>
        <AdaptationSet mimeType="audio/mp4" contentType="audio"><Representation id="a" codecs="mp4a.40.2"
        audioSamplingRate="48000" bandwidth="96000"><BaseURL>audio.m4a</BaseURL></Representation></AdaptationSet>
        </Period></MPD>"#;
    house.origin.put("/apart.mpd", manifest);
    let job = house.order(&request(&house.origin.url("/apart.mpd"), json!({}))).await?;
    let (result, _) = proven(&house, &job).await?;
    assert_eq!(shown(&result), "mp4 video/mp4 h264 aac best 360p");
    assert_eq!(result["delivery"], "relay");
    assert_eq!(house.metric(&worker, r#"haul_deliveries_total{reason="fit",way="relay"}"#).await?, 1.0);
    Ok(())
}
