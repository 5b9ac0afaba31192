//! What programs ask of Redis, call by call, through the store as they have it: made for their own sake, with jobs that nobody
//! works on.
//!
//! Not here: how often and how close to each other calls are made, and what they cost (`calibrate`, `shard`).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_shared::ids::{Region, Ticket, WorkerId};
use haul_shared::job::{Failure, FailureKind, Progress, Stage};
use haul_shared::media::MediaInfo;
use haul_shared::storage::ObjectKey;
use haul_shared::store::{Beat, JobStore, Kind, Leased, WorkerInfo};
use haul_tests::redis::Redis;
use haul_tests::sim::Call;
use redis::aio::MultiplexedConnection;

use crate::stage;

/// Programs: each has a store, and connections, of its own.
pub const PROGRAMS: usize = 32;

/// Jobs of one worker, where a call is about many.
pub const MANY: usize = 16;

/// How long a step took that nobody made.
const STEP: Duration = Duration::from_secs(10);

/// Of a hundred jobs so many try a new yt-dlp out, if there is one.
const SHARE: u8 = 10;

/// Keys of Redis that nothing but a bare command asks for. The lanes are nobody's, else somebody would take their tokens away.
const VERSIONS: &str = "haul1:{0}:versions";
const LANES: [&str; 3] =
    ["haul1:{0}:wake:download:benches:normal", "haul1:{0}:wake:download:benches:low", "haul1:{0}:wake:benches"];

/// Where the calls are made.
pub struct Desk {
    stores: Vec<JobStore>,
    lines: Vec<MultiplexedConnection>,
    worker: WorkerId,
    region: Region,
    /// A region without jobs.
    nowhere: Region,
    number: AtomicU64,
    audited: AtomicU64,
    tickets: Mutex<VecDeque<Ticket>>,
    running: Mutex<VecDeque<Leased>>,
    reserved: Mutex<VecDeque<Leased>>,
    completed: Mutex<VecDeque<Leased>>,
}

