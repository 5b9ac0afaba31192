//! The real yt-dlp against the loopback site: what it tells, what it fetches, and what its failures are called.

use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::source::SourceUrl;
use haul_tests::origin::{Fault, Origin, Wait};
use haul_worker::ytdlp::{Bounds, DownloadedFile, Event, Info, Live, Track, WarmSettings, Ytdlp, YtdlpSettings};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) fn plain() -> Ytdlp {
    Ytdlp::new(YtdlpSettings {
        deno: Some(haul_tests::tools().join("deno")),
        retries: 1,
        fragment_retries: 1,
        ..haul_tests::ytdlp(haul_tests::tools().join("yt-dlp"))
    })
}

pub(crate) fn bounds() -> Bounds {
    Bounds {
        wall: Duration::from_secs(100),
        silence: Duration::from_secs(60),
        cpu: Duration::from_secs(60),
        file_size: None,
        cancel: CancellationToken::new(),
        guard: haul_tests::guard(),
    }
}

pub(crate) fn read(url: &str) -> SourceUrl {
    SourceUrl::read(url).unwrap()
}

/// By the plain command line, and by a warm extractor.
async fn both() -> [Ytdlp; 2] {
    [plain(), warm(500).await]
}

/// By a warm extractor that has so many jobs.
pub(crate) async fn warm(jobs_each: u64) -> Ytdlp {
    let warm = plain().warmed(WarmSettings { servers: 1, jobs_each, home: std::env::temp_dir() });
    warm.begun().await;
    assert_eq!(warm.counts().up(), 1);
    warm
}

async fn extract(ytdlp: &Ytdlp, url: &str) -> Result<Info, FailureKind> {
    let dir = TempDir::new().unwrap();
    let found = ytdlp.extract(&read(url), 1, dir.path(), &bounds()).await;
    found.map(|(info, _)| info).map_err(|failure| failure.kind)
}

/// Downloads into a fresh folder; the names of the files, in the order of the formats.
async fn download(
    ytdlp: &Ytdlp,
    url: &str,
    formats: &[&str],
    bounds: &Bounds,
) -> Result<(TempDir, Vec<PathBuf>), FailureKind> {
    let dir = TempDir::new().unwrap();
    let files = fetch(ytdlp, &read(url), formats, dir.path(), bounds, |_| {}).await;
    let files = files.map_err(|failure| failure.kind)?;
    Ok((dir, files.into_iter().map(|file| file.path).collect()))
}

/// Finds and downloads.
async fn fetch(
    ytdlp: &Ytdlp,
    url: &SourceUrl,
    formats: &[&str],
    dir: &Path,
    bounds: &Bounds,
    on_event: impl FnMut(&Event),
) -> Result<Vec<DownloadedFile>, Failure> {
    let (_, session) = ytdlp.extract(url, 1, dir, bounds).await?;
    session.download(formats, bounds, on_event).await
}

#[tokio::test]
async fn a_plain_file_is_told_and_fetched_as_it_is() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let url = origin.url("/progressive.mp4");
        let info = extract(&ytdlp, &url).await.unwrap();
        assert_eq!((info.extractor.as_deref(), info.live, info.formats.len()), (Some("generic"), Live::No, 1));
        assert_eq!((&info.formats[0].video, &info.formats[0].audio), (&Track::Unknown, &Track::Unknown));

        let (_dir, files) = download(&ytdlp, &url, &[&info.formats[0].format_id], &bounds()).await.unwrap();
        let source = std::fs::read(haul_tests::media::file("progressive.mp4")).unwrap();
        assert!(std::fs::read(&files[0]).unwrap() == source, "the bytes are those of the site");
    }
}

#[tokio::test]
async fn separate_streams_are_fetched_each_into_its_own_file_and_not_merged() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        for path in ["/dash/manifest.mpd", "/hls-fmp4/master.m3u8"] {
            let url = origin.url(path);
            let info = extract(&ytdlp, &url).await.unwrap();
            let id_of = |with: fn(&Track, &Track) -> bool| {
                let format = info.formats.iter().find(|format| with(&format.video, &format.audio)).expect(path);
                format.format_id.clone()
            };
            let video = id_of(|video, audio| video.codec().is_some() && !audio.may_be());
            let audio = id_of(|video, _| !video.may_be());

            let dir = TempDir::new().unwrap();
            let mut began = Vec::new();
            let wanted = [audio.as_str(), video.as_str()];
            let files = fetch(&ytdlp, &read(&url), &wanted, dir.path(), &bounds(), |event| {
                if let Event::Begin { format_id, is_live } = event {
                    assert!(!is_live);
                    began.push(format_id.clone());
                }
            })
            .await
            .unwrap();
            assert_eq!(files.iter().map(|file| &file.format_id).collect::<Vec<_>>(), [&audio, &video]);
            began.sort_by_key(|id| *id != audio);
            assert_eq!(began, wanted);
            for file in files {
                let media = |entry: &std::fs::DirEntry| entry.path().is_file();
                let beside = std::fs::read_dir(file.path.parent().unwrap()).unwrap().map(Result::unwrap).filter(media);
                assert_eq!(beside.count(), 1, "nothing but itself: {path}");
            }
        }
    }
}

