//! A wire that can fail: a TCP proxy on loopback between our processes and a server of theirs.
//!
//! The whole wire can be held, cut or slowed. On a wire to Redis one command can be chosen, also by the name of its
//! script, and its answer lost although it was carried out. What a process makes of that is the test's to see.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::resp::{is_push, whole, words};

/// Bytes passed on at once.
const PIECE: usize = 16 * 1024;

/// A command that passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A call of the script that calls itself so in its first line.
    Script(&'static str),
    /// A command by its name, in capitals.
    Command(&'static str),
}

/// What becomes of a command that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It is carried out; instead of the answer the connection is closed.
    Closed,
    /// It is carried out; on this connection nothing comes back any more.
    Silent,
    /// It waits, like everything that comes after it on any connection, until [`Proxy::pass`].
    Held,
}

/// How the whole wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Passing { delay: Duration, rate: Option<u32> },
    Held,
    Cut,
}

/// A proxy; its connections end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    task: JoinHandle<()>,
}

struct Wire {
    to: Mutex<SocketAddr>,
    is_redis: bool,
    condition: watch::Sender<Condition>,
    /// Connections made before this change get nothing more, and do not learn why.
    stranded: watch::Sender<u64>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    losses: Vec<(Asked, usize, Loss)>,
    /// Text of scripts that came by, by their SHA-1.
    scripts: HashMap<String, String>,
    lost: usize,
    asked: u64,
}

/// A call of a script that nobody can know, with nothing.
const UNKNOWN: &[u8] = b"*3\r\n$7\r\nEVALSHA\r\n$40\r\n0000000000000000000000000000000000000000\r\n$1\r\n0\r\n";

impl Proxy {
    /// A wire to any server.
    pub async fn to(server: SocketAddr) -> Self {
        Self::start(server, false).await
    }

    /// A wire to Redis: commands can be told apart.
    pub async fn to_redis(server: SocketAddr) -> Self {
        Self::start(server, true).await
    }

    async fn start(to: SocketAddr, is_redis: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let condition = watch::Sender::new(PASSING);
        let wire = Arc::new(Wire {
            to: Mutex::new(to),
            is_redis,
            condition,
            stranded: watch::Sender::new(0),
            notes: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&wire)));
        Self { address, wire, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an address of Redis.
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Connections that are made from now on lead to another server.
    ///
    /// # Panics
    /// When another holder has.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.wire.to.lock().expect("no holder panics") = server;
    }

    /// Everything goes through, what was held first.
    pub fn pass(&self) {
        self.wire.condition.send_replace(PASSING);
    }

    /// Nothing goes through, and nothing is lost.
    pub fn hold(&self) {
        self.wire.condition.send_replace(Condition::Held);
    }

    /// Every connection is reset, and new ones are.
    pub fn cut(&self) {
        self.wire.condition.send_replace(Condition::Cut);
    }

    /// Everything comes later by this much, either way.
    pub fn delay(&self, delay: Duration) {
        self.wire.condition.send_replace(Condition::Passing { delay, rate: None });
    }

    /// Each connection carries so many bytes per second, either way.
    pub fn crawl(&self, bytes_per_second: u32) {
        let rate = Some(bytes_per_second.max(1));
        self.wire.condition.send_replace(Condition::Passing { delay: Duration::ZERO, rate });
    }

    /// Connections that stand carry nothing any more; new ones do.
    pub fn strand(&self) {
        self.wire.stranded.send_modify(|times| *times += 1);
    }

    /// Chooses a command: the next of this kind after `skip` others.
    ///
    /// # Panics
    /// When the wire does not lead to Redis.
    pub fn lose(&self, asked: Asked, skip: usize, loss: Loss) {
        assert!(self.wire.is_redis, "commands are told apart on a wire to redis");
        self.wire.notes().losses.push((asked, skip, loss));
    }

    /// Chosen commands that have come by so far.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.wire.notes().lost
    }

    /// Commands of Redis that have come by so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.wire.notes().asked
    }
}

const PASSING: Condition = Condition::Passing { delay: Duration::ZERO, rate: None };

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        // its connections have tasks of their own
        self.cut();
    }
}

async fn accept(listener: TcpListener, wire: Arc<Wire>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(Arc::clone(&wire).connect(client));
    }
}

