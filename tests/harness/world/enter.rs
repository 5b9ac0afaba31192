//! The way in: the test's own binary, run again for this one test in namespaces of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Among the arguments of the second run; to the test runner it is one more filter, which nothing matches.
const INSIDE: &str = "inside-the-world";

/// Namespaces of a kind.
pub struct Ground {
    /// Which, beside those of mounts and of the network: arguments of `unshare(1)`.
    pub more: &'static [&'static str],
    /// What is done there before the test: `$0` is a folder with files for `/etc`, `$@` the test.
    pub script: &'static str,
}

/// Every address is this machine (`ip-route(8)`, type `local`), and names are asked of the test alone.
const WORLD: Ground = Ground {
    more: &[],
    script: "
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
for file in resolv.conf hosts nsswitch.conf; do
  if [ -e /etc/$file ]; then mount --bind \"$0/$file\" /etc/$file; fi
done
exec \"$@\"
",
};

const FILES: [(&str, &str); 3] = [
    ("resolv.conf", "nameserver 127.0.0.53\noptions timeout:2 attempts:2\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Runs a test inside a world, and fails with it. The name is that of the running test.
///
/// # Errors
/// With what the test fails with, or when this machine does not let anybody make a network.
pub fn inside(test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    if is_inside() {
        return run(test());
    }
    let forbidden = enter(&WORLD)?;
    ensure!(
        forbidden.is_none(),
        "this machine does not let a test make a network of its own: that needs root or unprivileged user namespaces, \
         and `ip` (of iproute2). It said: {}",
        forbidden.unwrap_or_default()
    );
    Ok(())
}

/// Runs a test on ground of its own, or, where this machine forbids that, here: the test is told which, by whether it is
/// on the ground. The name is that of the running test.
///
/// # Errors
/// With what the test fails with.
pub fn on(ground: &Ground, test: impl AsyncFnOnce(bool) -> Result<()>) -> Result<()> {
    if is_inside() {
        return run(test(true));
    }
    match enter(ground)? {
        None => Ok(()),
        Some(why) => {
            eprintln!("this machine does not let a test make a network of its own: {}", why.trim_end());
            run(test(false))
        }
    }
}

fn is_inside() -> bool {
    std::env::args().any(|argument| argument == INSIDE)
}

fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}

/// Runs the test there; why not, where this machine forbids it.
fn enter(ground: &Ground) -> Result<Option<String>> {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| !name.is_empty() && *name != "main");
    let name = name.context("a test knows its name by its thread")?;
    let files = tempfile::tempdir()?;
    for (file, text) in FILES {
        fs::write(files.path().join(file), text)?;
    }
    let can = there(ground, files.path(), &["true"]).output().context("setpriv (of util-linux) is not installed")?;
    if !can.status.success() {
        return Ok(Some(String::from_utf8_lossy(&can.stderr).into_owned()));
    }
    let binary = std::env::current_exe()?;
    let binary = binary.to_str().context("the test binary has a path in UTF-8")?;
    let status = there(ground, files.path(), &[binary, "--exact", name, INSIDE, "--nocapture"]).status()?;
    ensure!(status.success(), "it failed inside its world, see above: {status}");
    Ok(None)
}

/// A command that runs there, and is killed when who waits for it is.
fn there(ground: &Ground, files: &Path, rest: &[&str]) -> Command {
    let (user, dies_with_us) = (["unshare", "--user", "--map-root-user"], ["setpriv", "--pdeathsig", "KILL"]);
    let mut words = Vec::new();
    if !rustix::process::geteuid().is_root() {
        // first: who enters one forgets with whom to die
        words.extend(user);
    }
    words.extend(dies_with_us);
    words.extend(["unshare", "--net", "--mount", "--propagation", "private"]);
    words.extend(ground.more);
    words.extend(["sh", "-e", "-c", ground.script]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(files).args(rest);
    command
}
