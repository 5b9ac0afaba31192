//! The keys file: who may call, under which name, and with which limits.
//!
//! Only the SHA-256 of a key is kept. The file is looked at again every two seconds; one that has a fault is told of
//! in the log and the keys of before stay, so that a typing error locks nobody out and lets nobody in.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use haul_shared::config::Rate;
use haul_shared::site::SiteName;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

/// How often the file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Longest file read: some ten thousand keys.
const LONGEST_FILE_BYTES: u64 = 4 << 20;

/// One caller.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Unique; what the caller's jobs are filed under, so that a key may be replaced without losing them.
    pub name: String,
    sha256: [u8; 32],
    /// Sees what programs said of a failure.
    pub admin: bool,
    /// Share of the fair queue, from 1.
    pub weight: u32,
    /// Jobs waiting; absent: the default.
    pub max_queued: Option<u32>,
    /// Jobs running; absent: the default.
    pub max_running: Option<u32>,
    /// Limits of its own; absent: the defaults.
    pub rates: OwnRates,
    /// The sites whose cookies its jobs may use.
    pub cookies: Vec<SiteName>,
}

/// Rates that a key has instead of the defaults: `Some(None)` is no limit at all.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OwnRates {
    /// For metadata.
    pub metadata: Option<Option<Rate>>,
    /// For downloads.
    pub downloads: Option<Option<Rate>>,
    /// For everything else.
    pub reads: Option<Option<Rate>>,
}

/// Why a keys file is not usable. Never quotes the file: it may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It can't be read.
    #[error("the keys file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It has faults; each in one line.
    #[error("the keys file has faults: {}", .0.join("; "))]
    Faulty(Vec<String>),
}

/// The keys as they are now.
#[derive(Debug)]
pub struct KeyRing {
    file: PathBuf,
    keys: RwLock<Arc<[ApiKey]>>,
}

impl KeyRing {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`KeysError`]: an API does not start without the keys it was told of.
    pub fn open(file: &Path) -> Result<Self, KeysError> {
        let keys = load(file)?;
        Ok(Self { file: file.to_owned(), keys: RwLock::new(keys.into()) })
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

    /// Follows the file until `shutdown`.
    pub async fn follow(&self, shutdown: CancellationToken) {
        let mut seen = fingerprint(&self.file).await;
        let mut ticks = tokio::time::interval(LOOK_AGAIN);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = fingerprint(&self.file).await;
            if now == seen {
                continue;
            }
            seen = now;
            let file = self.file.clone();
            let loaded = tokio::task::spawn_blocking(move || load(&file)).await;
            match loaded {
                Ok(Ok(keys)) => {
                    tracing::info!(keys = keys.len(), "the keys file has changed and was read: {} keys", keys.len());
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
                }
                Ok(Err(error)) => tracing::error!("the keys of before stay in force: {error}"),
                Err(error) => tracing::error!("reading the keys file ended badly: {error}"),
            }
        }
    }
}

