//! Segments that people have marked, on media that yt-dlp says are of the site that has them.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// yt-dlp in whose words every site is the one that `SponsorBlock` knows.
fn relabelled(folder: &std::path::Path) -> Result<String> {
    let program = folder.join("yt-dlp");
    let real = haul_tests::tools().join("yt-dlp");
    let words = r#"s/"extractor": "\(generic\|html5\)"/"extractor": "youtube"/"#;
    std::fs::write(&program, format!("#!/bin/sh\n'{}' \"$@\" | sed '{words}'\n", real.display()))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program.display().to_string())
}

#[tokio::test]
async fn marked_segments_become_chapters_or_are_left_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let (program, api) = (relabelled(folder.path())?, house.origin.url(""));
    let variables = [
        ("HAUL_YTDLP", program.as_str()),
        ("HAUL_WARM_EXTRACTORS", "0"),
        ("HAUL_SPONSORBLOCK_API", api.as_str()),
        // the real one lies where the stand-in could not run it
        ("HAUL_SANDBOX", "off"),
    ];
    let words = "WEBVTT\n\n00:02.000 --> 00:03.000\nleft out\n\n00:04.500 --> 00:05.000\nsaid\n";
    house.origin.put("/words.vtt", words);
    let track = "<track kind=subtitles srclang=en src=/words.vtt>";
    let page = format!("<!doctype html><title>A talk</title><video src=/progressive.mp4>{track}</video>");
    house.origin.put("/progressive.html", page);
    let _worker = house.worker(&variables).await?;
    let of = |id: &str| {
        let hash: String = Sha256::digest(id).iter().take(2).map(|byte| format!("{byte:02x}")).collect();
        format!("/api/skipSegments/{hash}")
    };
    let segment = |from: f64, to: f64, kind: &str| json!({ "segment": [from, to], "category": kind, "UUID": "x" });
    let segments = [segment(1.0, 5.0, "sponsor"), segment(6.0, 7.0, "intro")];
    let answer = json!([{ "videoID": "progressive", "segments": segments }, { "videoID": "other", "segments": [] }]);
    house.origin.put(&of("progressive"), answer.to_string());
    // the same on a page, as yt-dlp names it
    house.origin.put(&of("progressive-1"), json!([{ "videoID": "progressive-1", "segments": segments }]).to_string());

    let title = "0.0-1.0 progressive; 1.0-5.0 [SponsorBlock]: Sponsor; 5.0-8.0 progressive";
    let table = [
        ("/progressive.mp4", json!({ "sponsorblock": { "mark": ["sponsor"] } }), 8.0, title),
        // what follows begins at the key frame of second 4
        ("/progressive.mp4", json!({ "sponsorblock": { "remove": ["sponsor"] } }), 5.0, ""),
        (
            "/progressive.webm",
            json!({ "format": "webm", "sponsorblock": { "mark": ["intro"], "remove": ["sponsor"] } }),
            5.0,
            "0.0-3.0 progressive; 3.0-4.0 [SponsorBlock]: Intermission/Intro Animation; 4.0-5.0 progressive",
        ),
        ("/progressive.mp4", json!({ "format": "mp3", "sponsorblock": { "remove": ["sponsor"] } }), 5.0, ""),
        // their times are those of the whole medium
        (
            "/progressive.html",
            json!({ "sponsorblock": { "remove": ["sponsor"] }, "clip": { "start": 0.5, "end": 6 },
                    "subtitles": { "languages": ["en"], "mode": "sidecar" } }),
            3.0,
            "",
        ),
        // Fault: it begins where what is left has long ended
        (
            "/progressive.mp4",
            json!({ "sponsorblock": { "remove": ["sponsor"] }, "clip": { "start": 6, "end": 7.5 } }),
            1.5,
            "",
        ),
        // nobody has marked anything in it, as the service says
        ("/portrait.mp4", json!({ "sponsorblock": { "remove": ["sponsor"] }, "fallback": "strict" }), 8.0, ""),
    ];
    let mut jobs = Vec::new();
    for (path, order, ..) in &table {
        jobs.push(house.order(&request(&house.origin.url(path), order.clone())).await?);
    }
    for (job, (path, order, seconds, chapters)) in jobs.iter().zip(&table) {
        let (plays, shown, _) = played(&house, job).await.with_context(|| format!("{path} {order}"))?;
        assert!((plays - seconds).abs() < 0.2, "{path} {order}: plays {plays} s");
        assert_eq!(shown, *chapters, "{path} {order}");
    }
    let text = String::from_utf8(house.get(&format!("{}/subtitles/en", jobs[4])).await?.body)?;
    assert_eq!(text, "WEBVTT\n\n00:00:01.500 --> 00:00:02.000\nsaid\n");
    let gone = json!({ "sponsorblock": { "remove": ["sponsor"] }, "clip": { "start": 2, "end": 3 } });
    let gone = house.order(&request(&house.origin.url("/progressive.mp4"), gone)).await?;
    assert_eq!(house.outcome(&gone).await?, "format_unavailable");

    // the service can't be asked: only who insists on the cut fails
    house.origin.put(&of("progressive"), "no json");
    let order = |more: Value| request(&house.origin.url("/progressive.mp4"), more);
    let nearest = json!({ "sponsorblock": { "remove": ["outro"] } });
    let nearest = house.order(&order(nearest)).await?;
    assert!((played(&house, &nearest).await?.0 - 8.0).abs() < 0.2);
    let strict = json!({ "sponsorblock": { "remove": ["outro"] }, "fallback": "strict" });
    let strict = house.order(&order(strict)).await?;
    assert_eq!(house.outcome(&strict).await?, "network");
    Ok(())
}
