//! A slow line: a relay on loopback that gives every connection so many bytes per second and a round trip.
//!
//! A web server's own rate limits let a second's worth through at once, so that small files are not slowed at all. Here
//! bytes come in pieces of ten milliseconds, and a line that was idle has saved nothing up.
//!
//! Not here: what is served behind the line (`origin`, `store`). The harness's proxy is another thing: it stands before Redis,
//! and breaks what it carries.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

/// How much passes at once, as time.
const TICK: Duration = Duration::from_millis(10);

/// What the kernel keeps of what was sent and not yet let through; without a bound it takes megabytes.
const KEPT_BYTES: u32 = 256 * 1024;

/// Connections that may wait to be taken.
const WAITING: u32 = 1024;

/// A piece at a line without a pace.
const PIECE_BYTES: usize = 64 * 1024;

/// What a connection gets.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Bytes per second towards the server; none: as they come.
    pub up: Option<u32>,
    /// Bytes per second towards the client; none: as they come.
    pub down: Option<u32>,
    /// Passes once when the connection is made, and once with every request: all of it on the way to the server.
    pub round_trip: Duration,
}

/// Opens a port that leads to another one over such a line, for as long as the runtime lives.
///
/// # Errors
/// When no port is free.
pub fn open(to: SocketAddr, line: Line) -> Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(KEPT_BYTES)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(WAITING)?;
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener, to, line));
    Ok(address)
}

async fn accept(listener: TcpListener, to: SocketAddr, line: Line) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(async move {
            // a side that hangs up ends both directions; whoever waits for the rest sees it end
            let _closed = carry(client, to, line).await;
        });
    }
}

async fn carry(mut client: TcpStream, to: SocketAddr, line: Line) -> std::io::Result<()> {
    sleep_until(Instant::now() + line.round_trip).await;
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        ended = pass(from_client, to_server, line.up, line.round_trip) => ended,
        ended = pass(from_server, to_client, line.down, Duration::ZERO) => ended,
    }
}

/// Passes bytes on until the sender ends.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    rate: Option<u32>,
    delay: Duration,
) -> std::io::Result<()> {
    let piece = rate.map_or(PIECE_BYTES, |rate| (f64::from(rate) * TICK.as_secs_f64()) as usize).max(1);
    let (mut buffer, mut free) = (vec![0; piece], Instant::now());
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if !delay.is_zero() {
            sleep_until(Instant::now() + delay).await;
        }
        let Some(rate) = rate else {
            to.write_all(&buffer[..read]).await?;
            continue;
        };
        // a timer that came late is made up for, an idle line is not
        let earliest = Instant::now().checked_sub(2 * TICK).unwrap_or(free);
        free = free.max(earliest) + Duration::from_secs_f64(read as f64 / f64::from(rate));
        sleep_until(free).await;
        to.write_all(&buffer[..read]).await?;
    }
}
