//! What one key can find out about the jobs of another: nothing, by any route that there is.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_api::cursor;
use haul_shared::cookies::Cookies;
use haul_shared::ids::Ticket;
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::metadata::{Finding, Look, Metadata, MetadataCache};
use haul_shared::source::SourceUrl;
use haul_shared::store::{Beat, Position, Sorting};
use haul_tests::events::Following;
use haul_tests::keys::{Keys, key};
use haul_tests::processes::until;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::{Value, json};

const DOWNLOADS: &str = "/api/v1/downloads";

/// All of an answer but what each answer has of its own.
fn shown(answer: &Answer) -> Result<String> {
    let own = ["x-request-id", "date", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let mut headers: Vec<String> = Vec::new();
    for (name, value) in answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        headers.push(format!("{name}: {}", value.to_str()?));
    }
    headers.sort();
    let mut body = answer.json();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    } else {
        ensure!(answer.body.is_empty(), "no JSON");
    }
    Ok(format!("{} {headers:?} {body}", answer.status))
}

/// A way to ask for one job.
#[derive(Debug)]
struct Ask {
    method: Method,
    /// With `{id}` where the id is.
    path: String,
    body: Option<Value>,
}

/// Every operation of the description that is about one job, alone and with each of its parameters.
async fn asks(site: &Site) -> Result<Vec<Ask>> {
    let document = site.get("/openapi.json").await?.json();
    let mut asks = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("operations")?.iter().filter(|_| path.contains("{id}")) {
            let method: Method = method.to_uppercase().parse()?;
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let mut ways = vec![String::new()];
            let mut filled = path.clone();
            for parameter in parameters {
                let (name, place) = (parameter["name"].as_str().context("a name")?, &parameter["in"]);
                let is_flag = parameter["schema"]["type"].to_string().contains("boolean");
                match place.as_str() {
                    Some("query") => ways.push(format!("?{name}={}", if is_flag { "true" } else { "1" })),
                    Some("path") if name != "id" => filled = filled.replace(&format!("{{{name}}}"), "en"),
                    _ => {}
                }
            }
            let is_change = method == Method::PATCH && operation["requestBody"].is_object();
            let body = is_change.then(|| json!({ "favourite": true }));
            let methods = if method == Method::GET { vec![Method::GET, Method::HEAD] } else { vec![method] };
            for method in methods {
                asks.extend(ways.iter().map(|query| {
                    let path = format!("{filled}{query}");
                    Ask { method: method.clone(), path, body: body.clone() }
                }));
            }
        }
    }
    Ok(asks)
}

/// A job of `a` in each state, each with a word for it. They are told of in lists of `a` by tag and name of its own.
async fn jobs_in_every_state(site: &Site) -> Result<Vec<(&'static str, String)>> {
    let order = async |word: &'static str| {
        let body = json!({ "url": format!("http://127.0.0.1/{word}.mp4"), "tags": ["secret"], "external_id": word });
        let answer = site.post_as("a", DOWNLOADS, &body).await?;
        Ok::<_, anyhow::Error>((word, answer.json()["id"].as_str().with_context(|| answer.told())?.to_owned()))
    };
    let mut jobs = vec![order("expired").await?];
    let (lease, _) = site.complete_before_thumbnail(b"film", Duration::ZERO).await?;
    let mut redis = site.redis.connection().await?;
    let record = format!("haul1:{{0}}:j:{}", lease.job);
    redis::cmd("HSET").arg(record).arg("del").arg(1).query_async::<()>(&mut redis).await?;

    jobs.push(order("completed").await?);
    site.complete_before_thumbnail(b"film", Duration::from_secs(3600)).await?;
    jobs.push(order("failed").await?);
    site.fail(&Failure::new(FailureKind::Private, "")).await?;
    jobs.push(order("waiting").await?);
    site.fail(&Failure::new(FailureKind::Network, "")).await?;
    jobs.push(order("cancelled").await?);
    let cancelled = format!("{DOWNLOADS}/{}", jobs.last().context("a job")?.1);
    assert_eq!(site.ask("a", Method::DELETE, &cancelled).await?.status, 202);
    jobs.push(order("running").await?);
    let leased = site.lease().await?;
    let progress = Progress::at(Stage::Download, 40.0);
    site.jobs.heartbeat(&[Beat { lease: leased.lease, progress, media: None }]).await?;
    jobs.push(order("queued").await?);
    Ok(jobs)
}

