//! How a playlist stands, told by its downloads.

use haul_shared::job::{Failure, FailureKind};

use super::*;

#[tokio::test]
async fn a_playlist_is_its_downloads_and_stands_as_they_do() -> Result<()> {
    let site = Site::start().await?;
    let denied = Some("http://10.1.1.1/3.mp4".to_owned());
    known(&site, &[media(1), vec![None, denied], media(4).split_off(3)].concat()).await?;
    let options = json!({ "format": "original", "tags": ["together"], "clip": { "start": 1, "end": 2 } });
    let taken = site.post(PLAYLISTS, &json!({ "url": LIST, "options": options })).await?;
    let playlist = path(&taken)?;
    assert_eq!(taken.header("location"), format!("{}{playlist}", site.url));
    let view = taken.json();
    assert_eq!(view, shown(&site, &playlist).await?, "what is taken is what is there");
    assert_eq!((&view["status"], &view["title"], &view["url"]), (&json!("queued"), &json!("A list"), &json!(LIST)));
    assert_eq!(view["links"], json!({ "self": format!("{}{playlist}", site.url), "zip": null }));
    let asked: Vec<_> = (0..3).map(|at| &view["children"][at]["request"]).collect();
    let which = |request: &Value| (request["url"].clone(), request["playlist_index"].clone());
    let expected = [("http://127.0.0.1/1.mp4", 1), (LIST, 2), ("http://127.0.0.1/4.mp4", 1)];
    assert_eq!(asked.iter().map(|one| which(one)).collect::<Vec<_>>(), expected.map(|(url, n)| (json!(url), json!(n))));
    for request in asked {
        assert_eq!((&request["format"], &request["tags"][0]), (&json!("original"), &json!("together")));
        assert_eq!(request["clip"], json!({ "start": 1.0, "end": 2.0, "exact": false }));
    }
    let refused = &view["refused"];
    assert_eq!((&refused[0]["index"], &refused[0]["title"]), (&json!(3), &json!("Entry 3")), "{refused}");
    assert_eq!((&refused[0]["error"]["code"], refused.as_array().map(Vec::len)), (&json!("egress_denied"), Some(1)));
    assert_eq!(listed(&site).await?, 3, "each is a download like any other");

    // held until something changes
    let known = site.get(&playlist).await?.header("etag").to_owned();
    let asking = |wait: &str| site.request(Method::GET, &format!("{playlist}{wait}")).header("if-none-match", &known);
    assert_eq!(send(asking("")).await?.status, 304);
    let first = site.lease().await?;
    let running = send(asking("?wait=60")).await?;
    assert_eq!((running.status.as_u16(), &running.json()["status"]), (200, &json!("running")));
    let known = running.header("etag").to_owned();
    let asking = site.request(Method::GET, &format!("{playlist}?wait=60")).header("if-none-match", &known);
    let (held, done) = tokio::join!(send(asking), site.finish(&first, b"the first"));
    done?;
    let view = held?.json();
    let counts = json!({ "queued": 2, "running": 0, "completed": 1, "failed": 0, "cancelled": 0, "expired": 0 });
    assert_eq!((&view["status"], &view["counts"]), (&json!("running"), &counts), "{view}");
    assert_eq!((&view["progress"]["percent"], &view["finished_at"]), (&json!(33.3), &Value::Null));
    assert_eq!(site.get(&format!("{playlist}/zip")).await?.told(), "409 not_ready");

    site.fail(&Failure::new(FailureKind::Private, "")).await?;
    site.complete(b"the fourth").await?;
    let view = shown(&site, &playlist).await?;
    assert_eq!((&view["status"], &view["progress"]["percent"]), (&json!("partial"), &json!(100.0)));
    assert!(view["finished_at"].is_string() && view["links"]["zip"].is_string(), "{view}");

    // one that fails and is tried again is under way again, and so is the playlist
    let failed = &children(&view)[1];
    assert_eq!(site.post(&format!("{failed}/retry"), &Value::Null).await?.status, 202);
    assert_eq!(shown(&site, &playlist).await?["status"], "running");
    site.complete(b"the second").await?;
    assert_eq!(shown(&site, &playlist).await?["status"], "partial", "an entry was refused");
    // and one that is deleted by itself is no longer a part of it
    assert_eq!(site.delete(failed).await?.status, 204);
    assert_eq!(children(&shown(&site, &playlist).await?).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_playlist_that_came_to_nothing_says_why() -> Result<()> {
    let site = Site::start().await?;
    let denied = Some("http://10.1.1.1/3.mp4".to_owned());
    known(&site, std::slice::from_ref(&denied)).await?;
    let none = ordered(&site, json!({})).await?;
    assert_eq!(shown(&site, &none).await?["status"], "failed", "nothing of it may be downloaded");
    assert_eq!(site.get(&format!("{none}/zip")).await?.told(), "409 egress_denied");

    known(&site, &[media(2), vec![denied]].concat()).await?;
    let failed = ordered(&site, json!({})).await?;
    for kind in [FailureKind::GeoBlocked, FailureKind::Private] {
        site.fail(&Failure::new(kind, "")).await?;
    }
    assert_eq!(shown(&site, &failed).await?["status"], "failed");
    assert_eq!(site.get(&format!("{failed}/zip")).await?.told(), "409 geo_blocked");

    let expired = ordered(&site, json!({ "format": "mkv" })).await?;
    for body in ["one", "two"] {
        let (lease, _) = site.complete_before_thumbnail(body.as_bytes(), Duration::ZERO).await?;
        assert!(shown(&site, &expired).await?["status"] != "expired", "not all is gone");
        let mut redis = site.redis.connection().await?;
        let record = format!("haul1:{{0}}:j:{}", lease.job);
        redis::cmd("HSET").arg(record).arg("del").arg(1).query_async::<()>(&mut redis).await?;
        // what a process has seen of a job it shows for a second
        haul_tests::processes::until("it has expired", async || {
            shown(&site, &expired)
                .await
                .is_ok_and(|view| view["counts"]["expired"] == if body == "one" { 1 } else { 2 })
        })
        .await?;
    }
    assert_eq!(shown(&site, &expired).await?["status"], "expired");
    assert_eq!(site.get(&format!("{expired}/zip")).await?.told(), "410 expired");
    Ok(())
}
