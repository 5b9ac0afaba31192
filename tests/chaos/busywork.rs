//! `haul-worker` with work that is nothing but time, for more jobs than yt-dlp could do: everything around the work, from
//! the claim to the stored object, is as it is shipped.
//!
//! A job takes up to half a second, one in seven fails and is tried again, with a yt-dlp that is worse one in two, and a result
//! is the name of its own object.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures::future::BoxFuture;
use haul_shared::config::Env;
use haul_shared::job::{Artifact, Beside, Delivery, Failure, FailureKind, JobSpec, RetryPolicy, Stage};
use haul_shared::shutdown::Shutdown;
use haul_shared::storage::{ObjectKey, ObjectMeta};
use haul_shared::store::Pulse;
use haul_shared::telemetry::{self, Service};
use haul_tests::chaos::WORSE_YTDLP;
use haul_worker::attempt::Outcome;
use haul_worker::board::Running;
use haul_worker::config::WorkerConfig;
use haul_worker::context::Context;
use haul_worker::guard::Guard;
use haul_worker::insist::surely;
use haul_worker::pipeline::Made;
use haul_worker::thumbnails::Subject;
use rand::RngExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("busywork: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let mut config = WorkerConfig::from_env(&Env::of_process()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    config.retry = RetryPolicy { base: Duration::from_millis(50), cap: Duration::from_millis(500) };
    let service =
        Service { name: "busywork", version: env!("CARGO_PKG_VERSION"), regions: String::new(), audits: false };
    let _telemetry = telemetry::start(&config.log, None, &service)?;
    let listener = TcpListener::bind(config.listen).await?;
    let shutdown = Shutdown::on_signals(config.shutdown_grace)?;
    haul_worker::run::run_with(config, listener, shutdown, busywork).await
}

fn busywork<'a>(
    ctx: &'a Context,
    (job, _): (&'a Running, &'a Guard),
    _: &'a JobSpec,
    scratch: &'a Path,
) -> BoxFuture<'a, Result<Outcome, Failure>> {
    Box::pin(async move {
        let stopped = || Failure::new(FailureKind::Internal, "stopped");
        let pieces = rand::rng().random_range(1..=10);
        job.enter(Stage::Download);
        for piece in 0..pieces {
            job.advance(Stage::Download, f64::from(piece) / f64::from(pieces));
            let pause = tokio::time::sleep(Duration::from_millis(50));
            job.stop_token().run_until_cancelled(pause).await.ok_or_else(stopped)?;
        }
        if rand::rng().random_ratio(1, 7) {
            return Err(Failure::new(FailureKind::Network, "one in seven"));
        }
        if ctx.ytdlp.version().as_deref() == Some(WORSE_YTDLP) && rand::rng().random_bool(0.5) {
            return Err(Failure::new(FailureKind::ExtractorError, "one in two"));
        }
        let object = ObjectKey::new(job.lease().job, job.lease().fence, "mp4");
        let file = scratch.join("media.mp4");
        let written = tokio::fs::write(&file, object.as_str()).await;
        written.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let reserved = surely(|| ctx.store.reserve(job.lease(), &object));
        match job.stop_token().run_until_cancelled(reserved).await.ok_or_else(stopped)? {
            Ok(Pulse::Ok) => {}
            _ => return Err(stopped()),
        }
        let meta = ObjectMeta { content_type: "video/mp4".to_owned(), sha256: "0".repeat(64) };
        let put = ctx.storage.put(&object, &file, &meta, |_| {}).await;
        put.map_err(|error| Failure::new(FailureKind::StorageUnavailable, error.to_string()))?;
        Ok(Outcome::Made(Box::new(Made {
            artifact: artifact(object),
            subject: Subject::default(),
            stages: Vec::new(),
            way: haul_worker::way::Way::Relay,
            own_extractor: None,
        })))
    })
}

fn artifact(object: ObjectKey) -> Artifact {
    Artifact {
        size_bytes: object.as_str().len() as u64,
        object,
        stem: "busywork".to_owned(),
        extension: "mp4".to_owned(),
        content_type: "video/mp4".to_owned(),
        sha256: "0".repeat(64),
        duration_seconds: None,
        width: None,
        height: None,
        vcodec: None,
        acodec: None,
        container: "mp4".to_owned(),
        asked: None,
        got: None,
        delivery: Delivery::Ytdlp,
        reason: String::new(),
        is_recording: false,
        beside: Beside::default(),
    }
}
