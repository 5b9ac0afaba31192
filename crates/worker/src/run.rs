//! The whole program: parts put together, work done until told to stop, taken down in order.
//!
//! The stop ladder: not ready, no new jobs, finish until the grace ends, then end the programs and hand their jobs
//! back without charging an attempt.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use haul_shared::ids::WorkerId;
use haul_shared::metadata::MetadataCache;
use haul_shared::shutdown::Shutdown;
use haul_shared::storage::{Role, Storage};
use haul_shared::store::{JobStore, Kind, StoreSettings, WORKER_SILENCE, WorkerInfo};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::{self, Work};
use crate::board::{Board, StopReason};
use crate::claim::Slot;
use crate::config::{WorkerConfig, host};
use crate::context::Context;
use crate::ffmpeg::Ffmpeg;
use crate::guard::{Caps, Guards};
use crate::jar::Jars;
use crate::metrics::Metrics;
use crate::relay::{self, Relays};
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use crate::segments::{self, Segments};
use crate::shape::Lane;
use crate::storage_watch::StorageWatch;
use crate::thumbnails::Thumbnails;
use crate::webhooks::{self, Webhooks};
use crate::ytdlp::{Unusable, WarmSettings, Ytdlp};
use crate::{claim, equipment, health, heartbeat, orphans, sweep};

/// Looks at metadata at once, for each processor: the time of a look is half its own work and half the site's.
const LOOKS_PER_PROCESSOR: usize = 2;
/// Fewest and most of them: slow sites need some, and each has a process of some 40 MB.
const LOOKS: [usize; 2] = [4, 16];

/// Connections of one relay: what an origin gives to each of them adds up (`docs/decisions/0014`).
const CONNECTIONS: usize = 16;

/// Jobs after which a warm extractor gives way to a fresh one.
const JOBS_OF_AN_EXTRACTOR: u64 = 500;

/// Between two words of a worker about itself, should there be something to say.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at whether yt-dlp was replaced.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For somebody who is replacing it.
const REPLACED_WITHIN: Duration = Duration::from_secs(60);

/// For jobs that were told to stop: their programs end within two seconds, or are killed within five, the store is told, and what they have sent to
/// the bucket is removed.
const STOPPING: Duration = Duration::from_secs(10);

/// Runs a worker until the shutdown is over.
///
/// # Errors
/// When a part that it cannot do without is missing at start, or ends by itself later.
pub async fn run(config: WorkerConfig, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    run_with(config, listener, shutdown, attempt::by_programs).await
}

/// The same, with the work done in this way.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: WorkerConfig,
    listener: TcpListener,
    shutdown: Shutdown,
    work: Work,
) -> anyhow::Result<()> {
    let Some(built) = shutdown.stop.run_until_cancelled(build(config)).await else { return Ok(()) };
    let ctx = Arc::new(built?);
    let info = about(&ctx);
    tracing::info!(worker = %ctx.id, slots = ctx.config.slots, ytdlp = info.ytdlp, "worker {} takes jobs", ctx.id);

    let (jobs, helpers) = (TaskTracker::new(), TaskTracker::new());
    let (ended, broken) = (CancellationToken::new(), CancellationToken::new());
    let helper = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let (ended, stop, broken) = (ended.clone(), shutdown.stop.clone(), broken.clone());
        helpers.spawn(async move {
            // should one panic: without a heartbeat, say, no job may be taken
            let (_stop, broken) = (stop.drop_guard(), broken.drop_guard());
            if ended.run_until_cancelled(task).await.is_none() {
                broken.disarm();
            }
        });
    };
    helper(Box::pin(beat(Arc::clone(&ctx))));
    helper(Box::pin(remove_old_objects(Arc::clone(&ctx))));
    if let Some(every) = ctx.config.orphan_sweep {
        helper(Box::pin(look_for_orphans(Arc::clone(&ctx), every)));
    }
    helper(Box::pin(announce(Arc::clone(&ctx), info.clone())));
    helper(Box::pin(look_at_replacements(Arc::clone(&ctx))));
    let router = health::router(Arc::clone(&ctx), shutdown.stop.clone());
    let probes = Shutdown { stop: ended.clone(), kill: ended.clone(), grace: Duration::ZERO };
    helpers.spawn(async move { haul_shared::serve::serve(listener, router, &[], probes).await });

    let attempt = |ctx: Arc<Context>, leased, slot: Slot| async move {
        let sitting = attempt::run(&ctx, leased, work).await;
        drop(slot);
        if let Some(sitting) = sitting {
            sitting.sit(&ctx).await;
        }
    };
    let claims = |kind, slots| claim::run(Arc::clone(&ctx), kind, slots, jobs.clone(), shutdown.stop.clone(), attempt);
    let telling = webhooks::run(Arc::clone(&ctx), jobs.clone(), shutdown.stop.clone());
    tokio::join!(claims(Kind::Download, ctx.config.slots), claims(Kind::Metadata, looks_at_once()), telling);

    jobs.close();
    tracing::info!("stopping: {} downloads under way", ctx.board.downloads());
    tokio::select! {
        () = jobs.wait() => {}
        () = tokio::time::sleep(shutdown.grace) => tracing::warn!("the grace is over: downloads go back to the queue"),
        () = shutdown.kill.cancelled() => tracing::warn!("told to stop at once: downloads go back to the queue"),
    }
    ctx.board.stop_all(StopReason::Shutdown);
    ctx.thumbnails.give_up();
    ctx.webhooks.give_up();
    let end = tokio::time::Instant::now() + STOPPING;
    if tokio::time::timeout_at(end, jobs.wait()).await.is_err() {
        tracing::error!("some jobs could not be handed back; their leases run out");
    }
    if tokio::time::timeout_at(end, ctx.storage.settled()).await.is_err() {
        tracing::warn!("parts of broken uploads may be left in the bucket");
    }
    ctx.ytdlp.end().await;
    ended.cancel();
    helpers.close();
    helpers.wait().await;
    if let Err(error) = ctx.store.sign_off(&info).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "could not sign off");
    }
    tracing::info!("stopped");
    // Whoever watches over the process starts it again.
    anyhow::ensure!(!broken.is_cancelled(), "a part of the worker had ended by itself");
    Ok(())
}

