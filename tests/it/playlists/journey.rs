//! From a list to one file, through the built binaries, with real media and real programs.

use haul_tests::house::{House, Store};

use super::*;

/// A feed with these entries.
fn feed(media: &[String]) -> String {
    let item = |(number, url): (usize, &String)| {
        format!("<item><title>Piece {number}</title><enclosure url=\"{url}\" type=\"video/mp4\"/></item>")
    };
    let items: String = (1..).zip(media).map(item).collect();
    format!("<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Pieces: all</title>{items}</channel></rss>")
}

/// Orders a list with these broken entries and follows it to its end: its ZIP has the results of all others, and nothing
/// else.
async fn travel(store: Store, count: usize, broken: &[usize]) -> Result<()> {
    let house = House::open(store, &[]).await?;
    let _worker = house.worker(&[("HAUL_SLOTS", "8"), ("HAUL_RETRIES", "0")]).await?;
    let url = |number: usize| match broken.contains(&number) {
        true => house.origin.url(&format!("/nothing-{number}.mp4")),
        false => house.origin.url(&format!("/progressive.mp4?{number}")),
    };
    house.origin.put("/feed.xml", feed(&(1..=count).map(url).collect::<Vec<_>>()));
    let order = json!({ "url": house.origin.url("/feed.xml"), "options": { "format": "original" } });
    let playlist = path(&house.ask(Method::POST, PLAYLISTS, &order).await?)?;
    let view = house.end(&playlist).await?;
    let (failed, done) = (broken.len(), count - broken.len());
    let counts =
        json!({ "queued": 0, "running": 0, "completed": done, "failed": failed, "cancelled": 0, "expired": 0 });
    assert_eq!((&view["status"], &view["counts"]), (&json!("partial"), &counts), "{view}");
    assert_eq!((&view["title"], &view["progress"]["percent"]), (&json!("Pieces: all"), &json!(100.0)));
    let sizes = view["children"].as_array().into_iter().flatten().filter_map(|it| it["result"]["size_bytes"].as_u64());
    let bytes = json!(sizes.sum::<u64>());
    assert_eq!((&view["progress"]["downloaded_bytes"], &view["progress"]["total_bytes"]), (&bytes, &bytes));

    let zip = house.get(&format!("{playlist}/zip")).await?;
    assert_eq!((zip.status.as_u16(), zip.header("content-length")), (200, zip.body.len().to_string().as_str()));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &zip.body)?;
    let found = haul_tests::zip::read(file.path())?;
    let found: Vec<_> = found.iter().map(|one| (one.name.clone(), one.size_bytes, one.sha256.clone())).collect();
    let all = view["children"].as_array().context("children")?;
    let results = (1..).zip(all).filter(|(_, child)| child["status"] == "completed").map(|(number, child)| {
        let (name, sha256) = (&child["result"]["filename"], &child["result"]["sha256"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (format!("{number:02} - {}", text(name)), child["result"]["size_bytes"].as_u64().unwrap_or(0), text(sha256))
    });
    assert_eq!(found, results.collect::<Vec<_>>());
    assert_eq!(found.len(), done);
    let broken_ones =
        (1..).zip(all).filter(|(_, child)| child["error"]["code"] == "unavailable").map(|(number, _)| number);
    assert_eq!(broken_ones.collect::<Vec<usize>>(), broken);
    Ok(())
}

#[tokio::test]
async fn a_playlist_of_fifty_with_five_broken_entries_ends_partial_with_a_zip_of_the_other_ones() -> Result<()> {
    travel(Store::Disk, 50, &[3, 11, 12, 37, 50]).await
}

#[tokio::test]
async fn a_playlist_in_a_bucket_has_its_zip_too() -> Result<()> {
    travel(Store::S3, 4, &[2]).await
}

#[tokio::test]
async fn entries_beyond_the_first_hundred_are_looked_at_from_where_they_begin() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let videos: String = (1..=130).map(|n| format!("<video src='/progressive.mp4?{n}'></video>")).collect();
    house.origin.put("/many.html", format!("<!doctype html><title>Many</title>{videos}"));
    let url = house.origin.url("/many.html");
    let order = async |range: Value| {
        house
            .ask(Method::POST, PLAYLISTS, &json!({ "url": url, "range": range, "options": { "format": "original" } }))
            .await
    };
    let taken = order(json!({ "start": 129, "end": 180 })).await?;
    let playlist = path(&taken)?;
    let asked = |at: usize| taken.json()["children"][at]["request"]["playlist_index"].clone();
    assert_eq!((asked(0), asked(1), asked(2)), (json!(129), json!(130), Value::Null), "{}", taken.json());
    let beyond = order(json!({ "start": 131 })).await?;
    assert_eq!(
        (beyond.told().as_str(), &beyond.json()["errors"][0]["pointer"]),
        ("422 invalid_request", &json!("/range"))
    );
    assert_eq!(house.end(&playlist).await?["status"], "completed");
    let zip = house.get(&format!("{playlist}/zip")).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &zip.body)?;
    let names = haul_tests::zip::read(file.path())?.into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert!(names.len() == 2 && names[0].starts_with("129 - ") && names[1].starts_with("130 - "), "{names:?}");
    Ok(())
}
