//! Who has a bucket of its own in a flood, and whose bucket the others share.
//!
//! Memory is bounded, so buckets are; a client that has one keeps it, whoever else comes. A new one gets one as long as there
//! are any, but of one /48 of IPv6, which is cheap to have and has 65,536 clients, only so many: those beyond share one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use haul_shared::ids::ClientKey;

/// Clients that have a bucket of their own, of each rate. With more at once, new ones share [`CROWDS`] buckets.
pub(super) const MOST: usize = 50_000;
/// Of these, clients of one /48.
pub(super) const OF_A_SITE: usize = MOST / 100;
/// Buckets for who comes when all others are taken.
pub(super) const CROWDS: u64 = 1024;

/// Who has a bucket of its own.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Each with the time when its bucket is full again: then nothing is lost with it.
    taken: HashMap<ClientKey, Instant>,
    of_sites: HashMap<ClientKey, usize>,
    /// Who shares a bucket with whom is nobody's to choose.
    chance: RandomState,
}

impl Seats {
    /// The bucket of a client, until [`Seats::fills`] and [`Seats::forget`] give it up.
    pub(super) fn bucket_of(&mut self, client: &ClientKey) -> ClientKey {
        if self.taken.contains_key(client) {
            return client.clone();
        }
        let site = client.site();
        if let Some(site) = &site
            && self.of_sites.get(site).is_some_and(|count| *count >= OF_A_SITE)
        {
            return site.clone();
        }
        if self.taken.len() >= MOST {
            return ClientKey::stored(&format!("crowd {}", self.chance.hash_one(client) % CROWDS));
        }
        if let Some(site) = site {
            *self.of_sites.entry(site).or_default() += 1;
        }
        self.taken.insert(client.clone(), Instant::now());
        client.clone()
    }

    /// This bucket is full again at this time.
    pub(super) fn fills(&mut self, bucket: &ClientKey, at: Instant) {
        if let Some(full) = self.taken.get_mut(bucket) {
            *full = at;
        }
    }

    /// Takes back the buckets that are full at this time.
    pub(super) fn forget(&mut self, now: Instant) {
        self.taken.retain(|_, full| *full > now);
        self.of_sites.clear();
        for site in self.taken.keys().filter_map(ClientKey::site) {
            *self.of_sites.entry(site).or_default() += 1;
        }
    }
}