/// Slots of the lane in which metadata is looked at; those of downloads are others.
fn looks_at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors * LOOKS_PER_PROCESSOR).clamp(LOOKS[0], LOOKS[1])
}

async fn build(config: WorkerConfig) -> anyhow::Result<Context> {
    let (queue, findings) = config.redis.servers()?;
    queue.check(config.queue.durability).await?;
    let settings = StoreSettings::of(&config.lives, &config.queue);
    let store = JobStore::new(queue.clone(), settings);
    store.agree().await?;
    let cache = MetadataCache::new(findings.clone(), config.lives.metadata);
    let storage = Storage::connect(&config.storage, Role::Worker).await.context("the store of results")?;
    let id = WorkerId::on_host(&host());
    let scratch = Scratch::open(config.work_dir.clone().into(), &id)
        .await
        .with_context(|| format!("no scratch can be made in {}", config.work_dir))?;
    let sandbox = Sandbox::establish(config.sandbox, scratch.dir(), None).await?;
    sandbox.check_fit(config.mode)?;
    let warm = WarmSettings {
        servers: config.warm_extractors,
        jobs_each: JOBS_OF_AN_EXTRACTOR,
        home: scratch.dir().to_owned(),
    };
    let ytdlp = Ytdlp::new(equipment::ytdlp(&config)).confined(&sandbox).warmed(warm);
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ffmpeg = equipment::ffmpeg(&config, &sandbox, cores);
    // the first job would take the slower way, and be slowed down by their start
    let (version, tried, ()) = tokio::join!(look(&ytdlp, &scratch), try_out(&ffmpeg, &scratch), ytdlp.begun());
    let version = version?;
    tried?;
    let caps = Caps::for_files_of(config.limits.max_file_bytes);
    let caps = caps.for_fragments(config.download.concurrent_fragments as usize);
    let guards = Guards::new(config.egress.clone(), caps)?;
    let guards = guards.through(config.proxy.clone()).found_at(sandbox.guard_inside());
    let relays = Relays::new(relay_limits(&config), ytdlp.patience());
    let segments = Segments::new(segments_limits(&config), ytdlp.patience());
    let metrics = Metrics::new(config.slots, &version);
    metrics.show(ytdlp.counts().collectors());
    metrics.show(guards.counts().collectors());
    metrics.show_calls((&queue, &findings), &storage);
    metrics.confines_by(sandbox.tier());
    metrics.needs_disk(config.limits.min_free_disk_bytes);
    Ok(Context {
        id,
        store,
        storage: Arc::new(storage),
        storage_watch: StorageWatch::default(),
        cache,
        objects_due: Notify::new(),
        board: Board::default(),
        scratch,
        metrics,
        jars: Jars::in_dir(config.cookies_dir.clone().map(Into::into)),
        sandbox,
        ytdlp,
        guards,
        relays,
        segments,
        ffmpeg,
        coding: Lane::for_cores(cores),
        thumbnails: Thumbnails::on_cores(cores),
        webhooks: Webhooks::default(),
        config,
    })
}

/// As yt-dlp is told of fragments.
fn segments_limits(config: &WorkerConfig) -> segments::Limits {
    let download = &config.download;
    segments::Limits {
        at_once: download.concurrent_fragments as usize,
        retries: download.fragment_retries,
        rate: download.rate_limit_bytes,
        most_bytes: config.limits.max_file_bytes,
    }
}

