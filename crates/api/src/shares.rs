//! Shares of what all callers use together: how much of it one client may have at once, and all of them.
//!
//! Answers that are held, events that are followed, pictures that are made, lists that are sorted: whoever asks for many of
//! them is refused, or waits for its own, and keeps nobody else from having some. Nothing is remembered of who has none.
//!
//! Not here: how often a client may ask (`limits`), and how many connections it may have (`haul_shared::serve`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haul_shared::ids::ClientKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Held answers of one client at once.
pub const ANSWERS: usize = 512;

/// Pictures of metadata that one client has made at once, and thumbnails that it waits for. Behind a key, or an address,
/// there may be many people.
pub const PICTURES: usize = 64;
/// Of all clients together, each.
pub const PICTURES_OF_ALL: usize = 256;

/// Lists of one client that are sorted at once.
pub const LISTS: usize = 1;
/// Those of all clients together. The others wait, so that Redis is left to the rest.
pub const LISTS_OF_ALL: usize = 2;

/// Who has how much of one thing.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    of_a_client: usize,
    of_all: Arc<Semaphore>,
    clients: Mutex<HashMap<ClientKey, Own>>,
}

/// What is left of one client's share.
#[derive(Debug)]
struct Own {
    left: Arc<Semaphore>,
    /// Those who have some of it, or wait for it.
    users: usize,
}

/// One of somebody's share; given back when dropped.
#[derive(Debug)]
pub struct Share {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _user: User,
}

/// Who uses a client's share, or waits to; the last one takes its entry along.
#[derive(Debug)]
struct User {
    shares: Shares,
    client: ClientKey,
}

impl Shares {
    /// So many of one client at once, and of all together.
    #[must_use]
    pub fn new(of_a_client: usize, of_all: usize) -> Self {
        let of_all = Arc::new(Semaphore::new(of_all.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { of_a_client, of_all, clients: Mutex::default() }))
    }

    /// One more for this client, now; `None`: it has all of its own, or there is none left.
    #[must_use]
    pub fn take(&self, client: &ClientKey) -> Option<Share> {
        let (user, own) = self.enter(client);
        let own = own.try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.0.of_all).try_acquire_owned().ok()?;
        Some(Share { _of_all: of_all, _own: own, _user: user })
    }

    /// One more for this client, once it is its turn. Of a client as many wait for what all have as it may have at once,
    /// and the others behind these: whoever waits, waits for no more than so many of each other client.
    ///
    /// # Panics
    /// Never: what is counted here is never closed.
    pub async fn turn(&self, client: &ClientKey) -> Share {
        const OPEN: &str = "the semaphore is never closed";
        let (user, own) = self.enter(client);
        let own = own.acquire_owned().await.expect(OPEN);
        let of_all = Arc::clone(&self.0.of_all).acquire_owned().await.expect(OPEN);
        Share { _of_all: of_all, _own: own, _user: user }
    }

    fn enter(&self, client: &ClientKey) -> (User, Arc<Semaphore>) {
        let mut clients = self.clients();
        let own = clients.entry(client.clone()).or_insert_with(|| {
            let left = Arc::new(Semaphore::new(self.0.of_a_client.min(Semaphore::MAX_PERMITS)));
            Own { left, users: 0 }
        });
        own.users += 1;
        (User { shares: self.clone(), client: client.clone() }, Arc::clone(&own.left))
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientKey, Own>> {
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut clients = self.shares.clients();
        if let Some(own) = clients.get_mut(&self.client) {
            own.users -= 1;
            if own.users == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    fn two() -> (ClientKey, ClientKey) {
        (ClientKey::stored("a"), ClientKey::stored("b"))
    }

    fn taken(shares: &Shares, client: &ClientKey) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(client)).collect()
    }

    #[test]
    fn a_client_has_its_share_and_keeps_nobody_else_from_having_one() {
        let (one, other) = two();
        let shares = Shares::new(ANSWERS, usize::MAX);
        let held = taken(&shares, &one);
        assert_eq!(held.len(), ANSWERS);
        assert!(shares.take(&other).is_some() && shares.take(&one).is_none());
        drop(held);
        assert!(shares.take(&one).is_some(), "what is given back may be taken again");
        assert!(shares.clients().is_empty(), "nothing is remembered of who has none");
    }

    #[test]
    fn all_clients_together_have_no_more_than_there_are() {
        let (one, other) = two();
        let shares = Shares::new(2, 3);
        let (of_one, of_other) = (taken(&shares, &one), taken(&shares, &other));
        assert_eq!((of_one.len(), of_other.len()), (2, 1));
        drop(of_other);
        assert!(shares.take(&one).is_none() && shares.take(&other).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_many_times_is_waited_for_once() {
        let (one, other) = two();
        let shares = Shares::new(1, 1);
        let first = shares.turn(&one).await;
        let turn = |client: &ClientKey| {
            let (shares, client) = (shares.clone(), client.clone());
            Box::pin(async move { shares.turn(&client).await })
        };
        let mut further = [turn(&one), turn(&one), turn(&one)];
        let mut others = turn(&other);
        assert!(further.iter_mut().all(|turn| turn.now_or_never().is_none()) && (&mut others).now_or_never().is_none());

        drop(first);
        let others = timeout(Duration::from_secs(20), others).await.expect("only the first was before it");
        assert!(further.iter_mut().all(|turn| turn.now_or_never().is_none()));
        drop(others);
        let [second, rest @ ..] = further;
        drop((timeout(Duration::from_secs(20), second).await.expect("a turn of its own"), rest));
        assert!(shares.clients().is_empty(), "nothing is remembered of who has none, or stopped waiting");
    }
}
