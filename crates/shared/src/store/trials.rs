//! The trial of the newest yt-dlp: who is on it, what the scripts have counted, and what follows from that.
//!
//! One process after the other has the turn of looking: at the live workers' versions, at the counts of all shards together; the
//! verdicts go to all shards, where scripts heed them (`lua/trials.lua`). When nobody has looked for a while there is no trial, and
//! everybody takes everything. Not here: what counts say (`crate::rollout`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::keys::ANYBODY;
use super::scripts::{self, invocation};
use super::stats::WorkerInfo;
use super::{JobStore, StoreError, ms};
use crate::ids::{Region, Shard};
use crate::rollout::{Ends, Standing, Tally, Verdict, Version, all_together, judged};

/// Between two looks, whoever looks.
const EVERY: Duration = Duration::from_secs(2);

/// For so long a look counts: several may fail.
const KNOWN: Duration = Duration::from_secs(15);

/// Jobs that an older version took in, whose sites are not known.
const REST: &str = "-";

/// Numbers of a tally, and among them those that tell how attempts ended. Behind them stands an extractor, perhaps.
const NUMBERS: usize = 9;
const ENDS: std::ops::Range<usize> = 4..8;

/// A yt-dlp on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Which.
    pub candidate: Version,
    /// Since when.
    pub since: Timestamp,
    /// The verdict on sites without one of their own.
    pub verdict: Verdict,
    /// Of what was seen at them together, since the last verdict on them.
    pub seen: Tally,
    /// Sites where it was tried, by name.
    pub sites: BTreeMap<String, Tried>,
}

/// How it stands at one site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried {
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen: where there is a verdict, what it was made of.
    pub seen: Tally,
}

/// What one shard knows.
struct Known {
    now_ms: u64,
    settled: Option<Version>,
    /// The newest that lived, and for how long none was seen on trial beside others.
    apart: (Version, Duration),
    trial: BTreeMap<String, String>,
    rulings: BTreeMap<String, Tried>,
    tried: BTreeMap<String, Heard>,
}

/// What was seen at a site since its last verdict.
struct Heard {
    seen: Tally,
    /// The extractor that it has to itself.
    own_extractor: Option<String>,
}

