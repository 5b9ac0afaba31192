//! How many messages are on their way at once: of all, to one host, and of one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use haul_shared::ids::ClientKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all.
const ALL: usize = 64;
/// To one host: one that is slow holds an eighth of them.
const TO_A_HOST: usize = ALL / 8;
/// Of one client, who may have hosts of many names.
const OF_A_CLIENT: usize = ALL / 2;

/// Whose messages are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Host(String),
    Client(ClientKey),
}

impl Whose {
    fn most(&self) -> usize {
        match self {
            Self::Host(_) => TO_A_HOST,
            Self::Client(_) => OF_A_CLIENT,
        }
    }
}

/// Who has how many.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    taken: Mutex<HashMap<Whose, usize>>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    whose: [Whose; 2],
    _one: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), taken: Mutex::default() }
    }
}

impl Places {
    /// Waits until one is free, and says how many are.
    pub(super) async fn free(&self) -> usize {
        // ours is never closed
        let _one = self.all.acquire().await;
        self.all.available_permits() + 1
    }

    /// One for a message to this host, of this client; `None`: there is none, or they have theirs.
    pub(super) fn take(self: &Arc<Self>, host: &str, client: &ClientKey) -> Option<Place> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let whose = [Whose::Host(host.to_owned()), Whose::Client(client.clone())];
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if whose.iter().any(|whose| taken.get(whose).is_some_and(|count| *count >= whose.most())) {
            return None;
        }
        whose.iter().for_each(|whose| *taken.entry(whose.clone()).or_default() += 1);
        drop(taken);
        Some(Place { places: Arc::clone(self), whose, _one: one })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for whose in &self.whose {
            if let Some(count) = taken.get_mut(whose) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(whose);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neither_a_host_nor_a_client_has_all_of_them_and_what_is_given_back_is_free() {
        let places = Arc::new(Places::default());
        let client = |name| ClientKey::of_api_key(name);
        let take = |host: &str, name| places.take(host, &client(name));
        let of_a_host: Vec<_> = std::iter::from_fn(|| take("slow.example", "a")).collect();
        assert_eq!(of_a_host.len(), TO_A_HOST);
        assert!(take("slow.example", "b").is_none(), "it is the host that is full");
        let of_a_client: Vec<_> = (0..ALL).map_while(|n| take(&format!("{n}.example"), "a")).collect();
        assert_eq!(of_a_host.len() + of_a_client.len(), OF_A_CLIENT);
        let of_another: Vec<_> = (0..ALL).map_while(|n| take(&format!("{n}.example"), "b")).collect();
        assert_eq!(of_another.len(), ALL - OF_A_CLIENT);
        assert!(take("quick.example", "c").is_none(), "all are taken");
        drop((of_a_host, of_a_client, of_another));
        assert_eq!(places.free().await, ALL);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
    }
}
