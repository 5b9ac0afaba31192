//! Every key of the queue: the only place where key text is made.
//!
//! All keys of a shard begin with the same text, with a hash tag in it, so that a script never crosses slots in a
//! cluster. That beginning is the one key that scripts declare; they add to it what stands in [`TABLE`]. A name that ends
//! in `:` is a prefix: a script may add to it an id, a client, a lane or a fingerprint, and nothing else. None
//! of these is ever text from outside (ids are random, clients and fingerprints hashes or canonical addresses).

use std::fmt;
use std::str::FromStr;

use crate::ids::{Region, Shard};
use crate::job::JobSpec;
use crate::media::Priority;

/// Raised when stored records change so that older programs would misread them.
const FORM: &str = "haul1:";

/// What scripts know keys by, and the rest of the key's name.
pub(super) const TABLE: &[(&str, &str)] = &[
    // HASH, one job; fields: see `record`. No life while unfinished, then HAUL_JOB_TTL.
    ("job", "j:"),
    // HASH, one ticket: its job, own state, client, request. Lives twice HAUL_JOB_TTL: the wait, and the record.
    ("ticket", "t:"),
    // STRING ticket -> mark of the call that deleted it; 60 s.
    ("gone", "gone:"),
    // STRING fingerprint -> job: single flight while it goes on, reuse while the result lasts.
    ("flight", "fp:"),
    // HASH, what the holder of a ticket is to be told at its end; fields: see `webhooks`. Lives as its ticket.
    ("hook", "h:"),
    // SET unfinished job -> those of its tickets that are to be told; lives as a ticket.
    ("hooks", "hooks:"),
    // LIST ticket -> the last 32 attempts to tell it, JSON, newest first; lives as its ticket.
    ("tries", "tries:"),
    // ZSET tickets whose end is to be told, by the ms of the next attempt.
    ("untold", "untold"),
    // HASH client, or `-` for all others -> what webhooks are signed with; lives as the newest ticket that wants to be told.
    ("secrets", "secrets"),
    // HASH, one playlist: `cl` client, `ct` created in ms, `plan` opaque, `all` 1 once all of it was submitted. Lives as a ticket.
    ("playlist", "pl:"),
    // ZSET client, or ANYBODY -> its newest 10,000 playlists by creation ms; lives as a ticket.
    ("playlists", "pls:"),
    // HASH idempotency key -> body hash, ticket, ms of the promise; 24 h.
    ("promise", "idem:"),
    // STRING client -> µs at which its bucket of downloads, and of ends told again, is full again (GCRA); lives until then.
    ("rate", "rate:"),
    // LIST <lane>:<client> -> that client's waiting jobs, next first.
    ("list", "c:"),
    // ZSET lane -> clients with waiting jobs, by virtual time.
    ("ring", "ring:"),
    // HASH client -> lanes in which it runs as much as it may, with its virtual time there.
    ("park", "park:"),
    // HASH lane -> virtual time now.
    ("vt", "vt"),
    // ZSET lane -> waiting jobs by the ms since which they wait.
    ("queued", "q:"),
    // HASH client -> jobs running, charged to it.
    ("run", "run"),
    // HASH "<name of an address> <site>" (a way) -> jobs running, from there.
    ("via", "via"),
    // ZSET ways that are left alone, by the ms at which one job may try again; an hour longer.
    ("shut", "shut"),
    // HASH SHA-1 of a way -> what its breaker knows; fields: see `lua/sites.lua`. Lives on 10 min, or 1 h once it opened.
    ("breaker", "cb:"),
    // HASH, the trial of the newest yt-dlp; fields: see `lua/trials.lua`. Lives a week after its last word, as the next two.
    ("trial", "trial"),
    // HASH site -> verdict on the yt-dlp that is on trial, and the counts that it was made of.
    ("rulings", "rulings"),
    // HASH hash of a version of yt-dlp that was on trial until a newer one was -> what `rulings` was of it, and for ANYBODY the verdict
    // on sites without their own. Of three versions; lives as `rulings`.
    ("decided", "decided:"),
    // HASH site -> what was begun, and how first attempts ended, with the yt-dlp that is on trial and with others; 1,000 sites.
    ("tried", "tried"),
    // STRING the version of yt-dlp that the service runs on: no trial is made of it any more.
    ("settled", "settled"),
    // STRING somebody has just looked at the trial; lives until the next may.
    ("looked", "looked"),
    // STRING ms since which there was seen no yt-dlp on trial beside others, and the newest there was; lives 15 s after its last word.
    ("apart", "apart"),
    // STRING ms at which the judge looked who has spoken last; lives a minute.
    ("ruled", "ruled"),
    // HASH client -> jobs of its own that wait or are delayed.
    ("load", "load"),
    // STRING client -> "<running limit>:<weight>"; outlives every job that it counts for.
    ("caps", "caps:"),
    // ZSET running jobs by the ms at which their lease ends.
    ("lease", "lease"),
    // STRING <worker>:<kind> -> mark of its last lease call that found jobs, and those jobs; lives as long as a lease.
    ("asked", "asked:"),
    // STRING "<ms> <worker>:<kind>": who has promised to look when something is due next; lives until then, and a second.
    ("sentry", "sentry"),
    // STRING ms at which somebody last looked after what time does to jobs.
    ("tended", "tended"),
    // STRING ms until which no lease is taken back; lives three leases.
    ("amnesty", "amnesty"),
    // HASH of the audit: where it goes on, when it was last.
    ("audit", "audit"),
    // ZSET delayed jobs by the ms at which they are due.
    ("delay", "delay"),
    // ZSET every unfinished job by the ms at which it expires.
    ("live", "live"),
    // ZSET objects of the store by the ms at which they are to be removed.
    ("garbage", "gc"),
    // HASH of the looks for orphans, on the first shard: `by` whom `till` when; `last` end, in ms; totals `looked` `removed`
    // `bytes` `failed`.
    ("sweep", "sweep"),
    // ZSET client -> its tickets by creation ms.
    ("own", "own:"),
    // ZSET everybody's newest 10,000 tickets by creation ms.
    ("recent", "recent"),
    // LIST lane, `sentry` or `untold` -> wake tokens, at most 64.
    ("wake", "wake:"),
    // SET lanes that ever had a job.
    ("lanes", "lanes"),
    // STRING worker -> JSON: what a live worker says of itself; gone when it has been silent.
    ("worker", "w:"),
    // ZSET workers by the ms until which each counts as alive; the others go when one says that it lives.
    ("workers", "alive"),
    // ZSET region -> workers that serve it, by the ms until which each counts as alive.
    ("serving", "serving:"),
    // HASH of the looks for regions that nobody serves: `last`, and `since` which there was no gap between two; in ms.
    ("watched", "watched"),
    // HASH totals: `<kind>:<end state>`, `deferred:<reason>`, `reaped`, `repaired`, `bytes`, `objects`.
    ("count", "count"),
    // LIST ms of the last 64 ends, newest first.
    ("ends", "ends"),
    // LIST client -> ms of its last 16 ends, newest first; lives an hour.
    ("pace", "pace:"),
    // HASH day since the epoch (UTC) -> bytes of the results that became each client's own on it, and ANYBODY's; 48 h.
    ("day", "day:"),
    // LIST name -> the last 512 durations in seconds.
    ("time", "time:"),
    // STRING, an array of u32: counts by which changes show; see `changed` of `lua/prelude.lua`. 16 KiB.
    ("versions", "versions"),
    // Channel: ids of jobs that have changed.
    ("changed", "changed"),
];

