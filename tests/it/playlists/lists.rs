//! The list of playlists.

use haul_tests::keys::Keys;

use super::*;

#[tokio::test]
async fn playlists_are_listed_newest_first_in_parts_and_to_nobody_else() -> Result<()> {
    // in several parts of the queue: a list is put together of all
    let site = Keys::of(&[("a", ""), ("b", "")])?.site(&[("HAUL_QUEUE_SHARDS", "3")]).await?;
    known_to(&site, Cookies::None, &media(2)).await?;
    let mut made = Vec::new();
    for format in ["mp4", "mkv", "webm", "mp3", "flac"] {
        let order = json!({ "url": LIST, "options": { "format": format } });
        let taken = site.post_as("a", PLAYLISTS, &order).await?.json();
        made.push((taken["created_at"].clone(), taken["id"].clone()));
    }
    // those of one millisecond are in the order of their ids
    made.sort_by_key(|(created, id)| (created.to_string(), id.to_string()));
    let newest_first: Vec<Value> = made.into_iter().rev().map(|(_, id)| id).collect();
    let mut found: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    for expected in [2, 2, 1] {
        let part = site.ask("a", Method::GET, &format!("{PLAYLISTS}?limit=2{cursor}")).await?.json();
        let playlists = part["playlists"].as_array().context("a list")?;
        assert_eq!(playlists.len(), expected, "{part}");
        found.extend(playlists.iter().map(|one| one["id"].clone()));
        cursor = part["next_cursor"].as_str().map_or_else(String::new, |next| format!("&cursor={next}"));
    }
    assert_eq!((found, cursor.as_str()), (newest_first.clone(), ""));

    let one = format!("{PLAYLISTS}/{}", newest_first[0].as_str().context("an id")?);
    let mut whole = site.ask("a", Method::GET, &one).await?.json();
    let fields = whole.as_object_mut().context("a playlist")?;
    assert!(fields.remove("children").is_some() && fields.remove("refused").is_some());
    let first = site.ask("a", Method::GET, &format!("{PLAYLISTS}?limit=1")).await?.json()["playlists"][0].clone();
    assert_eq!(first, whole);

    for status in [202, 204] {
        assert_eq!(site.ask("a", Method::DELETE, &one).await?.status, status);
    }
    let left = site.ask("a", Method::GET, PLAYLISTS).await?.json();
    assert_eq!(left["playlists"].as_array().map(Vec::len), Some(4));
    let of_b = site.ask("b", Method::GET, PLAYLISTS).await?.json();
    assert_eq!(of_b, json!({ "playlists": [], "next_cursor": null }));
    assert_eq!(site.ask("a", Method::GET, &format!("{PLAYLISTS}?cursor=x")).await?.told(), "422 invalid_request");

    let public = Site::with(&[("HAUL_MODE", "public")]).await?;
    assert_eq!(public.get(PLAYLISTS).await?.told(), "403 forbidden");
    Ok(())
}
