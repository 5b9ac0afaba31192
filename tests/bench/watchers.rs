//! Ten thousand who follow downloads on one API: what its process takes of memory and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use haul_shared::job::{Progress, Stage};
use haul_shared::serve::open_more_files;
use haul_shared::store::{Beat, Leased};
use haul_tests::processes::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figures::{begin, compare, remark, tell};
use crate::stage::{Stage as Service, store, take};

/// Who follows, each over a connection of its own.
const WATCHERS: usize = 10_000;

/// What the product promises, in bytes of the process.
const ROOM: f64 = 200.0 * 1024.0 * 1024.0;

/// How long it is measured; each job says once a second how far it is.
const WINDOW: Duration = Duration::from_secs(30);

/// Measures with one job that all follow, and with a hundred.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run() -> Result<()> {
    begin("watchers: MiB of the API with 10,000 who follow (the floor is the promise)");
    open_more_files();
    for jobs in [1, 100] {
        measure(jobs).await?;
    }
    Ok(())
}

async fn measure(jobs: usize) -> Result<()> {
    let service = Service::with_finished(0).await?;
    let paths = service.queue_some(0..jobs).await?;
    let leased = take(&service.redis.url(), jobs).await?;
    let (id, before) = (service.api.id(), resident(service.api.id())?);
    let heard = Arc::new(AtomicU64::new(0));
    let mut watchers = JoinSet::new();
    for number in 0..WATCHERS {
        let (path, heard) = (&paths[number % jobs], Arc::clone(&heard));
        let client = format!("10.3.{}.{}", number / 250, number % 250 + 1);
        let mut stream = TcpStream::connect(service.api()).await?;
        let head = format!("GET {path}/events HTTP/1.1\r\nhost: haul\r\nx-forwarded-for: {client}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        watchers.spawn(follow(stream, heard));
    }
    until("everybody has heard something", async || heard.load(Ordering::Relaxed) >= WATCHERS as u64).await?;
    let silent = resident(id)?;
    heard.store(0, Ordering::Relaxed);
    let (cpu, began) = (cpu_seconds(id)?, Instant::now());
    let (store, mut beats, mut peak) = (store(&service.redis.url())?, 0_u64, silent);
    while began.elapsed() < WINDOW {
        let percent = 1.0 + beats as f64;
        let progress = Progress { downloaded_bytes: Some(beats), ..Progress::at(Stage::Download, percent) };
        let beat = |leased: &Leased| Beat { lease: leased.lease.clone(), progress, media: None };
        store.heartbeat(&leased.iter().map(beat).collect::<Vec<_>>()).await?;
        beats += 1;
        tokio::time::sleep_until((began + Duration::from_secs(1) * u32::try_from(beats)?).into()).await;
        peak = peak.max(resident(id)?);
    }
    let took = began.elapsed().as_secs_f64();
    let (events, spent) = (heard.load(Ordering::Relaxed), cpu_seconds(id)? - cpu);
    ensure!(watchers.len() == WATCHERS, "{} of them were cut off", WATCHERS - watchers.len());
    let name = |what: &str| format!("{what}, {WATCHERS} watchers of {jobs}");
    let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
    compare(&name("MiB"), mib(peak as f64), mib(ROOM), "<= 1");
    tell(&name("MiB per 1,000"), mib((peak - before) as f64) / WATCHERS as f64 * 1000.0);
    tell(&name("events per second"), events as f64 / took);
    tell(&name("CPU seconds per second"), spent / took);
    remark(&format!(
        "{:.0} MiB before them, {:.0} with all of them before anything changed",
        mib(before as f64),
        mib(silent as f64)
    ));
    Ok(())
}

/// Counts the events that come.
async fn follow(mut stream: TcpStream, heard: Arc<AtomicU64>) -> Result<()> {
    let (mut buffer, mut tail) = ([0; 4096], 0);
    loop {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "a stream has ended");
        // `data: ` begins each event once; it may come in two pieces
        const MARK: &[u8] = b"\ndata: ";
        let mut events = 0;
        for byte in &buffer[..read] {
            tail = if *byte == MARK[tail] { tail + 1 } else { usize::from(*byte == MARK[0]) };
            if tail == MARK.len() {
                (events, tail) = (events + 1, 0);
            }
        }
        heard.fetch_add(events, Ordering::Relaxed);
    }
}

/// Memory that a process holds, in bytes.
fn resident(id: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// Seconds of processor that a process has taken: fields 14 and 15 of `proc_pid_stat(5)`, in hundredths.
fn cpu_seconds(id: i32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = text.rsplit_once(") ").context("a name in brackets")?.1;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
