//! Where dialects are: nowhere unless configured, and then at their place and nowhere else.

use anyhow::Result;
use haul_tests::site::Site;
use reqwest::Method;

use super::{get_at, is_refusal, sent};

#[tokio::test]
async fn a_dialect_is_off_until_it_has_a_place() -> Result<()> {
    let site = Site::start().await?;
    for (host, path) in [("127.0.0.1", "/metube/version"), ("metube.example", "/version"), ("metube", "/add")] {
        let told = get_at(&site, host, path).await?;
        assert_eq!(told.told(), "404 not_found", "{host}{path}");
        assert_eq!(told.header("content-type"), "application/problem+json");
    }
    Ok(())
}

#[tokio::test]
async fn below_its_path_there_is_the_dialect_and_elsewhere_there_is_none_of_it() -> Result<()> {
    let site =
        Site::with(&[("HAUL_COMPAT_METUBE", "/tools/metube"), ("HAUL_PUBLIC_URL", "https://dl.example/haul")]).await?;
    for path in ["/tools/metube/version", "/tools/metube//version", "//tools//metube//version"] {
        let told = site.get(path).await?;
        assert_eq!((told.status.as_u16(), told.header("content-type")), (200, "application/json"), "{path}");
        assert!(told.json()["version"].is_string() && told.json()["yt-dlp"].is_string(), "{path}");
    }
    for path in ["/tools/metube", "/tools/metube/"] {
        let told = site.get(path).await?;
        assert_eq!((told.status.as_u16(), told.header("location")), (303, "https://dl.example/haul"), "{path}");
    }
    for path in ["/tools/metube/healthz", "/tools/metube/api/v1/downloads", "/tools/metube/x"] {
        let told = site.get(path).await?;
        assert_eq!((told.status.as_u16(), told.header("content-type")), (404, "application/json"), "{path}");
        assert!(is_refusal(&told), "{path}: {}", told.json());
    }
    let told = site.get("/tools/metube/cancel-add").await?;
    assert_eq!((told.status.as_u16(), told.header("allow")), (405, "POST"));
    assert!(is_refusal(&told));
    for path in ["/version", "/tools", "/tools/metubeversion", "//version"] {
        assert_eq!(site.get(path).await?.told(), "404 not_found", "{path}");
    }
    assert_eq!(site.get("/healthz").await?.status, 200);
    assert_eq!(site.get("/api/v1/downloads").await?.status, 200);

    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    let counted = "haul_http_requests_total{method=\"GET\",route=\"metube:/version\",status=\"200\"} 3";
    assert!(metrics.contains(counted) && !metrics.contains("tools"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn at_its_host_there_is_the_dialect_and_nothing_else_whatever_the_target_looks_like() -> Result<()> {
    let site = Site::with(&[("HAUL_COMPAT_METUBE", "metube.example")]).await?;
    for host in ["metube.example", "MeTube.Example:8080", "metube.example."] {
        assert_eq!(get_at(&site, host, "/version").await?.status, 200, "{host}");
        assert_eq!(get_at(&site, host, "//version").await?.status, 200, "{host}");
        for native in ["/healthz", "/metrics", "/api/v1/downloads", "/openapi.json"] {
            let told = get_at(&site, host, native).await?;
            assert!(told.status == 404 && is_refusal(&told), "{host}{native}");
        }
    }
    for host in ["127.0.0.1", "example", "x.metube.example", "metube.example.evil"] {
        assert_eq!(get_at(&site, host, "/version").await?.told(), "404 not_found", "{host}");
        assert_eq!(get_at(&site, host, "/healthz").await?.status, 200, "{host}");
    }
    // the target goes before the header (RFC 9112 §3.2.2)
    let absolute = "GET http://metube.example/version HTTP/1.1\nHost: 127.0.0.1";
    assert_eq!(sent(&site, absolute).await?.status, 200);
    let absolute = "GET http://127.0.0.1/version HTTP/1.1\nHost: metube.example";
    assert_eq!(sent(&site, absolute).await?.told(), "404 not_found");
    for target in ["OPTIONS *", "CONNECT metube.example:80"] {
        let told = sent(&site, &format!("{target} HTTP/1.1\nHost: metube.example")).await?;
        assert!(told.status == 404 && is_refusal(&told), "{target}: {}", told.status);
    }
    let twice = "GET /version HTTP/1.1\nHost: metube.example\nHost: 127.0.0.1";
    assert_eq!(sent(&site, twice).await?.told(), "400 bad_request");
    Ok(())
}

#[tokio::test]
async fn a_dialect_has_the_limits_of_the_api_and_says_so_in_its_own_words() -> Result<()> {
    let site = Site::with(&[("HAUL_COMPAT_METUBE", "/metube"), ("HAUL_RATE_READS", "2/h")]).await?;
    for left in ["1", "0"] {
        let told = site.get("/metube/presets").await?;
        assert_eq!((told.status.as_u16(), told.header("x-ratelimit-remaining")), (200, left));
    }
    let told = site.get("/metube/version").await?;
    assert_eq!(told.status, 429);
    assert!(is_refusal(&told) && told.header("retry-after").parse::<u64>()? > 0, "{}", told.json());

    let unlimited = Site::with(&[("HAUL_COMPAT_METUBE", "/metube")]).await?;
    let long = "x".repeat(70_000);
    let told = unlimited.request(Method::POST, "/metube/subscribe").body(long).send().await?;
    assert_eq!(told.status(), 413);
    Ok(())
}
