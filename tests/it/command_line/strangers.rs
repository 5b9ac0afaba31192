//! Servers that are away, none of ours, or mean harm.

use anyhow::Result;
use haul_tests::command_line::Person;
use haul_tests::gateway::{Gateway, Turn};
use haul_tests::origin::Origin;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const ID: &str = "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11";
const BYTES: &[u8] = b"the bytes of the media";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a completed job at a server of strangers.
fn put_job(origin: &Origin, filename: &str, sha256: &str) {
    let job = json!({
        "id": ID, "status": "completed", "media": {"title": "Ein\u{1b}[2J\u{9b}31m Vortrag"},
        "result": {"filename": filename, "size_bytes": BYTES.len(), "sha256": sha256},
    });
    origin.answer(&format!("/api/v1/downloads/{ID}"), 200, &[(CONTENT_TYPE, "application/json")], job.to_string());
    origin.answer(&format!("/api/v1/downloads/{ID}/content"), 200, &[], BYTES);
}

#[tokio::test]
async fn whatever_a_server_calls_a_file_it_lies_in_the_folder_and_no_word_of_it_moves_the_terminal() -> Result<()> {
    let origin = Origin::start().await;
    let person = Person::at(&origin.url(""))?;
    std::fs::create_dir(person.folder().join("inner"))?;
    for (told, name) in [
        ("../outside.mp4", "outside.mp4"),
        ("/etc/cron.d/haul", "haul"),
        ("..\\..\\a\u{1b}]0;title\u{7}.mp4", "a]0;title.mp4"),
        (".bashrc", "bashrc"),
        ("con.mp4", "_con.mp4"),
        ("..", "download"),
    ] {
        put_job(&origin, told, &sha256(BYTES));
        let said = person.types(&["save", ID, "--via-api", "-o", "inner"]).await?;
        assert_eq!((said.code, said.out.trim_end()), (Some(0), format!("inner/{name}").as_str()), "{}", said.err);
        assert_eq!(person.read(&format!("inner/{name}"))?, BYTES);
        assert!(!said.err.chars().any(|c| c.is_control() && c != '\n'), "{:?}", said.err);
    }
    assert_eq!(person.files()?, ["inner"]);

    // other bytes than were promised are no file, and a digest that is none is no name
    put_job(&origin, "false.mp4", &sha256(b"others"));
    assert_eq!(person.types(&["save", ID, "--via-api"]).await?.code, Some(1));
    put_job(&origin, "false.mp4", "../../../../etc/passwd");
    assert_eq!(person.types(&["save", ID, "--via-api"]).await?.code, Some(3));
    assert_eq!(person.files()?, ["inner"]);
    Ok(())
}

#[tokio::test]
async fn what_is_not_the_rest_of_the_same_file_is_not_added_to_a_part() -> Result<()> {
    let origin = Origin::start().await;
    let gateway = Gateway::to(origin.address()).await;
    let person = Person::at(&gateway.url())?;
    put_job(&origin, "talk.mp4", &sha256(BYTES));
    let (path, part) = (format!("/api/v1/downloads/{ID}/content"), format!("talk.mp4.{}.part", &sha256(BYTES)[..16]));
    let rest = format!("bytes 4-{}/{}", BYTES.len() - 1, BYTES.len());
    for (range, status, body) in [
        ("bytes 0-17/22", 206, &BYTES[4..]),
        ("bytes 4-21/23", 206, &BYTES[4..]),
        (rest.as_str(), 206, &b"ger than what was promised"[..]),
        ("bytes */22", 416, &[][..]),
        ("", 200, &b"<!doctype html><title>Log in</title>"[..]),
    ] {
        std::fs::write(person.folder().join(&part), &BYTES[..4])?;
        origin.answer(&path, status, &[(CONTENT_RANGE, range)], body);
        let said = person.types(&["save", ID, "--via-api", "--patience", "0"]).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{range}: {}", said.err);
        assert_eq!(person.files()?, [part.as_str()], "{range}");
    }
    // a page that does not say how long it is once emptied the part, and was its beginning then
    std::fs::write(person.folder().join(&part), &BYTES[..4])?;
    origin.answer(&path, 200, &[], "<title>Log in</title>");
    gateway.next(Method::GET, &path, Turn::Unmeasured);
    assert_eq!(person.types(&["save", ID, "--via-api", "--patience", "0"]).await?.code, Some(3));
    assert_eq!(person.read(&part)?, &BYTES[..4]);
    origin.answer(&path, 206, &[(CONTENT_RANGE, &rest)], &BYTES[4..]);
    assert_eq!(person.types(&["save", ID, "--via-api"]).await?.out, "talk.mp4\n");
    assert_eq!(person.read("talk.mp4")?, BYTES);
    Ok(())
}

