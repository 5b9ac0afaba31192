//! HLS and DASH that are made into the result while their segments come.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_tests::s3::{Call, Fault as Refusal};

use super::*;

/// HLS of some 2.7 MB so many times in transport streams, and of its last segment no more than the beginning until it is let
/// go.
struct Held {
    origin: RangeOrigin,
    folder: tempfile::TempDir,
    goes: Arc<AtomicBool>,
}

impl Held {
    /// 27 MB.
    async fn start() -> Result<Self> {
        Self::of(10).await
    }

    async fn of(times: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let dense = media::file("dense.mkv");
        media::ffmpeg(folder.path(), &format!("-stream_loop {} -i {} -c copy large.mkv", times - 1, dense.display()))?;
        media::ffmpeg(folder.path(), "-i large.mkv -c copy -f hls -hls_time 2 -hls_playlist_type vod index.m3u8")?;
        let (files, goes) = (folder.path().to_owned(), Arc::new(AtomicBool::new(false)));
        let last = fs::read_to_string(files.join("index.m3u8"))?.matches("#EXTINF").count() - 1;
        let (held, may_go) = (format!("/index{last}.ts"), Arc::clone(&goes));
        let origin = RangeOrigin::start(move |asked: &Asked| {
            let path = asked.path.split('?').next().unwrap_or_default();
            let name = if path == "/longer.m3u8" { "index.m3u8" } else { &path[1..] };
            let Ok(mut content) = fs::read(files.join(name)) else { return Answer::status(404) };
            if name != &path[1..] {
                content = String::from_utf8_lossy(&content)
                    .replace("#EXTINF:2", "#EXTINF:3")
                    .replace("DURATION:2", "DURATION:4")
                    .into_bytes();
            }
            let answer = asked.served(&Bytes::from(content), TAG);
            // a fetcher that gets a little each time does not give up
            if path == held && !may_go.load(Ordering::SeqCst) { answer.cut(1000) } else { answer }
        })
        .await;
        Ok(Self { origin, folder, goes })
    }

    fn url(&self) -> String {
        self.origin.url("/index.m3u8")
    }

    fn let_go(&self) {
        self.goes.store(true, Ordering::SeqCst);
    }
}

/// Of all decoded pictures, and of all packets of the sound.
fn sums(file: &Path) -> [String; 2] {
    [media::md5(file, "-map 0:v:0"), media::md5(file, "-map 0:a:0 -c copy -bsf:a aac_adtstoasc")]
}

/// What yt-dlp makes of an address: downloaded, merged and mended by itself.
fn by_ytdlp(url: &str, folder: &Path) -> Result<std::path::PathBuf> {
    let mut ytdlp = std::process::Command::new(haul_tests::tools().join("yt-dlp"));
    let arguments = ["--ignore-config", "--quiet", "--merge-output-format", "mp4", "--output", "theirs.mp4", "--", url];
    let ended = ytdlp.args(arguments).current_dir(folder).status()?;
    ensure!(ended.success(), "{ended}");
    Ok(folder.join("theirs.mp4"))
}

#[tokio::test]
async fn a_result_that_is_made_while_its_segments_come_has_the_frames_of_yt_dlps() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_SLOTS", "4")]).await?;
    let worker = house.worker(&[]).await?;
    for path in ["/hls-ts/master.m3u8", "/hls-fmp4/master.m3u8", "/dash/manifest.mpd"] {
        let (url, folder) = (house.origin.url(path), tempfile::tempdir()?);
        let theirs = tokio::task::spawn_blocking({
            let (url, folder) = (url.clone(), folder.path().to_owned());
            move || anyhow::Ok(sums(&by_ytdlp(&url, &folder)?))
        });
        let mut jobs = Vec::new();
        for more in [json!({}), json!({ "streaming": true }), json!({ "format": "mkv" })] {
            jobs.push(house.order(&request(&url, more)).await?);
        }
        let theirs = theirs.await??;
        for job in jobs {
            let (result, _) = proven(&house, &job).await.with_context(|| path)?;
            assert_eq!(result["delivery"], "native", "{path}");
            assert_eq!(sums(house.fetch(&job).await?.file.path()), theirs, "{path}: {result}");
        }
    }
    processes::until("each has a frame for its thumbnail", async || house.stored_beside() == 9).await?;
    processes::until("programs and scratch are gone", async || {
        worker.programs().is_empty() && house.scratch_files() == 0
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_result_is_made_and_stored_while_its_last_segment_is_still_to_come() -> Result<()> {
    let (house, held) = (House::open(Store::S3, &[]).await?, Held::start().await?);
    let (worker, s3) = (house.worker(&[]).await?, house.s3.as_ref().context("a bucket")?);
    let before = worker.written_bytes()?;
    let job = house.order(&request(&held.url(), json!({ "streaming": true }))).await?;
    s3.wait_until(|counts| counts.done(Call::UploadPart) > 0).await;
    let view = house.get(&job).await?.json();
    assert_eq!((&view["status"], &view["stage"]), (&json!("running"), &json!("download")), "{view}");
    held.let_go();
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("native")), "{view}");
    // its head, and the outline of the result
    let written = worker.written_bytes()? - before;
    assert!(written < 8 << 20, "{written} bytes written of {}", view["result"]["size_bytes"]);
    assert!(worker.peak_memory()? < 64 << 20, "{} bytes", worker.peak_memory()?);
    assert_eq!(sums(house.fetch(&job).await?.file.path()), sums(&held.folder.path().join("large.mkv")));
    Ok(())
}