impl JobStore {
    /// Looks at the trial, every few seconds, until it is dropped. Of the jobs of a site the one on trial is to have `share` percent.
    pub async fn keep_trials(self, share: u8) {
        loop {
            // Blurred, so that fifty processes started together do not look at the same moment.
            tokio::time::sleep(EVERY.mul_f64(rand::random_range(0.8..1.2))).await;
            if let Err(error) = self.try_out(share, EVERY).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "the trial of a yt-dlp could not be looked at");
            }
        }
    }

    /// Looks at it now. Any process may call it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn look_at_trial(&self, share: u8) -> Result<(), StoreError> {
        self.try_out(share, Duration::ZERO).await
    }

    /// The trial that is on, as all shards together know it; one that nobody looks at is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn trial(&self) -> Result<Option<Trial>, StoreError> {
        let known = self.everywhere(|shard| self.known(shard, Duration::ZERO)).await?;
        Ok(Trial::of(&known.into_iter().flatten().filter(Known::is_current).collect::<Vec<_>>()))
    }

    async fn try_out(&self, share: u8, every: Duration) -> Result<(), StoreError> {
        let first = self.0.settings.shards.of(0);
        let Some(known) = self.known(first, every).await? else { return Ok(()) };
        let workers = self.workers().await?;
        let live: Vec<Version> = workers.iter().map(WorkerInfo::extractor).collect();
        let on_trial = known.trial.get("new").map(Version::new);
        let apart = (&known.apart.0, known.apart.1);
        let Some(standing) = Standing::of(&live, known.settled.as_ref(), on_trial.as_ref(), apart) else {
            return Ok(());
        };
        tell_change(on_trial.as_ref(), &standing, share);
        let (rest, sites) = Default::default();
        let aside = known.trial.get("aside").map_or("", String::as_str).split_whitespace();
        let aside: Vec<Version> = aside.map(Version::new).chain(on_trial).collect();
        let nowhere = || " ".to_owned();
        let mut rule = Rule { seen_ms: known.now_ms, share, both: nowhere(), sure: nowhere(), standing, rest, sites };
        let Some(candidate) = rule.standing.candidate.clone() else { return self.tell_all(&rule).await };
        rule.both = served_by_both(&workers, &candidate);
        if aside.iter().any(|version| *version != candidate) {
            let is_sure =
                |worker: &&WorkerInfo| worker.extractor() != candidate && !aside.contains(&worker.extractor());
            rule.sure = spaced(&regions(workers.iter().filter(is_sure)));
        }
        // a shard that does not answer keeps nobody from judging by the others; one that has not heard of this trial yet, or
        // still of another one, has counted nothing of it
        let known = join_all(self.0.settings.shards.all().map(|shard| self.known(shard, Duration::ZERO))).await;
        let known: Vec<Known> =
            known.into_iter().filter_map(Result::ok).flatten().filter(|known| known.is_of(&candidate)).collect();
        if let Some(trial) = Trial::of(&known) {
            (rule.rest, rule.sites) = trial.judged(&known);
        }
        self.tell_all(&rule).await
    }

    /// Says to every shard how it stands, and, once, what of that is new.
    async fn tell_all(&self, rule: &Rule) -> Result<(), StoreError> {
        let told = join_all(self.0.settings.shards.all().map(async |shard| {
            let mut call = invocation(shard, &scripts::RULE);
            let candidate = rule.standing.candidate.as_ref().map_or("", Version::as_str);
            let settled = rule.standing.settled.as_ref().map_or("", Version::as_str);
            let apart = rule.standing.apart.as_ref().map_or("0".to_owned(), |newest| format!("1{newest}"));
            call.arg(candidate).arg(settled).arg(ms(KNOWN)).arg(rule.share).arg(&rule.both);
            call.arg(apart).arg(rule.rest.word()).arg(rule.seen_ms).arg(&rule.sure);
            for (site, tried) in &rule.sites {
                call.arg(site).arg(tried.text());
            }
            self.run::<Vec<String>>(&call).await
        }));
        let told = told.await;
        let news: BTreeSet<&str> = told.iter().flatten().flatten().map(String::as_str).collect();
        if let Some(candidate) = &rule.standing.candidate {
            news.iter().for_each(|site| rule.tell(candidate, site));
        }
        told.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }

    /// `None`: somebody else has had the turn.
    async fn known(&self, shard: Shard, every: Duration) -> Result<Option<Known>, StoreError> {
        let mut call = invocation(shard, &scripts::TRIAL);
        let answer: Vec<Vec<String>> = self.run(call.arg(ms(every))).await?;
        let [about, trial, rulings, tried] = &answer[..] else { return Ok(None) };
        let [now, settled, apart, newest] = &about[..] else { return Err(StoreError::Unreadable("an answer")) };
        let millis = |text: &str| text.parse().map_err(|_| StoreError::Unreadable("an answer"));
        let known = Known {
            now_ms: millis(now)?,
            settled: Some(settled).filter(|text| !text.is_empty()).map(Version::new),
            apart: (Version::new(newest), Duration::from_millis(millis(apart)?)),
            trial: pairs(trial).map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            rulings: pairs(rulings).filter_map(|(site, text)| Some((site.to_owned(), Tried::read(text)?))).collect(),
            tried: pairs(tried).filter_map(|(site, text)| Some((site.to_owned(), Heard::read(text)?))).collect(),
        };
        Ok(Some(known))
    }
}

/// What is said to the scripts.
struct Rule {
    /// When it was looked.
    seen_ms: u64,
    standing: Standing,
    share: u8,
    both: String,
    /// Regions with a version that was on trial neither before nor is now, where one was before.
    sure: String,
    rest: Verdict,
    sites: BTreeMap<String, Tried>,
}

impl Rule {
    fn tell(&self, candidate: &Version, site: &str) {
        let everywhere = site == ANYBODY;
        let verdict =
            if everywhere { self.rest } else { self.sites.get(site).map_or(self.rest, |tried| tried.verdict) };
        let place = if everywhere { "at all sites without a verdict of their own" } else { site };
        let word = verdict.word();
        match verdict {
            Verdict::Undecided => {}
            Verdict::Promoted => {
                tracing::info!(%candidate, site, verdict = word, "yt-dlp {candidate} is as good as the others {place}: it takes what comes");
            }
            Verdict::RolledBack => {
                tracing::warn!(%candidate, site, verdict = word, "yt-dlp {candidate} is worse than the others {place}: it leaves its jobs to them");
            }
        }
    }
}

impl Known {
    /// Somebody has looked lately.
    fn is_current(&self) -> bool {
        self.trial.get("till").and_then(|ms| ms.parse().ok()).is_some_and(|till: u64| self.now_ms < till)
    }

    fn is_of(&self, candidate: &Version) -> bool {
        self.trial.get("new").is_some_and(|new| new == candidate.as_str())
    }
}

