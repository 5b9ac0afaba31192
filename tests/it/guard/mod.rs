//! The egress guard as a program meets it: a proxy on loopback that judges every question, counts every byte, and
//! remembers what it refused.

mod answers;
mod caps;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use haul_shared::egress::Denied;
use haul_shared::job::{Failure, FailureKind};
use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_worker::guard::{Guard, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use Refusal::{Malformed, Scheme, Target};

/// For anything that is to happen at once, or as soon as an origin has been silent for too long.
const SOON: Duration = Duration::from_secs(40);

/// A connection of a program.
struct Program(TcpStream);

impl Program {
    async fn of(guard: &Guard) -> Self {
        Self(TcpStream::connect(guard.address().unwrap()).await.unwrap())
    }

    async fn says(&mut self, text: &str) {
        // a guard that has closed meanwhile is what is looked at next
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// The next head, without its empty line; empty: it was closed.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(SOON, self.0.read_u8()).await.expect("an answer in time") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap().trim_end().to_owned()
    }

    async fn status(&mut self) -> Option<u16> {
        self.head().await.split(' ').nth(1).map(|status| status.parse().unwrap())
    }

    async fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        timeout(SOON, self.0.read_exact(&mut bytes)).await.expect("in time").unwrap();
        bytes
    }

    /// All that still comes.
    async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = timeout(SOON, self.0.read_to_end(&mut bytes)).await.expect("in time");
        bytes
    }
}

/// What is answered to one question, and what the guard remembers of it.
async fn asked(target: &str) -> (Option<u16>, Option<Refusal>) {
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    program.says(&format!("GET {target} HTTP/1.1\r\nHost: harmless.example\r\n\r\n")).await;
    (program.status().await, guard.refused())
}

async fn tunnelled(authority: &str) -> (Option<u16>, Option<Refusal>) {
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).await;
    (program.status().await, guard.refused())
}

/// Nobody may ever come here.
async fn canary(address: &str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { drop(listener.accept().await) }))
}

async fn served() -> RangeOrigin {
    RangeOrigin::start(|asked: &Asked| asked.served(&"0123456789".into(), TAG)).await
}

