//! A small case for real: Redis, the API and the workers as they are shipped, a site and a bucket on loopback.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::keys::{Keys, key};
use haul_tests::processes::Process;
use haul_tests::redis::Redis;
use haul_tests::sim::{Cost, Order, Spread};
use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::calibrate::{glance, spent};
use super::cases::{Bytes, Case, LEASE, RATE, SIZES};
use super::follow::Calls;
use crate::engine::media::{Kind, Medium, make};
use crate::engine::ours::on_loopback;
use crate::engine::scene::Scene;

/// Longest that a case may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between two looks at whether all have ended; past the API, whose work is measured.
const LOOK: Duration = Duration::from_millis(500);

/// How long no script is called for the first time, when all have been that a case calls: the rarest comes every two seconds.
const SETTLED: Duration = Duration::from_secs(4);

/// What a case came to, measured or on paper.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// From the first order to the last end, in seconds.
    pub makespan: f64,
    /// From an order to its first attempt: mean, and 95 of 100 are below.
    pub wait_mean: f64,
    /// The latter.
    pub wait_p95: f64,
    /// Mean wait of each client.
    pub wait_by_client: Vec<f64>,
    /// Calls of Redis: round trips, and the one of the same kind that a look makes inside its script.
    pub calls: f64,
    /// What they cost it, with what it takes by itself.
    pub cost: Cost,
    /// Requests that wrote to the bucket.
    pub puts: f64,
    /// How often it was looked whether all have ended, and the cost has that in it.
    pub glances: f64,
}

impl Figures {
    /// Without the looks at whether all have ended, which are no work of the service: a command, some bytes, and so many
    /// microseconds each.
    #[must_use]
    pub fn without_glances(self, glance_us: f64) -> Self {
        let glance = Cost { commands: 1.0, in_bytes: 44.0, out_bytes: 4.0, cpu_us: glance_us };
        Self { cost: self.cost + glance * -self.glances, glances: 0.0, ..self }
    }
}

/// A job as it was.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Whose.
    pub client: usize,
    /// How much.
    pub bytes: u64,
    /// From the order to its first attempt, in seconds.
    pub wait: f64,
    /// From there to its end.
    pub took: f64,
}

/// The site, the bucket, and the files.
pub struct Theatre {
    scene: Scene,
    media: Vec<Medium>,
}

impl Theatre {
    /// Starts the site and the bucket, and makes the files.
    ///
    /// # Errors
    /// When a part is missing.
    pub async fn open() -> Result<Self> {
        let make_all = || SIZES.into_iter().map(|megabytes| make(Kind::Progressive, megabytes)).collect();
        let media: Result<Vec<Medium>> = tokio::task::spawn_blocking(make_all).await?;
        Ok(Self { scene: Scene::set().await?, media: media? })
    }

    /// Bytes of the files.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let mut bytes = Bytes::default();
        bytes.iter_mut().zip(&self.media).for_each(|(bytes, medium)| *bytes = medium.bytes);
        bytes
    }

    /// Runs a case whose programs are warm.
    ///
    /// # Errors
    /// When a part fails, or a job does not complete.
    pub async fn play(&mut self, case: &Case, set: Set) -> Result<(Figures, Vec<Job>)> {
        let Set { mut house, orders, urls } = set;
        let mut info = house.redis.connection().await?;
        let puts_before = house.puts().await?;
        let calls_before = calls(&mut info).await?;
        let before = spent(&mut info).await?;
        let (jobs, glances) =
            timeout(PATIENCE, house.play(case, &orders, &urls, &mut info)).await.context("too long")??;
        let all = spent(&mut info).await?;
        let asking = spent(&mut info).await? + all * -1.0;
        let after = all + (before + asking) * -1.0;
        let calls = calls(&mut info).await? - calls_before;
        let jobs = house.ask_all(&orders, &jobs).await?;
        let puts = house.puts().await? - puts_before;
        self.scene.empty_store()?;
        let figures = Figures { calls, cost: after, puts, glances, ..figures(case, &jobs) };
        Ok((figures, jobs))
    }

    /// Follows the jobs of a case one after the other, and counts what that takes of Redis.
    ///
    /// # Errors
    /// As [`Theatre::play`].
    pub async fn follow(&mut self, case: &Case) -> Result<(Calls, Vec<Job>)> {
        let Set { house, orders, urls } = self.set(case).await?;
        let monitor = redis::Client::open(house.redis.url())?.get_async_monitor().await?;
        let all = async {
            let mut ids = Vec::new();
            for (order, url) in orders.iter().zip(&urls) {
                let id = house.order(order.client, url).await?;
                follow(house.request(order.client, &format!("/{id}?wait=60"))).await?;
                ids.push(id);
            }
            anyhow::Ok(ids)
        };
        let (calls, ids) = timeout(PATIENCE, Calls::during(monitor, all)).await.context("too long")??;
        let jobs = house.ask_all(&orders, &ids).await?;
        self.scene.empty_store()?;
        Ok((calls, jobs))
    }

    /// Starts the programs of a case, and makes them warm.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn set(&mut self, case: &Case) -> Result<Set> {
        let orders = case.orders(self.bytes());
        let folder = self.scene.fresh("sim")?;
        let house = House::start(case, &self.scene.endpoint(false), &folder).await?;
        let warm = self.scene.address(&self.media[1].path, false);
        house.warm_up(&warm).await?;
        let urls = orders.iter().map(|order| self.address(order)).collect();
        Ok(Set { house, orders, urls })
    }

    fn address(&mut self, order: &Order) -> String {
        let medium = self.media.iter().find(|medium| medium.bytes == order.bytes);
        let path = medium.map(|medium| medium.path.clone()).unwrap_or_default();
        self.scene.address(&path, false)
    }
}

