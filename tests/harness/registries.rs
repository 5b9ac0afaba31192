//! Which addresses are special, by the registries of IANA: written from them, and from nothing in the service.
//!
//! `tests/data/special-addresses.csv` has a row for each entry. An entry that the registry calls globally reachable is
//! there as well, for the service serves no media from any of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use ipnet::IpNet;

const ROWS: &str = include_str!("../data/special-addresses.csv");

/// One row of a registry.
#[derive(Debug, Clone)]
pub struct Row {
    /// The registry that it is from.
    pub registry: &'static str,
    /// Its addresses.
    pub block: IpNet,
    /// What it is for.
    pub name: &'static str,
    /// Does the registry call it globally reachable?
    pub reachable: bool,
}

/// All rows.
///
/// # Panics
/// When the file is not what it is to be.
#[must_use]
pub fn rows() -> &'static [Row] {
    static READ: LazyLock<Vec<Row>> = LazyLock::new(read);
    &READ
}

fn read() -> Vec<Row> {
    let lines = ROWS.lines().filter(|line| !line.starts_with('#')).skip(1);
    let row = |line: &'static str| {
        let [registry, block, name, _reference, reachable]: [&str; 5] =
            line.split(',').collect::<Vec<_>>().try_into().expect("a row has five fields");
        Row { registry, block: block.parse().expect("a block"), name, reachable: reachable == "true" }
    };
    lines.map(row).collect()
}

/// Is this an address of the public internet: in no row, or one of IPv4 written as one of IPv6, and then as that?
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    if let IpAddr::V6(v6) = address {
        let [a, b, c, d, e, f, g, h] = v6.segments();
        let is_nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
        if is_nat64 || [a, b, c, d, e, f] == [0, 0, 0, 0, 0, 0xffff] {
            let [high, low] = [g.to_be_bytes(), h.to_be_bytes()];
            return is_public(Ipv4Addr::new(high[0], high[1], low[0], low[1]).into());
        }
    }
    !rows().iter().any(|row| row.block.contains(&address))
}
