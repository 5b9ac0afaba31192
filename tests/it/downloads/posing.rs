//! What poses as a medium, and names a file of somebody else: it is known by its first bytes, and nothing opens what it names.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A file in another job's folder, which tells when anybody opens it.
struct Foreign {
    file: PathBuf,
    was_opened: Arc<AtomicBool>,
    watcher: Option<std::thread::JoinHandle<()>>,
}

impl Foreign {
    /// A named pipe: who opens it to write waits until somebody opens it to read.
    fn lies_at(file: PathBuf) -> Result<Self> {
        fs::create_dir_all(file.parent().context("a folder")?)?;
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o666.into(), 0)?;
        let was_opened = Arc::new(AtomicBool::new(false));
        let (opened, place) = (Arc::clone(&was_opened), file.clone());
        let watcher = std::thread::spawn(move || {
            let there = fs::File::options().write(true).open(place);
            opened.store(there.is_ok(), Ordering::Relaxed);
        });
        Ok(Self { file, was_opened, watcher: Some(watcher) })
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag");
        let reader = fs::File::options().read(true).custom_flags(nonblocking).open(&self.file);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        drop(reader);
    }
}

fn hls(named: &Path) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{}\n#EXT-X-ENDLIST\n", named.display())
}

/// Bodies under the name of a medium, each of which names the file.
fn posing(named: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let (path, playlist) = (named.display(), hls(named));
    let text = |text: String| text.into_bytes();
    let mut late = playlist.clone();
    late.insert_str(8, &format!("#{}\n", "x".repeat(5000)));
    vec![
        ("playlist", text(playlist.clone())),
        ("marked", text(format!("\u{feff}{playlist}"))),
        ("late", text(late)),
        ("key", text(playlist.replace("#EXTINF", &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{path}\"\n#EXTINF")))),
        ("map", text(playlist.replace("#EXTINF", &format!("#EXT-X-MAP:URI=\"{path}\"\n#EXTINF")))),
        (
            "manifest",
            text(format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
                 mediaPresentationDuration=\"PT8S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" \
                 bandwidth=\"1\"><BaseURL>file://{path}</BaseURL></Representation></AdaptationSet></Period></MPD>"
            )),
        ),
        ("list", text(format!("ffconcat version 1.0\nfile 'file:{path}'\n"))),
        ("session", text(format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={path}\r\nm=video 9 RTP/AVP 96\r\n"))),
        ("drawing", text(format!("<svg xmlns='http://www.w3.org/2000/svg'><image href='file://{path}'/></svg>"))),
        ("page", text(format!("<!doctype html><video src='file://{path}'></video>"))),
        ("text-in-avi", media::avi_with_subtitles(playlist.as_bytes())),
        ("picture", fs::read(media::file("poster.png")).unwrap_or_else(|_| b"\x89PNG\r\n\x1a\n".to_vec())),
        ("program", b"\x7fELF\x02\x01\x01".to_vec()),
        ("script", text(format!("#!/bin/sh\ncat {path}\n"))),
    ]
}

/// Fault (of everybody else): ffmpeg, run on what a site called a video, opened what it named, and made a result of it.
#[tokio::test]
async fn what_only_poses_as_a_medium_opens_no_file_of_another_job_and_is_invalid() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "2")]).await?;
    let _worker = house.worker(&[]).await?;
    let foreign = Foreign::lies_at(house.scratch()?.join("job-of-another/media.ts"))?;
    let origin = &house.origin;
    let mut orders = Vec::new();
    let named = posing(&foreign.file);
    let playlist = named[0].1.clone();
    for (name, body) in named {
        let path = format!("/{name}.mp4");
        origin.put(&path, body);
        orders.push((path, json!({})));
    }
    for more in [
        json!({ "format": "mp3" }),
        json!({ "format": "flac" }),
        json!({ "format": "mkv", "embed_thumbnail": true }),
        json!({ "format": "original" }),
        json!({ "format": "webm", "streaming": true }),
        json!({ "clip": { "start": 1, "end": 2, "exact": true } }),
    ] {
        orders.push(("/playlist.mp4".to_owned(), more));
    }
    // the same by segments, as we fetch them, and as yt-dlp does
    for (at, kind) in ["ts", "m4s", "aac", "mp3"].iter().enumerate() {
        origin.put(&format!("/posing.{kind}"), playlist.clone());
        let between = if at % 2 == 0 { "" } else { "#EXT-X-DISCONTINUITY\n" };
        let segment = format!("#EXTINF:4,\n/posing.{kind}\n");
        let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{segment}{between}{segment}#EXT-X-ENDLIST\n");
        origin.put(&format!("/of-{kind}.m3u8"), list);
        orders.push((format!("/of-{kind}.m3u8"), json!({})));
    }
    let mut told = Vec::new();
    let mut jobs = Vec::new();
    for (path, more) in orders {
        jobs.push((house.order(&request(&origin.url(&path), more.clone())).await?, path, more));
    }
    for (job, path, more) in jobs {
        let view = house.end(&job).await?;
        if (&view["error"]["code"], &view["attempt"]) != (&json!("invalid_media"), &json!(1)) {
            told.push(format!("{path} {more}: {} {}", view["status"], view["error"]));
        }
    }
    assert!(told.is_empty(), "{told:#?}");
    assert!(!foreign.was_opened.load(Ordering::Relaxed), "somebody has opened what is another job's");
    assert_eq!(house.stored(), 0);
    Ok(())
}