impl Trial {
    /// That on each site where it was tried, then that on all others.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.sites.values().map(|tried| tried.verdict).chain([self.verdict])
    }

    /// Of what the shards know.
    fn of(known: &[Known]) -> Option<Self> {
        let said = |name: &'static str| known.iter().filter_map(move |known| known.trial.get(name).cloned());
        let candidate = Version::new(said("new").next()?);
        let since = said("since").filter_map(|ms| ms.parse().ok()).min()?;
        let verdict = said("all").filter_map(|word| Verdict::of_word(&word)).max().unwrap_or_default();
        let known = || known.iter().filter(|known| known.is_of(&candidate));
        let mut sites: BTreeMap<String, Tried> = BTreeMap::new();
        for (site, heard) in known().flat_map(|known| &known.tried) {
            let tried = sites.entry(site.clone()).or_default();
            tried.seen = tried.seen.and(heard.seen);
        }
        for (site, ruling) in known().flat_map(|known| &known.rulings) {
            let tried = sites.entry(site.clone()).or_default();
            *tried = if tried.verdict < ruling.verdict { *ruling } else { *tried };
        }
        let open = sites.values().filter(|tried| tried.verdict == Verdict::Undecided);
        let seen = open.fold(Tally::default(), |sum, tried| sum.and(tried.seen));
        Some(Self { candidate, since: Timestamp::from_millisecond(since).ok()?, verdict, seen, sites })
    }

    /// The verdicts after what was counted since the last ones.
    fn judged(&self, known: &[Known]) -> (Verdict, BTreeMap<String, Tried>) {
        let mut rulings = BTreeMap::new();
        let mut open = Vec::new();
        for (site, tried) in &self.sites {
            let heard = || known.iter().filter_map(|known| known.tried.get(site));
            let seen = heard().fold(Tally::default(), |sum, heard| sum.and(heard.seen));
            let verdict = if site == REST { Verdict::Undecided } else { judged(tried.verdict, seen) };
            if verdict == Verdict::Undecided {
                let own = heard().find_map(|heard| heard.own_extractor.as_deref());
                open.extend(own.map(|extractor| (extractor, seen)));
            } else {
                let made_of = if verdict == tried.verdict { tried.seen } else { seen };
                rulings.insert(site.clone(), Tried { verdict, seen: made_of });
            }
        }
        (all_together(self.verdict, open), rulings)
    }
}

impl Heard {
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let counts: Vec<u64> = words.iter().take(NUMBERS).map_while(|word| word.parse().ok()).collect();
        let own_extractor = words.get(NUMBERS).map(|&word| word.to_owned());
        (counts.len() == NUMBERS).then(|| Some(Self { seen: ends(&counts[ENDS])?, own_extractor }))?
    }
}

impl Tried {
    fn text(&self) -> String {
        let Tally { candidate, others } = self.seen;
        format!("{} {} {} {} {}", self.verdict.word(), candidate.well, candidate.badly, others.well, others.badly)
    }

    fn read(text: &str) -> Option<Self> {
        let (word, counts) = text.split_once(' ')?;
        Some(Self { verdict: Verdict::of_word(word)?, seen: ends(&numbers(counts))? })
    }
}

/// Says that a trial begins, or is over.
fn tell_change(before: Option<&Version>, standing: &Standing, share: u8) {
    let settled = standing.settled.as_ref().map_or("", Version::as_str);
    match (before, &standing.candidate) {
        (before, Some(candidate)) if before != Some(candidate) => tracing::info!(
            %candidate, settled, share,
            "yt-dlp {candidate} is on trial beside {settled}: it gets at most {share} % of the jobs of each site"
        ),
        (Some(candidate), None) => {
            tracing::info!(%candidate, settled, "the trial of yt-dlp {candidate} is over: the service goes on with {settled}");
        }
        (_, Some(_)) | (None, None) => {}
    }
}

/// The regions where a worker with this version lives, and one with another; as scripts look for them.
fn served_by_both(workers: &[WorkerInfo], candidate: &Version) -> String {
    let (new, old): (Vec<_>, Vec<_>) = workers.iter().partition(|worker| worker.extractor() == *candidate);
    spaced(&(&regions(new) & &regions(old)))
}

fn regions<'w>(workers: impl IntoIterator<Item = &'w WorkerInfo>) -> BTreeSet<&'w str> {
    workers.into_iter().flat_map(|worker| &worker.regions).map(Region::as_str).collect()
}

fn spaced(regions: &BTreeSet<&str>) -> String {
    let regions: Vec<_> = regions.iter().copied().collect();
    format!(" {} ", regions.join(" "))
}

fn pairs(flat: &[String]) -> impl Iterator<Item = (&str, &str)> {
    flat.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str()))
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(' ').filter_map(|number| number.parse().ok()).collect()
}

fn ends(numbers: &[u64]) -> Option<Tally> {
    let [a, b, c, d] = *numbers else { return None };
    Some(Tally { candidate: Ends { well: a, badly: b }, others: Ends { well: c, badly: d } })
}
