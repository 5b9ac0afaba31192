//! What cobalt's dialect says no to, and how, and what it tells of itself.

use anyhow::{Context as _, Result};
use haul_tests::site::Site;
use serde_json::json;

use super::{COBALT, URL, is_refusal, link_of, ordered, sent};

#[tokio::test]
async fn an_order_that_cobalt_would_not_take_is_refused_with_its_codes() -> Result<()> {
    let site = Site::with(&[COBALT]).await?;
    let address = site.url.strip_prefix("http://").context("an address")?;
    let (accept, kind) = ("Accept: application/json", "Content-Type: application/json");
    let good = json!({ "url": URL }).to_string();
    for (headers, code) in [
        (kind.to_owned(), "header.accept"),
        (format!("Accept: */*\n{kind}"), "header.accept"),
        (accept.to_owned(), "header.content_type"),
        (format!("{accept}\nContent-Type: text/plain"), "header.content_type"),
        (format!("{accept}\nContent-Type: application/json; charset=latin1"), "header.content_type"),
    ] {
        let told = sent(address, &format!("POST /\n{headers}\n\n{good}")).await?;
        assert!(is_refusal(&told, 400, code), "{headers}: {}", told.json());
    }
    let long = json!({ "url": URL, "x": "x".repeat(1024) }).to_string();
    for (body, code) in [
        ("{", "invalid_body"),
        ("[]", "invalid_body"),
        (&long, "invalid_body"),
        (r#"{"videoQuality":"1080"}"#, "link.missing"),
        (r#"{"url":"http://127.0.0.1/1","videoQuality":1080}"#, "invalid_body"),
        (r#"{"url":"http://127.0.0.1/1","downloadMode":"mute"}"#, "service.disabled"),
        (r#"{"url":"no address"}"#, "link.invalid"),
        (r#"{"url":"ftp://127.0.0.1/1"}"#, "link.unsupported"),
        (r#"{"url":"http://10.0.0.1/1"}"#, "link.invalid"),
    ] {
        let told = ordered(address, body).await?;
        assert!(is_refusal(&told, 400, code), "{body}: {}", told.json());
        assert_eq!(told.header("access-control-allow-origin"), "*");
    }
    assert!(is_refusal(&sent(address, "POST /session").await?, 400, "auth.not_configured"));
    // a page of a stranger's would order with the cookies of whose service it is
    let page = format!("POST /\n{accept}\n{kind}\nOrigin: https://evil.example\n\n{good}");
    assert!(is_refusal(&sent(address, &page).await?, 400, "auth.not_configured"));
    let orders = site.get("/api/v1/downloads").await?.json();
    assert_eq!(orders["downloads"], json!([]), "{orders}");
    Ok(())
}

#[tokio::test]
async fn an_instance_says_what_it_is_and_how_often_it_may_be_asked() -> Result<()> {
    let site = Site::with(&[COBALT, ("HAUL_RATE_DOWNLOADS", "1/h")]).await?;
    let address = site.url.strip_prefix("http://").context("an address")?;
    let told = sent(address, "GET /").await?;
    let json = told.json();
    assert_eq!((told.status.as_u16(), &json["cobalt"]["version"]), (200, &json!("11.0")));
    assert_eq!(json["cobalt"]["url"], "http://cobalt.example/");
    let since: u64 = json["cobalt"]["startTime"].as_str().context("text")?.parse()?;
    assert!(since > 1_700_000_000_000, "in ms");
    assert!(json["cobalt"]["services"].as_array().is_some_and(|all| all.contains(&json!("youtube"))));
    assert!(
        json["git"]["branch"].is_string() && json["git"]["commit"].is_string() && json["git"]["remote"].is_string()
    );
    for path in ["/robots.txt", "/api/v1/downloads"] {
        let told = sent(address, &format!("GET {path}")).await?;
        assert_eq!((told.status.as_u16(), told.header("location")), (302, "http://cobalt.example/"), "{path}");
    }

    let body = json!({ "url": URL }).to_string();
    let told = ordered(address, &body).await?;
    link_of(&told)?;
    let headers = ["ratelimit-limit", "ratelimit-policy", "ratelimit-remaining"].map(|name| told.header(name));
    assert_eq!(headers, ["1", "1;w=3600", "0"]);
    assert!(told.header("access-control-expose-headers").contains("ratelimit-remaining"));
    let told = ordered(address, &body).await?;
    assert!(is_refusal(&told, 429, "rate_exceeded"), "{}", told.json());
    assert_eq!(told.json()["error"]["context"]["limit"], 3600);
    assert_eq!((told.header("ratelimit-remaining"), told.header("ratelimit-policy")), ("0", "1;w=3600"));
    assert!(told.header("ratelimit-reset").parse::<u64>()? > 0 && told.header("retry-after").parse::<u64>()? > 0);
    Ok(())
}
