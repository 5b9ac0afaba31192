//! Shares of what all callers use together: how much of it one client may have at once, and all of them.
//!
//! Answers that are held, events that are followed, pictures that are made, lists that are sorted, ZIPs that are sent: whoever asks for many of
//! them is refused, or waits for its own, and keeps nobody else from having some. A /48 of IPv6, which is cheap to have and has
//! 65,536 clients, has twice as much as one of them. Nothing is remembered of who has none.
//!
//! Not here: how often a client may ask (`limits`), and how many connections it may have (`haul_shared::serve`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haul_shared::ids::ClientKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, Code};

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

/// Playlists that are sent to one client as a ZIP at once. Each may take hours, and reads from the store all the time.
pub const ZIPS: usize = 8;
/// Of all clients together.
pub const ZIPS_OF_ALL: usize = 256;

/// Why there is not one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The client has all of its own, or the /48 that it is a part of has.
    OfClient,
    /// All together have all that there is.
    OfAll,
}

impl Full {
    /// As an answer, in words for each of the two; who has all of its own may come back `later`.
    #[must_use]
    pub fn refusal(self, of_client: &'static str, of_all: &'static str, later: Duration) -> ApiError {
        match self {
            Self::OfClient => ApiError::new(Code::RateLimited).detail(of_client).retry_after(later),
            Self::OfAll => ApiError::new(Code::ServiceUnavailable).detail(of_all),
        }
    }
}

/// Who has how much of one thing.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    of_a_client: usize,
    of_a_site: usize,
    of_all: Arc<Semaphore>,
    /// Clients, and the /48 that some of them are a part of.
    owners: Mutex<HashMap<ClientKey, Own>>,
}

/// What is left of one owner's share.
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
    _of_client: Part,
    _of_site: Option<Part>,
}

/// One of an owner's share.
#[derive(Debug)]
struct Part {
    _permit: OwnedSemaphorePermit,
    _user: User,
}

/// Who uses an owner's share, or waits to; the last one takes its entry along.
#[derive(Debug)]
struct User {
    shares: Shares,
    owner: ClientKey,
}

const OPEN: &str = "the semaphore is never closed";

impl Shares {
    /// So many of one client at once, and of all together, of which a sixth, rounded down, is left by whoever has most.
    #[must_use]
    pub fn new(of_a_client: usize, of_all: usize) -> Self {
        let most = of_all - of_all / 6;
        let of_all = Arc::new(Semaphore::new(of_all.min(Semaphore::MAX_PERMITS)));
        let (of_a_client, of_a_site) = (of_a_client.min(most), of_a_client.saturating_mul(2).min(most));
        Self(Arc::new(Inner { of_a_client, of_a_site, of_all, owners: Mutex::default() }))
    }

    /// One more for this client, now.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&self, client: &ClientKey) -> Result<Share, Full> {
        let part = |owner, most| {
            let (user, left) = self.enter(owner, most);
            let permit = left.try_acquire_owned().map_err(|_| Full::OfClient)?;
            Ok(Part { _permit: permit, _user: user })
        };
        let of_client = part(client.clone(), self.0.of_a_client)?;
        let of_site = client.site().map(|site| part(site, self.0.of_a_site)).transpose()?;
        let of_all = Arc::clone(&self.0.of_all).try_acquire_owned().map_err(|_| Full::OfAll)?;
        Ok(Share { _of_all: of_all, _of_client: of_client, _of_site: of_site })
    }

    /// One more for this client, once it is its turn. Of a client as many wait for what all have as it may have at once,
    /// and the others behind these: whoever waits, waits for no more than so many of each other client.
    ///
    /// # Panics
    /// Never: what is counted here is never closed.
    pub async fn turn(&self, client: &ClientKey) -> Share {
        let part = async |owner, most| {
            let (user, left) = self.enter(owner, most);
            Part { _permit: left.acquire_owned().await.expect(OPEN), _user: user }
        };
        let of_client = part(client.clone(), self.0.of_a_client).await;
        let of_site = match client.site() {
            Some(site) => Some(part(site, self.0.of_a_site).await),
            None => None,
        };
        let of_all = Arc::clone(&self.0.of_all).acquire_owned().await.expect(OPEN);
        Share { _of_all: of_all, _of_client: of_client, _of_site: of_site }
    }

    fn enter(&self, owner: ClientKey, most: usize) -> (User, Arc<Semaphore>) {
        let mut owners = self.owners();
        let own = owners.entry(owner.clone()).or_insert_with(|| {
            let left = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
            Own { left, users: 0 }
        });
        own.users += 1;
        (User { shares: self.clone(), owner }, Arc::clone(&own.left))
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<ClientKey, Own>> {
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut owners = self.shares.owners();
        if let Some(own) = owners.get_mut(&self.owner) {
            own.users -= 1;
            if own.users == 0 {
                owners.remove(&self.owner);
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
        std::iter::from_fn(|| shares.take(client).ok()).collect()
    }

    #[test]
    fn a_client_has_its_share_and_keeps_nobody_else_from_having_one() {
        let (one, other) = two();
        let shares = Shares::new(ANSWERS, usize::MAX);
        let held = taken(&shares, &one);
        assert_eq!(held.len(), ANSWERS);
        assert!(shares.take(&other).is_ok());
        assert_eq!(shares.take(&one).unwrap_err(), Full::OfClient);
        drop(held);
        assert!(shares.take(&one).is_ok(), "what is given back may be taken again");
        assert!(shares.owners().is_empty(), "nothing is remembered of who has none");
    }

    #[test]
    fn all_clients_together_have_no_more_than_there_are() {
        let (one, other) = two();
        let shares = Shares::new(2, 3);
        let (of_one, of_other) = (taken(&shares, &one), taken(&shares, &other));
        assert_eq!((of_one.len(), of_other.len()), (2, 1));
        assert_eq!(shares.take(&other).unwrap_err(), Full::OfAll);
        drop(of_other);
        assert_eq!(shares.take(&one).unwrap_err(), Full::OfClient);
        assert!(shares.take(&other).is_ok());
    }

    /// Of a process that may have few connections, one key had all; and of any, whoever had some 24 networks of IPv6.
    #[test]
    fn no_client_and_no_network_of_many_has_all_that_there_are() {
        let taken = |shares: &Shares, address: &dyn Fn(u16) -> String| -> Vec<Share> {
            let client = |at| ClientKey::of_address(address(at).parse().unwrap());
            (0..100).map_while(|at| shares.take(&client(at)).ok()).collect()
        };
        let of_one = |_| "2001:db8:1:1::1".to_owned();
        let of_a_site = |at| format!("2001:db8:1:{at:x}::1");
        let of_many = |at| format!("2001:db9:{at:x}:1::1");
        for (of_a_client, of_all, most, most_of_a_site) in [(10, 60, 10, 20), (30, 60, 30, 50), (100, 60, 50, 50)] {
            let shares = Shares::new(of_a_client, of_all);
            assert_eq!(taken(&shares, &of_one).len(), most);
            let site = taken(&shares, &of_a_site);
            assert_eq!(site.len(), most_of_a_site);
            assert_eq!(taken(&shares, &of_many).len(), of_all - most_of_a_site, "others have what is left");
            drop(site);
            assert!(shares.owners().is_empty(), "nothing is remembered of who has none");
        }
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
        assert!(shares.owners().is_empty(), "nothing is remembered of who has none, or stopped waiting");
    }
}
