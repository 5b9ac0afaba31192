//! Traces over both processes, as a collector gets them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use haul_tests::collector::{Collector, Manner, Span};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::{Fault, Wait};
use haul_tests::site::send;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

const STAGES: [&str; 5] = ["extract", "download", "process", "verify", "upload"];

/// The spans of one trace.
struct Trace<'a>(Vec<&'a Span>);

impl<'a> Trace<'a> {
    fn of(trace: &str, spans: &'a [Span]) -> Self {
        Self(spans.iter().filter(|span| span.trace == trace).collect())
    }

    /// All of this name.
    fn all(&self, name: &str) -> Vec<&'a Span> {
        self.0.iter().copied().filter(|span| span.name == name).collect()
    }

    /// The only one of this name.
    fn one(&self, name: &str) -> Result<&'a Span> {
        let [one] = self.all(name)[..] else { anyhow::bail!("{name} is not there once: {:#?}", self.0) };
        Ok(one)
    }

    /// The names from a span up to the first that is not in this trace.
    fn way_up(&self, from: &Span) -> Vec<&'a str> {
        let mut way = Vec::new();
        let mut parent = &from.parent;
        while let Some(span) = self.0.iter().find(|span| span.id == *parent) {
            way.push(&*span.name);
            parent = &span.parent;
        }
        way
    }

    /// Has the last part of a way come?
    fn has(trace: &str, name: &str, spans: &[Span]) -> bool {
        spans.iter().any(|span| span.trace == trace && span.name == name)
    }
}

/// Orders a download as a client does that traces what it asks for, and returns its path and what its answer said.
async fn order(house: &House, trace: &str, body: &Value) -> Result<String> {
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let order = house.request(&house.api, Method::POST, DOWNLOADS).header("traceparent", traceparent).json(body);
    let answer = send(order).await?;
    Ok(format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().with_context(|| answer.told())?))
}