/// Each time that it came further than the last time was once taken for progress.
#[tokio::test]
async fn a_way_on_which_nothing_is_ever_gained_is_given_up() -> Result<()> {
    let origin = Origin::start().await;
    let gateway = Gateway::to(origin.address()).await;
    let person = Person::at(&gateway.url())?;
    put_job(&origin, "talk.mp4", &sha256(BYTES));
    for turn in [Turn::Halved, Turn::Refused(416)].repeat(3) {
        gateway.next(Method::GET, &format!("/api/v1/downloads/{ID}/content"), turn);
    }
    let said = person.types(&["save", ID, "--via-api", "--patience", "3s"]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{}", said.err);
    Ok(())
}

#[tokio::test]
async fn who_is_asked_to_come_back_later_by_whatever_stands_between_does_not_come_sooner() -> Result<()> {
    let origin = Origin::start().await;
    let person = Person::at(&origin.url(""))?;
    let path = format!("/api/v1/downloads/{ID}");
    let problem = json!({"status": 429, "code": "rate_limited", "detail": "Too much.", "retry_after": 1}).to_string();
    for (kind, body, later) in [
        ("text/html", "<h1>Not now</h1>", "3600"),
        ("text/html", "<h1>Not now</h1>", "Sun, 06 Nov 2095 08:49:37 GMT"),
        ("application/problem+json", &problem, "3600"),
    ] {
        origin.answer(&path, 429, &[(CONTENT_TYPE, kind), (RETRY_AFTER, later)], body.to_owned());
        let before = origin.hits(&path);
        let said = person.types(&["save", ID, "--patience", "3s"]).await?;
        assert!(matches!(said.code, Some(3 | 4)), "{said:?}");
        assert_eq!(origin.hits(&path), before + 1, "{later}");
    }
    Ok(())
}

/// The key went to it in clear text, and the load of a machine of one's own to that of somebody else.
#[tokio::test]
async fn a_proxy_is_asked_for_what_is_elsewhere_and_never_for_this_machine_or_by_load() -> Result<()> {
    let (origin, proxy) = (Origin::start().await, Origin::start().await);
    let person = Person::at(&origin.url(""))?.behind(&proxy.url(""));
    put_job(&origin, "talk.mp4", &sha256(BYTES));
    let link = json!({ "url": origin.url("/talk.mp4") }).to_string();
    origin.answer(&format!("/api/v1/downloads/{ID}/link"), 200, &[(CONTENT_TYPE, "application/json")], link);
    origin.put("/talk.mp4", BYTES);
    let said = person.types(&["save", ID]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "talk.mp4\n"), "{}", said.err);
    assert!(!said.err.contains("through the API"), "{}", said.err);
    let load = ["load", "--mix", "health", "--users", "1", "--for", "1s", "--keep", "--i-may", "--timeout", "1"];
    assert_eq!(person.types(&[&load[..], &["--server", "http://192.0.2.1"]].concat()).await?.code, Some(3));
    assert_eq!(proxy.all_hits(), 0);

    proxy.answer("/api/v1/stats", 200, &[(CONTENT_TYPE, "application/json")], r#"{"proxied":true}"#);
    let said = person.types(&["stats", "--server", "http://192.0.2.1"]).await?;
    assert!(said.code == Some(0) && said.out.contains("proxied"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_or_none_of_ours_is_told_at_once() -> Result<()> {
    let nobody = Person::at("http://127.0.0.1:9")?;
    for words in [&["list"][..], &["get", "http://127.0.0.1/v.mp4"], &["status", ID, "--watch"]] {
        let said = nobody.types(words).await?;
        assert!(said.code == Some(3) && said.err.contains("127.0.0.1:9 can't be reached"), "{said:?}");
    }
    let origin = Origin::start().await;
    let person = Person::at(&origin.url(""))?;
    origin.answer("/api/v1/downloads", 200, &[(CONTENT_TYPE, "text/html")], "<!doctype html><title>Welcome</title>");
    let larger = format!("[{}]", "0,".repeat(6 << 20));
    origin.answer("/api/v1/stats", 200, &[(CONTENT_TYPE, "application/json")], larger);
    // whoever follows this brings the key to a stranger
    origin.answer("/api/v1/usage", 307, &[(LOCATION, "/api/v1/elsewhere")], "");
    origin.answer("/api/v1/elsewhere", 200, &[(CONTENT_TYPE, "application/json")], "{}");
    for words in
        [&["list"][..], &["get", "http://127.0.0.1/v.mp4"], &["stats"], &["usage"], &["plan", "http://127.0.0.1/v"]]
    {
        let said = person.types(words).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{words:?}: {}", said.err);
    }
    Ok(())
}
