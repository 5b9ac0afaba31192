//! The same order twice: by who does not know whether the first was taken, and by who finishes what a death left by half.

use haul_shared::store::{Idempotency, Playlist, Scope};
use haul_tests::proxy::{Asked, Loss, Proxy};

use super::*;

async fn promise(site: &Site, key: &str, body: &Value) -> Result<Answer> {
    send(site.request(Method::POST, PLAYLISTS).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn one_promise_is_one_playlist_and_what_was_left_by_half_is_finished() -> Result<()> {
    let site = Site::start().await?;
    known(&site, &[None, None, None]).await?;
    let body = json!({ "url": LIST, "limit": 3 });
    let first = promise(&site, "k", &body).await?;
    let playlist = path(&first)?;
    // spelled otherwise, it is the same; the list need not be looked at again
    site.delete(&format!("/api/v1/metadata?url={LIST}")).await?;
    let again = json!({ "options": {}, "range": { "start": 1, "end": 3 }, "url": LIST });
    assert_eq!(promise(&site, "k", &again).await?.json()["id"], first.json()["id"]);
    assert_eq!(listed(&site).await?, 3);
    for other in [json!({ "url": LIST, "limit": 2 }), json!({ "url": LIST, "options": { "format": "mp3" } })] {
        assert_eq!(promise(&site, "k", &other).await?.told(), "409 idempotency_conflict", "{other}");
    }
    let download = site.request(Method::POST, DOWNLOADS).header("idempotency-key", "k").json(&json!({ "url": LIST }));
    assert_eq!(send(download).await?.told(), "409 idempotency_conflict");

    // what was deleted since does not come back
    let kept = children(&first.json());
    for status in [202, 204] {
        assert_eq!(site.delete(&kept[0]).await?.status, status);
    }
    assert_eq!(promise(&site, "k", &body).await?.json()["children"].as_array().map(Vec::len), Some(2));

    // as whoever died before the last download was queued leaves it: nobody sees it, until it is finished
    let mut redis = site.redis.connection().await?;
    let record = format!("haul1:{{0}}:pl:{}", Site::ticket(&playlist)?);
    redis::cmd("HDEL").arg(record).arg("all").query_async::<()>(&mut redis).await?;
    assert_eq!(site.get(&playlist).await?.told(), "404 not_found");
    let finished = promise(&site, "k", &body).await?;
    assert_eq!((finished.json()["id"].clone(), children(&finished.json())), (first.json()["id"].clone(), kept));
    assert_eq!((site.get(&playlist).await?.status.as_u16(), listed(&site).await?), (200, 3));
    Ok(())
}

/// Faults: who went on with a plan that was read wrote it down again after another, who was refused some of it, had removed it:
/// what was confirmed then was still being taken back. And what was confirmed a second time was not made to last.
#[tokio::test]
async fn what_was_begun_and_removed_is_not_begun_again_and_what_is_confirmed_is_sealed_each_time() -> Result<()> {
    let site = Site::start().await?;
    let wire = Proxy::to_redis(site.redis.address()).await;
    let api = site.another_api(&[("HAUL_REDIS_URL", &wire.redis_url())]).await?;
    known(&site, &media(2)).await?;
    let body = json!({ "url": LIST });
    let on_wire = site.request_to(Method::POST, &format!("http://{}{PLAYLISTS}", api.address()));
    let on_wire = || on_wire.try_clone().context("a request").map(|it| it.header("idempotency-key", "k").json(&body));
    let ticket = Site::ticket(&path(&promise(&site, "k", &body).await?)?)?;
    let mut redis = site.redis.connection().await?;
    redis::cmd("HDEL").arg(format!("haul1:{{0}}:pl:{ticket}")).arg("all").query_async::<()>(&mut redis).await?;
    let begun = site.jobs.playlist(ticket).await?.context("what was left by half")?;

    wire.lose(Asked::Script("open_playlist"), 0, Loss::Closed);
    wire.lose(Asked::Script("submit"), 0, Loss::Held);
    let refused_elsewhere = async {
        haul_tests::processes::until("it goes on", async || wire.lost() > 0).await?;
        let is_sealed = site.jobs.abandon_playlist(&begun).await?;
        wire.pass();
        anyhow::Ok(is_sealed)
    };
    let (answer, is_sealed) = tokio::join!(send(on_wire()?), refused_elsewhere);
    assert_eq!((answer?.told().as_str(), is_sealed?), ("503 service_unavailable", false));
    assert_eq!((site.jobs.playlist(ticket).await?, listed(&site).await?, wire.lost()), (None, 0, 1));

    // who comes then plans anew, and each answer that confirms it comes after a seal
    let anew = send(on_wire()?).await?;
    assert_eq!((anew.status.as_u16(), listed(&site).await?, wire.lost()), (202, 2, 2), "{}", anew.told());
    wire.lose(Asked::Script("seal_playlist"), 0, Loss::Closed);
    assert_eq!((send(on_wire()?).await?.json()["id"].clone(), wire.lost()), (anew.json()["id"].clone(), 3));
    Ok(())
}

#[tokio::test]
async fn of_two_who_promise_the_same_at_once_both_get_the_same_playlist() -> Result<()> {
    let site = Site::start().await?;
    let other = site.another_api(&[]).await?;
    known(&site, &media(30)).await?;
    let body = json!({ "url": LIST });
    let on_other = site.request_to(Method::POST, &format!("http://{}{PLAYLISTS}", other.address()));
    let on_other = send(on_other.header("idempotency-key", "k").json(&body));
    let (one, two) = tokio::join!(promise(&site, "k", &body), on_other);
    let (one, two) = (one?, two?);
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (202, 202), "{} {}", one.told(), two.told());
    assert_eq!((&one.json()["id"], children(&one.json())), (&two.json()["id"], children(&two.json())));
    assert_eq!(listed(&site).await?, 30);
    Ok(())
}

#[tokio::test]
async fn what_a_playlist_is_to_have_is_said_once_and_sealed_only_while_it_is_there() -> Result<()> {
    let site = Site::start().await?;
    let (ticket, other) = (haul_shared::ids::Ticket::new(), haul_shared::ids::Ticket::new());
    let client = haul_shared::ids::ClientKey::of_api_key("tests");
    let promised = Idempotency { key: "k".to_owned(), body_sha256: "b".to_owned() };
    let promise = async |ticket| site.jobs.promise_playlist(&client, &promised, ticket).await;
    assert_eq!(
        (promise(ticket).await?, promise(other).await?, promise(ticket).await?),
        (Some(ticket), Some(ticket), Some(ticket))
    );
    let broken = Idempotency { body_sha256: "c".to_owned(), ..promised.clone() };
    assert_eq!(site.jobs.promise_playlist(&client, &broken, other).await?, None);

    let opened = site.jobs.open_playlist(ticket, &client, b"one").await?;
    assert_eq!((opened.plan.as_slice(), opened.is_whole, &opened.client), (b"one".as_slice(), false, &client));
    assert_eq!(site.jobs.open_playlist(ticket, &client, b"two").await?, opened, "who comes first says it");
    let another = Playlist { plan: b"two".to_vec(), ..opened.clone() };
    assert!(!site.jobs.seal_playlist(&another, b"tw").await?, "it was opened with another plan");
    assert!(!site.jobs.abandon_playlist(&another).await?);
    assert_eq!(site.jobs.playlist(ticket).await?.as_ref(), Some(&opened), "who planned another one changes nothing");
    assert!(site.jobs.seal_playlist(&opened, b"on").await? && site.jobs.seal_playlist(&opened, b"on").await?);
    let sealed = Playlist { plan: b"on".to_vec(), is_whole: true, ..opened.clone() };
    // Fault: one of two who submitted the same was refused something, and removed what the other had been promised.
    assert!(site.jobs.abandon_playlist(&opened).await?);
    assert_eq!(site.jobs.playlist(ticket).await?.as_ref(), Some(&sealed));
    let mut redis = site.redis.connection().await?;
    // Fault: a list was looked through to its end for what had long been over.
    let listed = async || site.jobs.playlists(&Scope::Client(client.clone()), None, 10).await;
    assert!(matches!(&listed().await?[..], [(_, one)] if *one == sealed));
    let list = format!("haul1:{{0}}:pls:{}", client.as_str());
    redis::cmd("ZADD").arg(list).arg(1).arg(ticket.to_string()).query_async::<()>(&mut redis).await?;
    assert_eq!(listed().await?, [], "a place that is older than a playlist can be");
    let life: i64 = redis::cmd("PTTL").arg(format!("haul1:{{0}}:pl:{ticket}")).query_async(&mut redis).await?;
    assert!((1..=2 * 48 * 3600 * 1000).contains(&life), "{life} ms");

    site.jobs.forget_playlist(&sealed).await?;
    site.jobs.forget_playlist(&sealed).await?;
    assert!(!site.jobs.seal_playlist(&opened, b"on").await?, "what was removed stays so");
    assert!(!site.jobs.abandon_playlist(&opened).await?);
    site.jobs.open_playlist(other, &client, b"one").await?;
    let refused = Playlist { ticket: other, ..opened.clone() };
    assert!(!site.jobs.abandon_playlist(&refused).await? && !site.jobs.seal_playlist(&refused, b"on").await?);
    let left: Vec<String> = redis::cmd("KEYS").arg("*:pl*").query_async(&mut redis).await?;
    assert_eq!((left, site.jobs.playlist(ticket).await?), (Vec::new(), None));
    Ok(())
}
