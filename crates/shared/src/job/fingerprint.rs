//! When two orders are the same order: single flight and reuse go by this.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::JobSpec;
use crate::ids::{Region, Shard, Shards};

/// 128 bits of a SHA-256 over everything that changes the bytes or the place of a result. Safe inside a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Raised when the same order would no longer give the same bytes.
    const VERSION: u8 = 1;

    /// Of an order in a region. The jar whose cookies it may use is a part of the order: what was fetched with them is
    /// never shared with who may not use them.
    #[must_use]
    pub fn of(spec: &JobSpec, region: &Region) -> Self {
        let order = serde_json::to_vec(spec).expect("a spec has only plain fields");
        let mut hash = Sha256::new();
        hash.update([Self::VERSION]);
        hash.update(region.as_str());
        hash.update([0]);
        hash.update(order);
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }

    /// The shard of its job.
    #[must_use]
    pub fn shard(&self, shards: Shards) -> Shard {
        shards.of(u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}
