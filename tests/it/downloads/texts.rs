//! Subtitles, in files and beside them.

use super::*;

const ENGLISH: &str = "WEBVTT\n\n1\n00:00.500 --> 00:02.500\nThe beginning\n\n00:04.000 --> 00:20.000\nThe end\n";
const GERMAN: &str = "1\n00:00:01,000 --> 00:00:03,000\nDer Anfang\n";

/// A site with subtitles on a page, and one with them in segments of its master playlist.
fn sites(house: &House) -> (String, String) {
    house.origin.put("/en.vtt", ENGLISH);
    house.origin.put("/de.srt", GERMAN);
    let track = |language: &str, file: &str| format!("<track kind=subtitles srclang={language} src={file}>");
    let tracks = [track("en-GB", "/en.vtt"), track("de", "/de.srt"), track("it", "/nowhere.vtt")].concat();
    house
        .origin
        .put("/page.html", format!("<!doctype html><title>A talk</title><video src=/chapters.mp4>{tracks}</video>"));
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",URI=\"/s/en.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",SUBTITLES=\"s\"\n/hls-ts/360p.m3u8\n";
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.vtt\n#EXTINF:4,\n2.vtt\n#EXT-X-ENDLIST\n";
    house.origin.put("/s/master.m3u8", master);
    house.origin.put("/s/en.m3u8", playlist);
    let map = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n";
    house.origin.put("/s/1.vtt", format!("{map}00:00:03.000 --> 00:00:05.000\nBoth\n"));
    house
        .origin
        .put("/s/2.vtt", format!("{map}00:00:03.000 --> 00:00:05.000\nBoth\n\n00:00:06.000 --> 00:00:07.000\nTwo\n"));
    (house.origin.url("/page.html"), house.origin.url("/s/master.m3u8"))
}

/// What a result says of its texts: `asked=language`, with `+` where there is a link.
fn told(view: &Value) -> String {
    let texts = view["result"]["subtitles"].as_array().cloned().unwrap_or_default();
    let one = |text: &Value| {
        let word = |name: &str| text[name].as_str().unwrap_or("-").to_owned();
        format!("{}={}{}", word("asked"), word("language"), if text["link"].is_null() { "" } else { "+" })
    };
    texts.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The texts in a file, as `codec language`.
async fn embedded(house: &House, job: &str) -> Result<String> {
    let fetched = house.fetch(job).await?;
    let path = fetched.file.path().to_owned();
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&path)).await?;
    let streams = seen["streams"].as_array().cloned().unwrap_or_default();
    let texts = streams.iter().filter(|stream| stream["codec_type"] == "subtitle").map(|stream| {
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!("{} {}", word(&stream["codec_name"]), word(&stream["tags"]["language"]))
    });
    Ok(texts.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn subtitles_go_into_the_file_or_beside_it_and_what_is_not_there_is_said() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    let (page, hls) = sites(&house);
    let asked = |languages: &[&str], mode: &str| json!({ "languages": languages, "mode": mode });
    let table = [
        (
            &page,
            json!({ "subtitles": asked(&["en", "de", "en-GB"], "embed"), "embed_thumbnail": true }),
            "en=en-GB de=de en-GB=en-GB",
            "mov_text eng, mov_text deu",
        ),
        (
            &page,
            json!({ "subtitles": asked(&["de", "fr", "it"], "embed"), "format": "mkv" }),
            "de=de fr=- it=-",
            "subrip deu",
        ),
        (&page, json!({ "subtitles": asked(&["en"], "embed"), "format": "mp3" }), "en=en-GB+", ""),
        (
            &page,
            json!({ "subtitles": asked(&["en"], "embed"), "clip": { "start": 3, "end": 6 } }),
            "en=en-GB",
            "mov_text eng",
        ),
        (
            &page,
            json!({ "subtitles": asked(&["en-GB", "de", "en"], "sidecar"), "clip": { "start": 3, "end": 6 } }),
            "en-GB=en-GB+ de=de+ en=en-GB+",
            "",
        ),
        (&hls, json!({ "subtitles": asked(&["en"], "sidecar"), "fallback": "strict" }), "en=en+", ""),
    ];
    let mut jobs = Vec::new();
    for (url, order, ..) in &table {
        jobs.push(house.order(&request(url, order.clone())).await?);
    }
    for (job, (_, order, expected, inside)) in jobs.iter().zip(&table) {
        let view = house.end(job).await?;
        ensure!(view["status"] == "completed", "{order}: {view}");
        assert_eq!(told(&view), *expected, "{order}");
        assert_eq!(embedded(&house, job).await?, *inside, "{order}");
    }
    // Fault: who came second to a text was told that there is none, and it was fetched for each of them.
    assert_eq!(house.origin.hits("/en.vtt"), 4);
    for (job, language, expected) in [
        // the clip begins at the key frame of second 2
        (
            &jobs[4],
            "en-GB",
            "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nThe beginning\n\n00:00:02.000 --> 00:00:04.000\nThe end\n",
        ),
        (&jobs[5], "en", "WEBVTT\n\n00:00:03.000 --> 00:00:05.000\nBoth\n\n00:00:06.000 --> 00:00:07.000\nTwo\n"),
    ] {
        let text = house.get(&format!("{job}/subtitles/{language}")).await?;
        assert_eq!((text.status.as_u16(), text.header("content-type")), (200, "text/vtt; charset=utf-8"));
        assert_eq!(String::from_utf8(text.body)?, expected);
        assert_eq!(house.get(&format!("{job}/subtitles/fr")).await?.told(), "404 not_found");
    }
    let strict = json!({ "subtitles": asked(&["fr"], "embed"), "fallback": "strict" });
    let strict = house.order(&request(&page, strict)).await?;
    assert_eq!(house.outcome(&strict).await?, "format_unavailable");

    // Fault: that a medium can't be had was told only when its texts had been waited for, a minute each.
    let tracks = ["en", "de"].map(|one| format!("<track kind=subtitles srclang={one} src=/hang=/{one}.vtt>")).concat();
    house.origin.put("/gone.html", format!("<!doctype html><title>Gone</title><video src=/gone.mp4>{tracks}</video>"));
    let gone = json!({ "subtitles": asked(&["en", "de"], "sidecar") });
    let gone = house.order(&request(&house.origin.url("/gone.html"), gone)).await?;
    assert_ne!(house.outcome(&gone).await?, "completed");
    assert_eq!(
        ["en", "de"].map(|one| house.origin.hits(&format!("/hang=/{one}.vtt"))),
        [1, 0],
        "the second was not begun"
    );

    for job in &jobs {
        assert_eq!(house.ask(Method::DELETE, job, &Value::Null).await?.status, 204);
    }
    processes::until("everything is removed", async || house.stored() + house.stored_beside() == 0).await?;
    Ok(())
}

