//! What an origin answers, as a program gets it: with one length and one coding, and never as the answer of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// What is answered by one that has nothing to hide.
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

/// An origin that answers what is said first with these bytes, and then as it should.
async fn saying(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let is_first = Arc::new(AtomicBool::new(true));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let is_first = Arc::clone(&is_first);
            tokio::spawn(async move {
                let mut said = vec![0; 4096];
                while socket.read(&mut said).await.is_ok_and(|bytes| bytes > 0) {
                    let answer = if is_first.swap(false, Ordering::Relaxed) { answer } else { PLAIN };
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

/// The head of an answer and what follows it: among it the answers to a second question to the same origin, and to one to
/// another.
async fn answered(method: &str, answer: &'static str, next: &RangeOrigin) -> (String, String) {
    let (origin, guard) = (saying(answer).await, haul_tests::guard());
    let mut program = Program::of(&guard).await;
    program.says(&format!("{method} http://{origin}/ HTTP/1.1\r\n\r\n")).await;
    let head = program.head().await.to_ascii_lowercase();
    program.says(&format!("GET http://{origin}/ HTTP/1.1\r\n\r\n")).await;
    program.says(&format!("GET {} HTTP/1.1\r\nConnection: close\r\n\r\n", next.url("/"))).await;
    (head, String::from_utf8(program.rest().await).unwrap())
}

#[tokio::test]
async fn an_answer_has_one_length_and_what_follows_it_is_the_next_one() {
    // Fault: with a length beside its pieces, an answer was cut to that length.
    let next = served().await;
    for (method, answer, status, length, body) in [
        (
            "GET",
            "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
            "200",
            "",
            "0123456789",
        ),
        ("GET", "200 OK\r\nContent-Length: 5, 5\r\n\r\nabcde", "200", "5", "abcde"),
        ("GET", "200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", "200", "5", "abcde"),
        (
            "GET",
            "200 OK\r\nContent-Length: 5\r\n\r\nabcdeHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
            "200",
            "5",
            "abcde",
        ),
        ("GET", "304 Not Modified\r\nContent-Length: 500\r\n\r\n", "304", "", ""),
        ("GET", "204 No Content\r\nContent-Length: 3\r\n\r\nbad", "204", "", ""),
        ("GET", "103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "200", "1", "a"),
        ("HEAD", "200 OK\r\nContent-Length: 500\r\n\r\n", "200", "500", ""),
        ("HEAD", "200 OK\r\nContent-Length: 3\r\n\r\nbad", "200", "3", ""),
        ("HEAD", "200 OK\r\nContent-Length:\r\n\r\n", "200", "", ""),
        ("HEAD", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "200", "", ""),
    ] {
        let is_in_pieces = method == "GET" && length.is_empty() && status == "200";
        let answer: &'static str = format!("HTTP/1.1 {answer}").leak();
        let (head, rest) = answered(method, answer, &next).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{answer}: {head}");
        let lengths: Vec<_> = head.lines().filter_map(|line| line.strip_prefix("content-length: ")).collect();
        assert_eq!(lengths.join(";"), length, "{answer}: {head}");
        assert_eq!(head.contains("transfer-encoding: chunked"), is_in_pieces, "{answer}: {head}");
        // in pieces or not, and behind it nothing but the answer of the other
        let (own, other) = rest.split_once("HTTP/1.1 200 ").unwrap_or_else(|| panic!("{answer}: {head} {rest}"));
        let own = if is_in_pieces {
            own.strip_prefix("A\r\n").and_then(|own| own.strip_suffix("\r\n0\r\n\r\n")).unwrap_or(own)
        } else {
            own
        };
        assert_eq!(own, body, "{answer}");
        let (second, third) = other.split_once("HTTP/1.1 200 ").unwrap_or_else(|| panic!("{answer}: {rest}"));
        assert!(second.ends_with("\r\n\r\nfine") && third.ends_with("\r\n\r\n0123456789"), "{answer}: {rest}");
        assert!(!rest.contains("bad"), "{answer}: {rest}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_can_take_is_none() {
    // Fault: of what was packed on the way nobody was told that it was.
    let next = served().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nabc",
        "abc",
    ] {
        let (head, rest) = answered("GET", answer, &next).await;
        assert!(head.starts_with("http/1.1 502") && rest.is_empty(), "{answer}: {head} {rest}");
    }
}
