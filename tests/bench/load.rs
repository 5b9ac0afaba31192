//! Load: so many connections that each ask, wait for the answer, and ask again.
//!
//! It knows just enough HTTP/1.1 to see where an answer ends, so that both sides of a comparison pay the same little for
//! being asked. Each connection comes from a loopback address of its own: to Haul it is a client of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::figures::Rounds;

/// Longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Until when a load goes on.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// A time has passed.
    Elapsed(Duration),
    /// So many answers came.
    Answers(u64),
}

/// Writes the request that a connection sends as its `n`th: connection, `n`, and where to.
pub type Request = dyn Fn(u64, u64, &mut Vec<u8>) + Send + Sync;

/// What came of a load.
#[derive(Debug)]
pub struct Answers {
    /// Answers per second, all connections together.
    pub per_second: f64,
    /// Milliseconds that each took.
    pub ms: Rounds,
}

/// Asks with so many connections at once.
///
/// # Errors
/// When an answer is no 2xx, or there is none.
pub async fn drive(address: SocketAddr, connections: usize, until: Until, request: Arc<Request>) -> Result<Answers> {
    let mut streams = Vec::new();
    for number in 0..connections {
        streams.push(connect(address, number).await?);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, stream) in (0_u64..).zip(streams) {
        let request = Arc::clone(&request);
        let share = match until {
            Until::Elapsed(_) => u64::MAX,
            Until::Answers(all) => {
                let (all, parts) = (all, connections as u64);
                all / parts + u64::from(number < all % parts)
            }
        };
        let deadline = match until {
            Until::Elapsed(window) => Some(began + window),
            Until::Answers(_) => None,
        };
        tasks.spawn(ask(stream, number, share, deadline, request));
    }
    let mut ms = Vec::new();
    while let Some(asked) = tasks.join_next().await {
        ms.extend(asked??);
    }
    Ok(Answers { per_second: ms.len() as f64 / began.elapsed().as_secs_f64(), ms: ms.into_iter().collect() })
}

/// As [`drive`]; only how many answers came per second.
///
/// # Errors
/// As [`drive`].
pub async fn per_second(address: SocketAddr, connections: usize, until: Until, request: Arc<Request>) -> Result<f64> {
    Ok(drive(address, connections, until, request).await?.per_second)
}

async fn connect(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = u32::from(Ipv4Addr::LOCALHOST) + 1 + u32::try_from(number)?;
    socket.bind(SocketAddr::new(Ipv4Addr::from(host).into(), 0))?;
    let stream = tokio::time::timeout(PATIENCE, socket.connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask(
    mut stream: TcpStream,
    number: u64,
    share: u64,
    deadline: Option<Instant>,
    request: Arc<Request>,
) -> Result<Vec<f64>> {
    let (mut sent, mut buffer) = (Vec::with_capacity(1024), vec![0; 64 * 1024]);
    let mut took = Vec::new();
    while (took.len() as u64) < share && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        sent.clear();
        request(number, took.len() as u64, &mut sent);
        let began = Instant::now();
        stream.write_all(&sent).await?;
        tokio::time::timeout(PATIENCE, answer(&mut stream, &mut buffer)).await.context("no answer in time")??;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// Reads one answer to its end.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let mut end = None;
    while end.is_none_or(|end| filled < end) {
        ensure!(filled < buffer.len(), "an answer is longer than {} bytes", buffer.len());
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the connection was closed");
        filled += read;
        if end.is_none() {
            end = length(&buffer[..filled])?;
        }
    }
    Ok(())
}

/// Bytes of a whole answer, once its head is there.
fn length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    if !text.starts_with("HTTP/1.1 2") {
        bail!("an answer is {}: {}", text.lines().next().unwrap_or_default(), String::from_utf8_lossy(&bytes[head..]));
    }
    let body =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")).context("an answer has no length")?;
    Ok(Some(head + 4 + body.parse::<usize>()?))
}