/// Beside a medium, too: a picture and texts that name what is not theirs are left out.
#[tokio::test]
async fn a_picture_or_a_text_that_names_a_foreign_file_is_left_out() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    let foreign = Foreign::lies_at(house.scratch()?.join("job-of-another/media.vtt"))?;
    let (origin, playlist) = (&house.origin, hls(&foreign.file));
    let script = format!("[Script Info]\n{playlist}");
    for (path, text) in [("/a.vtt", &playlist), ("/b.srt", &playlist), ("/c.ass", &script), ("/posing.png", &playlist)]
    {
        origin.put(path, text.clone());
    }
    // a picture of 2.5 thousand million pixels, in so many bytes
    let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0".to_vec();
    huge.resize(200, 0);
    origin.put("/huge.png", huge);
    let tracks = [("en", "/a.vtt"), ("de", "/b.srt"), ("it", "/c.ass")]
        .map(|(language, file)| format!("<track kind=subtitles srclang={language} src={file}>"))
        .concat();
    let page = |poster: &str| {
        format!("<!doctype html><title>x</title><video poster={poster} src=/progressive.mp4>{tracks}</video>")
    };
    origin.put("/page.html", page("/posing.png"));
    origin.put("/large.html", page("/huge.png"));
    let subtitles = |mode: &str| json!({ "languages": ["en", "de", "it"], "mode": mode });
    let own = house.order(&request(&origin.url("/progressive.mp4"), json!({}))).await?;
    let mut jobs = Vec::new();
    for (path, more) in [
        ("/page.html", json!({ "subtitles": subtitles("sidecar") })),
        ("/page.html", json!({ "subtitles": subtitles("embed"), "embed_thumbnail": true, "format": "mkv" })),
        ("/large.html", json!({ "embed_thumbnail": true })),
    ] {
        jobs.push(house.order(&request(&origin.url(path), more)).await?);
    }
    house.end(&own).await?;
    let picture = house.thumbnail(&own).await?;
    assert_eq!(picture.status, 200);
    for job in &jobs {
        let view = house.end(job).await?;
        ensure!(view["status"] == "completed", "{view}");
        let thumbnail = house.thumbnail(job).await?;
        // that of a frame of its own
        assert_eq!((thumbnail.status, thumbnail.body.len()), (picture.status, picture.body.len()));
        for text in view["result"]["subtitles"].as_array().into_iter().flatten() {
            if let Some(link) = text["link"].as_str() {
                let path = link.find("/api/").map_or(link, |at| &link[at..]);
                let said = String::from_utf8(house.get(path).await?.body)?;
                assert!(!said.contains("-->"), "{said}");
            }
        }
    }
    assert!(!foreign.was_opened.load(Ordering::Relaxed), "somebody has opened what is another job's");
    Ok(())
}

/// Where yt-dlp would call ffmpeg by itself, it finds none, though there is one on its path: no wrapper has to stand before it
/// (`docs/decisions/0027`).
#[tokio::test]
async fn what_yt_dlp_would_give_to_ffmpeg_ends_in_its_code_and_is_not_fetched() -> Result<()> {
    ensure!(
        Path::new("/usr/bin/ffmpeg").exists() || Path::new("/usr/local/bin/ffmpeg").exists(),
        "ffmpeg is installed"
    );
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let segment = "#EXTINF:2,\n/hls-ts/360p-0.ts\n";
    let key = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"/key\"\n";
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    house.origin.put("/sample.m3u8", format!("{head}{key}{segment}#EXT-X-ENDLIST\n"));
    house.origin.put("/live.m3u8", format!("{head}{segment}"));
    for warm in ["1", "0"] {
        let _worker = house.worker(&[("HAUL_WARM_EXTRACTORS", warm)]).await?;
        for (path, code) in [("/sample.m3u8", "drm_protected"), ("/live.m3u8", "live_not_supported")] {
            let job = house.order(&request(&house.origin.url(&format!("{path}?{warm}")), json!({}))).await?;
            assert_eq!(house.outcome(&job).await?, code, "{path}");
        }
    }
    assert_eq!((house.origin.hits("/hls-ts/360p-0.ts"), house.origin.hits("/key")), (0, 0));
    Ok(())
}