/// What changes when the file does; `None` while it is not there.
async fn fingerprint(file: &Path) -> Option<(SystemTime, u64)> {
    let meta = tokio::fs::metadata(file).await.ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn load(file: &Path) -> Result<Vec<ApiKey>, KeysError> {
    let size = std::fs::metadata(file).map_err(KeysError::Unreadable)?.len();
    if size > LONGEST_FILE_BYTES {
        return Err(KeysError::Faulty(vec![format!("it has more than {LONGEST_FILE_BYTES} bytes")]));
    }
    parse(&std::fs::read_to_string(file).map_err(KeysError::Unreadable)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    #[serde(default)]
    admin: bool,
    #[serde(default = "one")]
    weight: u32,
    max_queued: Option<u32>,
    max_running: Option<u32>,
    rate_downloads: Option<String>,
    rate_metadata: Option<String>,
    rate_reads: Option<String>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    webhook_secrets: Vec<String>,
}

fn one() -> u32 {
    1
}

/// Reads the text of a keys file.
fn parse(text: &str) -> Result<Vec<ApiKey>, KeysError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        KeysError::Faulty(vec![format!("line {line}: {}", error.message())])
    })?;
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for (index, entry) in file.keys.into_iter().enumerate() {
        let mut fault = |what: &str| faults.push(format!("key {} ({:?}): {what}", index + 1, entry.name));
        if !(1..=64).contains(&entry.name.chars().count()) || entry.name.chars().any(char::is_control) {
            fault("name must have 1 to 64 characters");
        }
        if !names.insert(entry.name.clone()) {
            fault("the name comes twice");
        }
        if !(1..=1000).contains(&entry.weight) {
            fault("weight must be from 1 to 1000");
        }
        if entry.max_queued == Some(0) || entry.max_running == Some(0) {
            fault("max_queued and max_running must be at least 1; a key that may do nothing is left out");
        }
        if !entry.webhook_secrets.iter().all(|secret| secret.starts_with("whsec_")) {
            fault("a webhook secret begins with whsec_");
        }
        let cookies: Result<Vec<SiteName>, _> = entry.cookies.iter().map(|name| name.parse()).collect();
        if cookies.is_err() {
            fault("cookies must be names of sites such as video.example");
        }
        let mut rate = |text: &Option<String>, what: &str| {
            let rate = text.as_deref().map(|text| if text == "off" { Ok(None) } else { text.parse().map(Some) });
            rate.and_then(|rate| rate.map_err(|_| fault(&format!("{what} must be a rate such as 60/m, or off"))).ok())
        };
        let rates = OwnRates {
            metadata: rate(&entry.rate_metadata, "rate_metadata"),
            downloads: rate(&entry.rate_downloads, "rate_downloads"),
            reads: rate(&entry.rate_reads, "rate_reads"),
        };
        let Some(sha256) = digest_of_hex(&entry.sha256) else {
            fault("sha256 must be 64 hex digits");
            continue;
        };
        if !digests.insert(sha256) {
            fault("the key is that of another name");
        }
        let Entry { name, admin, weight, max_queued, max_running, .. } = entry;
        let cookies = cookies.unwrap_or_default();
        keys.push(ApiKey { name, sha256, admin, weight, max_queued, max_running, rates, cookies });
    }
    if faults.is_empty() { Ok(keys) } else { Err(KeysError::Faulty(faults)) }
}

fn digest_of_hex(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `sesame`.
    const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";

    fn faults(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_key_has_all_that_the_contract_names() {
        let text = format!(
            "[[keys]]\nname = \"studio\"\nsha256 = \"{}\"\nadmin = true\nweight = 3\nmax_queued = 5\nmax_running = 2\n\
             rate_downloads = \"60/m\"\nrate_reads = \"off\"\nwebhook_secrets = [\"whsec_aGVsbG8=\"]\n",
            SESAME.to_uppercase()
        );
        let [key] = parse(&text).unwrap().try_into().unwrap();
        assert_eq!((key.name.as_str(), key.admin, key.weight), ("studio", true, 3));
        assert_eq!((key.max_queued, key.max_running), (Some(5), Some(2)));
        assert_eq!(key.rates.downloads, Some(Some("60/m".parse().unwrap())));
        assert_eq!((key.rates.reads, key.rates.metadata), (Some(None), None));
    }

    #[test]
    fn every_fault_is_told_and_nothing_of_the_file_quoted() {
        let key = |more: &str| format!("[[keys]]\nname = \"a\"\nsha256 = \"{SESAME}\"\n{more}\n");
        let table = [
            ("[[keys]]\nname = \"a\"".to_owned(), "line 1: missing field `sha256`"),
            (key("wieght = 3"), "line 4: unknown field `wieght`"),
            (key("weight = 0"), "key 1 (\"a\"): weight must be from 1 to 1000"),
            (key("max_running = 0"), "key 1 (\"a\"): max_queued and max_running must be at least 1"),
            (key("rate_reads = \"fast\""), "key 1 (\"a\"): rate_reads must be a rate such as 60/m, or off"),
            (key("webhook_secrets = [\"hunter2\"]"), "key 1 (\"a\"): a webhook secret begins with whsec_"),
            (key("") + &key("weight = 0"), "name comes twice; key 2 (\"a\"): weight must be from 1 to 1000; key 2"),
            ("[[keys]]\nname = \"\"\nsha256 = \"12\"".to_owned(), "64 characters; key 1 (\"\"): sha256 must be 64 hex"),
        ];
        for (text, expected) in table {
            let told = faults(&text);
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("hunter2") && !told.contains(SESAME), "{told}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_whole_text_only() {
        let keys = parse(&format!("[[keys]]\nname = \"a\"\nsha256 = \"{SESAME}\"")).unwrap();
        let ring = KeyRing { file: PathBuf::new(), keys: RwLock::new(keys.into()) };
        assert_eq!(ring.find("sesame").unwrap().name, "a");
        for wrong in ["", "sesam", "sesame ", "Sesame", SESAME] {
            assert!(ring.find(wrong).is_none(), "{wrong}");
        }
    }
}
