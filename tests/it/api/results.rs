//! Results on their way to a client: links, bytes, ranges.

use std::time::Duration;

use anyhow::Result;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::json;

const MEDIA: &str = "http://127.0.0.1/v.mp4";

/// A site with one completed download of 10,000 bytes.
async fn completed(variables: &[(&str, &str)]) -> Result<(Site, String, Vec<u8>)> {
    let site = Site::with(variables).await?;
    let answer = site.post("/api/v1/downloads", &json!({ "url": MEDIA, "filename": "Vortrag über \"A/B\"" })).await?;
    let job = format!("/api/v1/downloads/{}", answer.json()["id"].as_str().unwrap());
    let bytes: Vec<u8> = (0..10_000_u32).map(|index| (index % 251) as u8).collect();
    site.complete(&bytes).await?;
    Ok((site, job, bytes))
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn get(site: &Site, path: &str, headers: Headers<'_>) -> Result<Answer> {
    let request = site.request(Method::GET, path);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn a_link_gives_what_the_job_promises() -> Result<()> {
    let (site, job, bytes) = completed(&[]).await?;
    let told = site.get(&format!("{job}/link")).await?.json();
    let result = site.get(&job).await?.json()["result"].clone();
    for field in ["filename", "size_bytes", "content_type", "sha256"] {
        assert_eq!(told[field], result[field], "{field}");
    }
    assert_eq!(told["filename"], "Vortrag über A-B.mp4");
    let url = told["url"].as_str().unwrap();
    let file = send(site.request_to(Method::GET, url)).await?;
    assert_eq!((file.status.as_u16(), file.body == bytes), (200, true));
    assert_eq!((file.header("content-type"), file.header("x-content-type-options")), ("video/mp4", "nosniff"));
    assert!(file.header("content-disposition").starts_with("attachment; "), "{file:?}");
    assert!(file.header("content-disposition").ends_with("UTF-8''Vortrag%20%C3%BCber%20A-B.mp4"), "{file:?}");

    // It had no date, so that If-Range with a date, which some players send, always got the whole file.
    let modified = file.header("last-modified").to_owned();
    let resumed =
        send(site.request_to(Method::GET, url).header("range", "bytes=5-").header("if-range", &modified)).await?;
    assert_eq!((modified.is_empty(), resumed.status.as_u16()), (false, 206));

    let part = send(site.request_to(Method::GET, url).header("range", "bytes=-10")).await?;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 9990-9999/10000"));
    assert_eq!(part.body, &bytes[9990..]);
    assert_eq!(send(site.request_to(Method::HEAD, url)).await?.header("content-length"), "10000");

    let redirect = site.get(&format!("{job}/link?redirect=true&inline=true")).await?;
    assert_eq!(redirect.status, 302);
    let inline = send(site.request_to(Method::GET, redirect.header("location"))).await?;
    assert!(inline.header("content-disposition").starts_with("inline; "), "{inline:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_that_was_changed_opens_nothing() -> Result<()> {
    let (site, job, _) = completed(&[]).await?;
    let told = site.get(&format!("{job}/link")).await?.json();
    let url = told["url"].as_str().unwrap();
    let cut = url.split_once('?').unwrap().0;
    for forged in
        [url.replace("mp4", "mp3"), url.replace("inline=false", "inline=true"), format!("{url}&x=1"), cut.to_owned()]
    {
        assert_eq!(send(site.request_to(Method::GET, &forged)).await?.told(), "403 forbidden", "{forged}");
    }
    Ok(())
}

#[tokio::test]
async fn content_has_ranges_and_validators() -> Result<()> {
    let (site, job, bytes) = completed(&[]).await?;
    let content = format!("{job}/content");
    let whole = get(&site, &content, &[("accept-encoding", "gzip, br, zstd")]).await?;
    assert_eq!((whole.status.as_u16(), whole.body == bytes), (200, true));
    assert_eq!((whole.header("accept-ranges"), whole.header("content-encoding")), ("bytes", ""));
    assert!(whole.header("cache-control").starts_with("private"));
    let sha256 = site.get(&job).await?.json()["result"]["sha256"].as_str().unwrap().to_owned();
    let etag = format!("\"{sha256}\"");
    assert_eq!(whole.header("etag"), etag);
    let modified = whole.header("last-modified").to_owned();

    let table: [(Headers<'_>, u16, &str); 11] = [
        (&[("range", "bytes=0-9")], 206, "bytes 0-9/10000"),
        (&[("range", "bytes=9995-")], 206, "bytes 9995-9999/10000"),
        (&[("range", "bytes=10000-")], 416, "bytes */10000"),
        (&[("range", "bytes=0-1,5-6")], 200, ""),
        (&[("range", "lines=0-1")], 200, ""),
        (&[("range", "bytes=0-9"), ("if-range", &etag)], 206, "bytes 0-9/10000"),
        (&[("range", "bytes=0-9"), ("if-range", "\"other\"")], 200, ""),
        (&[("range", "bytes=0-9"), ("if-range", &modified)], 206, "bytes 0-9/10000"),
        (&[("range", "bytes=0-9"), ("if-range", "Fri, 20 Nov 1998 12:00:00 GMT")], 200, ""),
        (&[("if-none-match", &etag)], 304, ""),
        (&[("if-match", "\"other\"")], 412, ""),
    ];
    for (headers, status, range) in table {
        let answer = get(&site, &content, headers).await?;
        assert_eq!((answer.status.as_u16(), answer.header("content-range")), (status, range), "{headers:?}");
    }
    assert_eq!(get(&site, &content, &[("range", "bytes=10000-")]).await?.told(), "416 range_not_satisfiable");

    let head = send(site.request(Method::HEAD, &content)).await?;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "10000", 0));
    Ok(())
}

#[tokio::test]
async fn what_is_not_finished_has_no_result() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit(MEDIA).await?;
    for rest in ["link", "content"] {
        assert_eq!(site.get(&format!("{job}/{rest}")).await?.told(), "409 not_ready");
    }
    let _leased = site.lease().await?;
    assert_eq!(site.get(&format!("{job}/content")).await?.told(), "409 not_ready");
    Ok(())
}

#[tokio::test]
async fn a_forgotten_download_has_no_result_either() -> Result<()> {
    let (site, job, _) = completed(&[]).await?;
    assert_eq!(site.delete(&job).await?.status, 204);
    assert_eq!(site.get(&format!("{job}/content")).await?.told(), "404 not_found");
    Ok(())
}

/// A worker that died after its job was completed never says what became of the thumbnail.
#[tokio::test]
async fn a_thumbnail_that_does_not_come_is_not_ready_and_after_its_time_not_found() -> Result<()> {
    let site = Site::with(&[]).await?;
    let late = site.submit(MEDIA).await?;
    site.complete_before_thumbnail(b"media", Duration::from_secs(60)).await?;
    let lost = site.submit("http://127.0.0.1/w.mp4").await?;
    site.complete_before_thumbnail(b"media", Duration::from_secs(1)).await?;
    for job in [&late, &lost] {
        assert_eq!(site.get(&format!("{job}/link")).await?.status, 200);
    }
    let (late_link, lost_link) = (format!("{late}/thumbnail"), format!("{lost}/thumbnail"));
    let (late_answer, lost_answer) = tokio::join!(site.get(&late_link), site.get(&lost_link));
    let (late_answer, lost_answer) = (late_answer?, lost_answer?);
    assert_eq!((late_answer.told(), late_answer.header("retry-after")), ("409 not_ready".to_owned(), "2"));
    assert_eq!(lost_answer.told(), "404 not_found");
    assert!(site.get(&late).await?.json()["links"]["thumbnail"].is_string());
    assert!(site.get(&lost).await?.json()["links"]["thumbnail"].is_null());

    let job = site.submit("http://127.0.0.1/x.mp4").await?;
    let (lease, made) = site.complete_before_thumbnail(b"media", Duration::from_secs(60)).await?;
    assert!(site.jobs.thumbnail(&lease, &made.object.thumbnail(), None).await?);
    assert_eq!(site.get(&format!("{job}/thumbnail")).await?.told(), "404 not_found");
    Ok(())
}
