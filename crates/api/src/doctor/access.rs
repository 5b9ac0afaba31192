//! Who gets in, and what clients are told of how to come back: keys, exposure, links, proxies, webhooks.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use haul_shared::config::vars::{self, Group};
use haul_shared::config::{Fault, Mode, StorageConfig};
use haul_shared::doctor::{self, Check, Finding};
use haul_shared::storage::{DiskStore, SigningKey};
use url::Host;

use super::WITHIN;
use crate::auth::{Exposed, KeyRing, KeysError, exposed};
use crate::config::{ApiConfig, CorsOrigins};

const KEYS: &str = "api.keys";
const SIGNING: &str = "api.signing_key";

/// All that is known of the configuration alone, and of the files that it names.
pub(super) fn checks(config: &ApiConfig, faults: &[Fault]) -> Vec<Check> {
    let is_known = |group| !doctor::is_faulty(faults, group);
    let (config, is_http_known, is_store_known) = (config.clone(), is_known(Group::Http), is_known(Group::Storage));
    let is_service_known = is_known(Group::Service);
    let look = move || {
        let mut findings = Vec::new();
        findings.extend(config.api_keys_file.as_deref().map(keys).unwrap_or_default());
        if is_service_known && is_http_known {
            findings.push(exposure(&config));
            findings.push(links(&config));
            findings.push(proxies(&config));
            findings.push(pages(&config));
            findings.push(webhooks(&config));
        }
        findings.extend(is_store_known.then(|| signing(&config.storage)).flatten());
        findings
    };
    let broken = |_| vec![Finding::fail(KEYS, "the look at it has broken", "set HAUL_API_KEYS_FILE otherwise")];
    vec![Check::new(KEYS, WITHIN, async move { tokio::task::spawn_blocking(look).await.unwrap_or_else(broken) })]
}

/// The operators' own address.
pub(super) fn admin_address(listen: SocketAddr) -> Check {
    doctor::address("api.admin_address", vars::ADMIN_LISTEN.name, haul_shared::config::Process::Api, listen)
}

/// The keys file, read as at a start. Its path is not told.
fn keys(file: &Path) -> Vec<Finding> {
    let mut findings = match KeyRing::open(file) {
        Ok(ring) => vec![counted(ring.count())],
        Err(KeysError::Faulty(faults)) => {
            let remedy = "mend that entry of the keys file; haul-api key new NAME prints one (docs/API.md)";
            let fault = |fault| Finding::fail(KEYS, format_args!("the keys file has a fault: {fault}"), remedy);
            faults.into_iter().map(fault).collect()
        }
        Err(KeysError::Unreadable(error)) => {
            let remedy = "set HAUL_API_KEYS_FILE to a file that this user can read: ls -l \"$HAUL_API_KEYS_FILE\"";
            return vec![Finding::fail(KEYS, format_args!("the keys file cannot be read: {error}"), remedy)];
        }
    };
    let remedy = "chmod 600 \"$HAUL_API_KEYS_FILE\"";
    findings.extend(match exposed(file) {
        Ok(Some(exposed @ Exposed::Writable)) => Some(Finding::fail("api.keys_file", exposed, remedy)),
        Ok(Some(exposed @ Exposed::Readable)) => Some(Finding::warn("api.keys_file", exposed, remedy)),
        Ok(None) | Err(_) => None,
    });
    findings
}

fn counted((keys, admins): (usize, usize)) -> Finding {
    let remedy = "haul-api key new NAME prints a key, and its entry for the keys file";
    match (keys, admins) {
        (0, _) => Finding::warn(KEYS, "the keys file has no key: nobody may call", remedy),
        (_, 0) => Finding::warn(
            KEYS,
            format_args!("{keys} keys, none of them of an admin: nobody is told why programs failed"),
            "set admin = true for a key of yours",
        ),
        _ => Finding::ok(KEYS, format_args!("{keys} keys, {admins} of an admin")),
    }
}

fn is_wide(listen: SocketAddr) -> bool {
    !listen.ip().to_canonical().is_loopback()
}