#[tokio::test]
async fn one_trace_shows_a_download_from_its_order_to_its_link_over_both_processes() -> Result<()> {
    let collector = Collector::start(Manner::Takes).await?;
    // a proxy that the machine has for something else is none of the collector's
    let house =
        House::open(Store::Disk, &[("HAUL_OTLP_ENDPOINT", &collector.url()), ("HTTP_PROXY", "http://127.0.0.1:1")])
            .await?;
    let untraced = house.another_api(&[("HAUL_TRACE_RATIO", "0")]).await?;
    let mut worker = house.worker(&[]).await?;
    let [first, retried, second] = ["1", "2", "3"].map(|digit| digit.repeat(32));
    let media = request(&house.origin.url("/hls-ts/360p.m3u8"), json!({}));
    let job = order(&house, &first, &media).await?;
    let busy = house.origin.spoilt(Fault::Asks(503, 1, Wait::Seconds(0)), "/progressive.mp4");
    let busy = order(&house, &retried, &request(&busy, json!({}))).await?;
    let body = request(&house.origin.url("/progressive.mp4"), json!({"quality": "144p"}));
    let quiet = send(house.request(&untraced, Method::POST, DOWNLOADS).json(&body)).await?;
    assert_eq!(quiet.status, 202, "{}", quiet.told());

    assert_eq!(house.end(&job).await?["status"], "completed");
    house.fetch(&job).await?;
    let is_asked = |span: &Span| span.name == "GET /api/v1/downloads/{id}/link";
    // each process tells what it did in order, and each of these is the last of its kind
    let is_whole = |spans: &[Span]| Trace::has(&first, "thumbnail", spans) && spans.iter().any(is_asked);
    let spans = collector.until("the whole trace", is_whole).await?;
    let trace = Trace::of(&first, &spans);
    let post = trace.one("POST /api/v1/downloads")?;
    assert_eq!((&*post.service, &*post.parent), ("haul-api", "00f067aa0ba902b7"));
    assert_eq!((post.get("http.response.status_code"), post.get("http.route")), ("202", DOWNLOADS));
    let attempt = trace.one("job")?;
    assert_eq!(attempt.service, "haul-worker");
    assert_eq!(trace.way_up(attempt), ["enqueue", "POST /api/v1/downloads"]);
    assert_eq!(attempt.get("job.id"), trace.one("enqueue")?.get("job.id"));
    let said =
        ["job.kind", "job.region", "job.priority", "job.attempt", "job.outcome", "job.delivery", "job.extractor"];
    let told = ["download", "default", "normal", "1", "completed", "native", "generic"];
    assert_eq!(said.map(|name| attempt.get(name)), told, "{attempt:?}");
    for stage in STAGES {
        assert_eq!(trace.way_up(trace.one(stage)?), ["job", "enqueue", "POST /api/v1/downloads"], "{stage}");
    }
    for (program, part) in [("yt-dlp", "job"), ("ffmpeg", "job"), ("ffmpeg", "thumbnail")] {
        let part = trace.one(part)?;
        assert!(trace.all(program).iter().any(|run| run.parent == part.id), "{program}: {:#?}", trace.0);
    }
    let services: Vec<_> = [post, attempt].iter().map(|span| span.resource["haul.regions"].as_str()).collect();
    assert_eq!(services, ["default", "default"]);

    // whoever asks for the link is in a trace of its own, and each of the two leads to the other
    let link = trace.one("link")?;
    assert_eq!((&*link.service, trace.way_up(link)), ("haul-api", vec!["enqueue", "POST /api/v1/downloads"]));
    let asked = spans.iter().find(|span| is_asked(span)).context("the request for the link")?;
    assert_ne!(asked.trace, first);
    assert_eq!(link.links, [(asked.trace.clone(), asked.id.clone())]);
    assert_eq!(asked.links, [(first.clone(), attempt.parent.clone())]);

    // who comes late, in another trace, is led to that of the run
    let again = order(&house, &second, &media).await?;
    house.fetch(&again).await?;
    let spans = collector.until("the other link", |spans| Trace::of(&first, spans).all("link").len() == 2).await?;
    let late = collector.until("the late order", |spans| Trace::has(&second, "POST /api/v1/downloads", spans)).await?;
    let enqueue = Trace::of(&second, &late).one("enqueue")?;
    assert_eq!((enqueue.get("answer"), &enqueue.links), ("reuse", &vec![(first.clone(), attempt.parent.clone())]));
    assert!(Trace::of(&second, &spans).all("job").is_empty());

    // each attempt is in the trace of its job
    let view = house.end(&busy).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(2)), "{view}");
    let attempts = |spans: &[Span]| Trace::of(&retried, spans).all("job").len();
    let spans = collector.until("both attempts", |spans| attempts(spans) == 2).await?;
    let mut told: Vec<_> = Trace::of(&retried, &spans).all("job");
    told.sort_by_key(|span| span.get("job.attempt"));
    let told = told.iter().map(|span| (span.get("job.outcome"), span.get("error.type"), span.is_error));
    assert_eq!(told.collect::<Vec<_>>(), [("retried", "network", true), ("completed", "", false)]);

    // so is a look at metadata, which an API waits for
    let media = ["/hls-ts/360p.m3u8", "/progressive.mp4"].map(|path| house.origin.url(path));
    let items =
        media.map(|url| format!("<item><title>A piece</title><enclosure url=\"{url}\" type=\"video/mp4\"/></item>"));
    house.origin.put(
        "/feed.xml",
        format!("<?xml version=\"1.0\"?><rss version=\"2.0\"><channel>{}</channel></rss>", items.concat()),
    );
    let asked = json!({"url": house.origin.url("/feed.xml")});
    assert_eq!(house.ask(Method::POST, "/api/v1/metadata", &asked).await?.status, 200);
    let is_look = |span: &&Span| span.name == "job" && span.get("job.kind") == "metadata";
    let spans = collector.until("the look", |spans| spans.iter().any(|span| is_look(&span))).await?;
    let look = spans.iter().find(is_look).context("the look")?;
    let name = "POST /api/v1/metadata";
    let spans = collector.until("its request", |spans| Trace::has(&look.trace, name, spans)).await?;
    assert_eq!(Trace::of(&look.trace, &spans).way_up(look), ["enqueue", name]);

    // and each download of a playlist, which a task of its own orders
    let list = json!({ "url": house.origin.url("/feed.xml"), "options": { "format": "mkv" } });
    let playlist = house.ask(Method::POST, "/api/v1/playlists", &list).await?.json();
    let mut sizes = Vec::new();
    for child in playlist["children"].as_array().context("downloads")? {
        let view = house.end(&format!("{DOWNLOADS}/{}", child["id"].as_str().context("a download")?)).await?;
        assert_eq!(view["status"], "completed", "{view}");
        sizes.push(view["result"]["size_bytes"].as_u64().context("a size")?);
    }
    let name = "POST /api/v1/playlists";
    let is_order = |span: &&Span| span.name == name;
    let spans = collector.until("the playlist", |spans| spans.iter().any(|span| is_order(&span))).await?;
    let ordered = spans.iter().find(is_order).context("the playlist")?.trace.clone();
    let jobs = |spans: &[Span]| Trace::of(&ordered, spans).all("job").len();
    let spans = collector.until("its downloads", |spans| jobs(spans) == sizes.len()).await?;
    let trace = Trace::of(&ordered, &spans);
    assert!(trace.all("job").iter().all(|job| trace.way_up(job) == ["enqueue", name]), "{:#?}", trace.0);
    // and when its result is handed out with those of the others. Fault: so was one of which no byte was sent.
    assert_eq!((sizes.len(), remove(&house.objects(), sizes[1])?), (2, 1));
    let playlist = format!("/api/v1/playlists/{}", playlist["id"].as_str().context("an id")?);
    let broken = house.request(&house.api, Method::GET, &format!("{playlist}/zip")).send().await?;
    assert!(broken.status() == 200 && broken.bytes().await.is_err());
    assert_eq!(house.get(&playlist).await?.status, 200);
    let is_asked = |span: &Span| span.name == "GET /api/v1/playlists/{id}/zip";
    let is_after = |span: &Span| span.name == "GET /api/v1/playlists/{id}";
    let is_whole =
        |spans: &[Span]| Trace::has(&ordered, "zip", spans) && spans.iter().any(is_asked) && spans.iter().any(is_after);
    let spans = collector.until("the ZIP", is_whole).await?;
    let (trace, asked) =
        (Trace::of(&ordered, &spans), spans.iter().find(|span| is_asked(span)).context("its request")?);
    let zip = trace.one("zip")?;
    assert_eq!(
        (trace.way_up(zip), &zip.links),
        (vec!["enqueue", name], &vec![(asked.trace.clone(), asked.id.clone())])
    );

    // what is not kept leaves no trace, neither here nor beside the job
    let quiet = format!("{DOWNLOADS}/{}", quiet.json()["id"].as_str().context("an id")?);
    assert_eq!(house.end(&quiet).await?["status"], "completed");
    worker.signal(Signal::TERM)?;
    assert!(worker.ended().await?.success());
    assert_eq!(collector.spans()?.iter().filter(|span| span.name == "job").count(), 6);
    let mut redis = house.redis.connection().await?;
    let records: Vec<String> = redis::cmd("KEYS").arg("haul1:*:j:*").query_async(&mut redis).await?;
    let mut without = Vec::new();
    for record in records {
        let fields: HashMap<String, Vec<u8>> = redis::cmd("HGETALL").arg(record).query_async(&mut redis).await?;
        without.extend((!fields.contains_key("tr")).then_some(fields));
    }
    assert_eq!(without.len(), 1, "{without:?}");
    Ok(())
}

