//! Trying a tier out: a program is started as every program is, and attempts what must fail and what must not.
//!
//! What a kernel says of itself proves nothing: a container may refuse the calls, a module may be off.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haul_jail::{Attempts, Found};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Sandbox, Tier};
use crate::process::{self, Ended, Spec, Watch};

/// For a program of a few milliseconds, on a machine that is busy.
const WITHIN: Duration = Duration::from_secs(20);

/// Why that is no sandbox, if it is none.
fn verdict(found: Found) -> Result<(), String> {
    let wrong = [
        (!found.own_file, "its own directory is closed to a program"),
        (!found.guard, "the guard cannot be reached"),
        (found.foreign_file, "a file outside can be read"),
        (found.elsewhere, "another port can be reached"),
        (found.datagram, "datagrams can be sent"),
        (found.listening, "a program may listen"),
        (found.namespaces, "a program may make namespaces"),
        (found.cutting, "a file outside can be cut"),
        (found.signal, "the worker can be sent signals"),
    ];
    let wrong: Vec<_> = wrong.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

/// Does this sandbox keep what it promises?
pub(super) async fn holds(sandbox: &Sandbox, launcher: Option<&Path>) -> Result<(), String> {
    let kernel = sandbox.0.kernel;
    if !kernel.knows_cutting() {
        return Err("Landlock is not there, or too old (Linux 6.2; `lsm=` may leave it out)".to_owned());
    }
    if sandbox.tier() == Tier::B && !kernel.knows_ports() {
        return Err("Landlock knows no TCP ports here (Linux 6.7)".to_owned());
    }
    attempted(sandbox, launcher).await.map_err(|error| error.to_string()).and_then(verdict)
}

/// Nobody has to answer: who connects is content.
fn keep(kept: &Arc<Mutex<Option<TcpListener>>>) -> process::Serve {
    let kept = Arc::clone(kept);
    Arc::new(move |listener| *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener))
}

async fn attempted(sandbox: &Sandbox, launcher: Option<&Path>) -> io::Result<Found> {
    let folder = |name| tempfile::Builder::new().prefix(name).tempdir_in(&sandbox.0.home);
    let (own, other): (TempDir, TempDir) = (folder("probe-")?, folder("probe-")?);
    let foreign_file = other.path().join("secret");
    std::fs::write(&foreign_file, "x")?;
    let (here, elsewhere) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    let guard = sandbox.guard_inside().map_or_else(|| here.local_addr(), Ok)?;
    let attempts = Attempts {
        own_file: own.path().join("file"),
        foreign_file,
        guard,
        elsewhere: elsewhere.local_addr()?,
        worker: std::process::id().cast_signed(),
    };
    let kept = Arc::default();
    let launcher = launcher.map_or_else(process::launcher_beside_us, |path| Ok(path.to_owned()))?;
    let spec = Spec::new(&launcher, own.path())
        .args(["--attempt".to_owned(), serde_json::to_string(&attempts)?])
        .launcher(&launcher)
        .sandbox(sandbox)
        .reaches(guard, keep(&kept));
    let output = process::output(&spec, &Watch::new(WITHIN, WITHIN, CancellationToken::new())).await;
    let output = output.map_err(io::Error::other)?;
    if output.ended != Ended::Exited(0) {
        let words = output.stderr_tail.trim();
        return Err(io::Error::other(format!("a program in it {}: {words}", output.ended)));
    }
    Ok(serde_json::from_str(&output.stdout)?)
}