/// A playlist of `a` that has ended, and one that has not.
async fn playlists(site: &Site) -> Result<Vec<(&'static str, String)>> {
    let mut made = Vec::new();
    for (word, format) in [("ended playlist", "mp4"), ("queued playlist", "mkv")] {
        let url = "http://127.0.0.1/list";
        let entries = serde_json::from_value(json!([{ "url": null, "title": "1", "duration_seconds": null }]))?;
        let list = Metadata { entries, ..Metadata::default() };
        let look = Look { url: SourceUrl::read(url)?, cookies: Cookies::None, first: 1 };
        let cache = MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600));
        cache.put(&look, &Finding::Found(Box::new(list))).await?;
        let order = json!({ "url": url, "options": { "format": format, "priority": "low" } });
        let answer = site.post_as("a", "/api/v1/playlists", &order).await?;
        made.push((word, answer.json()["id"].as_str().with_context(|| answer.told())?.to_owned()));
        if made.len() == 1 {
            // before it, the one that is queued
            let waiting = site.lease().await?;
            site.complete(b"film").await?;
            site.jobs.release(&waiting.lease).await?;
        }
    }
    Ok(made)
}

#[tokio::test]
async fn a_foreign_id_is_answered_by_every_route_of_the_description_as_one_that_never_was() -> Result<()> {
    let site = Keys::of(&[("a", ""), ("b", ""), ("admin", "admin = true")])?.site(&[]).await?;
    let mut jobs = jobs_in_every_state(&site).await?;
    // an id of the one kind is none of the other
    jobs.extend(playlists(&site).await?);
    let seen_by_a = async || -> Result<Vec<Value>> {
        let mut seen = Vec::new();
        for (word, id) in &jobs {
            let path = if word.ends_with("playlist") { "/api/v1/playlists" } else { DOWNLOADS };
            seen.push(site.ask("a", Method::GET, &format!("{path}/{id}")).await?.json());
        }
        Ok(seen)
    };
    let before = seen_by_a().await?;
    let statuses: Vec<&str> = before.iter().filter_map(|job| job["status"].as_str()).collect();
    let of_jobs = ["expired", "completed", "failed", "queued", "cancelled", "running", "queued"];
    assert_eq!(statuses, [&of_jobs[..], &["completed", "queued"]].concat());

    let asks = asks(&site).await?;
    assert!(asks.len() > 15, "{asks:?}");
    for ask in &asks {
        for name in ["b", "admin"] {
            let send_with = async |id: &str| {
                let request = site.request(ask.method.clone(), &ask.path.replace("{id}", id)).bearer_auth(key(name));
                let request = match &ask.body {
                    Some(body) => request.json(body),
                    None => request,
                };
                shown(&send(request).await?)
            };
            let unknown = send_with(&Ticket::new().to_string()).await?;
            assert!(unknown.starts_with("404"), "{ask:?}: {unknown}");
            for (word, id) in &jobs {
                assert_eq!(send_with(id).await?, unknown, "{ask:?} of one that is {word}, as {name}");
            }
        }
    }
    assert_eq!(seen_by_a().await?, before, "what others tried has changed nothing");
    Ok(())
}

/// That a followed job is somebody else's was told from memory, while of an id that never was nothing could be told.
#[tokio::test]
async fn also_while_redis_is_away_a_foreign_id_that_is_followed_is_answered_as_one_that_never_was() -> Result<()> {
    let mut site = Keys::of(&[("a", ""), ("b", "")])?.site(&[]).await?;
    let events = format!("{}/events", site.submit_as("a", "http://127.0.0.1/v.mp4").await?);
    let as_a = site.request(Method::GET, &events).bearer_auth(key("a"));
    let mut followed = Following::begin(as_a, None).await?.context("a stream")?;
    followed.must().await?;
    let unknown = format!("{DOWNLOADS}/{}/events", Ticket::new());
    for path in [&events, &unknown] {
        assert_eq!(site.ask("b", Method::GET, path).await?.told(), "404 not_found");
    }
    site.redis.kill()?;
    for path in [&events, &unknown] {
        assert_eq!(site.ask("b", Method::GET, path).await?.told(), "503 service_unavailable");
    }
    Ok(())
}

