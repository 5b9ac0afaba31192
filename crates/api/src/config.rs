//! The API's configuration: one struct, whole and checked before a port is opened.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use haul_shared::config::parse::{self, Parsed};
use haul_shared::config::{
    Env, Fault, Faults, Lives, LogConfig, Mode, Process, QueueConfig, Rate, Reader, RedisConfig, Regions,
    StorageConfig, TraceConfig, egress_policy, mode, vars,
};
use haul_shared::egress::EgressPolicy;
use haul_shared::ids::Region;
use haul_shared::webhook::Secrets;
use ipnet::IpNet;
use url::Url;

use crate::compat::mount::Mounts;
use crate::place::Places;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Everything that the API was told at start.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Whom it serves.
    pub mode: Mode,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where metrics and statistics are; in public mode nowhere else.
    pub admin_listen: Option<SocketAddr>,
    /// What links begin with; `None`: see [`ApiConfig::base_url`].
    pub public_url: Option<Url>,
    /// Whose `Forwarded` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The file of API keys; read by `auth`.
    pub api_keys_file: Option<PathBuf>,
    /// What webhooks of clients are signed with that have no secrets of their own.
    pub webhook_secrets: Option<Secrets>,
    /// Whose pages may call.
    pub cors: CorsOrigins,
    /// Where dialects are served.
    pub compat: Mounts,
    /// What one client may ask for.
    pub rates: Rates,
    /// Download requests in one batch.
    pub batch_limit: usize,
    /// Memory for cached metadata, in bytes; 0 is none.
    pub metadata_cache_bytes: u64,
    /// How Redis is reached.
    pub redis: RedisConfig,
    /// Where results live.
    pub storage: StorageConfig,
    /// How long things last.
    pub lives: Lives,
    /// The rules of the queue.
    pub queue: QueueConfig,
    /// Where a job goes that names no region, of a client whose place is not known.
    pub region: Region,
    /// Where jobs may go.
    pub regions: Vec<Region>,
    /// Percent of a site's jobs that a yt-dlp on trial gets; `None`: there are no trials.
    pub trial_share: Option<u8>,
    /// How long jobs wait for a region without a live worker.
    pub region_fallback: Duration,
    /// Which region serves which place.
    pub places: Places,
    /// What a URL may name.
    pub egress: EgressPolicy,
    /// What is logged.
    pub log: LogConfig,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<TraceConfig>,
}

/// Requests per client; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// For metadata.
    pub metadata: Option<Rate>,
    /// For downloads.
    pub downloads: Option<Rate>,
    /// For everything else.
    pub reads: Option<Rate>,
}

/// Whose pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's.
    Any,
    /// These; none by default.
    These(Vec<String>),
}

impl ApiConfig {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All faults at once.
    pub fn from_env(env: &Env) -> Result<Self, Faults> {
        let mut reader = Reader::new(env, Process::Api);
        let config = Self::read(&mut reader);
        reader.finish(config)
    }

    /// As far as it can be read, and all faults: in the place of what is at fault stands its default. For who looks at it, never
    /// for who works by it.
    #[must_use]
    pub fn with_faults(env: &Env) -> (Self, Vec<Fault>) {
        let mut reader = Reader::new(env, Process::Api);
        let config = Self::read(&mut reader);
        (config, reader.into_faults())
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let regions = Regions::read(reader);
        let public_url = reader.optional(&vars::PUBLIC_URL, parse::http_url);
        let config = Self {
            mode: mode(reader),
            listen: reader.value(&vars::LISTEN, parse::socket_address),
            admin_listen: reader.optional(&vars::ADMIN_LISTEN, parse::socket_address),
            compat: Mounts::read(reader, public_url.as_ref()),
            public_url,
            trusted_proxies: reader.optional(&vars::TRUSTED_PROXIES, parse::list(parse::cidr)).unwrap_or_default(),
            api_keys_file: reader.optional(&vars::API_KEYS_FILE, parse::path).map(Into::into),
            webhook_secrets: reader.optional(&vars::WEBHOOK_SECRETS, webhook_secrets),
            cors: reader.optional(&vars::CORS_ORIGINS, cors_origins).unwrap_or(CorsOrigins::These(Vec::new())),
            rates: Rates {
                metadata: reader.value(&vars::RATE_METADATA, parse::or_off(parse::rate)),
                downloads: reader.value(&vars::RATE_DOWNLOADS, parse::or_off(parse::rate)),
                reads: reader.value(&vars::RATE_READS, parse::or_off(parse::rate)),
            },
            batch_limit: reader.value(&vars::BATCH_LIMIT, parse::number(1, 100)),
            metadata_cache_bytes: reader.value(&vars::METADATA_CACHE_SIZE, parse::bytes(0, 1 << 40)),
            redis: RedisConfig::read(reader),
            storage: StorageConfig::read(reader),
            lives: Lives::read(reader),
            queue: QueueConfig::read(reader),
            trial_share: reader.value(&vars::TRIAL_SHARE, parse::or_off(parse::number(0, 100))),
            region_fallback: reader.value(&vars::REGION_FALLBACK, parse::duration(Duration::ZERO, DAY)),
            places: Places::read(reader, &regions),
            region: regions.own[0].clone(),
            regions: regions.all,
            egress: egress_policy(reader),
            log: LogConfig::read(reader),
            traces: TraceConfig::read(reader),
        };
        config.check_exposure(reader);
        config
    }

