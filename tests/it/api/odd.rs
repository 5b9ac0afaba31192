//! Requests that nobody sends by mistake: thousands of them at every route.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::site::Site;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

/// How many are sent.
const REQUESTS: u32 = 4000;
/// A request that has no answer by then has none.
const PATIENCE: Duration = Duration::from_secs(60);

const METHODS: [&str; 12] =
    ["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"];
/// `{id}` is the id of a completed download, which stays.
const PATHS: [&str; 39] = [
    "/",
    "/page/app.js",
    "/page/key",
    "/downloads/{id}",
    "/downloads/{id}/file",
    "/downloads/{id}/cancel",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/index.css",
    "/docs/../etc/passwd",
    "/docs/%2e%2e/%2e%2e/etc/passwd",
    "/files/m/x",
    "/files/",
    "/files/m/../signing.key",
    "/files/%2e%2e%2fsigning.key",
    "/files//",
    "//healthz",
    "/api/v1",
    "/api/v1/",
    "/api/v1/stats",
    "/api/v1/metadata",
    "/api/v1/downloads",
    "/api/v1/downloads/",
    "/api/v1/downloads/batch",
    "/api/v1//downloads",
    "/api/v1/downloads/{id}/link",
    "/api/v1/downloads/{id}/content",
    "/api/v1/downloads/{id}/thumbnail",
    "/api/v1/downloads/{id}/subtitles/en",
    "/api/v1/downloads/{id}/subtitles/%00%2f..",
    "/api/v1/downloads/{id}%2flink",
    "/api/v1/downloads/{id}/../{id}/link",
    "/api/v1/downloads/{id}/events",
    "/api/v1/downloads/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11",
    "/api/v1/downloads/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11/retry",
];
const QUERIES: [&str; 24] = [
    "",
    "",
    "",
    "",
    "?",
    "?&",
    "?=",
    "?wait=0",
    "?wait=-1",
    "?wait=99999999999999999999",
    "?wait=%00",
    "?limit=0",
    "?limit=100",
    "?limit=1&limit=2",
    "?cursor=",
    "?cursor=AAAA",
    "?cursor=../../x",
    "?status=x&tag=%ff",
    "?inline=true",
    "?redirect=true",
    "?inline=yes&redirect=1",
    "?url=http%3A%2F%2F10.0.0.1%2F",
    "?url=",
    "?%ff%fe=%zz",
];
const HEADERS: [(&str, &str); 30] = [
    ("range", "bytes=0-"),
    ("range", "bytes=-0"),
    ("range", "bytes=-1"),
    ("range", "bytes=5-2"),
    ("range", "bytes=0-18446744073709551615"),
    ("range", "bytes=18446744073709551616-"),
    ("range", "bytes=-99999999999999999999"),
    ("range", "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9"),
    ("range", "bytes=,"),
    ("range", "=-"),
    ("range", "\u{e9}"),
    ("if-range", "\"x"),
    ("if-range", "Thu, 99 Jan 9999 99:99:99 GMT"),
    ("if-none-match", "*"),
    ("if-none-match", ",,,W/"),
    ("if-match", "\"x\""),
    ("if-modified-since", "yesterday"),
    ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("x-forwarded-for", "1.2.3.4, \u{ff}, ::1, [::1]:x"),
    ("forwarded", "for=\"[::1\";;for==,for"),
    ("x-request-id", "a b\tc"),
    ("authorization", "Bearer \u{ff}"),
    ("idempotency-key", "\u{e9} x"),
    ("origin", "null"),
    ("accept-encoding", "gzip;q=x, *;q=0"),
    ("content-type", "application/json"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", "text/html"),
    ("transfer-encoding", "identity"),
    ("expect", "100-continue"),
];
const BODIES: [&str; 16] = [
    "",
    "",
    "{",
    "null",
    "[]",
    "{}",
    "\"\\ud800\"",
    "{\"url\": \"http://10.0.0.1/\"}",
    "{\"url\": \"--exec=touch /tmp/x\"}",
    "{\"url\": \"-o/tmp/x\"}",
    "{\"url\": \"@file\"}",
    "{\"url\": \"http://127.0.0.1/\\n--exec\"}",
    "{\"url\": 1e400}",
    "{\"url\": \"file:///etc/passwd\", \"exec_cmd\": \"id\", \"postprocessors\": [], \"format\": \"bv*+ba/b[height<=?720]\"}",
    "{\"downloads\": [{\"url\": \"http://127.0.0.1/v.mp4\"}, {}, null, 7]}",
    "{\"downloads\": {}}",
];

/// The one line of a request, its headers and its body, as they are sent.
#[derive(Debug, Clone)]
struct Odd {
    head: bool,
    bytes: Vec<u8>,
}

fn odd(id: &str) -> impl Strategy<Value = Odd> + use<> {
    let known = prop::sample::select(&PATHS[..]).prop_map(str::to_owned);
    let noise = "/[a-z0-9%./;:@&=+$,~_-]{0,40}";
    let below = "/api/v1/downloads/[0-9a-fA-F-]{1,40}(/[a-z.%0-9]{0,12}){0,3}";
    let path = prop_oneof![6 => known, 1 => noise, 2 => below];
    let query = prop_oneof![5 => prop::sample::select(&QUERIES[..]).prop_map(str::to_owned), 1 => "\\?[!-~]{0,60}"];
    let form = prop::sample::select(&["", "", "", "", "http://evil.example", "http://127.0.0.1:1"][..]);
    let header = prop::sample::select(&HEADERS[..]).prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    let other = ("x-[a-z]{1,10}", "[ -~]{0,30}");
    let headers = prop::collection::vec(prop_oneof![4 => header, 1 => other], 0..5);
    let body = prop_oneof![
        4 => prop::sample::select(&BODIES[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => Just("[".repeat(30_000).into_bytes()),
        1 => Just(format!("{{{}\"url\": 7}}", "\"k\": 1,".repeat(8_000)).into_bytes()),
        1 => Just(vec![b'x'; 70_000]),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let hosts = prop::sample::select(
        &["host: a\r\n", "host: a\r\n", "host: a\r\n", "", "host: a\r\nhost: b\r\n", "host: \r\n"][..],
    );
    let version = prop::sample::select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][..]);
    let id = id.to_owned();
    (prop::sample::select(&METHODS[..]), (form, path, query), headers, body, hosts, version).prop_map(
        move |(method, (form, path, query), headers, body, host, version)| {
            let path = path.replace("{id}", &id);
            let mut text = format!("{method} {form}{path}{query} {version}\r\n{host}connection: close\r\n");
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            text += &format!("content-length: {}\r\n\r\n", body.len());
            // one byte for each of these characters, as HTTP has it
            let mut bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
            bytes.extend(body);
            Odd { head: method == "HEAD", bytes }
        },
    )
}

struct Told {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Sends it and reads until the connection closes; `None`: it was closed without an answer.
fn send(address: SocketAddr, request: &[u8]) -> Result<Option<Told>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // who is refused before the body has come may find the door closed
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    if answer.is_empty() {
        return Ok(None);
    }
    // what was asked to be told in advance
    let answer = answer.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("a head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?.parse()?;
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Some(Told { status, headers: headers.collect(), body: answer[end + 4..].to_vec() }))
}

/// What every answer has to be, whatever was asked.
fn judge(told: &Told, head: bool) -> Result<()> {
    let header = |name: &str| told.headers.get(name).map(String::as_str).unwrap_or_default();
    if header("x-request-id").is_empty() {
        // not even a request: hyper has refused it, in one line
        ensure!(matches!(told.status, 400 | 414 | 431) && told.body.is_empty(), "{} without an id", told.status);
        return Ok(());
    }
    ensure!(told.status < 500 || matches!(told.status, 502..=504), "{}", told.status);
    ensure!(header("x-content-type-options") == "nosniff", "nosniff");
    let is_page = header("referrer-policy") == "same-origin";
    ensure!(is_page || header("referrer-policy") == "no-referrer", "referrer");
    let policy = header("content-security-policy");
    ensure!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src"));
    ensure!(scripts.is_none_or(|part| part.trim() == "script-src 'self'"), "{policy}");
    if told.status < 400 {
        return Ok(());
    }
    if is_page && header("content-type") == "text/html; charset=utf-8" {
        ensure!(header("cache-control") == "no-store", "a refusal is not kept");
        return Ok(());
    }
    ensure!(header("content-type") == "application/problem+json", "{} {}", told.status, header("content-type"));
    ensure!(header("cache-control") == "no-store", "a refusal is not kept");
    if head || !header("content-encoding").is_empty() {
        return Ok(());
    }
    let problem: Value = serde_json::from_slice(&told.body)?;
    ensure!(problem["status"] == told.status && problem["request_id"] == header("x-request-id"), "{problem}");
    let code = problem["code"].as_str().context("a code")?;
    ensure!(CODES.contains(&code), "{code} is in no table");
    let faults = problem["errors"].as_array().map_or(0, Vec::len);
    ensure!(faults <= 120 && told.body.len() < 32_000, "{faults} faults, {} bytes", told.body.len());
    for inner in ["panicked", "/src/", "redis", "serde", "hyper", "os error", "127.0.0.1", "tokio"] {
        ensure!(!problem["detail"].as_str().unwrap_or_default().contains(inner), "{problem}");
    }
    Ok(())
}

/// The codes of `docs/API.md`.
const CODES: [&str; 25] = [
    "malformed_json",
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "request_timeout",
    "idempotency_conflict",
    "not_ready",
    "not_retryable",
    "cancelled",
    "expired",
    "precondition_failed",
    "range_not_satisfiable",
    "payload_too_large",
    "unsupported_media_type",
    "invalid_request",
    "unsupported_url",
    "egress_denied",
    "rate_limited",
    "client_queue_full",
    "queue_full",
    "service_unavailable",
    "timeout",
    "network",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_odd_requests_are_answered_by_the_contract_and_break_nothing() -> Result<()> {
    let site = Site::start().await?;
    let job = site.submit("http://127.0.0.1/talk.mp4").await?;
    site.complete(b"not a film").await?;
    let id = job.rsplit('/').next().context("an id")?.to_owned();
    let address: SocketAddr = site.url.strip_prefix("http://").context("an address")?.parse()?;
    let answers = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&answers);
    let sent = tokio::task::spawn_blocking(move || {
        let config =
            Config { cases: REQUESTS, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&odd(&id), |odd| {
            let told = send(address, &odd.bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
            // some are none, and their connection is closed
            counted.fetch_add(u32::from(told.is_some()), Ordering::Relaxed);
            let judged = told.map_or(Ok(()), |told| judge(&told, odd.head));
            judged.map_err(|error| {
                TestCaseError::fail(format!("{error}: {}", odd.bytes[..odd.bytes.len().min(300)].escape_ascii()))
            })
        })
    });
    if let Err(error) = sent.await? {
        anyhow::bail!("{error}");
    }
    let answers = answers.load(Ordering::Relaxed);
    assert!(answers > REQUESTS / 2, "{answers}");
    assert_eq!(site.get(&job).await?.json()["status"], json!("completed"), "and serves as before");
    Ok(())
}

/// What no client library can send: a target that is no path, and lines that are none of HTTP's.
#[tokio::test]
async fn what_is_no_request_gets_no_answer_of_ours_and_the_next_one_does() -> Result<()> {
    let site = Site::start().await?;
    let address: SocketAddr = site.url.strip_prefix("http://").context("an address")?.parse()?;
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(1 << 20));
    for request in [
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET ftp://127.0.0.1/none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /healthz HTTP/9.9\r\nhost: a\r\n\r\n",
        "GET /a\0b HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nZZ\r\n",
        "\u{16}\u{3}\u{1}",
        &many,
        &long,
    ] {
        let request = request.as_bytes().to_vec();
        let shown = request[..request.len().min(60)].escape_ascii().to_string();
        let told = tokio::task::spawn_blocking(move || {
            let mut request = request;
            if request.len() < 8 {
                request.extend([0; 64]);
            }
            send(address, &request)
        });
        if let Some(told) = told.await?.with_context(|| shown.clone())? {
            assert!((400..500).contains(&told.status), "{shown}: {}", told.status);
            judge(&told, false).with_context(|| shown.clone())?;
        }
        assert_eq!(site.get("/healthz").await?.status, 200, "{shown}");
    }
    Ok(())
}

/// RFC 9112 §3.2: two hosts are how a proxy and what is behind it are made to disagree.
#[tokio::test]
async fn a_request_names_exactly_one_host() -> Result<()> {
    let site = Site::start().await?;
    let address: SocketAddr = site.url.strip_prefix("http://").context("an address")?.parse()?;
    let table = [
        ("1.1", "", 400),
        ("1.1", "host: a\r\nhost: b\r\n", 400),
        ("1.1", "host: a\r\nhost: a\r\n", 400),
        ("1.0", "host: a\r\nhost: b\r\n", 400),
        ("1.1", "host: a/b\r\n", 400),
        ("1.1", "host: a b\r\n", 400),
        ("1.1", "host: a@b\r\n", 400),
        ("1.1", "host: a\r\n", 200),
        ("1.1", "host: [::1]:80\r\n", 200),
        ("1.1", "host:\r\n", 200),
        ("1.0", "", 200),
    ];
    for (version, hosts, status) in table {
        let request = format!("GET /healthz HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let told = tokio::task::spawn_blocking(move || send(address, request.as_bytes())).await??;
        let told = told.with_context(|| format!("no answer to {hosts:?}"))?;
        assert_eq!(told.status, status, "HTTP/{version} {hosts:?}");
        judge(&told, false).with_context(|| format!("HTTP/{version} {hosts:?}"))?;
    }
    Ok(())
}
