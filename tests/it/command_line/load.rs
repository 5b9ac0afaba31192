//! Many users at once, by `haul load`: what it counts, tells and leaves.

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind};
use haul_tests::command_line::{Person, Said};
use haul_tests::gateway::{Gateway, Turn};
use haul_tests::house::unlimited;
use haul_tests::origin::Origin;
use haul_tests::processes::until;
use haul_tests::site::Site;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{MEDIA, id};

const LIST: &str = "/api/v1/downloads";

/// The document that a run ends with.
fn report(said: &Said) -> Result<Value> {
    let mut documents = said.json()?;
    assert_eq!(documents.len(), 1, "{said:?}");
    documents.pop().context("one")
}

/// Requests that the API counted for a method and a route.
async fn counted(site: &Site, method: &str, route: &str) -> Result<f64> {
    let text = String::from_utf8(site.get("/metrics").await?.body)?;
    let labels = [format!(r#"method="{method}""#), format!(r#"route="{route}""#)];
    let series = text.lines().filter(|line| line.starts_with("haul_http_requests_total{"));
    let series = series.filter(|line| labels.iter().all(|label| line.contains(label)));
    series.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
}

async fn ids(site: &Site) -> Result<Vec<String>> {
    let list = site.get(&format!("{LIST}?limit=100")).await?.json();
    let jobs = list["downloads"].as_array().context("a list")?;
    Ok(jobs.iter().filter_map(|job| job["id"].as_str().map(str::to_owned)).collect())
}

/// Waits until there are so many.
async fn orders(site: &Site, count: usize) -> Result<()> {
    until("they are ordered", async || ids(site).await.is_ok_and(|ids| ids.len() >= count)).await.map(drop)
}

#[tokio::test]
async fn what_a_run_counts_is_what_the_service_counted_and_nothing_that_it_made_stays() -> Result<()> {
    let off = unlimited();
    let variables: Vec<_> = off.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let site = Site::with(&variables).await?;
    let person = Person::at(&site.url)?;
    let own = site.submit(MEDIA).await?;
    let words = ["load", "--users", "20", "--for", "2s", "--url", "http://127.0.0.1/{number}.mp4", "--json"];
    let mix = ["--mix", "status=70,submit=15,list=10,health=5", "--ramp", "500ms", "--max-errors", "0%"];
    let said = person.types(&[&words[..], &mix].concat()).await?;
    assert_eq!(said.code, Some(0), "{said:?}");

    let report = report(&said)?;
    let names: Vec<_> = report.as_object().context("an object")?.keys().map(String::as_str).collect();
    let all = "elapsed_seconds for_seconds generator limits mix model rate_per_second scenarios seed server tag total \
               unfinished users";
    assert_eq!(names, all.split(' ').collect::<Vec<_>>());
    assert_eq!((&report["model"], &report["unfinished"]), (&json!("closed"), &json!(0)));
    for (scenario, method, route) in
        [("status", "GET", "/api/v1/downloads/{id}"), ("submit", "POST", LIST), ("health", "GET", "/healthz")]
    {
        let told = report["scenarios"][scenario]["requests"].as_f64().context("a number")?;
        // the first order is the test's own; health was asked once by the test and once before the run
        let before = [("submit", 1.0), ("health", 2.0)].iter().find(|it| it.0 == scenario).map_or(0.0, |it| it.1);
        assert!(told > 0.0, "{report}");
        assert_eq!(told + before, counted(&site, method, route).await?, "{scenario} of {report}");
    }
    let (total, scenarios) = (&report["total"], report["scenarios"].as_object().context("scenarios")?);
    let requests: u64 = scenarios.values().filter_map(|it| it["requests"].as_u64()).sum();
    let answers: u64 = total["statuses"].as_object().context("statuses")?.values().filter_map(Value::as_u64).sum();
    assert_eq!((total["requests"].as_u64(), answers), (Some(requests), requests), "each had one answer");
    assert_eq!((&total["errors"], &total["failed"]), (&json!([]), &json!(0)));
    let times = ["p50", "p90", "p95", "p99", "p99.9", "max"].map(|name| total["latency_ms"][name].as_f64());
    assert!(times.iter().all(|it| it.is_some_and(|it| it > 0.0)) && times.is_sorted(), "{times:?}");
    assert_eq!(ids(&site).await?, [id(&own)], "what others ordered stays, and nothing else");

    // what began by the clock is told and cleaned up after Ctrl-C, too
    let words = ["load", "--rate", "50/s", "--users", "9", "--for", "10m", "--url", MEDIA, "--mix", "submit"];
    let running = person.begins(&words)?;
    orders(&site, 5).await?;
    running.signal(Signal::INT)?;
    let said = running.ends().await?;
    assert_eq!(said.code, Some(130), "{said:?}");
    for word in ["open model", "50 requests begun per second", "P99.9", "submit", "202: "] {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
    assert_eq!(ids(&site).await?, [id(&own)]);

    // and what becomes a download only when whoever ordered it is gone
    let gateway = Gateway::to(site.url.trim_start_matches("http://").parse()?).await;
    gateway.next(Method::POST, LIST, Turn::Late);
    let words = ["load", "--users", "1", "--for", "10m", "--url", MEDIA, "--mix", "submit"];
    let running = Person::at(&gateway.url())?.begins(&words)?;
    until("it orders", async || gateway.held() == 1).await?;
    running.signal(Signal::INT)?;
    // before the run, and after it: then there is nothing yet
    until("it cleans up", async || gateway.answered(&Method::GET, LIST) >= 2).await?;
    assert_eq!(ids(&site).await?, [id(&own)]);
    gateway.release();
    let said = running.ends().await?;
    assert!(said.code == Some(130) && said.err.contains("1 downloads that were ordered are deleted"), "{said:?}");
    assert_eq!(ids(&site).await?, [id(&own)]);

    // also what nobody heard of, and what a proxy gave up on that is carried out all the same
    let gateway = Gateway::to(site.url.trim_start_matches("http://").parse()?).await;
    for turn in [Turn::GivenUpEarly(504), Turn::Halved] {
        gateway.next(Method::POST, LIST, turn);
    }
    let url = ["--url", "http://127.0.0.1/{number}.mp4"];
    let words = ["load", "--users", "2", "--rate", "2/s", "--for", "1s", "--mix", "submit"];
    let running = Person::at(&gateway.url())?.begins(&[&words[..], &url].concat())?;
    until("it cleans up", async || gateway.answered(&Method::GET, LIST) >= 3).await?;
    gateway.release();
    let said = running.ends().await?;
    assert!(said.out.contains("http_504") && said.out.contains("connection_reset"), "{said:?}");
    assert!(said.code == Some(0) && said.err.contains("2 downloads that were ordered are deleted"), "{said:?}");
    assert_eq!(ids(&site).await?, [id(&own)]);

    // or stays, if that is wanted; a limit that does not hold is told by the exit code, also to who reads no figures
    let words = ["load", "--users", "2", "--for", "1s", "--url", "http://127.0.0.1/{number}.mp4", "--mix", "submit"];
    let mut running = person.begins(&[&words[..], &["--keep", "--p95", "0s"]].concat())?;
    running.goes_unread();
    let said = running.ends().await?;
    assert!(said.code == Some(1) && said.err.contains("--p95 does not hold"), "{said:?}");
    let made = site.get(&format!("{LIST}?limit=2")).await?.json();
    let urls = [0, 1].map(|at| made["downloads"][at]["request"]["url"].as_str().unwrap_or_default().to_owned());
    assert!(urls[0] != urls[1] && !urls.concat().contains("number"), "{urls:?}");
    Ok(())
}

#[tokio::test]
async fn each_way_to_fail_is_counted_in_its_class() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_READS", "5/m")]).await?;
    let gateway = Gateway::to(site.url.trim_start_matches("http://").parse()?).await;
    for turn in [Turn::Stalled(5), Turn::Refused(502), Turn::Halved, Turn::Refused(404)] {
        gateway.next(Method::GET, LIST, turn);
    }
    // one waits in vain, and the other one goes on
    let words = ["load", "--users", "2", "--for", "2s", "--mix", "list", "--timeout", "5", "--json"];
    let person = Person::at(&gateway.url())?;
    let failing = person.begins(&[&words[..], &["--max-errors", "1%", "--p95", "1m"]].concat())?;

    // the one user waits in vain: what is due meanwhile has none
    let holding = Gateway::to(site.url.trim_start_matches("http://").parse()?).await;
    holding.next(Method::GET, LIST, Turn::Held);
    let words = ["load", "--users", "1", "--rate", "20/s", "--for", "1s", "--mix", "list", "--timeout", "5", "--json"];
    let open = Person::at(&holding.url())?;
    let dropping = open.begins(&words)?;

    let said = failing.ends().await?;
    assert!(said.code == Some(1) && said.err.contains("--max-errors does not hold"), "{said:?}");
    assert!(said.err.contains("--p95 does not hold: only "), "refusals are no quick answers: {said:?}");
    let list = report(&said)?["scenarios"]["list"].clone();
    let limited = &list["statuses"]["429"];
    assert!(limited.as_u64().is_some_and(|count| count > 0), "{list}");
    let class = |class: &str, code: Option<&str>, count: &Value| json!({"class": class, "code": code, "count": count});
    let one = json!(1);
    let expected = [
        class("refused", Some("http_404"), &one),
        class("rate_limited", None, limited),
        class("server_error", Some("http_502"), &one),
        class("timeout", None, &one),
        class("connection_reset", None, &one),
    ];
    assert_eq!(list["errors"], json!(expected));

    let total = report(&dropping.ends().await?)?["total"].clone();
    let expected = [class("timeout", None, &one), class("dropped", None, &json!(19))];
    assert_eq!((&total["requests"], &total["errors"]), (&json!(20), &json!(expected)));
    assert_eq!(total["per_second"], json!(0.0), "the only answer would have been later");

    let stranger = Origin::start().await;
    stranger.answer("/healthz", 200, &[], "ok");
    stranger.answer(LIST, 200, &[(CONTENT_TYPE, "text/html")], "<!doctype html><title>Welcome</title>");
    let for_ever = u64::MAX.to_string();
    let words = ["load", "--users", "2", "--for", "1s", "--mix", "list", "--timeout", &for_ever, "--json"];
    let said = Person::at(&stranger.url(""))?.types(&words).await?;
    let total = report(&said)?["total"].clone();
    assert_eq!(total["errors"], json!([class("garbage", None, &total["requests"])]));
    assert_eq!(said.code, Some(0), "what ordered nothing cleans nothing up: {said:?}");

    // what can't be found again is not ordered
    let (kind, problem) =
        ((CONTENT_TYPE, "application/problem+json"), json!({"status": 403, "code": "forbidden", "detail": "No."}));
    stranger.answer(LIST, 403, &[kind], problem.to_string());
    let asked = stranger.hits(LIST);
    let said = Person::at(&stranger.url(""))?.types(&["load", "--mix", "submit", "--url", MEDIA]).await?;
    assert!(said.code == Some(4) && said.err.contains("forbidden"), "{said:?}");
    assert_eq!(stranger.hits(LIST), asked + 1, "the list was asked for, and nothing ordered");
    Ok(())
}

#[tokio::test]
async fn a_journey_takes_from_the_order_to_the_last_byte_and_a_download_that_fails_is_its_error() -> Result<()> {
    let site = Site::start().await?;
    let person = Person::at(&site.url)?;
    let words = ["load", "--mix", "journey", "--rate", "2/s", "--for", "1s", "--fetch", "--json", "--url"];
    let words = [&words[..], &["http://127.0.0.1/{number}.mp4"]].concat();
    let running = person.begins(&words)?;
    orders(&site, 2).await?;
    site.complete(b"the bytes of the media").await?;
    site.fail(&Failure::new(FailureKind::GeoBlocked, "Video unavailable in your country")).await?;
    let said = running.ends().await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = report(&said)?;
    let total = &told["total"];
    assert_eq!((&told["unfinished"], &total["requests"]), (&json!(0), &json!(2)), "{told}");
    assert_eq!(total["errors"], json!([{"class": "job_failed", "code": "geo_blocked", "count": 1}]));
    assert!(total["statuses"]["202"] == 2 && total["statuses"]["200"].as_u64() >= Some(4), "{total}");
    assert_eq!(ids(&site).await?, [""; 0]);

    // those that are cut off are no figures of the service
    let running = person.begins(&words)?;
    orders(&site, 2).await?;
    running.signal(Signal::TERM)?;
    let said = running.ends().await?;
    let told = report(&said)?;
    assert_eq!((said.code, &told["unfinished"], &told["total"]["requests"]), (Some(130), &json!(2), &json!(0)));
    assert_eq!(ids(&site).await?, [""; 0]);

    // nor does the one stay that is ordered where there is none to ask for, when its answer does not come or does not tell
    let gateway = Gateway::to(site.url.trim_start_matches("http://").parse()?).await;
    for turn in [Turn::Halved, Turn::Doubted] {
        gateway.next(Method::POST, LIST, turn);
        let said = Person::at(&gateway.url())?.types(&["load", "--mix", "status", "--url", MEDIA]).await?;
        assert!(said.code == Some(3) && said.err.contains("1 downloads that were ordered are deleted"), "{said:?}");
        assert_eq!(ids(&site).await?, [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_can_not_or_should_not_begin_says_why() -> Result<()> {
    let nobody = Person::at("http://127.0.0.1:9")?;
    let said = nobody.types(&["load", "--mix", "health"]).await?;
    assert!(said.code == Some(3) && said.err.contains("can't be reached"), "{said:?}");
    for (words, why) in [
        (&["load", "--server", "http://192.0.2.1"][..], "--i-may"),
        (&["load", "--mix", "submit"], "--url"),
        (&["load", "--urls", "nowhere.txt"], "nowhere.txt"),
        (&["load", "--mix", "dance=1"], "dance"),
    ] {
        let said = nobody.types(words).await?;
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
    }
    Ok(())
}