#[tokio::test]
async fn formats_are_fetched_at_once_and_the_first_that_fails_ends_the_others() {
    let origin = Origin::start().await;
    let media = |first: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{first}\n#EXT-X-ENDLIST\n");
    origin.put("/hangs.m3u8", media("/hang=/hls-ts/360p-0.ts"));
    origin.put("/lacks.m3u8", media("/no-such.ts"));
    origin.put(
        "/two.m3u8",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhangs.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlacks.m3u8\n",
    );
    for ytdlp in both().await {
        let url = origin.url("/two.m3u8");
        let info = extract(&ytdlp, &url).await.unwrap();
        let ids: Vec<_> = info.formats.iter().rev().map(|format| format.format_id.as_str()).collect();
        // Fault: one after the other, the first would have stalled
        assert_eq!(download(&ytdlp, &url, &ids, &bounds()).await.unwrap_err(), FailureKind::CorruptMedia);
    }
}

#[tokio::test]
async fn progress_comes_while_it_downloads() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let url = origin.spoilt(Fault::Throttle(100_000), "/hls-ts/360p.m3u8");
        let dir = TempDir::new().unwrap();
        let mut fractions = Vec::new();
        let on_event = |event: &Event| {
            if let Event::Progress(report) = event {
                fractions.extend(report.fraction());
            }
        };
        let files = fetch(&ytdlp, &read(&url), &["0"], dir.path(), &bounds(), on_event).await;
        assert_eq!(files.unwrap().len(), 1);
        assert!(fractions.len() >= 3, "{fractions:?}");
        assert!(fractions.is_sorted(), "{fractions:?}");
        assert_eq!(fractions.last(), Some(&1.0));
    }
}

#[tokio::test]
async fn an_id_with_odd_characters_names_its_format() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        origin.put(
        "/hls-ts/odd.m3u8",
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a 'b\\c\",NAME=\"E[n]g $%s\",DEFAULT=YES,URI=\"360p.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",AUDIO=\"a 'b\\c\"\n360p.m3u8\n",
    );
        let url = origin.url("/hls-ts/odd.m3u8");
        let info = extract(&ytdlp, &url).await.unwrap();
        let odd = info.formats.iter().map(|format| format.format_id.as_str()).find(|id| id.contains('\\')).unwrap();
        assert!(odd.contains('\'') && odd.contains("$%s"), "{odd}");
        assert_eq!(download(&ytdlp, &url, &[odd], &bounds()).await.unwrap().1.len(), 1);
    }
}

#[tokio::test]
async fn of_a_page_with_several_videos_the_asked_one_is_taken() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        origin.put(
            "/two.html",
            "<title>Two</title><video src='/progressive.mp4'></video><video src='/silent.mp4'></video>",
        );
        let url = read(&origin.url("/two.html"));
        let dir = TempDir::new().unwrap();
        let (second, session) = ytdlp.extract(&url, 2, dir.path(), &bounds()).await.unwrap();
        assert_eq!(second.title.as_deref(), Some("Two (2)"));
        let file = session.download(&[&second.formats[0].format_id], &bounds(), |_| {}).await.unwrap();
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert_eq!(size(&file[0].path), size(&haul_tests::media::file("silent.mp4")));
        let third = ytdlp.extract(&url, 3, dir.path(), &bounds()).await;
        assert_eq!(third.map(|(info, _)| info).map_err(|failure| failure.kind), Err(FailureKind::Unavailable));
        let listed = ytdlp.metadata(&url, 1, dir.path(), &bounds()).await.unwrap().into_metadata();
        assert_eq!(listed.entries.len(), 2);
    }
}

#[tokio::test]
async fn metadata_tells_the_rungs() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let dir = TempDir::new().unwrap();
        let url = read(&origin.url("/dash/manifest.mpd"));
        let metadata = ytdlp.metadata(&url, 1, dir.path(), &bounds()).await.unwrap().into_metadata();
        assert_eq!(metadata.qualities, ["720p", "360p", "240p"]);
        assert_eq!(metadata.formats.len(), 4);
        assert!(metadata.entries.is_empty());
    }
}

#[tokio::test]
async fn a_live_stream_is_told() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        origin.put(
            "/hls-ts/live.m3u8",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n360p-0.ts\n#EXTINF:2,\n360p-1.ts\n",
        );
        let url = origin.url("/hls-ts/live.m3u8");
        assert_eq!(extract(&ytdlp, &url).await.unwrap().live, Live::Now);
        assert_eq!(download(&ytdlp, &url, &["0"], &bounds()).await.unwrap_err(), FailureKind::LiveNotSupported);
    }
}

