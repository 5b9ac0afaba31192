//! What is sent in a world, seen on the wire itself: every attempt at a connection and every datagram, whatever the
//! port and whether anybody listens.
//!
//! The kernel picks them out (a packet filter, `packet(7)`): a few per download, so that the bytes of a download do not
//! crowd them out. A canary that has missed one says so.
//!
//! Not here: what is public (`registries`), independent of the service's own table.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::names;
use crate::processes::PATIENCE;
use crate::registries;

/// A datagram to here says that all that was sent before has been seen.
const MARK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(93, 184, 215, 99)), 9);
/// Thousands of packets that wait to be read.
const BUFFER_BYTES: usize = 8 << 20;
/// Where the kernel lets programs listen that ask for any port: the processes of the service, and its guards.
const ANY_PORT: u16 = 32_768;

/// `ETH_P_ALL` of `linux/if_ether.h`.
const EVERY_PROTOCOL: u16 = 3;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// ICMP, IGMP, the hop-by-hop header of MLD, ICMPv6: the kernel's own.
const OF_THE_KERNEL: [u8; 4] = [1, 2, 0, 58];

/// Sees what is sent.
#[derive(Clone)]
pub struct Canary {
    seen: Arc<Mutex<BTreeMap<Sent, usize>>>,
    /// Addresses of services that are to be reached.
    known: Vec<SocketAddr>,
    /// Ports of 127.0.0.1 at which nobody is to be reached, although they are high.
    watched: Vec<u16>,
}

/// Something sent: by which protocol of IP, from where, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    protocol: u8,
    from: Option<SocketAddr>,
    to: SocketAddr,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            TCP => write!(f, "a connection to {}", self.to),
            UDP => write!(f, "a datagram to {}", self.to),
            other => write!(f, "a packet of protocol {other} to {}", self.to.ip()),
        }
    }
}

impl Canary {
    pub(super) fn watch(known: &[SocketAddr], watched: &[u16]) -> Result<Self> {
        let every = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(every)).context("a packet socket")?;
        socket.attach_filter(&first_packets()).context("a packet filter")?;
        set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).context("a large buffer")?;
        let canary = Self { seen: Arc::default(), known: known.to_vec(), watched: watched.to_vec() };
        let seen = Arc::clone(&canary.seen);
        std::thread::spawn(move || {
            let mut packet = [0; 256];
            // it ends with the process
            while let Ok(length) = (&socket).read(&mut packet) {
                if let Some(sent) = read(&packet[..length]) {
                    *seen.lock().expect("no holder panics").entry(sent).or_default() += 1;
                }
            }
        });
        Ok(canary)
    }

    /// From here on it counts: before, the harness itself looked whether all is up.
    pub(super) fn begin(&self) -> Result<()> {
        self.catch_up()?;
        self.seen.lock().expect("no holder panics").clear();
        Ok(())
    }

    /// Nothing was sent where nobody may reach.
    ///
    /// # Errors
    /// With all that was.
    pub fn is_silent(&self) -> Result<()> {
        self.catch_up()?;
        let seen = self.seen.lock().expect("no holder panics");
        let wrong: Vec<_> = seen.keys().filter(|sent| !self.may(sent)).map(ToString::to_string).collect();
        ensure!(wrong.is_empty(), "the canary has seen {}", wrong.join(", "));
        Ok(())
    }

    /// Connections that were begun to this address.
    ///
    /// # Errors
    /// When it doesn't know yet.
    pub fn connections_to(&self, address: IpAddr) -> Result<usize> {
        self.catch_up()?;
        let seen = self.seen.lock().expect("no holder panics");
        Ok(seen
            .iter()
            .filter(|(sent, _)| sent.protocol == TCP && sent.to.ip() == address)
            .map(|(_, times)| times)
            .sum())
    }

    fn may(&self, sent: &Sent) -> bool {
        match sent.protocol {
            TCP => {
                self.known.contains(&sent.to)
                    || sent.to == names::ADDRESS
                    || self.is_service(sent.to)
                    || registries::is_public(sent.to.ip())
            }
            UDP => sent.to == MARK || sent.to == names::ADDRESS || sent.from == Some(names::ADDRESS),
            _ => false,
        }
    }

    fn is_service(&self, to: SocketAddr) -> bool {
        to.ip() == Ipv4Addr::LOCALHOST && to.port() >= ANY_PORT && !self.watched.contains(&to.port())
    }

    fn catch_up(&self) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let marks = || {
            let seen = self.seen.lock().expect("no holder panics");
            seen.iter().filter(|(sent, _)| sent.to == MARK).map(|(_, times)| times).sum::<usize>()
        };
        let (before, began) = (marks(), Instant::now());
        socket.send_to(&[], MARK)?;
        while marks() == before {
            ensure!(began.elapsed() < PATIENCE, "the canary does not see what is sent");
            std::thread::yield_now();
        }
        has_missed_nothing()
    }
}

