//! What may be ordered, and what it costs.

use haul_shared::ids::WorkerId;
use haul_shared::job::JobSpec;
use haul_shared::store::Kind;
use haul_tests::keys::Keys;

use super::*;

#[tokio::test]
async fn a_medium_is_a_list_of_itself_and_where_there_is_no_entry_there_is_no_playlist() -> Result<()> {
    let site = Site::start().await?;
    known(&site, &media(5)).await?;
    let order = async |more: Value| {
        let mut body = json!({ "url": LIST });
        body.as_object_mut().context("a body")?.extend(more.as_object().context("more")?.clone());
        site.post(PLAYLISTS, &body).await
    };
    let urls = |answer: &Answer| {
        let view = answer.json();
        let children = view["children"].as_array().cloned().unwrap_or_default();
        children.iter().map(|child| child["request"]["url"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let some = |from: usize, to: usize| media(to).split_off(from - 1).into_iter().flatten().collect::<Vec<_>>();
    for (more, expected) in [
        (json!({}), some(1, 5)),
        (json!({ "limit": 2 }), some(1, 2)),
        (json!({ "range": { "start": 4 } }), some(4, 5)),
        (json!({ "range": { "start": 2, "end": 3 }, "options": null }), some(2, 3)),
    ] {
        assert_eq!(urls(&order(more.clone()).await?), expected, "{more}");
    }
    let outside = order(json!({ "range": { "start": 6, "end": 7 } })).await?;
    assert_eq!(
        (outside.told().as_str(), &outside.json()["errors"][0]["pointer"]),
        ("422 invalid_request", &json!("/range"))
    );
    known(&site, &[]).await?;
    let empty = order(json!({})).await?;
    assert_eq!((empty.told().as_str(), &empty.json()["errors"][0]["pointer"]), ("422 invalid_request", &json!("/url")));

    let format = json!({ "format_id": "1", "ext": "mp4", "protocol": "https" });
    let medium = Metadata {
        title: Some("A talk".to_owned()),
        formats: vec![serde_json::from_value(format)?],
        ..Metadata::default()
    };
    site.delete(&format!("/api/v1/metadata?url={LIST}")).await?;
    let look = Look { url: SourceUrl::read(LIST)?, cookies: Cookies::Any, first: 1 };
    let finding = Finding::Found(Box::new(medium));
    MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600)).put(&look, &finding).await?;
    let one = order(json!({ "limit": 7 })).await?;
    assert_eq!((one.json()["title"].clone(), urls(&one)), (json!("A talk"), vec![LIST.to_owned()]));
    assert_eq!(order(json!({ "range": { "start": 2 } })).await?.told(), "422 invalid_request");
    Ok(())
}

#[tokio::test]
async fn what_is_refused_of_the_list_is_refused_as_metadata_are_and_leaves_nothing() -> Result<()> {
    let site = Site::start().await?;
    let refused = Finding::Refused { kind: haul_shared::job::FailureKind::GeoBlocked, retry_after: None };
    let look = Look { url: SourceUrl::read(LIST)?, cookies: Cookies::Any, first: 1 };
    let cache = MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600));
    cache.put(&look, &refused).await?;
    assert_eq!(site.post(PLAYLISTS, &json!({ "url": LIST })).await?.told(), "403 geo_blocked");
    for (body, expected) in [
        (json!({ "url": "http://10.0.0.1/list" }), "422 egress_denied"),
        (json!({ "url": "ftp://media.example/list" }), "422 unsupported_url"),
        (json!({ "url": LIST, "limit": 101 }), "422 invalid_request"),
        (json!([LIST]), "422 invalid_request"),
    ] {
        assert_eq!(site.post(PLAYLISTS, &body).await?.told(), expected, "{body}");
    }
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:pl*").query_async(&mut site.redis.connection().await?).await?;
    assert_eq!((keys, listed(&site).await?), (Vec::new(), 0));
    Ok(())
}

