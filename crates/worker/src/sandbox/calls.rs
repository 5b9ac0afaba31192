//! Which system calls a program may make: what Landlock does not know, or knows too little about.
//!
//! A list of what is refused, with `EPERM`, so that a program takes its other way; what is newer than the list is
//! "not implemented" (`ENOSYS`), so that a newer kernel opens no door. Calls of a foreign architecture kill: nothing
//! honest makes them.
//!
//! Not here: files and ports (`rules`), who is filtered (`crates/jail`, `server.py`).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Which sockets may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sockets {
    /// None, of no kind.
    None,
    /// Of TCP, to connect; and pairs, for a program's own use.
    Tcp,
}

/// The newest call that the lists below were made with (`file_setattr(2)`); the numbers are the same everywhere.
const NEWEST: u32 = 469;

/// Refused whatever the arguments are.
const REFUSED: &[i64] = &[
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // the tree of files as a whole
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    STATMOUNT,
    LISTMOUNT,
    OPEN_TREE_ATTR,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    // what Landlock does not look at, of files that can be read: owner, mode, attributes, times; and who looks at them
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
    libc::SYS_truncate,
    libc::SYS_mknodat,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // the kernel itself
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_setup,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // keys, and what processes of one user share
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // memory that counts for nobody
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // who listens
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// The older forms, which newer architectures have not.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[i64] = &[
    libc::SYS_inotify_init,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_mknod,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_modify_ldt,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// Calls that `libc` has no names for yet on every architecture; from 424 on the numbers are the same everywhere.
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;

/// Signals to anybody, and what leads out of the group by which the keeper kills at last: only where Landlock can't keep
/// signals in.
const SIGNALS: [i64; 8] = [
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];

/// Signals by a descriptor: `F_SETOWN`, `F_SETSIG` and `F_SETOWN_EX` of `fcntl(2)`, `FIOSETOWN` and `SIOCSPGRP` of `ioctl(2)`.
const OWNED_BY_FCNTL: [u64; 3] = [8, 10, 15];
const OWNED_BY_IOCTL: [u64; 2] = [0x8901, 0x8902];

/// The filters of a program, all of which a call has to pass. `signals`: may it send any at all?
///
/// # Errors
/// On an architecture that `seccompiler` does not know.
pub(super) fn filters(sockets: Sockets, signals: bool) -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    refused.extend(REFUSED.iter().chain(REFUSED_OLD).map(|call| (*call, Vec::new())));
    let mut ioctls = vec![only(is(1, libc::TIOCSTI)?)?, only(is(1, libc::TIOCLINUX)?)?];
    if !signals {
        refused.extend(SIGNALS.map(|call| (call, Vec::new())));
        let owned = OWNED_BY_FCNTL.into_iter().map(|command| only(is(1, command)?));
        refused.insert(libc::SYS_fcntl, owned.collect::<Result<_, _>>()?);
        for command in OWNED_BY_IOCTL {
            ioctls.push(only(is(1, command)?)?);
        }
    }
    refused.insert(libc::SYS_ioctl, ioctls);
    // another protocol over TCP
    let layered = vec![is(1, libc::IPPROTO_TCP as u64)?, is(2, libc::TCP_ULP as u64)?];
    refused.insert(libc::SYS_setsockopt, vec![SeccompRule::new(layered)?]);
    match sockets {
        Sockets::None => refused.extend([libc::SYS_socket, libc::SYS_socketpair].map(|call| (call, Vec::new()))),
        Sockets::Tcp => {
            refused.insert(libc::SYS_socket, not_tcp()?);
            refused.insert(libc::SYS_socketpair, not_a_plain_pair()?);
        }
    }
    // a first packet with data connects, and Landlock does not see it
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        refused.insert(call, vec![only(bits(flags, MSG_FASTOPEN)?)?]);
    }
    refused.insert(libc::SYS_clone, any_bit(0, NAMESPACES)?);
    // `RLIMIT_DATA` counts neither
    let [shared, grows] =
        [libc::MAP_SHARED | libc::MAP_ANONYMOUS, libc::MAP_GROWSDOWN].map(|flags| bits(3, flags as u64));
    refused.insert(libc::SYS_mmap, vec![only(shared?)?, only(grows?)?]);
    // of another process of the same user these need no right
    for call in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler] {
        refused.insert(call, vec![only(is_not(0, 0)?)?]);
    }
    for call in [libc::SYS_sched_setparam, libc::SYS_sched_setattr] {
        refused.insert(call, vec![only(is_not(0, 0)?)?]);
    }
    for call in [libc::SYS_setpriority, libc::SYS_ioprio_set] {
        // 0: a process; of I/O that is 1
        let process = u64::from(call == libc::SYS_ioprio_set);
        refused.insert(call, vec![only(is_not(0, process)?)?, only(is_not(1, 0)?)?]);
    }

    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let listed = SeccompFilter::new(refused, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    Ok(vec![listed.try_into()?, unheard_of()])
}

/// Not implemented: `clone3(2)`, whose flags no filter can see (libc then takes `clone(2)`), and whatever is newer than
/// our lists. Those of x32 are numbered above all others, and so are among them.
fn unheard_of() -> BpfProgram {
    // linux/bpf_common.h, linux/seccomp.h
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0), // the number of the call
        step(IF_EQUAL, 2, 0, libc::SYS_clone3 as u32),
        step(IF_GREATER, 1, 0, NEWEST),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

/// A first packet with data (`tcp(7)`); `libc` has it as a number with a sign.
const MSG_FASTOPEN: u64 = 0x2000_0000;

const NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    0x80, // CLONE_NEWTIME
];

/// The kind of a socket, without its flags (`SOCK_TYPE_MASK`).
const KIND: u64 = 0xf;

/// `socket(2)` for anything but TCP. Its protocol is asked for, too: MPTCP is a stream of the same family, and Landlock does
/// not know it.
fn not_tcp() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let families = [is_not(0, libc::AF_INET as u64)?, is_not(0, libc::AF_INET6 as u64)?];
    let protocols = [is_not(2, 0)?, is_not(2, libc::IPPROTO_TCP as u64)?];
    let mut rules = vec![SeccompRule::new(families.into())?, SeccompRule::new(protocols.into())?];
    rules.extend(kinds_but(&[libc::SOCK_STREAM])?);
    Ok(rules)
}

/// `socketpair(2)` for anything but a connected pair: one of datagrams may talk to any socket that has a name.
fn not_a_plain_pair() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let mut rules = vec![only(is_not(0, libc::AF_UNIX as u64)?)?];
    rules.extend(kinds_but(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET])?);
    Ok(rules)
}

fn kinds_but(allowed: &[i32]) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let others = (0..=KIND).filter(|kind| allowed.iter().all(|allowed| allowed.unsigned_abs() != *kind as u32));
    others.map(|kind| only(condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(KIND), kind)?)).collect()
}

fn any_bit(argument: u8, flags: [i32; 8]) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    flags.into_iter().map(|flag| only(bits(argument, u64::from(flag.unsigned_abs()))?)).collect()
}

fn only(condition: SeccompCondition) -> Result<SeccompRule, seccompiler::Error> {
    Ok(SeccompRule::new(vec![condition])?)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn bits(argument: u8, bits: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    compared: SeccompCmpOp,
    with: u64,
) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, length, compared, with)?)
}
