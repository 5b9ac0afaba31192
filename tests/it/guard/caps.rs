//! What one attempt may take of the net.

use haul_shared::egress::EgressPolicy;
use haul_tests::origin::{Fault, Origin};
use haul_worker::guard::{Caps, Guards};
use tokio_util::sync::CancellationToken;

use super::*;

const CAPS: Caps = Caps {
    received_bytes: 1 << 20,
    sent_bytes: 64 << 10,
    sent_bytes_per_answer: 0,
    connections: 2,
    requests: 5,
    head_within: Duration::from_secs(12),
};

fn within(caps: Caps) -> Guard {
    let policy = EgressPolicy { allow: vec!["127.0.0.1/32".parse().unwrap()], ports: vec![] };
    Guards::new(policy, caps).unwrap().attempt(&CancellationToken::new())
}

fn why(guard: &Guard) -> FailureKind {
    guard.explain(Failure::new(FailureKind::Network, "x")).kind
}

/// An origin that answers whoever connects with these words, and then with bytes without end.
async fn endless(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.write_all(head.as_bytes()).await;
                while socket.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
            });
        }
    });
    address
}

#[tokio::test]
async fn a_body_without_end_is_stopped_at_the_cap_and_nothing_passes_after_it() {
    // Fault: yt-dlp's own limit let 5 GB of such a body through.
    let origin = endless("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
    for question in [format!("GET http://{origin}/ HTTP/1.1\r\n\r\n"), format!("CONNECT {origin} HTTP/1.1\r\n\r\n")] {
        let guard = within(CAPS);
        let mut program = Program::of(&guard).await;
        program.says(&question).await;
        program.rest().await;
        timeout(SOON, guard.stop_token().cancelled()).await.expect("all that is at work is told");
        assert_eq!((guard.refused(), why(&guard)), (Some(Refusal::Received), FailureKind::TooLarge));
        assert!((CAPS.received_bytes..CAPS.received_bytes + (256 << 10)).contains(&guard.tally().received_bytes));
        assert!(TcpStream::connect(guard.address().unwrap()).await.is_err(), "it listens no more");
    }
}

#[tokio::test]
async fn a_length_that_is_over_the_cap_is_refused_before_a_byte_of_it() {
    let origin = endless("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
    let guard = within(CAPS);
    let mut program = Program::of(&guard).await;
    program.says(&format!("GET http://{origin}/ HTTP/1.1\r\n\r\n")).await;
    assert_eq!(program.status().await, Some(403));
    assert_eq!((guard.refused(), why(&guard)), (Some(Refusal::Announced), FailureKind::TooLarge));
    let mut program = Program::of(&guard).await;
    program.says(&format!("HEAD http://{origin}/ HTTP/1.1\r\n\r\n")).await;
    assert_eq!(program.status().await, Some(200), "who only asks how long it is gets an answer");
}

#[tokio::test]
async fn what_was_fetched_in_vain_is_not_held_against_what_comes_instead() {
    let origin = RangeOrigin::start(|_| Answer { body: vec![0; 600 << 10].into(), ..Answer::status(200) }).await;
    for begins_anew in [true, false] {
        let guard = within(CAPS);
        for _ in 0..2 {
            let mut program = Program::of(&guard).await;
            program.says(&format!("GET {} HTTP/1.1\r\nConnection: close\r\n\r\n", origin.url("/"))).await;
            program.rest().await;
            if begins_anew {
                guard.begin_anew();
            }
        }
        assert_eq!(guard.refused().is_none(), begins_anew);
    }
}

#[tokio::test]
async fn more_is_not_sent_than_a_download_needs() {
    let origin = endless("").await;
    let guard = within(CAPS);
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {origin} HTTP/1.1\r\n\r\n{}", "x".repeat(100 << 10))).await;
    timeout(SOON, guard.stop_token().cancelled()).await.expect("it ends");
    assert!(guard.tally().sent_bytes < 200 << 10);
}

/// An origin that says a byte whenever it is told something, without end.
async fn chatty() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut said = vec![0; 64 << 10];
                while socket.read(&mut said).await.is_ok_and(|bytes| bytes > 0) {
                    let _ = socket.write_all(b"x").await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn who_is_answered_may_send_more_and_who_is_not_may_not() {
    // Fault: a stream of 50,000 segments, each asked for with 400 bytes, was refused when most of it was there.
    let caps = Caps { sent_bytes: 4 << 10, sent_bytes_per_answer: 1 << 10, requests: 20, ..CAPS };
    let head = format!("X: {}\r\nHost: x\r\n\r\n", "x".repeat(700));

    let (origin, guard) = (served().await, within(caps));
    let mut program = Program::of(&guard).await;
    for number in 1..=caps.requests {
        program.says(&format!("GET {} HTTP/1.1\r\n{head}", origin.url("/"))).await;
        assert_eq!(program.status().await, Some(200), "{number}");
        program.bytes(10).await;
    }
    assert_eq!(guard.refused(), None);
    assert!(guard.tally().sent_bytes > 3 * caps.sent_bytes);

    // what is said in a tunnel is a question if something is said to it, and of those there is no more than of others
    let (origin, guard) = (chatty().await, within(caps));
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {origin} HTTP/1.1\r\n\r\n")).await;
    assert_eq!(program.status().await, Some(200));
    let mut answers = 0;
    while guard.refused().is_none() {
        program.says(&"x".repeat(900)).await;
        // the last is not told, or is not answered
        answers += u64::from(timeout(SOON, program.0.read_u8()).await.expect("in time").is_ok());
    }
    let most = caps.sent_bytes + caps.requests * caps.sent_bytes_per_answer;
    assert!(answers > caps.requests && answers * 900 <= most, "{answers}");
    assert_eq!((guard.refused(), why(&guard)), (Some(Refusal::Sent), FailureKind::EgressDenied));

    // to what nobody answers nothing is added, whatever else is said
    let (silent, guard) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), within(caps));
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {} HTTP/1.1\r\n\r\n", silent.local_addr().unwrap())).await;
    assert_eq!(program.status().await, Some(200));
    program.says(&"x".repeat(5 << 10)).await;
    timeout(SOON, guard.stop_token().cancelled()).await.expect("it ends");
    assert_eq!(guard.refused(), Some(Refusal::Sent));
}

#[tokio::test]
async fn a_connection_too_many_waits_for_its_turn() {
    let origin = endless("").await;
    let guard = within(Caps { received_bytes: 1 << 40, ..CAPS });
    let mut programs = Vec::new();
    for _ in 0..CAPS.connections {
        let mut program = Program::of(&guard).await;
        program.says(&format!("CONNECT {origin} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(program.status().await, Some(200));
        programs.push(program);
    }
    let mut program = Program::of(&guard).await;
    program.says(&format!("CONNECT {origin} HTTP/1.1\r\n\r\n")).await;
    assert!(timeout(Duration::from_millis(300), program.0.read_u8()).await.is_err(), "it has no turn yet");
    programs.pop();
    assert_eq!(program.status().await, Some(200));
}

#[tokio::test]
async fn questions_are_counted_and_bounded() {
    // a recording may ask more
    for more in [0, 3] {
        let (origin, guard) = (served().await, within(CAPS));
        guard.may_ask_more(more);
        let (most, mut program) = (CAPS.requests + more, Program::of(&guard).await);
        for number in 1..=most + 1 {
            program.says(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
            if number <= most {
                assert_eq!(program.status().await, Some(200), "{number}");
                program.bytes(10).await;
            }
        }
        timeout(SOON, guard.stop_token().cancelled()).await.expect("it ends");
        assert_eq!((guard.refused(), why(&guard)), (Some(Refusal::Requests), FailureKind::TooLarge));
        assert_eq!(origin.asked().len() as u64, most);
    }
}

#[tokio::test]
async fn an_origin_that_says_nothing_or_next_to_nothing_is_too_slow() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let dripping = Origin::start().await;
    let drip = dripping.spoilt(Fault::Drip, "/progressive.mp4");
    let ask = async |question: String| {
        let guard = within(CAPS);
        let mut program = Program::of(&guard).await;
        program.says(&question).await;
        let status = program.head().await.split(' ').nth(1).map(str::to_owned);
        let mut bytes = Vec::new();
        let ended = timeout(Duration::from_secs(45), program.0.read_to_end(&mut bytes)).await;
        ended.expect("in time").ok();
        assert_eq!((guard.refused(), why(&guard)), (Some(Refusal::Slow), FailureKind::Stalled), "{question}");
        status
    };
    let (host, path) = (dripping.address(), drip.trim_start_matches("http://").split_once('/').unwrap().1);
    let (quiet, slow, drips) = tokio::join!(
        ask(format!("GET http://{address}/ HTTP/1.1\r\n\r\n")),
        ask(format!("GET {drip} HTTP/1.1\r\n\r\n")),
        ask(format!("CONNECT {host} HTTP/1.1\r\n\r\nGET /{path} HTTP/1.1\r\nHost: x\r\n\r\n")),
    );
    assert_eq!([quiet, slow, drips].map(Option::unwrap_or_default), ["504", "200", "200"]);
}