/// Removes the results of this size from a store, and says how many there were.
fn remove(dir: &Path, size_bytes: u64) -> Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(dir)? {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        if about.is_dir() {
            removed += remove(&path, size_bytes)?;
        } else if about.len() == size_bytes {
            std::fs::remove_file(path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[tokio::test]
async fn a_collector_that_hangs_raves_refuses_or_is_away_holds_up_neither_a_job_nor_the_end() -> Result<()> {
    let manners = [Some(Manner::Hangs), Some(Manner::Raves), Some(Manner::Refuses), None];
    try_join_all(manners.map(goes_on_beside)).await.map(drop)
}

/// A download comes to its end, and both processes to theirs, beside a collector of this manner, or none at all.
async fn goes_on_beside(manner: Option<Manner>) -> Result<()> {
    let collector = Collector::start(manner.unwrap_or(Manner::Takes)).await?;
    let url = collector.url();
    // without a manner nobody is there any more
    let collector = manner.is_some().then_some(collector);
    let logs = tempfile::tempdir()?;
    let dir = logs.path().to_str().context("a temporary path in UTF-8")?;
    let mut house = House::open(Store::Disk, &[("HAUL_OTLP_ENDPOINT", &url), ("HAUL_LOG_DIR", dir)]).await?;
    let mut worker = house.worker(&[]).await?;
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.end(&job).await?["status"], "completed", "{manner:?}");
    for process in [&mut worker, &mut house.api] {
        process.signal(Signal::TERM)?;
        assert!(process.ended().await?.success(), "{manner:?}");
    }
    assert!(collector.is_none_or(|collector| collector.batches() >= 2), "{manner:?}");
    for name in ["haul-api.log", "haul-worker.log"] {
        let log = std::fs::read_to_string(logs.path().join(name))?;
        assert!(log.contains("did not get to their collector"), "{manner:?} {name}: {log}");
    }
    Ok(())
}
