//! A worker whose jobs are nothing: the claim loop, the leases and the heartbeat of `haul-worker`, over an
//! attempt that completes its job at once.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use haul_shared::config::Env;
use haul_shared::ids::WorkerId;
use haul_shared::metadata::MetadataCache;
use haul_shared::redis::Server;
use haul_shared::storage::{Role, Storage};
use haul_shared::store::{Kind, Leased};
use haul_worker::board::Board;
use haul_worker::claim::Slot;
use haul_worker::config::WorkerConfig;
use haul_worker::context::Context;
use haul_worker::ffmpeg::Ffmpeg;
use haul_worker::guard::{Caps, Guards};
use haul_worker::metrics::Metrics;
use haul_worker::origin::Patience;
use haul_worker::process::Limits;
use haul_worker::relay::{self, Relays};
use haul_worker::scratch::Scratch;
use haul_worker::segments::{self, Segments};
use haul_worker::shape::Lane;
use haul_worker::storage_watch::StorageWatch;
use haul_worker::thumbnails::Thumbnails;
use haul_worker::webhooks::Webhooks;
use haul_worker::ytdlp::{Ytdlp, YtdlpSettings};
use haul_worker::{claim, heartbeat};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::roles::{Orders, say};
use crate::stage;

/// What the worker is to do.
#[derive(Debug, clap::Args)]
pub struct Order {
    /// The Redis
    #[arg(long)]
    redis: String,
    /// Jobs at once
    #[arg(long)]
    slots: usize,
    /// End after so many and tell the seconds; without it the time at which each job begins is told
    #[arg(long)]
    jobs: Option<u64>,
    /// Tell nothing
    #[arg(long, conflicts_with = "jobs")]
    silent: bool,
}

/// Works until it has done what it was told, or the benchmark is gone.
///
/// # Errors
/// When a part is missing.
pub async fn run(order: Order) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let ctx = Arc::new(context(&order, scratch.path().to_str().context("a path in UTF-8")?).await?);
    ctx.store.ping().await?;
    let mut orders = Orders::listen();
    say("ready");
    if !orders.go_on().await {
        return Ok(());
    }
    let stop = CancellationToken::new();
    let beating = Arc::clone(&ctx);
    let heart = tokio::spawn(async move {
        heartbeat::run(&beating.store, &beating.board, beating.config.queue.lease).await;
    });
    let (began, ended) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let (jobs, all, silent) = (TaskTracker::new(), order.jobs, order.silent);
    let attempt = |ctx: Arc<Context>, leased: Leased, slot: Slot| {
        let (ended, stop) = (Arc::clone(&ended), stop.clone());
        async move {
            let _slot = slot;
            if all.is_none() && !silent {
                say(&now_ns().to_string());
            }
            if complete(&ctx, leased).await.is_ok() && Some(ended.fetch_add(1, Ordering::Relaxed) + 1) == all {
                say(&began.elapsed().as_secs_f64().to_string());
                stop.cancel();
            }
        }
    };
    tokio::select! {
        () = claim::run(Arc::clone(&ctx), Kind::Download, order.slots, jobs.clone(), stop.clone(), attempt) => {}
        _ = orders.go_on() => {}
    }
    heart.abort();
    Ok(())
}

/// What a job needs on its way from leased to completed, and no work.
async fn complete(ctx: &Context, leased: Leased) -> Result<()> {
    let _entry = ctx.board.enter(leased.lease.clone(), (leased.attempt, leased.max_attempts), leased.reached);
    ctx.store.complete(&leased.lease, &stage::result_of(&leased.lease), &[]).await?;
    Ok(())
}

/// The parts of a worker. Its programs are named, and never started.
async fn context(order: &Order, scratch: &str) -> Result<Context> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("a path in UTF-8")?;
    let slots = order.slots.to_string();
    let variables = [
        ("HAUL_REDIS_URL", order.redis.as_str()),
        ("HAUL_DATA_DIR", scratch),
        ("HAUL_SLOTS", slots.as_str()),
        ("HAUL_MIN_FREE_DISK", "1MiB"),
        // all jobs are of one site, and there is none
        ("HAUL_SITE_RUNNING_LIMIT", "off"),
        ("HAUL_YTDLP", program),
        ("HAUL_FFMPEG", program),
        ("HAUL_FFPROBE", program),
    ];
    let config = WorkerConfig::from_env(&Env::of_pairs(variables)).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let id = WorkerId::on_host("bench");
    let limits = relay::Limits { connections: 1, retries: 0, range_bytes: None, bytes_per_second: None };
    Ok(Context {
        guards: Guards::new(config.egress.clone(), Caps::for_files_of(1))?,
        relays: Relays::new(limits, Patience::default()),
        segments: Segments::new(
            segments::Limits { at_once: 1, retries: 0, rate: None, most_bytes: 1 },
            Patience::default(),
        ),
        store: stage::store(&order.redis)?,
        storage: Arc::new(Storage::connect(&config.storage, Role::Worker).await?),
        storage_watch: StorageWatch::default(),
        cache: MetadataCache::new(Server::at(&order.redis, 1)?, config.lives.metadata),
        objects_due: Notify::new(),
        board: Board::default(),
        scratch: Scratch::open(config.work_dir.clone().into(), &id).await?,
        metrics: Metrics::new(config.slots, "none"),
        jars: haul_worker::jar::Jars::default(),
        sandbox: haul_worker::sandbox::Sandbox::off(),
        ytdlp: Ytdlp::new(YtdlpSettings {
            concurrent_fragments: config.download.concurrent_fragments,
            retries: config.download.retries,
            fragment_retries: config.download.fragment_retries,
            ..haul_tests::ytdlp(program.into())
        }),
        ffmpeg: Ffmpeg {
            ffmpeg: program.into(),
            ffprobe: program.into(),
            made_of: Vec::new(),
            launcher: None,
            sandbox: haul_worker::sandbox::Sandbox::off(),
            limits: Limits::default(),
            threads: 1,
        },
        coding: Lane::for_cores(NonZeroUsize::MIN),
        thumbnails: Thumbnails::on_cores(NonZeroUsize::MIN),
        webhooks: Webhooks::default(),
        id,
        config,
    })
}

/// By the clock that all processes of the machine share.
#[must_use]
pub fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
