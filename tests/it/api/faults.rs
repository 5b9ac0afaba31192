//! What is refused, with which status, code and pointers; and what every refusal looks like.

use anyhow::Result;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::Value;

const JSON: &str = "application/json";

async fn post(site: &Site, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
    send(site.request(Method::POST, path).header("content-type", kind).body(body)).await
}

/// Every problem has the same members, its own request's id, and nothing of the inside.
fn check_problem(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    let problem = answer.json();
    for member in ["type", "title", "detail", "code", "request_id"] {
        assert!(problem[member].is_string(), "{member} of {problem}");
    }
    assert_eq!(problem["status"], answer.status.as_u16());
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    let text = problem.to_string();
    for inner in ["panicked", "/src/", "redis", "serde", "haul_", "os error"] {
        assert!(!text.contains(inner), "{text}");
    }
}

/// `422 invalid_request /clip/end`
fn told(answer: &Answer) -> String {
    check_problem(answer);
    let problem = answer.json();
    let faults = problem["errors"].as_array().cloned().unwrap_or_default();
    let mut pointers: Vec<&str> = faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    pointers.sort_unstable();
    [answer.told().as_str(), &pointers.join(" ")].join(" ").trim_end().to_owned()
}

#[tokio::test]
async fn malformed_requests_are_refused_at_their_place() -> Result<()> {
    let site = Site::start().await?;
    let with = |more: &str| format!("{{\"url\": \"http://127.0.0.1/v.mp4\", {more}}}");
    let long_url = format!("{{\"url\": \"http://127.0.0.1/{}\"}}", "a".repeat(2040));
    let table: Vec<(String, &str)> = [
        ("", "400 malformed_json"),
        ("{", "400 malformed_json"),
        ("nonsense", "400 malformed_json"),
        ("{\"url\": \"http://127.0.0.1/\",}", "400 malformed_json"),
        ("{\"url\": 'http://127.0.0.1/'}", "400 malformed_json"),
        ("{} {}", "400 malformed_json"),
        ("{\"url\": \"\u{1}\"}", "400 malformed_json"),
        ("null", "422 invalid_request"),
        ("[]", "422 invalid_request"),
        ("\"http://127.0.0.1/\"", "422 invalid_request"),
        ("{}", "422 invalid_request /url"),
        ("{\"url\": null}", "422 invalid_request /url"),
        ("{\"url\": 7}", "422 invalid_request /url"),
        ("{\"url\": [\"http://127.0.0.1/\"]}", "422 invalid_request /url"),
        ("{\"url\": \"\"}", "422 invalid_request /url"),
        ("{\"url\": \"not a url\"}", "422 invalid_request /url"),
        ("{\"url\": \"//127.0.0.1/v\"}", "422 invalid_request /url"),
        ("{\"url\": \"http://\"}", "422 invalid_request /url"),
        ("{\"url\": \"http://127.0.0.1/\", \"url\": \"http://127.0.0.2/\"}", "422 invalid_request /url"),
        (&long_url, "422 invalid_request /url"),
        ("{\"url\": \"ftp://127.0.0.1/v\"}", "422 unsupported_url /url"),
        ("{\"url\": \"file:///etc/passwd\"}", "422 unsupported_url /url"),
        ("{\"url\": \"javascript:alert(1)\"}", "422 unsupported_url /url"),
        ("{\"url\": \"http://u:p@127.0.0.1/\"}", "422 unsupported_url /url"),
        ("{\"url\": \"http://u@127.0.0.1/\"}", "422 unsupported_url /url"),
        ("{\"url\": \"http://10.0.0.1/\"}", "422 egress_denied /url"),
        ("{\"url\": \"http://169.254.169.254/latest/meta-data\"}", "422 egress_denied /url"),
        ("{\"url\": \"http://[::1]/\"}", "422 egress_denied /url"),
        ("{\"url\": \"http://0x0a000001/\"}", "422 egress_denied /url"),
        ("{\"url\": \"http://printer.local/\"}", "422 egress_denied /url"),
        ("{\"url\": \"http://media.example:22/\"}", "422 egress_denied /url"),
        ("{\"url\": \"ftp://127.0.0.1/v\", \"format\": 7}", "422 invalid_request /format /url"),
    ]
    .into_iter()
    .map(|(body, told)| (body.to_owned(), told))
    .chain(
        [
            ("\"unknown\": 1", "422 invalid_request /unknown"),
            ("\"Format\": \"mp4\"", "422 invalid_request /Format"),
            ("\"a/b~\": 1", "422 invalid_request /a~1b~0"),
            ("\"format\": \"avi\"", "422 invalid_request /format"),
            ("\"format\": \"MP4\"", "422 invalid_request /format"),
            ("\"format\": null", "422 invalid_request /format"),
            ("\"quality\": \"1081p\"", "422 invalid_request /quality"),
            ("\"quality\": 1080", "422 invalid_request /quality"),
            ("\"codec\": \"h263\"", "422 invalid_request /codec"),
            ("\"fallback\": \"any\"", "422 invalid_request /fallback"),
            ("\"audio_bitrate_kbps\": 31", "422 invalid_request /audio_bitrate_kbps"),
            ("\"audio_bitrate_kbps\": 321", "422 invalid_request /audio_bitrate_kbps"),
            ("\"audio_bitrate_kbps\": \"192\"", "422 invalid_request /audio_bitrate_kbps"),
            ("\"clip\": {\"start\": 42, \"end\": 10}", "422 invalid_request /clip/end"),
            ("\"clip\": {\"start\": -1, \"end\": 10}", "422 invalid_request /clip/start"),
            ("\"clip\": {\"begin\": 1}", "422 invalid_request /clip/begin"),
            ("\"clip\": {\"start\": 1, \"end\": 1}", "422 invalid_request /clip/end"),
            ("\"clip\": 5", "422 invalid_request /clip"),
            ("\"subtitles\": {\"languages\": [\"en\", 1]}", "422 invalid_request /subtitles/languages/1"),
            ("\"subtitles\": {\"languages\": []}", "422 invalid_request /subtitles/languages"),
            ("\"embed_metadata\": \"yes\"", "422 invalid_request /embed_metadata"),
            ("\"embed_thumbnail\": 1", "422 invalid_request /embed_thumbnail"),
            ("\"embed_chapters\": 0", "422 invalid_request /embed_chapters"),
            ("\"sponsorblock\": {\"mark\": [\"ads\"]}", "422 invalid_request /sponsorblock/mark/0"),
            ("\"sponsorblock\": {\"cut\": []}", "422 invalid_request /sponsorblock/cut"),
            ("\"playlist_index\": 0", "422 invalid_request /playlist_index"),
            ("\"playlist_index\": 1.5", "422 invalid_request /playlist_index"),
            ("\"streaming\": \"yes\"", "422 invalid_request /streaming"),
            ("\"live_seconds\": 86401", "422 invalid_request /live_seconds"),
            ("\"filename\": \"\"", "422 invalid_request /filename"),
            ("\"priority\": \"high\"", "422 invalid_request /priority"),
            ("\"region\": \"mars\"", "422 invalid_request /region"),
            ("\"webhook\": {\"url\": \"https://hook.example/\"}", "422 invalid_request /webhook"),
            ("\"webhook\": \"https://hook.example/\"", "422 invalid_request /webhook"),
            ("\"external_id\": 17", "422 invalid_request /external_id"),
            ("\"tags\": \"talks\"", "422 invalid_request /tags"),
            ("\"tags\": [\"a\", 2, \"\"]", "422 invalid_request /tags/1 /tags/2"),
            ("\"expires_in\": 59", "422 invalid_request /expires_in"),
            ("\"expires_in\": 86401", "422 invalid_request /expires_in"),
            (
                "\"format\": 1, \"tags\": [1], \"x\": 1, \"clip\": {\"end\": -1}",
                "422 invalid_request /clip/end /format /tags/0 /x",
            ),
        ]
        .into_iter()
        .map(|(more, told)| (with(more), told)),
    )
    .collect();
    assert!(table.len() >= 60);
    for (body, expected) in table {
        let answer = post(&site, "/api/v1/downloads", JSON, body.clone()).await?;
        assert_eq!(told(&answer), expected, "{body}");
    }
    assert_eq!(site.get("/api/v1/downloads").await?.json()["downloads"], Value::Array(Vec::new()));
    Ok(())
}

