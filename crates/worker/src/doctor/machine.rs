//! What the machine gives to a worker: disk, memory, open files, cookies; and whose jobs it takes.

use haul_shared::config::parse::spell;
use haul_shared::doctor::{self, Check, Finding, Memory};
use haul_shared::ids::Region;

use super::WITHIN;
use crate::config::WorkerConfig;
use crate::jar::Jars;

/// Open files of a worker without jobs, and of each job: connections to its origin, of its guard, and to the store.
const FILES: u64 = 256;
const FILES_OF_A_JOB: u64 = 128;
/// Memory of a worker without jobs, and of each job: yt-dlp, ffmpeg, and what is on its way.
const MEMORY: u64 = 512 << 20;
const MEMORY_OF_A_JOB: u64 = 512 << 20;
/// Shown of those that are of no use.
const SHOWN: usize = 10;

/// Whose jobs are taken.
pub(super) fn regions(config: &WorkerConfig) -> Check {
    let regions = config.regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
    let (slots, grace) = (config.slots, spell(config.shutdown_grace));
    Check::new("worker.regions", WITHIN, async move {
        vec![Finding::ok(
            "worker.regions",
            format_args!("{slots} jobs at once of {regions}, which may go on for {grace} when it is told to stop"),
        )]
    })
}

/// Where jobs work, and how much room they have there.
pub(super) fn scratch(config: &WorkerConfig) -> Check {
    let (dir, least, slots) = (config.work_dir.clone(), config.limits.min_free_disk_bytes, config.slots as u64);
    let look = move || doctor::scratch(dir.as_std_path(), (least, least.saturating_mul(slots)));
    Check::new("scratch.directory", WITHIN, blocking("scratch.directory", look))
}

/// What the system allows.
pub(super) fn limits(config: &WorkerConfig) -> Check {
    let slots = config.slots as u64;
    let look = move || {
        let remedy = "lower HAUL_SLOTS, or give the machine or the container more (mem_limit in docker-compose.yml)";
        let memory = Memory::of_this_process().map(|memory| memory.for_work(MEMORY + slots * MEMORY_OF_A_JOB, remedy));
        std::iter::once(doctor::open_files(FILES + slots * FILES_OF_A_JOB, false)).chain(memory).collect()
    };
    Check::new("limits.files", WITHIN, blocking("limits.files", look))
}

/// The jars; neither their folder nor what is in them is told.
pub(super) fn cookies(config: &WorkerConfig) -> Option<Check> {
    let name = "cookies.jars";
    let dir = config.cookies_dir.clone()?;
    let look = move || match Jars::in_dir(Some(dir.into())).look() {
        Err(error) => {
            vec![Finding::fail(
                name,
                format_args!("HAUL_COOKIES_DIR cannot be read: {error}"),
                "let this user read it: chown -R $(id -u) \"$HAUL_COOKIES_DIR\"",
            )]
        }
        Ok(seen) => {
            let unfit = seen.iter().filter_map(|jar| Some((jar, jar.unfit.as_ref()?))).take(SHOWN);
            let unfit = unfit.map(|(jar, why)| {
                Finding::warn(
                    name,
                    format_args!("{} {why}", jar.file),
                    "export the cookies of that site alone as SITE.txt in the form of Netscape, mode 0600",
                )
            });
            let exposed = seen.iter().filter(|jar| jar.is_exposed).count();
            let open = (exposed > 0).then(|| {
                Finding::warn(
                    "cookies.rights",
                    format_args!("{exposed} jars can be read by other users of this machine"),
                    "chmod 700 \"$HAUL_COOKIES_DIR\"; chmod 600 \"$HAUL_COOKIES_DIR\"/*.txt",
                )
            });
            let fine = seen.iter().filter(|jar| jar.unfit.is_none()).count();
            std::iter::once(Finding::ok(name, format_args!("{fine} can be used"))).chain(unfit).chain(open).collect()
        }
    };
    Some(Check::new(name, WITHIN, blocking(name, look)))
}

/// On a thread where nobody else has to wait for a disk.
async fn blocking(name: &'static str, look: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
    let broken = |stopped| vec![Finding::fail(name, stopped, "please report this as a fault of Haul")];
    tokio::task::spawn_blocking(look).await.unwrap_or_else(broken)
}
