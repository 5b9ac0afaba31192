//! ffmpeg among pipes: it reads flows while they come, and gives out its result while it makes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use haul_shared::job::{DownloadSpec, Failure, FailureKind};
use haul_tests::media;
use haul_worker::container::Container;
use haul_worker::ffmpeg::room::Front;
use haul_worker::ffmpeg::{Ffmpeg, Index, Input, Make};
use haul_worker::process::Watch;
use haul_worker::select::settle;
use haul_worker::shape::{Flow, Head, Made, Shaping};
use haul_worker::verify::{Bounds, Expected, Verified, hash, index, look_ahead, verify};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use crate::{ffmpeg, plain};

const LONG: Duration = Duration::from_secs(60);

fn spec(format: &str, streaming: bool) -> DownloadSpec {
    let spec = serde_json::json!({ "url": "https://example.com/", "format": format, "streaming": streaming });
    serde_json::from_value(spec).expect("these are its fields")
}

/// The bytes of a flow.
type Ordered = BoxStream<'static, Result<Bytes, Failure>>;

/// In pieces of a size that fits nothing.
fn flow_of(bytes: &[u8]) -> Ordered {
    let pieces: Vec<_> = bytes.chunks(50_021).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// What is looked at of a flow before ffmpeg begins: enough to tell what it is.
const HEAD: usize = 4 << 20;

/// A flow whose head lies in the folder.
async fn begun(mut bytes: Ordered, dir: &Path, at: usize) -> Flow<'static> {
    let (file, mut begins) = (dir.join(format!("head-{at}")), Vec::new());
    while begins.len() < HEAD
        && let Some(piece) = bytes.next().await
    {
        begins.extend_from_slice(&piece.expect("its head comes"));
    }
    fs::write(&file, begins).expect("there is room");
    let head = Head { file, seconds: Some(media::DURATION_SECONDS) };
    Flow { head, rest: bytes, arrived: Arc::default() }
}

/// What becomes of flows, and the folder that it is in.
async fn shaped(ffmpeg: &Ffmpeg, flows: Vec<Ordered>, spec: &DownloadSpec, dir: &Path) -> Result<Verified, Failure> {
    let watch = Watch::new(LONG, LONG, CancellationToken::new());
    let take = async |mut made: Made| {
        let mut file = tokio::fs::File::create(dir.join("result")).await.expect("there is room");
        while let Some(bytes) = made.next().await? {
            file.write_all(&bytes).await.expect("there is room");
        }
        file.flush().await.expect("there is room");
        Ok(())
    };
    shaped_by(ffmpeg, flows, (spec, None), dir, &watch, take).await.map(|(verified, _)| verified)
}

/// The same, with whoever takes what is streamed, and room for the index of what is not.
async fn shaped_by(
    ffmpeg: &Ffmpeg,
    ordered: Vec<Ordered>,
    (spec, room): (&DownloadSpec, Option<u64>),
    dir: &Path,
    watch: &Watch,
    take: impl AsyncFnOnce(Made) -> Result<(), Failure>,
) -> Result<(Verified, Index), Failure> {
    let (mut flows, mut seen, mut pipes) = (Vec::new(), Vec::new(), Vec::new());
    for (at, bytes) in ordered.into_iter().enumerate() {
        let flow = begun(bytes, dir, at).await;
        let expected = Expected { duration: flow.head.seconds, ..Expected::default() };
        seen.push(look_ahead(ffmpeg, &flow.head.file, expected, watch).await?.expect("its beginning tells enough"));
        pipes.push(flow.head.pipe()?);
        flows.push(flow);
    }
    let plan = settle(&seen, spec)?;
    let inputs: Vec<_> =
        pipes.iter().zip(&seen).map(|(file, seen)| Input { file, container: seen.container }).collect();
    let (output, result) = (dir.join("made"), dir.join("result"));
    let seconds = plan.expected_seconds(&seen);
    let make = Make { seconds, room, ..plain(&plan, spec, &inputs, &output) };
    let shaping = Shaping { ffmpeg, watch: watch.clone(), most: 1 << 30, make, flows };
    let mut index = Index::InFront;
    if plan.streaming {
        shaping.into_hands(take, |_| {}).await?;
    } else {
        index = shaping.into_file(|_| {}).await?;
        fs::rename(&output, &result).expect("it was made");
    }
    let verified = verify(
        ffmpeg,
        &result,
        hash(&result, watch),
        (&plan, &seen),
        Bounds { size_bytes: 1 << 30, duration: None },
        watch,
    )
    .await;
    verified.map(|verified| (verified, index))
}