#[tokio::test]
async fn what_is_no_route_and_no_json_is_a_problem_too() -> Result<()> {
    let site = Site::start().await?;
    let downloads = "/api/v1/downloads";
    let unknown = "/api/v1/downloads/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11";
    for path in
        ["/nowhere", "/api/v1/nothing", "/api/v1/downloads/", "/api/v1/downloads/7", "/api/v1/downloads/%ff", unknown]
    {
        assert_eq!(told(&site.get(path).await?), "404 not_found", "{path}");
    }
    // These were 400.
    assert_eq!(told(&site.get(&format!("{unknown}/subtitles/%ff")).await?), "404 not_found");
    assert_eq!(told(&site.get("/files/%ff").await?), "403 forbidden");
    // what later issues bring is not there yet
    for rest in ["events", "thumbnail"] {
        assert_eq!(told(&site.get(&format!("{unknown}/{rest}")).await?), "404 not_found", "{rest}");
    }
    for rest in ["", "/link", "/content", "/webhook"] {
        assert_eq!(told(&site.get(&format!("{unknown}{rest}")).await?), "404 not_found", "{rest}");
    }
    assert_eq!(told(&site.delete(unknown).await?), "404 not_found");

    for (method, path, allow) in [
        (Method::PUT, downloads, vec!["GET", "HEAD", "POST"]),
        (Method::PUT, unknown, vec!["DELETE", "GET", "HEAD", "PATCH"]),
        (Method::GET, "/api/v1/metadata", vec!["DELETE", "POST"]),
        (Method::POST, "/healthz", vec!["GET", "HEAD"]),
    ] {
        let answer = send(site.request(method, path)).await?;
        assert_eq!(told(&answer), "405 method_not_allowed", "{path}");
        let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed, allow, "{path}");
    }

    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        assert_eq!(told(&post(&site, downloads, kind, "{}").await?), "415 unsupported_media_type", "{kind}");
    }
    assert_eq!(told(&send(site.request(Method::POST, downloads)).await?), "415 unsupported_media_type");

    let long = format!("{{\"url\": \"{}\"}}", "a".repeat(64 * 1024));
    assert_eq!(told(&post(&site, downloads, JSON, long.clone()).await?), "413 payload_too_large");
    let pieces =
        futures::stream::iter([long[..60_000].to_owned(), long[60_000..].to_owned()].map(Ok::<_, std::io::Error>));
    let chunked = post(&site, downloads, JSON, reqwest::Body::wrap_stream(pieces)).await?;
    assert_eq!(told(&chunked), "413 payload_too_large");
    Ok(())
}

