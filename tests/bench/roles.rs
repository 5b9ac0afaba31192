//! The other roles of this program: parts that a benchmark starts as processes of their own, and how it speaks to them.
//!
//! A part says `ready` once it could begin, is told `go`, and then tells one line per result. It ends when its standard
//! input does, so that none outlives the benchmark.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::{engine, floor, noop};

/// Longest that a part may take to say something.
const PATIENCE: Duration = Duration::from_secs(600);

/// What this program is when it is no benchmark.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// A worker whose jobs are nothing; tells how many seconds it took to do so many, or when each began
    Worker(noop::Order),
    /// Bare handlers over one connection to Redis; tells where it listens
    Floor {
        /// The Redis
        #[arg(long)]
        redis: String,
    },
    /// The site that the engine's benchmark downloads from
    Origin {
        /// What it serves
        folder: PathBuf,
    },
    /// The store that it uploads to
    Store {
        /// Where the objects go
        folder: PathBuf,
    },
    /// A guard, as programs have it
    Guard,
    /// The site over TLS
    Secure {
        /// Where the site is
        site: SocketAddr,
    },
}

impl Role {
    /// Plays it, on a runtime like that of the programs which are shipped.
    ///
    /// # Errors
    /// When it cannot be played.
    pub fn run(self) -> Result<()> {
        tokio::runtime::Runtime::new()?.block_on(async {
            match self {
                Self::Worker(order) => noop::run(order).await,
                Self::Floor { redis } => floor::run(&redis).await,
                Self::Origin { folder } => engine::origin::run(&folder).await,
                Self::Store { folder } => engine::store::run(&folder).await,
                Self::Guard => engine::ways::guard().await,
                Self::Secure { site } => engine::ways::secure(site).await,
            }
        })
    }
}

/// A part that runs; killed when dropped.
pub struct Part {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts this program in another role.
    ///
    /// # Errors
    /// When it cannot be started or does not get ready.
    pub async fn start(arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?;
        let all: Vec<&str> = ["role"].iter().chain(arguments).copied().collect();
        Self::of(&program, &all).await
    }

    /// Starts any program that speaks as our roles do.
    ///
    /// # Errors
    /// As [`Part::start`].
    pub async fn of(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::by(command).await.with_context(|| format!("{} cannot be started", program.display()))
    }

    /// Starts a command whose program speaks as our roles do.
    ///
    /// # Errors
    /// As [`Part::start`].
    pub async fn by(mut command: Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let input = process.stdin.take().context("its input is a pipe")?;
        let output = process.stdout.take().context("its output is a pipe")?;
        let mut part = Self { process, input, output: BufReader::new(output).lines() };
        match part.line().await?.as_str() {
            "ready" => Ok(part),
            other => bail!("a part said {other:?} instead of being ready"),
        }
    }

    /// Tells it to begin, or to do the next thing.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn go(&mut self) -> Result<()> {
        self.tell("go").await
    }

    /// Tells it a line of its own kind.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn tell(&mut self, line: &str) -> Result<()> {
        Ok(self.input.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Its number among the processes; none once it has ended and that was seen.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.id().and_then(|pid| pid.try_into().ok())
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// When it says nothing more.
    pub async fn line(&mut self) -> Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await.context("a part is silent")??;
        line.context("a part has ended")
    }

    /// The next line, a number.
    ///
    /// # Errors
    /// As [`Part::line`], and when it is none.
    pub async fn number(&mut self) -> Result<f64> {
        let line = self.line().await?;
        line.parse().with_context(|| format!("a part said {line:?}"))
    }
}

/// A file of `rivals/`.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/rivals").join(name)
}

/// Says something, as a part.
pub fn say(line: &str) {
    println!("{line}");
}

/// What a part is told, line by line.
pub struct Orders(mpsc::Receiver<()>);

impl Orders {
    /// Listens from now on, on a thread of its own: standard input can be read no other way.
    #[must_use]
    pub fn listen() -> Self {
        let (told, orders) = mpsc::channel(16);
        std::thread::spawn(move || {
            let lines = std::io::stdin().lines().map_while(std::result::Result::ok);
            lines.take_while(|_| told.blocking_send(()).is_ok()).for_each(drop);
        });
        Self(orders)
    }

    /// Waits to be told to go on; `false` when the benchmark is gone.
    pub async fn go_on(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}
