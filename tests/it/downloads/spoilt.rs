//! What is cut, lies, or lacks a part never becomes a result.

use std::fs;

use super::*;

#[tokio::test]
async fn nothing_spoilt_is_ever_completed_or_stored() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let quick = [("HAUL_RETRIES", "1"), ("HAUL_FRAGMENT_RETRIES", "1"), ("HAUL_SLOTS", "4")];
    let _worker = house.worker(&quick).await?;
    let origin = &house.origin;
    let secret = tempfile::NamedTempFile::new()?;
    fs::write(secret.path(), fs::read(media::file("progressive.mp4"))?)?;
    origin.put_playlist_of("/posing.mp4", secret.path());
    let table = [
        (origin.spoilt(Fault::Lying(60), "/progressive.mp4"), "corrupt_media"),
        (origin.spoilt(Fault::Missing("720p-1.ts"), "/hls-ts/master.m3u8"), "corrupt_media"),
        (origin.spoilt(Fault::Missing("720p-1.m4s"), "/hls-fmp4/master.m3u8"), "corrupt_media"),
        (origin.spoilt(Fault::Missing("sound-2.m4s"), "/hls-fmp4/master.m3u8"), "corrupt_media"),
        (origin.spoilt(Fault::Missing("seg-2-2.m4s"), "/dash/manifest.mpd"), "corrupt_media"),
        (origin.spoilt(Fault::Halved("720p-1.ts"), "/hls-ts/master.m3u8"), "corrupt_media"),
        (origin.spoilt(Fault::Halved("720p-1.m4s"), "/hls-fmp4/master.m3u8"), "corrupt_media"),
        (origin.spoilt(Fault::Halved("seg-2-2.m4s"), "/dash/manifest.mpd"), "corrupt_media"),
        (origin.spoilt(Fault::Halved("seg-3-2.m4s"), "/dash/manifest.mpd"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/progressive.mkv"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/progressive.webm"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/audio.m4a"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/audio.opus"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/audio.flac"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/audio.wav"), "corrupt_media"),
        (origin.spoilt(Fault::Lying(60), "/audio.mp3"), "corrupt_media"),
        (origin.url("/hls-ts/wrong-duration.m3u8"), "corrupt_media"),
        (origin.url("/empty.mp4"), "corrupt_media"),
        (origin.url("/page.html"), "unsupported_url"),
        (origin.url("/posing.mp4"), "invalid_media"),
    ];
    let mut jobs = Vec::new();
    for (url, expected) in table {
        jobs.push((
            house
                .order(&request(&url, json!({ "format": if url.contains("/audio.") { "original" } else { "mp4" } })))
                .await?,
            url,
            expected,
        ));
    }
    let mut told = Vec::new();
    for (job, url, expected) in jobs {
        let outcome = house.outcome(&job).await?;
        if outcome != expected {
            told.push(format!("{url}: {outcome} instead of {expected}"));
        }
        let link = house.get(&format!("{job}/link")).await?.told();
        if link != format!("409 {expected}") {
            told.push(format!("{url}: its link says {link}"));
        }
    }
    assert!(told.is_empty(), "{told:#?}");
    processes::until("scratch is empty", async || house.scratch_files() == 0).await?;
    assert_eq!(house.stored(), 0);
    Ok(())
}

/// A page of 2 MB that is 2 GB when it is unpacked.
#[tokio::test]
async fn a_page_that_blows_up_ends_in_its_code_and_other_jobs_go_on() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    let make = "import gzip, sys; sys.stdout.buffer.write(gzip.compress(b'<p>' + b' ' * (16 << 20)) * 128)";
    let bomb = std::process::Command::new(haul_tests::tools().join("python3")).args(["-c", make]).output()?.stdout;
    ensure!(bomb.len() > 1 << 20);
    house.origin.put("/bomb.html.gz", bomb);
    let url = house.origin.url("/bomb.html.gz");
    let blown = house.order(&request(&url, json!({}))).await?;
    let fine = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    let asked = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": url })).await?;
    proven(&house, &fine).await?;
    let view = house.end(&blown).await?;
    assert_eq!((&view["error"]["code"], &view["attempt"]), (&json!("invalid_media"), &json!(1)), "{view}");
    assert_eq!(asked.told(), "422 invalid_media");
    assert!(worker.peak_memory()? < 64 << 20, "{} bytes", worker.peak_memory()?);
    processes::until("its processes are gone", async || worker.programs().is_empty()).await?;
    Ok(())
}
