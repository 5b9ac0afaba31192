//! Whoever wants to be told: takes webhooks as they come over the wire, and answers as a test wants.
//!
//! It knows nothing of signatures: who checks them is the reference implementation, in Rust and in Python.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::task::AbortOnDropHandle;

use crate::processes::{PATIENCE, until};

/// How a message is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status.
    Status(u16),
    /// With this status and this line of the head.
    With(u16, String),
    /// Not, and the connection stays open.
    Silence,
    /// Not, and the connection is closed.
    Close,
    /// With something that is no HTTP.
    Garbage,
    /// With a head that says that all is well, and a body that never ends.
    Endless,
    /// With a head that says that all is well and announces so many bytes, of which none comes.
    Cut(u64),
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The first line.
    pub line: String,
    /// The head.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Received {
    /// A header's text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the verifier of PyPI says of it, with this secret: the payload, or that it is not so.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verified_in_python(&self, secret: &str) -> Result<Value> {
        const SCRIPT: &str = "import sys, json\nfrom standardwebhooks import Webhook\n\
            headers = dict(line.split(': ', 1) for line in sys.argv[2].splitlines())\n\
            print(json.dumps(Webhook(sys.argv[1]).verify(sys.argv[3], headers)))";
        let head: Vec<String> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| format!("{name}: {}", self.header(name)))
            .to_vec();
        let body = std::str::from_utf8(&self.body)?;
        let output = Command::new(crate::checks())
            .args(["-c", SCRIPT, secret, &head.join("\n"), body])
            .output()
            .context("tests/run installs the verifier")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Somebody who listens. Dropped, nobody answers there any more.
pub struct Receiver {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    received: Vec<Received>,
    under_way: usize,
    most_under_way: usize,
}

impl Receiver {
    /// Listens on a free port of this address, such as `127.0.0.2`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start_at(address: &str) -> Result<Self> {
        Ok(Self::over(TcpListener::bind((address, 0)).await?)?)
    }

    /// Listens on loopback.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> Result<Self> {
        Self::start_at("127.0.0.1").await
    }

    /// Listens on loopback, and speaks TLS.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start_tls(tls: ServerConfig) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self::listen(listener, Some(TlsAcceptor::from(Arc::new(tls))))?)
    }

    /// Listens there.
    ///
    /// # Errors
    /// When nobody knows where that is.
    pub fn over(listener: TcpListener) -> std::io::Result<Self> {
        Self::listen(listener, None)
    }

    fn listen(listener: TcpListener, tls: Option<TlsAcceptor>) -> std::io::Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (address, state) = (listener.local_addr()?, Arc::new(Mutex::new(State::default())));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    begin(&state);
                    // whoever hangs up has no answer
                    let _ended = match tls {
                        None => serve(stream, &state).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &state).await,
                            Err(error) => Err(error.into()),
                        },
                    };
                    lock(&state).under_way -= 1;
                });
            }
        });
        Ok(Self { scheme, address, state, _task: AbortOnDropHandle::new(task) })
    }

    /// The address of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next messages so, and all after them with 204.
    pub fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.state).replies.extend(replies);
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// Connections that were open at once, at most: messages that were on their way here, or nobody who trusts us.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        lock(&self.state).most_under_way
    }

    /// Waits until so many have come.
    ///
    /// # Errors
    /// When they do not.
    pub async fn has(&self, count: usize) -> Result<Vec<Received>> {
        until("messages come", async || lock(&self.state).received.len() >= count).await?;
        Ok(self.received())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

fn begin(state: &Mutex<State>) {
    let mut state = lock(state);
    state.under_way += 1;
    state.most_under_way = state.most_under_way.max(state.under_way);
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let received = read(&mut stream).await?;
    let reply = {
        let mut state = lock(state);
        state.received.push(received);
        state.replies.pop_front().unwrap_or(Reply::Status(204))
    };
    let said = match reply {
        Reply::Status(status) => format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n"),
        Reply::With(status, line) => format!("HTTP/1.1 {status} So\r\n{line}\r\ncontent-length: 0\r\n\r\n"),
        Reply::Silence => {
            // until the other side hangs up
            let _end = stream.read(&mut [0; 1]).await?;
            return Ok(());
        }
        Reply::Close => return Ok(()),
        Reply::Cut(bytes) => format!("HTTP/1.1 200 So\r\ncontent-length: {bytes}\r\n\r\n"),
        Reply::Garbage => "SSH-2.0-OpenSSH_9.2p1\r\n".to_owned(),
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 So\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                stream.write_all(b"4\r\nmore\r\n").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    stream.write_all(said.as_bytes()).await?;
    Ok(stream.flush().await?)
}

async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Result<Received> {
    let (mut line, mut headers) = (String::new(), HeaderMap::new());
    tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await??;
    loop {
        let mut field = String::new();
        stream.read_line(&mut field).await?;
        let Some((name, value)) = field.trim_end().split_once(": ") else { break };
        headers.append(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
    }
    let length = headers.get("content-length").context("a length")?.to_str()?.parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Received { line: line.trim_end().to_owned(), headers, body })
}
