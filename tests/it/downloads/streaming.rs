//! `streaming`: a file that can be played while it is fetched, and that goes into the store while it is made.

use haul_tests::s3::{Call, Fault as Refusal};

use super::*;

#[tokio::test]
async fn a_streaming_result_has_the_frames_of_an_ordinary_one() -> Result<()> {
    for store in [Store::Disk, Store::S3] {
        let house = House::open(store, &[("HAUL_SLOTS", "4")]).await?;
        let worker = house.worker(&[]).await?;
        let table = [
            ("/progressive.mp4", "mp4", "mp4 video/mp4 h264 aac best 360p", &b"moof"[..]),
            ("/hls-ts/master.m3u8", "mp4", "mp4 video/mp4 h264 aac best 720p", b"moof"),
            ("/dash/manifest.mpd", "mkv", "mkv video/x-matroska h264 aac best 720p", b"\x1a\x45\xdf\xa3"),
            ("/progressive.webm", "webm", "webm video/webm vp9 opus best 360p", b"webm"),
            ("/progressive.mp4", "m4a", "m4a audio/mp4 - aac - -", b"moof"),
            // it can be played while it is fetched as it is
            ("/progressive.mp4", "mp3", "mp3 audio/mpeg - mp3 - -", b"ID3"),
        ];
        let mut jobs = Vec::new();
        for (path, format, expected, mark) in table {
            let more = |streaming| json!({ "format": format, "streaming": streaming });
            let ordinary = house.order(&request(&house.origin.url(path), more(false))).await?;
            let streaming = house.order(&request(&house.origin.url(path), more(true))).await?;
            jobs.push((ordinary, streaming, format!("{format} of {path}"), expected, mark));
        }
        for (ordinary, streaming, what, expected, mark) in &jobs {
            let (result, _) = proven(&house, streaming).await.with_context(|| what.clone())?;
            assert_eq!(shown(&result), *expected, "{what}");
            assert_eq!(house.get(streaming).await?.json()["request"]["streaming"], true);
            house.end(ordinary).await?;
            let [ordinary, streaming] = [house.fetch(ordinary).await?, house.fetch(streaming).await?];
            let has = |body: &[u8]| body.windows(mark.len()).any(|word| word == *mark);
            assert!(has(&streaming.answer.body), "{what}");
            assert_eq!(has(&ordinary.answer.body), *mark != b"moof", "{what}");
            let sums = |file: &std::path::Path| {
                let picture = result["vcodec"].is_string().then(|| media::md5(file, "-map 0:v"));
                (picture, media::md5(file, "-map 0:a -c copy"))
            };
            assert_eq!(sums(streaming.file.path()), sums(ordinary.file.path()), "{what}");
        }
        assert_eq!(house.stored(), 2 * jobs.len());
        all_gone(&house, &worker).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_ffmpeg_that_dies_while_its_result_goes_up_leaves_nothing() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let s3 = house.s3.as_ref().context("a bucket")?;
    let worker = house.worker(&[]).await?;
    let folder = tempfile::tempdir()?;
    let large = std::fs::read(media::repeated(folder.path(), "large.mkv", 100))?;
    assert!(large.len() > 32 << 20, "more than can be on its way at once: {} bytes", large.len());
    house.origin.put("/large.mkv", large);
    s3.fail(Call::UploadPart, usize::MAX, Refusal::Silence);
    let going_up = async |format: &str, parts: usize| {
        let more = json!({ "format": format, "streaming": true });
        let job = house.order(&request(&house.origin.url("/large.mkv"), more)).await?;
        s3.wait_until(|counts| counts.seen(Call::UploadPart) >= parts).await;
        anyhow::Ok((job, worker.programs().into_iter().find(|program| program.runs("ffmpeg"))))
    };
    let (killed, ffmpeg) = going_up("mp4", 3).await?;
    ffmpeg.context("it waits for the store")?.kill()?;
    assert_eq!(house.outcome(&killed).await?, "corrupt_media");
    let (cancelled, ffmpeg) = going_up("mkv", 6).await?;
    assert!(ffmpeg.is_some());
    assert_eq!(house.ask(Method::DELETE, &cancelled, &Value::Null).await?.status, 202);
    assert_eq!(house.outcome(&cancelled).await?, "cancelled");
    s3.wait_until(|counts| counts.done(Call::AbortMultipart) == 2).await;
    assert_eq!(s3.orphans(), Vec::<std::path::PathBuf>::new());
    all_gone(&house, &worker).await?;
    assert_eq!(house.stored(), 0);
    Ok(())
}