/// The programs of a case, warm, and what is ordered of them.
pub struct Set {
    house: House,
    orders: Vec<Order>,
    urls: Vec<String>,
}

struct House {
    redis: Redis,
    api: Process,
    workers: Vec<Process>,
    http: reqwest::Client,
    _keys: Keys,
}

impl House {
    async fn start(case: &Case, endpoint: &str, folder: &Path) -> Result<Self> {
        let redis = Redis::start().await?;
        let entry = |(client, weight): (usize, &u32)| (format!("client-{client}"), format!("weight = {weight}"));
        let entries: Vec<(String, String)> = case.weights.iter().enumerate().map(entry).collect();
        let entries: Vec<(&str, &str)> = entries.iter().map(|(name, more)| (name.as_str(), more.as_str())).collect();
        let keys = Keys::of(&entries)?;
        let mut variables = on_loopback(&redis, endpoint, folder);
        variables.extend([
            ("HAUL_API_KEYS_FILE", keys.path().display().to_string()),
            ("HAUL_SITE_RUNNING_LIMIT", "off".to_owned()),
            ("HAUL_CLIENT_QUEUE_LIMIT", "1000".to_owned()),
            ("HAUL_LEASE", format!("{}s", LEASE.as_secs())),
            ("HAUL_RATE_LIMIT", RATE.to_string()),
            ("HAUL_SLOTS", case.slots.to_string()),
        ]);
        let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let log = || Ok(File::options().create(true).append(true).open(folder.join("haul.log"))?.into());
        let api = Process::start_telling("haul-api", "HAUL_LISTEN", &variables, log).await?;
        let mut workers = Vec::new();
        for number in 0..case.workers {
            let mut own = variables.clone();
            own.push(("HAUL_WORK_DIR".to_owned(), folder.join(format!("work-{number}")).display().to_string()));
            workers.push(Process::start_telling("haul-worker", "HAUL_WORKER_LISTEN", &own, log).await?);
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(90)).no_proxy().build()?;
        Ok(Self { redis, api, workers, http, _keys: keys })
    }

