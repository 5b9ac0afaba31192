//! What people do with what they have: notes, favourites, ratings, counts of fetches, lists in any order.

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind};
use haul_shared::storage::ObjectMeta;
use haul_tests::processes::until;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const DOWNLOADS: &str = "/api/v1/downloads";
const MEDIA: &str = "http://127.0.0.1/v.mp4";

async fn patch(site: &Site, job: &str, body: &Value) -> Result<Answer> {
    send(site.request(Method::PATCH, job).json(body)).await
}

/// A completed download of so many bytes.
async fn completed(site: &Site, url: &str, bytes: usize) -> Result<String> {
    let job = site.submit(url).await?;
    site.complete(&vec![7; bytes]).await?;
    Ok(job)
}

/// The ids of a part of the list, and where it goes on.
async fn listed(site: &Site, query: &str) -> Result<(Vec<String>, Option<String>)> {
    let answer = site.get(&format!("{DOWNLOADS}?{query}")).await?;
    anyhow::ensure!(answer.status == 200, "{query}: {}", answer.told());
    let list = answer.json();
    let jobs = list["downloads"].as_array().context("a list")?;
    let ids = jobs.iter().map(|job| format!("{DOWNLOADS}/{}", job["id"].as_str().unwrap_or_default()));
    Ok((ids.collect(), list["next_cursor"].as_str().map(str::to_owned)))
}

/// The whole list in parts of two.
async fn walked(site: &Site, query: &str) -> Result<Vec<String>> {
    let (mut all, mut next) = listed(site, &format!("{query}&limit=2")).await?;
    while let Some(cursor) = next {
        let (part, rest) = listed(site, &format!("{query}&limit=2&cursor={cursor}")).await?;
        all.extend(part);
        next = rest;
    }
    Ok(all)
}

async fn downloads(site: &Site, job: &str) -> Result<u64> {
    site.get(job).await?.json()["library"]["downloads"].as_u64().context("a number")
}

