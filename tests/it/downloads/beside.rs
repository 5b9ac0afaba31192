//! What belongs to a result: the picture that stands for it, and its covers.

use super::*;

/// A page with a medium and a picture for it.
fn page(house: &House, path: &str, medium: &str, picture: &str) -> String {
    let html = format!("<!doctype html><title>A talk</title><video src=\"{medium}\" poster=\"{picture}\"></video>");
    house.origin.put(path, html);
    house.origin.url(path)
}

/// What ffprobe sees of a picture: codec, width, height.
async fn picture(house: &House, job: &str) -> Result<(String, u64, u64)> {
    let answer = house.thumbnail(job).await?;
    ensure!(answer.status == 200, "{}", answer.told());
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert!(answer.header("cache-control").contains("max-age="), "{}", answer.header("cache-control"));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("thumbnail.jpg");
    std::fs::write(&file, &answer.body)?;
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&file)).await?;
    let stream = &seen["streams"][0];
    let side = |name: &str| stream[name].as_u64().unwrap_or_default();
    Ok((stream["codec_name"].as_str().unwrap_or_default().to_owned(), side("width"), side("height")))
}

/// Does the file behind a job's link have a cover?
async fn has_cover(house: &House, job: &str) -> Result<bool> {
    let fetched = house.fetch(job).await?;
    let path = fetched.file.path().to_owned();
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&path)).await?;
    let streams = seen["streams"].as_array().cloned().unwrap_or_default();
    Ok(streams.iter().any(|stream| stream["disposition"]["attached_pic"] == 1))
}

#[tokio::test]
async fn a_result_has_the_picture_of_its_site_or_of_itself_and_as_its_cover_when_asked() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_SLOTS", "4")]).await?;
    let _worker = house.worker(&[]).await?;
    let with = page(&house, "/with.html", "/progressive.mp4", "/poster.png");
    let webm = page(&house, "/webm.html", "/progressive.webm", "/poster.png");
    let broken = page(&house, "/broken.html", "/portrait.mp4", "/nowhere.png");
    let text = page(&house, "/text.html", "/progressive.mp4", "/hls-ts/master.m3u8");
    let jpeg = |width: u64, height: u64| Some(("mjpeg".to_owned(), width, height));
    let table = [
        (&with, "mp4", true, jpeg(640, 360)),
        (&with, "mkv", true, jpeg(640, 360)),
        (&with, "m4a", true, jpeg(640, 360)),
        (&with, "mp3", true, jpeg(640, 360)),
        (&with, "flac", true, jpeg(640, 360)),
        (&with, "opus", true, jpeg(640, 360)),
        (&with, "mp4", false, jpeg(640, 360)),
        (&webm, "webm", true, jpeg(640, 360)),
        // a picture that cannot be had: a frame, which here stands upright
        (&broken, "mp4", true, jpeg(360, 640)),
        // nor is anything taken for a picture that is none
        (&text, "mp4", false, jpeg(640, 360)),
        (&house.origin.url("/audio.mp3"), "mp3", true, None),
    ];
    let mut jobs = Vec::new();
    for (url, format, wanted, expected) in &table {
        let order = json!({ "format": format, "embed_thumbnail": wanted });
        jobs.push((house.order(&request(url, order)).await?, *format, *wanted, expected));
    }
    for (job, format, wanted, expected) in &jobs {
        assert_eq!(house.outcome(job).await?, "completed", "{format}");
        let link = house.get(job).await?.json()["links"]["thumbnail"].clone();
        match expected {
            Some(expected) => {
                assert!(link.as_str().is_some_and(|link| link.ends_with("/thumbnail")), "{format}: {link}");
                assert_eq!(picture(&house, job).await?, *expected, "{format}");
            }
            None => {
                assert!(link.is_null(), "{link}");
                assert_eq!(house.thumbnail(job).await?.told(), "404 not_found");
            }
        }
        let expected_cover = *wanted && expected.is_some() && *format != "webm";
        assert_eq!(has_cover(&house, job).await?, expected_cover, "{format}");
    }

    // it lives as long as its result
    assert_eq!(house.stored_beside(), jobs.len() - 1);
    for (job, ..) in &jobs {
        assert_eq!(house.ask(Method::DELETE, job, &Value::Null).await?.status, 204);
    }
    processes::until("everything is removed", async || house.stored() + house.stored_beside() == 0).await?;
    Ok(())
}
