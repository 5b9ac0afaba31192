//! May this address be reached?

use ipnet::IpNet;

/// What may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Blocks that may be reached although they are not public, on every port.
    pub allow: Vec<IpNet>,
    /// Ports that may be reached in the rest of the world.
    pub ports: Vec<u16>,
}