    /// One job before all others, long enough to be beaten for: a script is sent as a whole, and compiled, when it is first
    /// called. Those that nobody's job calls, but time does, are waited for.
    async fn warm_up(&self, url: &str) -> Result<()> {
        let id = self.order(0, url).await?;
        follow(self.request(0, &format!("/{id}?wait=60"))).await?;
        // waits until it is there
        self.request(0, &format!("/{id}/thumbnail")).send().await?.error_for_status()?;
        let (mut known, mut news) = (0, Instant::now());
        while news.elapsed() < SETTLED {
            let now: u64 = self.redis.info("number_of_cached_scripts").await?.parse()?;
            if now != known {
                (known, news) = (now, Instant::now());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Orders all at their times, kills whom the case has killed, and returns when all have ended: their ids, and how often
    /// that was looked at.
    async fn play(
        &mut self,
        case: &Case,
        orders: &[Order],
        urls: &[String],
        info: &mut MultiplexedConnection,
    ) -> Result<(Vec<String>, f64)> {
        let began = Instant::now();
        let (mut ids, mut followers, mut looks) = (Vec::new(), JoinSet::new(), 0.0);
        let mut kill = case.kill.map(|after| began + after);
        loop {
            let now = Instant::now();
            if kill.is_some_and(|at| at <= now) {
                self.workers.last_mut().context("there is one")?.kill()?;
                kill = None;
            }
            while let Some(order) = orders.get(ids.len()).filter(|order| began + order.at <= now) {
                let id = self.order(order.client, &urls[ids.len()]).await?;
                if order.is_followed {
                    followers.spawn(follow(self.request(order.client, &format!("/{id}?wait=60"))));
                }
                ids.push(id);
            }
            let is_open = glance(info).await?;
            looks += 1.0;
            if ids.len() == orders.len() && !is_open {
                break;
            }
            let next = orders.get(ids.len()).map_or(now + LOOK, |order| (began + order.at).min(now + LOOK));
            sleep_until(next).await;
        }
        Ok((ids, looks))
    }

    async fn order(&self, client: usize, url: &str) -> Result<String> {
        let body = json!({ "url": url, "format": "original", "embed_metadata": false, "embed_chapters": false });
        let request = self.http.post(self.url("")).bearer_auth(key(&format!("client-{client}")));
        let job: Value = request.json(&body).send().await?.error_for_status()?.json().await?;
        Ok(job["id"].as_str().context("a job has an id")?.to_owned())
    }

    async fn ask_all(&self, orders: &[Order], ids: &[String]) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for (order, id) in orders.iter().zip(ids) {
            let job: Value =
                self.request(order.client, &format!("/{id}")).send().await?.error_for_status()?.json().await?;
            ensure!(job["status"] == "completed", "a job is {}: {}", job["status"], job["error"]);
            let at = |field: &str| anyhow::Ok(job[field].as_str().context("a time")?.parse::<Timestamp>()?);
            // comes after its job, and is waited for
            let _thumbnail = self.request(order.client, &format!("/{id}/thumbnail")).send().await?;
            let (created, started, finished) = (at("created_at")?, at("started_at")?, at("finished_at")?);
            let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
            let (wait, took) = (seconds(created, started), seconds(started, finished));
            jobs.push(Job { client: order.client, bytes: order.bytes, wait, took });
        }
        Ok(jobs)
    }

    /// Requests that wrote to the bucket, as the workers that live count them, thumbnails included.
    async fn puts(&self) -> Result<f64> {
        let mut count = 0.0;
        for worker in &self.workers {
            let Ok(answer) = self.http.get(format!("http://{}/metrics", worker.address())).send().await else {
                continue;
            };
            let of = |line: &str| {
                let (name, value) = line.rsplit_once(' ')?;
                let name = name.strip_prefix("haul_storage_operation_duration_seconds_count")?;
                let writes = ["put", "send", "begin", "part", "complete"];
                let is_write = writes.iter().any(|word| name.contains(&format!("operation=\"{word}\"")));
                is_write.then(|| value.parse::<f64>().ok())?
            };
            count += answer.text().await?.lines().filter_map(of).sum::<f64>();
        }
        Ok(count)
    }

    fn request(&self, client: usize, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(key(&format!("client-{client}")))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/downloads{path}", self.api.address())
    }
}

/// Follows a job as a client does, by a long poll after the other.
async fn follow(request: reqwest::RequestBuilder) -> Result<()> {
    loop {
        let answer = request.try_clone().context("it has no body")?.send().await?;
        let status = answer.status();
        if status == reqwest::StatusCode::OK {
            let job: Value = answer.json().await?;
            if !matches!(job["status"].as_str(), Some("queued" | "running")) {
                return Ok(());
            }
        }
    }
}

/// Calls of the programs to Redis so far: commands that no script makes, but for the look at a job, which asks for versions.
async fn calls(info: &mut MultiplexedConnection) -> Result<f64> {
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(info).await?;
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    Ok(["evalsha", "bitfield_ro", "blpop"].into_iter().map(count).sum())
}

fn figures(case: &Case, jobs: &[Job]) -> Figures {
    let waits: Spread = jobs.iter().map(|job| job.wait).collect();
    let mut by_client: HashMap<usize, Vec<f64>> = HashMap::new();
    jobs.iter().for_each(|job| by_client.entry(job.client).or_default().push(job.wait));
    let mean =
        |client: usize| by_client.get(&client).map_or(f64::NAN, |waits| waits.iter().sum::<f64>() / waits.len() as f64);
    // orders in turns, all at once or at times that are known
    let ends = case
        .orders(Bytes::default())
        .iter()
        .zip(jobs)
        .map(|(order, job)| order.at.as_secs_f64() + job.wait + job.took)
        .fold(0.0, f64::max);
    Figures {
        makespan: ends,
        wait_mean: waits.mean(),
        wait_p95: waits.at(0.95),
        wait_by_client: (0..case.weights.len()).map(mean).collect(),
        ..Figures::default()
    }
}
