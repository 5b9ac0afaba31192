//! What the system lets this process have.

use std::fs;

use bytesize::ByteSize;
use rustix::process::{Resource, getrlimit};

use super::Finding;

/// Files and connections that may be open at once. `raises`: whether the process raises its own limit as far as it may
/// (`serve::open_more_files`).
#[must_use]
pub fn open_files(wanted: u64, raises: bool) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    match if raises { limit.maximum } else { limit.current } {
        Some(most) if most < wanted => Finding::warn(
            "limits.files",
            format_args!("at most {most} files and connections may be open; {wanted} would be needed under load"),
            format_args!(
                "ulimit -n {wanted}; LimitNOFILE={wanted} in a unit of systemd; ulimits: {{nofile: {wanted}}} in compose"
            ),
        ),
        Some(most) => Finding::ok("limits.files", format_args!("{most} files and connections may be open")),
        None => Finding::ok("limits.files", "any number of files and connections may be open"),
    }
}

/// Memory, by what the machine has and the container may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub most_bytes: u64,
}

impl Memory {
    /// Of this process; `None` where nothing tells.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let read = |file: &str| fs::read_to_string(file).ok();
        let machine = read("/proc/meminfo").and_then(|text| total(&text));
        let own = read("/proc/self/cgroup")
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned)));
        let groups =
            [own.map(|path| format!("/sys/fs/cgroup{path}/memory.max")), Some("/sys/fs/cgroup/memory.max".to_owned())];
        let group = groups.into_iter().flatten().find_map(|file| read(&file)?.trim().parse::<u64>().ok());
        machine.into_iter().chain(group).min().map(|most_bytes| Self { most_bytes })
    }

    /// Is it as much as is wanted?
    #[must_use]
    pub fn for_work(self, wanted_bytes: u64, remedy: &str) -> Finding {
        let (most, wanted) = (ByteSize(self.most_bytes), ByteSize(wanted_bytes));
        if self.most_bytes < wanted_bytes {
            return Finding::warn("limits.memory", format_args!("{most}; {wanted} would be needed"), remedy);
        }
        Finding::ok("limits.memory", format_args!("{most}"))
    }
}

/// `MemTotal` of `proc_meminfo(5)`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_memory_of_a_machine_is_read_and_measured() {
        assert_eq!(total("MemTotal:       24575784 kB\nMemFree: 1 kB\n"), Some(24_575_784 * 1024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(Memory::of_this_process().is_some_and(|memory| memory.most_bytes > 1 << 20));
        let status = |most_bytes| Memory { most_bytes }.for_work(1 << 30, "add some").status;
        assert_eq!([status(1 << 29), status(1 << 30)], [Status::Warn, Status::Ok]);
    }
}