/// Stands for all clients together where something is counted for each; none is called so.
pub(super) const ANYBODY: &str = "*";

/// What all keys of a shard begin with.
pub(super) fn base(shard: Shard) -> String {
    format!("{FORM}{{{shard}}}:")
}

/// Text of the key, or prefix, that scripts know by `name`.
pub(super) fn key(shard: Shard, name: &str) -> String {
    let (_, rest) = TABLE.iter().find(|(known, _)| *known == name).expect("a name of the table");
    base(shard) + rest
}

/// STRING: how many shards the queue has; whoever comes first says so.
pub(super) fn shards() -> String {
    format!("{FORM}shards")
}

/// STRING, 32 bytes: what links that lead to jobs are signed with; whoever comes first draws it.
pub(super) fn link_secret() -> String {
    format!("{FORM}links")
}

/// Never there: it is removed to see whether Redis takes writes.
pub(super) fn nothing() -> String {
    format!("{FORM}nothing")
}

/// STRING, zstd of JSON, on the cache server: what was found at an address. `digest` is a hash of the URL.
pub(crate) fn metadata(digest: &str) -> String {
    format!("haul1:meta:{digest}")
}

/// STRING, a JPEG, on the cache server: the picture that metadata names, made small; empty: there is none. `digest` is
/// that of the finding, whose whole key is the hash tag of this one: a cluster keeps the two together.
pub(crate) fn picture(digest: &str) -> String {
    format!("haul1:picture:{{{}}}", metadata(digest))
}

