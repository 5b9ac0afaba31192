//! The site that everybody downloads from: files of a folder over HTTP/1.1, on a port that is as fast as loopback and on
//! one with a slow line before it.
//!
//! It costs next to nothing beside what is measured: a thread per connection, and the kernel sends the files. It knows
//! what downloaders ask for: `GET` and `HEAD`, one range, `If-Range` with the entity tag. To an address that ends in `&whole`
//! it answers like a site that knows neither ranges nor tags.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::fs::sendfile;

use super::shaper::{self, Line};
use crate::roles::{Orders, say};

/// What the slow line gives each connection: 5 MB/s, 50 ms there and back.
const SLOW: Line = Line { up: None, down: Some(5_000_000), round_trip: Duration::from_millis(50) };

/// Longest that a connection may be silent, or not take what it is sent.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 32 * 1024;

/// Bytes of files that went out, and where it tells how many.
static SENT: AtomicU64 = AtomicU64::new(0);
pub const SENT_PATH: &str = "/sent";

/// Serves the folder; says where, on both ports, and ends with the benchmark.
///
/// # Errors
/// When no port is free.
pub async fn run(folder: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let plain = listener.local_addr()?;
    let folder: Arc<Path> = folder.into();
    std::thread::spawn(move || accept(&listener, &folder));
    let slow = shaper::open(plain, SLOW)?;
    say("ready");
    say(&format!("{plain} {slow}"));
    let mut orders = Orders::listen();
    while orders.go_on().await {}
    Ok(())
}

/// What [`run`] said: the plain port and the slow one.
///
/// # Errors
/// When it said something else.
pub fn ports(line: &str) -> Result<(SocketAddr, SocketAddr)> {
    let (plain, slow) = line.split_once(' ').context("two ports")?;
    Ok((plain.parse()?, slow.parse()?))
}

fn accept(listener: &TcpListener, folder: &Arc<Path>) {
    for connection in listener.incoming().flatten() {
        let folder = Arc::clone(folder);
        std::thread::spawn(move || {
            // a client that hangs up is no fault
            let _ended = serve(connection, &folder);
        });
    }
}

/// Answers one request after the other.
fn serve(mut connection: TcpStream, folder: &Path) -> Result<()> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut buffer = Vec::new();
    while let Some(head) = next_head(&mut connection, &mut buffer)? {
        answer(&mut connection, folder, &head)?;
    }
    Ok(())
}

/// The head of the next request; none when the client is done.
fn next_head(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<String>> {
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8(head)?));
        }
        anyhow::ensure!(buffer.len() < HEAD_BYTES, "a head without end");
        match connection.read(&mut piece)? {
            0 => return Ok(None),
            read => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

fn answer(connection: &mut TcpStream, folder: &Path, head: &str) -> Result<()> {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if target == SENT_PATH {
        let text = SENT.load(Ordering::Relaxed).to_string();
        write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
        return Ok(());
    }
    let Some((path, file)) = open(folder, target) else {
        connection.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(());
    };
    let about = file.metadata()?;
    let (length, modified) = (about.len(), about.modified()?.duration_since(UNIX_EPOCH)?.as_secs());
    let tag = format!("\"{length:x}-{modified:x}\"");
    let is_same = header(head, "if-range").is_none_or(|value| value == tag);
    let is_plain = target.ends_with("&whole");
    let range = header(head, "range").filter(|_| is_same && !is_plain).map(|range| read_range(range, length));
    let mut text = String::new();
    let (from, until) = match range {
        Some(Some((from, until))) => {
            write!(text, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{length}\r\n", until - 1)?;
            (from, until)
        }
        Some(None) => {
            write!(text, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{length}\r\n")?;
            (0, 0)
        }
        None => {
            text.push_str("HTTP/1.1 200 OK\r\n");
            (0, length)
        }
    };
    write!(text, "Content-Length: {}\r\nContent-Type: {}\r\n", until - from, content_type(&path))?;
    if !is_plain {
        write!(text, "Accept-Ranges: bytes\r\nETag: {tag}\r\n")?;
    }
    text.push_str("\r\n");
    connection.write_all(text.as_bytes())?;
    let mut at = from;
    let mut sent = Ok(());
    while method == "GET" && at < until && sent.is_ok() {
        sent = send(connection, &file, &mut at, until);
    }
    SENT.fetch_add(at - from, Ordering::Relaxed);
    sent
}

fn send(connection: &TcpStream, file: &File, at: &mut u64, until: u64) -> Result<()> {
    let left = usize::try_from(until - *at)?;
    let sent = sendfile(connection, file, Some(at), left)?;
    anyhow::ensure!(sent > 0, "the file has become shorter");
    Ok(())
}

/// The file that a target names; what follows a question mark tells one job from another and no more.
fn open(folder: &Path, target: &str) -> Option<(PathBuf, File)> {
    let path = target.split('?').next()?.strip_prefix('/')?;
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let path = folder.join(path);
    let file = File::open(&path).ok().filter(|file| file.metadata().is_ok_and(|about| about.is_file()))?;
    Some((path, file))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A single range of RFC 9110 §14, its end not included; none when it can't be satisfied.
fn read_range(range: &str, length: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, until) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) => (from, (to + 1).min(length)),
        (Ok(from), Err(_)) => (from, length),
        (Err(_), Ok(last)) => (length.saturating_sub(last), length),
        (Err(_), Err(_)) => return None,
    };
    (from < until).then_some((from, until))
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "mp4" => "video/mp4",
        "m4s" => "video/iso.segment",
        "ts" => "video/mp2t",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        _ => "application/octet-stream",
    }
}