    /// What links begin with, given the address that was bound.
    #[must_use]
    pub fn base_url(&self, bound: SocketAddr) -> Url {
        self.public_url.clone().unwrap_or_else(|| haul_shared::serve::local_url(bound))
    }

    fn check_exposure(&self, reader: &mut Reader<'_>) {
        let guarded = reader.value(&vars::OPEN, parse::boolean) || self.api_keys_file.is_some();
        if self.mode == Mode::Private && !guarded && !self.listen.ip().to_canonical().is_loopback() {
            let what = format!(
                "{} can be reached from other machines; set HAUL_API_KEYS_FILE, or HAUL_OPEN=true if something else \
                 guards that address",
                self.listen
            );
            reader.fault(&vars::LISTEN, what);
        }
        if self.admin_listen.is_some_and(|admin| admin.port() != 0 && admin == self.listen) {
            reader.fault(&vars::ADMIN_LISTEN, "is the same as HAUL_LISTEN");
        }
    }
}

/// What browsers send as the origin of an extension, before the id that it has there.
const EXTENSIONS: [&str; 3] = ["chrome-extension://", "moz-extension://", "safari-web-extension://"];

fn cors_origins(text: &str) -> Parsed<CorsOrigins> {
    let origin = |text: &str| {
        let id = EXTENSIONS.iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or_default();
        if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Ok(text.to_owned());
        }
        let origin = parse::http_url(text).ok().map(|url| url.origin().ascii_serialization());
        // browsers send the canonical spelling, so nothing else would ever match
        origin.filter(|origin| origin == text).ok_or_else(|| "origins such as https://app.example, or *".to_owned())
    };
    if text == "*" { Ok(CorsOrigins::Any) } else { parse::list(origin)(text).map(CorsOrigins::These) }
}