/// STRING, a word and zstd of JSON, on the cache server: what an order of this digest would fetch. It counts as long as its
/// word is that of [`plans`]. `digest` and the hash tag are as for [`picture`].
pub(crate) fn plan(digest: &str, order: &str) -> String {
    format!("haul1:plan:{{{}}}:{order}", metadata(digest))
}

/// STRING, a random word, on the cache server: that of all plans of an address, which are forgotten with it. Lives as the
/// last of them.
pub(crate) fn plans(digest: &str) -> String {
    format!("haul1:plans:{{{}}}", metadata(digest))
}

/// Channel of the cache server: addresses that were forgotten.
pub(crate) fn forgotten() -> String {
    "haul1:forgotten".to_owned()
}

/// What a job is about; each kind has lanes, slots and totals of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Make a file.
    Download,
    /// Find out what is at an address, how it looks, or what would be fetched of it; somebody waits for the answer.
    Metadata,
}

impl Kind {
    /// The word in keys and records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Metadata => "metadata",
        }
    }

    /// Of an order.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        match spec {
            JobSpec::Download(_) => Self::Download,
            JobSpec::Metadata { .. } | JobSpec::Picture(_) | JobSpec::Plan(_) => Self::Metadata,
        }
    }
}

/// One line of waiting jobs: a ring of clients that take turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    /// What its jobs are about.
    pub kind: Kind,
    /// Where they are done.
    pub region: Region,
    /// How urgent they are.
    pub priority: Priority,
}

impl Lane {
    /// How a lane's name ends.
    #[must_use]
    pub fn word(priority: Priority) -> &'static str {
        match priority {
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    /// The lanes of a region, in the same order for each.
    pub(super) fn all_of(region: &Region) -> [Self; 4] {
        let of = |kind, priority| Self { kind, region: region.clone(), priority };
        let [normal, low] = [Priority::Normal, Priority::Low];
        [of(Kind::Download, normal), of(Kind::Download, low), of(Kind::Metadata, normal), of(Kind::Metadata, low)]
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind.word(), self.region, Self::word(self.priority))
    }
}

impl FromStr for Lane {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (Some(kind), Some(region), Some(priority), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let kind = [Kind::Download, Kind::Metadata].into_iter().find(|known| known.word() == kind).ok_or(())?;
        let priority = [Priority::Normal, Priority::Low].into_iter().find(|it| Self::word(*it) == priority).ok_or(())?;
        Ok(Self { kind, region: region.parse().map_err(|_| ())?, priority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Shards;

    #[test]
    fn lanes_are_read_back() {
        for kind in [Kind::Download, Kind::Metadata] {
            for priority in [Priority::Normal, Priority::Low] {
                let lane = Lane { kind, region: "eu-1".parse().unwrap(), priority };
                assert_eq!(lane.to_string().parse(), Ok(lane));
            }
        }
    }

    #[test]
    fn every_key_of_a_shard_has_its_hash_tag() {
        let third = Shards::new(4).unwrap().of(2);
        assert_eq!(key(third, "job"), "haul1:{2}:j:");
        assert!(TABLE.iter().all(|(name, _)| key(third, name).starts_with(&base(third))));
    }
}
