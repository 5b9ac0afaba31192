//! Many connections that mean no good, over TCP and HTTP/2 by hand: others are served meanwhile, in bounded memory.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{House, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Slow clients at once.
const SLOW: usize = 500;
/// What one attacker sends at most, in bytes.
const FLOOD: usize = 64 << 20;
/// For an attacker to be stopped, or to have sent all.
const LONGEST: Duration = Duration::from_secs(60);
/// Memory that all of it together may take, in bytes.
const ROOM: usize = 96 << 20;

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).expect("a short payload").to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /healthz` in the words of HPACK's static table, but for path and host.
fn get(stream: u32, end_headers: bool) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 8];
    block.extend(b"/healthz");
    block.extend([0x01, 1, b'a']);
    frame(1, if end_headers { 0x5 } else { 0x1 }, stream, &block)
}

/// How an attack ends.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// The server closed the connection.
    Refused,
    /// The server took all there was.
    Swallowed,
    /// We gave up.
    Held,
}

/// The start of a connection, then what `next` makes, for as long as it is taken.
async fn flood(address: SocketAddr, start: Vec<u8>, mut next: impl FnMut() -> Vec<u8>) -> Result<Ending> {
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    // what the server says has to be read, or it would be us who stall
    let reading = async { drop(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await) };
    let sending = async {
        let mut sent = start.len();
        writer.write_all(&start).await?;
        while sent < FLOOD {
            let mut piece = Vec::new();
            while piece.len() < 16 << 10 {
                piece.extend(next());
            }
            writer.write_all(&piece).await?;
            sent += piece.len();
        }
        std::io::Result::Ok(())
    };
    let ending = async {
        tokio::select! {
            () = reading => Ending::Refused,
            sent = sending => if sent.is_ok() { Ending::Swallowed } else { Ending::Refused },
        }
    };
    Ok(timeout(LONGEST, ending).await.unwrap_or(Ending::Held))
}

fn preface() -> Vec<u8> {
    let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    start.extend(frame(4, 0, 0, &[]));
    start
}

/// Memory that a process holds, in bytes.
fn resident(id: i32) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_and_slow_clients_keep_nobody_else_from_being_served_and_take_little_memory() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let (address, id) = (house.api.address(), house.api.id());
    house.get("/healthz").await?;
    let before = resident(id)?;

    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut stream = TcpStream::connect(address).await?;
        let begun: &[u8] = match n % 4 {
            0 => b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: ",
            1 => b"POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n{",
            2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _ => b"",
        };
        stream.write_all(begun).await?;
        slow.push(stream);
    }

    let mut number = 1;
    let rapid_reset = flood(address, preface(), move || {
        let mut pair = get(number, true);
        pair.extend(frame(3, 0, number, &8_u32.to_be_bytes()));
        number += 2;
        pair
    });
    let mut start = preface();
    start.extend(get(1, false));
    let continuation = flood(address, start, || frame(9, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(200)));
    let settings = flood(address, preface(), || frame(4, 0, 0, &[0, 4, 0, 0, 255, 255]));
    let pings = flood(address, preface(), || frame(6, 0, 0, &[7; 8]));
    let headers = b"GET /healthz HTTP/1.1\r\nhost: a\r\n".to_vec();
    let many_headers = flood(address, headers, || b"x-more: y\r\n".to_vec());
    let long = b"POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
    let long_body = flood(address, long.to_vec(), || vec![b' '; 1 << 14]);
    let chunks = b"POST /api/v1/downloads HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless_chunks = flood(address, chunks.to_vec(), || b"1;ext=aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n{\r\n".to_vec());
    let floods =
        async { tokio::try_join!(rapid_reset, continuation, settings, pings, many_headers, long_body, endless_chunks) };

    let others = async {
        loop {
            let answer = house.get("/api/v1/downloads").await?;
            ensure!(answer.status == 200, "{}", answer.told());
            let now = resident(id)?;
            ensure!(now < before + ROOM, "{} MiB, {} before", now >> 20, before >> 20);
        }
    };
    tokio::select! {
        endings = floods => {
            let (resets, continuations, settings, pings, headers, body, chunks) = endings?;
            let all = [
                ("resets", resets),
                ("continuations", continuations),
                ("settings", settings),
                ("pings", pings),
                ("headers", headers),
                ("a body", body),
                ("chunks", chunks),
            ];
            for (what, ending) in all {
                assert_eq!(ending, Ending::Refused, "{what}");
            }
        }
        told = others => told?,
    }
    assert_eq!(house.get("/healthz").await?.status, 200);

    // the slow ones are let go after their time, answered or not; those of HTTP/2 when they answer no ping
    for (n, mut one) in slow.into_iter().enumerate() {
        let end = timeout(Duration::from_secs(60), one.read_to_end(&mut Vec::new())).await;
        end.with_context(|| format!("{} is held", n % 4))?.ok();
    }
    Ok(())
}
