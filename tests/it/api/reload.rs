//! The keys file changes while requests are under way.

use std::fs::{self, File};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use haul_tests::events::Following;
use haul_tests::keys::{Keys, key, text};
use haul_tests::processes::until;
use haul_tests::site::Site;
use reqwest::Method;
use tokio::time::{MissedTickBehavior, timeout};

const DOWNLOADS: &str = "/api/v1/downloads";
/// What is more than connections hold by themselves.
const FILM: usize = 32 << 20;
/// A change counts before this is over.
const SETTLED: Duration = Duration::from_secs(5);
/// Between two questions of one caller.
const PACE: Duration = Duration::from_millis(10);

/// Callers with one key who ask all the time, over connections that are kept and over new ones.
struct Crowd {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Crowd {
    fn of(site: &Site, name: &str) -> Result<Self> {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut callers = Vec::new();
        for idle in [8, 0, 8, 0] {
            let http = reqwest::Client::builder().pool_max_idle_per_host(idle).build()?;
            let (url, key) = (format!("{}{DOWNLOADS}", site.url), key(name));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            callers.push(tokio::spawn(async move {
                // as quickly as they can they would take both cores from other tests
                let mut pace = tokio::time::interval(PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stop.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let answer = http.get(&url).bearer_auth(&key).send().await.context("an answer")?;
                    ensure!(answer.status() == 200, "{}", answer.status());
                    answer.bytes().await.context("a whole answer")?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        Ok(Self { stop, answered, callers })
    }

    /// How many were answered, none of them otherwise than with 200.
    async fn leave(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await??;
        }
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

/// Puts another file in the place of the keys file, as a careful program does; with the time of the old one.
fn replace(keys: &Keys, text: &str, modified: Option<SystemTime>) -> Result<()> {
    let beside = keys.folder().join("keys.toml.new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    Ok(fs::rename(beside, keys.path())?)
}

/// Writes over the keys file, as an editor does; and sets its time back.
fn overwrite(keys: &Keys, text: &str, modified: Option<SystemTime>) -> Result<()> {
    fs::write(keys.path(), text)?;
    if let Some(modified) = modified {
        File::options().write(true).open(keys.path())?.set_modified(modified)?;
    }
    Ok(())
}

async fn is_let_in(site: &Site, name: &str) -> bool {
    site.ask(name, Method::GET, DOWNLOADS).await.is_ok_and(|answer| answer.status == 200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_go_soon_however_the_file_is_changed_and_no_request_is_dropped() -> Result<()> {
    let keys = Keys::of(&[("kept", ""), ("k0", "")])?;
    let site = keys.site(&[]).await?;
    let film: Vec<u8> = (0..FILM).map(|at| (at % 251) as u8).collect();
    let watched = site.submit_as("kept", "http://127.0.0.1/film.mp4").await?;
    site.complete(&film).await?;
    // let in with a key that goes: a job that is waited for, and bytes that are fetched
    let of_gone = site.submit_as("k0", "http://127.0.0.1/film.mp4").await?;
    let waiting = site.submit_as("k0", "http://127.0.0.1/next.mp4").await?;
    let begin = async |name: &str, path: &str| {
        anyhow::Ok(
            site.request(Method::GET, path).bearer_auth(key(name)).send().await?.error_for_status()?.bytes_stream(),
        )
    };
    let mut streams =
        [begin("kept", &format!("{watched}/content")).await?, begin("k0", &format!("{of_gone}/content")).await?];
    let held = tokio::spawn(site.request(Method::GET, &format!("{waiting}?wait=60")).bearer_auth(key("k0")).send());
    let crowd = Crowd::of(&site, "kept")?;
    until("all are under way", async || crowd.answered.load(Ordering::Relaxed) > 100).await?;

    let modified = fs::metadata(keys.path())?.modified()?;
    for change in 1..=6 {
        let (old, new) = (format!("k{}", change - 1), format!("k{change}"));
        // the text stays as long as it was
        let text = text(&[("kept", ""), (&new, "")]);
        match change {
            1 | 2 => replace(&keys, &text, (change == 2).then_some(modified))?,
            3 | 4 => overwrite(&keys, &text, (change == 4).then_some(modified))?,
            // twice within a tick of the clock
            5 => {
                overwrite(&keys, &text.replace("k5", "kx"), None)?;
                overwrite(&keys, &text, None)?;
            }
            _ => {
                fs::remove_file(keys.path())?;
                replace(&keys, &text, None)?;
            }
        }
        let changed = until("it counts", async || is_let_in(&site, &new).await && !is_let_in(&site, &old).await);
        timeout(6 * SETTLED, changed).await.with_context(|| format!("change {change}"))??;
    }

    for (stream, name) in streams.iter_mut().zip(["kept", "k0"]) {
        let mut fetched = Vec::with_capacity(FILM);
        while let Some(part) = stream.next().await {
            fetched.extend_from_slice(&part.context(name)?);
        }
        assert!(fetched == film, "{name}: {} bytes", fetched.len());
    }
    site.complete(b"next").await?;
    assert_eq!(held.await??.status(), 200, "who was let in is answered");
    assert!(crowd.leave().await? > 100);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_written_changes_nothing_until_it_is_whole() -> Result<()> {
    let keys = Keys::of(&[("first", ""), ("kept", "")])?;
    let site = keys.site(&[]).await?;
    let crowd = Crowd::of(&site, "kept")?;
    let (half, whole) = (text(&[("other", "")]), text(&[("other", ""), ("kept", "")]));

    // an editor that is always found with half of it written, which by itself could be a whole file
    let (path, editing) = (keys.path(), Arc::new(AtomicBool::new(true)));
    let goes_on = Arc::clone(&editing);
    let editor = std::thread::spawn(move || -> std::io::Result<()> {
        while goes_on.load(Ordering::Relaxed) {
            let mut file = File::create(&path)?;
            file.write_all(half.as_bytes())?;
            file.sync_all()?;
            std::thread::yield_now();
        }
        fs::write(&path, whole)
    });
    let taken = until("it is taken", async || is_let_in(&site, "other").await);
    assert!(timeout(SETTLED, taken).await.is_err(), "half a file was taken");
    editing.store(false, Ordering::Relaxed);
    editor.join().ok().context("the editor")??;
    timeout(6 * SETTLED, until("the whole counts", async || is_let_in(&site, "other").await)).await??;
    timeout(6 * SETTLED, until("nothing else does", async || !is_let_in(&site, "first").await)).await??;

    // what is no keys file leaves those of before in force
    fs::write(keys.path(), "[[keys]]\nname = ")?;
    let gone = until("it is gone", async || !is_let_in(&site, "other").await);
    assert!(timeout(SETTLED, gone).await.is_err(), "a broken file was taken");
    fs::remove_file(keys.path())?;
    let gone = until("it is gone", async || !is_let_in(&site, "other").await);
    assert!(timeout(SETTLED, gone).await.is_err(), "no file at all was taken for one without keys");
    assert!(crowd.leave().await? > 100);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_its_streams_and_no_others() -> Result<()> {
    let keys = Keys::of(&[("a", ""), ("b", "")])?;
    let site = keys.site(&[]).await?;
    let mut streams = Vec::new();
    for (name, other) in [("a", "b"), ("b", "a")] {
        let events = format!("{}/events", site.submit_as(name, "http://127.0.0.1/v.mp4").await?);
        assert_eq!(site.ask(other, Method::GET, &events).await?.told(), "404 not_found");
        let request = site.request(Method::GET, &events).bearer_auth(key(name));
        let mut stream = Following::begin(request, None).await?.context("a stream")?;
        stream.must().await?;
        streams.push(stream);
    }
    overwrite(&keys, &text(&[("b", "")]), None)?;
    let rest = streams[0].rest().await?;
    assert!(rest.iter().all(|event| event.name == "progress"), "it ends without an end of the job: {rest:#?}");
    site.complete(b"media").await?;
    assert_eq!(streams[1].rest().await?.last().context("an end")?.name, "completed");
    Ok(())
}
