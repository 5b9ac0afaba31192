//! The parts of the configuration that both processes have, and the values in them that must agree.

use std::time::Duration;

use camino::Utf8PathBuf;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::parse::{self, Parsed};
use super::{Process, Reader, vars};
use crate::egress::EgressPolicy;
use crate::ids::{Region, Shards};

/// How often a worker says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Whom the deployment serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// People who are known.
    Private,
    /// Strangers.
    Public,
}

/// Reads `HAUL_MODE`.
pub fn mode(reader: &mut Reader<'_>) -> Mode {
    reader.value(&vars::MODE, parse::word(&[("private", Mode::Private), ("public", Mode::Public)]))
}

/// Where results live.
#[derive(Debug, Clone)]
pub enum StorageConfig {
    /// In a directory.
    Disk {
        /// Which; absolute.
        data_dir: Utf8PathBuf,
        /// Signs links. The API's alone: a worker has none.
        signing_key: Option<SecretString>,
        /// Whose links are taken as well. The API's alone.
        other_key: Option<SecretString>,
    },
    /// In a bucket of an S3 server.
    S3 {
        /// Its name.
        bucket: String,
        /// The server; `None` is Amazon's.
        endpoint: Option<Url>,
        /// What requests are signed for.
        region: String,
        /// The server as clients reach it, when that differs. The API's alone.
        public_endpoint: Option<Url>,
        /// The bucket is in the path instead of the host name.
        path_style: bool,
        /// Encryption asked of the server.
        sse: Option<Sse>,
    },
}

/// Encryption on the side of the S3 server (`x-amz-server-side-encryption`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// `AES256`: with the server's keys.
    Aes256,
    /// `aws:kms`: with a key of the key service, the account's own when none is named.
    Kms {
        /// Which.
        key: Option<String>,
    },
}

impl StorageConfig {
    /// Reads the section. The variables of the other store are checked as well.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let is_s3 = reader.value(&vars::STORAGE, parse::word(&[("disk", false), ("s3", true)]));
        let api = reader.process() == Process::Api;
        let data_dir = reader.value(&vars::DATA_DIR, parse::path);
        let mut key = |name| if api { reader.optional(name, parse::secret) } else { None };
        let (signing_key, other_key) = (key(&vars::SIGNING_KEY), key(&vars::SIGNING_KEY_OTHER));
        let bucket = reader.optional(&vars::S3_BUCKET, bucket);
        let endpoint = reader.optional(&vars::S3_ENDPOINT, parse::http_url);
        let region = reader.value(&vars::S3_REGION, parse::text);
        let public_endpoint = if api { reader.optional(&vars::S3_PUBLIC_ENDPOINT, parse::http_url) } else { None };
        let path_style = reader.optional(&vars::S3_PATH_STYLE, parse::boolean).unwrap_or(endpoint.is_some());
        let sse = reader.optional(&vars::S3_SSE, sse);
        if !is_s3 {
            return Self::Disk { data_dir, signing_key, other_key };
        }
        if bucket.is_none() {
            reader.fault(&vars::S3_BUCKET, "has to name the bucket when HAUL_STORAGE is s3");
        }
        let bucket = bucket.unwrap_or_default();
        Self::S3 { bucket, endpoint, region, public_endpoint, path_style, sse }
    }
}

fn bucket(text: &str) -> Parsed<String> {
    let fits = (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if fits { Ok(text.to_owned()) } else { Err("a bucket name: 3-63 of a-z, 0-9, - and .".to_owned()) }
}

fn sse(text: &str) -> Parsed<Sse> {
    match text.strip_prefix("aws:kms") {
        Some("") => Ok(Sse::Kms { key: None }),
        Some(key) if key.starts_with(':') && key.len() > 1 => Ok(Sse::Kms { key: Some(key[1..].to_owned()) }),
        None if text == "AES256" => Ok(Sse::Aes256),
        _ => Err("AES256, aws:kms or aws:kms:KEY".to_owned()),
    }
}

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// A link; it is cut to what is left of its result's life.
    pub link: Duration,
    /// A result.
    pub result: Duration,
    /// Fresh metadata.
    pub metadata: Duration,
    /// The record of a job.
    pub job: Duration,
}

impl Lives {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let lives = Self {
            // a presigned S3 link can't be valid for longer than seven days (Signature Version 4)
            link: reader.value(&vars::LINK_TTL, parse::duration(SECOND, WEEK)),
            result: reader.value(&vars::RESULT_TTL, parse::duration(SECOND, YEAR)),
            metadata: reader.value(&vars::METADATA_TTL, parse::duration(SECOND, YEAR)),
            job: reader.value(&vars::JOB_TTL, parse::duration(SECOND, YEAR)),
        };
        if lives.job < lives.result {
            let (job, result) = (parse::spell(lives.job), parse::spell(lives.result));
            reader.fault(&vars::JOB_TTL, format!("{job} is less than HAUL_RESULT_TTL ({result})"));
        }
        lives
    }
}

/// When a job is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the server has it: it is in its append-only file as soon as its `appendfsync` says.
    Aof,
    /// When a replica has it too.
    Replica,
}

