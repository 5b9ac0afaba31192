//! What a person does not lose: by a kill, by Ctrl-C, by a server or a store that is away.

use anyhow::{Context as _, Result};
use haul_tests::command_line::{Person, Said};
use haul_tests::gateway::{Gateway, Turn};
use haul_tests::processes::until;
use haul_tests::site::Site;
use reqwest::Method;
use rustix::process::Signal;

use super::{MEDIA, content, id};

const LIST: &str = "/api/v1/downloads";

/// Bytes of a result, more than fit into one piece.
const SIZE: usize = 3 << 20;

fn media() -> Vec<u8> {
    (0..SIZE).map(|at| (at % 251) as u8).collect()
}

async fn gateway(site: &Site) -> Result<Gateway> {
    Ok(Gateway::to(site.url.trim_start_matches("http://").parse()?).await)
}

/// The one download that there is, as `status path`.
async fn only(site: &Site) -> Result<(String, String)> {
    let list = site.get("/api/v1/downloads").await?.json();
    let [job] = list["downloads"].as_array().context("a list")?.as_slice() else { anyhow::bail!("one: {list}") };
    let text = |field: &str| job[field].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), format!("/api/v1/downloads/{}", text("id"))))
}

#[tokio::test]
async fn who_was_killed_while_saving_and_types_the_same_again_fetches_only_the_rest() -> Result<()> {
    let site = Site::start().await?;
    let gateway = gateway(&site).await?;
    let person = Person::at(&gateway.url())?;
    let order = ["get", MEDIA, "--via-api", "-o", "."];

    // the order is made, and carried out
    let running = person.begins(&order)?;
    until("it is ordered", async || only(&site).await.is_ok()).await?;
    let (_, job) = only(&site).await?;
    gateway.next(Method::GET, &content(&job), Turn::Stalled(SIZE / 2));
    site.complete(&media()).await?;
    let part = async || {
        let names = person.files().unwrap_or_default();
        let size = |name: &String| std::fs::metadata(person.folder().join(name)).map_or(0, |there| there.len());
        matches!(&names[..], [name] if name.starts_with("Ein Vortrag.mp4.") && name.ends_with(".part") && size(name) == SIZE as u64 / 2)
    };
    until("half of it is saved", part).await?;
    running.signal(Signal::KILL)?;
    assert_eq!(running.ends().await?.code, None);

    let said = person.types(&order).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Ein Vortrag.mp4\n"), "{}", said.err);
    assert_eq!(person.files()?, ["Ein Vortrag.mp4"]);
    assert!(person.read("Ein Vortrag.mp4")? == media());
    let list = site.get("/api/v1/downloads").await?.json();
    let ranges: Vec<Vec<String>> = list["downloads"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|it| gateway.ranges(&content(&format!("/api/v1/downloads/{}", it["id"].as_str().unwrap_or_default()))))
        .collect();
    assert_eq!(ranges, [vec![format!("bytes={}-", SIZE / 2)], vec![String::new()]], "the newest order first");

    // a connection that goes silent is left, and gone on with, without a word to anybody
    let job = site.submit("http://127.0.0.1/w.mp4").await?;
    site.complete(&media()[1..]).await?;
    gateway.next(Method::GET, &content(&job), Turn::Stalled(SIZE / 3));
    let said = person.types(&["save", id(&job), "--via-api", "--timeout", "5"]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Ein Vortrag (1).mp4\n"), "{}", said.err);
    assert!(person.read("Ein Vortrag (1).mp4")? == media()[1..]);
    let (ranges, rest) = (gateway.ranges(&content(&job)), format!("bytes={}-", SIZE / 3));
    assert_eq!((ranges.first().map(String::as_str), ranges.last()), (Some(""), Some(&rest)), "{ranges:?}");
    Ok(())
}

#[tokio::test]
async fn parts_of_different_bytes_never_become_one_file() -> Result<()> {
    let site = Site::start().await?;
    let person = Person::at(&site.url)?;
    let job = site.submit(MEDIA).await?;
    let artifact = site.complete(&media()).await?;
    let of = |digest: &str| format!("Ein Vortrag.mp4.{}.part", &digest[..16]);

    // one of another result of the same name is left alone
    let (foreign, own) = (of(&"0".repeat(64)), of(&artifact.sha256));
    std::fs::write(person.folder().join(&foreign), &media()[..1000])?;
    // and of this one, but with other bytes: what comes of it is not the file
    std::fs::write(person.folder().join(&own), vec![7; 1000])?;
    let said = person.types(&["save", id(&job)]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains(&artifact.sha256) && said.err.contains("removed"), "{}", said.err);
    assert_eq!(person.files()?, [foreign.as_str()]);

    let said = person.types(&["save", id(&job)]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Ein Vortrag.mp4\n"), "{}", said.err);
    assert!(person.read("Ein Vortrag.mp4")? == media());
    assert_eq!(person.read(&foreign)?.len(), 1000);
    Ok(())
}

#[tokio::test]
async fn an_order_whose_answers_are_lost_is_one_job_and_is_carried_out() -> Result<()> {
    // nobody listens where the links of this service lead
    let site = Site::with(&[("HAUL_PUBLIC_URL", "http://127.0.0.1:9")]).await?;
    let gateway = gateway(&site).await?;
    let person = Person::at(&gateway.url())?;
    gateway.next(Method::POST, "/api/v1/downloads", Turn::GivenUp(502));
    gateway.next(Method::POST, "/api/v1/downloads", Turn::Halved);
    let running = person.begins(&["get", MEDIA])?;
    until("it is ordered", async || only(&site).await.is_ok()).await?;
    let (_, job) = only(&site).await?;
    for turn in [Turn::Refused(503), Turn::Halved] {
        gateway.next(Method::GET, &job, turn);
    }
    gateway.next(Method::GET, &content(&job), Turn::Halved);
    until("it is followed", async || gateway.answered(&Method::GET, &job) > 1).await?;
    site.complete(b"the bytes of the media").await?;
    let said = running.ends().await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Ein Vortrag.mp4\n"), "{}", said.err);
    assert_eq!(person.read("Ein Vortrag.mp4")?, b"the bytes of the media");
    assert!(said.err.contains("going through the API"), "{}", said.err);
    assert_eq!(only(&site).await?.0, "completed", "however often it was asked for");
    Ok(())
}

/// The second was told that another process had its part, which was the first.
#[tokio::test]
async fn orders_of_one_command_that_come_to_the_same_bytes_are_one_file_fetched_once() -> Result<()> {
    let site = Site::start().await?;
    let gateway = gateway(&site).await?;
    let first = site.submit(MEDIA).await?;
    site.complete(&media()).await?;
    let jobs = [first, site.submit(MEDIA).await?];
    for job in &jobs {
        gateway.next(Method::GET, &content(job), Turn::Held);
    }
    let person = Person::at(&gateway.url())?;
    let running = person.begins(&["save", id(&jobs[0]), id(&jobs[1]), "--via-api"])?;
    let is_asked = |job: &String| gateway.answered(&Method::GET, job) > 0;
    until("one fetches", async || gateway.held() == 1 && jobs.iter().all(is_asked)).await?;
    gateway.release();
    let said = running.ends().await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Ein Vortrag.mp4\nEin Vortrag.mp4\n"), "{}", said.err);
    assert_eq!(jobs.iter().flat_map(|job| gateway.ranges(&content(job))).collect::<Vec<_>>(), [""]);
    assert!(person.files()? == ["Ein Vortrag.mp4"] && person.read("Ein Vortrag.mp4")? == media());
    Ok(())
}

async fn interrupted(person: &Person, site: &Site, more: &[&str]) -> Result<(Said, String)> {
    let running = person.begins(&[&["get", MEDIA], more].concat())?;
    until("it is ordered", async || only(site).await.is_ok()).await?;
    let (_, job) = only(site).await?;
    // who was told the id hears the signal, too
    running.signal(Signal::INT)?;
    Ok((running.ends().await?, job))
}

#[tokio::test]
async fn ctrl_c_leaves_the_job_and_says_how_to_go_on_or_cancels_it_where_that_is_asked_for() -> Result<()> {
    let site = Site::start().await?;
    let person = Person::at(&site.url)?;
    let (said, job) = interrupted(&person, &site, &["http://127.0.0.1/w.mp4", "--jobs", "1"]).await?;
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(said.err.contains(&format!("haul save {}\n", id(&job))), "{}", said.err);
    assert!(said.err.contains("not ordered: 1\n"), "{}", said.err);
    assert_eq!(only(&site).await?.0, "queued");

    // and so it goes on, by either command, also where nobody reads how
    let mut resumed = person.begins(&["get", "--resume", id(&job), "--json"])?;
    resumed.goes_unread();
    site.complete(b"media").await?;
    assert_eq!(resumed.ends().await?.code, Some(0));
    assert_eq!(person.read("Ein Vortrag.mp4")?, b"media");
    assert_eq!(person.types(&["save", id(&job)]).await?.out, "Ein Vortrag.mp4\n");
    assert_eq!(person.types(&["delete", id(&job)]).await?.code, Some(0));

    // an order whose answer was lost is one, too
    let gateway = gateway(&site).await?;
    let person = Person::at(&gateway.url())?;
    gateway.next(Method::POST, LIST, Turn::GivenUp(502));
    let (said, job) = interrupted(&person, &site, &["--cancel-on-interrupt"]).await?;
    assert_eq!((said.code, only(&site).await?.0.as_str()), (Some(130), "cancelled"), "{said:?}");
    assert!(said.err.contains(&format!("{} is cancelled\n", id(&job))), "{}", said.err);

    // what was completed stays, and is not told to be cancelled
    let job = site.submit("http://127.0.0.1/w.mp4").await?;
    site.complete(b"other media").await?;
    gateway.next(Method::GET, &content(&job), Turn::Stalled(4));
    let running = person.begins(&["save", id(&job), "--via-api", "--cancel-on-interrupt"])?;
    until("it is fetched", async || gateway.answered(&Method::GET, &content(&job)) > 0).await?;
    running.signal(Signal::INT)?;
    let said = running.ends().await?;
    assert!(said.code == Some(130) && said.err.contains(&format!("{} is completed\n", id(&job))), "{said:?}");

    // nor is anything cancelled that was only named; what was followed is, all at once
    let mut jobs = Vec::new();
    for name in ["a", "b", "c"] {
        jobs.push(site.submit(&format!("http://127.0.0.1/{name}.mp4")).await?);
    }
    let (followed, named) = jobs.split_at(2);
    for job in followed {
        gateway.next(Method::POST, &format!("{job}/cancel"), Turn::Held);
    }
    let words = ["save", id(&jobs[0]), id(&jobs[1]), id(&jobs[2]), "--jobs", "2", "--cancel-on-interrupt"];
    let running = person.begins(&words)?;
    until("they are followed", async || followed.iter().all(|job| gateway.answered(&Method::GET, job) > 0)).await?;
    running.signal(Signal::INT)?;
    until("both are being cancelled", async || gateway.held() == 2).await?;
    gateway.release();
    let said = running.ends().await?;
    let told = followed.iter().all(|job| said.err.contains(&format!("{} is cancelled\n", id(job))));
    assert!(said.code == Some(130) && told, "{said:?}");
    assert!(said.err.contains(&format!("left as they are: {}\n", id(&named[0]))), "{said:?}");
    assert_eq!(site.get(&named[0]).await?.json()["status"], "queued");

    // what was refused was not ordered, and is not when it could be
    let made = gateway.answered(&Method::POST, LIST);
    gateway.next(Method::POST, LIST, Turn::Refused(429));
    let sent = gateway.ranges(LIST).len();
    let running = person.begins(&["get", MEDIA])?;
    until("it is sent", async || gateway.ranges(LIST).len() > sent).await?;
    running.signal(Signal::INT)?;
    let said = running.ends().await?;
    assert!(said.code == Some(130) && said.err.contains("not ordered: 1\n"), "{said:?}");
    assert_eq!(gateway.answered(&Method::POST, LIST), made);

    // of what is never answered nobody knows
    let sent = gateway.ranges(LIST).len();
    for _ in 0..20 {
        gateway.next(Method::POST, LIST, Turn::Refused(502));
    }
    let running = person.begins(&["get", MEDIA])?;
    until("it is sent", async || gateway.ranges(LIST).len() > sent).await?;
    running.signal(Signal::INT)?;
    let said = running.ends().await?;
    assert!(said.code == Some(130) && said.err.contains("perhaps ordered, the answer was lost: 1"), "{said:?}");
    Ok(())
}