#[tokio::test]
async fn lists_totals_and_promises_of_a_key_tell_nothing_of_those_of_another() -> Result<()> {
    let site = Keys::of(&[("a", ""), ("b", ""), ("c", "")])?.site(&[]).await?;
    let jobs = jobs_in_every_state(&site).await?;
    let of_b = site.submit_as("b", "http://127.0.0.1/of-b.mp4").await?;

    // a place in a list names a job: a foreign one leads to what an unknown one does
    let made = site.ask("a", Method::GET, &format!("{DOWNLOADS}/{}", jobs[1].1)).await?.json()["created_at"].clone();
    let made: jiff::Timestamp = made.as_str().context("a time")?.parse()?;
    for ms in [made.as_millisecond(), made.as_millisecond() + 86_400_000] {
        let list = async |ticket: Ticket| {
            let cursor = cursor::write(Sorting::default(), Position { value: None, created_ms: ms, ticket });
            shown(&site.ask("b", Method::GET, &format!("{DOWNLOADS}?cursor={cursor}")).await?)
        };
        assert_eq!(list(jobs[1].1.parse()?).await?, list(Ticket::new()).await?);
    }
    for query in ["tag=secret", "external_id=running", "status=failed"] {
        let list = site.ask("b", Method::GET, &format!("{DOWNLOADS}?{query}")).await?.json();
        assert_eq!(list, json!({ "downloads": [], "next_cursor": null, "sorted_among": null }), "{query}");
    }
    // who has nothing is told the same whether or not others have
    let usage = async |name: &str| anyhow::Ok(site.ask(name, Method::GET, "/api/v1/usage").await?.json());
    let mut nothing = usage("c").await?;
    assert_eq!(nothing["name"].take(), "c");
    site.ask("b", Method::DELETE, &of_b).await?;
    site.ask("b", Method::DELETE, &of_b).await?;
    let is_same = async || {
        usage("b").await.is_ok_and(|mut told| {
            told["name"].take();
            told == nothing
        })
    };
    until("b has nothing either", is_same).await?;

    // a promise is one's own: the same words of another are no conflict, and lead to no job of theirs
    let promise = async |name: &str, url: &str| {
        let order = site.request(Method::POST, DOWNLOADS).bearer_auth(key(name)).header("idempotency-key", "k");
        send(order.json(&json!({ "url": url }))).await
    };
    let mine = promise("a", "http://127.0.0.1/promised.mp4").await?;
    for url in ["http://127.0.0.1/promised.mp4", "http://127.0.0.1/other.mp4"] {
        let name = if url.contains("promised") { "b" } else { "c" };
        let theirs = promise(name, url).await?;
        assert_eq!(theirs.status, 202);
        assert_ne!(theirs.json()["id"], mine.json()["id"]);
    }
    Ok(())
}

/// Times of before an order told since when others had had what was ordered.
#[tokio::test]
async fn who_shares_a_run_or_is_handed_its_result_is_not_told_since_when_others_have_had_it() -> Result<()> {
    let site = Keys::of(&[("a", ""), ("b", ""), ("c", "")])?.site(&[]).await?;
    let url = "http://127.0.0.1/v.mp4";
    let first = site.submit_as("a", url).await?;
    let leased = site.lease().await?;
    // the clock of Redis goes on by a millisecond
    let times = async |name: &str, path: &str| -> Result<[Option<jiff::Timestamp>; 3]> {
        let job = site.ask(name, Method::GET, path).await?.json();
        Ok(["created_at", "started_at", "finished_at"]
            .map(|time| job[time].as_str().and_then(|text| text.parse().ok())))
    };
    let [_, begun, _] = times("a", &first).await?;
    until("some time has passed", async || jiff::Timestamp::now() > begun.unwrap() + Duration::from_millis(20)).await?;
    let second = site.submit_as("b", url).await?;
    let [created, started, _] = times("b", &second).await?;
    assert!(begun < created && started == created, "{begun:?} {created:?} {started:?}");

    let failed = Failure::new(FailureKind::Private, "");
    site.jobs.fail(&leased.lease, &failed, Duration::ZERO).await?;
    let [_, _, ended] = times("a", &first).await?;
    until("some time has passed", async || jiff::Timestamp::now() > ended.unwrap() + Duration::from_millis(20)).await?;
    let third = site.submit_as("c", url).await?;
    let [created, started, finished] = times("c", &third).await?;
    assert!(ended < created && started == created && finished == created, "{created:?} {started:?} {finished:?}");
    Ok(())
}
