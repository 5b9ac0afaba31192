//! What each call costs Redis: each is made some hundred times, alone, through the store as the programs have it, and what
//! `INFO` says before and after is divided by their number.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use haul_shared::ids::{ClientKey, Region, Ticket, WorkerId};
use haul_shared::job::{Failure, FailureKind, JobSpec, Progress, Stage};
use haul_shared::media::Priority;
use haul_shared::source::SourceUrl;
use haul_shared::storage::ObjectKey;
use haul_shared::store::{Beat, ClientLimits, JobStore, Kind, Leased, Submission, WorkerInfo};
use haul_tests::redis::Redis;
use haul_tests::sim::{Call, Cost, Costs};
use redis::aio::MultiplexedConnection;

use crate::stage;

/// Calls of a kind.
const CALLS: usize = 200;

/// Jobs of one worker, where a call is about many.
const MANY: usize = 16;

/// How long the ticks of an API are looked at.
const TICKS: Duration = Duration::from_secs(10);

/// API processes whose ticks are looked at.
const APIS: usize = 50;

struct Desk {
    jobs: JobStore,
    info: MultiplexedConnection,
    region: Region,
    number: u64,
}

/// Measures all of them.
///
/// # Errors
/// When Redis does not start, or a call fails.
pub async fn run() -> Result<Costs> {
    let redis = Redis::start().await?;
    let jobs = stage::store(&redis.url())?;
    let mut desk = Desk { jobs, info: redis.connection().await?, region: "default".parse()?, number: 0 };
    let mut known: Vec<(Call, Cost)> = Vec::new();
    let of =
        |known: &[(Call, Cost)], call| known.iter().find(|(one, _)| *one == call).map_or(Cost::default(), |one| one.1);

    // once in vain: a script is sent as a whole when it is first called
    desk.jobs_through().await?;
    let worker = WorkerId::on_host("bench");
    let mut claims = desk.jobs.claims(&worker, Kind::Download, std::slice::from_ref(&desk.region));
    known.push((Call::Lease, desk.each(CALLS, async |_, _| Ok(claims.take(1).await.map(drop)?)).await?));
    let region = desk.region.clone();
    let idle =
        async |desk: &mut Desk, _| Ok(desk.jobs.relocate(std::slice::from_ref(&region), TICKS).await.map(drop)?);
    known.push((Call::Lanes, desk.each(CALLS, idle).await?));
    known.push((Call::Tend, desk.each(CALLS, async |desk, _| Ok(desk.jobs.upkeep().await?)).await?));
    let mut outboxes = desk.jobs.outboxes();
    let outbox = outboxes.first_mut().context("a shard")?;
    known.push((Call::Tell, desk.each(CALLS, async |_, _| Ok(outbox.take(16, &[]).await.map(drop)?)).await?));
    let info = about(&worker, &desk.region);
    known.push((
        Call::Announce,
        desk.each(CALLS, async |desk, _| Ok(desk.jobs.announce(&info).await.map(drop)?)).await?,
    ));

    let mut tickets = Vec::new();
    let submit = async |desk: &mut Desk, _| {
        tickets.push(desk.submit().await?);
        Ok(())
    };
    known.push((Call::Submit, desk.each(CALLS, submit).await?));
    let mut leased: Vec<Leased> = Vec::new();
    let lease = async |_: &mut Desk, _| {
        leased.extend(claims.take(1).await?);
        Ok(())
    };
    let both = desk.each(CALLS, lease).await?;
    ensure!(leased.len() == CALLS, "all were to be had");
    known.push((Call::Leased, both + of(&known, Call::Lease) * -1.0));
    // as a claim loop waits, with a token that lies there already
    let lanes =
        ["download:default:normal", "download:default:low", "untold"].map(|lane| format!("haul1:{{0}}:wake:{lane}"));
    let push = async |desk: &mut Desk, _| {
        let _length: u64 = redis::cmd("RPUSH").arg(&lanes[0]).arg(1).query_async(&mut desk.info).await?;
        Ok(())
    };
    let pop = async |desk: &mut Desk, _| {
        let mut pop = redis::cmd("BLPOP");
        let pop = pop.arg(&lanes).arg(29.727_997_32);
        let _token: Option<(String, String)> = pop.query_async(&mut desk.info).await?;
        Ok(())
    };
    desk.each(CALLS, push).await?;
    known.push((Call::Pop, desk.each(CALLS, pop).await?));

    let one = desk.each(CALLS, async |desk, at| desk.beat(&leased[..1], at).await).await?;
    let many = desk.each(CALLS, async |desk, at| desk.beat(&leased[..MANY], at).await).await?;
    let beaten = (many + one * -1.0) * (1.0 / (MANY - 1) as f64);
    known.extend([(Call::Beaten, beaten), (Call::Beat, one + beaten * -1.0)]);

    // an API that has somebody to tell hears of every change
    let mut listener = redis::Client::open(redis.url())?.get_async_pubsub().await?;
    listener.subscribe("haul1:{0}:changed").await?;
    let heard = desk.each(CALLS, async |desk, at| desk.beat(&leased[..1], at).await).await?;
    drop(listener);
    known.push((Call::Heard, Cost { out_bytes: heard.out_bytes - one.out_bytes, ..Cost::default() }));
    // running, as most are that somebody looks at
    desk.beat(&leased, CALLS).await?;
    let look = async |desk: &mut Desk, at: usize| Ok(desk.jobs.look(tickets[at]).await.map(drop)?);
    known.push((Call::Look, desk.each(CALLS, look).await?));
    let peek = async |desk: &mut Desk, _| Ok(desk.jobs.look(tickets[0]).await.map(drop)?);
    known.push((Call::Peek, desk.each(CALLS, peek).await?));

    let (failing, good) = leased.split_at(CALLS / 2);
    let reserve = async |desk: &mut Desk, at: usize| {
        Ok(desk.jobs.reserve(&good[at].lease, &object(&good[at])).await.map(drop)?)
    };
    known.push((Call::Reserve, desk.each(good.len(), reserve).await?));
    // a small script that writes a record and removes it from a set, as that one
    known.push((Call::Told, of(&known, Call::Reserve)));
    let complete = async |desk: &mut Desk, at: usize| {
        let (lease, artifact) = (&good[at].lease, stage::result_of(&good[at].lease));
        let stages = [("extract", TICKS), ("download", TICKS), ("upload", TICKS)];
        Ok(desk.jobs.complete_before_thumbnail(lease, &artifact, &stages, TICKS).await.map(drop)?)
    };
    known.push((Call::Complete, desk.each(good.len(), complete).await?));
    let thumbnail = async |desk: &mut Desk, at: usize| {
        Ok(desk.jobs.thumbnail(&good[at].lease, &object(&good[at]).thumbnail(), Some(20_000)).await.map(drop)?)
    };
    known.push((Call::Thumbnail, desk.each(good.len(), thumbnail).await?));
    let failure = Failure::new(FailureKind::Timeout, "it took too long");
    let fail = async |desk: &mut Desk, at: usize| {
        Ok(desk.jobs.fail(&failing[at].lease, &failure, Duration::ZERO).await.map(drop)?)
    };
    known.push((Call::Fail, desk.each(failing.len(), fail).await?));
    let promoted = desk.each(1, async |desk, _| Ok(desk.jobs.upkeep().await?)).await?;
    known.push((Call::Tended, (promoted + of(&known, Call::Tend) * -1.0) * (1.0 / failing.len() as f64)));

    let look_after = async |desk: &mut Desk, _| {
        // of so many that what they do outweighs what Redis does by itself; they never end by themselves
        let all = std::iter::repeat_with(|| desk.jobs.clone().look_after()).take(APIS);
        let _over = tokio::time::timeout(TICKS, join_all(all)).await;
        Ok(())
    };
    let ticks = desk.each(1, look_after).await?;
    let mut jobs = 0;
    let audit = async |desk: &mut Desk, _| {
        jobs += desk.jobs.audit().await?.jobs;
        Ok(())
    };
    let page = desk.each(CALLS, audit).await?;
    // all processes together turn one page in that time and look twice a second, and else are told that it is too early
    let seconds = TICKS.as_secs_f64();
    let worked = of(&known, Call::Tend) * (2.0 * seconds) + page;
    let early = (ticks + worked * -1.0) * (1.0 / (seconds * APIS as f64));
    let audited = (page + early * -1.0) * (CALLS as f64 / jobs as f64);
    known.extend([(Call::Audit, early), (Call::Audited, audited)]);
    Ok(Costs::of(|call| of(&known, call)))
}

