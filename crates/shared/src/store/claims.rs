//! Claims: how a worker takes jobs from the queue, and waits for some.
//!
//! Every call has a mark. One whose answer was lost is sent again with it and answered alike: no job is taken that nobody
//! works on. With several shards each is asked in turn, another one first each time.
//!
//! What is due later (a retry, say) concerns all who wait, and one of them looks: a shard tells each how long it may sleep.

use std::time::{Duration, Instant};

use futures::future::select_all;
use rand::RngExt as _;

use super::keys::{Kind, Lane};
use super::lease::{Lease, encoded};
use super::scripts::{self, invocation};
use super::sites::Outlet;
use super::upkeep::{POISON, lost};
use super::wake::WakeCall;
use super::{JobStore, StoreError, mark, ms};
use crate::ids::{Fence, Region, Shard, WorkerId};
use crate::job::{JobSpec, Progress};
use crate::media::Priority;
use crate::trace::TraceParent;

/// One turn in this many, jobs of low priority go first.
pub(super) const LOW_EVERY: u64 = 8;

/// Between two looks, by those who ask for jobs, at what time does to jobs.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// The longest wait for a wake token. A token can be lost, with its connection say; whoever tends the queue makes another.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Shares of it after which those come who have nothing to look for: not all of them together, as they did when Redis came back.
const SPREAD: std::ops::Range<f64> = 0.9..1.0;

/// A shard that does not answer is asked again after this long: the others' jobs must not wait for it each time.
const SILENCE: Duration = Duration::from_secs(2);

/// Before a token is waited for again that would bring this worker back to jobs which it leaves to others: they have it first.
const COURTESY: Duration = Duration::from_millis(300);

/// The longest such wait: it is doubled as long as nothing but such jobs is found.
const LONGEST_COURTESY: Duration = Duration::from_secs(5);

/// Values of one job in an answer.
const FIELDS: usize = 9;

/// A job taken from the queue.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The right to write to it.
    pub lease: Lease,
    /// What is to be done; `None` when this version cannot read it (hand it back with [`JobStore::defer`]).
    pub spec: Option<JobSpec>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts that may be begun.
    pub max_attempts: u32,
    /// How long it stood in line before this attempt.
    pub waited: Duration,
    /// How far a run with this attempt's number had come before its worker was lost or stopped.
    pub reached: Option<Progress>,
    /// Where it stood in line.
    pub lane: Lane,
    /// The yt-dlp that it was taken for.
    pub ytdlp: Option<String>,
    /// The span that it comes from, of a trace that is kept.
    pub trace: Option<TraceParent>,
}

/// One worker's demand for jobs of one kind.
pub struct Claims {
    store: JobStore,
    worker: WorkerId,
    kind: Kind,
    /// In order of preference, each followed by that of less urgent jobs.
    lanes: Vec<Lane>,
    outlet: Outlet,
    ytdlp: Option<String>,
    shards: Vec<Counter>,
    first: usize,
    turns: u64,
}

/// Where one shard hands out jobs.
struct Counter {
    shard: Shard,
    wake: WakeCall,
    /// The mark of a call that was not answered.
    unanswered: Option<String>,
    /// How long it need not be asked, should nobody say otherwise.
    quiet: Duration,
    /// Since there was nothing but jobs that are left to workers with another yt-dlp, for so long others may have them first.
    courtesy: Duration,
    /// Where looks at such jobs go on, as the shard said.
    places: String,
    /// When the shard last did not answer, since it last did.
    silent: Option<Instant>,
}

impl Counter {
    async fn wait(&mut self) -> Result<(), StoreError> {
        let quiet = if self.silent.is_some() { SILENCE } else { self.quiet };
        let courtesy = self.courtesy.min(quiet);
        tokio::time::sleep(courtesy).await;
        self.wake.wait(quiet - courtesy).await
    }
}

impl JobStore {
    /// Prepares to take jobs from these regions, in order of preference.
    #[must_use]
    pub fn claims(&self, worker: &WorkerId, kind: Kind, regions: &[Region]) -> Claims {
        let lane = |region: &Region, priority| Lane { kind, region: region.clone(), priority };
        let lanes: Vec<Lane> = regions
            .iter()
            .flat_map(|region| [Priority::Normal, Priority::Low].map(|priority| lane(region, priority)))
            .collect();
        let counter = |shard| Counter {
            shard,
            wake: self.wake_call(shard, &lanes),
            unanswered: None,
            quiet: Duration::ZERO,
            courtesy: Duration::ZERO,
            places: String::new(),
            silent: None,
        };
        let shards = self.0.settings.shards.all().map(counter).collect();
        let (store, worker, outlet) = (self.clone(), worker.clone(), Outlet::default());
        Claims { store, worker, kind, lanes, outlet, ytdlp: None, shards, first: 0, turns: 0 }
    }
}

impl Claims {
    /// Says how the worker reaches sites; without, through an address of its own, however many jobs at once.
    #[must_use]
    pub fn through(mut self, outlet: &Outlet) -> Self {
        self.outlet = outlet.clone();
        self
    }

