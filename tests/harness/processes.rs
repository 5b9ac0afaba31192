//! The processes of the service as they are shipped: the built binaries, each with an environment of its own.
//!
//! A process can be killed here as a machine kills it, and what it leaves behind can be looked at: its programs are
//! found by `/proc`. Not here: what they are told, and what is asked of them (`house`).

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A client keeps a connection for so long, less than the service does.
pub const IDLE: Duration = Duration::from_secs(5);

/// Between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(20);

/// A running process of ours; killed when dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
    http: reqwest::Client,
    staying: BTreeSet<Seen>,
}

/// A process of the system, told apart from a later one with the same number by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pid: i32,
    began: u64,
}

impl Seen {
    /// Is it this program, by the name that the system knows it by?
    #[must_use]
    pub fn runs(self, program: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).is_ok_and(|name| name.trim_end() == program)
    }

    /// Its number.
    #[must_use]
    pub fn id(self) -> i32 {
        self.pid
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(self) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("a process id")?;
        Ok(kill_process(pid, Signal::KILL)?)
    }
}

impl Process {
    /// Starts `haul-api` or `haul-worker` with these variables and no others, on a free port that it is told in
    /// `listen`, and waits until it is ready.
    ///
    /// # Errors
    /// When it is not built, or does not become ready.
    pub async fn start(program: &str, listen: &str, variables: &[(String, String)]) -> Result<Self> {
        Self::start_telling(program, listen, variables, || Ok(Stdio::inherit())).await
    }

    /// As [`Process::start`], with its standard error going elsewhere than ours.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub async fn start_telling(
        program: &str,
        listen: &str,
        variables: &[(String, String)],
        error: impl Fn() -> Result<Stdio>,
    ) -> Result<Self> {
        // between looking for a free port and using it, somebody else may take it: then another is tried
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let mut command = Command::new(built(program)?);
            command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
            command.env(listen, address.to_string()).stderr(error()?);
            if let Some(process) = Self::of(command, address).await? {
                return Ok(process);
            }
        }
        bail!("{program} did not become ready")
    }

    /// Starts what this command runs, which is told to listen there, and waits until it is ready; `None` when it ended
    /// instead.
    ///
    /// # Errors
    /// When it cannot be started, or does neither.
    pub async fn of(mut command: Command, address: SocketAddr) -> Result<Option<Self>> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let mut process = Self { child, address, http, staying: BTreeSet::new() };
        let is_ready = process.becomes_ready().await?;
        process.staying = process.descendants();
        Ok(is_ready.then_some(process))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number among the processes.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid().as_raw_nonzero().get()
    }

    /// Kills it, and it alone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("it still runs")
    }

    /// Has it ended?
    ///
    /// # Errors
    /// When nobody can tell.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Its children, their children, and so on.
    #[must_use]
    pub fn descendants(&self) -> BTreeSet<Seen> {
        descendants_of(self.id())
    }

    /// Those of them that came with its jobs: not the warm extractors, which it has from its start on.
    #[must_use]
    pub fn programs(&self) -> BTreeSet<Seen> {
        self.descendants().difference(&self.staying).copied().collect()
    }

    /// What it has had written to disk so far, in bytes; without its programs.
    ///
    /// # Errors
    /// When it is gone.
    pub fn written_bytes(&self) -> Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("a count")?;
        Ok(line.parse()?)
    }

    /// The most memory of its own that it has held so far, in bytes: without its programs, and without its code, of
    /// which the kernel keeps as many pages at hand as it likes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("it is gone")?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        Ok(bytes("VmHWM:")?.saturating_sub(bytes("RssFile:")?))
    }

    /// Does it say that it takes work?
    pub async fn says_ready(&self) -> bool {
        let answer = self.http.get(format!("http://{}/readyz", self.address)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for it; `false` when it ended instead.
    async fn becomes_ready(&mut self) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if self.says_ready().await {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("it does not say that it is ready")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Runs `haul-api` or `haul-worker` with these arguments and no variable, and returns what it says.
///
/// # Errors
/// When it does not end.
pub async fn said(program: &str, arguments: &[&str]) -> Result<std::process::Output> {
    said_with(program, arguments, &[]).await
}

/// The same with these variables, and no others.
///
/// # Errors
/// When it does not end.
pub async fn said_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<std::process::Output> {
    let mut command = tokio::process::Command::new(built(program)?);
    command.env_clear().envs(variables.iter().copied()).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    Ok(tokio::time::timeout(PATIENCE, command.output()).await.context("it did not end")??)
}

/// Runs `haul-api` or `haul-worker` with these variables, with which it must not start, and returns what it says to that.
///
/// # Errors
/// When it starts all the same, or ends as if all were well.
pub async fn refusal(program: &str, variables: &[(&str, &str)]) -> Result<String> {
    let mut command = tokio::process::Command::new(built(program)?);
    command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.context("it started")??;
    ensure!(!output.status.success(), "it ended well");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
}

/// Waits until something is so, and returns how long that took.
///
/// # Errors
/// When it is not so within [`PATIENCE`].
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !is_so().await {
        ensure!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(began.elapsed())
}

/// The library of `faketime`, which `tests/run` installs.
///
/// # Errors
/// When it is not there.
pub fn faketime() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file()).context("faketime is not installed: see tests/run")
}

/// The children of a process, their children, and so on.
#[must_use]
pub fn descendants_of(pid: i32) -> BTreeSet<Seen> {
    let mut found = BTreeSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            parents.push(child.pid);
            found.insert(child);
        }
    }
    found
}

/// Those of them that still run.
#[must_use]
pub fn alive(seen: &BTreeSet<Seen>) -> BTreeSet<Seen> {
    // a dead one may wait for whoever inherits it
    let runs = |one: &&Seen| stat(one.pid).is_some_and(|(state, began)| state != 'Z' && began == one.began);
    seen.iter().filter(runs).copied().collect()
}

fn children(parent: i32) -> Vec<Seen> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> =
        lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    pids.into_iter().filter_map(|pid| stat(pid).map(|(_, began)| Seen { pid, began })).collect()
}

/// State and begin of a process, fields 3 and 22 of `proc_pid_stat(5)`.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold anything, so what comes after its last bracket counts
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.nth(18)?.parse().ok()?))
}

/// Where a binary of ours is: beside the directory of the test binaries.
///
/// # Errors
/// When it is not built.
pub fn built(program: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("test binaries lie in target/<profile>/deps")?;
    let path = folder.join(program);
    ensure!(path.is_file(), "{program} is not built: cargo build --workspace --bins");
    Ok(path)
}