#[tokio::test]
async fn every_question_of_a_connection_is_judged_and_the_first_refusal_is_remembered() {
    let (origin, (hidden, visited)) = (served().await, canary("127.0.0.2:0").await);
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    for _ in 0..2 {
        program.says(&format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/a"))).await;
        assert!(program.head().await.starts_with("HTTP/1.1 200"));
        assert_eq!(program.bytes(10).await, b"0123456789");
    }
    assert!(origin.asked().iter().all(|asked| asked.open == 1) && origin.asked().len() == 2, "it is kept");
    program.says(&format!("GET http://{hidden}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
    let head = program.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 403") && head.contains("connection: close"), "{head}");
    assert!(head.contains("content-length: 0") && program.rest().await.is_empty(), "{head}");
    assert_eq!(guard.refused(), Some(Refusal::Denied(Denied::Address)));
    assert_eq!(tunnelled(&hidden.to_string()).await, (Some(403), Some(Refusal::Denied(Denied::Address))));
    assert!(!visited.is_finished());
    let tally = guard.tally();
    assert_eq!((tally.requests, tally.refused), (3, 1));
    assert!((20..1000).contains(&tally.received_bytes) && (50..1000).contains(&tally.sent_bytes), "{tally:?}");
}

#[tokio::test]
async fn no_spelling_of_a_target_leads_past_the_policy() {
    let denied = |reason| (Some(403), Some(Refusal::Denied(reason)));
    for target in
        ["http://2130706434/", "http://0x7f000002/", "http://[::1]/", "http://[::ffff:127.0.0.2]/", "http://127.2/"]
    {
        assert_eq!(asked(target).await, denied(Denied::Address), "{target}");
    }
    for target in ["http://printer.local/", "http://redis:6379/", "http://metadata.google.internal/"] {
        assert_eq!(asked(target).await, denied(Denied::Name), "{target}");
    }
    for target in ["http://site.example:22/", "http://site.example:25/", "http://8.8.8.8:6379/"] {
        assert_eq!(asked(target).await, denied(Denied::Port), "{target}");
    }
    for target in ["http://u@8.8.8.8/", "http://u:p@8.8.8.8/", "http://8.8.8.8\\@127.0.0.1@x/"] {
        let (status, refusal) = asked(target).await;
        // which of the two readers refuses it does not matter
        assert!(matches!(status, Some(400 | 403)) && refusal.is_none_or(|it| it == Target), "{target}: {refusal:?}");
    }
    for target in ["ftp://8.8.8.8/a.mp4", "gopher://127.0.0.1/"] {
        assert_eq!(asked(target).await, (Some(400), Some(Scheme)), "{target}");
    }
    for authority in ["8.8.8.8:22", "8.8.8.8:25", "site.example:6379"] {
        assert_eq!(tunnelled(authority).await, denied(Denied::Port), "{authority}");
    }
    for authority in ["[::1]:443", "169.254.169.254:80", "[64:ff9b::a9fe:a9fe]:443", "2852039166:443"] {
        assert_eq!(tunnelled(authority).await, denied(Denied::Address), "{authority}");
    }
    for authority in ["8.8.8.8:99999", "u@8.8.8.8:443", "8.8.8.8"] {
        assert_eq!(tunnelled(authority).await.0, Some(400), "{authority}");
    }
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_reaches_no_origin() {
    let origin = served().await;
    let url = origin.url("/");
    for question in [
        format!("GET {url} HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"),
        format!("GET {url} HTTP/1.1\nHost: x\n\n"),
        format!("GET {url} HTTP/1.1\r\nHost : x\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nA: b\0\r\n\r\n"),
        format!("GET {url}\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\n{}\r\n", format!("A: {}\r\n", "b".repeat(1000)).repeat(40)),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let guard = haul_tests::guard();
        let mut program = Program::of(&guard).await;
        program.says(&question).await;
        assert_eq!(program.status().await, Some(400), "{question:?}");
        assert!(program.rest().await.is_empty(), "{question:?}");
        assert_eq!((guard.refused(), guard.tally().refused), (None, 1), "{Malformed}: no reason for a failure");
    }
    assert_eq!(origin.asked().len(), 0);
}

#[tokio::test]
async fn an_origin_is_asked_anew_and_learns_nothing_of_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    program
        .says(&format!(
            "POST http://{address}/a?b=c#d HTTP/1.1\r\nHost: 127.0.0.2\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic eA==\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nTE: trailers\r\n\
             Upgrade: websocket\r\nContent-Length: 4\r\nX-Kept: yes\r\n\r\nbodyGET http://127.0.0.2/ HTTP/1.1\r\n\r\n"
        ))
        .await;
    let (mut origin, _) = listener.accept().await.unwrap();
    let mut question = vec![0; 4096];
    let mut bytes = 0;
    while !question[..bytes].ends_with(b"body") {
        bytes += timeout(SOON, origin.read(&mut question[bytes..])).await.expect("in time").unwrap();
    }
    let question = String::from_utf8(question[..bytes].to_vec()).unwrap();
    let mut lines: Vec<&str> = question.split("\r\n").collect();
    lines[1..].sort_unstable();
    let host = format!("Host: {address}");
    assert_eq!(lines, ["POST /a?b=c HTTP/1.1", "", "Content-Length: 4", &host, "X-Kept: yes", "body"], "{question}");
    // what belongs to a connection stays on its own side of the guard
    origin
        .write_all(b"HTTP/1.1 200 OK\r\nConnection: x-own\r\nX-Own: 1\r\nProxy-Status: x\r\nTransfer-Encoding: chunked\r\nX-Kept: too\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await
        .unwrap();
    let head = program.head().await.to_ascii_lowercase();
    assert!(head.contains("x-kept: too") && head.contains("transfer-encoding: chunked"), "{head}");
    assert!(!head.contains("x-own") && !head.contains("proxy-") && !head.contains("date"), "{head}");
    assert_eq!(program.bytes(13).await, b"3\r\nabc\r\n0\r\n\r\n");
    // what stood behind the body is a question of its own
    assert_eq!(program.status().await, Some(403));
}

#[tokio::test]
async fn a_tunnel_passes_what_it_is_given_both_ways_and_ends_with_its_guard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\nearly")).await;
    let (mut origin, _) = listener.accept().await.unwrap();
    assert_eq!(program.head().await, "HTTP/1.1 200 Connection established");
    let mut first = [0; 5];
    origin.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"early");
    let much = vec![7; 3 << 20];
    let (sent, got) = tokio::join!(origin.write_all(&much), program.bytes(much.len()));
    sent.unwrap();
    assert!(got == much);
    assert_eq!((guard.tally().received_bytes, guard.tally().sent_bytes, guard.tally().requests), (3 << 20, 5, 1));
    drop(guard);
    assert!(program.rest().await.is_empty());
    assert_eq!(timeout(SOON, origin.read(&mut first)).await.expect("in time").unwrap_or(0), 0);
}

#[tokio::test]
async fn of_an_answer_that_breaks_off_at_once_the_head_comes() {
    // Fault: the connection was closed without an answer, which programs take for a proxy that does not work, and a webhook
    // that was taken was sent again and again.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let guard = haul_tests::guard();
    let mut program = Program::of(&guard).await;
    program.says(&format!("GET http://{}/ HTTP/1.1\r\n\r\n", listener.local_addr().unwrap())).await;
    let (mut origin, _) = timeout(SOON, listener.accept()).await.expect("in time").unwrap();
    origin.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n").await.unwrap();
    assert_eq!(program.status().await, Some(200));
    assert!(program.rest().await.is_empty());
}

#[test]
fn a_refusal_decides_over_what_a_program_says_and_not_over_what_is_no_affair_of_the_net() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _runtime = runtime.enter();
    let kind = |guard: &Guard, seeming| guard.explain(Failure::new(seeming, "x")).kind;
    let guard = haul_tests::guard();
    assert_eq!(kind(&guard, FailureKind::SiteBlocked), FailureKind::SiteBlocked, "nothing was refused");
    let url = haul_shared::source::SourceUrl::read("http://10.0.0.1/").unwrap();
    guard.for_what_is_optional().judge(&url).unwrap_err();
    assert_eq!(kind(&guard, FailureKind::SiteBlocked), FailureKind::SiteBlocked, "the job can do without");
    guard.judge(&url).unwrap_err();
    for seeming in
        [FailureKind::SiteBlocked, FailureKind::Internal, FailureKind::CorruptMedia, FailureKind::Unavailable]
    {
        assert_eq!(kind(&guard, seeming), FailureKind::EgressDenied);
    }
    for seeming in [FailureKind::StorageUnavailable, FailureKind::DiskFull, FailureKind::DrmProtected] {
        assert_eq!(kind(&guard, seeming), seeming);
    }
    assert_eq!(guard.tally().refused, 2, "what is optional is counted");
    let busy = Failure::new(FailureKind::SiteRateLimited, "x").after(Some(SOON));
    assert_eq!(guard.explain(busy).retry_after, Some(SOON));
    // Fault: one variant of a playlist that was denied, and that nobody needed, made every later failure a final one.
    guard.has_done_without();
    assert_eq!(kind(&guard, FailureKind::Network), FailureKind::Network);
}
