//! yt-dlp: asked what is at an address, and told to download exactly what we chose.
//!
//! [`command`] makes its command lines, [`progress`], [`info`] and [`failure`] read its words; all without IO. A line is
//! given to a child of a warm extractor (`warm`), in which yt-dlp is loaded already; where there is none, or it breaks,
//! a program is started for it (`plain`). Both keep to `Retry-After` by a plugin of ours. Which yt-dlp may be used at all is
//! looked at first, and again when it was replaced (`known`).
//!
//! Not here: which formats are taken (`select`), what is made of them (`ffmpeg`), whether they are what they claim
//! (`verify`): an exit code of 0 proves nothing, and here only the promised files are counted.

mod about;
mod bounds;
pub mod captions;
pub mod command;
mod cookies;
pub mod counts;
mod extractors;
pub mod failure;
pub mod floor;
pub mod info;
mod known;
mod place;
mod plain;
pub mod progress;
mod session;
mod stamp;
mod value;
mod warm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::source::SourceUrl;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::jar::Jar;
use crate::origin::Patience;
use crate::process::{Pace, Watch};
use crate::sandbox::Sandbox;
use crate::spans;
use counts::{Counts, Way};
use known::Known;
use plain::Reach;
use warm::{Asked, Child, NoAnswer, Pool};

pub use about::About;
pub use bounds::Bounds;
pub use captions::Caption;
pub(crate) use command::LOOK_WITHIN;
pub use command::YtdlpSettings;
pub use extractors::{Extractors, NotExtractors};
pub use info::{Info, Live, SiteFormat, Track};
pub use known::Unusable;
pub use place::Place;
pub use progress::{Event, Report};
pub(crate) use session::SLOWEST;
pub use session::Session;
pub use warm::WarmSettings;

/// Private memory of one process: enough for the JavaScript runtime, and a page that blows up ends in a clean error.
const MEMORY: u64 = 1 << 30;
/// Processor time of a look. An honest one takes a second or two; a page that a pattern gets lost in takes for ever, however
/// often it is looked at.
pub(crate) const LOOK_CPU: Duration = Duration::from_secs(60);
/// For yt-dlp to say something of itself.
const QUICKLY: Duration = Duration::from_secs(30);
/// Where the interpreter of the program is found.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What yt-dlp lacks, added to it. It finds plugins by the names of the folders, below any one.
const PLUGIN: &str = include_str!("plugin.py");
const PLUGIN_FILE: &str = "plugin.py";

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadedFile {
    /// In the folder of the run.
    pub path: PathBuf,
    /// Which format it holds.
    pub format_id: String,
    /// As yt-dlp named it, without a dot.
    pub ext: String,
    /// How long it plays, by its playlist, if that was read.
    pub seconds: Option<f64>,
}

/// Runs yt-dlp. Each call wants a folder of its own, where nothing else is. A clone shares the warm extractors.
#[derive(Debug, Clone)]
pub struct Ytdlp {
    settings: YtdlpSettings,
    patience: Patience,
    counts: Counts,
    sandbox: Sandbox,
    made_of: Arc<[PathBuf]>,
    pool: Option<Arc<Pool>>,
    jar: Option<Jar>,
    known: Known,
}

impl Ytdlp {
    /// A runner of the program that the settings name, by the plain command line.
    #[must_use]
    pub fn new(settings: YtdlpSettings) -> Self {
        let (patience, counts) = (Patience::default(), Counts::default());
        Self {
            settings,
            patience,
            counts,
            sandbox: Sandbox::off(),
            made_of: Arc::default(),
            pool: None,
            jar: None,
            known: Known::default(),
        }
    }

    /// The same, confined. To be called before [`Self::warmed`].
    #[must_use]
    pub fn confined(mut self, sandbox: &Sandbox) -> Self {
        self.sandbox = sandbox.clone();
        let python = warm::interpreter::of(&self.settings.program).ok().flatten();
        let places = python.iter().flat_map(|python| warm::interpreter::places(python));
        let program = std::iter::once(self.settings.program.clone());
        self.made_of = places.chain(program).chain(self.settings.deno.clone()).collect();
        self
    }

    /// The same with warm extractors, which begin to be started. To be called on a runtime.
    #[must_use]
    pub fn warmed(mut self, warm: WarmSettings) -> Self {
        let confined = (&self.sandbox, &self.made_of);
        let pool = (warm.servers > 0).then(|| Pool::start(&self.settings, warm, confined, &self.counts));
        self.pool = pool.map(Arc::new);
        self
    }

    /// The same for one job, with the cookies that it may use. They lie in the folder of each of its runs.
    #[must_use]
    pub fn with(&self, jar: Option<Jar>) -> Self {
        let settings = YtdlpSettings { with_cookies: jar.is_some(), ..self.settings.clone() };
        Self { settings, jar, ..self.clone() }
    }

    /// Waits until the warm extractors have been started, or could not be.
    pub async fn begun(&self) {
        if let Some(pool) = &self.pool {
            pool.begun().await;
        }
    }

    /// Ends the warm extractors, and waits until they are gone.
    pub async fn end(&self) {
        if let Some(pool) = &self.pool {
            pool.end().await;
        }
    }

