//! Pictures that are larger than they say: nobody takes memory for them.

use std::fs;
use std::path::Path;

use haul_shared::job::FailureKind;
use haul_worker::container::Container;
use haul_worker::ffmpeg::picture::{Image, Source};
use haul_worker::process::Limits;

use crate::watch;

fn made(folder: &Path, recipe: &str) {
    haul_tests::media::ffmpeg(folder, recipe).expect("the recipe is right");
}

/// Fault: only what the first track said of its picture was judged, and a copy of parts decoded all of them.
#[tokio::test]
async fn a_track_that_lies_about_the_size_of_its_picture_is_no_medium() {
    let folder = tempfile::tempdir().unwrap();
    made(
        folder.path(),
        "-f lavfi -i testsrc2=size=64x64:rate=25:duration=1 -f lavfi -i color=size=9000x8000:rate=1:duration=1 \
         -map 0 -map 1 -c:v:0 libx264 -c:v:1 png -frames:v:1 1 honest.mkv",
    );
    let mut file = fs::read(folder.path().join("honest.mkv")).unwrap();
    for (size, element) in [(9000_u16, 0xb0), (8000, 0xba)] {
        let [high, low] = size.to_be_bytes();
        let at = file.windows(4).position(|word| word == [element, 0x82, high, low]).expect("it says so");
        file[at + 2..at + 4].copy_from_slice(&64_u16.to_be_bytes());
    }
    fs::write(folder.path().join("lying.mkv"), file).unwrap();
    for name in ["honest.mkv", "lying.mkv"] {
        let read = crate::ffmpeg().read(&folder.path().join(name), Container::Mkv, &watch()).await;
        assert_eq!(read.map(|_| ()).unwrap_err().kind, FailureKind::InvalidMedia, "{name}");
    }
}

/// Fault: a picture was first made as wide as the shape of its pixels says, and then as small as it had to be.
#[tokio::test]
async fn pixels_of_any_shape_take_no_memory_on_the_way_to_a_thumbnail() {
    let folder = tempfile::tempdir().unwrap();
    let mut ffmpeg = crate::ffmpeg();
    ffmpeg.limits = Limits { data: Some(400 << 20), ..Limits::default() };
    for (shape, size) in [("30/1", "640x171"), ("1/30", "3x640"), ("1/1", "80x640")] {
        made(
            folder.path(),
            &format!("-f lavfi -i testsrc2=size=1000x8000:rate=1:duration=1 -vf setsar={shape} -frames:v 1 odd.png"),
        );
        let source = Source::Still(&folder.path().join("odd.png"), Image::Png);
        let picture = ffmpeg.picture(source, folder.path(), false, &watch()).await.expect(shape);
        let seen = haul_tests::media::ffprobe(&picture.thumbnail);
        let stream = &seen["streams"][0];
        assert_eq!(format!("{}x{}", stream["width"], stream["height"]), size, "{shape}");
    }
}
