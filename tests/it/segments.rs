//! Streams of segments: the bytes that yt-dlp makes of them, or the reason why not.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use haul_tests::media;
use haul_tests::origin::{Fault, Origin, Wait};
use haul_tests::processes::until;
use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_worker::origin::{Patience, Unfit};
use haul_worker::segments::{Flow, Limits, Manifest, NotHere, Segments, Source, Trouble};
use haul_worker::ytdlp::{SiteFormat, Ytdlp};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::ytdlp::{bounds, read, warm};

const LIMITS: Limits = Limits { at_once: 8, retries: 3, rate: None, most_bytes: 1 << 30 };

fn segments(limits: Limits) -> Segments {
    Segments::new(limits, Patience::default())
}

/// A stream at an address, without headers and cookies.
fn source(url: &str, manifest: Manifest) -> Source {
    Source { url: url.parse().unwrap(), headers: Default::default(), cookies: Default::default(), manifest }
}

async fn all(flow: &mut Flow) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(piece) = timeout(Duration::from_secs(60), flow.next()).await.expect("it ends")? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// All streams of a job, read at the same time.
async fn fetch(sources: &[Source], limits: Limits) -> Result<Vec<Vec<u8>>, Trouble> {
    let mut flows = segments(limits).open(&haul_tests::guard(), sources).await?;
    futures::future::try_join_all(flows.iter_mut().map(all)).await
}

async fn playlist(url: &str) -> Result<Vec<u8>, Trouble> {
    fetch(&[source(url, Manifest::Playlist)], LIMITS).await.map(|mut all| all.remove(0))
}

/// A playlist of an origin's own.
fn named(files: &[&str]) -> String {
    let segments: String = files.iter().map(|file| format!("#EXTINF:2,\n{file}\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segments}#EXT-X-ENDLIST\n")
}

/// Makes HLS of the small file in ways that the media of the harness have not, and serves it at `/own/`.
fn put_own(origin: &Origin) {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("key"), *b"sixteen bytes ok").unwrap();
    for (name, iv) in [("iv", "\n000102030405060708090a0b0c0d0e0f"), ("number", "")] {
        std::fs::write(dir.path().join(format!("{name}.info")), format!("key\nkey{iv}\n")).unwrap();
    }
    let input = media::file("progressive.mp4");
    for (name, options) in [
        ("iv", "-hls_key_info_file iv.info"),
        ("number", "-hls_key_info_file number.info -start_number 7"),
        ("ranges", "-hls_flags single_file"),
        ("mp4-ranges", "-hls_flags single_file -hls_segment_type fmp4"),
    ] {
        let recipe =
            format!("-i {} -c copy -f hls -hls_time 2 -hls_playlist_type vod {options} {name}.m3u8", input.display());
        media::ffmpeg(dir.path(), &recipe).unwrap();
    }
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        origin.put(&format!("/own/{}", file.file_name().to_str().unwrap()), std::fs::read(file.path()).unwrap());
    }
}

/// What yt-dlp makes of the same formats.
async fn by_ytdlp(ytdlp: &Ytdlp, url: &str, choose: fn(&SiteFormat) -> bool) -> (Vec<SiteFormat>, Vec<Vec<u8>>) {
    let dir = TempDir::new().unwrap();
    let (info, session) = ytdlp.extract(&read(url), 1, dir.path(), &bounds()).await.unwrap();
    let formats: Vec<_> = info.formats.into_iter().filter(choose).collect();
    let ids: Vec<_> = formats.iter().map(|format| format.format_id.as_str()).collect();
    let files = session.download(&ids, &bounds(), |_| {}).await.unwrap();
    let bytes = files.iter().map(|file| std::fs::read(&file.path).unwrap()).collect();
    (formats, bytes)
}

/// A hash of every stream, decoded.
fn decoded(bytes: &[u8], dir: &Path) -> String {
    let file = dir.join("media");
    std::fs::write(&file, bytes).unwrap();
    media::ffmpeg(dir, "-i media -f streamhash -hash md5 decoded").unwrap();
    std::fs::read_to_string(dir.join("decoded")).unwrap()
}

