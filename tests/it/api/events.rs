//! Who follows a download is told each of its states once, whatever happens in between.

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::store::{Beat, Leased};
use haul_tests::events::{Event, Following, Piece};
use haul_tests::processes::until;
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::json;

const MEDIA: &str = "http://127.0.0.1/v.mp4";
const MINUTE: Duration = Duration::from_secs(60);

async fn follow(site: &Site, job: &str, last: Option<&str>) -> Result<Following> {
    let request = site.request(Method::GET, &format!("{job}/events"));
    Following::begin(request, last).await?.context("there is nothing to come back for")
}

async fn beat(site: &Site, leased: &Leased, stage: Stage, percent: f64) -> Result<()> {
    let progress = Progress { downloaded_bytes: Some(percent as u64 * 100), ..Progress::at(stage, percent) };
    site.jobs.heartbeat(&[Beat { lease: leased.lease.clone(), progress, media: None }]).await?;
    Ok(())
}

fn told(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::told).collect()
}

fn id(event: &Event) -> Result<&str> {
    event.id.as_deref().context("an id")
}

/// An attempt that fails and one that completes, as a worker does them. Where to look in between is told by `each`.
async fn two_attempts(site: &Site, mut each: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    for is_last in [false, true] {
        let leased = site.lease().await?;
        each().await?;
        for (stage, percent) in [(Stage::Extract, 1.0), (Stage::Download, 5.0), (Stage::Download, 41.57)] {
            beat(site, &leased, stage, percent).await?;
            each().await?;
        }
        if is_last {
            beat(site, &leased, Stage::Upload, 90.0).await?;
            each().await?;
            site.finish(&leased, b"media").await?;
        } else {
            site.jobs.fail(&leased.lease, &Failure::new(FailureKind::Network, "reset"), MINUTE).await?;
            each().await?;
            site.end_delays().await?;
        }
    }
    Ok(())
}

const STATES: [&str; 8] = [
    "stage queued -",
    "stage running extract",
    "stage running download",
    "stage queued -",
    "stage running extract",
    "stage running download",
    "stage running upload",
    "completed completed -",
];

#[tokio::test]
async fn who_follows_a_download_is_told_each_state_once_and_then_the_stream_ends() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let mut stream = follow(&site, &job, None).await?;
    assert_eq!(stream.headers["cache-control"], "no-cache");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    assert!(matches!(stream.piece().await?, Some(Piece::Retry(2000..=4000))), "it says when to come back");
    let mut events = vec![stream.must().await?];
    two_attempts(&site, async || {
        events.push(stream.must().await?);
        Ok(())
    })
    .await?;
    events.extend(stream.rest().await?);

    let states: Vec<Event> = events.iter().filter(|event| event.name != "progress").cloned().collect();
    assert_eq!(told(&states), STATES);
    assert!(states.iter().all(|event| event.id.is_some()), "{states:#?}");
    let numbers: Vec<&str> = events.iter().filter_map(|event| event.id.as_deref()).collect();
    assert_eq!(numbers[..5], ["0-1.0", "0-2.0", "0-2.1", "0-3.0", "0-3.1"], "{numbers:?}");
    for attempt in [1, 2] {
        let of_attempt = events.iter().filter(|event| event.job["attempt"] == attempt && !event.is_end());
        let percent: Vec<f64> = of_attempt.map(Event::percent).collect();
        assert!(percent.is_sorted() && percent.len() > 3, "{percent:?}");
    }
    let last = events.last().context("an end")?;
    assert_eq!(last.job, site.get(&job).await?.json(), "what is told is the job");
    assert_eq!(last.job["links"]["events"], json!(format!("{}{job}/events", site.url)));

    let again = site.request(Method::GET, &format!("{job}/events"));
    assert!(Following::begin(again, last.id.as_deref()).await?.is_none(), "204: a browser does not come back");
    assert_eq!(
        follow(&site, &job, None).await?.rest().await?,
        std::slice::from_ref(last),
        "whoever comes late is told the end"
    );
    Ok(())
}