/// What the kernel has dropped for want of room, of all packet sockets of this network: there is one (`ss(8)`, `d` of
/// `skmem`).
fn has_missed_nothing() -> Result<()> {
    let told = Command::new("ss").args(["--packet", "--memory", "--no-header"]).output().context("ss (of iproute2)")?;
    let told = String::from_utf8(told.stdout)?;
    let drops = told.split_once(",d").and_then(|(_, rest)| rest.split_once(')'));
    let (drops, _) = drops.with_context(|| format!("ss tells no drops: {told}"))?;
    ensure!(drops == "0", "the canary has missed {drops} packets");
    Ok(())
}

/// What is sent for the first time: all but the packets of a TCP connection after its first, and each once, as it
/// comes in. Classic BPF: code, jump if true, jump if false, number.
fn first_packets() -> [SockFilter; 17] {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_BYTE_BEHIND: u16 = 0x50;
    const HEADER_LENGTH: u16 = 0xb1;
    const AND: u16 = 0x54;
    const IS: u16 = 0x15;
    const GO: u16 = 0x05;
    const KEEP: u16 = 0x06;
    [
        // 0: is it on its way out? It will come in, too
        SockFilter::new(LOAD_WORD, 0, 0, 0xffff_f004),
        SockFilter::new(IS, 14, 0, 4),
        // 2: IPv6?
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(AND, 0, 0, 0xf0),
        SockFilter::new(IS, 5, 0, 0x60),
        // 5: IPv4; the flags of TCP, behind a header that says its length
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(IS, 0, 8, 6),
        SockFilter::new(HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_BYTE_BEHIND, 0, 0, 13),
        SockFilter::new(GO, 0, 0, 3),
        // 10: IPv6; the flags of TCP
        SockFilter::new(LOAD_BYTE, 0, 0, 6),
        SockFilter::new(IS, 0, 3, 6),
        SockFilter::new(LOAD_BYTE, 0, 0, 53),
        // 13: SYN without ACK
        SockFilter::new(AND, 0, 0, 0x12),
        SockFilter::new(IS, 0, 1, 0x02),
        SockFilter::new(KEEP, 0, 0, 0xffff),
        SockFilter::new(KEEP, 0, 0, 0),
    ]
}

fn read(packet: &[u8]) -> Option<Sent> {
    let (protocol, from, to, rest): (u8, IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            let header = usize::from(packet[0] & 0xf) * 4;
            (*packet.get(9)?, address(12)?.into(), address(16)?.into(), packet.get(header..)?)
        }
        6 => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            (*packet.get(6)?, address(8)?.into(), address(24)?.into(), packet.get(40..)?)
        }
        _ => return None,
    };
    if OF_THE_KERNEL.contains(&protocol) {
        return None;
    }
    let port = |at: usize| rest.get(at..at + 2).map(|port| u16::from_be_bytes([port[0], port[1]]));
    let (source, destination) = match protocol {
        TCP | UDP => (port(0)?, port(2)?),
        _ => (0, 0),
    };
    // of a connection's two ends only one says anything
    let from = (protocol == UDP).then_some(SocketAddr::new(from, source));
    Some(Sent { protocol, from, to: SocketAddr::new(to, destination) })
}