#[tokio::test]
async fn segments_give_the_bytes_that_yt_dlp_makes_of_them() {
    let (origin, ytdlp, dir) = (Origin::start().await, warm(500).await, TempDir::new().unwrap());
    put_own(&origin);
    let is_360p_or_sound: fn(&SiteFormat) -> bool = |format| matches!(format.height, None | Some(360));
    for (path, streams) in [
        ("/hls-ts/master.m3u8", 1),
        ("/hls-fmp4/master.m3u8", 2),
        ("/dash/manifest.mpd", 2),
        ("/hls-audio/index.m3u8", 1),
        ("/own/iv.m3u8", 1),
        ("/own/number.m3u8", 1),
        ("/own/ranges.m3u8", 1),
        ("/own/mp4-ranges.m3u8", 1),
    ] {
        let (formats, expected) = by_ytdlp(&ytdlp, &origin.url(path), is_360p_or_sound).await;
        assert_eq!(formats.len(), streams, "{path}");
        let sources: Vec<_> = formats.iter().map(|format| Source::of(format).unwrap()).collect();
        let mut flows = segments(LIMITS).open(&haul_tests::guard(), &sources).await.unwrap();
        for (flow, expected) in flows.iter_mut().zip(&expected) {
            let seconds = flow.seconds().unwrap();
            assert!((seconds - media::DURATION_SECONDS).abs() < 0.2, "{path} {seconds}");
            let bytes = all(flow).await.unwrap();
            assert_eq!(flow.bytes(), bytes.len() as u64);
            assert_eq!(flow.segments().0, flow.segments().1);
            assert!(bytes == *expected, "{path}: {} bytes, {} by yt-dlp", bytes.len(), expected.len());
            assert_eq!(decoded(&bytes, dir.path()), decoded(expected, dir.path()), "{path}");
        }
    }
}