#[tokio::test]
async fn queries_and_headers_are_checked_like_bodies() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit("http://127.0.0.1/v.mp4").await?;
    let table = [
        ("/api/v1/downloads?limit=0", "422 invalid_request /limit"),
        ("/api/v1/downloads?limit=101", "422 invalid_request /limit"),
        ("/api/v1/downloads?limit=ten", "422 invalid_request /limit"),
        ("/api/v1/downloads?cursor=x", "422 invalid_request /cursor"),
        ("/api/v1/downloads?cursor=", "422 invalid_request /cursor"),
        ("/api/v1/downloads?status=done", "422 invalid_request /status"),
        ("/api/v1/downloads?offset=5&limit=x", "422 invalid_request /limit /offset"),
        ("JOB?wait=61", "422 invalid_request /wait"),
        ("JOB?wait=-1", "422 invalid_request /wait"),
        ("JOB?wait=", "422 invalid_request /wait"),
        ("JOB?await=1", "422 invalid_request /await"),
        ("JOB/link?redirect=1", "422 invalid_request /redirect"),
        ("JOB/content?inline=yes", "422 invalid_request /inline"),
    ];
    for (path, expected) in table {
        assert_eq!(told(&site.get(&path.replace("JOB", &job)).await?), expected, "{path}");
    }
    // Routes without parameters ignored whatever was sent, so that `?format=mp3` had no effect and no answer.
    let unknown = [
        (Method::POST, "/api/v1/downloads"),
        (Method::POST, "/api/v1/downloads/batch"),
        (Method::POST, "/api/v1/metadata"),
        (Method::POST, "JOB/cancel"),
        (Method::POST, "JOB/retry"),
        (Method::DELETE, "JOB"),
        (Method::GET, "/api/v1/stats"),
    ];
    for (method, path) in unknown {
        let answer = send(site.request(method, &(path.replace("JOB", &job) + "?format=mp3")).json(&())).await?;
        assert_eq!(told(&answer), "422 invalid_request /format", "{path}");
    }
    let answer =
        send(site.request(Method::POST, "/api/v1/downloads").header("idempotency-key", "a b").json(&())).await?;
    assert_eq!(told(&answer), "422 invalid_request /Idempotency-Key");
    Ok(())
}

#[tokio::test]
async fn a_sane_request_id_comes_back_and_another_is_replaced() -> Result<()> {
    let site = Site::start().await?;
    for (sent, taken) in [("order_17-B", true), ("a b", false), ("<x>", false), (&"a".repeat(65), false)] {
        let answer = send(site.request(Method::GET, "/nowhere").header("x-request-id", sent)).await?;
        check_problem(&answer);
        assert_eq!(answer.header("x-request-id") == sent, taken, "{sent}");
    }
    Ok(())
}
