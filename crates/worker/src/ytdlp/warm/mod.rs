//! Warm extractors: fork servers of yt-dlp that are kept up, and a child of one of them for each job.
//!
//! A place always has a server that takes jobs, or is about to: one that died, does not answer, has served its number of
//! jobs, or has become another version is replaced, while its jobs go on. Nothing here is needed: whoever gets no answer
//! takes the plain command line.
//!
//! Not here: what a child is told and what its words mean (`child`, `server.py`), what becomes of an error (`failure`).

mod child;
pub(super) mod interpreter;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::YtdlpSettings;
use super::counts::{Counts, Why};
use crate::sandbox::Sandbox;
pub(super) use child::{Asked, Child, NoAnswer};
use server::{Recipe, Server, StartError};

/// Between two looks at a server that nobody uses.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Before another try at a server that does not start.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// For all servers to end.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// How warm extractors are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmSettings {
    /// How many servers (`HAUL_WARM_EXTRACTORS`); each has any number of jobs at once.
    pub servers: usize,
    /// Jobs after which a server gives way to a fresh one: what a fork shares is fragmented with time.
    pub jobs_each: u64,
    /// An existing folder of the worker's own, in which each has a private one until it listens.
    pub home: PathBuf,
}

/// The servers. Dropped, they are ended with their jobs.
#[derive(Debug)]
pub(super) struct Pool {
    places: Vec<Place>,
    turn: AtomicUsize,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop: DropGuard,
}

/// Where one server stands.
type Place = watch::Receiver<Standing>;

#[derive(Debug, Clone, Default)]
enum Standing {
    /// There was none yet.
    #[default]
    Begins,
    /// This one takes jobs.
    Up(Arc<Server>),
    /// There is none for now.
    Down,
}

impl Pool {
    /// Starts the servers. To be called on a runtime.
    pub(super) fn start(
        of: &YtdlpSettings,
        settings: WarmSettings,
        (sandbox, made_of): (&Sandbox, &Arc<[PathBuf]>),
        counts: &Counts,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let WarmSettings { servers, jobs_each, home } = settings;
        let (program, meets_strangers) = (of.program.clone(), of.meets_strangers);
        let (sandbox, made_of) = (sandbox.clone(), Arc::clone(made_of));
        let recipe = Recipe { program, home, jobs_each, meets_strangers, sandbox, made_of, tasks: tasks.clone() };
        let places = (0..servers).map(|_| {
            let (place, seen) = watch::channel(Standing::Begins);
            let keeper = Keeper { place, recipe: recipe.clone(), counts: counts.clone() };
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(keeper.keep()).await });
            seen
        });
        let places = places.collect();
        Self { places, turn: AtomicUsize::new(0), tasks, _stop: stop.clone().drop_guard(), stop }
    }

    /// Waits until each place has, or has not, got its first server.
    pub(super) async fn begun(&self) {
        for place in &self.places {
            let _ = place.clone().wait_for(|standing| !matches!(standing, Standing::Begins)).await;
        }
    }

    /// Has one that takes jobs loaded another yt-dlp than this one?
    pub(super) fn has_other_than(&self, version: &str) -> bool {
        self.others_than(version).next().is_some()
    }

    /// Asks for fresh ones in the places of those.
    pub(super) fn outdate_others_than(&self, version: &str) {
        self.others_than(version).for_each(|server| server.outdate(Why::Changed));
    }

    fn others_than(&self, version: &str) -> impl Iterator<Item = Arc<Server>> {
        self.places.iter().filter_map(move |place| match &*place.borrow() {
            Standing::Up(server) if !server.is_outdated() && server.version() != version => Some(Arc::clone(server)),
            Standing::Begins | Standing::Up(_) | Standing::Down => None,
        })
    }

    /// A child for one job; `None`: no server takes one.
    pub(super) async fn child(&self) -> Option<Child> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.places.len() {
            let place = &self.places[(first + at) % self.places.len()];
            let Standing::Up(server) = place.borrow().clone() else { continue };
            if !server.takes_a_job().await {
                continue;
            }
            if let Some(child) = Child::open(Arc::clone(&server)).await {
                return Some(child);
            }
        }
        None
    }

    /// Ends all servers, and waits until they and their jobs are gone.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(ENDED_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("warm extractors have not ended in time; they end with this process");
        }
    }
}

/// Keeps a server in one place.
struct Keeper {
    place: watch::Sender<Standing>,
    recipe: Recipe,
    counts: Counts,
}

impl Keeper {
    async fn keep(self) {
        let mut again_after = AGAIN_AFTER;
        loop {
            match Server::start(&self.recipe).await {
                Ok(server) => {
                    let began = Instant::now();
                    let why = self.stands_until_outdated(Arc::new(server)).await;
                    if why != Why::Unconfined || began.elapsed() > AGAIN_AT_MOST {
                        again_after = AGAIN_AFTER;
                    }
                    if why != Why::Unconfined {
                        continue;
                    }
                    // the next one will fare as this one, unless somebody changes the machine
                    sleep(again_after).await;
                    again_after = (again_after * 2).min(AGAIN_AT_MOST);
                }
                Err(StartError::NotPython) => {
                    tracing::warn!(
                        "HAUL_YTDLP is no Python program of yt-dlp's: every job takes the plain command line"
                    );
                    self.down();
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no warm extractor could be started: jobs take the plain command line"
                    );
                    self.down();
                    sleep(again_after).await;
                    again_after = (again_after * 2).min(AGAIN_AT_MOST);
                }
            }
        }
    }

    /// Why it is outdated then. Its jobs may keep it alive for longer.
    async fn stands_until_outdated(&self, server: Arc<Server>) -> Why {
        self.put(Standing::Up(Arc::clone(&server)));
        let mut looks = interval(LOOK_EVERY);
        looks.reset();
        loop {
            tokio::select! {
                () = server.outdated() => break,
                _ = looks.tick() => if server.has_changed().await {
                    server.outdate(Why::Changed);
                } else {
                    // whoever does not answer is outdated by that
                    drop(Child::open(Arc::clone(&server)).await);
                },
            }
        }
        let why = server.why();
        self.counts.gave_way(why);
        if why == Why::Served {
            tracing::debug!("a warm extractor has served its time");
        } else {
            tracing::warn!(
                reason = why.word(),
                words = server.words(),
                "a warm extractor is replaced ({}); until then jobs take the plain command line",
                why.word()
            );
            self.down();
        }
        why
    }

    fn down(&self) {
        self.put(Standing::Down);
    }

    fn put(&self, standing: Standing) {
        let is_up = |standing: &Standing| matches!(standing, Standing::Up(_));
        let rises = is_up(&standing);
        let before = self.place.send_replace(standing);
        match (is_up(&before), rises) {
            (false, true) => self.counts.rose(),
            (true, false) => self.counts.fell(),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.down();
    }
}