#[tokio::test]
async fn what_breaks_goes_on_and_what_is_missing_is_never_left_out() {
    let origin = Origin::start().await;
    let whole = playlist(&origin.url("/hls-ts/360p.m3u8")).await.unwrap();
    // the playlist itself is whole, its segments are not
    for fault in [Fault::Cut(20_000), Fault::Asks(429, 1, Wait::Seconds(1)), Fault::Status(500, 1)] {
        let files: Vec<_> = (0..4).map(|n| format!("/{fault}/hls-ts/360p-{n}.ts")).collect();
        origin.put("/spoilt.m3u8", named(&files.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(playlist(&origin.url("/spoilt.m3u8")).await.unwrap() == whole, "{fault}");
    }
    for (file, expected) in [
        ("/hls-ts/no-such.ts", Trouble::Refused(axum::http::StatusCode::NOT_FOUND)),
        ("/asks=429-9-11/hls-ts/360p-1.ts", Trouble::Busy { retry_after: Some(Duration::from_secs(11)) }),
        ("/empty.mp4", Trouble::Empty),
        ("/status=500-9/hls-ts/360p-1.ts", Trouble::Broken),
        ("/lying=150/hls-ts/360p-1.ts", Trouble::Refused(axum::http::StatusCode::RANGE_NOT_SATISFIABLE)),
        ("http://127.0.0.2:1/360p-1.ts", Trouble::Denied(denied().await)),
    ] {
        origin.put("/lacks.m3u8", named(&["/hls-ts/360p-0.ts", file, "/hls-ts/360p-2.ts"]));
        assert_eq!(playlist(&origin.url("/lacks.m3u8")).await, Err(expected), "{file}");
    }
    origin.put("/endless.m3u8", named(&["/endless.mp4"]));
    let endless = [source(&origin.url("/endless.m3u8"), Manifest::Playlist)];
    let small = Limits { most_bytes: 3 << 20, ..LIMITS };
    assert_eq!(fetch(&endless, small).await, Err(Trouble::TooLarge));
}

/// Fault: what ended before the bytes that were there already was whole, and so was what ended with its connection.
#[tokio::test]
async fn a_segment_that_ends_too_early_is_never_taken_for_whole() {
    let content = Bytes::from(vec![7; 500_000]);
    let origin = RangeOrigin::start(move |asked| {
        let answer = |body| Answer { body, ..Answer::status(200) };
        match (asked.path.as_str(), asked.range) {
            ("/shrinks", None) => answer(content.clone()).with("Transfer-Encoding", "chunked").cut(400_000),
            ("/shrinks", Some(_)) => answer(content.slice(..1000)).with("Transfer-Encoding", "chunked"),
            ("/closes", _) => answer(content.clone()).with("Transfer-Encoding", "gzip").cut(400_000),
            // all but the end of its chunks has come
            (_, None) => answer(content.clone()).with("Transfer-Encoding", "chunked").cut(500_000),
            ("/more", Some(_)) => Answer::status(416).with("Content-Range", "bytes */500001"),
            (_, Some(_)) => Answer::status(416).with("Content-Range", "bytes */500000"),
        }
    })
    .await;
    let of = |path: &str| {
        let fragments = Manifest::Fragments(vec![(origin.url(path).parse().unwrap(), None)]);
        [source(&origin.url("/"), fragments)]
    };
    // Fault: whoever has come just to its end before it went on was refused.
    assert_eq!(fetch(&of("/whole"), LIMITS).await.unwrap()[0].len(), 500_000);
    let more = Trouble::Refused(axum::http::StatusCode::RANGE_NOT_SATISFIABLE);
    for (path, expected) in [("/shrinks", Trouble::Changed), ("/closes", Unfit::NoLength.into()), ("/more", more)] {
        assert_eq!(fetch(&of(path), LIMITS).await, Err(expected), "{path}");
    }
}

/// What the policy says of an address outside of it.
async fn denied() -> haul_shared::egress::Unreachable {
    match playlist("http://127.0.0.2:1/x.m3u8").await {
        Err(Trouble::Denied(unreachable)) => unreachable,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_understood_is_left_to_yt_dlp() {
    let large = Bytes::from("#EXTINF:2,\n0.ts\n".repeat(400_000));
    let origin = RangeOrigin::start(move |asked: &Asked| match asked.path.as_str() {
        "/zipped.m3u8" => Answer::status(200).with("Content-Encoding", "gzip"),
        "/large.m3u8" => Answer { body: large.clone(), ..Answer::status(200) },
        "/elsewhere.m3u8" => Answer::status(302).with("Location", "http://127.0.0.2:1/x.m3u8"),
        "/file.m3u8" => Answer::status(302).with("Location", "file:///etc/passwd"),
        "/round.m3u8" => Answer::status(302).with("Location", "/round.m3u8"),
        "/ranges.m3u8" => Answer {
            body: "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n#EXT-X-BYTERANGE:10@5\nwhole.ts\n#EXT-X-ENDLIST\n"
                .into(),
            ..Answer::status(200)
        },
        "/longer.m3u8" => Answer {
            body: "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n#EXT-X-BYTERANGE:1@0\nlonger.ts\n#EXT-X-ENDLIST\n"
                .into(),
            ..Answer::status(200)
        },
        "/longer.ts" => Answer { body: Bytes::from(vec![0; 100]), ..Answer::status(206) }
            .with("Content-Range", "bytes 0-0/1")
            .with("Transfer-Encoding", "chunked"),
        "/whole.ts" => Answer { body: Bytes::from(vec![0; 100]), ..Answer::status(200) },
        _ => Answer::status(404),
    })
    .await;
    for (path, reason) in [
        ("/zipped.m3u8", Unfit::Encoded.into()),
        ("/large.m3u8", NotHere::TooMany),
        ("/file.m3u8", Unfit::Address.into()),
        ("/round.m3u8", Unfit::Redirects.into()),
        ("/none.m3u8", Unfit::Status.into()),
        ("/ranges.m3u8", Unfit::WrongRange.into()),
        ("/longer.m3u8", Unfit::WrongRange.into()),
    ] {
        assert_eq!(playlist(&origin.url(path)).await, Err(Trouble::NotHere(reason)), "{path}");
    }
    let redirected = playlist(&origin.url("/elsewhere.m3u8")).await;
    assert!(matches!(redirected, Err(Trouble::Denied(_))), "{redirected:?}");
}

/// A stream of segments of an origin's own.
fn stream(origin: &RangeOrigin, name: &str) -> Source {
    let url = |n: usize| (origin.url(&format!("/{name}-{n}")).parse().unwrap(), Some(2.0));
    source(&origin.url("/"), Manifest::Fragments((0..12).map(url).collect()))
}

#[tokio::test]
async fn streams_share_connections_and_memory_and_none_waits_for_the_other() {
    const SEGMENT: usize = 5 << 20;
    // Fault: a lane that was given up for somebody was taken away because the origin had asked for fewer; nobody told the next.
    for (at_once, refused) in [(8, None), (1, None), (8, Some("/one-7"))] {
        let content = Bytes::from(vec![7; SEGMENT]);
        let spared = AtomicBool::new(false);
        let origin = RangeOrigin::start(move |asked| {
            let is_refused = refused == Some(asked.path.as_str()) && !spared.swap(true, Ordering::Relaxed);
            if is_refused { Answer::status(429).with("Retry-After", "1") } else { asked.served(&content, TAG) }
        })
        .await;
        let limits = Limits { at_once, ..LIMITS };
        let both = [stream(&origin, "one"), stream(&origin, "two")];
        let [mut one, mut two]: [Flow; 2] =
            segments(limits).open(&haul_tests::guard(), &both).await.unwrap().try_into().unwrap();
        // nobody reads: it fills up, and stops
        let arrived = one.arrived_bytes();
        until("memory is in use", async || arrived.load(Ordering::Relaxed) > 18 << 20).await.unwrap();
        for _ in 0..4 {
            assert_eq!(two.next().await.unwrap().unwrap().len(), 256 << 10);
        }
        assert!(arrived.load(Ordering::Relaxed) < 32 << 20);
        // the one is read to its end while the other stands still, and the other way round
        assert_eq!(all(&mut two).await.unwrap().len(), 12 * SEGMENT - (1 << 20));
        assert_eq!(all(&mut one).await.unwrap().len(), 12 * SEGMENT);
        // a connection that was given up is counted until its origin sees that
        assert!(origin.asked().iter().all(|asked| asked.open <= at_once + 1), "no more than that at once");
    }
}

/// Fault: a connection was kept for each stream, and that of the sound had nothing to ask most of the time.
#[tokio::test]
async fn what_plays_first_is_fetched_first_of_whichever_stream() {
    // all but the first picture is late
    let origin = RangeOrigin::start(|asked| {
        let answer = Answer { body: Bytes::from(vec![7; 100_000]), ..Answer::status(200) };
        let is_late = asked.path.starts_with("/picture") && asked.path != "/picture-0";
        if is_late { answer.rate(1) } else { answer }
    })
    .await;
    let both = [stream(&origin, "picture"), stream(&origin, "sound")];
    let flows = segments(Limits { at_once: 4, ..LIMITS }).open(&haul_tests::guard(), &both).await.unwrap();
    let asked = async || origin.asked().iter().any(|asked| asked.path == "/picture-4");
    until("all connections have a picture", asked).await.unwrap();
    let mut paths: Vec<_> = origin.asked().into_iter().map(|asked| asked.path).collect();
    paths.sort_unstable();
    let expected = ["picture-0", "picture-1", "picture-2", "picture-3", "picture-4"];
    let expected = expected.into_iter().chain(["sound-0", "sound-1", "sound-2", "sound-3"]);
    assert_eq!(paths, expected.map(|name| format!("/{name}")).collect::<Vec<_>>());
    assert!(origin.asked().iter().all(|asked| asked.open <= 4));
    drop(flows);

    let origin = RangeOrigin::start(|_| Answer { body: Bytes::from_static(b"bytes"), ..Answer::status(200) }).await;
    let both = [stream(&origin, "picture"), stream(&origin, "sound")];
    fetch(&both, Limits { at_once: 1, ..LIMITS }).await.unwrap();
    let paths: Vec<_> = origin.asked().into_iter().map(|asked| (asked.path, asked.open)).collect();
    let expected = (0..12).flat_map(|n| [(format!("/picture-{n}"), 1), (format!("/sound-{n}"), 1)]);
    assert_eq!(paths, expected.collect::<Vec<_>>(), "in turns, over one connection");
}