#[tokio::test]
async fn an_ordinary_result_goes_up_while_its_last_segment_is_still_to_come() -> Result<()> {
    let (house, held) = (House::open(Store::S3, &[]).await?, Held::of(14).await?);
    let (worker, s3) = (house.worker(&[]).await?, house.s3.as_ref().context("a bucket")?);
    let folder = held.folder.path();
    media::ffmpeg(folder, "-i index.m3u8 -map 0:v:0 -map 0:a:0 -c copy theirs.mp4")?;
    let packets = |file: &Path| ["-map 0:v:0 -c copy", "-map 0:a:0 -c copy"].map(|of| media::md5(file, of));
    let theirs = packets(&folder.join("theirs.mp4"));
    for (number, format) in ["mp4", "mkv"].into_iter().enumerate() {
        held.goes.store(false, Ordering::SeqCst);
        let before = (worker.written_bytes()?, s3.counts().done(Call::UploadPart));
        let job = house.order(&request(&held.url(), json!({ "format": format }))).await?;
        s3.wait_until(|counts| counts.done(Call::UploadPart) > before.1).await;
        let view = house.get(&job).await?.json();
        assert_eq!((&view["status"], &view["stage"]), (&json!("running"), &json!("download")), "{view}");
        assert_eq!(house.stored(), number);
        assert_eq!(house.get(&format!("{job}/link")).await?.status, 409);
        held.let_go();
        let view = house.end(&job).await?;
        assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("native")), "{view}");
        let fetched = house.fetch(&job).await?;
        let body = &fetched.answer.body;
        let sha256: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        let told = (view["result"]["size_bytes"].as_u64(), &view["result"]["sha256"]);
        assert_eq!(told, (Some(body.len() as u64), &json!(sha256)));
        if format == "mp4" {
            assert!(body[4..8] == *b"ftyp" && body[36..40] == *b"moov", "{}", body[..64].escape_ascii());
        }
        assert_eq!(packets(fetched.file.path()), theirs, "{format}");
        // it once, its head, and what is kept of its front
        let written = worker.written_bytes()? - before.0;
        assert!(written < body.len() as u64 + (8 << 20), "{format}: {written} bytes written of {}", body.len());
        let counts = s3.counts();
        assert_eq!((counts.seen(Call::CreateMultipart), counts.seen(Call::AbortMultipart)), (number + 1, 0));
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_what_goes_up_and_is_no_result() -> Result<()> {
    let (house, held) = (House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "1")]).await?, Held::of(14).await?);
    let (worker, s3) = (house.worker(&[]).await?, house.s3.as_ref().context("a bucket")?);
    let going_up = async |url: &str| {
        let before = s3.counts().done(Call::UploadPart);
        let job = house.order(&request(url, json!({}))).await?;
        s3.wait_until(|counts| counts.done(Call::UploadPart) > before).await;
        anyhow::Ok(job)
    };
    let cancelled = going_up(&held.url()).await?;
    assert_eq!(house.ask(Method::DELETE, &cancelled, &Value::Null).await?.status, 202);
    assert_eq!(house.outcome(&cancelled).await?, "cancelled");
    // more is promised than comes: ffmpeg is content, and the verification is not
    let refused = going_up(&held.origin.url("/longer.m3u8")).await?;
    held.let_go();
    assert_eq!(house.outcome(&refused).await?, "corrupt_media");
    s3.wait_until(|counts| counts.done(Call::AbortMultipart) == 2).await;
    assert_eq!((house.stored(), s3.orphans()), (0, Vec::<std::path::PathBuf>::new()));
    assert_eq!(s3.counts().seen(Call::CompleteMultipart), 0);

    // a part that can't be stored costs the head start, and no result
    s3.fail(Call::UploadPart, 1, Refusal::Refused(403));
    let job = house.order(&request(&held.url(), json!({}))).await?;
    let view = house.end(&job).await?;
    assert_eq!(view["status"], "completed", "{view}");
    assert_eq!(house.fetch(&job).await?.answer.body.len() as u64, view["result"]["size_bytes"].as_u64().unwrap_or(0));
    s3.wait_until(|counts| counts.done(Call::AbortMultipart) == 3).await;
    assert_eq!((house.stored(), s3.orphans()), (1, Vec::<std::path::PathBuf>::new()));
    all_gone(&house, &worker).await
}