#[tokio::test]
async fn a_key_orders_the_entries_that_it_may_and_no_format_that_it_may_not() -> Result<()> {
    let keys = Keys::of(&[("a", "formats = [\"mp3\"]\nsites = [\"127.0.0.1\"]")])?;
    let site = keys.site(&[]).await?;
    let elsewhere = Some("http://video.example/2.mp4".to_owned());
    known_to(&site, Cookies::None, &[media(1), vec![elsewhere]].concat()).await?;
    let order = |format: &str| json!({ "url": LIST, "options": { "format": format } });
    let refused = site.post_as("a", PLAYLISTS, &order("mp4")).await?;
    assert_eq!(refused.told(), "403 forbidden");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/options/format");
    let other_site = site.post_as("a", PLAYLISTS, &json!({ "url": "http://video.example/" })).await?;
    assert_eq!(other_site.told(), "403 forbidden");
    let taken = site.post_as("a", PLAYLISTS, &order("mp3")).await?.json();
    assert_eq!(taken["children"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&taken["refused"][0]["index"], &taken["refused"][0]["error"]["code"]),
        (&json!(2), &json!("forbidden"))
    );
    Ok(())
}

#[tokio::test]
async fn a_playlist_counts_as_one_download_and_a_look_that_it_takes_as_one_at_metadata() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_DOWNLOADS", "2/h"), ("HAUL_RATE_METADATA", "1/h")]).await?;
    let other = site.another_api(&[("HAUL_RATE_DOWNLOADS", "2/h")]).await?;
    known(&site, &media(4)).await?;
    ordered(&site, json!({})).await?;
    // of all APIs together there is one left, and it is taken
    let order = json!({ "url": LIST, "options": { "format": "mkv" } });
    let on_other = async |body: &Value| {
        send(site.request_to(Method::POST, &format!("http://{}{PLAYLISTS}", other.address())).json(body)).await
    };
    assert_eq!(on_other(&order).await?.status, 202);
    assert_eq!(on_other(&json!({ "url": LIST, "options": { "format": "mp3" } })).await?.told(), "429 rate_limited");
    assert_eq!(listed(&site).await?, 8, "nothing is left of what was refused");

    // nobody knows what is there: a worker has to look
    let unknown = json!({ "url": "http://127.0.0.1/unknown" });
    let looks = site.another_api(&[("HAUL_RATE_METADATA", "1/h")]).await?;
    let on_looks = async |path: &str| {
        send(site.request_to(Method::POST, &format!("http://{}{path}", looks.address())).json(&unknown)).await
    };
    let worker = async {
        let mut claims = site.jobs.claims(&WorkerId::on_host("site"), Kind::Metadata, &["default".parse()?]);
        let leased = loop {
            if let Some(leased) = claims.take(1).await?.pop() {
                break leased;
            }
        };
        let is_look = matches!(leased.spec, Some(JobSpec::Metadata { first: 1, .. }));
        let failure = haul_shared::job::Failure::new(haul_shared::job::FailureKind::Private, "");
        site.jobs.fail(&leased.lease, &failure, Duration::ZERO).await?;
        anyhow::Ok(is_look)
    };
    let (refused, is_look) = tokio::join!(on_looks(PLAYLISTS), worker);
    assert_eq!((refused?.told().as_str(), is_look?), ("403 private", true));
    assert_eq!(on_looks(PLAYLISTS).await?.told(), "429 rate_limited", "what the look has cost");
    Ok(())
}

/// By the order of starts: how long anything takes says nothing.
#[tokio::test]
async fn a_playlist_holds_up_no_single_download_of_another_client() -> Result<()> {
    let site = Keys::of(&[("a", ""), ("b", "")])?.site(&[]).await?;
    known_to(&site, Cookies::None, &media(50)).await?;
    assert_eq!(site.post_as("a", PLAYLISTS, &json!({ "url": LIST })).await?.status, 202);
    site.lease().await?;
    site.submit_as("b", "http://127.0.0.1/of-b.mp4").await?;
    let next = site.lease().await?.spec.context("an order")?;
    assert_eq!(next.url().expose(), "http://127.0.0.1/of-b.mp4", "49 of the playlist wait");
    Ok(())
}
