//! Connections: how many, for how long, and how they end.
//!
//! No client has all connections (`shares`). One that sends half a head, reads nothing of its answer, or asks for nothing
//! (`activity`), costs a connection; each such wait has a limit. One that was refused before its body was read can ask again
//! (`unread`). On a stop no connection is taken any more, those that are busy may finish until the grace is over, and then
//! all are dropped. `axum::serve` has none of these limits. Both processes open their ports through here.

mod activity;
mod shares;
mod unread;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use url::Url;

use crate::shutdown::Shutdown;
use activity::Activity;
use shares::Shares;
use unread::Unread;

/// Connections at once, where so many files may be open.
const MOST_CONNECTIONS: usize = 12_800;
/// Open files that are no connection of a client: of Redis, the store, the log.
const OTHER_FILES: usize = 224;
/// For the head of a request from its first byte on, and for the first bytes of a connection.
const HEAD: Duration = Duration::from_secs(10);
/// For a client to take any byte of its answer.
const STALL: Duration = Duration::from_secs(60);
/// HTTP/2 streams of one connection at once.
const MOST_STREAMS: u32 = 64;
/// HTTP/2 streams that a client may open and take back before it is taken for an attacker (CVE-2023-44487).
const MOST_RESETS: usize = 20;
/// Bytes of all headers of one request.
const MOST_HEADERS_BYTES: u32 = 32 * 1024;
/// Until the next attempt when no connection can be taken: no open file is left, most likely.
const BREATHE: Duration = Duration::from_millis(100);

/// Open files of a process that serves as many connections as it ever does.
#[must_use]
pub fn files_wanted() -> u64 {
    (MOST_CONNECTIONS + OTHER_FILES) as u64
}

/// Lets this process open as many files as connections need and the system allows; until then it is usually 1,024.
pub fn open_more_files() {
    let now = getrlimit(Resource::Nofile);
    let wanted = files_wanted();
    let allowed = now.maximum.map_or(wanted, |most| wanted.min(most));
    if now.current.is_some_and(|current| current < allowed)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: now.maximum })
    {
        tracing::warn!("no more files can be opened than before: {error}");
    }
}

/// How many connections are served at once: as many as files may be open, less what others need.
#[must_use]
pub fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(MOST_CONNECTIONS, |files| files.saturating_sub(OTHER_FILES).clamp(1, MOST_CONNECTIONS))
}

