//! What is looked at when most of a file is gone: ffprobe over holes, with the real ffmpeg's files.

use std::fs;
use std::path::Path;

use haul_shared::job::Failure;
use haul_worker::container::Container;
use haul_worker::ffmpeg::picture::{Frame, Source};
use haul_worker::select::Seen;
use haul_worker::verify::outline::{Keep, Outline};
use haul_worker::verify::{self, Bounds, Expected};

use crate::{coded, watch};

async fn look(file: &Path) -> Result<Seen, Failure> {
    let ffmpeg = crate::ffmpeg();
    let expected = Expected { video: true, audio: true, duration: Some(8.0) };
    verify::look(&ffmpeg, file, expected, Bounds { size_bytes: 100 << 20, duration: None }, &watch()).await
}

/// Fault: ffprobe took media data apart to find the frames of mp3, and found none in a hole.
#[tokio::test]
async fn ffprobe_says_the_same_of_a_file_with_holes() {
    const PICTURE: &str = "-c:v libx264 -preset ultrafast -bf 2 -crf 12";
    let folder = tempfile::tempdir().unwrap();
    for (name, coding) in [
        ("front.mp4", format!("{PICTURE} -c:a aac -movflags +faststart")),
        ("behind.mov", format!("{PICTURE} -c:a libmp3lame")),
        ("fragments.mp4", format!("{PICTURE} -c:a aac -movflags frag_keyframe+empty_moov")),
        ("vp9.mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 4M -c:a libopus".to_owned()),
    ] {
        let file = folder.path().join(name);
        coded(&file, ("640x360", 8), &coding).await;
        let whole = fs::read(&file).unwrap();
        let (mut walker, mut with_holes) = (Outline::of(Container::Mp4, Keep::Outline), vec![0; whole.len()]);
        for kept in walker.take(&whole) {
            with_holes[kept.clone()].copy_from_slice(&whole[kept]);
        }
        assert!(walker.left_out_bytes() > 0, "{name} is too small");
        let seen = look(&file).await.expect("it is whole");
        fs::write(&file, with_holes).unwrap();
        let mut outline = look(&file).await.expect("its outline is whole");
        // how long the last packet of a fragment is stands in its data
        let [known, guessed] = [&seen, &outline].map(|seen| seen.audio_seconds.expect("there is sound"));
        assert!((known - guessed).abs() < 0.03, "{name}: {known} {guessed}");
        outline.audio_seconds = seen.audio_seconds;
        assert_eq!(outline, seen, "{name}");
    }
}

/// Fault: the key frame before the asked time was passed over, and the next one lay in the hole. All of that was read, and
/// there was no picture.
#[tokio::test]
async fn a_picture_is_had_of_what_is_kept_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sharp.mp4");
    // a mebibyte of it ends before its second key frame
    coded(
        &file,
        ("640x360", 8),
        "-vf noise=alls=60:allf=t -c:v libx264 -preset ultrafast -g 50 -qp 10 -c:a aac -movflags +faststart",
    )
    .await;
    let whole = fs::read(&file).unwrap();
    let (mut walker, mut with_holes) = (Outline::of(Container::Mp4, Keep::Outline), vec![0; whole.len()]);
    for kept in walker.take(&whole) {
        with_holes[kept.clone()].copy_from_slice(&whole[kept]);
    }
    assert!(walker.left_out_bytes() > 4 << 20, "it is too small");
    fs::write(&file, with_holes).unwrap();
    let frame = Frame { file: &file, container: Container::Mp4, stream: 0, at: 0.9 };
    let picture = crate::ffmpeg().picture(Source::Frame(frame), folder.path(), false, &watch()).await;
    let thumbnail = fs::metadata(picture.expect("there is a picture").thumbnail).unwrap();
    assert!(thumbnail.len() > 1000);
}