#[tokio::test]
async fn each_holder_of_a_result_has_notes_of_its_own_which_live_and_die_with_its_id() -> Result<()> {
    let site = Site::start().await?;
    let (one, other) = (site.submit(MEDIA).await?, site.submit(MEDIA).await?);
    site.complete(b"media").await?;
    let before = site.get(&one).await?;
    let nothing = json!({ "notes": null, "favourite": false, "rating": null, "downloads": 0 });
    assert_eq!(before.json()["library"], nothing);

    let noted = patch(&site, &one, &json!({ "notes": "from\n\tminute 3", "favourite": true, "rating": 5 })).await?;
    let library = json!({ "notes": "from\n\tminute 3", "favourite": true, "rating": 5, "downloads": 0 });
    assert_eq!((noted.status.as_u16(), &noted.json()["library"]), (200, &library));
    let after = site.get(&one).await?;
    assert_eq!(after.json(), noted.json());
    assert_ne!(after.header("etag"), before.header("etag"));
    assert_eq!(site.get(&other).await?.json()["library"], nothing);
    let late = site.post(DOWNLOADS, &json!({ "url": MEDIA })).await?;
    assert_eq!((late.status.as_u16(), &late.json()["library"]), (200, &nothing));

    // what is left out stays, null and empty take it away
    let less = patch(&site, &one, &json!({ "rating": null, "favourite": false })).await?.json();
    assert_eq!(less["library"]["notes"], "from\n\tminute 3");
    assert_eq!(patch(&site, &one, &json!({ "notes": "" })).await?.json()["library"], nothing);
    assert_eq!(patch(&site, &one, &json!({})).await?.json()["library"], nothing);

    patch(&site, &one, &json!({ "notes": "x" })).await?;
    assert_eq!(site.delete(&one).await?.status, 204);
    assert_eq!(patch(&site, &one, &json!({ "notes": "y" })).await?.told(), "404 not_found");
    let mut connection = site.redis.connection().await?;
    let left: Vec<String> =
        redis::cmd("KEYS").arg(format!("*t:{}", Site::ticket(&one)?)).query_async(&mut connection).await?;
    assert_eq!(left, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn only_a_result_is_annotated_and_every_fault_of_a_note_is_told() -> Result<()> {
    let site = Site::start().await?;
    let rated = json!({ "rating": 3 });
    let waiting = site.submit(MEDIA).await?;
    assert_eq!(patch(&site, &waiting, &rated).await?.told(), "409 not_ready");
    site.fail(&Failure::new(FailureKind::GeoBlocked, "not here")).await?;
    assert_eq!(patch(&site, &waiting, &rated).await?.told(), "409 geo_blocked");
    let cancelled = site.submit("http://127.0.0.1/2.mp4").await?;
    site.delete(&cancelled).await?;
    assert_eq!(patch(&site, &cancelled, &rated).await?.told(), "409 cancelled");
    let job = completed(&site, "http://127.0.0.1/3.mp4", 5).await?;

    let wrong = json!({ "notes": "é".repeat(2001), "favourite": "yes", "rating": 6, "stars": 1 });
    let refused = patch(&site, &job, &wrong).await?;
    let faults = refused.json()["errors"].clone();
    let pointers: Vec<&str> = faults.as_array().unwrap().iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    assert_eq!(
        (refused.told().as_str(), pointers),
        ("422 invalid_request", vec!["/notes", "/favourite", "/rating", "/stars"])
    );
    for body in [
        json!([]),
        json!({ "favourite": null }),
        json!({ "rating": 0 }),
        json!({ "rating": 1.5 }),
        json!({ "notes": "\u{0}" }),
    ] {
        assert_eq!(patch(&site, &job, &body).await?.told(), "422 invalid_request", "{body}");
    }
    assert_eq!(patch(&site, &job, &json!({ "notes": "x".repeat(70_000) })).await?.told(), "413 payload_too_large");
    let plain = site.request(Method::PATCH, &job).header("content-type", "text/plain").body("{}");
    assert_eq!(send(plain).await?.told(), "415 unsupported_media_type");
    let longest = patch(&site, &job, &json!({ "notes": "é".repeat(2000) })).await?;
    assert_eq!((longest.status.as_u16(), &longest.json()["library"]["rating"]), (200, &Value::Null));

    let mut connection = site.redis.connection().await?;
    let record: Option<String> = redis::cmd("HGET")
        .arg(format!("haul1:{{0}}:t:{}", Site::ticket(&job)?))
        .arg("jid")
        .query_async(&mut connection)
        .await?;
    let record = format!("haul1:{{0}}:j:{}", record.context("a job")?);
    redis::cmd("HSET").arg(record).arg("del").arg(1).query_async::<()>(&mut connection).await?;
    // what was seen last is kept for a second
    until("it has expired", async || patch(&site, &job, &rated).await.is_ok_and(|it| it.told() == "410 expired"))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_fetch_counts_once_from_its_beginning_and_so_does_a_link() -> Result<()> {
    let site = Site::start().await?;
    let (job, other) = (site.submit(MEDIA).await?, site.submit(MEDIA).await?);
    site.complete(&[7; 1000]).await?;
    let content = format!("{job}/content");
    let etag = send(site.request(Method::HEAD, &content)).await?.header("etag").to_owned();
    let get = async |path: &str, header: (&str, &str), status: u16| {
        let answer = send(site.request(Method::GET, path).header(header.0, header.1)).await?;
        anyhow::ensure!(answer.status == status, "{path} {header:?}: {}", answer.told());
        anyhow::Ok(())
    };
    // none of these hands out a result
    get(&content, ("if-none-match", &etag), 304).await?;
    get(&content, ("range", "bytes=500-"), 206).await?;
    get(&content, ("range", "bytes=2000-"), 416).await?;
    get(&content, ("if-match", "\"other\""), 412).await?;
    send(site.request(Method::HEAD, &format!("{job}/link"))).await?;
    // and each of these does
    get(&content, ("accept", "*/*"), 200).await?;
    get(&format!("{content}?inline=true"), ("range", "bytes=0-"), 206).await?;
    get(&content, ("range", "bytes=0-9"), 206).await?;
    get(&format!("{job}/link"), ("accept", "*/*"), 200).await?;
    get(&format!("{job}/link?redirect=true"), ("accept", "*/*"), 302).await?;
    until("all are counted", async || downloads(&site, &job).await.is_ok_and(|count| count == 5)).await?;
    // what had been counted beside them would be seen by now
    get(&content, ("accept", "*/*"), 200).await?;
    until("one more is", async || downloads(&site, &job).await.is_ok_and(|count| count > 5)).await?;
    assert_eq!((downloads(&site, &job).await?, downloads(&site, &other).await?), (6, 0));
    Ok(())
}

#[tokio::test]
async fn a_result_is_handed_out_though_that_cannot_be_counted() -> Result<()> {
    let site = Site::start().await?;
    let job = completed(&site, MEDIA, 10).await?;
    let (ticket, mut connection) = (format!("haul1:{{0}}:t:{}", Site::ticket(&job)?), site.redis.connection().await?);
    redis::cmd("HSET").arg(ticket).arg("got").arg(i64::MAX).query_async::<()>(&mut connection).await?;
    let before = site.redis.info("total_error_replies").await?;
    assert_eq!(site.get(&format!("{job}/content")).await?.body, [7; 10]);
    until("it was tried", async || site.redis.info("total_error_replies").await.is_ok_and(|now| now != before)).await?;
    assert_eq!(downloads(&site, &job).await?, i64::MAX.unsigned_abs());
    Ok(())
}

#[tokio::test]
async fn a_list_is_sorted_as_asked_in_parts_that_fit_together() -> Result<()> {
    let site = Site::start().await?;
    let mut jobs = Vec::new();
    for (at, bytes) in [30, 10, 20, 20, 40].into_iter().enumerate() {
        let body = json!({ "url": format!("{MEDIA}?{at}"), "tags": [if at % 2 == 0 { "even" } else { "odd" }], "external_id": format!("{at}") });
        jobs.push(format!("{DOWNLOADS}/{}", site.post(DOWNLOADS, &body).await?.json()["id"].as_str().unwrap()));
        if bytes < 40 {
            site.complete(&vec![7; bytes]).await?;
        }
    }
    for (at, rating) in [(0, 2), (1, 5), (3, 2)] {
        patch(&site, &jobs[at], &json!({ "rating": rating, "favourite": at != 1 })).await?;
    }
    for at in [2, 2, 1] {
        site.get(&format!("{}/content", jobs[at])).await?;
    }
    until("all is counted", async || downloads(&site, &jobs[2]).await.is_ok_and(|n| n == 2)).await?;
    until("all is counted", async || downloads(&site, &jobs[1]).await.is_ok_and(|n| n == 1)).await?;

    // 4 is unfinished; ties are by creation, in the order of the list
    let table: [(&str, &[usize]); 10] = [
        ("sort=created", &[4, 3, 2, 1, 0]),
        ("order=asc", &[0, 1, 2, 3, 4]),
        ("sort=size", &[0, 3, 2, 1, 4]),
        ("sort=size&order=asc", &[1, 2, 3, 0, 4]),
        ("sort=duration", &[3, 2, 1, 0, 4]),
        ("sort=rating", &[1, 3, 0, 4, 2]),
        ("sort=rating&order=asc", &[0, 3, 1, 2, 4]),
        ("sort=downloads&order=desc", &[2, 1, 3, 0, 4]),
        ("sort=size&tag=even", &[0, 2, 4]),
        ("sort=size&order=asc&favourite=true", &[3, 0]),
    ];
    for (query, expected) in table {
        let expected: Vec<String> = expected.iter().map(|at| jobs[*at].clone()).collect();
        assert_eq!(listed(&site, query).await?, (expected.clone(), None), "{query}");
        assert_eq!(walked(&site, query).await?, expected, "{query}");
    }
    for (query, expected) in [
        ("favourite=false", 3),
        ("favourite=true&tag=odd", 1),
        ("sort=rating&external_id=3", 1),
        ("sort=size&status=queued", 1),
    ] {
        assert_eq!(walked(&site, query).await?.len(), expected, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_is_for_the_list_that_it_came_with() -> Result<()> {
    let site = Site::start().await?;
    for at in 0..3 {
        site.submit(&format!("{MEDIA}?{at}")).await?;
    }
    let sorts = ["sort=created", "order=asc", "sort=size", "sort=size&order=asc", "sort=rating"];
    for one in sorts {
        let cursor = listed(&site, &format!("{one}&limit=2")).await?.1.context("there is more")?;
        for other in sorts {
            let answer = site.get(&format!("{DOWNLOADS}?{other}&cursor={cursor}")).await?;
            let expected = if one == other { "200" } else { "422 invalid_request" };
            assert_eq!(answer.told(), expected, "{one} {other}");
            if one != other {
                assert_eq!(answer.json()["errors"][0]["pointer"], "/cursor");
            }
        }
    }
    for wrong in ["sort=name", "order=up", "favourite=1", "sort=size&sort=size"] {
        assert_eq!(site.get(&format!("{DOWNLOADS}?{wrong}")).await?.told(), "422 invalid_request", "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_that_leaves_out_old_downloads_to_be_sorted_says_so() -> Result<()> {
    let site = Site::start().await?;
    let job = completed(&site, MEDIA, 10).await?;
    let list = async || anyhow::Ok(site.get(&format!("{DOWNLOADS}?sort=size")).await?.json());
    assert_eq!(list().await?["sorted_among"], Value::Null);
    // tickets whose records are gone fill the index, some older than the one and most newer
    let fill = "for i = 1, tonumber(ARGV[1]) do
        redis.call('ZADD', KEYS[1], i * 4e8, string.format('%08x-0000-4000-8000-000000000000', i)) end";
    let mut connection = site.redis.connection().await?;
    let count = async |many: u32| {
        let mut connection = connection.clone();
        redis::Script::new(fill).key("haul1:{0}:recent").arg(many).invoke_async::<()>(&mut connection).await
    };
    count(9_999).await?;
    assert_eq!(list().await?["sorted_among"], Value::Null);
    count(10_050).await?;
    assert_eq!(list().await?["sorted_among"], 10_000);
    redis::cmd("ZREMRANGEBYRANK").arg("haul1:{0}:recent").arg(0).arg(49).query_async::<()>(&mut connection).await?;
    let listed = list().await?;
    assert_eq!(listed["downloads"][0]["id"], Site::ticket(&job)?.to_string());
    Ok(())
}

#[tokio::test]
async fn a_thumbnail_is_kept_for_a_year_and_a_result_as_long_as_it_lives() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let (lease, artifact) = site.complete_before_thumbnail(b"media", Duration::from_secs(60)).await?;
    let (object, file) = (artifact.object.thumbnail(), tempfile::NamedTempFile::new()?);
    std::fs::write(file.path(), b"picture")?;
    let meta = ObjectMeta { content_type: "image/jpeg".to_owned(), sha256: "0".repeat(64) };
    site.storage.put(&object, file.path(), &meta, |_| {}).await?;
    assert!(site.jobs.thumbnail(&lease, &object, Some(7)).await?);

    let picture = site.get(&format!("{job}/thumbnail")).await?;
    assert_eq!(
        (picture.body.as_slice(), picture.header("cache-control")),
        (b"picture".as_slice(), "private, max-age=31536000, immutable")
    );
    let known = site.request(Method::GET, &format!("{job}/thumbnail")).header("if-none-match", picture.header("etag"));
    let known = send(known).await?;
    assert_eq!((known.status.as_u16(), known.header("cache-control")), (304, picture.header("cache-control")));
    // it stands under this id for ever: a result is not made anew
    assert_eq!(send(site.request(Method::POST, &format!("{job}/retry"))).await?.told(), "409 not_retryable");
    let content = site.get(&format!("{job}/content")).await?;
    let age = content.header("cache-control").split(['=', ',']).nth(2).context("an age")?.parse::<u64>()?;
    assert!(age <= 86_400, "{age}");
    Ok(())
}
