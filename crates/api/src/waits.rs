//! Answers that are held until something changes: how many of them one client may have.
//!
//! A client that has as many is answered at once, as if it had not asked to wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use haul_shared::ids::ClientKey;

/// Of one client at once.
const OF_A_CLIENT: usize = 512;

/// Who waits for how much.
#[derive(Debug, Default)]
pub struct Waits(Mutex<HashMap<ClientKey, usize>>);

/// One held answer of somebody's; given back when dropped.
#[derive(Debug)]
pub struct Wait<'a> {
    waits: &'a Waits,
    client: ClientKey,
}

impl Waits {
    /// A place for one more of this client; `None`: it has all of its own.
    pub fn take(&self, client: &ClientKey) -> Option<Wait<'_>> {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waits.entry(client.clone()).or_default();
        if *count >= OF_A_CLIENT {
            return None;
        }
        *count += 1;
        Some(Wait { waits: self, client: client.clone() })
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = self.waits.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waits.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                waits.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_for_so_many_answers_and_keeps_nobody_else_from_waiting() {
        let (waits, one, other) = (Waits::default(), ClientKey::stored("a"), ClientKey::stored("b"));
        let held: Vec<_> = std::iter::from_fn(|| waits.take(&one)).collect();
        assert_eq!(held.len(), OF_A_CLIENT);
        assert!(waits.take(&other).is_some() && waits.take(&one).is_none());
        drop(held);
        drop(waits.take(&one).unwrap());
        assert!(waits.0.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
    }
}
