//! What a plain mp4 says of itself, beside what ffprobe says of it.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;

use haul_tests::media;
use haul_worker::container::Container;
use haul_worker::verify::index::{self, Index};
use haul_worker::verify::{self, Bounds, Expected};

use crate::{coded, watch};

async fn asked(file: &Path) -> Index {
    let (probe, timeline) = crate::ffmpeg().read(file, Container::Mp4, &watch()).await.expect("it is a medium");
    Index { probe, timeline }
}

fn assert_near(name: &str, ours: Option<f64>, theirs: Option<f64>) {
    let apart = ours.zip(theirs).map_or(f64::NAN, |(ours, theirs)| (ours - theirs).abs());
    assert!(apart < 0.05, "{name}: {ours:?} {theirs:?}");
}

#[tokio::test]
async fn a_plain_mp4_is_judged_as_ffprobe_would_and_anything_else_is_left_to_it() {
    const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let folder = tempfile::tempdir().unwrap();
    for (name, is_plain, coding) in [
        ("front.mp4", true, format!("{H264} -c:a aac -movflags +faststart")),
        ("behind.mp4", true, format!("{H264} -bf 2 -profile:v main -c:a aac -ac 2")),
        ("high.mp4", true, "-c:v libx264 -preset fast -pix_fmt yuv420p -bf 3 -c:a aac".to_owned()),
        ("ten-bits.mp4", true, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le -an".to_owned()),
        ("ntsc.mp4", true, format!("{H264} -r 30000/1001 -bf 2 -c:a aac")),
        ("fields.mp4", true, format!("{H264} -flags +ildct+ilme -c:a aac")),
        ("sound.m4a", true, "-vn -c:a aac".to_owned()),
        (
            "late.mp4",
            true,
            format!("-itsoffset 0.4 -i {} -map 0:v -map 2:a {H264} -c:a copy", media::file("audio.m4a").display()),
        ),
        ("fragments.mp4", false, format!("{H264} -c:a aac -movflags frag_keyframe+empty_moov")),
        ("full.mp4", false, "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a aac".to_owned()),
        ("mp3.mp4", false, format!("{H264} -c:a libmp3lame")),
        ("six.mp4", true, format!("{H264} -c:a aac -ac 6")),
        ("vp9.mp4", false, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus".to_owned()),
    ] {
        let file = folder.path().join(name);
        coded(&file, ("318x180", 2), &coding).await;
        let ours = index::read(File::open(&file).unwrap(), Container::Mp4).unwrap();
        assert_eq!(ours.is_some(), is_plain, "{name}");
        let Some(ours) = ours else { continue };
        let theirs = asked(&file).await;
        let (mut video, stated) = (ours.probe.video.clone(), theirs.probe.video.clone());
        if let (Some(video), Some(stated)) = (&mut video, &stated) {
            assert_near(name, video.rate, stated.rate);
            video.rate = stated.rate;
        }
        assert_eq!((video, &ours.probe.audio), (stated, &theirs.probe.audio), "{name}");
        assert_near(name, Some(ours.probe.start), Some(theirs.probe.start));
        assert_near(name, ours.probe.duration, theirs.probe.duration);
        assert_near(name, ours.timeline.duration(), theirs.timeline.duration());
        for stream in 0..2 {
            if theirs.timeline.duration_of(stream).is_some() {
                assert_near(name, ours.timeline.duration_of(stream), theirs.timeline.duration_of(stream));
                assert_near(name, Some(ours.timeline.hole(stream)), Some(theirs.timeline.hole(stream)));
            }
        }
    }
    // a part that begins between key frames, and texts beside the picture
    let cut = folder.path().join("cut.mp4");
    coded(&cut, ("318x180", 2), &format!("-ss 1.3 -i {} -map 2 -c copy", folder.path().join("high.mp4").display()))
        .await;
    for left in [cut, media::file("chapters.mp4")] {
        assert_eq!(index::read(File::open(&left).unwrap(), Container::Mp4).unwrap(), None, "{}", left.display());
    }
}

#[tokio::test]
async fn a_plain_mp4_starts_no_program() {
    let mut ffmpeg = crate::ffmpeg();
    ffmpeg.ffprobe = "/nowhere/ffprobe".into();
    let bounds = Bounds { size_bytes: 100 << 20, duration: None };
    let expected = Expected { video: true, audio: true, duration: Some(media::DURATION_SECONDS) };
    let look = async |name: &str| verify::look(&ffmpeg, &media::file(name), expected, bounds, &watch()).await;
    look("progressive.mp4").await.unwrap();
    assert!(look("progressive.webm").await.is_err());
}

/// Writes over the bytes behind the name of a box.
fn changed(whole: &[u8], kind: &[u8], behind: usize, bytes: &[u8]) -> Vec<u8> {
    let at = whole.windows(4).position(|word| word == kind).expect("it has such a box") + 4 + behind;
    let mut file = whole.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn an_mp4_that_contradicts_itself_has_no_plain_index() {
    let whole = fs::read(media::file("progressive.mp4")).unwrap();
    let read = |file: &[u8]| index::read(Cursor::new(file), Container::Mp4).unwrap();
    assert!(read(&whole).is_some());
    let wide = 1920_u16.to_be_bytes();
    for (lie, file) in [
        ("another size than it is coded in", changed(&whole, b"stsd", 40, &wide)),
        ("a chunk behind the end", changed(&whole, b"stco", 8, &[0x7f])),
        ("a chunk in the index", changed(&whole, b"stco", 8, &0x30_u32.to_be_bytes())),
        ("more samples than there are", changed(&whole, b"stsz", 8, &0x00ff_ffff_u32.to_be_bytes())),
        ("longer samples than there is data", changed(&whole, b"stsz", 4, &0x00ff_ffff_u32.to_be_bytes())),
        ("no time for its samples", changed(&whole, b"stts", 8, &1_u32.to_be_bytes())),
        ("a pace of its own", changed(&whole, b"elst", 16, &[0, 2])),
        ("a cover, which ffmpeg counts where it finds it", changed(&whole, b"ilst", 4, b"covr")),
        ("no ticks", changed(&whole, b"mdhd", 12, &[0; 4])),
    ] {
        assert_eq!(read(&file), None, "{lie}");
    }
}

/// Whatever is written into an index, reading it ends, and what is read is sane.
#[test]
fn no_index_is_too_odd_to_be_read() {
    let whole = fs::read(media::file("progressive.mp4")).unwrap();
    let index = whole.windows(4).position(|word| word == b"mdat").expect("its index is in front");
    let mut read = 0;
    for at in 0..index {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut odd = whole.clone();
            odd[at] = byte;
            let Some(Index { probe, timeline }) = index::read(Cursor::new(odd), Container::Mp4).unwrap() else {
                continue;
            };
            assert!(probe.start.is_finite() && timeline.duration().is_some_and(f64::is_finite), "{at}: {byte}");
            read += 1;
        }
    }
    // most bytes of an index are tables, names, and times that mean nothing here
    assert!(read > index, "{read} of {index}");
}
