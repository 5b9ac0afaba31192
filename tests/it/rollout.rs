//! A new yt-dlp beside an old one, with real parts: two workers whose programs differ, sites that one or the other of them
//! cannot read, and what `haul-worker update-check` says of it all.

use std::path::Path;

use anyhow::{Context as _, Result};
use haul_shared::store::JobStore;
use haul_tests::house::{House, Store, request};
use haul_tests::origin::Origin;
use haul_tests::processes::{said_with, until};
use haul_tests::redis::Redis;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::store::{settings, worker};
use crate::warm::{gives_way, program};

const OLD: &str = "2026.08.19";
const NEW: &str = "2026.09.01";

/// Rounds of orders after which there is a verdict.
const ROUNDS: usize = 20;

/// The real one under this version, which cannot read what is at this address, and whose generic extractor takes loopback only: as
/// a site's own.
fn ytdlp(dir: &Path, version: &str, unreadable: &Origin) -> String {
    std::fs::create_dir(dir.join(version)).unwrap();
    // what it says of itself it has taken over when it was loaded
    let package = format!(
        "{}\nyt_dlp.version.__version__ = yt_dlp.options.__version__ = {version:?}\n\
         understood = yt_dlp.YoutubeDL.extract_info\n\
         def extract_info(self, url, *args, **kwargs):\n\
         \x20   if '{}' in url:\n\
         \x20       self.report_error('[site] 1: Unable to extract player response')\n\
         \x20   return understood(self, url, *args, **kwargs)\n\
         yt_dlp.YoutubeDL.extract_info = extract_info\n\
         from yt_dlp.extractor.generic import GenericIE\n\
         GenericIE.suitable = classmethod(lambda cls, url: '//127.0.0.1:' in url)\n",
        gives_way(),
        unreadable.address(),
    );
    program(&dir.join(version), &package).display().to_string()
}

async fn extractors(house: &House) -> Result<Value> {
    Ok(house.get("/api/v1/stats").await?.json()["extractors"].clone())
}