/// As yt-dlp is told, as far as it means anything to a relay.
fn relay_limits(config: &WorkerConfig) -> relay::Limits {
    let download = &config.download;
    relay::Limits {
        connections: CONNECTIONS,
        retries: download.retries,
        range_bytes: download.http_chunk_bytes,
        bytes_per_second: download.rate_limit_bytes,
    }
}

/// Also proves, before a job is taken, that programs can be started at all.
async fn look(ytdlp: &Ytdlp, scratch: &Scratch) -> anyhow::Result<String> {
    let dir = scratch.attempt().await.context("no scratch can be made")?;
    let version = ytdlp.look(dir.path()).await;
    dir.remove().await;
    Ok(version?)
}

/// The same of the programs that work on what yt-dlp has found.
async fn try_out(ffmpeg: &Ffmpeg, scratch: &Scratch) -> anyhow::Result<()> {
    let dir = scratch.attempt().await.context("no scratch can be made")?;
    let tried = ffmpeg.look(dir.path()).await;
    dir.remove().await;
    tried?;
    Ok(())
}

/// What this worker says of itself.
fn about(ctx: &Context) -> WorkerInfo {
    WorkerInfo {
        id: ctx.id.to_string(),
        regions: ctx.config.regions.clone(),
        slots: u32::try_from(ctx.config.slots).unwrap_or(u32::MAX),
        running: 0,
        disk_full: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ytdlp: ctx.ytdlp.version().unwrap_or_default(),
        sandbox: Some(ctx.sandbox.tier().word().to_owned()),
        started: Timestamp::now(),
    }
}

async fn beat(ctx: Arc<Context>) {
    heartbeat::run(&ctx.store, &ctx.board, ctx.config.queue.lease).await;
}

async fn remove_old_objects(ctx: Arc<Context>) {
    sweep::run(&ctx.store, &ctx.storage, &ctx.objects_due).await;
}

async fn look_for_orphans(ctx: Arc<Context>, every: Duration) {
    let age = ctx.config.lives.job + ctx.config.lives.result;
    orphans::run(&ctx.store, &ctx.storage, &ctx.id, orphans::Terms { every, age }).await;
}

/// Looks at each yt-dlp that is put in the place of the last one, until one may not be used, or can't be run: then the worker
/// stops, and is not started again with it. One that is somewhere else, and stands on files that programs are not shown, is
/// run by the next worker.
async fn look_at_replacements(ctx: Arc<Context>) {
    let mut broken: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !ctx.ytdlp.was_replaced().await {
            broken = None;
            continue;
        }
        let looked = look(&ctx.ytdlp, &ctx.scratch).await.map_err(anyhow::Error::downcast::<Unusable>);
        match looked {
            Ok(_) => broken = None,
            Err(Ok(unusable @ (Unusable::Unfit(_) | Unusable::Extractors(_)))) => {
                return tracing::error!("yt-dlp was replaced: {unusable}");
            }
            // it is being replaced just now: the next look tells more
            Err(Ok(unusable @ Unusable::Broken(_))) => {
                if broken.get_or_insert_with(Instant::now).elapsed() > REPLACED_WITHIN {
                    return tracing::error!("yt-dlp was replaced, and can't be run: {unusable}");
                }
            }
            // for want of scratch, say, of which others tell
            Err(Err(error)) => tracing::debug!("the yt-dlp that was replaced can't be looked at: {error:#}"),
        }
    }
}

/// Says so until it is dropped: when what it says has changed, and twice in the time until it counts as gone. It waits for no
/// program. Not more often: an idle worker costs Redis at most twelve commands a minute.
async fn announce(ctx: Arc<Context>, mut info: WorkerInfo) {
    let mut said: Option<Instant> = None;
    loop {
        let running = u32::try_from(ctx.board.downloads()).unwrap_or(u32::MAX);
        let disk_full = !ctx.has_room().await;
        if let Some(version) = ctx.ytdlp.version().filter(|version| *version != info.ytdlp) {
            tracing::info!(ytdlp = version, "yt-dlp was replaced by {version}");
            ctx.metrics.runs_with(&version);
            (info.ytdlp, said) = (version, None);
        }
        let is_stale = said.is_none_or(|said| said.elapsed() >= WORKER_SILENCE.mul_f64(0.4));
        if is_stale || (running, disk_full) != (info.running, info.disk_full) {
            (info.running, info.disk_full) = (running, disk_full);
            match ctx.store.announce(&info).await {
                Ok(objects_due) => {
                    said = Some(Instant::now());
                    if objects_due > 0 {
                        ctx.objects_due.notify_one();
                    }
                }
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "could not announce"),
            }
        }
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}
