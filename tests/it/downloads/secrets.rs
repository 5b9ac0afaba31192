//! What an operator's log and metrics must not tell, and what no program is told.

use std::collections::BTreeSet;

use haul_tests::collector::{Collector, Manner};
use haul_tests::receiver::{Receiver, Reply};
use haul_tests::s3;
use rustix::process::Signal;

use super::*;

/// Part of a query, as a site's own token would be.
const TOKEN: &str = "hush-hush-4711";
/// What webhooks are signed with.
const SIGNED_WITH: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// From where one is asked.
const CLIENT: &str = "198.51.100.77";

#[tokio::test]
async fn no_log_line_and_no_metric_holds_a_link_a_secret_or_a_source_query() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let dir = logs.path().to_str().context("a temporary path in UTF-8")?;
    let collector = Collector::start(Manner::Takes).await?;
    let mut house = House::open(
        Store::Disk,
        &[
            ("HAUL_LOG", "debug"),
            ("HAUL_LOG_DIR", dir),
            ("HAUL_TRUSTED_PROXIES", "127.0.0.0/8"),
            ("HAUL_WEBHOOK_SECRETS", SIGNED_WITH),
            ("HAUL_OTLP_ENDPOINT", &collector.url()),
        ],
    )
    .await?;
    let mut worker = house.worker(&[("HAUL_RETRIES", "0")]).await?;
    let receiver = Receiver::start().await?;
    receiver.will([Reply::Status(500)]);
    let webhook = json!({"url": receiver.url(&format!("/hook?token={TOKEN}"))});
    let more = json!({"external_id": "order", "webhook": webhook});
    let with_token = |url: String| request(&format!("{url}?token={TOKEN}"), more.clone());

    let good = house.order(&with_token(house.origin.url("/progressive.mp4"))).await?;
    let gone = house.order(&with_token(house.origin.url("/no-such-file.mp4"))).await?;
    let page = house.order(&with_token(house.origin.url("/page.html"))).await?;
    proven(&house, &good).await?;
    assert_eq!(house.outcome(&gone).await?, "unavailable");
    house.end(&page).await?;
    let link = house.fetch(&good).await?.link["url"].as_str().context("a link")?.to_owned();
    let asked = json!({"url": format!("{}?token={TOKEN}", house.origin.url("/progressive.mp4"))});
    assert_eq!(house.ask(Method::POST, "/api/v1/metadata", &asked).await?.status, 200);

    // what is taken, and what is refused
    let of_client = |method, path: &str| house.request(&house.api, method, path).header("x-forwarded-for", CLIENT);
    let theirs = with_token(house.origin.url("/progressive.mp4"));
    assert_eq!(of_client(Method::POST, "/api/v1/downloads").json(&theirs).send().await?.status(), 200);
    assert_eq!(of_client(Method::POST, "/api/v1/downloads").body("{").send().await?.status(), 415);
    assert_eq!(of_client(Method::GET, "/api/v1/downloads/none").send().await?.status(), 404);

    // four ends, of which one was told twice
    let signature_of_a_message = receiver.has(5).await?[0].header("webhook-signature").to_owned();
    let http = reqwest::Client::builder().timeout(processes::PATIENCE).build()?;
    let mut told = house.get("/metrics").await?.body.to_vec();
    let of_worker = http.get(format!("http://{}/metrics", worker.address())).send().await?.bytes().await?;
    told.extend(of_worker);
    // a process that ends has written all that it had to say
    for process in [&mut worker, &mut house.api] {
        process.signal(Signal::TERM)?;
        assert!(process.ended().await?.success());
    }
    for entry in std::fs::read_dir(logs.path())? {
        told.extend(std::fs::read(entry?.path())?);
    }
    let spans = collector.spans()?;
    let names: BTreeSet<_> = spans.iter().map(|span| &*span.name).collect();
    let missing = ["enqueue", "job", "yt-dlp", "webhook", "link", "content"].map(|name| (name, names.contains(name)));
    assert!(missing.iter().all(|(_, is_there)| *is_there), "{missing:?}");
    told.extend(spans.iter().flat_map(|span| format!("{span:?}\n").into_bytes()));
    let told = String::from_utf8_lossy(&told);
    assert!(
        told.contains("haul_jobs_running") && told.contains("begins, attempt 1") && told.contains("was not taken"),
        "both logs and metrics are there"
    );

    let signature = link.rsplit_once("sig=").context("a signature")?.1;
    let ticket = good.rsplit('/').next().unwrap_or_default();
    for secret in
        [TOKEN, CLIENT, signature, "/media.mp4", "the key of the tests", ticket, SIGNED_WITH, &signature_of_a_message]
    {
        let line = told.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in: {line:?}");
    }
    Ok(())
}

/// Whoever takes a program over finds in it, and in those that started it, whatever they were told.
#[tokio::test]
async fn no_program_and_no_launcher_is_told_a_secret_of_the_worker() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_SLOTS", "2")]).await?;
    let secrets =
        [s3::ACCESS_KEY_ID, s3::SECRET_ACCESS_KEY, "the key of the tests", &house.redis.url()].map(str::to_owned);
    // an ffmpeg that waits for segments, beside a warm extractor, and a yt-dlp that waits for its site
    for (warm, fault, path, program) in [
        ("1", Fault::Throttle(40_000), "/hls-ts/360p.m3u8", "ffmpeg"),
        ("0", Fault::Hang, "/progressive.mp4", "yt-dlp"),
    ] {
        let worker = house.worker(&[("HAUL_WARM_EXTRACTORS", warm)]).await?;
        house.order(&request(&house.origin.spoilt(fault, path), json!({}))).await?;
        let runs = |name: &str| worker.programs().iter().any(|one| one.runs(name));
        processes::until("its program runs", async || runs(program) && runs("haul-jail")).await?;
        let mut looked_at = 0;
        for one in worker.descendants() {
            for name in ["environ", "cmdline"] {
                // who has just ended tells nothing any more
                let told = std::fs::read(format!("/proc/{}/{name}", one.id())).unwrap_or_default();
                let told = String::from_utf8_lossy(&told).replace('\0', " ");
                looked_at += usize::from(!told.is_empty());
                let secret = secrets.iter().find(|secret| told.contains(secret.as_str()));
                assert!(secret.is_none(), "{secret:?} is in {name}: {told}");
            }
        }
        assert!(looked_at >= 4, "{looked_at}");
    }
    Ok(())
}
