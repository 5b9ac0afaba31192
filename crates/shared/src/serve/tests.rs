//! Connections that misbehave, over real sockets.

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    done: tokio::task::JoinHandle<()>,
}

async fn start(router: Router, grace: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(grace);
    let done = tokio::spawn(serve(listener, router, shutdown.clone()));
    Server { address, shutdown, done }
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
    let server = start(Router::new(), Duration::from_secs(1)).await;
    for head in ["", "P", "GET / HTTP/1.1\r\nhost: a.long.name.example\r\n"] {
        let began = Instant::now();
        answer(server.address, head).await;
        let took = began.elapsed();
        assert!(took >= HEAD && took < HEAD * 2, "{head:?} was held for {took:?}");
    }
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