impl Wire {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no holder panics")
    }

    async fn connect(self: Arc<Self>, mut client: TcpStream) {
        let mut condition = self.condition.subscribe();
        let is_cut = tokio::select! {
            biased;
            _cut = condition.wait_for(|condition| *condition == Condition::Cut) => true,
            () = self.talk(&mut client) => false,
        };
        if is_cut {
            // then it is reset, not closed
            let _reset = client.set_zero_linger();
        }
    }

    async fn talk(&self, client: &mut TcpStream) {
        let to = *self.to.lock().expect("no holder panics");
        let Ok(mut server) = TcpStream::connect(to).await else { return };
        for side in [&*client, &server] {
            let _quick = side.set_nodelay(true);
        }
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let due = Mutex::new(VecDeque::new());
        tokio::select! {
            () = self.requests(from_client, to_server, &due) => {}
            () = self.answers(from_server, to_client, &due) => {}
        }
    }

    async fn requests(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, due: &Mutex<VecDeque<Option<Loss>>>) {
        let (mut piece, mut rest) = (vec![0; PIECE], Vec::new());
        let mut stranded = self.stranded.subscribe();
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            rest.extend_from_slice(&piece[..length]);
            while let Some(end) = self.next(&rest) {
                let mut command: Vec<u8> = rest.drain(..end).collect();
                if self.is_redis {
                    let loss = self.judge(&mut command);
                    due.lock().expect("no holder panics").push_back(loss);
                }
                if self.carry(&command, &mut to, &mut stranded).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn answers(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, due: &Mutex<VecDeque<Option<Loss>>>) {
        let (mut piece, mut rest) = (vec![0; PIECE], Vec::new());
        let mut stranded = self.stranded.subscribe();
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            rest.extend_from_slice(&piece[..length]);
            while let Some(end) = self.next(&rest) {
                let answer: Vec<u8> = rest.drain(..end).collect();
                let loss = if is_push(&answer) { None } else { due.lock().expect("no holder panics").pop_front() };
                match loss.flatten() {
                    Some(Loss::Closed) => return,
                    Some(Loss::Silent) => return std::future::pending().await,
                    Some(Loss::Held) | None => {}
                }
                if self.carry(&answer, &mut to, &mut stranded).await.is_err() {
                    return;
                }
            }
        }
    }

    /// How much can be passed on: of Redis, one whole value.
    fn next(&self, bytes: &[u8]) -> Option<usize> {
        if self.is_redis { whole(bytes) } else { Some(bytes.len()).filter(|all| *all > 0) }
    }

    /// Passes bytes on when and how the wire's condition lets them.
    async fn carry(
        &self,
        bytes: &[u8],
        to: &mut WriteHalf<'_>,
        stranded: &mut watch::Receiver<u64>,
    ) -> std::io::Result<()> {
        let mut condition = self.condition.subscribe();
        let mut rest = bytes;
        while !rest.is_empty() {
            let passing = condition.wait_for(|condition| matches!(condition, Condition::Passing { .. })).await;
            let Ok(Condition::Passing { delay, rate }) = passing.map(|condition| *condition) else { break };
            if stranded.has_changed().unwrap_or(false) {
                return std::future::pending().await;
            }
            // in tenths of a second, so that a changed condition is soon felt
            let step = rate.map_or(rest.len(), |rate| (rate as usize / 10).max(1)).min(rest.len());
            let pause = rate.map_or(delay, |rate| Duration::from_secs_f64(step as f64 / f64::from(rate)));
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            to.write_all(&rest[..step]).await?;
            rest = &rest[step..];
        }
        Ok(())
    }

    /// Is it one that was chosen? While a script is, a call by hash of one that has not come by yet is answered by the
    /// server as after a restart: with the demand for its text.
    fn judge(&self, command: &mut Vec<u8>) -> Option<Loss> {
        let words = words(command);
        let word = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        let (name, script) = (word(0).to_ascii_uppercase(), word(1));
        let mut notes = self.notes();
        notes.asked += 1;
        let text = match name.as_str() {
            "EVAL" => {
                let sha = redis::Script::new(&script).get_hash().to_owned();
                notes.scripts.insert(sha, script.clone());
                script
            }
            "EVALSHA" => match notes.scripts.get(&script) {
                Some(text) => text.clone(),
                None if notes.losses.iter().any(|(asked, _, _)| matches!(asked, Asked::Script(_))) => {
                    *command = UNKNOWN.to_vec();
                    return None;
                }
                None => String::new(),
            },
            _ => String::new(),
        };
        let is_it = |asked: Asked| match asked {
            Asked::Script(script) => text.contains(&format!("\n-- {script}: ")),
            Asked::Command(command) => name == command,
        };
        let at = notes.losses.iter().position(|(asked, _, _)| is_it(*asked))?;
        if notes.losses[at].1 > 0 {
            notes.losses[at].1 -= 1;
            return None;
        }
        let (_, _, loss) = notes.losses.remove(at);
        notes.lost += 1;
        if loss == Loss::Held {
            self.condition.send_replace(Condition::Held);
        }
        Some(loss)
    }
}
