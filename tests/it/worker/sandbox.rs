//! Which sandbox a worker has, and that everybody is told.

use std::process::Stdio;

use haul_tests::processes::until;
use haul_tests::site::send;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::*;

/// Puts on as many domains of Landlock as a process may have, all of which forbid next to nothing, and becomes the program:
/// none is left for a sandbox.
const CROWDED: &str = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
handled = struct.pack('=Q', 1 << 11)
while libc.syscall(446, libc.syscall(444, handled, ctypes.c_size_t(8), 0), 0) == 0:
    pass
os.execv(sys.argv[1], sys.argv[1:])
";

impl Shop {
    /// A worker as it is shipped, on a machine on which no sandbox works.
    fn crowded_worker(&self, variables: &[(&str, &str)]) -> Result<Child> {
        let tests = std::env::current_exe()?;
        let worker =
            tests.ancestors().nth(2).context("test binaries lie in target/<profile>/deps")?.join("haul-worker");
        let tools = haul_tests::tools();
        let mut command = Command::new(tools.join("python3"));
        command.args(["-c", CROWDED]).arg(worker).env_clear().envs(variables.iter().copied());
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display()));
        command.env("HAUL_REDIS_URL", self.redis.url()).env("HAUL_DATA_DIR", self.data.path());
        command.env("HAUL_LOG_FORMAT", "text").kill_on_drop(true);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
    }

    async fn refusal(&self, variables: &[(&str, &str)]) -> Result<String> {
        let mut worker = self.crowded_worker(variables)?;
        let ended = tokio::time::timeout(PATIENCE, worker.wait()).await??;
        let mut said = String::new();
        worker.stderr.take().context("it was piped")?.read_to_string(&mut said).await?;
        anyhow::ensure!(ended.code() == Some(1), "{ended}: {said}");
        Ok(said)
    }
}

#[tokio::test]
async fn strangers_are_not_served_without_a_sandbox() -> Result<()> {
    let shop = Shop::open().await?;
    let said = shop.refusal(&[("HAUL_MODE", "public"), ("HAUL_WORKER_LISTEN", "127.0.0.1:0")]).await?;
    for part in ["HAUL_MODE=public needs a sandbox, and none works here", "a: ", "b: ", "Linux 6.7"] {
        assert!(said.contains(part), "{said}");
    }
    let said = shop.refusal(&[("HAUL_SANDBOX", "b"), ("HAUL_WORKER_LISTEN", "127.0.0.1:0")]).await?;
    assert!(said.contains("no sandbox of tier b can be had here"), "{said}");

    // whom the operator trusts is served all the same
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _worker = shop.crowded_worker(&[("HAUL_WORKER_LISTEN", &port.to_string())])?;
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let ask = async || send(http.get(format!("http://{port}/readyz"))).await;
    until("it is ready", async || ask().await.is_ok_and(|answer| answer.json()["sandbox"] == "c")).await?;
    Ok(())
}

#[tokio::test]
async fn which_sandbox_a_worker_has_is_told_by_its_own_port_and_to_the_store() -> Result<()> {
    let shop = Shop::open().await?;
    for (wanted, tier) in [("auto", "a"), ("a", "a"), ("b", "b"), ("off", "off")] {
        let worker = shop.worker(&[("HAUL_SANDBOX", wanted)]).await?;
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let ask = async |path| send(http.get(worker.url(path))).await;
        until("it is ready", async || ask("/readyz").await.is_ok_and(|answer| answer.status == 200)).await?;
        assert_eq!(ask("/readyz").await?.json()["sandbox"], tier);
        let metrics = String::from_utf8(ask("/metrics").await?.body)?;
        for other in ["a", "b", "c", "off"] {
            let line = format!("haul_worker_sandbox{{tier=\"{other}\"}} {}\n", u8::from(other == tier));
            assert!(metrics.contains(&line), "{metrics}");
        }
        let said = || async { shop.store.stats().await.map(|stats| stats.workers) };
        until("it has said so", async || {
            said().await.is_ok_and(|workers| workers.iter().any(|worker| worker.sandbox.as_deref() == Some(tier)))
        })
        .await?;
        worker.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_yt_dlp_that_stands_for_another_is_told_what_the_sandbox_hides() -> Result<()> {
    let shop = Shop::open().await?;
    let program = shop.data.path().join("yt-dlp");
    std::fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", haul_tests::tools().join("yt-dlp").display()))?;
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let variables = [("HAUL_YTDLP", program.to_str().context("it is UTF-8")?), ("HAUL_WORKER_LISTEN", "127.0.0.1:0")];
    let (redis, data) = (shop.redis.url(), shop.data.path().display().to_string());
    let place = [("HAUL_REDIS_URL", redis.as_str()), ("HAUL_DATA_DIR", &data), ("PATH", "/usr/bin:/bin")];
    let said = haul_tests::processes::refusal("haul-worker", &[&variables[..], &place].concat()).await?;
    assert!(said.contains("HAUL_YTDLP has to be the program itself"), "{said}");
    Ok(())
}