fn verdict(trial: &Value, site: &Origin) -> String {
    let sites = trial["sites"].as_array().into_iter().flatten();
    let site = sites.into_iter().find(|it| it["site"] == site.address().to_string());
    site.and_then(|site| site["verdict"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_new_yt_dlp_is_rolled_back_where_it_breaks_and_promoted_where_it_mends_while_all_jobs_end() -> Result<()> {
    let (programs, broken, mended) = (TempDir::new()?, Origin::start().await, Origin::start().await);
    let (old, new) = (ytdlp(programs.path(), OLD, &mended), ytdlp(programs.path(), NEW, &broken));
    let house = House::open(Store::Disk, &[("HAUL_TRIAL_SHARE", "50")]).await?;
    let slots = ("HAUL_SLOTS", "2");
    let _old = house.quick_worker(&[("HAUL_YTDLP", old.as_str()), slots]).await?;
    let new = house.quick_worker(&[("HAUL_YTDLP", new.as_str()), slots]).await?;
    until("the new one is on trial", async || extractors(&house).await.is_ok_and(|it| it["trial"]["ytdlp"] == NEW))
        .await?;
    assert_eq!(
        extractors(&house).await?["versions"],
        json!([{ "ytdlp": OLD, "workers": 1, "slots": 2 }, { "ytdlp": NEW, "workers": 1, "slots": 2 }])
    );

    let mut number = 0;
    let mut order = async |site: &Origin| {
        number += 1;
        house.order(&request(&site.url(&format!("/progressive.mp4?n={number}")), json!({}))).await
    };
    let mut trial = Value::Null;
    for _ in 0..ROUNDS {
        let mut jobs = Vec::new();
        for (site, version) in [(&broken, OLD), (&mended, NEW), (&broken, OLD), (&mended, NEW)] {
            jobs.push((order(site).await?, version));
        }
        for (job, version) in jobs {
            let view = house.end(&job).await?;
            assert_eq!((&view["status"], &view["ytdlp"]), (&json!("completed"), &json!(version)), "{view}");
        }
        trial = extractors(&house).await?["trial"].clone();
        if verdict(&trial, &broken) == "rolled_back" && verdict(&trial, &mended) == "promoted" {
            break;
        }
    }
    assert_eq!(
        (verdict(&trial, &broken), verdict(&trial, &mended)),
        ("rolled_back".into(), "promoted".into()),
        "{trial}"
    );
    assert_eq!((&trial["verdict"], trial["since"].is_string()), (&json!("undecided"), true), "one site is not all");
    assert_eq!(house.metric(&house.api, "haul_extractor_trials{verdict=\"rolled_back\"}").await?, 1.0);

    for (site, version) in [(&broken, OLD), (&mended, NEW)] {
        let view = house.end(&order(site).await?).await?;
        assert_eq!((&view["status"], &view["ytdlp"]), (&json!("completed"), &json!(version)), "{view}");
        assert!(view["attempt"] == 1 || site.address() == mended.address(), "{view}");
    }
    let mut connection = house.redis.connection().await?;
    let heard: Vec<String> = redis::cmd("HVALS").arg("haul1:{0}:tried").query_async(&mut connection).await?;
    assert!(heard.iter().any(|site| site.ends_with(" generic")), "no site has an extractor to itself: {heard:?}");
    // nobody waits for who has gone: what the old one cannot read fails
    new.stop().await?;
    until("it is known to have gone", async || {
        extractors(&house).await.is_ok_and(|it| it["versions"] == json!([{ "ytdlp": OLD, "workers": 1, "slots": 2 }]))
    })
    .await?;
    assert_eq!(house.outcome(&order(&mended).await?).await?, "extractor_error");
    Ok(())
}

/// What it says to these wheels, by their names: exit code and report.
async fn checked(redis: &str, wheels: &[&str], more: &[(&str, &str)]) -> Result<(Option<i32>, Value)> {
    let (dir, data) = (TempDir::new()?, TempDir::new()?);
    for wheel in wheels {
        std::fs::write(dir.path().join(format!("yt_dlp-{wheel}-py3-none-any.whl")), "")?;
    }
    let tools = haul_tests::tools();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
    let (links, data) = (dir.path().display().to_string(), data.path().display().to_string());
    let mut variables = vec![
        ("PATH", path.as_str()),
        ("HAUL_REDIS_URL", redis),
        ("HAUL_DATA_DIR", &data),
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", &links),
    ];
    variables.extend(more);
    let said = said_with("haul-worker", &["update-check", "--json"], &variables).await?;
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    Ok((said.status.code(), serde_json::from_slice(&said.stdout).context(told)?))
}

#[tokio::test]
async fn update_check_tells_what_is_to_be_had_and_how_the_fleet_does_and_its_exit_code_says_which() -> Result<()> {
    let redis = Redis::start().await?;
    let store = JobStore::new(redis.server(4)?, settings());
    for version in [OLD, NEW] {
        let mut worker = worker(version, &["default"]);
        worker.ytdlp = version.to_owned();
        store.announce(&worker).await?;
    }
    store.look_at_trial(10).await?;
    let mut connection = redis.connection().await?;
    // as if somebody went on looking
    let trial = ["till", "9000000000000"];
    redis::cmd("HSET").arg("haul1:{0}:trial").arg(&trial).query_async::<()>(&mut connection).await?;

    let (code, report) = checked(&redis.url(), &["2020.1.1", "2099.1.1"], &[]).await?;
    assert_eq!((code, &report["update"], &report["newest"]), (Some(1), &json!(true), &json!("2099.1.1")), "{report}");
    let versions = json!([{ "ytdlp": OLD, "workers": 1 }, { "ytdlp": NEW, "workers": 1 }]);
    assert_eq!(report["fleet"]["versions"], versions);
    assert_eq!(report["fleet"]["trial"], json!({ "ytdlp": NEW, "verdict": "undecided", "sites": [] }));
    assert!(report["next"][0].as_str().is_some_and(|step| step.contains("yt-dlp[default]==2099.1.1")), "{report}");

    let rulings = ["a.example", "promoted 50 0 400 0", "b.example", "rolled_back 0 4 40 0"];
    redis::cmd("HSET").arg("haul1:{0}:rulings").arg(&rulings).query_async::<()>(&mut connection).await?;
    redis::cmd("HSET").arg("haul1:{0}:trial").arg(&["all", "promoted"]).query_async::<()>(&mut connection).await?;
    let (_, report) = checked(&redis.url(), &["2099.1.1"], &[]).await?;
    assert_eq!(report["fleet"]["trial"]["sites"][0], json!({ "site": "b.example", "verdict": "rolled_back" }));
    let step = report["next"].as_array().and_then(|steps| steps.last()).and_then(Value::as_str).unwrap_or_default();
    assert!(step.contains("not at b.example") && step.contains("all but a few workers"), "{step}");

    let nobody = "redis://127.0.0.1:9";
    let (code, report) = checked(nobody, &["2020.1.1"], &[]).await?;
    assert_eq!((code, &report["update"], &report["fleet"]), (Some(0), &json!(false), &Value::Null), "{report}");
    let (code, report) = checked(nobody, &[], &[]).await?;
    assert_eq!((code, &report["update"], &report["newest"]), (Some(2), &Value::Null, &Value::Null), "{report}");
    assert!(report["here"].as_str().is_some_and(|here| here.starts_with("20")), "{report}");
    assert!(report["unknown"][0].as_str().is_some_and(|why| why.contains("pip does not tell")), "{report}");
    let (code, report) = checked(nobody, &["2099.1.1"], &[("HAUL_YTDLP", "/bin/echo")]).await?;
    assert_eq!((code, &report["newest"]), (Some(2), &Value::Null), "{report}");
    Ok(())
}
