//! Namespaces of a program's own (tier A), made by the launcher's keeper: users, network, processes, and what processes
//! share by name.
//!
//! No mount namespace: what is seen of files is decided once, by Landlock, and a second tree would be a second list.
//! A `/proc` of another namespace shows a program nothing but itself all the same.
//!
//! Needs no right of the system's. The user stays who he is, without any capability outside.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv,
    send, sendmsg, socket_with,
};

/// What is said along with a socket: a message of nothing carries nothing.
const HANDED: &[u8] = b"l\n";

/// Puts this process, and whom it starts, into namespaces of their own; the first that it starts is the init of the
/// processes: when that one dies, the kernel kills all others. To be called while there is one thread.
///
/// # Errors
/// Where they are forbidden (`user.max_user_namespaces`, `kernel.unprivileged_userns_clone`, a filter of a container).
pub(crate) fn enter() -> io::Result<()> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )?;
    // who may drop groups could gain files that are kept from a group (`user_namespaces(7)`)
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Makes the only thing that can be reached in there, and hands it to the worker at the other end of this socket.
///
/// # Errors
/// As the system says.
pub(crate) fn hand_out_listener(port: u16, worker: impl AsFd) -> io::Result<()> {
    raise_loopback()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let listeners = [listener.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(&listeners));
    sendmsg(worker, &[io::IoSlice::new(HANDED)], &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// `ip link set lo up`, of which its address comes by itself (`rtnetlink(7)`).
fn raise_loopback() -> io::Result<()> {
    const LOOPBACK: i32 = 1;
    let kernel: OwnedFd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(32);
    // struct nlmsghdr: length, type, flags, sequence, port
    message.extend(32_u32.to_ne_bytes());
    message.extend(libc::RTM_NEWLINK.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    message.extend([0; 8]);
    // struct ifinfomsg: family, type, index, flags, which of them
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(libc::IFF_UP.to_ne_bytes());
    message.extend(libc::IFF_UP.to_ne_bytes());
    send(&kernel, &message, SendFlags::empty())?;
    let mut answer = [0; 64];
    let (length, _) = recv(&kernel, &mut answer, RecvFlags::empty())?;
    // struct nlmsgerr behind the header: 0, or an error as a negative number
    let error = answer.get(16..20).filter(|_| length >= 20).and_then(|bytes| bytes.first_chunk::<4>());
    match error.map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
