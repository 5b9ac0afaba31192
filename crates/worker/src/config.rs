//! The worker's configuration: one struct, whole and checked before a job is taken.

use std::net::SocketAddr;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use haul_shared::config::parse;
use haul_shared::config::{
    Env, Fault, Faults, Lives, LogConfig, Mode, Process, QueueConfig, Reader, RedisConfig, Regions, StorageConfig,
    TraceConfig, egress_policy, mode, vars, vars::Var,
};
use haul_shared::egress::EgressPolicy;
use haul_shared::ids::{EgressName, Region};
use haul_shared::job::RetryPolicy;
use haul_shared::store::Outlet;
use url::Url;

use crate::guard::Upstream;
use crate::sandbox::{Tier, Wanted};
use crate::ytdlp::{Extractors, NotExtractors};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const PIB: u64 = 1 << 50;

/// Everything that a worker was told at start.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Whom the deployment serves.
    pub mode: Mode,
    /// Where health and metrics are.
    pub listen: SocketAddr,
    /// Jobs at once.
    pub slots: usize,
    /// How long running jobs may go on after the first signal.
    pub shutdown_grace: Duration,
    /// Directory of scratch; absolute.
    pub work_dir: Utf8PathBuf,
    /// The programs.
    pub programs: Programs,
    /// How they are confined.
    pub sandbox: Wanted,
    /// Warm yt-dlp servers; 0: the plain command line.
    pub warm_extractors: usize,
    /// Directory of the jars of cookies.
    pub cookies_dir: Option<Utf8PathBuf>,
    /// How they download.
    pub download: DownloadConfig,
    /// What a job may take.
    pub limits: JobLimits,
    /// How long to wait before the next attempt. No variable sets it; tests do.
    pub retry: RetryPolicy,
    /// How Redis is reached.
    pub redis: RedisConfig,
    /// Where results live.
    pub storage: StorageConfig,
    /// Between two looks for what no record leads to; `None`: nobody looks.
    pub orphan_sweep: Option<Duration>,
    /// How long things last.
    pub lives: Lives,
    /// The rules of the queue.
    pub queue: QueueConfig,
    /// Whose jobs it takes, in order of preference.
    pub regions: Vec<Region>,
    /// Where marked segments are asked for.
    pub sponsorblock_api: Url,
    /// What may be reached.
    pub egress: EgressPolicy,
    /// The operator's own proxy.
    pub proxy: Option<Upstream>,
    /// How it gets there.
    pub outlet: Outlet,
    /// What is logged.
    pub log: LogConfig,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<TraceConfig>,
}

/// Absolute paths of the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the programs")]
pub struct Programs {
    pub ytdlp: Utf8PathBuf,
    pub ffmpeg: Utf8PathBuf,
    pub ffprobe: Utf8PathBuf,
}

/// How yt-dlp downloads; each is one of its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadConfig {
    /// `--concurrent-fragments`.
    pub concurrent_fragments: u32,
    /// `--http-chunk-size`, in bytes; `None`: extractors that need it set it.
    pub http_chunk_bytes: Option<u64>,
    /// `--buffer-size`, in bytes; `None`: yt-dlp's own.
    pub buffer_bytes: Option<u64>,
    /// `--retries`.
    pub retries: u32,
    /// `--fragment-retries`.
    pub fragment_retries: u32,
    /// `--limit-rate`, in bytes per second.
    pub rate_limit_bytes: Option<u64>,
    /// `--use-extractors`.
    pub extractors: Extractors,
}

/// What one job may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLimits {
    /// Wall clock of one attempt.
    pub timeout: Duration,
    /// Without a byte and without output.
    pub silence: Duration,
    /// Bytes downloaded.
    pub max_file_bytes: u64,
    /// Playing time.
    pub max_duration: Option<Duration>,
    /// Free bytes below which no job is taken.
    pub min_free_disk_bytes: u64,
}

impl WorkerConfig {
    /// Reads and checks everything; looks whether the programs are there.
    ///
    /// # Errors
    /// All faults at once.
    pub fn from_env(env: &Env) -> Result<Self, Faults> {
        let mut reader = Reader::new(env, Process::Worker);
        let config = Self::read(&mut reader);
        reader.finish(config)
    }

