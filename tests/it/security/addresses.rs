//! S13: what is public, address by address, against the registries of IANA.

use std::net::IpAddr;

use haul_shared::egress::is_public;
use haul_tests::registries;

/// The address before or after; none at the end of all addresses.
fn beside(address: IpAddr, step: i128) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::try_from(i128::from(v4.to_bits()) + step).ok().map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) => v6.to_bits().checked_add_signed(step).map(|bits| IpAddr::V6(bits.into())),
    }
}

#[test]
fn every_row_of_the_registries_is_refused_up_to_its_first_and_last_address() {
    let rows = registries::rows();
    assert!(rows.len() > 60, "{}", rows.len());
    let mut neighbours = 0;
    for row in rows {
        let (first, last) = (row.block.network(), row.block.broadcast());
        for address in [first, last] {
            assert!(!is_public(address), "{address}: {} ({}, {})", row.name, row.block, row.registry);
        }
        for outside in [beside(first, -1), beside(last, 1)].into_iter().flatten() {
            assert_eq!(is_public(outside), registries::is_public(outside), "{outside} beside {}", row.block);
            neighbours += usize::from(is_public(outside));
        }
    }
    assert!(neighbours > 20, "only {neighbours} neighbours are public");
}
