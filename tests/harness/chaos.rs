//! A service to which everything happens that happens to services, at random and from a seed: processes die, sleep and
//! are told to stop, Redis dies and stops answering, wires are held and cut and lose answers.
//!
//! Half of the processes reach Redis over a wire that fails. Who asks for downloads meanwhile, and what must be so in
//! the end, is the test's.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::house::{House, Store};
use crate::processes::{Process, Seen, alive};
use crate::proxy::{Asked, Loss, Proxy};

/// The region whose jobs are done without programs, by `tests/chaos/busywork.rs`.
pub const BUSY: &str = "busy";

/// The yt-dlp of most of these workers, by what it says of itself.
const YTDLP: &str = "2000.01.01";

/// That of one of them: it is on trial beside the others, and fails more often.
pub const WORSE_YTDLP: &str = "2999.01.01";

/// Scripts whose answers are lost.
const SCRIPTS: [&str; 6] = ["lease", "heartbeat", "reserve", "complete", "fail", "submit"];

const TOLD: [(&str, &str); 5] = [
    ("HAUL_LEASE", "3s"),
    ("HAUL_REGIONS", "default,busy"),
    ("HAUL_MAX_ATTEMPTS", "10"),
    ("HAUL_SHUTDOWN_GRACE", "2s"),
    ("HAUL_TRUSTED_PROXIES", "127.0.0.0/8"),
];

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Api,
    Worker,
    Busy,
    /// The same with the newer yt-dlp.
    Newer,
}

struct Actor {
    part: Part,
    is_wired: bool,
    process: Process,
    /// Stopped until then.
    asleep: Option<Instant>,
}

/// The service, and what becomes of it.
pub struct Chaos {
    /// Redis, the site and the store; its own API is never hurt.
    pub house: House,
    /// Programs that only tell their version.
    ytdlps: TempDir,
    wire: Proxy,
    actors: Vec<Actor>,
    doors: watch::Sender<Vec<SocketAddr>>,
    chance: StdRng,
    programs: BTreeSet<Seen>,
    began: Instant,
    diary: Vec<String>,
}