#[tokio::test]
async fn what_a_site_refuses_has_its_code() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let key = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"";
        origin.put("/drm.m3u8", format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{key}\n#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n"));
        let status = |status| origin.spoilt(Fault::Status(status, 1000), "/progressive.mp4");
        for (url, kind) in [
            (status(401), FailureKind::LoginRequired),
            (status(403), FailureKind::SiteBlocked),
            (status(404), FailureKind::Unavailable),
            (status(410), FailureKind::Unavailable),
            (status(451), FailureKind::GeoBlocked),
            (origin.url("/page.html"), FailureKind::UnsupportedUrl),
            (origin.url("/drm.m3u8"), FailureKind::DrmProtected),
            ("http://127.0.0.1:1/nobody-listens".to_owned(), FailureKind::Network),
            ("http://no-such-host.invalid/x".to_owned(), FailureKind::Network),
        ] {
            assert_eq!(extract(&ytdlp, &url).await.unwrap_err(), kind, "{url}");
        }
    }
}

#[tokio::test]
async fn how_long_a_site_asks_to_be_left_alone_reaches_the_failure() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        for (status, kind) in
            [(429, FailureKind::SiteRateLimited), (403, FailureKind::SiteBlocked), (503, FailureKind::Network)]
        {
            let dir = TempDir::new().unwrap();
            let url = read(&origin.spoilt(Fault::Asks(status, 1000, Wait::Seconds(70)), "/progressive.mp4"));
            let failure = ytdlp.extract(&url, 1, dir.path(), &bounds()).await.map(|(info, _)| info).unwrap_err();
            assert_eq!((failure.kind, failure.retry_after), (kind, Some(Duration::from_secs(70))));
        }
    }
}

#[tokio::test]
async fn a_download_that_is_not_whole_is_none() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        for (url, id, kind) in [
            (origin.spoilt(Fault::Missing("360p-1.ts"), "/hls-ts/360p.m3u8"), "0", FailureKind::CorruptMedia),
            (origin.spoilt(Fault::Cut(5000), "/progressive.mp4"), "mp4", FailureKind::Network),
            (origin.url("/progressive.mp4"), "no-such-format", FailureKind::FormatUnavailable),
        ] {
            assert_eq!(download(&ytdlp, &url, &[id], &bounds()).await.unwrap_err(), kind, "{url}");
        }
        let url = origin.url("/progressive.mp4");
        let both = download(&ytdlp, &url, &["mp4", "no-such-format"], &bounds()).await;
        assert_eq!(both.unwrap_err(), FailureKind::FormatUnavailable, "although yt-dlp exits with 0");
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_too_large() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let small = Bounds { file_size: Some(50_000), ..bounds() };
        for (path, id) in [("/endless.mp4", "mp4"), ("/progressive.mp4", "mp4"), ("/hls-ts/360p.m3u8", "0")] {
            let failed = download(&ytdlp, &origin.url(path), &[id], &small).await;
            assert_eq!(failed.unwrap_err(), FailureKind::TooLarge, "{path}");
        }
    }
}

/// A page that is small enough to be read, and in which the patterns of an extractor get lost.
#[tokio::test]
async fn a_page_that_takes_too_much_thought_is_invalid_by_both_ways() {
    let origin = Origin::start().await;
    origin.put("/page.html", format!("<!doctype html><title>x</title>{}", "<a href=\"x".repeat(3 << 20)));
    for ytdlp in both().await {
        let short = Bounds { cpu: Duration::from_secs(2), ..bounds() };
        let dir = TempDir::new().unwrap();
        let failure =
            ytdlp.extract(&read(&origin.url("/page.html")), 1, dir.path(), &short).await.map(|_| ()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidMedia, "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_site_that_stops_sending_is_stalled_and_the_wall_clock_is_a_timeout() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let impatient = Bounds { silence: Duration::from_secs(3), ..bounds() };
        let hang = read(&origin.spoilt(Fault::Hang, "/progressive.mp4"));
        let dir = TempDir::new().unwrap();
        let stalled = ytdlp.extract(&hang, 1, dir.path(), &impatient).await.map(|(info, _)| info).unwrap_err();
        assert_eq!(stalled.kind, FailureKind::Stalled);

        let short = Bounds { wall: Duration::from_secs(3), ..bounds() };
        let slow = origin.spoilt(Fault::Throttle(2_000), "/hls-ts/360p.m3u8");
        assert_eq!(download(&ytdlp, &slow, &["0"], &short).await.unwrap_err(), FailureKind::Timeout);
    }
}

#[tokio::test]
async fn a_cancelled_download_ends_within_five_seconds() {
    let origin = Origin::start().await;
    for ytdlp in both().await {
        let url = read(&origin.spoilt(Fault::Throttle(2_000), "/hls-ts/360p.m3u8"));
        let dir = TempDir::new().unwrap();
        let bounds = bounds();
        let mut cancelled_at = None;
        let on_event = |event: &Event| {
            if matches!(event, Event::Progress(_)) {
                cancelled_at.get_or_insert_with(Instant::now);
                bounds.cancel.cancel();
            }
        };
        let ended = fetch(&ytdlp, &url, &["0"], dir.path(), &bounds, on_event).await;
        assert!(ended.is_err());
        assert!(cancelled_at.expect("it began").elapsed() < Duration::from_secs(5));
    }
}