/// Of all decoded pictures, and of all packets of the sound: how much of its first one is heard is the container's affair.
fn sums(picture: &Path, sound: &Path) -> [String; 2] {
    [media::md5(picture, "-map 0:v:0"), media::md5(sound, "-map 0:a:0 -c copy -bsf:a aac_adtstoasc")]
}

/// As sites serve them: one flow, or a picture and a sound.
fn sources() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let hls = [
        media::after("hls-fmp4/init-360p.mp4", media::segments("hls-fmp4/360p-*.m4s", 0..4).collect()),
        media::after("hls-fmp4/init-sound.mp4", media::segments("hls-fmp4/sound-*.m4s", 0..5).collect()),
    ];
    vec![
        ("transport streams", vec![media::joined(&media::segments("hls-ts/360p-*.ts", 0..4).collect::<Vec<_>>())]),
        ("fragmented mp4, sound apart", hls.to_vec()),
        ("a picture of mp4 and a sound of frames", vec![hls[0].clone(), media::joined(&["audio.aac".to_owned()])]),
    ]
}

#[tokio::test]
async fn what_is_made_of_flows_has_the_frames_of_what_is_made_of_files() {
    let ffmpeg = ffmpeg();
    for (name, parts) in sources() {
        for (format, streaming) in [("mp4", false), ("mp4", true), ("mkv", false), ("mkv", true)] {
            let dir = TempDir::new().expect("there is room");
            let files: Vec<PathBuf> = (0..parts.len()).map(|at| dir.path().join(format!("source-{at}"))).collect();
            files.iter().zip(&parts).for_each(|(file, bytes)| fs::write(file, bytes).expect("there is room"));
            let flows = parts.iter().map(|bytes| flow_of(bytes)).collect();
            let what = format!("{format} of {name}, streaming: {streaming}");
            let made = shaped(&ffmpeg, flows, &spec(format, streaming), dir.path()).await;
            let verified = made.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
            assert_eq!(verified.container, format, "{what}");
            let result = dir.path().join("result");
            assert_eq!(sums(&result, &result), sums(&files[0], &files[files.len() - 1]), "{what}");
            // a player that opens the whole file knows how long it plays
            let seen = media::ffprobe(&result);
            let plays: f64 = seen["format"]["duration"].as_str().unwrap_or_default().parse().unwrap_or_default();
            assert!((plays - media::DURATION_SECONDS).abs() < 0.3, "{what}: {plays} s");
            let is_fragmented = fs::read(&result).expect("it was made").windows(4).any(|word| word == b"moof");
            assert_eq!(is_fragmented, format == "mp4" && streaming, "{what}");
        }
    }
}

/// Fault: ffmpeg took eight packets of a picture, slept, and took eight more, whatever had come.
#[tokio::test]
async fn a_flow_is_read_on_while_the_other_one_is_late() {
    let (ffmpeg, dir, spec) = (ffmpeg(), TempDir::new().expect("there is room"), spec("mp4", false));
    let recipe = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=8,noise=alls=40:allf=t -c:v libx264 \
                  -preset ultrafast -threads 1 -pix_fmt yuv420p -qp 24 -g 50 -movflags +frag_keyframe+empty_moov picture.mp4";
    media::ffmpeg(dir.path(), recipe).expect("the recipe is right");
    let picture = dir.path().join("picture.mp4");
    let bytes = fs::metadata(&picture).expect("it was made").len();
    assert!(bytes > 3 << 20, "more than fits into a pipe behind the first of the sound: {bytes} bytes");
    let sound = dir.path().join("sound.mp4");
    let begins = media::after("hls-fmp4/init-sound.mp4", media::segments("hls-fmp4/sound-*.m4s", 0..1).collect());
    fs::write(&sound, begins).expect("there is room");
    let late = media::joined(&media::segments("hls-fmp4/sound-*.m4s", 1..5).collect::<Vec<_>>());

    // the sound goes on when the last of the picture is in its pipe
    let taken = CancellationToken::new();
    let end_of_picture = stream::once({
        let taken = taken.clone();
        async move { taken.cancel() }
    });
    let rest_of_picture = end_of_picture.filter_map(async |()| None).boxed();
    let rest_of_sound = stream::once(async move {
        taken.cancelled().await;
        Ok(Bytes::from(late))
    });
    let (mut flows, mut seen, mut pipes) = (Vec::new(), Vec::new(), Vec::new());
    for (file, rest) in [(picture, rest_of_picture), (sound, rest_of_sound.boxed())] {
        let head = Head { file, seconds: Some(media::DURATION_SECONDS) };
        let expected = Expected { duration: head.seconds, ..Expected::default() };
        let watch = Watch::new(LONG, LONG, CancellationToken::new());
        seen.push(
            look_ahead(&ffmpeg, &head.file, expected, &watch).await.expect("it is a medium").expect("it tells enough"),
        );
        pipes.push(head.pipe().expect("there is room"));
        flows.push(Flow { head, rest, arrived: Arc::default() });
    }
    let plan = settle(&seen, &spec).expect("it can be made");
    let inputs: Vec<_> =
        pipes.iter().zip(&seen).map(|(file, seen)| Input { file, container: seen.container }).collect();
    let output = dir.path().join("made");
    let watch = Watch::new(LONG, Duration::from_secs(3), CancellationToken::new());
    let make = plain(&plan, &spec, &inputs, &output);
    let made = Shaping { ffmpeg: &ffmpeg, watch, most: 1 << 30, make, flows }.into_file(|_| {}).await;
    made.expect("neither waits for the other");
}