impl Chaos {
    /// Opens the house: two APIs, two workers of one slot with real programs, and four of four slots without, one of them with a
    /// newer yt-dlp.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn open(seed: u64) -> Result<Self> {
        let house = House::open(Store::Disk, &TOLD).await?;
        let wire = Proxy::to_redis(house.redis.address()).await;
        let mut chaos = Self {
            house,
            ytdlps: TempDir::new()?,
            wire,
            actors: Vec::new(),
            doors: watch::Sender::default(),
            chance: StdRng::seed_from_u64(seed),
            programs: BTreeSet::new(),
            began: Instant::now(),
            diary: vec![format!("seed {seed}")],
        };
        for version in [YTDLP, WORSE_YTDLP] {
            let program = chaos.ytdlps.path().join(version);
            std::fs::write(&program, format!("#!/bin/sh\necho {version}\n"))?;
            std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        }
        for (part, count) in [(Part::Api, 2), (Part::Worker, 2), (Part::Busy, 3), (Part::Newer, 1)] {
            for nth in 0..count {
                let is_wired = nth % 2 == 0;
                let process = chaos.start(part, is_wired).await?;
                chaos.actors.push(Actor { part, is_wired, process, asleep: None });
            }
        }
        chaos.show_doors();
        Ok(chaos)
    }

    /// Where the APIs are, now and later.
    #[must_use]
    pub fn doors(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.doors.subscribe()
    }

    /// What happened when.
    #[must_use]
    pub fn diary(&self) -> String {
        self.diary.join("\n")
    }

    /// Lets things happen for so long, one every half second to two.
    ///
    /// # Errors
    /// When what was killed cannot be started again.
    pub async fn rage(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut next = Instant::now();
        while Instant::now() < end {
            self.wake(Instant::now())?;
            if Instant::now() >= next {
                self.hurt().await?;
                next = Instant::now() + self.between(0.5, 2.0);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.note("enough");
        self.wake(end + Duration::from_secs(3600))
    }

    /// Tells every worker to stop, and waits until they have; then every API.
    ///
    /// # Errors
    /// When one does not, or ends badly, or leaves a program behind.
    pub async fn end(&mut self) -> Result<()> {
        for part in [Part::Worker, Part::Busy, Part::Newer, Part::Api] {
            let mut all: Vec<Actor> = self.actors.extract_if(.., |actor| actor.part == part).collect();
            for actor in &all {
                self.programs.extend(actor.process.descendants());
                actor.process.signal(Signal::TERM)?;
            }
            for actor in &mut all {
                let status = actor.process.ended().await?;
                anyhow::ensure!(status.success(), "{part:?} ended with {status}");
            }
        }
        crate::processes::until("every program has ended", async || alive(&self.programs).is_empty()).await?;
        Ok(())
    }

    async fn hurt(&mut self) -> Result<()> {
        let at = self.chance.random_range(0..self.actors.len());
        match self.chance.random_range(0..100) {
            0..35 => self.replace(at, None).await,
            35..40 => self.replace(at, Some(Signal::TERM)).await,
            40..60 => {
                let sleep = self.between(1.0, 6.0);
                self.note(&format!("{:?} {at} sleeps {sleep:?}", self.actors[at].part));
                self.actors[at].process.signal(Signal::STOP)?;
                self.actors[at].asleep = Some(Instant::now() + sleep);
                Ok(())
            }
            60..66 => {
                let away = self.between(0.0, 3.0);
                self.note(&format!("redis is killed for {away:?}"));
                self.house.redis.kill()?;
                tokio::time::sleep(away).await;
                self.house.redis.restart().await
            }
            66..72 => {
                let away = self.between(0.5, 5.0);
                self.note(&format!("redis is stopped for {away:?}"));
                self.house.redis.signal(Signal::STOP)?;
                tokio::time::sleep(away).await;
                self.house.redis.signal(Signal::CONT)
            }
            72..80 => {
                let away = self.between(0.5, 5.0);
                let is_cut = self.chance.random_bool(0.5);
                self.note(&format!("the wire is {} for {away:?}", if is_cut { "cut" } else { "held" }));
                if is_cut {
                    self.wire.cut();
                } else {
                    self.wire.hold();
                }
                tokio::time::sleep(away).await;
                self.wire.pass();
                Ok(())
            }
            _ => {
                let script = SCRIPTS[self.chance.random_range(0..SCRIPTS.len())];
                let loss = if self.chance.random_bool(0.7) { Loss::Closed } else { Loss::Silent };
                self.note(&format!("an answer to {script} is lost: {loss:?}"));
                self.wire.lose(Asked::Script(script), 0, loss);
                Ok(())
            }
        }
    }

    /// Ends a process, with a signal or without a word, and puts another one in its place.
    async fn replace(&mut self, at: usize, signal: Option<Signal>) -> Result<()> {
        let (part, is_wired) = (self.actors[at].part, self.actors[at].is_wired);
        let actor = &mut self.actors[at];
        self.programs.extend(actor.process.descendants());
        // who sleeps hears nothing
        if let Some(signal) = signal.filter(|_| actor.asleep.is_none()) {
            actor.process.signal(signal)?;
            actor.process.ended().await?;
        } else {
            actor.process.kill()?;
        }
        self.note(&format!("{part:?} {at} {}", if signal.is_some() { "is told to stop" } else { "is killed" }));
        let process = self.start(part, is_wired).await?;
        self.actors[at] = Actor { part, is_wired, process, asleep: None };
        self.show_doors();
        Ok(())
    }

    async fn start(&self, part: Part, is_wired: bool) -> Result<Process> {
        let url = if is_wired { self.wire.redis_url() } else { self.house.redis.url() };
        let redis = ("HAUL_REDIS_URL", url.as_str());
        match part {
            Part::Api => self.house.another_api(&[redis]).await,
            Part::Worker => self.house.worker(&[redis, ("HAUL_SLOTS", "1")]).await,
            Part::Busy | Part::Newer => {
                let version = if part == Part::Newer { WORSE_YTDLP } else { YTDLP };
                let ytdlp = self.ytdlps.path().join(version).display().to_string();
                let nothing = ["HAUL_FFMPEG", "HAUL_FFPROBE"].map(|program| (program, "/bin/echo"));
                let own = [redis, ("HAUL_SLOTS", "4"), ("HAUL_REGION", BUSY), ("HAUL_YTDLP", &ytdlp)];
                self.house.worker_like("examples/busywork", &[&own[..], &nothing[..]].concat()).await
            }
        }
    }

    /// Wakes everybody who has slept until then.
    fn wake(&mut self, now: Instant) -> Result<()> {
        for actor in self.actors.iter_mut().filter(|actor| actor.asleep.is_some_and(|until| until <= now)) {
            actor.process.signal(Signal::CONT)?;
            actor.asleep = None;
        }
        Ok(())
    }

    fn show_doors(&self) {
        let apis = self.actors.iter().filter(|actor| actor.part == Part::Api);
        self.doors.send_replace(apis.map(|actor| actor.process.address()).collect());
    }

    fn between(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(self.chance.random_range(from..to))
    }

    fn note(&mut self, what: &str) {
        self.diary.push(format!("{:8.3} {what}", self.began.elapsed().as_secs_f64()));
    }
}
