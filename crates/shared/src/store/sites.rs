//! Sites: through which address a worker reaches them, and which of them it leaves alone for a while.
//!
//! What a site allows, it allows to an address. So jobs at once are counted, and failures in a row are added up, per site and
//! name of an address; both inside the scripts (`lua/sites.lua`), when a job is leased and when it ends. Not here: which
//! failures speak against a site (`FailureKind::blames_site`), how long the job itself waits (`RetryPolicy`).

use jiff::Timestamp;

use super::scripts::{self, invocation};
use super::{JobStore, StoreError};
use crate::ids::{EgressName, Shard};
use crate::job::FailureKind;

/// Breakers shown of one shard.
const SHOWN: u32 = 100;

/// Values of one breaker in an answer.
const FIELDS: usize = 4;

/// How a worker reaches sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlet {
    /// The address that sites see; workers behind one share its name.
    pub name: EgressName,
    /// Jobs of one site at once through it.
    pub running_limit: Option<u32>,
}

impl Default for Outlet {
    /// An address of its own, and no limit.
    fn default() -> Self {
        Self { name: EgressName::of_host("host"), running_limit: None }
    }
}

/// Why a job was put off without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deferral {
    /// The breaker of its site is open.
    SiteShut,
    /// As many jobs of its site run as may.
    SiteFull,
}

impl Deferral {
    /// All reasons.
    pub const ALL: [Self; 2] = [Self::SiteShut, Self::SiteFull];

    /// The word in totals, and as a metric label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SiteShut => "site_shut",
            Self::SiteFull => "site_full",
        }
    }
}

/// A site that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Which.
    pub site: String,
    /// As seen through this address.
    pub egress: String,
    /// What its last jobs failed with.
    pub kind: Option<FailureKind>,
    /// How many failures in a row.
    pub failures: u64,
    /// When one job may find out whether it can be closed.
    pub until: Timestamp,
    /// That time has come.
    pub is_half_open: bool,
}

impl JobStore {
    /// The breakers of a shard that are not closed, those that are open longest first; at most 100.
    pub(super) async fn breakers(&self, shard: Shard) -> Result<Vec<Breaker>, StoreError> {
        let mut call = invocation(shard, &scripts::BREAKERS);
        let answer: Vec<String> = self.run_surely(call.arg(SHOWN)).await?;
        let (now, breakers) = answer.split_first().ok_or(StoreError::Unreadable("an answer"))?;
        let now = time(now)?;
        breakers.chunks(FIELDS).map(|values| breaker(values, now)).collect()
    }
}

/// Says that a breaker opened, or opened again.
pub(super) fn tell_opened(via: &str, ms: &str, kind: FailureKind) {
    let (egress, site) = via.split_once(' ').unwrap_or_default();
    let (code, seconds) = (kind.code(), ms.parse::<u64>().unwrap_or_default() / 1000);
    tracing::warn!(site, egress, code, seconds, "{site} is left alone for {seconds} s: job after job ends in {code}");
}

/// Says that a breaker closed.
pub(super) fn tell_closed(via: &str) {
    let (egress, site) = via.split_once(' ').unwrap_or_default();
    tracing::info!(site, egress, "{site} works again");
}

fn breaker(values: &[String], now: Timestamp) -> Result<Breaker, StoreError> {
    let [via, until, kind, failures] = values else { return Err(StoreError::Unreadable("a breaker")) };
    let (egress, site) = via.split_once(' ').ok_or(StoreError::Unreadable("a breaker"))?;
    let until = time(until)?;
    Ok(Breaker {
        site: site.to_owned(),
        egress: egress.to_owned(),
        kind: FailureKind::of_code(kind),
        failures: failures.parse().map_err(|_| StoreError::Unreadable("a breaker"))?,
        until,
        is_half_open: until <= now,
    })
}

fn time(ms: &str) -> Result<Timestamp, StoreError> {
    let ms = ms.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ms.ok_or(StoreError::Unreadable("a time"))
}
