//! The keys in force: those of the file, which is followed while the API runs.
//!
//! Each second the file is read. A new text counts once two reads have found the same file with the same text, so that
//! nothing is taken of one that is still being written. One that has a fault is told of in the log and the keys of
//! before stay, so that a typing error locks nobody out and lets nobody in.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use haul_shared::ids::ClientKey;
use haul_shared::webhook::Secrets;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::guarded::exposed;
use super::keys::{ApiKey, KeysError, parse};
use crate::audit::{self, Action};

/// How often the file is read. A change counts after two to three of these: the contract allows 5 s.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Longest file read: some ten thousand keys.
const LONGEST_FILE_BYTES: u64 = 4 << 20;

/// The keys as they are now.
#[derive(Debug)]
pub struct KeyRing {
    file: PathBuf,
    keys: RwLock<Arc<[ApiKey]>>,
    /// Of the text they were read from.
    first: [u8; 32],
}

impl KeyRing {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`KeysError`]: an API does not start without the keys it was told of.
    pub fn open(file: &Path) -> Result<Self, KeysError> {
        let found = read(file).map_err(KeysError::Unreadable)?;
        if let Ok(Some(exposed)) = exposed(file) {
            tracing::warn!("{exposed}");
        }
        Ok(Self { file: file.to_owned(), keys: RwLock::new(found.keys()?.into()), first: found.seen.sha256 })
    }

    /// Whose key this is. Takes the same time for every key that is none: all are compared, to the end.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<ApiKey> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut found = None;
        for candidate in keys.iter() {
            if bool::from(candidate.sha256.ct_eq(&digest)) {
                found = Some(candidate);
            }
        }
        found.cloned()
    }

    /// How many keys there are, and how many of them are an admin's.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        (keys.len(), keys.iter().filter(|key| key.admin).count())
    }

    /// Whose webhooks are signed with secrets of their own, and with which, as they are now.
    #[must_use]
    pub fn webhook_secrets(&self) -> Vec<(ClientKey, Secrets)> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let own = |key: &ApiKey| Some((ClientKey::of_api_key(&key.name), key.webhook_secrets.clone()?));
        keys.iter().filter_map(own).collect()
    }

    /// Follows the file until `shutdown`. Requests that were let in before go on, whatever becomes of their keys.
    pub async fn follow(&self, shutdown: CancellationToken) {
        let mut settling = Settling { settled: self.first, last: None };
        let mut can_be_read = true;
        let mut ticks = tokio::time::interval(READ_AGAIN);
        // two reads right after each other would not tell whether somebody is writing
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let file = self.file.clone();
            let reading = tokio::task::spawn_blocking(move || read(&file));
            let Some(read) = shutdown.run_until_cancelled(reading).await else { return };
            match read.map_err(io::Error::other).flatten() {
                Ok(found) => {
                    can_be_read = true;
                    if settling.is_news(found.seen) {
                        self.take(&found);
                    }
                }
                Err(error) => {
                    settling.last = None;
                    if std::mem::take(&mut can_be_read) {
                        tracing::error!("the keys file cannot be read, and the keys of before stay in force: {error}");
                    }
                }
            }
        }
    }

    fn take(&self, found: &Found) {
        match found.keys() {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the keys file has changed and was read: {} keys", keys.len());
                let keys: Arc<[ApiKey]> = keys.into();
                let before = std::mem::replace(
                    &mut *self.keys.write().unwrap_or_else(PoisonError::into_inner),
                    Arc::clone(&keys),
                );
                for (name, action) in changes(&before, &keys) {
                    audit::keys_file(name, action);
                }
            }
            Err(error) => tracing::error!("the keys of before stay in force: {error}"),
        }
    }
}

/// What was done to which keys, by name.
fn changes<'k>(before: &'k [ApiKey], after: &'k [ApiKey]) -> Vec<(&'k str, Action)> {
    let known: HashMap<&str, &ApiKey> = before.iter().map(|key| (key.name.as_str(), key)).collect();
    let kept: HashSet<&str> = after.iter().map(|key| key.name.as_str()).collect();
    let action = |key: &'k ApiKey| match known.get(key.name.as_str()) {
        None => Some((key.name.as_str(), Action::AddKey)),
        Some(old) => (*old != key).then_some((key.name.as_str(), Action::ChangeKey)),
    };
    let removed = before.iter().map(|key| key.name.as_str()).filter(|name| !kept.contains(name));
    after.iter().filter_map(action).chain(removed.map(|name| (name, Action::RemoveKey))).collect()
}