impl Desk {
    /// What one of so many calls costs.
    async fn each(&mut self, calls: usize, mut call: impl AsyncFnMut(&mut Self, usize) -> Result<()>) -> Result<Cost> {
        let before = spent(&mut self.info).await?;
        for at in 0..calls {
            call(self, at).await?;
        }
        let after = spent(&mut self.info).await?;
        // of looking itself
        let empty = spent(&mut self.info).await? + after * -1.0;
        Ok((after + before * -1.0 + empty * -1.0) * (1.0 / calls as f64))
    }

    async fn submit(&mut self) -> Result<Ticket> {
        self.number += 1;
        let url = stage::address(self.number);
        let spec = JobSpec::Download(haul_tests::usual_spec(&SourceUrl::read(&url)?));
        let ticket = self.jobs.draw(&spec, &self.region);
        let order = Submission {
            ticket,
            client: ClientKey::of_api_key("bench"),
            limits: ClientLimits { max_queued: None, max_running: None, weight: 1, rate: None, bytes_per_day: None },
            spec,
            region: self.region.clone(),
            priority: Priority::Normal,
            request: format!("{{\"url\":\"{url}\"}}").into_bytes(),
            expires_in: Duration::from_secs(86_400),
            max_attempts: 4,
            idempotency: None,
            webhook: None,
        };
        self.jobs.submit(&order).await?;
        Ok(ticket)
    }

