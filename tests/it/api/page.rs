//! The web page as a browser's requests see it: its headers, its form and its pages for who has no scripts. What its
//! scripts do is tested in a browser.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::media::MediaInfo;
use haul_shared::store::Beat;
use haul_tests::house::{House, Store};
use haul_tests::site::{Answer, Site, send};
use reqwest::{Method, RequestBuilder};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

const VIDEO: &str = "http://127.0.0.1/v.mp4";

fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Sends a form as a browser does from a page of the service itself.
async fn fill_in(site: &Site, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    send(form(site.request(Method::POST, path).header("origin", &site.url), fields)).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The page that a form leads to.
fn next(answer: &Answer) -> Result<String> {
    assert_eq!(answer.status, 303, "{}", text(answer));
    let location = answer.header("location");
    Ok(format!("/downloads/{}", location.rsplit('/').next().context("a path")?))
}

async fn with_key(name: &str) -> Result<(Site, NamedTempFile)> {
    let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = NamedTempFile::new()?;
    write!(file, "[[keys]]\nname = \"studio\"\nsha256 = \"{sha256}\"\n")?;
    let site = Site::with(&[("HAUL_API_KEYS_FILE", &file.path().display().to_string())]).await?;
    Ok((site, file))
}

#[tokio::test]
async fn the_page_wants_no_key_and_lets_nothing_in_from_elsewhere() -> Result<()> {
    let (site, _file) = with_key("k").await?;
    let page = site.get("/").await?;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    for (path, kind) in [
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page/manifest.webmanifest", "application/manifest+json"),
    ] {
        let file = site.get(path).await?;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, kind), "{path}");
        assert_eq!(file.header("x-content-type-options"), "nosniff", "{path}");
        assert!(text(&page).contains(&path[1..]), "{path} is on the page");
    }
    for path in ["/page/none.js", "/page/../Cargo.toml", "/page/index.html", "/page/"] {
        assert_eq!(site.get(path).await?.status, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_browser_has_of_the_page_is_not_sent_again() -> Result<()> {
    let site = Site::start().await?;
    for path in ["/", "/page/app.js"] {
        let first = site.get(path).await?;
        let again = send(site.request(Method::GET, path).header("if-none-match", first.header("etag"))).await?;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        // Fault: a browser takes the headers of a 304 for those that it kept, and that policy let no script run.
        let policy = |answer: &Answer| answer.header("content-security-policy").to_owned();
        assert_eq!(policy(&again), policy(&first), "{path}");
        let packed = send(site.request(Method::GET, path).header("accept-encoding", "br")).await?;
        assert_eq!(packed.header("content-encoding"), "br", "{path}");
        assert!(packed.body.len() * 2 < first.body.len(), "{path}: {} bytes", packed.body.len());
        let again = send(site.request(Method::GET, path).header("if-none-match", packed.header("etag"))).await?;
        assert_eq!(again.status, 304, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn media_may_come_from_where_links_lead_and_from_nowhere_else() -> Result<()> {
    let elsewhere = Site::with(&[("HAUL_PUBLIC_URL", "https://dl.example/haul")]).await?;
    let page = elsewhere.get("/").await?;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("; media-src 'self' https://dl.example;"), "{policy}");
    let bucket = House::open(Store::S3, &[]).await?;
    let link = bucket.s3.as_ref().context("a bucket")?.endpoint.origin().ascii_serialization();
    let policy = bucket.get("/").await?.header("content-security-policy").to_owned();
    assert!(policy.contains(&format!("; media-src 'self' {link};")), "{policy}");
    Ok(())
}

#[tokio::test]
async fn what_is_shared_with_the_page_is_in_its_form() -> Result<()> {
    let site = Site::start().await?;
    let page = text(&site.get("/?title=T&text=See+https%3A%2F%2Fa.example%2F%22%3E%3Cscript%3E&utm=1").await?);
    assert!(page.contains(">https://a.example/&#34;&#62;&#60;script&#62;</textarea>"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_form_makes_a_job_and_its_page_follows_it_to_the_file() -> Result<()> {
    let site = Site::start().await?;
    let answer = fill_in(&site, "/", &[("url", VIDEO), ("format", "webm"), ("quality", "720p")]).await?;
    let page = next(&answer)?;
    let job = page.replace("/downloads", "/api/v1/downloads");
    let request = site.get(&job).await?.json()["request"].clone();
    assert_eq!(
        (&request["url"], &request["format"], &request["quality"]),
        (&VIDEO.into(), &"webm".into(), &"720p".into())
    );

    let waiting = site.get(&page).await?;
    assert_eq!((waiting.status.as_u16(), waiting.header("cache-control")), (200, "no-store"));
    let told = text(&waiting);
    assert!(
        told.contains("Waiting: number 1 in line.") && !told.contains("refresh"),
        "who reads slowly is not disturbed: {told}"
    );
    let followed = text(&site.get(&format!("{page}?follow=1")).await?);
    assert!(followed.contains("http-equiv=\"refresh\"") && followed.contains("Stop following"), "{followed}");
    assert!(waiting.header("content-security-policy").contains("form-action 'self'"));

    site.complete(b"media").await?;
    let told = text(&site.get(&format!("{page}?follow=1")).await?);
    assert!(told.contains("Completed.") && !told.contains("refresh"), "{told}");
    let way = site.get(&format!("{page}/file")).await?;
    assert_eq!(way.status, 302);
    let file = send(site.request_to(Method::GET, way.header("location"))).await?;
    assert_eq!((file.status.as_u16(), &file.body[..]), (200, &b"media"[..]));
    Ok(())
}

#[tokio::test]
async fn a_page_cancels_and_retries_and_never_deletes_a_result() -> Result<()> {
    let site = Site::start().await?;
    let page = next(&fill_in(&site, "/", &[("url", VIDEO)]).await?)?;
    assert_eq!(next(&fill_in(&site, &format!("{page}/cancel"), &[]).await?)?, page);
    assert!(text(&site.get(&page).await?).contains("Cancelled."));
    assert_eq!(next(&fill_in(&site, &format!("{page}/retry"), &[]).await?)?, page);
    let job = page.replace("/downloads", "/api/v1/downloads");
    assert_eq!(site.get(&job).await?.json()["status"], "queued");
    site.complete(b"media").await?;
    // who saw it running, and pressed too late
    assert_eq!(next(&fill_in(&site, &format!("{page}/cancel"), &[]).await?)?, page);
    assert_eq!(site.get(&job).await?.json()["status"], "completed");
    let refused = fill_in(&site, &format!("{page}/retry"), &[]).await?;
    assert_eq!(refused.status, 409);
    assert!(text(&refused).contains("Only a failed or cancelled download can be retried."));
    Ok(())
}

#[tokio::test]
async fn a_fault_of_the_form_is_told_beside_its_field_and_what_was_written_is_still_there() -> Result<()> {
    let site = Site::start().await?;
    let fields = [("url", "http://10.0.0.1/\"><img src=x>"), ("format", "webm")];
    let answer = fill_in(&site, "/", &fields).await?;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (422, "text/html; charset=utf-8"));
    let page = text(&answer);
    assert!(
        page.contains("class=\"fault\" role=\"alert\">leads to an address that this service may not reach</p>"),
        "{page}"
    );
    assert!(page.contains("&#34;&#62;&#60;img src=x&#62;</textarea>") && !page.contains("<img src=x"), "{page}");
    assert!(page.contains("<option value=\"webm\" selected>"), "{page}");
    let nothing = fill_in(&site, "/", &[("url", ""), ("quality", "5p")]).await?;
    assert_eq!(nothing.status, 422);
    let page = text(&nothing);
    assert!(page.contains("id=\"quality-fault\" class=\"fault\" role=\"alert\">must be one of best,"), "{page}");

    let long = format!("url={}", "x".repeat(70_000));
    let form = "application/x-www-form-urlencoded";
    for path in ["/", "/page/key"] {
        let sent = site.request(Method::POST, path).header("content-type", form).body(long.clone());
        let refused = send(sent).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.header("content-type")),
            (413, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(text(&refused).contains("The body is larger than 64 KiB."), "{}", text(&refused));
    }
    let json = site.request(Method::POST, "/").json(&serde_json::json!({ "url": VIDEO }));
    assert_eq!(send(json).await?.status, 415);
    assert_eq!(site.get("/api/v1/downloads").await?.json()["downloads"], serde_json::json!([]));
    Ok(())
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() -> Result<()> {
    let site = Site::start().await?;
    let page = next(&fill_in(&site, "/", &[("url", VIDEO)]).await?)?;
    let foreign = [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")];
    for (name, value) in foreign {
        for path in ["/", &format!("{page}/cancel"), "/page/key"] {
            let sent = form(site.request(Method::POST, path).header(name, value), &[("url", VIDEO)]);
            let answer = send(sent).await?;
            assert_eq!(answer.status, 403, "{path} {value}");
            assert!(text(&answer).contains("Another site sent this form. Nothing was done."), "{path}");
        }
    }
    let jobs = site.get("/api/v1/downloads").await?.json()["downloads"].clone();
    assert_eq!((jobs.as_array().map(Vec::len), &jobs[0]["status"]), (Some(1), &"queued".into()));
    Ok(())
}

#[tokio::test]
async fn a_form_is_charged_as_the_api_charges() -> Result<()> {
    let site = Site::with(&[("HAUL_RATE_DOWNLOADS", "2/h")]).await?;
    for _ in 0..2 {
        assert_eq!(fill_in(&site, "/", &[("url", VIDEO)]).await?.status, 303);
    }
    let refused = fill_in(&site, "/", &[("url", VIDEO)]).await?;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u32>()? > 0);
    assert!(text(&refused).contains("Too many requests"));
    Ok(())
}

#[tokio::test]
async fn a_hostile_title_is_only_text() -> Result<()> {
    let site = Site::start().await?;
    let page = next(&fill_in(&site, "/", &[("url", VIDEO)]).await?)?;
    let job = page.replace("/downloads", "/api/v1/downloads");
    let title = "</title><script>alert(1)</script>\"><img src=x onerror=alert(1)>";
    let media = MediaInfo {
        title: Some(title.to_owned()),
        uploader: None,
        duration_seconds: None,
        webpage_url: None,
        extractor: None,
        is_of_list: false,
    };
    let lease = site.lease().await?.lease;
    let progress = Progress { eta_seconds: Some(9), ..Progress::at(Stage::Download, 41.5) };
    site.jobs.heartbeat(&[Beat { lease: lease.clone(), progress, media: Some(media) }]).await?;
    let told = text(&site.get(&page).await?);
    assert!(told.contains("Downloading: 41 %, 9 s left."), "{told}");
    assert!(!told.contains("<script>") && !told.contains("<img") && told.contains("&#60;script&#62;"), "{told}");

    site.jobs.fail(&lease, &Failure::new(FailureKind::GeoBlocked, "<b>words</b> of a program"), Duration::ZERO).await?;
    let told = text(&site.get(&page).await?);
    assert!(told.contains("Failed: The site does not offer this media in the server&#39;s region."), "{told}");
    assert!(!told.contains("of a program") && told.contains("/retry\""), "{told}");
    assert_eq!(site.get(&job).await?.json()["media"]["title"], title);
    Ok(())
}

#[tokio::test]
async fn a_page_of_no_download_says_so() -> Result<()> {
    let site = Site::start().await?;
    for id in ["5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11", "\"><script>", "x"] {
        let answer = site.get(&format!("/downloads/{id}")).await?;
        let told = text(&answer);
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "text/html; charset=utf-8"),
            "{told}"
        );
        assert!(told.contains("There is no such download") && !told.contains("<script>"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_kept_in_a_cookie_for_pages_and_the_api_does_not_take_it() -> Result<()> {
    let (site, _file) = with_key("k; 1").await?;
    for key in ["", "wrong"] {
        let refused = fill_in(&site, "/", &[("url", VIDEO), ("key", key)]).await?;
        assert_eq!(refused.status, 401);
        let fault = if key.is_empty() { "is needed here" } else { "is not a key of this service" };
        assert!(
            text(&refused).contains(&format!("id=\"form-key-fault\" class=\"fault\">{fault}<")),
            "{}",
            text(&refused)
        );
        assert_eq!(refused.header("set-cookie"), "");
    }
    let taken = fill_in(&site, "/", &[("url", VIDEO), ("key", "k; 1")]).await?;
    let page = next(&taken)?;
    let cookie = taken.header("set-cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/;"), "{cookie}");
    let kept = cookie.split(';').next().context("a pair")?;
    assert!(!kept.contains("k; 1"));

    let stranger = site.get(&page).await?;
    assert_eq!(stranger.status, 401);
    assert!(text(&stranger).contains("name=\"key\"") && !text(&stranger).contains(VIDEO), "{}", text(&stranger));
    let with = |path: &str| site.request(Method::GET, path).header("cookie", kept);
    assert!(text(&send(with(&page)).await?).contains(VIDEO));
    for path in [page.replace("/downloads", "/api/v1/downloads"), "/api/v1/downloads".to_owned()] {
        assert_eq!(send(with(&path)).await?.told(), "401 unauthorized", "{path}");
    }

    let id = page.rsplit('/').next().context("an id")?;
    for (named, kept) in [(id, id), ("\"><script>", "")] {
        let mistyped = fill_in(&site, "/page/key", &[("key", "wrong"), ("id", named)]).await?;
        let field = format!("name=\"id\" value=\"{kept}\"");
        assert!(mistyped.status == 401 && text(&mistyped).contains(&field), "{}", text(&mistyped));
    }
    let entered = fill_in(&site, "/page/key", &[("key", "k; 1"), ("id", id)]).await?;
    assert_eq!((next(&entered)?, entered.header("set-cookie")), (page.clone(), cookie));
    let sent = site.request(Method::POST, "/page/key").header("origin", &site.url).header("cookie", kept);
    let forgotten = send(form(sent, &[("key", "")])).await?;
    let gone = "haul_key=; Path=/; Max-Age=0;";
    assert!(forgotten.header("set-cookie").starts_with(gone), "{forgotten:?}");
    let stale = send(site.request(Method::GET, &page).header("cookie", "haul_key=b2xk")).await?;
    assert!(stale.status == 401 && stale.header("set-cookie").starts_with(gone), "{stale:?}");
    Ok(())
}
