//! The whole program: parts put together, served until told to stop, taken down in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use haul_shared::config::Mode;
use haul_shared::metadata::MetadataCache;
use haul_shared::redis::RedisUnfit;
use haul_shared::shutdown::Shutdown;
use haul_shared::storage::{Role, Storage, StorageError};
use haul_shared::store::{JobStore, StoreError, StoreSettings};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::auth::{KeyRing, KeysError};
use crate::config::ApiConfig;
use crate::events::Feeds;
use crate::limits::Limits;
use crate::metadata::MetadataService;
use crate::metrics::Metrics;
use crate::representation::Representations;
use crate::request::Rules;
use crate::results::Results;
use crate::router::{Routers, routers};
use crate::shares::{self, Shares};
use crate::tally::Tally;
use crate::usage::UsageService;
use crate::webhooks;
use haul_shared::serve::{most_connections, serve};

/// Why an API does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The queue is not to be had, or is another one.
    #[error("the queue cannot be used")]
    Queue(#[from] StoreError),
    /// Redis cannot hold the queue.
    #[error("redis cannot be used")]
    Redis(#[from] RedisUnfit),
    /// The store of results cannot be opened.
    #[error("the store of results cannot be used")]
    Storage(#[from] StorageError),
    /// The keys cannot be read.
    #[error("the keys cannot be used")]
    Keys(#[from] KeysError),
}

/// The open ports of one API.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub public: TcpListener,
    /// For operators.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Opens the ports that the configuration names.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub async fn bind(config: &ApiConfig) -> Result<Self, StartError> {
        let bind = async |address| TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error));
        let public = bind(config.listen).await?;
        let admin = match config.admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { public, admin })
    }
}

/// Runs an API until the shutdown is over.
///
/// # Errors
/// [`StartError`]; once it serves it does not fail.
pub async fn run(config: ApiConfig, listeners: Listeners, shutdown: Shutdown) -> Result<(), StartError> {
    let address = listeners.public.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
    let tasks = TaskTracker::new();
    let app = Arc::new(build(config, address, &shutdown, &tasks).await?);
    let Routers { public, admin } = routers(&app);

    let (limits, keys, stop) = (Arc::clone(&app), Arc::clone(&app), shutdown.stop.clone());
    tasks.spawn(async move { limits.limits.tidy(stop).await });
    let stop = shutdown.stop.clone();
    tasks.spawn(async move {
        if let Some(ring) = &keys.keys {
            ring.follow(stop).await;
        }
    });

    let (jobs, stop) = (app.jobs.clone(), shutdown.stop.clone());
    tasks.spawn(async move { stop.run_until_cancelled(jobs.look_after()).await });
    let (jobs, stop) = (app.jobs.clone(), shutdown.stop.clone());
    let moves = jobs.relocate_always(app.config.regions.clone(), app.config.region_fallback);
    tasks.spawn(async move { stop.run_until_cancelled(moves).await });
    if let Some(share) = app.config.trial_share {
        let (trials, stop) = (app.jobs.clone().keep_trials(share), shutdown.stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(trials).await });
    }

    let (signing, stop) = (Arc::clone(&app), shutdown.stop.clone());
    tasks.spawn(async move { stop.run_until_cancelled(webhooks::publish(&signing)).await });

    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening on {address}");
    let proxies = &app.config.trusted_proxies;
    let serve_admin = async {
        if let Some(listener) = listeners.admin {
            serve(listener, admin, proxies, shutdown.clone()).await;
        }
    };
    tokio::join!(serve(listeners.public, public, proxies, shutdown.clone()), serve_admin);
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(shutdown.grace) => {}
        () = shutdown.kill.cancelled() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// Jobs that one client may follow at once. Behind a key there may be many people, behind a stranger's address there are few.
fn streams_of_a_client(config: &ApiConfig) -> usize {
    let meets_strangers = config.mode == Mode::Public && config.api_keys_file.is_none();
    if meets_strangers { 512 } else { 10_000 }
}

/// Those of all clients together. Each may hold a connection for hours, and some are kept for all else.
fn streams_of_all() -> usize {
    let connections = most_connections();
    connections.saturating_sub(800).max(connections / 2)
}

async fn build(
    config: ApiConfig,
    address: SocketAddr,
    shutdown: &Shutdown,
    tasks: &TaskTracker,
) -> Result<App, StartError> {
    // before anything is reached for: a fault of the configuration is told whatever else is down
    let keys = config.api_keys_file.as_deref().map(KeyRing::open).transpose()?;
    let base_url = config.base_url(address);
    let (queue, findings) = config.redis.servers()?;
    queue.check(config.queue.durability).await?;
    let settings = StoreSettings::of(&config.lives, &config.queue);
    let storage = Storage::connect(&config.storage, Role::Api { public_url: base_url.clone() }).await?;
    let results = Results::new(storage.clone());
    let jobs = JobStore::seeing(queue.clone(), settings, results.looks());
    jobs.agree().await?;
    let cache = MetadataCache::new(findings.clone(), config.lives.metadata);
    let metrics = Metrics::new(&config.regions);
    metrics.show_calls((&queue, &findings), &storage);
    Ok(App {
        metadata: MetadataService::new(&config, cache, jobs.clone(), tasks.clone()),
        rules: Rules {
            regions: config.regions.clone(),
            result_ttl: config.lives.result,
            egress: config.egress.clone(),
        },
        base_url,
        usage: UsageService::new(jobs.clone()),
        jobs,
        results,
        keys,
        representations: Representations::default(),
        waits: Shares::new(shares::ANSWERS, usize::MAX),
        tally: Tally::default(),
        feeds: Feeds::default(),
        streams: Shares::new(streams_of_a_client(&config), streams_of_all()),
        waiting_for_thumbnails: Shares::new(shares::PICTURES, shares::PICTURES_OF_ALL),
        sorting: Shares::new(shares::LISTS, shares::LISTS_OF_ALL),
        zips: Shares::new(shares::ZIPS, shares::ZIPS_OF_ALL),
        limits: Limits::default(),
        metrics,
        tasks: tasks.clone(),
        shutdown: shutdown.stop.clone(),
        config,
    })
}
