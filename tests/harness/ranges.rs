//! An origin of one file's ranges, which answers each request as the test says, and remembers what it was asked.
//!
//! It writes HTTP by hand, so that it can cut, lie and count connections. Not here: the test media (`origin`).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::task::AbortOnDropHandle;

/// A strong entity tag.
pub const TAG: &str = "\"first\"";

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// 0 for the first one.
    pub number: usize,
    /// As it stands in the request line.
    pub path: String,
    /// First and last byte; the end is far away when it was not named.
    pub range: Option<(usize, usize)>,
    /// The header of that name.
    pub if_range: Option<String>,
    /// The header of that name.
    pub cookie: Option<String>,
    /// Connections that are open, this one included.
    pub open: usize,
    /// When its head was read.
    pub when: Instant,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Any number.
    pub status: u16,
    /// Beside `Content-Length`, in place of which there may be a `Transfer-Encoding`.
    pub headers: Vec<(&'static str, String)>,
    /// Announced as it is, and sent as far as it is not cut.
    pub body: Bytes,
    /// The connection is cut after so many bytes of the body.
    pub cut: Option<usize>,
    /// Bytes per second.
    pub rate: Option<usize>,
}

impl Answer {
    /// No more than a status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), cut: None, rate: None }
    }

    /// With this header, once.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Without this header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// Cut after so many bytes of the body.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// At most so many bytes per second.
    #[must_use]
    pub fn rate(mut self, per_second: usize) -> Self {
        self.rate = Some(per_second);
        self
    }
}

impl Asked {
    /// The answer of an honest origin that has this content under this tag.
    #[must_use]
    pub fn served(&self, content: &Bytes, tag: &str) -> Answer {
        let named = |answer: Answer, body| Answer { body, ..answer.with("ETag", tag) };
        match self.range.filter(|_| self.if_range.as_deref().is_none_or(|wanted| wanted == tag)) {
            None => named(Answer::status(200), content.clone()),
            Some((first, _)) if first >= content.len() => Answer::status(416),
            Some((first, last)) => {
                let last = last.min(content.len() - 1);
                let range = format!("bytes {first}-{last}/{}", content.len());
                named(Answer::status(206), content.slice(first..=last)).with("Content-Range", range)
            }
        }
    }
}

type Behaviour = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

struct State {
    behaviour: Behaviour,
    asked: Mutex<Vec<Asked>>,
    open: AtomicUsize,
}

/// A running origin; it ends when dropped.
pub struct RangeOrigin {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

impl RangeOrigin {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", behaviour).await
    }

    /// Starts on an address of this machine.
    pub async fn start_on(address: &str, behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(address, None, behaviour).await
    }

    /// Starts on a free port of 127.0.0.1, and speaks TLS.
    pub async fn start_tls(tls: ServerConfig, behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", Some(TlsAcceptor::from(Arc::new(tls))), behaviour).await
    }

    async fn listen(
        address: &str,
        tls: Option<TlsAcceptor>,
        behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Box::new(behaviour);
        let state = Arc::new(State { behaviour, asked: Mutex::default(), open: AtomicUsize::new(0) });
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return serve(state, socket).await };
                    // a client that does not trust it hangs up
                    if let Ok(socket) = tls.accept(socket).await {
                        serve(state, socket).await;
                    }
                });
            }
        });
        Self { scheme, address, state, _task: AbortOnDropHandle::new(task) }
    }

    /// The address of a path that begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// All requests so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
}

async fn serve(state: Arc<State>, socket: impl AsyncRead + AsyncWrite + Unpin) {
    state.open.fetch_add(1, Ordering::SeqCst);
    let mut socket = BufReader::new(socket);
    while let Some(asked) = read(&state, &mut socket).await {
        if write(socket.get_mut(), (state.behaviour)(&asked)).await.is_none() {
            break;
        }
    }
    state.open.fetch_sub(1, Ordering::SeqCst);
}

/// `None`: the connection is closed.
async fn read(state: &State, socket: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |wanted: &str| {
        let named = lines[1..].iter().filter_map(|line| line.split_once(": "));
        named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).next()
    };
    let range = header("range").map(|range| {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        (first.parse().unwrap(), last.parse().unwrap_or(usize::MAX))
    });
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let (if_range, cookie) = (header("if-range"), header("cookie"));
    let open = state.open.load(Ordering::SeqCst);
    let mut all = state.asked.lock().unwrap();
    let asked = Asked { number: all.len(), path, range, if_range, cookie, open, when: Instant::now() };
    all.push(asked.clone());
    Some(asked)
}

/// `None`: the connection is to be closed.
async fn write(socket: &mut (impl AsyncWrite + Unpin), answer: Answer) -> Option<()> {
    const CHUNK: usize = 64 * 1024;
    let Answer { status, headers, body, cut, rate } = answer;
    let coding = headers.iter().find(|(name, _)| *name == "Transfer-Encoding").map(|(_, coding)| coding.clone());
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if coding.is_none() { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let head = format!("HTTP/1.1 {status} -\r\n{length}{headers}\r\n");
    socket.write_all(head.as_bytes()).await.ok()?;
    let is_chunked = coding.is_some_and(|coding| coding == "chunked");
    for chunk in body[..cut.unwrap_or(body.len())].chunks(CHUNK) {
        if is_chunked {
            socket.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.ok()?;
        }
        socket.write_all(chunk).await.ok()?;
        if is_chunked {
            socket.write_all(b"\r\n").await.ok()?;
        }
        // TLS may have kept some of it
        socket.flush().await.ok()?;
        if let Some(rate) = rate {
            sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
        }
    }
    if is_chunked && cut.is_none() {
        socket.write_all(b"0\r\n\r\n").await.ok()?;
    }
    socket.flush().await.ok()?;
    cut.is_none().then_some(())
}