impl Desk {
    /// Connects the programs, and makes each call once: a script is sent as a whole when it is first called.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn open(redis: &Redis) -> Result<Self> {
        let mut desk = Self {
            stores: Vec::new(),
            lines: Vec::new(),
            worker: WorkerId::on_host("bench"),
            region: "default".parse()?,
            nowhere: "nowhere".parse()?,
            number: AtomicU64::new(0),
            audited: AtomicU64::new(0),
            tickets: Mutex::default(),
            running: Mutex::default(),
            reserved: Mutex::default(),
            completed: Mutex::default(),
        };
        for _ in 0..PROGRAMS {
            desk.stores.push(stage::with_lease(&redis.url(), stage::HOUR)?);
            desk.lines.push(redis.connection().await?);
        }
        desk.stock(2 * MANY).await?;
        let once =
            [Call::Beaten, Call::Lease, Call::Lanes, Call::Tend, Call::Tell, Call::Announce, Call::Trial, Call::Beat];
        for call in once.into_iter().chain(Self::LIFE) {
            desk.make(call, 0).await?;
        }
        desk.give_tokens(2 * PROGRAMS).await?;
        // each program has as many connections to Redis as it will have
        for at in 0..2 * PROGRAMS {
            for call in [Call::Pop, Call::Lease, Call::Peek] {
                desk.make(call, at).await?;
            }
            desk.stores[at % PROGRAMS].ping().await?;
        }
        Ok(desk)
    }

    /// What becomes of a job, and at last of all of them.
    const LIFE: [Call; 9] = [
        Call::Submit,
        Call::Leased,
        Call::Look,
        Call::Reserve,
        Call::Complete,
        Call::Thumbnail,
        Call::Fail,
        Call::Audited,
        Call::Peek,
    ];

    /// So many jobs that run.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn stock(&self, jobs: usize) -> Result<()> {
        for call in [Call::Submit, Call::Leased] {
            for at in 0..jobs {
                self.make(call, at).await?;
            }
        }
        Ok(())
    }

    /// So many wake tokens, so that nobody waits for one in vain.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn give_tokens(&self, tokens: usize) -> Result<()> {
        let mut line = self.lines[0].clone();
        Ok(redis::cmd("RPUSH").arg(LANES[0]).arg(vec![1; tokens]).query_async(&mut line).await?)
    }

    /// What calls are made of, beside themselves: one that gives a job is one that asks for jobs as well.
    #[must_use]
    pub fn parts(call: Call) -> Vec<(Call, f64)> {
        match call {
            Call::Leased => vec![(Call::Lease, 1.0), (Call::Leased, 1.0)],
            Call::Beat => vec![(Call::Beat, 1.0), (Call::Beaten, 1.0)],
            Call::Beaten => vec![(Call::Beat, 1.0), (Call::Beaten, MANY as f64)],
            other => vec![(other, 1.0)],
        }
    }

    /// Does it come within a millisecond of another, as a rule, and finds Redis awake? Who asks for jobs has just ended one, or
    /// was woken by an order, or waits at once in vain; an object is reserved beside a heartbeat; and whoever follows a job
    /// looks when he is told of a change.
    #[must_use]
    pub fn follows(call: Call) -> bool {
        matches!(call, Call::Lease | Call::Leased | Call::Pop | Call::Reserve | Call::Look | Call::Peek)
    }

    /// Jobs that were audited so far.
    #[must_use]
    pub fn audited(&self) -> u64 {
        self.audited.load(Ordering::Relaxed)
    }

    /// Makes a call as the program of this number.
    ///
    /// # Errors
    /// When it fails, or there is no job for it.
    pub async fn make(&self, call: Call, at: usize) -> Result<()> {
        let jobs = &self.stores[at % self.stores.len()];
        let mut line = self.lines[at % self.lines.len()].clone();
        match call {
            Call::Submit => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                let ticket = stage::submit(jobs, "bench", &stage::address(number)).await?;
                put(&self.tickets, ticket);
            }
            Call::Lease => drop(self.claim(jobs, &self.nowhere).await?),
            Call::Leased => {
                let job = self.claim(jobs, &self.region).await?.pop().context("a job waits")?;
                put(&self.running, job);
            }
            Call::Beat => self.beat(jobs, 1, at).await?,
            Call::Beaten => self.beat(jobs, MANY, at).await?,
            Call::Reserve => {
                let job = take(&self.running)?;
                jobs.reserve(&job.lease, &object(&job)).await?;
                put(&self.reserved, job);
            }
            Call::Complete => {
                let job = take(&self.reserved)?;
                let stages = [("extract", STEP), ("download", STEP), ("upload", STEP)];
                jobs.complete_before_thumbnail(&job.lease, &stage::result_of(&job.lease), &stages, STEP).await?;
                put(&self.completed, job);
            }
            Call::Thumbnail => {
                let job = take(&self.completed)?;
                jobs.thumbnail(&job.lease, &object(&job).thumbnail(), Some(20_000)).await?;
            }
            Call::Fail => {
                let failure = Failure::new(FailureKind::Timeout, "it took too long");
                jobs.fail(&take(&self.running)?.lease, &failure, Duration::ZERO).await?;
            }
            Call::Announce => drop(jobs.announce(&self.about()).await?),
            Call::Pop => {
                // as a claim loop waits, with a token that lies there already
                let mut pop = redis::cmd("BLPOP");
                let _token: (String, u8) = pop.arg(&LANES).arg(29.727_997_32).query_async(&mut line).await?;
            }
            Call::Tend | Call::Tended => jobs.upkeep().await?,
            Call::Audit | Call::Audited => {
                self.audited.fetch_add(jobs.audit().await?.jobs, Ordering::Relaxed);
            }
            Call::Trial => jobs.look_at_trial(SHARE).await?,
            Call::Lanes => drop(jobs.relocate(std::slice::from_ref(&self.region), STEP).await?),
            Call::Look => {
                // not the one that this program has seen last
                let ticket = turn(&self.tickets)?;
                ensure!(jobs.look(ticket).await?.is_some(), "a job is gone");
            }
            Call::Peek => {
                let mut peek = redis::cmd("BITFIELD_RO");
                let peek = peek.arg(VERSIONS).arg(&["GET", "u32", "#1234", "GET", "u32", "#1234"]);
                let _versions: Vec<u32> = peek.query_async(&mut line).await?;
            }
            Call::Heard => self.beat(jobs, 1, at).await?,
            Call::Tell => {
                for mut outbox in jobs.outboxes() {
                    outbox.take(16, &[]).await?;
                }
            }
            // small scripts, as that one; `calibrate` says what they are taken for
            Call::Told | Call::Turn => {}
        }
        Ok(())
    }

    async fn claim(&self, jobs: &JobStore, region: &Region) -> Result<Vec<Leased>> {
        let mut claims = jobs.claims(&self.worker, Kind::Download, std::slice::from_ref(region));
        Ok(claims.take(1).await?)
    }

    async fn beat(&self, jobs: &JobStore, count: usize, at: usize) -> Result<()> {
        let progress = Progress {
            downloaded_bytes: Some(1_000_000 * at as u64),
            total_bytes: Some(400_000_000),
            speed_bytes_per_second: Some(1_000_000),
            eta_seconds: Some(300),
            ..Progress::at(Stage::Download, at as f64 / 7.0)
        };
        // with each: an answer may have been lost
        let media = MediaInfo {
            title: Some("A talk about nothing".to_owned()),
            webpage_url: Some("http://127.0.0.1:40555/talks/nothing.mp4?job=3".to_owned()),
            extractor: Some("generic".to_owned()),
            uploader: None,
            duration_seconds: None,
            is_of_list: false,
        };
        let beat = |job: Leased| Beat { lease: job.lease, progress, media: Some(media.clone()) };
        let beats: Vec<Beat> = (0..count).map(|_| turn(&self.running).map(beat)).collect::<Result<_>>()?;
        Ok(jobs.heartbeat(&beats).await.map(drop)?)
    }

    fn about(&self) -> WorkerInfo {
        WorkerInfo {
            id: self.worker.to_string(),
            regions: vec![self.region.clone()],
            slots: 2,
            running: 0,
            disk_full: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ytdlp: "2026.01.01".to_owned(),
            sandbox: Some("a".to_owned()),
            started: jiff::Timestamp::UNIX_EPOCH,
        }
    }
}

fn object(job: &Leased) -> ObjectKey {
    ObjectKey::new(job.lease.job, job.lease.fence, "mp4")
}

fn put<T>(list: &Mutex<VecDeque<T>>, one: T) {
    list.lock().unwrap().push_back(one);
}

fn take<T>(list: &Mutex<VecDeque<T>>) -> Result<T> {
    list.lock().unwrap().pop_front().context("no job is left for this call")
}

/// The first, which becomes the last.
fn turn<T: Clone>(list: &Mutex<VecDeque<T>>) -> Result<T> {
    let mut list = list.lock().unwrap();
    let first = list.pop_front().context("no job is left for this call")?;
    list.push_back(first.clone());
    Ok(first)
}
