//! Every environment variable of Haul, once: its name, its default, who reads it, and what it means.
//!
//! `--help`, `.env.example` and `docs/CONFIGURATION.md` are made from this table ([`super::render`]). Not here:
//! how a text becomes a value (`super::parse`), which values must agree (`super::sections` and the processes' own).

use Group::{Egress, Http, Limits, Lives, Logs, Network, Programs, Queue, Redis, Regions, Service, Storage};
use Process::{Api, Both, Worker};

/// Who reads a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the processes")]
pub enum Process {
    Both,
    Api,
    Worker,
}

impl Process {
    /// Does a process of this kind read what `of` reads?
    #[must_use]
    pub fn reads(self, of: Self) -> bool {
        of == Both || self == of
    }
}

/// Where a variable stands in the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`title` says what each is")]
pub enum Group {
    Service,
    Redis,
    Storage,
    Lives,
    Queue,
    Regions,
    Egress,
    Http,
    Programs,
    Network,
    Limits,
    Logs,
}

impl Group {
    /// All groups, in the order of the documents.
    pub const ALL: [Self; 12] =
        [Service, Redis, Storage, Lives, Queue, Regions, Egress, Http, Programs, Network, Limits, Logs];

    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Service => "Service",
            Redis => "Redis",
            Storage => "Storage",
            Lives => "Lives",
            Queue => "Queue",
            Regions => "Regions",
            Egress => "What may be reached",
            Http => "HTTP API",
            Programs => "Programs and places of a worker",
            Network => "How a worker downloads",
            Limits => "Limits of a job",
            Logs => "Logs and traces",
        }
    }
}

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var {
    /// Its name in the environment.
    pub name: &'static str,
    /// The text that stands for it when it is not set.
    pub default: Option<&'static str>,
    /// Who reads it.
    pub process: Process,
    /// Its value is never shown.
    pub secret: bool,
    /// Where it stands in the documents.
    pub group: Group,
    /// What it means, in Markdown.
    pub doc: &'static str,
}

