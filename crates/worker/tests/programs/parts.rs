//! Parts of files, by ffmpeg's list of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::job::FailureKind;
use haul_tests::media;
use haul_worker::container::Container;
use haul_worker::ffmpeg::Ffmpeg;
use haul_worker::process::Watch;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::ffmpeg;

fn watch(silence: Duration) -> Watch {
    Watch::new(Duration::from_secs(60), silence, CancellationToken::new())
}

/// In a folder that an operator might have.
fn place(folder: &TempDir, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder = folder.path().join("the operator's");
    fs::create_dir_all(&folder).expect("there is room");
    fs::write(folder.join("media.mp4"), bytes).expect("there is room");
    folder.join("media.mp4")
}

/// Faults: a quote in the name of a folder broke the list, and what lay behind a name could be a list of others.
#[tokio::test]
async fn parts_are_copied_from_key_frames_on_and_from_no_other_file() {
    let (folder, watch) = (TempDir::new().expect("there is room"), watch(Duration::from_secs(60)));
    let file = place(&folder, fs::read(media::file("progressive.mp4")).expect("it was made"));
    let keys = ffmpeg().key_frames((&file, Container::Mp4, 0), 0.0, &[5.0, 1.9, 6.0, 100.0], &watch).await;
    assert_eq!(keys.expect("they are found"), [4.0, 0.0, 6.0, 6.0]);

    let of = (file.as_path(), Container::Mp4, 0.0);
    let output = folder.path().join("parts.mkv");
    ffmpeg().parts(of, &[(0.0, 2.0), (4.0, 8.0)], &output, &watch).await.expect("they are copied");
    let plays = media::ffprobe(&output)["format"]["duration"].as_str().and_then(|text| text.parse::<f64>().ok());
    assert!(plays.is_some_and(|plays| (plays - 6.0).abs() < 0.1), "{plays:?}");

    for list in ["ffconcat version 1.0\nfile other.mp4\n", "#EXTM3U\n#EXTINF:8,\nother.mp4\n#EXT-X-ENDLIST\n"] {
        fs::rename(&file, file.with_file_name("other.mp4")).expect("it is there");
        place(&folder, list);
        let refused = ffmpeg().parts(of, &[(0.0, 2.0)], &output, &watch).await;
        assert_eq!(refused.expect_err("it is no medium").kind, FailureKind::CorruptMedia, "{list}");
        fs::rename(file.with_file_name("other.mp4"), &file).expect("it is there");
    }
}

/// Fault: a large cut says nothing while it is written, and was ended for its silence.
#[tokio::test]
async fn a_cut_that_is_written_is_not_silent() {
    let folder = TempDir::new().expect("there is room");
    let slow = |program: &str, last: &str| {
        let path = folder.path().join(program);
        let text = format!("#!/bin/sh\nfor out; do :; done\nfor i in 1 2 3 4 5 6 7 8; do {last}; sleep 0.5; done\n");
        fs::write(&path, text).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Ffmpeg { ffmpeg: path, ..ffmpeg() }
    };
    let (of, output) = ((Path::new("/media.mp4"), Container::Mp4, 0.0), folder.path().join("parts.mkv"));
    let silence = watch(Duration::from_secs(3));
    let (writer, sleeper) = (slow("writes", r#"echo >> "${out#file:}""#), slow("sleeps", ":"));
    let nothing = folder.path().join("nothing.mkv");
    let (writes, sleeps) = tokio::join!(
        writer.parts(of, &[(0.0, 2.0)], &output, &silence),
        sleeper.parts(of, &[(0.0, 2.0)], &nothing, &silence)
    );
    assert_eq!(sleeps.expect_err("it is silent").kind, FailureKind::Stalled);
    writes.expect("it is written all the time");
}
