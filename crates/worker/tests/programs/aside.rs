//! A thumbnail that is made in the run that makes the result.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use haul_shared::job::DownloadSpec;
use haul_shared::media::Format;
use haul_tests::media;
use haul_worker::ffmpeg::picture::{Aside, Frame, Picture, Source};
use haul_worker::ffmpeg::{Embedded, Input, Make};
use haul_worker::process::Watch;
use haul_worker::select::settle;
use haul_worker::verify::{self, Bounds, Expected};
use tokio_util::sync::CancellationToken;

/// The real ffmpeg, which notes each of its runs in its folder.
fn counted(folder: &Path) -> haul_worker::ffmpeg::Ffmpeg {
    let (program, real) = (folder.join("ffmpeg"), media::program("ffmpeg"));
    let script = format!("#!/bin/sh\necho run >> {}\nexec {} \"$@\"\n", folder.join("runs").display(), real.display());
    fs::write(&program, script).expect("there is room");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("it is ours");
    haul_worker::ffmpeg::Ffmpeg { ffmpeg: program, ..crate::ffmpeg() }
}

/// The picture beside a result whose frame is taken of this stream, and how many runs the two took.
async fn made(format: Format, stream: u32) -> (Option<Picture>, usize) {
    let folder = tempfile::tempdir().expect("there is room");
    let (ffmpeg, file) = (counted(folder.path()), media::file("progressive.mp4"));
    let watch = Watch::new(Duration::from_secs(60), Duration::from_secs(60), CancellationToken::new());
    let bounds = Bounds { size_bytes: 100 << 20, duration: None };
    let seen = [verify::look(&ffmpeg, &file, Expected::default(), bounds, &watch).await.expect("it is whole")];
    let spec: DownloadSpec =
        serde_json::from_value(serde_json::json!({ "url": "https://example.com/" })).expect("its only field");
    let spec = DownloadSpec { format, ..spec };
    let plan = settle(&seen, &spec).expect("it can be had");

    let container = seen[0].container;
    let (output, thumbnail) = (folder.path().join("result"), folder.path().join("aside.jpg"));
    let aside = Aside { frame: Frame { file: &file, container, stream, at: 7.9 }, thumbnail: &thumbnail };
    let make = Make {
        plan: &plan,
        spec: &spec,
        inputs: &[Input { file: &file, container }],
        embedded: Embedded { aside: Some(aside), ..Embedded::default() },
        seconds: None,
        room: None,
        output: &output,
    };
    ffmpeg.make(&make, &watch, |_| {}).await.expect("a picture is no reason to fail");
    let verified =
        verify::verify(&ffmpeg, &output, verify::hash(&output, &watch), (&plan, &seen), bounds, &watch).await;
    verified.expect("the result is what it would be without the picture");
    let picture = aside.picture().await;
    if let Some(picture) = &picture {
        let seen = media::ffprobe(&picture.thumbnail);
        assert_eq!((&seen["streams"][0]["codec_name"], &seen["streams"][0]["width"]), (&"mjpeg".into(), &640.into()));
    }
    if picture.is_some() {
        // as it is made where nothing else is
        let alone = crate::ffmpeg().picture(Source::Frame(aside.frame), folder.path(), true, &watch).await;
        let cover = alone.expect("there is a frame").cover.expect("it was asked for");
        assert_eq!(media::ffprobe(&cover)["streams"][0]["width"], 640);
    }
    (picture, fs::read_to_string(folder.path().join("runs")).expect("it ran").lines().count())
}

/// Fault: of a medium without a key frame after the time that was asked for, the thumbnail was an empty file.
#[tokio::test]
async fn a_thumbnail_takes_no_run_of_its_own_and_costs_no_result() {
    for format in [Format::Mp4, Format::Mkv] {
        assert!(matches!(made(format, 0).await, (Some(_), 1)), "{format:?}");
        // there is no such stream
        assert_eq!(made(format, 7).await, (None, 2), "{format:?}");
    }
}
