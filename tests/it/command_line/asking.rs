//! Questions to the service, what is refused, and what the exit code says of it.

use anyhow::Result;
use haul_shared::job::{Failure, FailureKind};
use haul_tests::command_line::Person;
use haul_tests::keys::{self, Keys};
use haul_tests::site::{Site, send};
use reqwest::Method;

use super::{MEDIA, id};

const NOBODY: &str = "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11";

#[tokio::test]
async fn whatever_is_asked_is_shown_to_people_and_with_json_as_the_api_says_it() -> Result<()> {
    let site = Site::start().await?;
    let person = Person::at(&site.url)?;
    let ordered = person.types(&["get", MEDIA, "--no-wait", "--tag", "a", "--expires-in", "1h"]).await?;
    let ticket = ordered.out.trim().to_owned();
    assert_eq!(ordered.code, Some(0), "{}", ordered.err);
    let told = person.types(&["get", "http://127.0.0.1/w.mp4", "--no-wait", "--json"]).await?;
    assert_eq!((&told.json()?[0]["status"], told.code), (&"queued".into(), Some(0)));
    site.complete(b"media").await?;

    let job = site.get(&format!("/api/v1/downloads/{ticket}")).await?;
    let said = person.types(&["status", &ticket, "--json"]).await?;
    assert_eq!(said.out.trim_end().as_bytes(), job.body, "not a byte of it is another");
    assert_eq!(job.json()["request"]["expires_in"], 3600);
    let said = person.types(&["status", &ticket, "--watch"]).await?;
    for word in ["completed", "Ein Vortrag.mp4", "5 B", MEDIA] {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }

    let said = person.types(&["link", &ticket]).await?;
    let fetched = send(site.request_to(Method::GET, said.out.trim())).await?;
    assert_eq!(fetched.body, b"media", "{said:?}");

    // a list in parts, and all of it
    let said = person.types(&["list", "--limit", "1", "--json"]).await?;
    let cursor = said.json()?[0]["next_cursor"].as_str().unwrap_or_default().to_owned();
    let rest = person.types(&["list", "--limit", "1", "--cursor", &cursor]).await?;
    assert!(rest.out.contains(&ticket) && rest.out.lines().count() == 2, "{rest:?}");
    assert_eq!(person.types(&["ls", "--limit", "1", "--all", "--json"]).await?.json()?.len(), 2);
    let tagged = person.types(&["list", "--tag", "a", "--status", "completed"]).await?;
    assert!(tagged.out.contains(&ticket) && tagged.out.starts_with("ID"), "{tagged:?}");

    for words in [["stats"], ["usage"]] {
        let said = person.types(&words).await?;
        assert!(said.code == Some(0) && said.out.contains("completed  1"), "{said:?}");
        let said = person.types(&[words[0], "--json"]).await?;
        assert_eq!(said.json()?[0]["jobs"]["completed"], 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_download_is_cancelled_tried_again_and_deleted_and_one_that_failed_says_why() -> Result<()> {
    let site = Site::start().await?;
    let person = Person::at(&site.url)?;
    let job = site.submit(MEDIA).await?;
    let said = person.types(&["cancel", id(&job), NOBODY]).await?;
    assert!(said.code == Some(4) && said.err.contains("(not_found)"), "{said:?}");
    assert!(said.err.contains(&format!("{} is cancelled", id(&job))), "one that is not there keeps no other: {said:?}");
    assert_eq!(person.types(&["save", id(&job)]).await?.code, Some(1));

    assert_eq!(person.types(&["retry", id(&job), "--json"]).await?.json()?[0]["status"], "queued");
    let failing = person.begins(&["get", "--resume", id(&job), "--json"])?;
    site.fail(&Failure::new(FailureKind::GeoBlocked, "Video unavailable in your country")).await?;
    let said = failing.ends().await?;
    let last = said.json()?.pop().unwrap_or_default();
    assert_eq!((said.code, &last["event"], &last["exit"]), (Some(1), &"error".into(), &1.into()), "{said:?}");
    let sentence = site.get(&job).await?.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(!sentence.is_empty() && said.err.contains(&format!("{sentence} (geo_blocked)")), "{said:?}");
    assert_eq!(person.types(&["status", id(&job)]).await?.code, Some(0), "it was told, and that was asked");
    assert_eq!(person.types(&["status", "--watch", id(&job)]).await?.code, Some(1));

    assert_eq!(person.types(&["delete", id(&job)]).await?.code, Some(0));
    assert_eq!(person.types(&["delete", id(&job)]).await?.code, Some(4));
    Ok(())
}

#[tokio::test]
async fn who_is_refused_learns_which_flag_it_was_or_that_it_was_the_key() -> Result<()> {
    let keys = Keys::of(&[("person", "")])?;
    let site = keys.site(&[]).await?;
    let stranger = Person::at(&site.url)?;
    assert_eq!(stranger.types(&["get", MEDIA]).await?.code, Some(4));
    let said = stranger.types(&["list", "--key", "guessed"]).await?;
    assert!(said.code == Some(4) && said.err.contains("(unauthorized)") && said.err.contains("--key-file"), "{said:?}");
    assert!(!said.err.contains("guessed"), "{said:?}");
    std::fs::write(stranger.folder().join("key"), format!("{}\n", keys::key("person")))?;
    let said = stranger.types(&["list", "--key-file", "key"]).await?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(stranger.types(&["list", "--key-file", "none"]).await?.code, Some(2));

    let person = Person::at(&site.url)?.with_key(&keys::key("person"));
    let said = person.types(&["get", MEDIA, "--region", "moon", "--subs", "e_n"]).await?;
    assert_eq!(said.code, Some(2), "{said:?}");
    for fault in ["--region: is not a known region", "--subs: must be a tag"] {
        assert!(said.err.contains(fault), "{fault} in {}", said.err);
    }
    for words in
        [&["get"][..], &["get", MEDIA, "-f", "avi"], &["get", MEDIA, "-q"], &["status", "no-id"], &["fetch"], &[]]
    {
        assert_eq!(person.types(words).await?.code, Some(2), "{words:?}");
    }
    for words in [&["get", MEDIA, "-O", "../a"][..], &["get", MEDIA, "http://127.0.0.1/w", "-O", "a"], &["get", "-"]] {
        assert_eq!(person.types(words).await?.code, Some(2), "{words:?}");
    }
    // who can't write there orders nothing
    std::fs::write(person.folder().join("file"), "")?;
    let said = person.types(&["get", MEDIA, "-o", "file/folder"]).await?;
    assert!(said.code == Some(1) && said.err.contains("file/folder"), "{said:?}");
    assert_eq!(person.types(&["list", "--json"]).await?.json()?[0]["downloads"], serde_json::json!([]));
    Ok(())
}
