//! Connections that misbehave, over real sockets.

use axum::body::{Bytes, HttpBody as _};
use axum::http::Version;
use axum::routing::{any, get};
use futures::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::activity::{IDLE, STUCK};
use super::*;

/// A request, and the beginning of one.
const WHOLE: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HALF: &str = "GET / HTTP/1.1\r\nhost: a.long.name.example\r\n";

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    done: JoinHandle<()>,
}

async fn start(router: Router, grace: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(grace);
    let done = tokio::spawn(served(listener, router, shutdown.clone()));
    Server { address, shutdown, done }
}

async fn served(listener: TcpListener, router: Router, shutdown: Shutdown) {
    serve(listener, router, &[], shutdown).await;
}

/// All that comes until the server closes.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_handler_knows_its_peer() {
    let peer = get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() });
    let server = start(Router::new().route("/", peer), Duration::from_secs(1)).await;
    let text = answer(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("127.0.0.1"), "{text}");
}

/// Found by reading hyper: until it knows the version it waits without any limit, also with a header time-out set.
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_too_little_is_closed() {
    for head in ["", "P", HALF] {
        let (mut stream, served) = connect(Router::new(), 64 << 10);
        stream.write_all(head.as_bytes()).await.unwrap();
        let began = Instant::now();
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), HEAD.as_secs(), "{head:?}");
    }
}

/// Half of a request is nothing that a stop would wait for until its grace is over.
#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_half_a_head_no_longer_than_anybody_does() {
    let (mut stream, there) = tokio::io::duplex(64 << 10);
    let stop = CancellationToken::new();
    let served = tokio::spawn(converse(there, ([192, 0, 2, 1], 1).into(), Router::new(), stop.clone()));
    stream.write_all(HALF.as_bytes()).await.unwrap();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    served.await.unwrap();
    assert!(began.elapsed() <= HEAD, "held for {:?}", began.elapsed());
}

/// Fault: it was closed 10 s after its last answer, while proxies kept it for 60 s and sent orders over it.
#[tokio::test(start_paused = true)]
async fn a_connection_of_http_1_1_is_kept_for_longer_than_a_proxy_keeps_it() {
    let (mut stream, served) = connect(Router::new(), 64 << 10);
    for _ in 0..3 {
        stream.write_all(WHOLE.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 404"));
        tokio::time::sleep(IDLE - HEAD - Duration::from_secs(2)).await;
    }
    // who sends a byte now and then does not begin anew
    let began = Instant::now();
    while stream.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    served.await.unwrap();
    let took = began.elapsed();
    assert!(took >= HEAD && took <= HEAD + Duration::from_secs(1), "held for {took:?}");

    let (mut stream, served) = connect(Router::new(), 64 << 10);
    stream.write_all(WHOLE.as_bytes()).await.unwrap();
    let began = Instant::now();
    served.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs(), "and not for ever");
}