#[tokio::test]
async fn whoever_fails_while_a_result_is_made_of_segments_ends_the_job_in_its_code() -> Result<()> {
    let (house, held) = (House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "1")]).await?, Held::start().await?);
    let worker = house.worker(&[("HAUL_SILENCE_TIMEOUT", "15s"), ("HAUL_FRAGMENT_RETRIES", "1")]).await?;
    let making = async |more: Value| {
        let job = house.order(&request(&held.url(), more)).await?;
        let mut ffmpeg = None;
        processes::until("ffmpeg makes the result", async || {
            ffmpeg = worker.programs().into_iter().find(|program| program.runs("ffmpeg"));
            ffmpeg.is_some()
        })
        .await?;
        anyhow::Ok((job, ffmpeg.context("it works")?))
    };
    for more in [json!({}), json!({ "streaming": true })] {
        let (job, ffmpeg) = making(more.clone()).await?;
        ffmpeg.kill()?;
        assert_eq!(house.outcome(&job).await?, "corrupt_media", "{more}");
        let (job, _) = making(more.clone()).await?;
        assert_eq!(house.ask(Method::DELETE, &job, &Value::Null).await?.status, 202);
        assert_eq!(house.outcome(&job).await?, "cancelled", "{more}");
    }
    // two segments are enough to begin with: what is wrong comes behind them
    let playlist = |last: &str| {
        let segments: String =
            (0..3).map(|at| format!("#EXTINF:2,\n/hls-ts/360p-{at}.ts\n")).chain([last.to_owned()]).collect();
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segments}#EXT-X-ENDLIST\n")
    };
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"/no-such.key\"\n";
    for (name, last, outcome) in [
        ("missing", "#EXTINF:2,\n/no-such.ts\n".to_owned(), "corrupt_media"),
        ("refused", "#EXTINF:2,\n/status=403-99/hls-ts/360p-3.ts\n".to_owned(), "site_blocked"),
        ("broken", "#EXTINF:2,\n/status=500-99/hls-ts/360p-3.ts\n".to_owned(), "network"),
        ("silent", "#EXTINF:2,\n/hang=/hls-ts/360p-3.ts\n".to_owned(), "stalled"),
        ("locked", format!("{key}#EXTINF:2,\n/hls-ts/360p-3.ts\n"), "corrupt_media"),
        ("short", "#EXTINF:9,\n/hls-ts/360p-3.ts\n".to_owned(), "corrupt_media"),
        ("whole", "#EXTINF:2,\n/hls-ts/360p-3.ts\n".to_owned(), "completed"),
    ] {
        house.origin.put(&format!("/{name}.m3u8"), playlist(&last));
        let job = house.order(&request(&house.origin.url(&format!("/{name}.m3u8")), json!({}))).await?;
        assert_eq!(house.outcome(&job).await?, outcome, "{name}");
    }
    let s3 = house.s3.as_ref().context("a bucket")?;
    processes::until("nothing is left but the good one", async || {
        worker.programs().is_empty() && house.scratch_files() == 0 && s3.orphans().is_empty() && house.stored() == 1
    })
    .await?;
    Ok(())
}

/// A segment that comes zipped can't be taken as it is; it is the last one, and its beginning went into ffmpeg long ago.
#[tokio::test]
async fn what_turns_out_to_be_no_affair_of_ours_half_way_is_fetched_by_yt_dlp() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let origin = RangeOrigin::start(|asked: &Asked| {
        let Ok(content) = fs::read(media::file(&format!("hls-ts{}", asked.path))) else { return Answer::status(404) };
        let answer = asked.served(&content.into(), TAG);
        if asked.path == "/360p-3.ts" { answer.with("Content-Encoding", "identity;q=1") } else { answer }
    })
    .await;
    let job = house.order(&request(&origin.url("/360p.m3u8"), json!({}))).await?;
    let (result, _) = proven(&house, &job).await?;
    assert_eq!(result["delivery"], "ytdlp");
    Ok(())
}
