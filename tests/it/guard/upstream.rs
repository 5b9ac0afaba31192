//! Through the operator's own proxy: judged before, and by the address that was judged.

use std::sync::{Arc, Mutex};

use haul_shared::egress::EgressPolicy;
use haul_worker::guard::{Caps, Guards, Upstream};
use tokio::io::copy_bidirectional;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use super::*;

/// A small proxy that knows `CONNECT`; what it was told, a head each.
async fn proxy(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut program = Program(socket);
                let head = program.head().await;
                told.lock().unwrap().push(head.clone());
                program.says(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
                if answer.starts_with("200") {
                    let target = head.split(' ').nth(1).unwrap();
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut program.0, &mut server).await;
                }
            });
        }
    });
    (address, heads)
}

fn through(upstream: &str) -> Guard {
    let policy = EgressPolicy { allow: vec!["127.0.0.1/32".parse().unwrap()], ports: vec![] };
    let upstream = Upstream::read(upstream).unwrap();
    let guards = Guards::new(policy, Caps::for_files_of(1 << 20)).unwrap().through(Some(upstream));
    guards.attempt(&CancellationToken::new())
}

#[tokio::test]
async fn everything_goes_through_the_operator_s_proxy_by_the_address_that_was_judged() {
    let (origin, (proxy, heads)) = (served().await, proxy("200 OK").await);
    let guard = through(&format!("http://haul:s%3Acret@{proxy}"));
    let port = origin.url("/").trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let mut program = Program::of(&guard).await;
    program.says(&format!("GET http://localhost:{port}/x HTTP/1.1\r\n\r\n")).await;
    assert_eq!(program.status().await, Some(200));
    assert_eq!(program.bytes(10).await, b"0123456789");
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!((program.status().await, program.status().await), (Some(200), Some(200)));
    // the name was resolved here; haul:s:cret in base64
    let head = format!(
        "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nproxy-authorization: Basic aGF1bDpzOmNyZXQ="
    );
    assert_eq!(*heads.lock().unwrap(), [head.clone(), head]);
    // what the policy refuses is not even told to it
    let mut program = Program::of(&guard).await;
    program.says("GET http://127.0.0.2/ HTTP/1.1\r\n\r\n").await;
    assert_eq!((program.status().await, heads.lock().unwrap().len()), (Some(403), 2));
}

#[tokio::test]
async fn a_proxy_that_does_not_do_its_work_is_our_trouble_and_not_the_site_s() {
    let mut why = Vec::new();
    for answer in ["407 Who are you", "502 Nobody there"] {
        let (proxy, _) = proxy(answer).await;
        why.push(through(&format!("http://{proxy}")));
    }
    why.push(through("http://127.0.0.1:1"));
    let deaf = deaf().await;
    why.push(through(&format!("http://{}", deaf.address)));
    let mut kinds = Vec::new();
    for guard in why {
        let mut program = Program::of(&guard).await;
        program.says("GET http://127.0.0.1:9/ HTTP/1.1\r\n\r\n").await;
        assert_eq!(program.status().await, Some(502));
        let kind = || guard.explain(Failure::new(FailureKind::Network, "x")).kind;
        kinds.push(kind());
        // a try that went well after all makes it no reason for what fails later
        guard.has_done_without();
        assert_eq!(kind(), FailureKind::Network);
    }
    assert_eq!(kinds, [FailureKind::Internal, FailureKind::Network, FailureKind::Internal, FailureKind::Internal]);
}

/// Where nobody takes a connection, and nobody refuses one.
struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

async fn deaf() -> Deaf {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, mut waiting) = (listener.local_addr().unwrap(), Vec::new());
    // until no more may wait to be taken
    while let Ok(taken) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(taken.unwrap());
    }
    Deaf { address, _listener: listener, _waiting: waiting }
}

#[test]
fn the_address_of_a_proxy_is_read_to_the_letter_and_never_shown() {
    let shown = format!("{:?}", Upstream::read("http://haul:secret@proxy.example:3128").unwrap());
    assert!(!shown.contains("secret") && !shown.contains("proxy.example"), "{shown}");
    assert!(Upstream::read("http://[::1]:3128").is_ok());
    for wrong in [
        "",
        "proxy.example:3128",
        "https://proxy.example",
        "socks5://proxy.example",
        "http://",
        "http://p/x",
        "http://p/?x",
        "http://p:99999",
    ] {
        assert!(Upstream::read(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn only_what_a_job_needs_explains_its_failure_when_nobody_answers() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let told = async |guard: &Guard, seeming| {
        let mut program = Program::of(guard).await;
        program.says(&format!("CONNECT {gone} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(program.status().await, Some(502));
        guard.explain(Failure::new(seeming, "x")).kind
    };
    // Fault: the dead host of a picture made another failure of every later one.
    for (way, seeming, real) in [
        (None, FailureKind::Internal, FailureKind::Network),
        (Some(format!("http://{gone}")), FailureKind::Network, FailureKind::Internal),
    ] {
        let guard = || way.as_deref().map_or_else(haul_tests::guard, through);
        assert_eq!(told(&guard().for_what_is_optional(), seeming).await, seeming);
        assert_eq!(told(&guard(), seeming).await, real);
    }
}
