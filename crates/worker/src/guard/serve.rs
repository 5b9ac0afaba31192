//! The guard as a proxy for programs: a listener, and what is said over each of its connections.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::exchange::{Exchange, status};
use super::head::{MOST_LINES, Malformed};
use super::strict::{End, Strict};
use super::{Guard, Refusal, tunnel};

/// Connections of programs at once; more wait to be taken. Twice as many as may lead on from here, so that what is kept
/// open for later keeps nobody from asking.
const MOST_CONNECTIONS: usize = 128;
/// From a connection, or from an answer, to the end of the next head.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Held of one connection, each way.
const BUFFER_BYTES: usize = 64 * 1024;
/// Before another try when no connection can be taken.
const BREATHE: Duration = Duration::from_millis(50);
/// For a program to take a last answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// Takes connections until the guard ends, and with it they do.
pub(super) async fn serve(guard: Guard, listener: TcpListener) {
    let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let stop = guard.stop_token().clone();
    let mut conversations = JoinSet::new();
    let taking = async {
        loop {
            while conversations.try_join_next().is_some() {}
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let guard = guard.clone();
                    conversations.spawn(async move {
                        // how it ended is in what the guard remembers
                        let _ = converse(&guard, socket).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!("a connection to the guard could not be taken: {error}");
                    sleep(BREATHE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(taking).await;
}

async fn converse(guard: &Guard, socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let exchange = Exchange::new(guard.clone());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    builder.max_buf_size(BUFFER_BYTES).max_headers(MOST_LINES).preserve_header_case(true);
    // an answer is the origin's, its date too
    builder.auto_date_header(false);
    let io = TokioIo::new(Strict::new(socket));
    let mut conversation = builder.serve_connection(io, service_fn(|question| Box::pin(exchange.answer(question))));
    let ended = poll_fn(|cx| conversation.poll_without_shutdown(cx)).await;
    // in the middle of an answer nothing else can be said
    ended.map_err(io::Error::other)?;
    let (mut socket, early, end) = conversation.into_parts().io.into_inner().into_parts();
    let (host, port) = match end {
        None => return Ok(()),
        Some(End::Malformed(malformed)) => {
            tracing::debug!("a question to the guard is not well-formed: {malformed}");
            let is_of_http = malformed != Malformed::Scheme;
            guard.refuse(if is_of_http { Refusal::Malformed } else { Refusal::Scheme });
            return turn_away(&mut socket, StatusCode::BAD_REQUEST).await;
        }
        Some(End::Tunnel { host, port }) => (host, port),
    };
    if guard.ask().is_err() {
        return turn_away(&mut socket, StatusCode::FORBIDDEN).await;
    }
    let host = match &host {
        url::Host::Domain(name) => url::Host::Domain(name.as_str()),
        url::Host::Ipv4(address) => url::Host::Ipv4(*address),
        url::Host::Ipv6(address) => url::Host::Ipv6(*address),
    };
    let dialled = tokio::select! {
        dialled = guard.dial(host, port) => dialled,
        // nobody waits for it any more
        () = hung_up(&socket) => return Ok(()),
    };
    match dialled {
        Ok(server) => tunnel::pass(guard, socket, &early, server).await,
        Err(error) => turn_away(&mut socket, status(&error)).await,
    }
}

/// Waits for a program to close its side; for ever, if it has spoken already.
async fn hung_up(socket: &TcpStream) {
    if matches!(socket.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// A last answer, without a body.
async fn turn_away(socket: &mut TcpStream, status: StatusCode) -> io::Result<()> {
    let reason = status.canonical_reason().unwrap_or_default();
    let answer = format!("HTTP/1.1 {} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.as_u16());
    timeout(TAKEN_WITHIN, socket.write_all(answer.as_bytes())).await??;
    socket.shutdown().await?;
    // closed with something unread, the connection is reset, and the answer is lost
    let _ = timeout(TAKEN_WITHIN, tokio::io::copy(socket, &mut tokio::io::sink())).await;
    Ok(())
}
