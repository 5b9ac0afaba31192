//! The cases: what is downloaded, from where, how many at once, and by whom.

use super::Plan;
use super::media::Kind;

/// Bytes of the small file, in megabytes.
const SMALL_MB: f64 = 1.0;

/// Jobs of the cases that have many, and how many of them run at once.
const MANY: usize = 20;
const SLOTS: usize = 4;

/// Something to download.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// As `--cases` has it.
    pub name: &'static str,
    /// How the medium is offered.
    pub kind: Kind,
    /// Megabytes of each medium.
    pub megabytes: f64,
    /// Is the site, and the store, slow?
    pub throttled: bool,
    /// Downloads that are asked for at the same time.
    pub jobs: usize,
    /// Downloads that may run at once.
    pub slots: usize,
    /// Who takes part, in turns.
    pub rivals: Vec<Rival>,
}

impl Case {
    /// Its name with the site's.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}, {}", self.name, if self.throttled { "throttled" } else { "plain" })
    }
}

/// Who downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// `curl` to a file; of HLS and DASH all segments, eight at once. It stops there: the floor of fetching.
    Curl,
    /// `curl` of a file into the store in one request: the floor of storing.
    Upload,
    /// `ffmpeg -c copy` to a file. It stops there.
    Ffmpeg,
    /// `yt-dlp -N`, a cold process, then boto3.
    Ytdlp(u8),
    /// `aria2c -x16`, then boto3.
    Aria2c,
    /// Warmed workers of RQ that fork for each job.
    RqFork,
    /// Warmed workers of RQ that don't.
    RqSimple,
    /// Children that a warm server forks; no store.
    Metube,
    /// Haul, from POST to link.
    Haul,
    /// Haul, asked for a fragmented file.
    HaulStreaming,
}

impl Rival {
    /// All of them, as `--rivals` has them.
    const ALL: [Self; 12] = [
        Self::Curl,
        Self::Upload,
        Self::Ffmpeg,
        Self::Ytdlp(4),
        Self::Ytdlp(8),
        Self::Ytdlp(16),
        Self::Aria2c,
        Self::RqFork,
        Self::RqSimple,
        Self::Metube,
        Self::Haul,
        Self::HaulStreaming,
    ];

    /// As `--rivals` and the table have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Upload => "upload",
            Self::Ffmpeg => "ffmpeg",
            Self::Ytdlp(4) => "yt-dlp-4",
            Self::Ytdlp(8) => "yt-dlp-8",
            Self::Ytdlp(_) => "yt-dlp-16",
            Self::Aria2c => "aria2c",
            Self::RqFork => "rq-fork",
            Self::RqSimple => "rq-simple",
            Self::Metube => "metube-like",
            Self::Haul => "haul",
            Self::HaulStreaming => "haul-streaming",
        }
    }

    /// What the table says beside the name.
    #[must_use]
    pub const fn remark(self) -> &'static str {
        match self {
            Self::Curl | Self::Ffmpeg => "fetch only",
            Self::Upload => "store only",
            Self::Metube => "without a store",
            Self::Ytdlp(_) | Self::Aria2c => "then upload",
            Self::RqFork | Self::RqSimple | Self::Haul | Self::HaulStreaming => "",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When nobody is called so.
    pub fn named(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|rival| rival.name() == name).ok_or_else(|| format!("one of: {names}"))
    }
}

/// What is measured of metadata, as `--cases` has it.
pub const METADATA: &str = "metadata";

/// The cases of a plan, in the order in which they are measured.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Case> {
    use Rival::{Aria2c, Curl, Ffmpeg, Haul, HaulStreaming, Metube, RqFork, RqSimple, Upload, Ytdlp};
    let streams = vec![Curl, Ffmpeg, Ytdlp(4), Ytdlp(8), Ytdlp(16), RqFork, RqSimple, Metube, HaulStreaming, Haul];
    // -N does nothing for a single file, and ffmpeg reads it over one connection as well: 4 stands for all
    let file = vec![Curl, Upload, Ffmpeg, Ytdlp(4), Aria2c, RqFork, RqSimple, Metube, Haul];
    let small = vec![Ytdlp(4), RqFork, RqSimple, Metube, Haul];
    let many = vec![RqFork, RqSimple, Metube, Haul];
    let large = |name, kind, megabytes, rivals: &Vec<Rival>| {
        let case = |throttled| Case { name, kind, megabytes, throttled, jobs: 1, slots: SLOTS, rivals: rivals.clone() };
        [case(true), case(false)]
    };
    let mut cases: Vec<Case> = Vec::new();
    cases.extend(large("progressive", Kind::Progressive, plan.size(), &file));
    cases.extend(large("hls-fmp4", Kind::HlsFmp4, plan.stream_size(), &streams));
    cases.extend(large("hls-ts", Kind::HlsTs, plan.stream_size(), &streams));
    cases.extend(large("dash", Kind::Dash, plan.stream_size(), &streams));
    let quick = |name, kind, megabytes, jobs, rivals| Case {
        name,
        kind,
        megabytes,
        throttled: false,
        jobs,
        slots: SLOTS,
        rivals,
    };
    cases.push(quick("small", Kind::Progressive, SMALL_MB, 1, small));
    cases.push(quick("small20", Kind::Progressive, SMALL_MB, MANY, many.clone()));
    cases.push(quick("hls20", Kind::HlsTs, plan.many_size(), MANY, many));
    for case in &mut cases {
        case.rivals.retain(|rival| plan.rivals.is_empty() || plan.rivals.contains(rival));
        // one worker of RQ does one job at a time: nobody starts more of them than can have work
        case.slots = case.slots.min(case.jobs);
    }
    cases.retain(|case| plan.takes(case.name) && !case.rivals.is_empty());
    cases
}