/// A master playlist whose subtitles are at `texts`.
fn with_texts(house: &House, name: &str, texts: &str) -> String {
    let master = format!(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",URI=\"{texts}\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",SUBTITLES=\"s\"\n\
        /hls-ts/360p.m3u8\n"
    );
    house.origin.put(name, master);
    house.origin.url(name)
}

#[tokio::test]
async fn a_text_that_is_too_large_is_left_out_as_a_whole_and_never_cut_off() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    sites(&house);
    let playlist = |segments: usize, name: &str| {
        let entries = format!("#EXTINF:4,\n{name}\n").repeat(segments);
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{entries}#EXT-X-ENDLIST\n")
    };
    let long = "and so on, ".repeat(160 << 10);
    house.origin.put("/long.vtt", format!("{ENGLISH}\n00:21.000 --> 00:22.000\n{long}\n"));
    house.origin.put("/many.m3u8", playlist(4001, "/s/1.vtt"));
    house.origin.put("/most.m3u8", playlist(4, "/long.vtt"));
    house.origin.put("/large.m3u8", playlist(5, "/long.vtt"));
    house.origin.put("/whole.vtt", format!("{ENGLISH}\n00:21.000 --> 00:22.000\n{}\n", long.repeat(5)));
    let page = "<!doctype html><title>A talk</title><video src=/chapters.mp4><track kind=subtitles srclang=en src=/whole.vtt></video>";
    house.origin.put("/large.html", page);

    let order = json!({ "subtitles": { "languages": ["en"], "mode": "sidecar" } });
    let table = [
        (with_texts(&house, "/1.m3u8", "/most.m3u8"), "en=en+"),
        (with_texts(&house, "/2.m3u8", "/many.m3u8"), "en=-"),
        (with_texts(&house, "/3.m3u8", "/large.m3u8"), "en=-"),
        (house.origin.url("/large.html"), "en=-"),
    ];
    for (url, expected) in &table {
        let view = house.end(&house.order(&request(url, order.clone())).await?).await?;
        assert_eq!((view["status"].as_str(), told(&view).as_str()), (Some("completed"), *expected), "{view}");
    }
    assert_eq!(house.origin.hits("/s/1.vtt"), 0, "of what has too many pieces none is fetched");
    let strict = json!({ "subtitles": { "languages": ["en"], "mode": "sidecar" }, "fallback": "strict" });
    let strict = house.order(&request(&table[1].0, strict)).await?;
    assert_eq!(house.outcome(&strict).await?, "format_unavailable");
    Ok(())
}
