//! What a running API and a running worker tell, to promtool and to a real Prometheus.

use haul_tests::house::{House, Store, request};
use haul_tests::processes::Process;
use haul_tests::prometheus::{Prometheus, promtool};
use haul_tests::site::{Answer, send};
use reqwest::Method;
use serde_json::json;

use super::*;

/// The metrics of the contract, each with a series that is there as soon as the service has done one job.
const CONTRACT: [&str; 24] = [
    r#"haul_http_requests_total{job="haul-api", method="POST", route="/api/v1/downloads", status="202"}"#,
    r#"haul_http_request_duration_seconds_bucket{method="GET", route="/metrics", le="+Inf"}"#,
    r#"haul_rate_limited_total{class="downloads"}"#,
    r#"haul_queue_depth{region="default", priority="low"}"#,
    r#"haul_queue_oldest_seconds{region="default"}"#,
    r#"haul_queue_wait_seconds_bucket{job="haul-worker", le="+Inf"}"#,
    r#"haul_jobs_total{status="completed"}"#,
    r#"haul_jobs_total{status="expired"}"#,
    r#"haul_job_failures_total{code="geo_blocked"}"#,
    r#"haul_job_retries_total{code="network"}"#,
    r#"haul_stage_duration_seconds_count{stage="upload"}"#,
    r#"haul_jobs_running{job="haul-worker"}"#,
    r#"haul_worker_slots{job="haul-worker"}"#,
    r#"haul_downloaded_bytes_total{job="haul-worker"}"#,
    r#"haul_uploaded_bytes_total{job="haul-worker"}"#,
    r#"haul_metadata_cache_total{result="stale"}"#,
    "haul_results_reused_total",
    "haul_leases_lost_total",
    r#"haul_egress_denied_total{job="haul-api", reason="port"}"#,
    r#"haul_egress_denied_total{job="haul-worker", reason="port"}"#,
    r#"haul_redis_pool_connections{job="haul-worker", state="idle"}"#,
    "haul_storage_bytes",
    r#"haul_build_info{job="haul-api", ytdlp="none"}"#,
    r#"haul_build_info{job="haul-worker", ytdlp!="none"}"#,
];

/// A service with a worker.
async fn open() -> Result<(House, Process)> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    Ok((house, worker))
}

/// Has it do one job, and look at one address twice.
async fn put_to_work(house: &House) -> Result<()> {
    let url = house.origin.url("/progressive.mp4");
    let job = house.order(&request(&url, json!({}))).await?;
    for _ in 0..2 {
        let looked = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": url })).await?;
        assert_eq!(looked.status, 200);
    }
    assert_eq!(house.outcome(&job).await?, "completed");
    Ok(())
}

async fn scraped(house: &House, process: &Process) -> Result<Answer> {
    let answer = send(house.request(process, Method::GET, "/metrics")).await?;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    Ok(answer)
}

/// The metrics that a text has the type of.
fn metrics_of(text: &str) -> BTreeSet<String> {
    named(text, "# TYPE ").filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_both_processes_tell_is_in_the_manual_and_promtool_finds_no_fault_with_it() -> Result<()> {
    let (mut house, worker) = open().await?;
    put_to_work(&house).await?;
    let mut told = BTreeSet::new();
    for process in [&house.api, &worker] {
        let answer = scraped(&house, process).await?;
        let said = promtool(&["check", "metrics"], &answer.body).await?;
        let complaint = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(said.status.success() && complaint.is_empty(), "{complaint}");
        told.extend(metrics_of(&String::from_utf8(answer.body)?));
        let packed = house.request(process, Method::GET, "/metrics").header("accept-encoding", "gzip");
        assert_eq!(send(packed).await?.header("content-encoding"), "gzip");
    }
    let rows = file("docs/TELEMETRY.md")?;
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
    let listed: BTreeSet<String> =
        rows.filter(|name| name.starts_with("haul_") || name.starts_with("process_")).map(str::to_owned).collect();
    assert_eq!(told, listed, "the table of metrics has all that there are, and no others");

    let rules = file("deploy/prometheus/rules/alerts.yml")? + &file("deploy/prometheus/rules/recording.yml")?;
    let mut asked = metrics_in(&rules);
    asked.extend(questions()?.iter().flat_map(|question| metrics_in(&question.expression)));
    let unknown: Vec<&String> = asked.iter().filter(|name| !name.contains(':') && !told.contains(*name)).collect();
    assert!(unknown.is_empty(), "rules or dashboard ask for what nobody tells: {unknown:?}");

    // A scrape of an API without Redis was not told from one with it.
    house.redis.kill()?;
    for process in [&house.api, &worker] {
        let text = String::from_utf8(scraped(&house, process).await?.body)?;
        assert!(text.contains("haul_redis_up 0") && text.contains("haul_build_info{"), "{text}");
        let failed = |line: &str| line.starts_with("haul_redis_call_failures_total{") && !line.ends_with(" 0");
        assert!(text.lines().any(failed), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn prometheus_scrapes_a_running_service_and_every_rule_and_panel_has_its_numbers() -> Result<()> {
    let (house, worker) = open().await?;
    let mut prometheus = Prometheus::start(house.api.address(), worker.address()).await?;
    prometheus.until("both are scraped", async |it| Ok(it.number("sum(haul_redis_up)").await? == Some(2.0))).await?;
    put_to_work(&house).await?;
    let numbers = [
        (r#"haul_jobs_total{status="completed"}"#, 1.0),
        (r#"haul_job_duration_seconds_count{status="completed"}"#, 1.0),
        (r#"haul_metadata_cache_total{result="hit"} > bool 0"#, 1.0),
        (r#"sum(up{job=~"haul-.+"})"#, 2.0),
    ];
    for (expression, number) in numbers {
        prometheus.until(expression, async |it| Ok(it.number(expression).await? == Some(number))).await?;
    }
    for series in CONTRACT {
        prometheus.until(series, async |it| Ok(!it.ask(series).await?.is_empty())).await?;
    }

    let files = file("deploy/prometheus/rules/alerts.yml")? + &file("deploy/prometheus/rules/recording.yml")?;
    let written = named(&files, "alert: ").chain(named(&files, "record: ")).count();
    prometheus
        .until("all rules have been evaluated", async |it| {
            let rules = it.rules().await?;
            Ok(rules.len() == written && rules.iter().all(|rule| rule["health"] != "unknown"))
        })
        .await?;
    for rule in prometheus.rules().await? {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    for Question { title, expression } in &questions()? {
        // whether it is taken is told at once; what is recorded of a rate needs a moment
        prometheus.ask(expression).await.with_context(|| title.clone())?;
        let has_some = async |it: &Prometheus| Ok(!it.ask(expression).await?.is_empty());
        prometheus.until(&format!("{title} has something: {expression}"), has_some).await?;
    }
    Ok(())
}