    /// As far as it can be read, and all faults: in the place of what is at fault stands its default, and no path in that of a
    /// program. For who looks at it, never for who works by it.
    #[must_use]
    pub fn with_faults(env: &Env) -> (Self, Vec<Fault>) {
        let mut reader = Reader::new(env, Process::Worker);
        let config = Self::read(&mut reader);
        (config, reader.into_faults())
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let mode = mode(reader);
        Self {
            mode,
            sandbox: sandbox(reader, mode),
            listen: reader.value(&vars::WORKER_LISTEN, parse::socket_address),
            slots: reader.value(&vars::SLOTS, parse::number(1, 256)),
            shutdown_grace: reader.value(&vars::SHUTDOWN_GRACE, parse::duration(Duration::ZERO, HOUR)),
            work_dir: work_dir(reader),
            programs: Programs {
                ytdlp: program(reader, &vars::YTDLP),
                ffmpeg: program(reader, &vars::FFMPEG),
                ffprobe: program(reader, &vars::FFPROBE),
            },
            sponsorblock_api: reader.value(&vars::SPONSORBLOCK_API, parse::http_url),
            warm_extractors: reader.value(&vars::WARM_EXTRACTORS, parse::number(0, 64)),
            cookies_dir: cookies_dir(reader),
            download: DownloadConfig::read(reader),
            limits: JobLimits::read(reader),
            retry: RetryPolicy::default(),
            redis: RedisConfig::read(reader),
            storage: StorageConfig::read(reader),
            orphan_sweep: reader.value(&vars::ORPHAN_SWEEP, parse::or_off(parse::duration(SECOND, 30 * DAY))),
            lives: Lives::read(reader),
            queue: QueueConfig::read(reader),
            regions: Regions::read(reader).own,
            egress: egress_policy(reader),
            proxy: reader.optional(&vars::PROXY, Upstream::read),
            outlet: outlet(reader),
            log: LogConfig::read(reader),
            traces: TraceConfig::read(reader),
        }
    }
}

fn work_dir(reader: &mut Reader<'_>) -> Utf8PathBuf {
    let own = reader.optional(&vars::WORK_DIR, parse::path);
    own.unwrap_or_else(|| reader.value(&vars::DATA_DIR, parse::path).join("work"))
}

fn cookies_dir(reader: &mut Reader<'_>) -> Option<Utf8PathBuf> {
    let dir = reader.optional(&vars::COOKIES_DIR, parse::path)?;
    if !dir.is_dir() {
        reader.fault(&vars::COOKIES_DIR, "is no directory that can be reached");
    }
    Some(dir)
}

/// Whether what is wanted can be had is seen at the start.
fn sandbox(reader: &mut Reader<'_>, mode: Mode) -> Wanted {
    let words = [
        ("auto", Wanted::Auto),
        ("a", Wanted::Exactly(Tier::A)),
        ("b", Wanted::Exactly(Tier::B)),
        ("off", Wanted::Exactly(Tier::Off)),
    ];
    let wanted = reader.value(&vars::SANDBOX, parse::word(&words));
    if mode == Mode::Public && wanted == Wanted::Exactly(Tier::Off) {
        reader.fault(&vars::SANDBOX, "off is for HAUL_MODE=private only");
    }
    wanted
}

fn outlet(reader: &mut Reader<'_>) -> Outlet {
    let name = reader.optional(&vars::EGRESS_NAME, |text| {
        text.parse().map_err(|_| "1 to 64 letters, digits, dots, underscores and hyphens".to_owned())
    });
    let running_limit = reader.value(&vars::SITE_RUNNING_LIMIT, parse::or_off(parse::number(1, u32::MAX)));
    Outlet { name: name.unwrap_or_else(|| EgressName::of_host(&host())), running_limit }
}

/// What this machine calls itself.
#[must_use]
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A path is taken as it is; a bare name is looked for on `PATH`.
fn program(reader: &mut Reader<'_>, var: &'static Var) -> Utf8PathBuf {
    let text = reader.value(var, parse::text);
    let found = if text.contains('/') {
        parse::path(&text).ok().filter(|path| is_executable(path))
    } else {
        let places = reader.search_path().filter_map(|dir| Utf8PathBuf::from_path_buf(dir).ok());
        let mut candidates = places.filter(|dir| dir.is_absolute()).map(|dir| dir.join(&text));
        candidates.find(|path| is_executable(path))
    };
    found.unwrap_or_else(|| {
        reader.fault(var, format!("there is no program {text:?}; name its path"));
        Utf8PathBuf::new()
    })
}

fn is_executable(path: &Utf8Path) -> bool {
    path.is_file() && rustix::fs::access(path.as_std_path(), rustix::fs::Access::EXEC_OK).is_ok()
}

impl DownloadConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        let size = || parse::or_off(parse::bytes(1024, PIB));
        Self {
            concurrent_fragments: reader.value(&vars::CONCURRENT_FRAGMENTS, parse::number(1, 64)),
            http_chunk_bytes: reader.optional(&vars::HTTP_CHUNK_SIZE, size()).flatten(),
            buffer_bytes: reader.optional(&vars::BUFFER_SIZE, size()).flatten(),
            retries: reader.value(&vars::RETRIES, parse::number(0, 100)),
            fragment_retries: reader.value(&vars::FRAGMENT_RETRIES, parse::number(0, 100)),
            rate_limit_bytes: reader.optional(&vars::RATE_LIMIT, size()).flatten(),
            extractors: reader
                .value(&vars::EXTRACTORS, |text| text.parse().map_err(|error: NotExtractors| error.to_string())),
        }
    }
}