    /// Which hosts have asked for fewer requests; a clone learns of others.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// The Python that its first line names; `None`: it is no Python program, and no extractor can be kept warm.
    #[must_use]
    pub fn python(&self) -> Option<PathBuf> {
        warm::interpreter::of(&self.settings.program).ok().flatten()
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Asks what is at an address: of a list, its entry with this number (from 1), with all its formats. The session
    /// downloads it; dropped, it lets go of it.
    ///
    /// # Errors
    /// Why there is nothing to download. After a cancel the failure has no meaning.
    pub async fn extract(
        &self,
        url: &SourceUrl,
        entry: u32,
        dir: &Path,
        bounds: &Bounds,
    ) -> Result<(Info, Session), Failure> {
        let line = command::extract(&self.settings, url, (dir, bounds.proxy()?), entry);
        let (found, child) = self.find(url, line, dir, bounds).await?;
        let info = Info::read_entry(&found);
        let info = info.ok_or_else(|| Failure::new(FailureKind::Unavailable, "the list has no such entry"))?;
        Ok((info, Session::new(self.clone(), url.clone(), entry, dir.to_owned(), child)))
    }

    /// Asks what is at an address, for display: a list is listed.
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub async fn metadata(&self, url: &SourceUrl, first: u32, dir: &Path, bounds: &Bounds) -> Result<Info, Failure> {
        let line = command::metadata(&self.settings, url, (dir, bounds.proxy()?), first);
        let (found, child) = self.find(url, line, dir, bounds).await?;
        if let Some(child) = child {
            child.end().await;
        }
        Info::read(&found).ok_or_else(|| Failure::new(FailureKind::ExtractorError, "yt-dlp said nothing that is JSON"))
    }

    /// What yt-dlp says of an address, and the child that said it, if one did.
    async fn find(
        &self,
        url: &SourceUrl,
        line: Vec<OsString>,
        dir: &Path,
        bounds: &Bounds,
    ) -> Result<(Box<RawValue>, Option<Child>), Failure> {
        let began = Instant::now();
        self.check_known(dir, &bounds.cancel).await?;
        self.put_jar(dir).await?;
        let found = self.find_warm(url, &line, dir, bounds).await;
        if !matches!(found, Ok(None)) {
            // who goes on with it has read it
            self.take_jar(dir).await;
        }
        if let Some((found, child)) = found? {
            return Ok((found, Some(child)));
        }
        let asking = async {
            // a warm one may have been lost because it was replaced
            self.check_known(dir, &bounds.cancel).await?;
            self.counts.ran(Way::Plain);
            let bounds = bounds.since(began);
            let (reach, looking) = (bounds.reach()?, Instant::now());
            let asked = self.ask(line, dir, reach, &bounds.watch()).await;
            self.counts.looked(Way::Plain, asked.is_ok(), looking.elapsed());
            asked
        };
        let asked = asking.await;
        self.take_jar(dir).await;
        let found = asked.and_then(|json| {
            let nonsense = |_| Failure::new(FailureKind::ExtractorError, "yt-dlp said nothing that is JSON");
            RawValue::from_string(json).map_err(nonsense)
        });
        Ok((found.map_err(|failure| self.heed(url, failure))?, None))
    }

    /// The same by a warm extractor only; `None`: there is none, or it broke.
    async fn find_warm(
        &self,
        url: &SourceUrl,
        line: &[OsString],
        dir: &Path,
        bounds: &Bounds,
    ) -> Result<Option<(Box<RawValue>, Child)>, Failure> {
        let (Some(pool), Some(argv)) = (&self.pool, argv(line)) else { return Ok(None) };
        let Some(mut child) = pool.child().await else { return Ok(None) };
        let cpu = (bounds.cpu, bounds.cpu_of_all());
        let proxy = bounds.proxy()?;
        let confinement = self.sandbox.confine(dir, &self.made_of, Some(proxy));
        let confinement = confinement.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let guard = (proxy, &bounds.guard);
        let asked = Asked { argv, dir, data: MEMORY, cpu, file_size: bounds.file_size, guard, confinement };
        let looking = Instant::now();
        match child.extract(&asked, &bounds.watch()).instrument(spans::program("yt-dlp")).await {
            Ok(found) => {
                self.counts.looked(Way::Warm, true, looking.elapsed());
                self.counts.ran(Way::Warm);
                Ok(Some((found, child)))
            }
            Err(NoAnswer::Failed(failure)) => {
                self.counts.looked(Way::Warm, false, looking.elapsed());
                self.counts.ran(Way::Warm);
                Err(self.heed(url, failure))
            }
            Err(NoAnswer::Broken) => {
                tracing::warn!("a child of a warm extractor was lost; its job takes the plain command line");
                Ok(None)
            }
        }
    }

    /// Remembers it when a site asks for fewer requests, and counts what has no code yet.
    fn heed(&self, url: &SourceUrl, failure: Failure) -> Failure {
        match failure.kind {
            FailureKind::SiteRateLimited => self.patience.asked(url.host().to_string()),
            FailureKind::ExtractorError => self.counts.met_unknown(),
            _ => {}
        }
        failure
    }
}

/// As JSON has it; `None`: a path that is not UTF-8.
fn argv(line: &[OsString]) -> Option<Vec<String>> {
    line.iter().map(|word| word.to_str().map(str::to_owned)).collect()
}
