//! What one program may see and do, decided here alone and handed on as plain data ([`Rules`]).
//!
//! Two apply it, and neither adds to it: the launcher (`crates/jail`) and the forked child of a warm extractor
//! (`server.py`), each before anything foreign is touched.

use std::path::{Path, PathBuf};

use haul_jail::{Filter, Rules};
use landlock::{ABI, Access as _, AccessFs, AccessNet, LandlockStatus, RestrictSelf, Scope};

use super::calls::{self, Sockets};

/// What this kernel's Landlock can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernel {
    abi: ABI,
}

impl Kernel {
    /// This one.
    pub(super) fn of_this_machine() -> Self {
        // restricts nothing, and says what could be
        let asked = RestrictSelf::default().no_new_privs(false).apply();
        let abi = match asked.map(|status| status.landlock) {
            Ok(LandlockStatus::Available { effective_abi, .. }) => effective_abi,
            Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) | Err(_) => ABI::Unsupported,
        };
        Self { abi }
    }

    /// That includes cutting them: before, whoever might not write a file could empty it.
    pub(super) fn knows_cutting(self) -> bool {
        self.abi >= ABI::V3
    }

    /// TCP ports can.
    pub(super) fn knows_ports(self) -> bool {
        self.abi >= ABI::V4
    }

    /// Signals can be kept in.
    fn knows_scopes(self) -> bool {
        self.abi >= ABI::V6
    }

    fn files(self) -> u64 {
        AccessFs::from_all(self.abi).bits()
    }
}

/// Whom the rules are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The program and what belongs to it: it may read and run these.
    pub(super) programs: &'a [PathBuf],
    /// The one directory that it may write.
    pub(super) room: &'a Path,
    /// The guard's port; `None`: it reaches nothing.
    pub(super) port: Option<u16>,
    /// It has process ids of its own, and so nobody to send a signal to.
    pub(super) is_alone: bool,
}

/// What a program may do that works for strangers.
///
/// # Errors
/// On an architecture for which there are no filters of system calls.
pub(super) fn of_a_program(kernel: Kernel, subject: &Subject<'_>) -> Result<Rules, seccompiler::Error> {
    let sockets = if subject.port.is_some() { Sockets::Tcp } else { Sockets::None };
    let may_signal = subject.is_alone || kernel.knows_scopes();
    let filters = calls::filters(sockets, may_signal)?;
    Ok(Rules {
        files: files(kernel, subject),
        handled_files: kernel.files(),
        handled_ports: AccessNet::from_all(kernel.abi).bits(),
        scopes: Scope::from_all(kernel.abi).bits(),
        port: subject.port,
        gives_up_capabilities: true,
        filters: filters.iter().map(Filter::of).collect(),
    })
}

/// What the server of warm extractors may do, who reads no foreign byte: its children add [`of_a_program`], and could not
/// take back what it has given up.
pub(super) fn of_a_server(kernel: Kernel, programs: &[PathBuf], home: &Path) -> Rules {
    let subject = Subject { programs, room: home, port: None, is_alone: false };
    let mut files = files(kernel, &subject);
    // a socket of its own; and for a child in namespaces, who it is there (`user_namespaces(7)`)
    files.push((home.to_owned(), AccessFs::MakeSock as u64));
    files.push(("/proc".into(), READ | AccessFs::WriteFile as u64));
    Rules {
        files,
        handled_files: kernel.files(),
        handled_ports: 0,
        scopes: 0,
        port: None,
        // root may only be somebody in a namespace of users whose maker had those of root
        gives_up_capabilities: false,
        filters: Vec::new(),
    }
}

const OF_A_FILE: u64 = AccessFs::Execute as u64
    | AccessFs::ReadFile as u64
    | AccessFs::WriteFile as u64
    | AccessFs::Truncate as u64
    | AccessFs::IoctlDev as u64;
const READ: u64 = AccessFs::ReadFile as u64 | AccessFs::ReadDir as u64;
const RUN: u64 = READ | AccessFs::Execute as u64;
const WRITE: u64 = AccessFs::WriteFile as u64;
/// In the one directory. No symbolic links and no devices are made there: who reads the result afterwards would follow
/// them. Nothing of it is run, and nothing is moved from one folder to another: what is counted there stays where it is
/// (`scratch::Quota`).
const ROOM: u64 = READ
    | WRITE
    | AccessFs::Truncate as u64
    | AccessFs::MakeReg as u64
    | AccessFs::MakeDir as u64
    | AccessFs::RemoveFile as u64
    | AccessFs::RemoveDir as u64;

/// The system's programs and libraries.
pub(super) const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/etc/alternatives"];

/// What programs look at, and what is nobody's secret: libraries, trusted certificates, types, the processors. No names
/// of users and of hosts are among it.
const SETTINGS: [&str; 23] = [
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/mime.types",
    "/proc/self/cgroup",
    "/proc/self/cmdline",
    "/proc/self/exe",
    "/proc/self/maps",
    "/proc/self/mountinfo",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/random",
    "/dev/urandom",
];

fn files(kernel: Kernel, subject: &Subject<'_>) -> Vec<(PathBuf, u64)> {
    let with = |rights| move |path: &str| (PathBuf::from(path), rights);
    let mut files: Vec<_> = SYSTEM.map(with(RUN)).into_iter().chain(SETTINGS.map(with(READ))).collect();
    files.push(("/dev/null".into(), READ | WRITE));
    // their names alone: below a thread there is the network of the worker
    files.extend(["/proc/self/task", "/proc/self/fd"].map(with(AccessFs::ReadDir as u64)));
    files.extend(subject.programs.iter().map(|path| (path.clone(), RUN)));
    files.push((subject.room.to_owned(), ROOM));
    for (path, rights) in &mut files {
        // an older kernel refuses rights that it does not know, and every one those that a file has not
        *rights &= kernel.files() & if path.is_dir() { u64::MAX } else { OF_A_FILE };
    }
    files
}
