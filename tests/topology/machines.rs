//! Who there is: the machines of a company in two regions, each with an address of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A machine, on which one process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    EuApi,
    EuWorker1,
    EuWorker2,
    UsApi,
    UsWorker,
    /// The Redis of the queue; what is shared lies in eu.
    Queue,
    /// The Redis of the metadata cache.
    Cache,
    /// Garage.
    Store,
}

use Machine as M;

pub const APIS: [Machine; 2] = [M::EuApi, M::UsApi];
pub const WORKERS: [Machine; 3] = [M::EuWorker1, M::EuWorker2, M::UsWorker];
pub const SHARED: [Machine; 3] = [M::Queue, M::Cache, M::Store];

/// Where the clients are.
pub const CLIENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
/// Where the media are.
pub const ORIGIN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

impl Machine {
    pub fn all() -> impl Iterator<Item = Self> {
        APIS.into_iter().chain(WORKERS).chain(SHARED)
    }

    pub fn name(self) -> &'static str {
        match self {
            M::EuApi => "eu-api",
            M::EuWorker1 => "eu-worker-1",
            M::EuWorker2 => "eu-worker-2",
            M::UsApi => "us-api",
            M::UsWorker => "us-worker",
            M::Queue => "queue",
            M::Cache => "cache",
            M::Store => "store",
        }
    }

    pub fn region(self) -> &'static str {
        match self {
            M::UsApi | M::UsWorker => "us",
            M::EuApi | M::EuWorker1 | M::EuWorker2 | M::Queue | M::Cache | M::Store => "eu",
        }
    }

    /// Where it listens, in a network of its own.
    pub fn address(self) -> SocketAddr {
        let (host, port) = match self {
            M::EuApi => (11, 8080),
            M::EuWorker1 => (12, 9091),
            M::EuWorker2 => (13, 9091),
            M::UsApi => (21, 8080),
            M::UsWorker => (22, 9091),
            M::Queue => (31, 6379),
            M::Cache => (32, 6379),
            M::Store => (33, 3900),
        };
        SocketAddr::from((Ipv4Addr::new(10, 77, 0, host), port))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