/// Fault: ffmpeg 5.1 writes an index that is larger than its room over the media data, and calls that a success.
#[tokio::test]
async fn an_index_is_in_front_whether_or_not_the_room_for_it_was_large_enough() {
    let watch = Watch::new(LONG, LONG, CancellationToken::new());
    for (name, parts) in sources() {
        let made = async |room: u64| {
            let dir = TempDir::new().expect("there is room");
            let flows = parts.iter().map(|bytes| flow_of(bytes)).collect();
            let (ffmpeg, spec) = (ffmpeg(), spec("mp4", false));
            let idle = async |_| Ok(());
            let made = shaped_by(&ffmpeg, flows, (&spec, Some(room)), dir.path(), &watch, idle).await;
            made.map(|(_, index)| (index, dir))
        };
        let (_, plenty) = made(100_000).await.expect("it is plenty");
        let plenty = plenty.path().join("result");
        let front = |file: &Path| Front::read(fs::File::open(file).expect("it was made")).expect("it can be read");
        let needs = front(&plenty).expect("it has an index in front").index_bytes;
        for (room, expected) in
            [(needs + 8, Index::InFront), (needs + 7, Index::Overflows), (needs / 2, Index::Overflows)]
        {
            let (index, dir) = made(room).await.unwrap_or_else(|failure| panic!("{name}, {room}: {failure:?}"));
            let result = dir.path().join("result");
            assert_eq!(index, expected, "{name}, room for {room} of {needs}");
            assert_eq!(sums(&result, &result), sums(&plenty, &plenty), "{name}, room for {room} of {needs}");
            let plain = index::read(fs::File::open(&result).expect("it was made"), Container::Mp4);
            assert!(plain.expect("it can be read").is_some(), "{name}, room for {room} of {needs}: no plain index");
        }
        let lost = made(needs / 4).await.expect_err("too little of its beginning was kept");
        assert_eq!(lost.kind, FailureKind::CorruptMedia, "{lost:?}");
    }
}