fn webhook_secrets(text: &str) -> Parsed<Secrets> {
    Secrets::read(text.split(',').map(str::trim)).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(pairs: &[(&str, &str)]) -> String {
        let env = Env::of_pairs(pairs.iter().copied());
        ApiConfig::from_env(&env).map_or_else(|faults| faults.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn an_empty_environment_is_a_private_api_on_loopback() {
        let config = ApiConfig::from_env(&Env::of_pairs::<&str, &str>([])).unwrap();
        assert_eq!(config.mode, Mode::Private);
        assert_eq!(config.base_url(config.listen).as_str(), "http://127.0.0.1:8080/");
        assert_eq!(config.rates.downloads.unwrap().to_string(), "3/m");
        assert_eq!(config.region.as_str(), "default");
        assert_eq!(config.regions, std::slice::from_ref(&config.region));
        assert_eq!(config.egress.ports, [80, 443, 8080, 8443]);
        assert!(matches!(config.storage, StorageConfig::Disk { .. }));
    }

    #[test]
    fn an_address_that_others_reach_wants_keys_or_a_word() {
        let wide = ("HAUL_LISTEN", "0.0.0.0:8080");
        let refusal = faults(&[wide]);
        assert!(refusal.contains("HAUL_LISTEN: 0.0.0.0:8080 can be reached from other machines"), "{refusal}");
        for guard in [("HAUL_OPEN", "true"), ("HAUL_API_KEYS_FILE", "keys.toml"), ("HAUL_MODE", "public")] {
            assert_eq!(faults(&[wide, guard]), "none", "{guard:?}");
        }
        assert_eq!(faults(&[("HAUL_LISTEN", "[::1]:0")]), "none");
    }

    #[test]
    fn values_that_must_agree_are_refused_when_they_do_not() {
        expect_test::expect![[r#"
            the configuration is not usable
              HAUL_REGION: eu is none of HAUL_REGIONS
              HAUL_REDIS_SENTINEL: a cluster has no sentinels: only one of this and HAUL_REDIS_CLUSTER
              HAUL_S3_BUCKET: has to name the bucket when HAUL_STORAGE is s3
              HAUL_JOB_TTL: 1h is less than HAUL_RESULT_TTL (24h)
              HAUL_DURABILITY: expected aof or replica, not "both"
              HAUL_LEASE: 2s is less than three times the heartbeat (1s)"#]]
        .assert_eq(&faults(&[
            ("HAUL_REGION", "eu"),
            ("HAUL_REGIONS", "us,asia"),
            ("HAUL_REDIS_CLUSTER", "true"),
            ("HAUL_REDIS_SENTINEL", "haul"),
            ("HAUL_STORAGE", "s3"),
            ("HAUL_JOB_TTL", "1h"),
            ("HAUL_DURABILITY", "both"),
            ("HAUL_LEASE", "2s"),
        ]));
    }

    #[test]
    fn what_comes_later_is_checked_now() {
        for (name, good, wrong) in [
            ("HAUL_OTLP_ENDPOINT", "http://127.0.0.1:4318", "127.0.0.1:4318"),
            ("HAUL_WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="),
        ] {
            assert_eq!(faults(&[(name, good)]), "none", "{name}={good}");
            assert!(faults(&[(name, wrong)]).contains(name), "{name}={wrong}");
        }
        let refusal = faults(&[("HAUL_WEBHOOK_SECRETS", "hunter2")]);
        assert!(refusal.contains("HAUL_WEBHOOK_SECRETS") && !refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn origins_are_spelled_as_browsers_send_them() {
        let these = |names: &[&str]| Ok(CorsOrigins::These(names.iter().map(ToString::to_string).collect()));
        assert_eq!(cors_origins("*"), Ok(CorsOrigins::Any));
        assert_eq!(cors_origins("https://a.example, http://b:81"), these(&["https://a.example", "http://b:81"]));
        let extension = "moz-extension://0b6a2f5e-5d3c-4c59-a1c5-3c9a7d1e2f40";
        assert_eq!(cors_origins(extension), these(&[extension]));
        for wrong in ["moz-extension://", "moz-extension://a/b", "x-extension://a"] {
            assert!(cors_origins(wrong).is_err(), "{wrong}");
        }
        for wrong in ["a.example", "https://a.example/", "https://A.example", "https://a.example:443", "*,https://a"] {
            assert!(cors_origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dialects_keep_out_of_each_others_way_and_of_ours() {
        let (metube, cobalt, ours) = ("HAUL_COMPAT_METUBE", "HAUL_COMPAT_COBALT", "HAUL_PUBLIC_URL");
        for (variables, fault) in [
            (&[(metube, "/metube"), (cobalt, "/cobalt")] as &[_], None),
            (&[(metube, "/metube"), (cobalt, "cobalt.example"), (ours, "https://dl.example/metube")], None),
            (&[(metube, "a.example:81"), (cobalt, "a.example:82")], None),
            (&[(metube, "dl.example:81"), (ours, "https://dl.example")], None),
            (&[(metube, "/metube/")], Some(metube)),
            (&[(cobalt, "/api/v1")], Some(cobalt)),
            (&[(metube, "/x"), (cobalt, "/x")], Some(cobalt)),
            (&[(metube, "/x"), (cobalt, "/x/y")], Some(cobalt)),
            (&[(metube, "/x/y"), (cobalt, "/x")], Some(cobalt)),
            (&[(metube, "a.example"), (cobalt, "A.example:81")], Some(cobalt)),
            (&[(metube, "dl.example"), (ours, "https://dl.example/haul")], Some(metube)),
        ] {
            let told = faults(variables);
            assert_eq!(told == "none", fault.is_none(), "{variables:?}: {told}");
            assert!(fault.is_none_or(|name| told.contains(&format!("{name}:"))), "{variables:?}: {told}");
        }
    }

    #[test]
    fn links_begin_with_what_clients_can_reach() {
        let mut config = ApiConfig::from_env(&Env::of_pairs::<&str, &str>([])).unwrap();
        let base = |config: &ApiConfig, bound: &str| config.base_url(bound.parse().unwrap()).to_string();
        assert_eq!(base(&config, "0.0.0.0:81"), "http://127.0.0.1:81/");
        assert_eq!(base(&config, "[::]:81"), "http://[::1]:81/");
        config.public_url = Some("https://dl.example/haul".parse().unwrap());
        assert_eq!(base(&config, "0.0.0.0:81"), "https://dl.example/haul");
    }
}
