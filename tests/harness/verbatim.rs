//! Requests byte for byte as a client sends them, for what no library would send so.

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::processes::PATIENCE;
use crate::site::Answer;

/// Sends these bytes to an address (`host:port`) and reads one answer, which has to tell its length.
///
/// # Errors
/// When there is no whole answer.
pub async fn say(address: &str, request: &str) -> Result<Answer> {
    timeout(PATIENCE, exchange(address, request)).await?
}

/// A request of these lines: the head, and the body behind an empty line. The length of the body is added.
#[must_use]
pub fn of_lines(lines: &str) -> String {
    let (head, body) = lines.split_once("\n\n").unwrap_or((lines, ""));
    let head: String = head.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    match body.trim() {
        "" => format!("{head}\r\n"),
        body => format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
    }
}

async fn exchange(address: &str, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "the answer has no end of its head");
    };
    let head = String::from_utf8(read[..end].to_vec())?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?.parse()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let length = headers.get("content-length").map_or(Ok(0), |value| anyhow::Ok(value.to_str()?.parse()?))?;
    let mut body = read.split_off(end + 4);
    while body.len() < length {
        anyhow::ensure!(stream.read_buf(&mut body).await? > 0, "the answer ends within its body");
    }
    Ok(Answer { status: StatusCode::from_u16(status)?, headers, body })
}