impl Var {
    const fn new(name: &'static str, group: Group, process: Process, doc: &'static str) -> Self {
        Self { name, default: None, process, secret: false, group, doc }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

macro_rules! table {
    ($($name:ident = $text:literal, $group:ident, $process:ident, $doc:literal $(, . $method:ident($($value:expr)?))*;)*) => {
        $(#[doc = concat!("`", $text, "`: ", $doc)]
        pub const $name: Var = Var::new($text, $group, $process, $doc)$(.$method($($value)?))*;)*

        /// All variables.
        pub const ALL: &[Var] = &[$($name),*];
    };
}

table! {
    MODE = "HAUL_MODE", Service, Both,
        "`private` or `public`. `private` refuses a `HAUL_LISTEN` that is not loopback without `HAUL_API_KEYS_FILE`, unless `HAUL_OPEN=true`. `public` serves strangers: no listing without a key, metrics and statistics on `HAUL_ADMIN_LISTEN` only.",
        .or("private");
    OPEN = "HAUL_OPEN", Service, Api,
        "`true` says that something else guards the address of `HAUL_LISTEN`.",
        .or("false");
    LISTEN = "HAUL_LISTEN", Service, Api,
        "Address and port of the API.",
        .or("127.0.0.1:8080");
    ADMIN_LISTEN = "HAUL_ADMIN_LISTEN", Service, Api,
        "Address and port of `/metrics` and `/api/v1/stats`; in public mode they are nowhere else.";
    WORKER_LISTEN = "HAUL_WORKER_LISTEN", Service, Worker,
        "Address and port of the worker's health and metrics.",
        .or("127.0.0.1:9091");
    SHUTDOWN_GRACE = "HAUL_SHUTDOWN_GRACE", Service, Worker,
        "How long running jobs may go on after the first SIGTERM or SIGINT; then they are handed back unharmed.",
        .or("30s");

    REDIS_URL = "HAUL_REDIS_URL", Redis, Both,
        "The Redis that holds the queue, as `redis://` or `rediss://`, with user, password and database number. It must not evict keys. With `HAUL_REDIS_SENTINEL` the sentinels, with `HAUL_REDIS_CLUSTER` some nodes, separated by commas; user and password, if any, are then those of the servers and stand in each URL.",
        .or("redis://127.0.0.1:6379"), .secret();
    CACHE_REDIS_URL = "HAUL_CACHE_REDIS_URL", Redis, Both,
        "The Redis that holds the metadata cache. Without it: that of `HAUL_REDIS_URL`. One URL names one server; several are reached as those of `HAUL_REDIS_URL`.",
        .secret();
    REDIS_CLUSTER = "HAUL_REDIS_CLUSTER", Redis, Both,
        "`true`: `HAUL_REDIS_URL` names nodes of a Redis Cluster, separated by commas. The others are learned from them.",
        .or("false");
    REDIS_SENTINEL = "HAUL_REDIS_SENTINEL", Redis, Both,
        "Name of the master that the sentinels at `HAUL_REDIS_URL` watch over. Without it there are none.";
    REDIS_SENTINEL_PASSWORD = "HAUL_REDIS_SENTINEL_PASSWORD", Redis, Both,
        "Password that the sentinels themselves ask for.",
        .secret();
    REDIS_POOL_SIZE = "HAUL_REDIS_POOL_SIZE", Redis, Both,
        "Connections to Redis per process, 1 to 1024; those that only wait or listen are not counted.",
        .or("16");

    STORAGE = "HAUL_STORAGE", Storage, Both,
        "Where results live: `disk` or `s3`.",
        .or("disk");
    DATA_DIR = "HAUL_DATA_DIR", Storage, Both,
        "Directory of the disk store, and of a worker's scratch unless `HAUL_WORK_DIR` is set.",
        .or("./data");
    SIGNING_KEY = "HAUL_SIGNING_KEY", Storage, Api,
        "Signs the links of the disk store; the same on every API. At least 32 random characters are advised. Without it one is made at the first start and kept as `signing.key` in the data directory.",
        .secret();
    SIGNING_KEY_OTHER = "HAUL_SIGNING_KEY_OTHER", Storage, Api,
        "A second key whose links open files too, though none is signed with it: for as long as `HAUL_SIGNING_KEY` is changed, first the next one, then the last one.",
        .secret();
    S3_BUCKET = "HAUL_S3_BUCKET", Storage, Both,
        "The bucket. Needed with `HAUL_STORAGE=s3`. Credentials come from the standard AWS variables and chain. Give it a \
         lifecycle rule that aborts incomplete multipart uploads after a day: a worker that is killed leaves their parts. It belongs to one deployment, as `HAUL_DATA_DIR` does.";
    S3_ENDPOINT = "HAUL_S3_ENDPOINT", Storage, Both,
        "URL of the S3 server, for other servers than Amazon's.";
    S3_REGION = "HAUL_S3_REGION", Storage, Both,
        "Region that requests are signed for (`auto` for R2).",
        .or("us-east-1");
    S3_PUBLIC_ENDPOINT = "HAUL_S3_PUBLIC_ENDPOINT", Storage, Api,
        "URL of the S3 server as clients reach it; links are signed for it. Without it: `HAUL_S3_ENDPOINT`.";
    S3_PATH_STYLE = "HAUL_S3_PATH_STYLE", Storage, Both,
        "`true`: the bucket is in the path, not in the host name. Without it: `true` when `HAUL_S3_ENDPOINT` is set.";
    S3_SSE = "HAUL_S3_SSE", Storage, Both,
        "Encryption that the S3 server shall apply: `AES256`, `aws:kms`, or `aws:kms:KEY`. Without it: what the bucket says.";

    ORPHAN_SWEEP = "HAUL_ORPHAN_SWEEP", Storage, Worker,
        "How often one of the workers looks for objects that no record leads to, and are older than `HAUL_JOB_TTL` and `HAUL_RESULT_TTL` together, and removes them; or `off`. A directory or bucket belongs to one deployment. In a bucket it takes the rights to list objects and incomplete uploads.",
        .or("6h");

    LINK_TTL = "HAUL_LINK_TTL", Lives, Both,
        "How long a link works, at most 7 days; never longer than its result is kept.",
        .or("1h");
    RESULT_TTL = "HAUL_RESULT_TTL", Lives, Both,
        "How long a result is kept; also the most that a request's `expires_in` may ask for.",
        .or("24h");
    METADATA_TTL = "HAUL_METADATA_TTL", Lives, Both,
        "How long metadata in the cache is fresh.",
        .or("1h");
    JOB_TTL = "HAUL_JOB_TTL", Lives, Both,
        "How long the record of a job is kept, and how long an unfinished one may last. At least `HAUL_RESULT_TTL`.",
        .or("48h");
    METADATA_CACHE_SIZE = "HAUL_METADATA_CACHE_SIZE", Lives, Api,
        "Memory for cached metadata in the API process; `0` switches this level off.",
        .or("32MiB");

    MAX_ATTEMPTS = "HAUL_MAX_ATTEMPTS", Queue, Both,
        "How often a job may be begun, 1 to 50.",
        .or("4");
    LEASE = "HAUL_LEASE", Queue, Both,
        "How long a job belongs to a worker that is silent. At least three times the heartbeat, which is 1 s.",
        .or("30s");
    QUEUE_LIMIT = "HAUL_QUEUE_LIMIT", Queue, Both,
        "How many jobs may wait, or `off`.",
        .or("10000");
    CLIENT_QUEUE_LIMIT = "HAUL_CLIENT_QUEUE_LIMIT", Queue, Both,
        "How many jobs of one client may wait, or `off`.",
        .or("100");
    CLIENT_RUNNING_LIMIT = "HAUL_CLIENT_RUNNING_LIMIT", Queue, Both,
        "How many jobs of one client may run at once, or `off`.",
        .or("4");
    TRIAL_SHARE = "HAUL_TRIAL_SHARE", Queue, Api,
        "Percent of the jobs of each site that workers with a newer yt-dlp than the others take at most while it is on trial beside them, 0 to 100; or `off`: everybody takes everything. See [OPERATIONS.md](OPERATIONS.md#rolling-yt-dlp).",
        .or("10");
    QUEUE_SHARDS = "HAUL_QUEUE_SHARDS", Queue, Both,
        "Parts that the queue is cut into, 1 to 1024, each on one node of a Redis Cluster; the same for every process and for ever. `HAUL_QUEUE_LIMIT` and the limits of a client count per shard.",
        .or("1");
    DURABILITY = "HAUL_DURABILITY", Queue, Both,
        "`aof`: an accepted job is in Redis' append-only file as soon as its `appendfsync` says: with `everysec` within a second or two, with `always` at once. `replica`: it has also reached a replica, else it is refused with 503.",
        .or("aof");

    REGION = "HAUL_REGION", Regions, Both,
        "The API's region; the worker's regions in order of preference, separated by commas. 1-32 of `a-z`, `0-9`, `-`.",
        .or("default");
    REGIONS = "HAUL_REGIONS", Regions, Both,
        "All regions of the deployment, separated by commas. Without it: those of `HAUL_REGION`.";
    REGION_FALLBACK = "HAUL_REGION_FALLBACK", Regions, Api,
        "How long a job waits for a region without a live worker before it goes to the first of `HAUL_REGIONS` that has one.",
        .or("5m");
    REGION_HEADER = "HAUL_REGION_HEADER", Regions, Api,
        "Header in which a proxy of `HAUL_TRUSTED_PROXIES` names the client's place, such as `CF-IPCountry`; from anybody else it is not believed. What it says is looked up in `HAUL_REGION_MAP`, then among the names of the regions, in any case.";
    REGION_MAP = "HAUL_REGION_MAP", Regions, Api,
        "Which region serves which place: `place=region` pairs such as `DE=eu`, separated by commas; each region one of `HAUL_REGIONS`.";

    EGRESS_ALLOW = "HAUL_EGRESS_ALLOW", Egress, Both,
        "CIDR blocks that may be reached although they are not public, on every port and by literal address or special name; by webhooks too. For tests and private media servers.";
    EGRESS_PORTS = "HAUL_EGRESS_PORTS", Egress, Both,
        "Ports that may be reached in the rest of the world.",
        .or("80,443,8080,8443");

    PUBLIC_URL = "HAUL_PUBLIC_URL", Http, Api,
        "URL of the API as clients reach it; links begin with it. Without it: `http://` and the address of `HAUL_LISTEN`.";
    TRUSTED_PROXIES = "HAUL_TRUSTED_PROXIES", Http, Api,
        "CIDR blocks of the proxies whose `Forwarded`, `X-Forwarded-For` and `HAUL_REGION_HEADER` are believed.";
    API_KEYS_FILE = "HAUL_API_KEYS_FILE", Http, Api,
        "TOML file of API keys, read again when it changes. With it every `/api` route wants a key; `haul-api key new NAME` makes one.";
    WEBHOOK_SECRETS = "HAUL_WEBHOOK_SECRETS", Http, Api,
        "Secrets that webhooks are signed with, each `whsec_` and base64, separated by commas, the newest first. Keys of different people should have their own in the keys file.",
        .secret();
    CORS_ORIGINS = "HAUL_CORS_ORIGINS", Http, Api,
        "Origins whose pages may call the API, separated by commas, or `*`. None by default.";
    RATE_METADATA = "HAUL_RATE_METADATA", Http, Api,
        "Metadata requests per client, such as `10/m`; also `/s` and `/h`, or `off`.",
        .or("10/m");
    RATE_DOWNLOADS = "HAUL_RATE_DOWNLOADS", Http, Api,
        "Download requests per client, or `off`.",
        .or("3/m");
    RATE_READS = "HAUL_RATE_READS", Http, Api,
        "Other requests per client, or `off`.",
        .or("60/s");
    BATCH_LIMIT = "HAUL_BATCH_LIMIT", Http, Api,
        "Download requests in one batch, 1 to 100.",
        .or("10");
    COMPAT_METUBE = "HAUL_COMPAT_METUBE", Http, Api,
        "Where MeTube's dialect is served, for clients that exist: a path such as `/metube`, or a host name, with its port if that is not 80 or 443. Nowhere by default. See [COMPATIBILITY.md](COMPATIBILITY.md).";
    COMPAT_COBALT = "HAUL_COMPAT_COBALT", Http, Api,
        "Where cobalt's dialect is served, as `HAUL_COMPAT_METUBE` is given. cobalt's own page needs a host name. Nowhere by default. See [COMPATIBILITY.md](COMPATIBILITY.md#cobalt).";

    SLOTS = "HAUL_SLOTS", Programs, Worker,
        "Jobs that a worker runs at once, 1 to 256.",
        .or("2");
    WORK_DIR = "HAUL_WORK_DIR", Programs, Worker,
        "Directory of the worker's scratch. Without it: `work` below `HAUL_DATA_DIR`.";
    YTDLP = "HAUL_YTDLP", Programs, Worker,
        "The yt-dlp program: a path, or a name on `PATH`.",
        .or("yt-dlp");
    FFMPEG = "HAUL_FFMPEG", Programs, Worker,
        "The ffmpeg program: a path, or a name on `PATH`.",
        .or("ffmpeg");
    FFPROBE = "HAUL_FFPROBE", Programs, Worker,
        "The ffprobe program: a path, or a name on `PATH`.",
        .or("ffprobe");
    EXTRACTORS = "HAUL_EXTRACTORS", Programs, Worker,
        "Extractors of yt-dlp that may be used: `all`, or their names (`yt-dlp --list-extractors`) separated by commas and read from the left. A name stands for its family (`vimeo`: also `vimeo:album`), with `.*` for all that begin so; `-` takes it away, and a list that begins so takes from all (`-generic`). What only others know is `unsupported_url`, also where another extractor leads to it. A name that yt-dlp does not know is refused at start.",
        .or("all");
    WARM_EXTRACTORS = "HAUL_WARM_EXTRACTORS", Programs, Worker,
        "Warm yt-dlp servers, 0 to 64: each has yt-dlp loaded and forks a child for every job. `0`, or a `HAUL_YTDLP` that is no Python script of yt-dlp's: the plain command line.",
        .or("1");
    SANDBOX = "HAUL_SANDBOX", Programs, Worker,
        "How the programs are confined: `a` (namespaces, Landlock, seccomp), `b` (Landlock, seccomp), or no start; `auto`: the best that works here, which `HAUL_MODE=public` needs to be one of them; `off`: not at all, in private mode only.",
        .or("auto");

    CONCURRENT_FRAGMENTS = "HAUL_CONCURRENT_FRAGMENTS", Network, Worker,
        "Fragments of one stream fetched at once, 1 to 64 (`--concurrent-fragments`); half as many for an hour from a host that answered 429.",
        .or("8");
    HTTP_CHUNK_SIZE = "HAUL_HTTP_CHUNK_SIZE", Network, Worker,
        "Size of the ranges in which a file is asked for (`--http-chunk-size`). Without it: the extractors that need it set it.";
    BUFFER_SIZE = "HAUL_BUFFER_SIZE", Network, Worker,
        "Size of the download buffer (`--buffer-size`). Without it: yt-dlp's own.";
    RETRIES = "HAUL_RETRIES", Network, Worker,
        "Retries of a request within an attempt, 0 to 100 (`--retries`).",
        .or("5");
    FRAGMENT_RETRIES = "HAUL_FRAGMENT_RETRIES", Network, Worker,
        "Retries of a fragment within an attempt, 0 to 100 (`--fragment-retries`).",
        .or("5");
    RATE_LIMIT = "HAUL_RATE_LIMIT", Network, Worker,
        "Bytes per second that one download may take (`--limit-rate`); fragments are then fetched one at a time. None by default.";
    SITE_RUNNING_LIMIT = "HAUL_SITE_RUNNING_LIMIT", Network, Worker,
        "How many jobs of one site (host and port) may run at once through one `HAUL_EGRESS_NAME`, or `off`; the same for all workers that share it. Further ones wait, those of other sites do not.",
        .or("32");
    EGRESS_NAME = "HAUL_EGRESS_NAME", Network, Worker,
        "Name of the address that sites see this worker under, 1-64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `-`. Workers behind one address have to share it: what a site allows, or that it turns us away, counts for all of them. Without it: the name of the host.";
    COOKIES_DIR = "HAUL_COOKIES_DIR", Network, Worker,
        "Directory of cookies: of each site a file `<site>.txt` in the form of Netscape, such as `video.example.txt` for video.example and what is below it. Keys name the sites whose cookies they may use; in private mode without keys every job may. Read when a job begins, never written; mode 0600.";
    PROXY = "HAUL_PROXY", Network, Worker,
        "Proxy through which sites are reached, `http://[user:password@]host:port`. It is asked by `CONNECT` for addresses that were resolved and judged here, on all ports of `HAUL_EGRESS_PORTS`.",
        .secret();

    JOB_TIMEOUT = "HAUL_JOB_TIMEOUT", Limits, Worker,
        "Wall clock of one attempt.",
        .or("1h");
    SILENCE_TIMEOUT = "HAUL_SILENCE_TIMEOUT", Limits, Worker,
        "How long a download may show no byte and no output.",
        .or("2m");
    MAX_FILE_SIZE = "HAUL_MAX_FILE_SIZE", Limits, Worker,
        "Bytes that one job may download.",
        .or("10GiB");
    MAX_DURATION = "HAUL_MAX_DURATION", Limits, Worker,
        "Playing time that a medium may have. None by default.";
    SPONSORBLOCK_API = "HAUL_SPONSORBLOCK_API", Limits, Worker,
        "Where segments that people have marked are asked for, when a request wants them.",
        .or("https://sponsor.ajay.app");
    MIN_FREE_DISK = "HAUL_MIN_FREE_DISK", Limits, Worker,
        "Free space that a download has to find, beside what those under way still need; below it a worker takes none.",
        .or("2GiB");

    LOG = "HAUL_LOG", Logs, Both,
        "What is logged: a level, or `target=level` pairs (`info,haul_worker=debug`). What holders of keys change is logged at every level, unless `audit=off` is among them.",
        .or("info");
    LOG_FORMAT = "HAUL_LOG_FORMAT", Logs, Both,
        "`text` or `json`. Without it: `text` on a terminal, else `json`.";
    LOG_DIR = "HAUL_LOG_DIR", Logs, Both,
        "Directory for log files of 10 MiB, of which 5 are kept; the lines of the audit are also in files of their own. Without it: standard error.";
    OTLP_ENDPOINT = "HAUL_OTLP_ENDPOINT", Logs, Both,
        "Base URL of an OTLP collector, such as `http://collector:4318`: traces are sent below it, to `/v1/traces`, as protobuf over HTTP. Only by programs that were built with the cargo feature `otel`, as those in the images are; others refuse to start with it.";
    TRACE_RATIO = "HAUL_TRACE_RATIO", Logs, Both,
        "Share of the traces that is kept, from 0 to 1. It is decided where a trace begins, with a request, for all that comes of it.",
        .or("1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_and_begins_with_haul() {
        for (index, var) in ALL.iter().enumerate() {
            assert!(var.name.starts_with("HAUL_"), "{}", var.name);
            assert!(ALL[..index].iter().all(|other| other.name != var.name), "{} stands twice", var.name);
        }
    }
}