/// Serves until the shutdown is over. Many clients may come from the address of each of these proxies.
pub async fn serve(listener: TcpListener, router: Router, proxies: &[IpNet], shutdown: Shutdown) {
    let (slots, shares) = (Arc::new(Semaphore::new(most_connections())), Shares::new(proxies));
    let (tasks, drop_all) = (TaskTracker::new(), shutdown.kill.child_token());
    loop {
        // the slot first: a connection that cannot be served waits in the kernel, not here
        let accepted = shutdown.stop.run_until_cancelled(async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(stream, peer)| (stream, peer, slot))
        });
        let (stream, peer, slot) = match accepted.await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(BREATHE).await;
                continue;
            }
        };
        // closed at once: it waits for nothing, and neither do others
        let Some(share) = shares.take(peer.ip(), stream.local_addr().ok().map(|local| local.ip())) else { continue };
        // answers are written whole; waiting for more to send would only delay them
        let _ = stream.set_nodelay(true);
        let (router, stop, drop_all) = (router.clone(), shutdown.stop.clone(), drop_all.clone());
        tasks.spawn(async move {
            let (_slot, _share) = (slot, share);
            // not by `run_until_cancelled`, an async function, which would have room for the conversation twice
            tokio::select! {
                () = converse(stream, peer, router, stop) => {}
                () = drop_all.cancelled() => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(shutdown.grace) => tracing::warn!("connections are dropped: the grace is over"),
        () = shutdown.kill.cancelled() => {}
    }
    drop_all.cancel();
    tasks.wait().await;
}

/// Answers one client until it goes, or has nothing to ask, or there is a stop; what is under way then is finished.
async fn converse<S>(mut stream: S, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let first = tokio::select! {
        first = timeout(HEAD, first_bytes(&mut stream)) => first,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(first)) = first else { return };
    let (is_http2, activity) = (first == PREFACE, Activity::new());
    let head_within = if is_http2 { None } else { Some(HEAD) };
    let guarded = TokioIo::new(Guarded::new(stream, first, activity.clone(), head_within));
    let service = service(router, peer, activity.clone());
    if is_http2 {
        // boxed: it takes more room than all that a connection of HTTP/1 has
        let mut connection = Box::pin(HTTP2.serve_connection(guarded, service));
        finish(connection.as_mut(), activity, stop).await;
    } else {
        finish(pin!(HTTP1.serve_connection(guarded, service)), activity, stop).await;
    }
}

/// Drives a connection to its end.
async fn finish(mut connection: Pin<&mut impl GracefulConnection>, activity: Activity, stop: CancellationToken) {
    tokio::select! {
        // why a connection broke is the client's affair
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = activity.silence() => {}
    }
    connection.as_mut().graceful_shutdown();
    // or the silence of before would end it at once, nothing be said, and a request that was on its way be cut off
    activity.begin_anew();
    tokio::select! {
        _ = connection => {}
        // it was asked, and does not go
        () = activity.silence() => {}
    }
}

/// The address that was bound, for clients on this machine. A wildcard address is nothing that a client could connect
/// to, so loopback stands for it.
///
/// # Panics
/// Never: a socket address is a host and a port.
#[must_use]
pub fn local_url(bound: SocketAddr) -> Url {
    let mut reachable = bound;
    if bound.ip().is_unspecified() {
        reachable.set_ip(if bound.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    Url::parse(&format!("http://{reachable}")).expect("a socket address is a host and port")
}

/// What a client of HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// As many bytes as tell which HTTP it is.
///
/// hyper can tell by itself. But then it hands these bytes on alone, for which its buffer grows to 16 KiB and stays so: some
/// KiB of memory for each connection that lasts (`docs/decisions/0034`). It also waits for them without any limit.
async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let (mut bytes, mut filled) = ([0; PREFACE.len()], 0);
    while filled < bytes.len() && PREFACE.starts_with(&bytes[..filled]) {
        match stream.read(&mut bytes[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(Bytes::copy_from_slice(&bytes[..filled]))
}

/// How those are spoken with who do not begin as HTTP/2. hyper would count the time for a head from the last answer on: it has
/// none, as `Guarded` counts it from the head's first byte.
static HTTP1: LazyLock<http1::Builder> = LazyLock::new(|| {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(MOST_HEADERS_BYTES as usize);
    builder
});

/// How the others are spoken with.
static HTTP2: LazyLock<http2::Builder<TokioExecutor>> = LazyLock::new(|| {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS)
        .max_header_list_size(MOST_HEADERS_BYTES)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD);
    builder
});

type Answer = Result<axum::response::Response, Infallible>;

fn service(
    router: Router,
    peer: SocketAddr,
    activity: Activity,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future = impl Future<Output = Answer> + Send + 'static,
> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let unread = Unread::of(&mut request);
        let (busy, activity, answer) = (activity.begin(), activity.clone(), router.clone().oneshot(request));
        // boxed: hyper keeps room for it as long as the connection lives, and some live for hours
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Some(unread) = unread {
                unread.settle(answer.headers_mut(), activity);
            }
            Ok(answer.map(|body| busy.until_taken(body)))
        })
    })
}

/// A connection on which every wait has an end: hyper waits for ever for a client that reads nothing.
struct Guarded<S> {
    stream: S,
    /// What was read before, and is to be read again.
    first: Bytes,
    activity: Activity,
    /// For a client to say what it has begun to ask. `None`: it speaks HTTP/2, where that is no wait of ours.
    head_within: Option<Duration>,
    /// Runs while half a head is there.
    in_head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    fn new(stream: S, first: Bytes, activity: Activity, head_within: Option<Duration>) -> Self {
        Self { stream, first, activity, head_within, in_head: None, stalled: None }
    }

    /// Waits for the client to say more, and ends the connection when that is the rest of a head and does not come.
    fn watch_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((since, within)) = self.activity.in_head_since().zip(self.head_within) else {
            self.in_head = None;
            return Poll::Pending;
        };
        let end = since + within;
        let timer = self.in_head.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        // it may be of a head before, between which and this one nothing was waited for
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes on what a write came to, and ends the connection when it has come to nothing for too long.
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + STALL)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let again = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first.split_to(again));
        // in one go with what follows them
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if !self.activity.read(came) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match read {
            _ if again > 0 => Poll::Ready(Ok(())),
            Poll::Pending => self.watch_head(cx),
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