/// The rules of the queue; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// How often a job may be begun.
    pub max_attempts: u32,
    /// How long a job belongs to a silent worker.
    pub lease: Duration,
    /// Jobs waiting.
    pub max_queued: Option<u32>,
    /// Jobs of one client waiting.
    pub client_max_queued: Option<u32>,
    /// Jobs of one client running.
    pub client_max_running: Option<u32>,
    /// Parts that the queue is cut into.
    pub shards: Shards,
    /// When a job is accepted.
    pub durability: Durability,
}

impl QueueConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let limit = || parse::or_off(parse::number(1, 100_000_000));
        let queue = Self {
            max_attempts: reader.value(&vars::MAX_ATTEMPTS, parse::number(1, 50)),
            lease: reader.value(&vars::LEASE, parse::duration(SECOND, HOUR)),
            max_queued: reader.value(&vars::QUEUE_LIMIT, limit()),
            client_max_queued: reader.value(&vars::CLIENT_QUEUE_LIMIT, limit()),
            client_max_running: reader.value(&vars::CLIENT_RUNNING_LIMIT, limit()),
            shards: reader.value(&vars::QUEUE_SHARDS, shards),
            durability: reader
                .value(&vars::DURABILITY, parse::word(&[("aof", Durability::Aof), ("replica", Durability::Replica)])),
        };
        if queue.lease < 3 * HEARTBEAT {
            let (lease, heartbeat) = (parse::spell(queue.lease), parse::spell(HEARTBEAT));
            let what = format!("{lease} is less than three times the heartbeat ({heartbeat})");
            reader.fault(&vars::LEASE, what);
        }
        queue
    }
}

fn shards(text: &str) -> Parsed<Shards> {
    parse::number(1, 1024)(text).map(|count| Shards::new(count).expect("it is at least one"))
}

/// Where work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// This process's: the API has one, a worker one or more in order of preference.
    pub own: Vec<Region>,
    /// The deployment's.
    pub all: Vec<Region>,
}

impl Regions {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let region = |text: &str| text.parse::<Region>().map_err(|_| "1-32 of a-z, 0-9 and -".to_owned());
        let own = match reader.process() {
            Process::Api => vec![reader.value(&vars::REGION, region)],
            Process::Worker | Process::Both => reader.value(&vars::REGION, parse::list(region)),
        };
        let all = reader.optional(&vars::REGIONS, parse::list(region)).unwrap_or_else(|| own.clone());
        for region in own.iter().filter(|region| !all.contains(region)) {
            reader.fault(&vars::REGION, format!("{region} is none of HAUL_REGIONS"));
        }
        Self { own, all }
    }
}

/// Reads what may be reached.
pub fn egress_policy(reader: &mut Reader<'_>) -> EgressPolicy {
    EgressPolicy {
        allow: reader.optional(&vars::EGRESS_ALLOW, parse::list(parse::cidr)).unwrap_or_default(),
        ports: reader.value(&vars::EGRESS_PORTS, parse::list(parse::number(1, u16::MAX))),
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What is logged, how and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Directives that `EnvFilter` can read.
    pub filter: String,
    /// `None`: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// Directory of log files; `None`: standard error.
    pub dir: Option<Utf8PathBuf>,
}

impl LogConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let filter = |text: &str| match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("a level (error, warn, info, debug, trace, off) or target=level pairs".to_owned()),
        };
        Self {
            filter: reader.value(&vars::LOG, filter),
            format: reader
                .optional(&vars::LOG_FORMAT, parse::word(&[("text", LogFormat::Text), ("json", LogFormat::Json)])),
            dir: reader.optional(&vars::LOG_DIR, parse::path),
        }
    }
}

/// Where traces go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// Below it a collector takes them, at `v1/traces`.
    pub collector: Url,
    /// The share that is kept of those that begin here, 0 to 1.
    pub ratio: f64,
}

impl TraceConfig {
    /// Reads the section. `None`: there are no traces.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read_for(reader, cfg!(feature = "otel"))
    }

    /// The same, for a program that can send traces or can't.
    fn read_for(reader: &mut Reader<'_>, can_send: bool) -> Option<Self> {
        let ratio = reader.value(&vars::TRACE_RATIO, parse::share);
        let collector = reader.optional(&vars::OTLP_ENDPOINT, parse::http_url)?;
        if !can_send {
            reader.fault(
                &vars::OTLP_ENDPOINT,
                "this program was built without the cargo feature otel, and can send no traces",
            );
        }
        Some(Self { collector, ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Process};
    use super::*;

    #[test]
    fn a_program_that_can_send_no_traces_refuses_to_be_told_where_to() {
        let told = |collector: &str, can_send| {
            let env = Env::of_pairs([("HAUL_OTLP_ENDPOINT", collector), ("HAUL_TRACE_RATIO", "0.25")]);
            let mut reader = Reader::new(&env, Process::Worker);
            let traces = TraceConfig::read_for(&mut reader, can_send);
            reader.finish(traces).map(|traces| traces.map(|it| (it.collector.to_string(), it.ratio)))
        };
        let collector = "http://127.0.0.1:4318";
        assert_eq!(told(collector, true).unwrap(), Some(("http://127.0.0.1:4318/".to_owned(), 0.25)));
        let refusal = told(collector, false).unwrap_err().to_string();
        assert!(refusal.contains("HAUL_OTLP_ENDPOINT: this program was built without"), "{refusal}");
        for can_send in [true, false] {
            assert_eq!(told("", can_send).unwrap(), None);
            assert!(told("http://user:word@collector", can_send).is_err());
        }
    }
}
