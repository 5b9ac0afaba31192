//! What operators and machines read: health, numbers, the description of the API.

use anyhow::Result;
use haul_tests::site::{Site, send};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn ready_means_that_redis_and_storage_answer() -> Result<()> {
    let site = Site::start().await?;
    assert_eq!(site.get("/healthz").await?.json(), json!({ "status": "ok" }));
    let ready = site.get("/readyz").await?;
    assert_eq!(ready.json(), json!({ "status": "ready", "redis": "ok", "storage": "ok" }));
    let mut connection = site.redis.connection().await?;
    // the server ends before it can answer
    let _ = redis::cmd("SHUTDOWN").arg("NOSAVE").query_async::<()>(&mut connection).await;
    let unready = site.get("/readyz").await?;
    assert_eq!((unready.status.as_u16(), &unready.json()["storage"]), (503, &json!("ok")));
    assert_ne!(unready.json()["redis"], "ok");
    let refused = site.get("/api/v1/downloads").await?;
    assert_eq!(refused.told(), "503 service_unavailable");
    assert!(refused.header("retry-after").parse::<u64>()? >= 1);
    assert_eq!(site.get("/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn metrics_tell_of_requests_by_route_and_of_queues() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit("http://127.0.0.1/v.mp4").await?;
    site.get(&job).await?;
    site.get("/no/such/route").await?;
    let answer = site.get("/metrics").await?;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{answer:?}");
    let metrics = String::from_utf8(answer.body)?;
    for line in [
        "haul_http_requests_total{method=\"GET\",route=\"/api/v1/downloads/{id}\",status=\"200\"} 1",
        "haul_http_requests_total{method=\"POST\",route=\"/api/v1/downloads\",status=\"202\"} 1",
        "haul_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "haul_queue_depth{priority=\"normal\",region=\"default\"} 1",
        "haul_queue_oldest_seconds{region=\"default\"}",
        "haul_redis_pool_connections{state=",
        "haul_build_info{",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    // Series without a count were missing, and so was the count of lost leases.
    for line in [
        "haul_leases_lost_total 0",
        "haul_queue_depth{priority=\"low\",region=\"default\"} 0",
        "haul_rate_limited_total{class=\"downloads\"} 0",
        "haul_metadata_cache_total{result=\"stale\"} 0",
        "haul_egress_denied_total{reason=\"port\"} 0",
        "haul_jobs_total{status=\"failed\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains("no/such/route"));
    Ok(())
}

#[tokio::test]
async fn stats_are_for_people() -> Result<()> {
    let site = Site::start().await?;
    site.submit("http://127.0.0.1/1.mp4").await?;
    site.complete(b"media").await?;
    site.submit("http://127.0.0.1/2.mp4").await?;
    let stats = site.get("/api/v1/stats").await?.json();
    assert_eq!((&stats["jobs"]["completed"], &stats["jobs"]["queued"]), (&json!(1), &json!(1)));
    assert_eq!((&stats["storage"]["used_bytes"], &stats["workers"]), (&json!(5), &json!([])));
    assert_eq!(stats["queues"][0]["region"], "default");
    assert!(stats["queue_wait_seconds"]["p50"].is_number());
    Ok(())
}

#[tokio::test]
async fn the_description_names_every_route() -> Result<()> {
    let site = Site::start().await?;
    let document = site.get("/openapi.json").await?.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut routes: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods =
            item.as_object().unwrap().keys().filter(|key| ["get", "post", "patch", "delete"].contains(&key.as_str()));
        routes.extend(methods.map(|method| format!("{method} {path}")));
    }
    routes.sort_unstable();
    let expected = [
        "delete /api/v1/downloads/{id}",
        "delete /api/v1/metadata",
        "delete /api/v1/playlists/{id}",
        "get /api/v1/downloads",
        "get /api/v1/downloads/{id}",
        "get /api/v1/downloads/{id}/content",
        "get /api/v1/downloads/{id}/events",
        "get /api/v1/downloads/{id}/link",
        "get /api/v1/downloads/{id}/subtitles/{language}",
        "get /api/v1/downloads/{id}/thumbnail",
        "get /api/v1/downloads/{id}/webhook",
        "get /api/v1/metadata/thumbnail",
        "get /api/v1/playlists",
        "get /api/v1/playlists/{id}",
        "get /api/v1/playlists/{id}/zip",
        "get /api/v1/stats",
        "get /api/v1/usage",
        "get /healthz",
        "get /readyz",
        "patch /api/v1/downloads/{id}",
        "post /api/v1/downloads",
        "post /api/v1/downloads/batch",
        "post /api/v1/downloads/{id}/cancel",
        "post /api/v1/downloads/{id}/retry",
        "post /api/v1/downloads/{id}/webhook/redeliver",
        "post /api/v1/metadata",
        "post /api/v1/plan",
        "post /api/v1/playlists",
        "post /api/v1/playlists/{id}/cancel",
    ];
    assert_eq!(routes, expected);
    // It asked for a key where none is wanted.
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["DownloadRequest"]["required"], json!(["url"]));
    // It told neither what every route may refuse with, nor that nothing of an answer is missing and nothing unknown read.
    assert_eq!(schemas["DownloadRequest"]["additionalProperties"], false);
    assert_eq!(schemas["JobView"]["required"].as_array().map(Vec::len), Some(21));
    // It asked for what has a default, and for subtitles of results without any; two of the three that send ranges said nothing of them.
    let needed = ["Clip", "Subtitles", "SponsorBlock"].map(|name| schemas[name]["required"].clone());
    assert_eq!(needed, [Value::Null, json!(["languages"]), Value::Null]);
    assert!(!schemas["ResultView"]["required"].as_array().unwrap().contains(&json!("subtitles")));
    for bytes in ["content", "thumbnail", "subtitles/{language}"] {
        let told = &document["paths"][format!("/api/v1/downloads/{{id}}/{bytes}")]["get"]["responses"];
        assert!(["206", "304", "412", "416"].iter().all(|status| told[status].is_object()), "{bytes}: {told}");
    }
    // It said of two of the routes that make jobs nothing of a full queue.
    let queueing = [
        ("/api/v1/downloads", "post"),
        ("/api/v1/downloads/{id}/retry", "post"),
        ("/api/v1/metadata", "post"),
        ("/api/v1/metadata/thumbnail", "get"),
    ];
    for (path, method) in queueing {
        let told = &document["paths"][path][method]["responses"];
        for (status, code) in [("429", "`client_queue_full`"), ("503", "`queue_full`")] {
            let description = told[status]["description"].as_str().unwrap_or_default();
            assert!(description.contains(code), "{status} of {method} {path}: {description}");
        }
    }
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/")) {
        for (method, operation) in item.as_object().unwrap() {
            for status in ["401", "422", "429", "503"] {
                let problem = &operation["responses"][status]["content"]["application/problem+json"];
                assert!(problem.is_object(), "{status} of {method} {path}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() -> Result<()> {
    let site = Site::start().await?;
    // It answered with a redirect to itself with a slash, and asked a validator on the internet.
    let answer = site.get("/docs").await?;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html"));
    let page = String::from_utf8(answer.body)?;
    assert!(page.contains("swagger-ui") && page.contains("<base href=\"docs/\">"), "{page}");
    assert!(!page.contains("//cdn") && !page.contains("https://"), "{page}");
    assert_eq!(site.get("/docs/").await?.status, 200);
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "index.css", "swagger-initializer.js"] {
        let answer = site.get(&format!("/docs/{asset}")).await?;
        assert_eq!((answer.status.as_u16(), answer.body.is_empty()), (200, false), "{asset}");
    }
    let start = String::from_utf8(site.get("/docs/swagger-initializer.js").await?.body)?;
    assert!(start.contains("\"validatorUrl\": \"none\"") && start.contains("/openapi.json"), "{start}");
    assert_eq!(site.get("/docs/no-such.js").await?.told(), "404 not_found");
    Ok(())
}

#[tokio::test]
async fn answers_are_compressed_for_who_asks() -> Result<()> {
    let site = Site::start().await?;
    for coding in ["gzip", "br", "zstd"] {
        let answer = send(site.request(Method::GET, "/openapi.json").header("accept-encoding", coding)).await?;
        assert_eq!(answer.header("content-encoding"), coding);
    }
    // Fault: the answer, whatever it was, became an empty 406.
    for refusing in ["*;q=0", "identity;q=0", "identity; q=0.0, br;q=0", "*;q=0, identity;q=0"] {
        let answer = send(site.request(Method::GET, "/openapi.json").header("accept-encoding", refusing)).await?;
        assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, ""), "{refusing}");
    }
    let job = site.submit("http://127.0.0.1/v.mp4").await?;
    let packed = send(site.request(Method::GET, &job).header("accept-encoding", "gzip")).await?;
    assert!(packed.header("etag").starts_with("W/\""), "{packed:?}");
    let again = send(site.request(Method::GET, &job).header("if-none-match", packed.header("etag"))).await?;
    assert_eq!(again.status, 304);
    Ok(())
}