/// Fault: a flow that broke would be the end of the pipe to ffmpeg, and the end of a flawless file.
#[tokio::test]
async fn the_first_that_fails_ends_the_others_and_its_failure_is_the_jobs() {
    let dir = TempDir::new().expect("there is room");
    let long = fs::read(media::repeated(dir.path(), "large.mkv", 20)).expect("it was made");
    assert!(long.len() > 6 << 20, "longer than a head: {} bytes", long.len());
    let kind = |result: Result<(Verified, Index), Failure>| result.expect_err("it failed").kind;
    let failure = |kind| Failure::new(kind, "made to fail");
    let watch = |silence| Watch::new(LONG, silence, CancellationToken::new());
    let idle = async |mut made: Made| {
        while made.next().await?.is_some() {}
        Ok(())
    };
    for (streaming, at) in [(false, "a"), (true, "b")] {
        let (spec, dir) = (spec("mp4", streaming), dir.path().join(at));
        let folder = |name: &str| {
            let folder = dir.join(name);
            fs::create_dir_all(&folder).expect("there is room");
            folder
        };
        let begins = || flow_of(&long[..6 << 20]);
        let silence = Duration::from_secs(1);

        let broken = begins().chain(stream::iter([Err(failure(FailureKind::Network))])).boxed();
        let made = shaped_by(&ffmpeg(), vec![broken], (&spec, None), &folder("broken"), &watch(LONG), idle).await;
        assert_eq!(kind(made), FailureKind::Network);

        let stuck = begins().chain(stream::pending()).boxed();
        let made = shaped_by(&ffmpeg(), vec![stuck], (&spec, None), &folder("stuck"), &watch(silence), idle).await;
        assert_eq!(kind(made), FailureKind::Stalled);

        let dead = Ffmpeg { ffmpeg: media::program("false"), ..ffmpeg() };
        let stuck = begins().chain(stream::pending()).boxed();
        let made = shaped_by(&dead, vec![stuck], (&spec, None), &folder("dead"), &watch(LONG), idle).await;
        assert_eq!(kind(made), FailureKind::CorruptMedia);

        // it ends as if all were well, and has not read a byte
        let liar = Ffmpeg { ffmpeg: media::program("true"), ..ffmpeg() };
        let made = shaped_by(&liar, vec![begins()], (&spec, None), &folder("liar"), &watch(LONG), idle).await;
        assert_eq!(kind(made), FailureKind::CorruptMedia);
    }
    // an ffmpeg that waits for the store is not silent: the store has limits of its own
    let waits = async |mut made: Made| {
        made.next().await?;
        std::future::pending().await
    };
    let (whole, in_time) =
        (vec![flow_of(&long)], Watch { wall: Duration::from_secs(3), ..watch(Duration::from_secs(1)) });
    let folder = TempDir::new().expect("there is room");
    let made = shaped_by(&ffmpeg(), whole, (&spec("mp4", true), None), folder.path(), &in_time, waits).await;
    assert_eq!(kind(made), FailureKind::Timeout);
    let refuse = async |mut made: Made| {
        made.next().await?;
        Err(failure(FailureKind::StorageUnavailable))
    };
    let stuck = flow_of(&long).chain(stream::pending()).boxed();
    let made = shaped_by(&ffmpeg(), vec![stuck], (&spec("mp4", true), None), dir.path(), &watch(LONG), refuse).await;
    assert_eq!(kind(made), FailureKind::StorageUnavailable);
}

/// Fault: ffmpeg makes a flawless file of what ends early, and the stream that is whole hides the other one.
#[tokio::test]
async fn a_flow_that_ends_early_ends_in_no_result_though_the_other_is_whole() {
    let [picture, sound] = <[Vec<u8>; 2]>::try_from(sources().swap_remove(1).1).expect("they are apart");
    let segment = |name: &str| fs::read(media::file(name)).expect("it is one of the media");
    let begins = media::after("hls-fmp4/init-360p.mp4", media::segments("hls-fmp4/360p-*.m4s", 0..2).collect());
    let third = segment("hls-fmp4/360p-2.m4s");
    let halved = [&begins[..], &third[..third.len() / 2], &segment("hls-fmp4/360p-3.m4s")].concat();
    let few = media::after("hls-fmp4/init-sound.mp4", media::segments("hls-fmp4/sound-*.m4s", 0..3).collect());
    let packets = media::joined(&media::segments("hls-ts/360p-*.ts", 0..4).collect::<Vec<_>>());
    for (name, parts) in [
        ("a picture without its end", vec![&picture[..picture.len() - 100], &sound]),
        ("a segment that says more than it has", vec![&halved, &sound]),
        ("a picture that lacks segments", vec![&begins, &sound]),
        ("a sound that lacks segments", vec![&picture, &few]),
        ("packets without their end", vec![&packets[..packets.len() - 100]]),
    ] {
        for streaming in [false, true] {
            let dir = TempDir::new().expect("there is room");
            let flows = parts.iter().map(|bytes| flow_of(bytes)).collect();
            let made = shaped(&ffmpeg(), flows, &spec("mp4", streaming), dir.path()).await;
            let failure = made.expect_err(name);
            assert_eq!(failure.kind, FailureKind::CorruptMedia, "{name}: {failure:?}");
        }
    }
}
