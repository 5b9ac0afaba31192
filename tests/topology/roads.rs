//! The roads between machines, and how they are cut.
//!
//! Each machine is a network namespace with one address and one cable, which leads to a router: the namespace of the test.
//! The router is told by rules (`ip-rule(8)`) to lose what goes from one machine to another, or to answer it itself: there
//! nobody listens, so that its kernel resets what stands and refuses what is new. It knows no other trick, and needs no
//! packet filter. Where namespaces are forbidden, each way of a process to a server is a proxy that is held or cut.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use haul_tests::proxy::Proxy;
use haul_tests::redis::free_port;
use haul_tests::world::Ground;

use crate::machines::{APIS, CLIENTS, Machine, ORIGIN, SHARED, WORKERS};

/// Of the ground on which machines are built. All processes on it die with the test, and its addresses are nowhere else.
/// A router looks where to send something before it asks whether it is itself meant: it has the addresses of all machines
/// as well, to refuse in their name.
pub const GROUND: Ground = Ground {
    more: &["--pid", "--fork", "--kill-child", "--mount-proc"],
    script: "
PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs tmpfs /run
mkdir /run/netns
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip rule add pref 20 lookup main
ip rule add pref 30 lookup local
ip rule del pref 0
exec \"$@\"
",
};

/// A way that can be cut, in both directions.
pub type Link = (Machine, Machine);

/// How a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// What is sent is lost, and nobody says so.
    Silence,
    /// What is sent is answered by a reset.
    Refusal,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "silence",
            Self::Refusal => "refusal",
        })
    }
}

/// All roads.
pub enum Roads {
    /// Of namespaces.
    Network,
    /// Of proxies: where each machine listens, and the proxy of each process before each server.
    Wires { at: BTreeMap<Machine, SocketAddr>, wires: BTreeMap<Link, Proxy> },
}

impl Roads {
    /// Builds a network, on the ground for it.
    pub fn network() -> Result<Self> {
        for address in [CLIENTS, ORIGIN] {
            ip(&format!("addr add {address}/32 dev lo"))?;
        }
        for machine in Machine::all() {
            let (address, cable) = (machine.address().ip(), cable(machine));
            ip(&format!("netns add {machine}"))?;
            ip(&format!("link add {cable} type veth peer name eth0 netns {machine}"))?;
            ip(&format!("link set {cable} up"))?;
            ip(&format!("addr add {address}/32 dev lo"))?;
            ip(&format!("route add {address}/32 dev {cable} src {CLIENTS}"))?;
            ip(&format!("-n {machine} link set lo up"))?;
            ip(&format!("-n {machine} addr add {address}/32 dev eth0"))?;
            ip(&format!("-n {machine} link set eth0 up"))?;
            ip(&format!("-n {machine} route add {CLIENTS} dev eth0"))?;
            ip(&format!("-n {machine} route add default via {CLIENTS}"))?;
        }
        Ok(Self::Network)
    }

    /// Strings wires, where a network can't be had.
    pub async fn wires() -> Result<Self> {
        let mut at = BTreeMap::new();
        for machine in Machine::all() {
            at.insert(machine, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        }
        let mut wires = BTreeMap::new();
        for process in APIS.into_iter().chain(WORKERS) {
            for server in SHARED {
                wires.insert((process, server), Proxy::to(at[&server]).await);
            }
        }
        Ok(Self::Wires { at, wires })
    }

    /// Where a machine listens.
    pub fn at(&self, machine: Machine) -> SocketAddr {
        match self {
            Self::Network => machine.address(),
            Self::Wires { at, .. } => at[&machine],
        }
    }

    /// Where one machine finds another.
    pub fn way(&self, from: Machine, to: Machine) -> SocketAddr {
        match self {
            Self::Network => to.address(),
            Self::Wires { wires, .. } => wires.get(&(from, to)).map_or_else(|| self.at(to), Proxy::address),
        }
    }

    /// Where the media are to listen.
    pub fn origin(&self) -> IpAddr {
        match self {
            Self::Network => ORIGIN,
            Self::Wires { .. } => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// A program on a machine.
    pub fn program(&self, machine: Machine, program: &Path) -> Command {
        match self {
            Self::Network => {
                // it becomes the program: what is killed is that
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{machine}")).arg("--").arg(program);
                command
            }
            Self::Wires { .. } => Command::new(program),
        }
    }

    /// Can any of these links be cut? Proxies stand only where a process goes.
    pub fn lead(&self, links: &[Link]) -> bool {
        match self {
            Self::Network => true,
            Self::Wires { wires, .. } => links.iter().any(|link| wires.contains_key(link)),
        }
    }

    /// Cuts links.
    pub fn cut(&self, links: &[Link], how: How) -> Result<()> {
        self.change(links, how, true)
    }

    /// Heals them.
    pub fn heal(&self, links: &[Link], how: How) -> Result<()> {
        self.change(links, how, false)
    }

    fn change(&self, links: &[Link], how: How, is_cut: bool) -> Result<()> {
        for &(one, other) in links {
            match self {
                Self::Network => {
                    for (from, to) in [(one, other), (other, one)] {
                        let verb = if is_cut { "add" } else { "del" };
                        let fate = match how {
                            How::Silence => "blackhole",
                            How::Refusal => "lookup local",
                        };
                        let (source, target, cable) = (from.address().ip(), to.address().ip(), cable(from));
                        ip(&format!("rule {verb} pref 10 from {source} to {target} iif {cable} {fate}"))?;
                    }
                }
                Self::Wires { wires, .. } => {
                    // where nobody ever goes there is no wire to cut
                    let Some(wire) = wires.get(&(one, other)) else { continue };
                    match (is_cut, how) {
                        (true, How::Silence) => wire.hold(),
                        (true, How::Refusal) => wire.cut(),
                        (false, _) => wire.pass(),
                    }
                }
            }
        }
        Ok(())
    }
}

/// The router's end of a machine's cable; a name has 15 characters at most.
fn cable(machine: Machine) -> String {
    format!("to-{machine}")
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split_ascii_whitespace()).output().context("ip (of iproute2)")?;
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
