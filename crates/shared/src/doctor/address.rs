//! The address that a process listens on: free, or taken by the process itself. Nothing is taken away from whoever starts
//! meanwhile: the address is bound for a moment, but not listened on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpSocket;

use super::{Check, Finding};
use crate::config::Process;
use crate::serve::local_url;

/// For an answer of whoever listens there.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// For all of it.
const WITHIN: Duration = Duration::from_secs(12);
/// Of an answer to `/readyz`.
const LONGEST_ANSWER: usize = 64 << 10;

/// Who has an address.
enum Holder {
    Nobody,
    /// A running process of the same kind, ready or not.
    Us(bool),
    Somebody,
}

/// Whether `process` can listen there, or does.
#[must_use]
pub fn address(name: &'static str, variable: &'static str, process: Process, listen: SocketAddr) -> Check {
    Check::new(name, WITHIN, async move {
        vec![match holder(process, listen).await {
            Ok(Holder::Nobody) => Finding::ok(name, format_args!("{listen} is free")),
            Ok(Holder::Us(true)) => Finding::ok(name, format_args!("{listen} is served, and ready")),
            Ok(Holder::Us(false)) => Finding::warn(
                name,
                format_args!("the process that is running on {listen} is not ready"),
                format_args!("curl {}readyz tells what it lacks; its log tells more", local_url(listen)),
            ),
            Ok(Holder::Somebody) => Finding::fail(
                name,
                format_args!("{listen} is taken by another program"),
                format_args!(
                    "ss -ltnp 'sport = :{}' tells by whom; end it, or set {variable} otherwise",
                    listen.port()
                ),
            ),
            Err(error) => Finding::fail(
                name,
                format_args!("cannot listen on {listen}: {error}"),
                format_args!("set {variable} to an address of this machine (ip address), with a port above 1023"),
            ),
        }]
    })
}

async fn holder(process: Process, listen: SocketAddr) -> io::Result<Holder> {
    if listen.port() == 0 {
        return Ok(Holder::Nobody);
    }
    if let Some(is_ready) = ready(process, listen).await {
        return Ok(Holder::Us(is_ready));
    }
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // as those who listen have it: so one who starts in this moment finds nobody in the way
    socket.set_reuseaddr(true)?;
    match socket.bind(listen) {
        Ok(()) => Ok(Holder::Nobody),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Holder::Somebody),
        Err(error) => Err(error),
    }
}

/// Whether it is ready; `None`: nobody is there, or another program.
async fn ready(process: Process, listen: SocketAddr) -> Option<bool> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWERED_WITHIN).build().ok()?;
    let mut answer = client.get(format!("{}readyz", local_url(listen))).send().await.ok()?;
    let is_ready = answer.status().is_success();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return None;
        }
    }
    let answer: Value = serde_json::from_slice(&body).ok()?;
    let has = |name: &str| answer.get(name).is_some_and(Value::is_string);
    // only a worker has a sandbox to tell of
    let is_us = has("status") && has("redis") && has("storage") && has("sandbox") == (process == Process::Worker);
    is_us.then_some(is_ready)
}