/// Who may call, and from where.
fn exposure(config: &ApiConfig) -> Finding {
    let name = "api.exposure";
    let has_keys = config.api_keys_file.is_some();
    match config.mode {
        Mode::Public if config.admin_listen.is_none() => Finding::warn(
            name,
            "strangers are served, and metrics and statistics nowhere",
            "set HAUL_ADMIN_LISTEN to an address that only you reach, such as 127.0.0.1:8081",
        ),
        Mode::Public if config.admin_listen.is_some_and(|admin| admin.ip().is_unspecified()) => Finding::warn(
            name,
            "metrics and statistics are on every address of this machine",
            "set HAUL_ADMIN_LISTEN to an address that only you reach, such as 127.0.0.1:8081",
        ),
        Mode::Public => Finding::ok(name, "strangers are served"),
        // at all only with HAUL_OPEN=true, or it is a fault of the configuration
        Mode::Private if is_wide(config.listen) && !has_keys => Finding::warn(
            name,
            format_args!(
                "whoever reaches {} may do everything: HAUL_OPEN says that something else guards it",
                config.listen
            ),
            "see to it that a proxy or a firewall does, or make keys: haul-api key new NAME, and HAUL_API_KEYS_FILE",
        ),
        Mode::Private if has_keys => Finding::ok(name, "those are served who have a key"),
        Mode::Private => Finding::ok(name, "this machine is served, without keys"),
    }
}

/// Whether links lead clients back here.
fn links(config: &ApiConfig) -> Finding {
    let name = "api.public_url";
    let remedy = "set HAUL_PUBLIC_URL to what clients call this API by, such as https://media.example";
    let Some(url) = &config.public_url else {
        if is_wide(config.listen) {
            return Finding::warn(
                name,
                format_args!(
                    "links begin with {}, which leads clients to their own machine or nowhere",
                    config.base_url(config.listen)
                ),
                remedy,
            );
        }
        return Finding::ok(name, format_args!("links begin with {}", config.base_url(config.listen)));
    };
    let is_here = match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => true,
    };
    match (is_here, config.mode, url.scheme()) {
        (true, Mode::Public, _) => {
            Finding::warn(name, format_args!("strangers are sent to {url}, which is their own machine"), remedy)
        }
        (false, Mode::Public, "http") => Finding::warn(
            name,
            format_args!("strangers are sent to {url}: what they fetch can be read on its way"),
            "put a proxy with TLS in front, and https into HAUL_PUBLIC_URL",
        ),
        _ => Finding::ok(name, format_args!("links begin with {url}")),
    }
}

/// Whether clients are told apart behind a proxy.
fn proxies(config: &ApiConfig) -> Finding {
    let name = "api.proxies";
    if let Some(all) = config.trusted_proxies.iter().find(|block| block.prefix_len() == 0) {
        let remedy = "set HAUL_TRUSTED_PROXIES to the addresses of your proxies alone";
        return Finding::fail(name, format_args!("{all} is trusted: every client may claim to be any other"), remedy);
    }
    let is_behind = config.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    if is_behind && config.trusted_proxies.is_empty() {
        return Finding::warn(
            name,
            "HAUL_PUBLIC_URL is https, so that a proxy stands in front, but none is trusted: all clients count as one",
            "set HAUL_TRUSTED_PROXIES to its address, such as 127.0.0.1",
        );
    }
    match config.trusted_proxies.len() {
        0 => Finding::ok(name, "no proxy is trusted: clients are told apart by where they connect from"),
        blocks => Finding::ok(name, format_args!("proxies in {blocks} blocks of addresses are trusted")),
    }
}

/// Whose pages may call.
fn pages(config: &ApiConfig) -> Finding {
    let name = "api.cors";
    match &config.cors {
        CorsOrigins::Any if config.api_keys_file.is_none() && config.mode == Mode::Private => Finding::warn(
            name,
            "every page that somebody opens may order here, without a key",
            "set HAUL_CORS_ORIGINS to your own pages, or make keys: haul-api key new NAME, and HAUL_API_KEYS_FILE",
        ),
        CorsOrigins::Any => Finding::ok(name, "pages from anywhere may call"),
        CorsOrigins::These(origins) if origins.is_empty() => Finding::ok(name, "only its own page may call"),
        CorsOrigins::These(origins) => {
            Finding::ok(name, format_args!("pages of {} other origins may call", origins.len()))
        }
    }
}

fn webhooks(config: &ApiConfig) -> Finding {
    let found = match &config.webhook_secrets {
        Some(_) => "messages are signed with secrets of the service, or of the caller's key",
        None => "only callers with secrets of their own may ask for messages (HAUL_WEBHOOK_SECRETS is not set)",
    };
    Finding::ok("api.webhooks", found)
}