#[tokio::test]
async fn who_was_away_all_the_time_is_told_all_states_in_order_as_they_were() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let before = follow(&site, &job, None).await?.must().await?;
    two_attempts(&site, async || Ok(())).await?;
    let events = follow(&site, &job, Some(id(&before)?)).await?.rest().await?;
    assert_eq!(told(&events), STATES[1..]);
    let field = |at: usize, name: &str| events[at].job[name].clone();
    assert_eq!((field(0, "attempt"), field(2, "attempt"), field(3, "attempt")), (json!(1), json!(1), json!(2)));
    assert_eq!((&field(2, "error")["code"], field(2, "next_attempt_at").is_string()), (&json!("network"), true));
    assert!(field(0, "worker").as_str().is_some_and(|worker| worker == field(1, "worker")), "{events:#?}");
    let percent: Vec<f64> = events.iter().map(Event::percent).collect();
    assert_eq!(percent, [0.0, 5.0, 41.5, 0.0, 5.0, 90.0, 100.0]);
    assert_eq!(events[1].job["progress"]["downloaded_bytes"], 500);
    for event in &events[..6] {
        let (has_result, finished) = (!event.job["result"].is_null(), &event.job["finished_at"]);
        assert!(!has_result && finished.is_null() && event.job["links"]["content"].is_null(), "{event:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn stages_between_two_beats_are_told_when_the_job_is_completed() -> Result<()> {
    let site = Site::start().await?;
    let of_two_ways = ["extract", "download", "verify", "download", "process", "verify", "upload"];
    let all = Stage::ALL.map(Stage::word);
    for (at, passed, from) in [("download", &all[..], 2), ("download", &of_two_ways, 4), ("verify", &of_two_ways, 6)] {
        let newest = if at == "verify" { Stage::Verify } else { Stage::Download };
        let job = site.submit(&format!("{MEDIA}?{at}{from}")).await?;
        let leased = site.lease().await?;
        beat(&site, &leased, newest, 30.0).await?;
        let mut stream = follow(&site, &job, None).await?;
        stream.must().await?;
        let seconds: Vec<_> = passed.iter().map(|stage| (*stage, MINUTE)).collect();
        site.finish_after(&leased, b"media", &seconds).await?;
        let mut events = stream.rest().await?;
        assert_eq!(events.pop().context("an end")?.name, "completed");
        let later = passed[from..].iter().map(|stage| format!("stage running {stage}"));
        assert_eq!(told(&events), later.collect::<Vec<_>>());
        assert!(events.iter().all(|event| event.percent() == 30.0), "{events:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn who_is_cut_off_after_each_event_hears_what_another_one_hears_who_never_is() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let mut steady = follow(&site, &job, None).await?;
    let (mut heard, mut cut) = (vec![steady.must().await?], vec![follow(&site, &job, None).await?.must().await?]);
    two_attempts(&site, async || {
        heard.push(steady.must().await?);
        let last = cut.iter().rev().find_map(|event: &Event| event.id.clone());
        cut.push(follow(&site, &job, last.as_deref()).await?.must().await?);
        Ok(())
    })
    .await?;
    let last = cut.iter().rev().find_map(|event| event.id.clone());
    heard.extend(steady.rest().await?);
    cut.extend(follow(&site, &job, last.as_deref()).await?.rest().await?);
    let ids = |events: &[Event]| {
        let states = events.iter().filter(|event| event.name != "progress");
        states.map(|event| format!("{:?} {}", event.id, event.told())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&cut), ids(&heard));
    Ok(())
}

#[tokio::test]
async fn of_a_job_with_too_many_moments_the_newest_are_told() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let mut connection = site.redis.connection().await?;
    let rounds = 40;
    for _ in 0..rounds {
        let leased = site.lease().await?;
        beat(&site, &leased, Stage::Download, 41.5).await?;
        site.jobs.release(&leased.lease).await?;
        let record = format!("haul1:{{0}}:j:{}", leased.lease.job);
        let bytes: usize = redis::cmd("HSTRLEN").arg(record).arg("ev").query_async(&mut connection).await?;
        assert!(bytes <= 1024, "{bytes} bytes would make the record a table");
    }
    site.complete(b"media").await?;
    let events = follow(&site, &job, Some("0-1.0")).await?.rest().await?;
    let numbers: Vec<u32> = events
        .iter()
        .map(|event| Ok(id(event)?.trim_start_matches("0-").trim_end_matches(".0").parse()?))
        .collect::<Result<_>>()?;
    // from the second round on it goes on where it was: running and downloading are one
    let last = 1 + 3 + 2 * (rounds - 1) + 2;
    assert!(numbers.len() > 15 && numbers.last() == Some(&last), "{numbers:?}");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    for event in &events[..events.len() - 1] {
        let worker = event.job["worker"].as_str();
        assert_eq!(worker.is_some_and(|worker| !worker.is_empty()), event.job["status"] == "running", "{event:#?}");
    }
    Ok(())
}

/// What nobody ever sent, or an id that was never given out, is no reason to refuse: an `EventSource` would give up.
#[tokio::test]
async fn an_id_that_is_none_begins_as_if_there_was_none() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    for garbage in ["", "1", "0-0.0", "0-7.0", "9-1.0", "0-1.9", "-1-1.0", "x"] {
        let event = follow(&site, &job, Some(garbage)).await?.must().await?;
        assert_eq!((event.told().as_str(), event.id.as_deref()), ("stage queued -", Some("0-1.0")), "{garbage}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_tried_again_is_followed_from_its_new_beginning() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    site.fail(&Failure::new(FailureKind::GeoBlocked, "not here")).await?;
    let failed = follow(&site, &job, None).await?.rest().await?;
    assert_eq!(told(&failed), ["failed failed -"]);
    send(site.request(Method::POST, &format!("{job}/retry"))).await?;
    site.complete(b"media").await?;
    let events = follow(&site, &job, failed[0].id.as_deref()).await?.rest().await?;
    assert_eq!(told(&events), ["stage queued -", "stage running extract", "completed completed -"]);
    assert_eq!(id(&events[0])?, "1-1.0");
    Ok(())
}

#[tokio::test]
async fn of_two_who_share_a_run_each_has_its_own_end() -> Result<()> {
    let site = Site::start().await?;
    let (one, two) = (site.submit(MEDIA).await?, site.submit(MEDIA).await?);
    let leased = site.lease().await?;
    beat(&site, &leased, Stage::Download, 50.0).await?;
    let late = site.submit(MEDIA).await?;
    let mut streams = Vec::new();
    for job in [&one, &two, &late] {
        let mut stream = follow(&site, job, None).await?;
        assert_eq!(stream.must().await?.told(), "stage running download");
        streams.push(stream);
    }
    site.delete(&two).await?;
    assert_eq!(told(&streams[1].rest().await?), ["cancelled cancelled -"]);
    // who was away is told the same
    let away = follow(&site, &two, Some("0-1.0")).await?.rest().await?;
    assert_eq!(told(&away), ["stage running extract", "stage running download", "cancelled cancelled -"]);
    assert_eq!(away.iter().map(Event::percent).collect::<Vec<_>>(), [0.0, 50.0, 50.0]);

    // the same run again, under the same id: what it did meanwhile is told, and nothing from before it was asked for
    send(site.request(Method::POST, &format!("{two}/retry"))).await?;
    beat(&site, &leased, Stage::Upload, 90.0).await?;
    site.finish(&leased, b"media").await?;
    let again = follow(&site, &two, away[2].id.as_deref()).await?.rest().await?;
    assert_eq!(told(&again), ["stage running download", "stage running upload", "completed completed -"]);
    for at in [0, 2] {
        let events = streams[at].rest().await?;
        let states: Vec<Event> = events.into_iter().filter(|event| event.name != "progress").collect();
        assert_eq!(told(&states), ["stage running upload", "completed completed -"]);
    }
    let reused = site.submit(MEDIA).await?;
    assert_eq!(told(&follow(&site, &reused, None).await?.rest().await?), ["completed completed -"]);
    Ok(())
}

#[tokio::test]
async fn a_change_that_is_none_of_the_jobs_own_has_no_id() -> Result<()> {
    let site = Site::start().await?;
    let (_, second) = (site.submit(MEDIA).await?, site.submit(&format!("{MEDIA}?2")).await?);
    let mut stream = follow(&site, &second, None).await?;
    assert_eq!(stream.must().await?.job["queue_position"], 2);
    site.complete(b"media").await?;
    let moved = stream.must().await?;
    assert_eq!((moved.told().as_str(), &moved.id), ("progress queued -", &None));
    assert_eq!(moved.job["queue_position"], 1);
    Ok(())
}

#[tokio::test]
async fn redis_may_go_away_meanwhile_and_whoever_follows_sees_signs_of_life() -> Result<()> {
    let mut site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let mut stream = follow(&site, &job, None).await?;
    assert_eq!(stream.must().await?.told(), "stage queued -");
    site.redis.kill()?;
    assert_eq!(stream.piece().await?, Some(Piece::Comment));
    site.redis.restart().await?;
    until("redis is found again", async || site.get(&job).await.is_ok_and(|answer| answer.status == 200)).await?;
    let leased = site.lease().await?;
    assert_eq!(stream.must().await?.told(), "stage running extract");
    beat(&site, &leased, Stage::Download, 5.0).await?;
    assert_eq!(stream.must().await?.told(), "stage running download");
    site.finish(&leased, b"media").await?;
    assert_eq!(told(&stream.rest().await?), ["completed completed -"]);
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_without_an_end_of_the_job_when_that_is_gone_or_the_api_stops() -> Result<()> {
    let mut site = Site::start().await?;
    let gone = site.submit(MEDIA).await?;
    let mut stream = follow(&site, &gone, None).await?;
    stream.must().await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut site.redis.connection().await?).await?;
    assert_eq!(stream.rest().await?, []);

    let job = site.submit(MEDIA).await?;
    let mut stream = follow(&site, &job, None).await?;
    stream.must().await?;
    let (rest, stopped) = tokio::join!(stream.rest(), site.stop());
    stopped?;
    assert_eq!(rest?, []);
    Ok(())
}

#[tokio::test]
async fn nothing_holds_events_back_and_head_has_none() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    let path = format!("{job}/events");
    let asks = site.request(Method::GET, &path).header("accept-encoding", "gzip, br, zstd");
    let mut stream = Following::begin(asks, None).await?.context("a stream")?;
    assert_eq!(stream.must().await?.told(), "stage queued -");
    assert!(!stream.headers.contains_key("content-encoding"), "{:?}", stream.headers);
    let head = send(site.request(Method::HEAD, &path)).await?;
    assert_eq!((head.status.as_u16(), head.header("content-type"), head.body.len()), (200, "text/event-stream", 0));
    assert_eq!(site.get(&format!("{path}?since=1")).await?.told(), "422 invalid_request");
    Ok(())
}

#[tokio::test]
async fn a_stranger_follows_so_many_downloads_and_no_more() -> Result<()> {
    haul_shared::serve::open_more_files();
    let site = Site::with(&[("HAUL_MODE", "public")]).await?;
    let events = format!("{}{}/events", site.url, site.submit(MEDIA).await?);
    let mut held = Vec::new();
    let (http, refused) = loop {
        // each over a connection of its own, which has 64 streams
        let http = reqwest::Client::builder().http2_prior_knowledge().build()?;
        let mut answers = Vec::new();
        for _ in 0..60 {
            answers.push(http.get(&events).send().await?);
        }
        let refused = answers.iter().position(|answer| answer.status() != 200);
        let at = refused.unwrap_or(answers.len());
        let refused = answers.drain(at..).next();
        held.extend(answers);
        if let Some(refused) = refused {
            break (http, refused);
        }
    };
    assert_eq!((held.len(), refused.status().as_u16()), (512, 429));
    assert!(refused.headers().contains_key("retry-after"));
    held.pop();
    until("a place that is given back is there again", async || {
        http.get(&events).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await?;
    Ok(())
}