#[tokio::test]
async fn a_stop_lets_the_busy_finish_and_takes_nobody_new() {
    let (enter, entered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (gate, seen) = (Arc::clone(&enter), Arc::clone(&entered));
    let handler = get(move || async move {
        seen.add_permits(1);
        gate.acquire().await.unwrap().forget();
        "done"
    });
    let server = start(Router::new().route("/", handler), Duration::from_secs(60)).await;
    let busy = tokio::spawn(answer(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    entered.acquire().await.unwrap().forget();
    server.shutdown.stop.cancel();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    enter.add_permits(1);
    assert!(busy.await.unwrap().ends_with("done"));
    server.done.await.unwrap();
}

#[tokio::test]
async fn a_second_signal_waits_for_nobody() {
    let entered = Arc::new(Semaphore::new(0));
    let seen = Arc::clone(&entered);
    let handler = get(move || async move {
        seen.add_permits(1);
        std::future::pending::<()>().await;
    });
    let server = start(Router::new().route("/", handler), Duration::from_secs(3600)).await;
    let busy = tokio::spawn(answer(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    entered.acquire().await.unwrap().forget();
    server.shutdown.stop.cancel();
    server.shutdown.kill.cancel();
    server.done.await.unwrap();
    assert_eq!(busy.await.unwrap(), "");
}

/// A connection in memory on which so many bytes are under way at most: the paused clock does not wait for the kernel. The
/// task is the server's side.
fn connect(router: Router, under_way: usize) -> (DuplexStream, JoinHandle<()>) {
    let (here, there) = tokio::io::duplex(under_way);
    (here, tokio::spawn(converse(there, ([192, 0, 2, 1], 1).into(), router, CancellationToken::new())))
}

/// Asks over HTTP/2, as a client that answers every ping, and takes so many bytes of an answer unasked.
async fn ask(stream: DuplexStream, window: u32) -> hyper::Response<Incoming> {
    let stream = TokioIo::new(stream);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).initial_stream_window_size(window);
    let (mut sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let request = hyper::Request::get("http://a/").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    // or the client would go by itself
    tokio::spawn(async move {
        let _sender = sender;
        std::future::pending::<()>().await;
    });
    answer
}

async fn length(answer: hyper::Response<Incoming>) -> usize {
    axum::body::to_bytes(Body::new(answer.into_body()), 1 << 20).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_is_ended_though_it_answers_pings() {
    let (stream, served) = connect(Router::new().route("/", get(|| async { "soon" })), 64 << 10);
    let answer = ask(stream, 1 << 20).await;
    assert_eq!(length(answer).await, 4);
    let began = Instant::now();
    served.await.unwrap();
    let took = began.elapsed();
    assert!(took >= IDLE - Duration::from_secs(1) && took < IDLE + HEAD, "held for {took:?}");

    // a client that asks for much and takes none of it
    let (stream, served) = connect(Router::new().route("/", get(|| async { vec![0; 1 << 20] })), 64 << 10);
    let answer = ask(stream, 0).await;
    let began = Instant::now();
    served.await.unwrap();
    assert!(began.elapsed() < 3 * STUCK, "held for {:?}", began.elapsed());
    drop(answer);
}

/// Fault: the end was not waited for, and often the connection was dropped before a word of it was said.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_ended_for_its_silence_is_told_so() {
    // RFC 9113 §6.7, §6.8
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    const ACK: u8 = 1;
    // who goes first is drawn by lot
    for _ in 0..16 {
        let (mut stream, _served) = connect(Router::new(), 64 << 10);
        stream.write_all(&[PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat()).await.unwrap();
        let (mut kinds, mut head) = (Vec::new(), [0; 9]);
        while stream.read_exact(&mut head).await.is_ok() {
            let [a, b, c, kind, flags, ..] = head;
            let mut frame = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut frame).await.unwrap();
            kinds.push(kind);
            if kind == PING && flags & ACK == 0 {
                let _gone = stream.write_all(&[&[0, 0, 8, PING, ACK, 0, 0, 0, 0][..], &frame].concat()).await;
            }
        }
        assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_to_come_or_to_be_made_is_not_cut() {
    const PIECES: usize = 20;
    let slow = get(|| async {
        let pause = || tokio::time::sleep(IDLE + HEAD);
        pause().await;
        Body::from_stream(stream::unfold(PIECES, move |left| async move {
            pause().await;
            let rest = left.checked_sub(1)?;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"piece")), rest))
        }))
    });
    let (stream, _) = connect(Router::new().route("/", slow), 64 << 10);
    let answer = ask(stream, 1 << 20).await;
    assert!(!answer.body().is_end_stream());
    assert_eq!(length(answer).await, PIECES * 5);
}

#[tokio::test]
async fn a_client_may_say_byte_by_byte_which_http_it_speaks() {
    let version = any(|version: Version| async move { format!("{version:?}") });
    let router = Router::new().route("/", version);
    for under_way in [1, 5, 23, 24, 25, 64 << 10] {
        let (stream, _) = connect(router.clone(), under_way);
        assert_eq!(length(ask(stream, 1 << 20).await).await, "HTTP/2.0".len());

        // it begins as one of HTTP/2 would
        let (mut stream, served) = connect(router.clone(), under_way);
        stream.write_all(b"PRI / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("HTTP/1.1"), "{under_way}: {text}");
        served.await.unwrap();
    }
}

/// CVE-2019-9512: each ping is answered, and costs us more than the client.
#[tokio::test]
async fn frames_without_end_that_ask_for_nothing_end_the_connection() {
    let server = start(Router::new(), Duration::from_secs(1)).await;
    let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
    let reading = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let pings = b"\0\0\x08\x06\0\0\0\0\0pingpong".repeat(1000);
    let mut sent = 0;
    while sent < 16 << 20 && writer.write_all(&pings).await.is_ok() {
        sent += pings.len();
    }
    assert!(sent < 16 << 20, "pings are taken without end");
    drop(reading.await);
}

/// Fault: whoever was refused before the body was read lost the next request, or had a broken pipe instead of the answer.
#[tokio::test]
async fn who_is_refused_by_the_head_of_a_request_asks_again_over_the_same_connection() {
    let refuse = any(|| async { axum::http::StatusCode::UNAUTHORIZED });
    let server = start(Router::new().route("/", refuse), Duration::from_secs(1)).await;
    let asks =
        |length: usize, more: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{more}\r\n");
    let head_of_answer = async |stream: &mut TcpStream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    };
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for length in [1, 30_000, 65_537, 1 << 20] {
        stream.write_all(asks(length, "").as_bytes()).await.unwrap();
        let head = head_of_answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 401") && !head.contains("connection: close"), "{head}");
        stream.write_all(&vec![b'x'; length]).await.unwrap();
    }

    // who sends more, or does not say how much, is told that it was the last one, and hears it who reads only then
    let large = asks(10 << 20, "") + &"x".repeat(10 << 20);
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned();
    // who asks before sending it is not told to
    for asked in [large, chunked, asks(5, "expect: 100-continue\r\n")] {
        let text = answer(server.address, &asked).await;
        assert!(text.starts_with("HTTP/1.1 401") && text.contains("connection: close"), "{text}");
    }
}
