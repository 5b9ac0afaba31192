//! Parts of media. Key frames stand every two seconds in all of them.

use super::*;

/// Which medium, as what, which part of it; how long that plays with which chapters, or the code of its failure.
type Row<'a> = (&'a str, &'a str, Value, Result<(f64, &'a str), &'a str>);

/// The first picture that a player shows of a file from some second on.
fn first_picture(file: &std::path::Path, from: f64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    media::ffmpeg(
        folder.path(),
        &format!("-ss {from} -i {} -map 0:v:0 -frames:v 1 -f md5 picture.md5", file.display()),
    )?;
    Ok(std::fs::read_to_string(folder.path().join("picture.md5"))?)
}

#[tokio::test]
async fn a_clip_begins_at_a_key_frame_or_exactly_where_it_was_asked_to() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4")]).await?;
    let _worker = house.worker(&[]).await?;
    let clip = |start: f64, end: Option<f64>, exact: bool| json!({ "start": start, "end": end, "exact": exact });
    let two = "0.0-1.0 Beginning; 1.0-4.1 End";
    let table: Vec<Row<'_>> = vec![
        ("/chapters.mp4", "mp4", clip(3.3, Some(6.1), false), Ok((4.1, two))),
        ("/chapters.mp4", "mp4", clip(3.3, Some(6.1), true), Ok((2.8, "0.0-2.8 End"))),
        ("/chapters.mp4", "mp3", clip(3.3, Some(6.1), false), Ok((2.8, "0.0-2.8 End"))),
        ("/chapters.mp4", "original", clip(4.0, None, true), Ok((4.0, "0.0-4.0 End"))),
        ("/hls-ts/master.m3u8", "mp4", clip(3.3, Some(10_000_000.0), false), Ok((6.0, ""))),
        ("/dash/manifest.mpd", "mkv", clip(0.0, Some(3.0), false), Ok((3.0, ""))),
        ("/dash/manifest.mpd", "mp4", clip(5.0, Some(7.0), true), Ok((2.0, ""))),
        ("/progressive.webm", "webm", clip(5.5, None, true), Ok((2.5, ""))),
        ("/chapters.mp4", "mp4", clip(8.5, None, false), Err("format_unavailable")),
    ];
    let mut jobs = Vec::new();
    for (path, format, clip, _) in &table {
        let order = json!({ "format": format, "clip": clip, "embed_thumbnail": true });
        jobs.push(house.order(&request(&house.origin.url(path), order)).await?);
    }
    for (job, (path, format, clip, expected)) in jobs.iter().zip(&table) {
        let what = format!("{format} of {path}, {clip}");
        match expected {
            Ok((seconds, chapters)) => {
                let (plays, shown, fetched) = played(&house, job).await.context(what.clone())?;
                assert!((plays - seconds).abs() < 0.15, "{what}: plays {plays} s");
                assert_eq!(shown, *chapters, "{what}");
                if *path == "/chapters.mp4" && *format == "mp4" && clip["exact"] == false {
                    let (is, was) = (first_picture(fetched.file.path(), 0.0)?, media::file("chapters.mp4"));
                    assert_eq!(is, first_picture(&was, 2.0)?, "the picture is copied, from its key frame on");
                }
            }
            Err(code) => assert_eq!(house.outcome(job).await?, *code, "{what}"),
        }
    }
    Ok(())
}
