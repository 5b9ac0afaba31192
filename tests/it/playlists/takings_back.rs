//! What is taken back: by who ordered it, and by us where not all of it could be queued.

use haul_tests::keys::{Keys, key};
use haul_tests::proxy::{Asked, Loss, Proxy};

use super::*;

#[tokio::test]
async fn delete_cancels_a_playlist_and_then_deletes_it_and_cancel_never_does() -> Result<()> {
    let site = Site::start().await?;
    known(&site, &media(3)).await?;
    let playlist = ordered(&site, json!({})).await?;
    let cancel = format!("{playlist}/cancel");
    let artifact = site.complete(b"the first").await?;
    let running = site.lease().await?;
    let stopping = site.delete(&playlist).await?;
    assert_eq!((stopping.status.as_u16(), &stopping.json()["status"]), (202, &json!("running")), "it is told to stop");
    assert_eq!(stopping.json()["counts"]["cancelled"], 1);
    assert_eq!(site.delete(&playlist).await?.status, 202, "again while it stops");
    let failure = haul_shared::job::Failure::new(haul_shared::job::FailureKind::Internal, "");
    site.jobs.fail(&running.lease, &failure, Duration::ZERO).await?;
    let ended = site.post(&cancel, &Value::Null).await?;
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (200, &json!("partial")));
    assert_eq!(site.post(&cancel, &Value::Null).await?.status, 200);

    let downloads = children(&shown(&site, &playlist).await?);
    assert_eq!(site.delete(&playlist).await?.status, 204);
    for path in downloads.iter().chain([&playlist, &cancel, &format!("{playlist}/zip")]) {
        let answer = if *path == cancel { site.post(path, &Value::Null).await? } else { site.get(path).await? };
        assert_eq!(answer.told(), "404 not_found", "{path}");
    }
    assert_eq!(site.delete(&playlist).await?.told(), "404 not_found");
    let garbage = site.jobs.collect(&[], 10).await?;
    assert!(garbage.iter().any(|one| one.object == artifact.object), "its result goes too");

    let cancelled = ordered(&site, json!({ "format": "mkv" })).await?;
    let answer = site.post(&format!("{cancelled}/cancel"), &Value::Null).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (202, &json!("cancelled")));
    assert_eq!(site.get(&format!("{cancelled}/zip")).await?.told(), "409 cancelled");
    Ok(())
}

#[tokio::test]
async fn all_of_a_playlist_is_queued_or_nothing() -> Result<()> {
    let keys = Keys::of(&[("a", "max_queued = 5"), ("b", ""), ("c", "bytes_per_day = 1"), ("d", "bytes_per_day = 1")])?;
    let site = keys.site(&[("HAUL_QUEUE_LIMIT", "8")]).await?;
    known_to(&site, Cookies::None, &media(5)).await?;
    let list = async |name: &str| {
        let list = site.ask(name, Method::GET, DOWNLOADS).await?.json();
        anyhow::Ok(list["downloads"].as_array().map_or(0, Vec::len))
    };
    let order = async |name: &str, limit: u32| {
        let order = site.request(Method::POST, PLAYLISTS).bearer_auth(key(name)).header("idempotency-key", "k");
        // what another one has ordered as well is no more to do
        let format = if name == "b" { "mkv" } else { "mp4" };
        send(order.json(&json!({ "url": LIST, "limit": limit, "options": { "format": format } }))).await
    };
    site.submit_as("a", "http://127.0.0.1/alone.mp4").await?;
    let full = order("a", 5).await?;
    assert_eq!(full.told(), "429 client_queue_full");
    assert!(full.header("retry-after").parse::<u64>()? >= 5);
    assert_eq!(list("a").await?, 1, "those that had found room are gone again");
    let left: Vec<String> = redis::cmd("KEYS").arg("*:pl*").query_async(&mut site.redis.connection().await?).await?;
    assert_eq!(left, [""; 0]);
    // once there is room, the same promise is kept
    site.lease().await?;
    let of_a = path(&order("a", 5).await?)?;
    assert_eq!(list("a").await?, 6);

    assert_eq!((order("b", 4).await?.told().as_str(), list("b").await?), ("503 queue_full", 0));
    let taken = site.submit_as("c", "http://127.0.0.1/of-c.mp4").await?;
    until_completed(&site, "c", &taken).await?;
    assert_eq!((order("c", 2).await?.told().as_str(), list("c").await?), ("429 quota_exceeded", 1));

    // Fault: the first results that were handed out spent the quota, the next one was refused, and the client was left with
    // neither.
    until_completed(&site, "a", &of_a).await?;
    let handed_out = order("d", 5).await?;
    assert_eq!((handed_out.status.as_u16(), &handed_out.json()["status"]), (202, &json!("completed")));
    let more = site.post_as("d", DOWNLOADS, &json!({ "url": "http://127.0.0.1/of-d.mp4" })).await?;
    assert_eq!(more.told(), "429 quota_exceeded", "that was all for today");
    Ok(())
}

/// Takes downloads until this, of the key of this name, is done.
async fn until_completed(site: &Site, name: &str, path: &str) -> Result<()> {
    while site.ask(name, Method::GET, path).await?.json()["status"] != "completed" {
        site.complete(b"more than a byte").await?;
    }
    Ok(())
}

/// Faults: while Redis was away for longer than a call waits, what had been queued of a refused playlist stayed queued; so did
/// all of it where only the answer to the last step was lost.
#[tokio::test]
async fn what_could_not_be_taken_back_at_once_is_taken_back_later() -> Result<()> {
    let site = Site::start().await?;
    let wire = Proxy::to_redis(site.redis.address()).await;
    let api = site.another_api(&[("HAUL_REDIS_URL", &wire.redis_url()), ("HAUL_CLIENT_QUEUE_LIMIT", "3")]).await?;
    known(&site, &media(4)).await?;
    // the first is taken back, and then nothing is heard any more
    wire.lose(Asked::Script("cancel"), 1, Loss::Held);
    let url = format!("http://{}{PLAYLISTS}", api.address());
    let refused = send(site.request_to(Method::POST, &url).json(&json!({ "url": LIST }))).await?;
    assert_eq!((refused.told().as_str(), listed(&site).await?), ("429 client_queue_full", 2));
    wire.pass();
    let is_nothing = async || listed(&site).await.is_ok_and(|left| left == 0);
    haul_tests::processes::until("nothing is left", is_nothing).await?;

    let playlists = async || {
        let lists = site.get(PLAYLISTS).await?.json();
        lists["playlists"].as_array().map(Vec::len).context("a list")
    };
    wire.lose(Asked::Script("seal_playlist"), 0, Loss::Silent);
    let order = site.request_to(Method::POST, &url).json(&json!({ "url": LIST, "limit": 3 }));
    let cut = async {
        haul_tests::processes::until("it is sealed", async || playlists().await.is_ok_and(|all| all == 1)).await?;
        wire.cut();
        anyhow::Ok(())
    };
    let (unheard, cut) = tokio::join!(send(order), cut);
    cut?;
    assert_eq!((unheard?.told().as_str(), playlists().await?, wire.lost()), ("503 service_unavailable", 1, 2));
    wire.pass();
    haul_tests::processes::until("nothing is left of it", is_nothing).await?;
    assert_eq!(playlists().await?, 0);
    Ok(())
}