    /// Says which yt-dlp will do the jobs that are taken from now on.
    pub fn done_with(&mut self, ytdlp: Option<String>) {
        self.ytdlp = ytdlp;
    }

    /// Takes at most `most` jobs. None: there are none now, and [`Claims::wait`] waits for some.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no shard gave a job and one did not answer; the next call asks it the same again.
    pub async fn take(&mut self, most: usize) -> Result<Vec<Leased>, StoreError> {
        let mut jobs = Vec::new();
        let mut failed = Ok(());
        self.first = (self.first + 1) % self.shards.len();
        for at in (self.first..self.shards.len()).chain(0..self.first) {
            if jobs.len() == most {
                break;
            }
            if self.shards[at].silent.is_some_and(|since| since.elapsed() < SILENCE) {
                continue;
            }
            match self.ask(at, most - jobs.len()).await {
                Ok(more) => jobs.extend(more),
                Err(error) => {
                    let others = self.shards.len() > 1;
                    self.shards[at].silent = others.then(Instant::now);
                    failed = Err(error);
                }
            }
        }
        if jobs.is_empty() { failed.map(|()| jobs) } else { Ok(jobs) }
    }

    /// Returns when there may be a job, after a minute at most. May be given up half-way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be waited for on any shard.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        let waits = self.shards.iter_mut().map(|counter| Box::pin(counter.wait()));
        let (mut outcome, _, mut others) = select_all(waits).await;
        // one that cannot be waited on is asked again later, and does not end the others' waits until then
        while outcome.is_err() && !others.is_empty() {
            let more = tokio::time::timeout(SILENCE, select_all(others));
            let Ok((next, _, rest)) = more.await else { return Ok(()) };
            (outcome, others) = (next, rest);
        }
        outcome
    }

    async fn ask(&mut self, at: usize, most: usize) -> Result<Vec<Leased>, StoreError> {
        let counter = &mut self.shards[at];
        let mark = counter.unanswered.get_or_insert_with(mark).clone();
        let mut call = invocation(counter.shard, &scripts::LEASE);
        call.arg(self.worker.to_string())
            .arg(self.kind.word())
            .arg(mark)
            .arg(ms(self.store.0.settings.lease))
            .arg(most)
            .arg(self.turns)
            .arg(Kind::Download.word())
            .arg(ms(TEND_EVERY))
            .arg(POISON)
            .arg(encoded(&lost())?)
            .arg(self.outlet.name.to_string())
            .arg(self.outlet.running_limit.map_or_else(String::new, |limit| limit.to_string()))
            .arg(self.ytdlp.as_deref().unwrap_or_default())
            .arg(&counter.places);
        for lane in &self.lanes {
            call.arg(lane.to_string());
        }
        let answer: Vec<Vec<u8>> = match counter.silent {
            None => self.store.run_surely(&call).await?,
            Some(_) => self.store.run_once(&call).await?,
        };
        (counter.unanswered, counter.silent) = (None, None);
        let [due, failed, left, places, jobs @ ..] = &answer[..] else {
            return Err(StoreError::Unreadable("an answer"));
        };
        self.store.count_lost(read(failed)?);
        counter.courtesy = match read::<u64>(left)? {
            left if left > 0 && jobs.is_empty() => (counter.courtesy * 2).clamp(COURTESY, LONGEST_COURTESY),
            _ => Duration::ZERO,
        };
        counter.places = read(places)?;
        // what is due in a moment is worth one wait, not a call at once
        counter.quiet = match u64::try_from(read::<i64>(due)?) {
            Ok(due) => Duration::from_millis(due).min(LONGEST_WAIT),
            Err(_) => LONGEST_WAIT.mul_f64(rand::rng().random_range(SPREAD)),
        };
        let jobs: Vec<Leased> =
            jobs.chunks(FIELDS).map(|job| leased(job, self.kind, self.ytdlp.as_deref())).collect::<Result<_, _>>()?;
        self.turns += jobs.len() as u64;
        Ok(jobs)
    }
}

fn leased(values: &[Vec<u8>], kind: Kind, ytdlp: Option<&str>) -> Result<Leased, StoreError> {
    let [job, fence, attempt, max_attempts, spec, waited_ms, reached, lane, trace] = values else {
        return Err(StoreError::Unreadable("an answer"));
    };
    Ok(Leased {
        lease: Lease { job: read(job)?, fence: Fence(read(fence)?), kind },
        spec: JobSpec::decode(spec),
        attempt: read(attempt)?,
        max_attempts: read(max_attempts)?,
        waited: Duration::from_millis(read(waited_ms)?),
        reached: serde_json::from_slice(reached).ok(),
        lane: read(lane)?,
        ytdlp: ytdlp.map(str::to_owned),
        trace: read(trace).ok(),
    })
}

fn read<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, StoreError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or(StoreError::Unreadable("an answer"))
}