/// What one read has found.
struct Found {
    seen: Seen,
    text: Vec<u8>,
}

/// Whether the file was written to between two reads. Its times alone do not tell: their clock ticks every few
/// milliseconds, and whoever replaces a file may keep the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    sha256: [u8; 32],
}

/// Tells which texts have settled.
#[derive(Debug)]
struct Settling {
    settled: [u8; 32],
    last: Option<Seen>,
}

impl Settling {
    /// Has a text settled with this read, other than the one before?
    fn is_news(&mut self, seen: Seen) -> bool {
        let has_settled = self.last.replace(seen) == Some(seen);
        has_settled && std::mem::replace(&mut self.settled, seen.sha256) != seen.sha256
    }
}

impl Found {
    fn keys(&self) -> Result<Vec<ApiKey>, KeysError> {
        let faulty = |what: String| KeysError::Faulty(vec![what]);
        if self.text.len() as u64 > LONGEST_FILE_BYTES {
            return Err(faulty(format!("it has more than {LONGEST_FILE_BYTES} bytes")));
        }
        parse(std::str::from_utf8(&self.text).map_err(|_| faulty("it is not UTF-8".to_owned()))?)
    }
}

fn read(file: &Path) -> io::Result<Found> {
    let file = File::open(file)?;
    // before the text: who writes after this makes the next read another one
    let meta = file.metadata()?;
    let mut text = Vec::new();
    file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut text)?;
    let seen = Seen {
        file: (meta.dev(), meta.ino()),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        sha256: Sha256::digest(&text).into(),
    };
    Ok(Found { seen, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_whole_text_only() {
        let sesame = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
        let keys = parse(&format!("[[keys]]\nname = \"a\"\nsha256 = \"{sesame}\"")).unwrap();
        let ring = KeyRing { file: PathBuf::new(), keys: RwLock::new(keys.into()), first: [0; 32] };
        assert_eq!(ring.find("sesame").unwrap().name, "a");
        for wrong in ["", "sesam", "sesame ", "Sesame", sesame] {
            assert!(ring.find(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn keys_that_are_new_gone_or_otherwise_than_before_are_named() {
        let entry = |name: &str, more: &str| format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{name:0>64}\"\n{more}\n");
        let keys = |entries: &[(&str, &str)]| {
            parse(&entries.iter().map(|(name, more)| entry(name, more)).collect::<String>()).unwrap()
        };
        let before = keys(&[("a", ""), ("b", ""), ("c", "")]);
        let after = keys(&[("d", ""), ("c", ""), ("b", "admin = true")]);
        let named = [("d", Action::AddKey), ("b", Action::ChangeKey), ("a", Action::RemoveKey)];
        assert_eq!(changes(&before, &after), named);
        assert_eq!(changes(&after, &after), []);
    }

    #[test]
    fn a_text_counts_once_it_was_found_twice_in_a_file_that_nobody_wrote_to() {
        let seen =
            |modified, text| Seen { file: (1, 1), modified: (0, modified), changed: (0, modified), sha256: [text; 32] };
        let mut settling = Settling { settled: [1; 32], last: None };
        for (modified, text, is_news) in [
            (1, 1, false),
            (2, 2, false), // half written
            (3, 3, false),
            (3, 3, true),
            (3, 3, false),
            (4, 2, false), // somebody writes all the time, and is found at the same place
            (5, 2, false),
            (5, 4, false), // written to twice in one tick of the clock
            (5, 4, true),
            (6, 4, false), // touched
            (6, 4, false),
            (7, 3, false), // the text of before again
            (7, 3, true),
        ] {
            assert_eq!(settling.is_news(seen(modified, text)), is_news, "{modified} {text}");
        }
        let other_file = Seen { file: (1, 2), ..seen(7, 1) };
        assert!(!settling.is_news(seen(7, 1)) && !settling.is_news(other_file) && settling.is_news(other_file));
    }
}
