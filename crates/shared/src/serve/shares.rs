//! Shares of the connections: one client never has all of them.
//!
//! A client is its address, and in IPv6 its /64, which is one customer's; whoever has a whole /48 has a larger share, and
//! still not all. Not here: how many connections there are, and how long one may take (`serve`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::{IpNet, Ipv6Net};

/// Connections of one client at once: a quarter of all where 1,024 files may be open.
const OF_A_CLIENT: usize = 200;
/// Connections of one /48 of IPv6 at once.
const OF_A_SITE: usize = 400;

/// Who has how many connections.
#[derive(Debug)]
pub(super) struct Shares {
    /// Many clients come from each of these addresses.
    proxies: Vec<IpNet>,
    taken: Mutex<HashMap<IpNet, usize>>,
}

/// One connection of somebody's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    groups: Vec<(IpNet, usize)>,
}

impl Shares {
    /// Nobody has any yet.
    pub(super) fn new(proxies: &[IpNet]) -> Arc<Self> {
        Arc::new(Self { proxies: proxies.to_vec(), taken: Mutex::default() })
    }

    /// One more connection for this address, to this one of ours; `None`: it has its share.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, local: Option<IpAddr>) -> Option<Share> {
        // this machine is no stranger: it may be a proxy that nobody told us of
        let groups = if local == Some(peer) { Vec::new() } else { self.groups(peer.to_canonical()) };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.iter().any(|(group, most)| taken.get(group).is_some_and(|count| count >= most)) {
            return None;
        }
        groups.iter().for_each(|(group, _)| *taken.entry(*group).or_default() += 1);
        Some(Share { shares: Arc::clone(self), groups })
    }

    /// Of what an address is a part, and how many connections that may have.
    fn groups(&self, peer: IpAddr) -> Vec<(IpNet, usize)> {
        if peer.is_loopback() || self.proxies.iter().any(|net| net.contains(&peer)) {
            return Vec::new();
        }
        match peer {
            IpAddr::V4(_) => vec![(IpNet::from(peer), OF_A_CLIENT)],
            IpAddr::V6(address) => {
                let within = |bits| IpNet::V6(Ipv6Net::new_assert(address, bits).trunc());
                vec![(within(64), OF_A_CLIENT), (within(48), OF_A_SITE)]
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for (group, _) in &self.groups {
            if let Some(count) = taken.get_mut(group) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(group);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 800;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Takes as many as there are for these addresses, in turn.
    fn take_all(shares: &Arc<Shares>, peers: impl Fn(usize) -> IpAddr) -> Vec<Share> {
        (0..MANY).map_while(|at| shares.take(peers(at), address("10.9.9.9").into())).collect()
    }

    #[test]
    fn a_client_has_its_share_of_the_connections_and_no_more() {
        let shares = Shares::new(&["10.0.0.0/8".parse().expect("a net")]);
        let of_one = take_all(&shares, |_| address("192.0.2.1"));
        assert_eq!(of_one.len(), 200);
        assert!(shares.take(address("::ffff:192.0.2.1"), None).is_none(), "the same in IPv6");
        assert!(shares.take(address("192.0.2.2"), None).is_some());
        drop(of_one);
        assert_eq!(take_all(&shares, |_| address("192.0.2.1")).len(), 200, "what is given back may be taken again");

        let of_a_customer = take_all(&shares, |at| address(&format!("2001:db8:1:1::{at:x}")));
        assert_eq!(of_a_customer.len(), 200);
        let of_its_site = take_all(&shares, |at| address(&format!("2001:db8:1:{:x}::1", at + 2)));
        assert_eq!(of_its_site.len(), 200, "with what the customer has");
        assert!(shares.take(address("2001:db8:2:1::1"), None).is_some());

        for many in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"] {
            assert_eq!(take_all(&shares, |_| address(many)).len(), MANY, "{many}");
        }
        let own = address("192.0.2.1");
        let from_here: Vec<_> = (0..MANY).map_while(|_| shares.take(own, Some(own))).collect();
        assert_eq!(from_here.len(), MANY, "this machine by another of its addresses");
        drop((of_a_customer, of_its_site));
        assert!(shares.taken.lock().expect("nobody panicked").is_empty(), "nothing is remembered of who is gone");
    }
}
