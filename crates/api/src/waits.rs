//! Answers that are held until something changes, and streams of what does: how many of them one client may have, and all.
//!
//! Of answers, a client that has as many is answered at once, as if it had not asked to wait; of streams it gets no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use haul_shared::ids::ClientKey;

/// Held answers of one client at once.
pub const ANSWERS: usize = 512;

/// Who holds how much.
#[derive(Debug, Clone)]
pub struct Waits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    of_a_client: usize,
    of_all: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    clients: HashMap<ClientKey, usize>,
}

/// One of somebody's; given back when dropped.
#[derive(Debug)]
pub struct Wait {
    waits: Waits,
    client: ClientKey,
}

impl Waits {
    /// So many of one client at once, and of all together.
    #[must_use]
    pub fn new(of_a_client: usize, of_all: usize) -> Self {
        Self(Arc::new(Inner { of_a_client, of_all, taken: Mutex::default() }))
    }

    /// A place for one more of this client; `None`: it has all of its own, or there is none left.
    #[must_use]
    pub fn take(&self, client: &ClientKey) -> Option<Wait> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.clients.get(client).copied().unwrap_or(0);
        if count >= self.0.of_a_client || taken.all >= self.0.of_all {
            return None;
        }
        taken.clients.insert(client.clone(), count + 1);
        taken.all += 1;
        Some(Wait { waits: self.clone(), client: client.clone() })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut taken = self.waits.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(count) = taken.clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_for_so_many_answers_and_keeps_nobody_else_from_waiting() {
        let (one, other) = (ClientKey::stored("a"), ClientKey::stored("b"));
        let waits = Waits::new(ANSWERS, usize::MAX);
        let held: Vec<_> = std::iter::from_fn(|| waits.take(&one)).collect();
        assert_eq!(held.len(), ANSWERS);
        assert!(waits.take(&other).is_some() && waits.take(&one).is_none());
        drop(held);
        drop(waits.take(&one).unwrap());
        assert!(waits.0.taken.lock().unwrap().clients.is_empty(), "nothing is remembered of who is gone");
    }

    #[test]
    fn all_clients_together_have_no_more_than_there_are() {
        let waits = Waits::new(2, 3);
        let clients = ["a", "a", "a", "b", "b"].map(ClientKey::stored);
        let held: Vec<_> = clients.iter().filter_map(|client| waits.take(client)).collect();
        assert_eq!(held.iter().map(|wait| wait.client.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
        drop(held);
        assert!(waits.take(&clients[0]).is_some());
    }
}
