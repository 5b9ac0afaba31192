//! `haul get` from the address to the file, over the whole service.

use anyhow::{Context as _, Result};
use haul_tests::command_line::Person;
use haul_tests::house::{House, Store};
use haul_tests::keys::{self, Keys};
use haul_tests::s3::Call;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, USER_AGENT};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn what_is_at_an_address_becomes_a_file_with_the_bytes_of_the_result() -> Result<()> {
    let file = Keys::of(&[("person", "")])?;
    let path = file.path().display().to_string();
    let house = House::open(Store::S3, &[("HAUL_API_KEYS_FILE", &path)]).await?;
    let _worker = house.worker(&[]).await?;
    let person = Person::at(&format!("http://{}", house.api.address()))?.with_key(&keys::key("person"));
    let url = house.origin.url("/hls-ts/master.m3u8");

    let order = ["get", &url, "-q", "360p", "--filename", "talk", "--tag", "ours", "-o", "new/folder"];
    let said = person.types(&order).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "new/folder/talk.mp4\n"), "{}", said.err);
    // from the bucket, which has not seen the key
    let seen = house.s3.as_ref().context("a bucket")?.headers(Call::Get);
    assert!(seen.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"haul/")), "{seen:?}");
    assert!(!said.err.contains("going through the API") && !seen.contains_key(AUTHORIZATION), "{seen:?} {}", said.err);
    let ours = house.request(&house.api, Method::GET, "/api/v1/downloads?tag=ours").bearer_auth(keys::key("person"));
    let list: Value = ours.send().await?.json().await?;
    let result = &list["downloads"][0]["result"];
    assert_eq!(
        (result["sha256"].as_str(), result["got"].as_str()),
        (Some(sha256(&person.read("new/folder/talk.mp4")?).as_str()), Some("360p"))
    );

    // the same again is not fetched again, and the result of another name lies beside it
    let said = person.types(&order).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "new/folder/talk.mp4\n"));
    assert!(said.err.contains("is there already"), "{}", said.err);
    std::fs::write(person.folder().join("new/folder/talk.mp4"), "mine")?;
    let said = person.types(&[&order[..], &["--json"]].concat()).await?;
    let lines = said.json()?;
    let events: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!((said.code, events), (Some(0), vec!["queued", "ended", "saved"]), "{lines:?}");
    assert_eq!((lines[2]["path"].as_str(), &lines[2]["sha256"]), (Some("new/folder/talk (1).mp4"), &result["sha256"]));
    assert_eq!(lines[1]["job"]["result"]["sha256"], result["sha256"], "the job as the API tells it");
    assert_eq!(person.read("new/folder/talk.mp4")?, b"mine");
    let said = person
        .types(&["get", &url, "-q", "360p", "-O", "talk.mp4", "-o", "new/folder", "--force", "--via-api", "--quiet"])
        .await?;
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "new/folder/talk.mp4\n", ""));
    assert_eq!(person.read("new/folder/talk.mp4")?.len() as u64, result["size_bytes"].as_u64().context("a size")?);

    // of two, one is broken: the other is saved, and the exit code says it
    let broken = house.origin.url("/page.html");
    let audio = house.origin.url("/hls-audio/index.m3u8");
    let said = person.types(&["get", &broken, &audio, "-f", "m4a", "--filename", "song"]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(1), "song.m4a\n"), "{}", said.err);
    let told = said.err.lines().find(|line| line.contains(&broken) && line.ends_with("(unsupported_url)"));
    assert!(told.is_some(), "{}", said.err);

    // what lies beside a result lies beside the file
    house.origin.put("/en.vtt", "WEBVTT\n\n00:00.500 --> 00:02.500\nThe beginning\n");
    let track = "<track kind=subtitles srclang=en src=/en.vtt>";
    let page = format!("<!doctype html><title>A talk</title><video src=/chapters.mp4>{track}</video>");
    house.origin.put("/talk.html", page);
    let order =
        ["get", &house.origin.url("/talk.html"), "--subs", "en,fr", "--sidecar", "-o", "texts", "--filename", "talk"];
    for _ in 0..2 {
        let said = person.types(&order).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(0), "texts/talk.mp4\n"), "{}", said.err);
    }
    assert!(String::from_utf8(person.read("texts/talk.en.vtt")?)?.contains("The beginning"));
    assert_eq!(std::fs::read_dir(person.folder().join("texts"))?.count(), 2, "the same again is the same");

    let said = person.types(&["plan", &url, "-q", "360p"]).await?;
    assert!(said.code == Some(0) && said.out.contains("transcodes  no") && said.out.contains("FORMAT ID"), "{said:?}");
    assert_eq!(person.types(&["plan", &url, "-q", "360p", "--json"]).await?.json()?[0]["got"], "360p");
    let said = person.types(&["info", &url]).await?;
    assert!(said.code == Some(0) && said.out.contains("qualities") && said.out.contains("FORMAT ID"), "{said:?}");
    let said = person.types(&["info", &url, "--json"]).await?;
    assert_eq!(said.json()?[0]["qualities"][0], "720p");
    Ok(())
}