/// What signs links of the disk store. Whether a key that is set is too short is told with the variables.
fn signing(storage: &StorageConfig) -> Option<Finding> {
    let StorageConfig::Disk { data_dir, signing_key, .. } = storage else { return None };
    if signing_key.is_some() {
        return Some(Finding::ok(SIGNING, "links are signed with HAUL_SIGNING_KEY"));
    }
    let file = DiskStore::signing_key(data_dir.as_std_path());
    let remedy = "set HAUL_SIGNING_KEY on every API to what this prints: openssl rand -base64 48";
    Some(match SigningKey::load(&file) {
        Ok(_) if std::fs::metadata(&file).is_ok_and(|about| about.mode() & 0o077 != 0) => Finding::fail(
            SIGNING,
            "others on this machine can read the key that signs links, and make links",
            "chmod 600 signing.key in HAUL_DATA_DIR, or make a new key by removing it: links of before end",
        ),
        Ok(_) => Finding::ok(
            SIGNING,
            "links are signed with the key in HAUL_DATA_DIR; APIs that do not share it need HAUL_SIGNING_KEY",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::ok(
            SIGNING,
            "a key is made in HAUL_DATA_DIR at the first start; APIs that do not share it need HAUL_SIGNING_KEY",
        ),
        Err(error) => {
            Finding::fail(SIGNING, format_args!("the key in HAUL_DATA_DIR cannot be used: {}", error.kind()), remedy)
        }
    })
}

#[cfg(test)]
mod tests {
    use haul_shared::config::Env;
    use haul_shared::doctor::Status;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ApiConfig {
        ApiConfig::from_env(&Env::of_pairs(pairs.iter().copied())).unwrap()
    }

    #[test]
    fn what_is_open_to_whom_is_told() {
        let (wide, open) = (("HAUL_LISTEN", "0.0.0.0:80"), ("HAUL_OPEN", "true"));
        let public = ("HAUL_MODE", "public");
        for (pairs, status) in [
            (vec![], Status::Ok),
            (vec![wide, open], Status::Warn),
            (vec![wide, ("HAUL_API_KEYS_FILE", "keys.toml")], Status::Ok),
            (vec![wide, public], Status::Warn),
            (vec![wide, public, ("HAUL_ADMIN_LISTEN", "0.0.0.0:81")], Status::Warn),
            (vec![wide, public, ("HAUL_ADMIN_LISTEN", "127.0.0.1:81")], Status::Ok),
        ] {
            assert_eq!(exposure(&config(&pairs)).status, status, "{pairs:?}");
        }
    }

    #[test]
    fn links_lead_where_clients_are() {
        let url = |url| ("HAUL_PUBLIC_URL", url);
        let (wide, open, public) = (("HAUL_LISTEN", "0.0.0.0:80"), ("HAUL_OPEN", "true"), ("HAUL_MODE", "public"));
        for (pairs, status) in [
            (vec![], Status::Ok),
            (vec![wide, open], Status::Warn),
            (vec![wide, open, url("http://127.0.0.1")], Status::Ok),
            (vec![public, url("http://127.0.0.1")], Status::Warn),
            (vec![public, url("http://media.example")], Status::Warn),
            (vec![public, url("https://media.example")], Status::Ok),
        ] {
            assert_eq!(links(&config(&pairs)).status, status, "{pairs:?}");
        }
    }

    #[test]
    fn proxies_and_pages_are_trusted_by_name() {
        let https = ("HAUL_PUBLIC_URL", "https://media.example");
        let trusts = |block| ("HAUL_TRUSTED_PROXIES", block);
        let proxies = |pairs: &[(&str, &str)]| proxies(&config(pairs)).status;
        assert_eq!([proxies(&[]), proxies(&[https])], [Status::Ok, Status::Warn]);
        assert_eq!(
            [proxies(&[https, trusts("10.0.0.1")]), proxies(&[trusts("0.0.0.0/0")])],
            [Status::Ok, Status::Fail]
        );
        let any = ("HAUL_CORS_ORIGINS", "*");
        let pages = |pairs: &[(&str, &str)]| pages(&config(pairs)).status;
        assert_eq!([pages(&[]), pages(&[any])], [Status::Ok, Status::Warn]);
        assert_eq!(pages(&[any, ("HAUL_API_KEYS_FILE", "keys.toml")]), Status::Ok);
    }

    #[test]
    fn a_key_for_links_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let data_dir = top.path().to_str().unwrap();
        let told = || signing(&config(&[("HAUL_DATA_DIR", data_dir)]).storage).unwrap();
        assert_eq!(told().status, Status::Ok);
        let file = top.path().join("signing.key");
        for (length, mode, status) in [(32, 0o600, Status::Ok), (32, 0o644, Status::Fail), (31, 0o600, Status::Fail)] {
            std::fs::write(&file, vec![0; length]).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let finding = told();
            assert_eq!(finding.status, status, "{length} {mode:o}");
            assert!(!format!("{finding:?}").contains(data_dir), "{finding:?}");
        }
        assert_eq!(signing(&config(&[("HAUL_SIGNING_KEY", "x")]).storage).unwrap().status, Status::Ok);
    }

    #[test]
    fn a_keys_file_has_a_key_and_an_admin() {
        assert_eq!(
            [(0, 0), (2, 0), (2, 1)].map(|count| counted(count).status),
            [Status::Warn, Status::Warn, Status::Ok]
        );
    }
}