impl JobLimits {
    fn read(reader: &mut Reader<'_>) -> Self {
        let playing_time = parse::or_off(parse::duration(SECOND, 365 * DAY));
        Self {
            timeout: reader.value(&vars::JOB_TIMEOUT, parse::duration(SECOND, 7 * DAY)),
            silence: reader.value(&vars::SILENCE_TIMEOUT, parse::duration(SECOND, DAY)),
            max_file_bytes: reader.value(&vars::MAX_FILE_SIZE, parse::bytes(1, PIB)),
            max_duration: reader.optional(&vars::MAX_DURATION, playing_time).flatten(),
            min_free_disk_bytes: reader.value(&vars::MIN_FREE_DISK, parse::bytes(0, PIB)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs that every machine has stand for the real ones: only their presence is looked at.
    fn read(pairs: &[(&str, &str)]) -> Result<WorkerConfig, String> {
        let programs = [("PATH", "/usr/bin:/bin"), ("HAUL_YTDLP", "sh"), ("HAUL_FFMPEG", "sh"), ("HAUL_FFPROBE", "sh")];
        let env = Env::of_pairs(programs.iter().chain(pairs).copied());
        WorkerConfig::from_env(&env).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = read(&[("HAUL_DATA_DIR", "/srv/haul")]).unwrap();
        assert_eq!((config.slots, config.shutdown_grace), (2, Duration::from_secs(30)));
        assert_eq!(config.work_dir, "/srv/haul/work");
        assert_eq!(config.programs.ytdlp.file_name(), Some("sh"));
        assert_eq!((config.limits.max_file_bytes, config.warm_extractors), (10 << 30, 1));
        assert_eq!((config.limits.max_duration, config.download.rate_limit_bytes), (None, None));
        assert_eq!((config.download.concurrent_fragments, config.download.retries), (8, 5));
        assert_eq!(config.download.extractors, Extractors::default());
    }

    #[test]
    fn a_program_that_is_not_there_is_told_at_start() {
        for wrong in ["no-such-program", "/etc/passwd", "/usr/bin"] {
            let refusal = read(&[("HAUL_FFMPEG", wrong)]).unwrap_err();
            assert!(refusal.contains(&format!("HAUL_FFMPEG: there is no program {wrong:?}")), "{refusal}");
        }
        assert_eq!(read(&[("HAUL_FFMPEG", "/bin/sh")]).unwrap().programs.ffmpeg, "/bin/sh");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_and_no_secret_is_told() {
        let refusal = read(&[("HAUL_COOKIES_DIR", "/no/such"), ("HAUL_PROXY", "socks5://u:hunter2@p")]).unwrap_err();
        expect_test::expect![[r#"
            the configuration is not usable
              HAUL_COOKIES_DIR: is no directory that can be reached
              HAUL_PROXY: expected http://[user:password@]host:port"#]]
        .assert_eq(&refusal);
        read(&[("HAUL_SANDBOX", "off"), ("HAUL_WARM_EXTRACTORS", "0")]).unwrap();
        let refusal = read(&[("HAUL_SANDBOX", "off"), ("HAUL_MODE", "public")]).unwrap_err();
        assert!(refusal.contains("HAUL_SANDBOX: off is for HAUL_MODE=private only"), "{refusal}");
    }

    #[test]
    fn a_worker_serves_its_regions_in_order() {
        let config = read(&[("HAUL_REGION", "eu, us"), ("HAUL_REGIONS", "us,eu,asia")]).unwrap();
        assert_eq!(config.regions.iter().map(Region::as_str).collect::<Vec<_>>(), ["eu", "us"]);
    }

    #[test]
    fn workers_that_share_an_address_share_its_name() {
        let outlet = read(&[]).unwrap().outlet;
        assert_eq!(outlet, Outlet { name: EgressName::of_host(&host()), running_limit: Some(32) });
        let outlet = read(&[("HAUL_EGRESS_NAME", "nat-1.eu"), ("HAUL_SITE_RUNNING_LIMIT", "off")]).unwrap().outlet;
        assert_eq!((outlet.name.to_string().as_str(), outlet.running_limit), ("nat-1.eu", None));
        for (name, wrong) in [("HAUL_EGRESS_NAME", "a b"), ("HAUL_EGRESS_NAME", "é"), ("HAUL_SITE_RUNNING_LIMIT", "0")]
        {
            assert!(read(&[(name, wrong)]).unwrap_err().contains(name), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_worked_on_without_a_slot() {
        for wrong in ["0", "257", "-1", "+2", "two"] {
            assert!(read(&[("HAUL_SLOTS", wrong)]).unwrap_err().contains("HAUL_SLOTS"), "{wrong}");
        }
    }
}
