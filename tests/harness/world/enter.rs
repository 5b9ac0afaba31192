//! The way in: the test's own binary, run again for this one test in namespaces of its own.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Among the arguments of the second run; to the test runner it is one more filter, which nothing matches.
const INSIDE: &str = "inside-the-world";

/// Every address is this machine (`ip-route(8)`, type `local`), and names are asked of the test alone.
const SCRIPT: &str = "
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
for file in resolv.conf hosts nsswitch.conf; do
  if [ -e /etc/$file ]; then mount --bind \"$0/$file\" /etc/$file; fi
done
exec \"$@\"
";

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
    if std::env::args().any(|argument| argument == INSIDE) {
        return tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test());
    }
    let thread = std::thread::current();
    let name = thread.name().filter(|name| name.contains("::")).context("a test knows its name by its thread")?;
    let files = tempfile::tempdir()?;
    for (file, text) in FILES {
        fs::write(files.path().join(file), text)?;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let there = |command: &Command, rest: &[&str]| -> Result<Command> {
        let mut new = Command::new(command.get_program());
        new.args(command.get_args()).args(["sh", "-e", "-c", SCRIPT]).arg(files.path()).args(rest);
        Ok(new)
    };
    let can = there(&command, &["true"])?.output().context("unshare (of util-linux) is not installed")?;
    ensure!(
        can.status.success(),
        "this machine does not let a test make a network of its own: that needs root or unprivileged user namespaces, \
         and `ip` (of iproute2). It said: {}",
        String::from_utf8_lossy(&can.stderr)
    );
    let binary = std::env::current_exe()?;
    let binary = binary.to_str().context("the test binary has a path in UTF-8")?;
    let status = there(&command, &[binary, "--exact", name, INSIDE, "--nocapture"])?.status()?;
    ensure!(status.success(), "it failed inside its world, see above: {status}");
    Ok(())
}