    async fn beat(&self, leased: &[Leased], at: usize) -> Result<()> {
        let progress = Progress {
            downloaded_bytes: Some(1_000_000 * at as u64),
            total_bytes: Some(400_000_000),
            speed_bytes_per_second: Some(1_000_000),
            eta_seconds: Some(300),
            ..Progress::at(Stage::Download, at as f64 / 10.0)
        };
        let beats: Vec<Beat> =
            leased.iter().map(|job| Beat { lease: job.lease.clone(), progress, media: None }).collect();
        Ok(self.jobs.heartbeat(&beats).await.map(drop)?)
    }

    /// Every script once.
    async fn jobs_through(&mut self) -> Result<()> {
        let ticket = self.submit().await?;
        let worker = WorkerId::on_host("warm");
        let mut claims = self.jobs.claims(&worker, Kind::Download, std::slice::from_ref(&self.region));
        let leased = claims.take(1).await?;
        self.beat(&leased, 1).await?;
        let job = leased.first().context("it was there")?;
        self.jobs.look(ticket).await?;
        self.jobs.reserve(&job.lease, &object(job)).await?;
        self.jobs.complete_before_thumbnail(&job.lease, &stage::result_of(&job.lease), &[], TICKS).await?;
        self.jobs.thumbnail(&job.lease, &object(job).thumbnail(), Some(1)).await?;
        self.submit().await?;
        let leased = claims.take(1).await?;
        let job = leased.first().context("it was there")?;
        self.jobs.fail(&job.lease, &Failure::new(FailureKind::UnsupportedUrl, "no"), Duration::ZERO).await?;
        self.jobs.audit().await?;
        self.jobs.upkeep().await?;
        let info = about(&worker, &self.region);
        self.jobs.announce(&info).await?;
        self.jobs.sign_off(&info).await?;
        Ok(())
    }
}

/// What Redis has spent so far.
///
/// # Errors
/// When it does not tell.
pub async fn spent(info: &mut MultiplexedConnection) -> Result<Cost> {
    let text: String = redis::cmd("INFO").arg("everything").query_async(info).await?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        anyhow::Ok(line.with_context(|| format!("no {name}"))?.trim().parse::<f64>()?)
    };
    Ok(Cost {
        commands: field("total_commands_processed")?,
        in_bytes: field("total_net_input_bytes")?,
        out_bytes: field("total_net_output_bytes")?,
        cpu_us: (field("used_cpu_user_main_thread")? + field("used_cpu_sys_main_thread")?) * 1e6,
    })
}

fn object(job: &Leased) -> ObjectKey {
    ObjectKey::new(job.lease.job, job.lease.fence, "mp4")
}

fn about(worker: &WorkerId, region: &Region) -> WorkerInfo {
    WorkerInfo {
        id: worker.to_string(),
        regions: vec![region.clone()],
        slots: 2,
        running: 0,
        disk_full: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ytdlp: "2026.01.01".to_owned(),
        sandbox: Some("a".to_owned()),
        started: jiff::Timestamp::UNIX_EPOCH,
    }
}
