//! The text of the keys file: who may call, under which name, and with which limits.
//!
//! Only the SHA-256 of a key stands in it. Every fault is told at once, and none quotes the file. Not here: when the file is
//! read, and whose key one is ([`super::ring`]).

use std::collections::HashSet;
use std::sync::Arc;

use haul_shared::config::Rate;
use haul_shared::media::Format;
use haul_shared::site::SiteName;
use haul_shared::webhook::Secrets;
use serde::Deserialize;

use super::allowance::Allowance;

/// One caller.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Unique; what the caller's jobs are filed under, so that a key may be replaced without losing them.
    pub name: String,
    pub(super) sha256: [u8; 32],
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
    /// Bytes of results that may become its own on a day; absent: any number.
    pub bytes_per_day: Option<u64>,
    /// What it may order.
    pub allowance: Arc<Allowance>,
    /// The sites whose cookies its jobs may use.
    pub cookies: Vec<SiteName>,
    /// What its webhooks are signed with; absent: those of the service.
    pub webhook_secrets: Option<Secrets>,
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
    bytes_per_day: Option<u64>,
    formats: Option<Vec<String>>,
    sites: Option<Vec<String>>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    webhook_secrets: Vec<String>,
}

fn one() -> u32 {
    1
}

/// Whether a key may have this name; if not, what is wrong.
///
/// # Errors
/// A sentence for people, which does not quote the name.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err("name must have 1 to 64 characters, none of them a control character") }
}

/// Reads the text of a keys file.
///
/// # Errors
/// [`KeysError::Faulty`].
pub(super) fn parse(text: &str) -> Result<Vec<ApiKey>, KeysError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        KeysError::Faulty(vec![format!("line {line}: {}", without_quotes(error.message()))])
    })?;
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for (index, entry) in file.keys.into_iter().enumerate() {
        let mut fault = |what: &str| faults.push(format!("key {} ({:?}): {what}", index + 1, entry.name));
        if let Err(what) = check_name(&entry.name) {
            fault(what);
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
        let texts = Some(&entry.webhook_secrets).filter(|texts| !texts.is_empty());
        let secrets = texts.map(|texts| Secrets::read(texts.iter().map(String::as_str))).transpose();
        let webhook_secrets = secrets.map_err(|what| fault(&format!("webhook_secrets must be {what}"))).ok().flatten();
        if entry.bytes_per_day == Some(0) {
            fault("bytes_per_day must be at least 1; a key that may do nothing is left out");
        }
        let formats = entry.formats.as_deref().map(formats_of);
        if formats == Some(None) {
            fault("formats must be a list of at least one of the formats that a request may name");
        }
        let sites = entry.sites.as_deref().map(|names| sites_of(names).filter(|sites| !sites.is_empty()));
        if sites == Some(None) {
            fault("sites must be a list of at least one name of a site such as video.example");
        }
        let cookies = sites_of(&entry.cookies);
        if cookies.is_none() {
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
        let Entry { name, admin, weight, max_queued, max_running, bytes_per_day, .. } = entry;
        let allowance = Arc::new(Allowance { formats: formats.flatten(), sites: sites.flatten() });
        let cookies = cookies.unwrap_or_default();
        keys.push(ApiKey {
            name,
            sha256,
            admin,
            weight,
            max_queued,
            max_running,
            rates,
            bytes_per_day,
            allowance,
            cookies,
            webhook_secrets,
        });
    }
    if faults.is_empty() { Ok(keys) } else { Err(KeysError::Faulty(faults)) }
}

/// `None` unless there is at least one, and each is known.
fn formats_of(words: &[String]) -> Option<Vec<Format>> {
    let formats: Option<Vec<Format>> = words.iter().map(|word| Format::of_word(word)).collect();
    formats.filter(|formats| !formats.is_empty())
}

/// `None` unless each is one.
fn sites_of(names: &[String]) -> Option<Vec<SiteName>> {
    names.iter().map(|name| name.parse().ok()).collect()
}

/// What is wrong, without what stands there: a value in the wrong place may be a secret, and so may a key that was pasted
/// where a field belongs.
fn without_quotes(message: &str) -> String {
    let named = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let is_a_word = |name: &str| name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match named {
        Some((name, _)) if is_a_word(name) => format!("unknown field `{name}`"),
        Some(_) => "a field that no key has".to_owned(),
        // these are ours
        None if message.starts_with("missing field `") => message.to_owned(),
        None if message.starts_with("invalid type") || message.starts_with("invalid value") => {
            "a value is not of the kind that its field has".to_owned()
        }
        None => "this is not TOML".to_owned(),
    }
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
             rate_downloads = \"60/m\"\nrate_reads = \"off\"\nwebhook_secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n\
             bytes_per_day = 5_000_000_000\nformats = [\"m4a\", \"original\"]\nsites = [\"video.example\"]\n",
            SESAME.to_uppercase()
        );
        let [key] = parse(&text).unwrap().try_into().unwrap();
        assert_eq!((key.name.as_str(), key.admin, key.weight), ("studio", true, 3));
        assert_eq!((key.max_queued, key.max_running), (Some(5), Some(2)));
        assert_eq!(key.rates.downloads, Some(Some("60/m".parse().unwrap())));
        assert_eq!((key.rates.reads, key.rates.metadata), (Some(None), None));
        assert_eq!(key.bytes_per_day, Some(5_000_000_000));
        let formats = Some(vec![Format::M4a, Format::Original]);
        assert_eq!(*key.allowance, Allowance { formats, sites: Some(vec!["video.example".parse().unwrap()]) });
        assert_eq!(key.webhook_secrets, Secrets::read(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).ok());
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
            (key("bytes_per_day = 0"), "key 1 (\"a\"): bytes_per_day must be at least 1"),
            (key("bytes_per_day = -1"), "line 4: "),
            (key("formats = []"), "key 1 (\"a\"): formats must be a list of at least one of the formats"),
            (key("formats = [\"mp4\", \"mp5\"]"), "key 1 (\"a\"): formats must be a list"),
            (key("sites = []"), "key 1 (\"a\"): sites must be a list of at least one name of a site"),
            (key("sites = [\"https://video.example\"]"), "key 1 (\"a\"): sites must be a list"),
            (key("cookies = [\"com\"]"), "key 1 (\"a\"): cookies must be names of sites"),
            (
                key("webhook_secrets = [\"hunter2\"]"),
                "key 1 (\"a\"): webhook_secrets must be 1 to 8 secrets of whsec_ and",
            ),
            (key("") + &key("weight = 0"), "name comes twice; key 2 (\"a\"): weight must be from 1 to 1000; key 2"),
            (
                "[[keys]]\nname = \"\"\nsha256 = \"12\"".to_owned(),
                "control character; key 1 (\"\"): sha256 must be 64 hex",
            ),
        ];
        for (text, expected) in table {
            let told = faults(&text);
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("hunter2") && !told.contains(SESAME), "{told}");
        }
    }
}
