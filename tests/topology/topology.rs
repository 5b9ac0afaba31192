//! The topology of a company as plain processes: two regions, of which one has two workers and what both share.
//!
//! ```text
//!   eu: eu-api  eu-worker-1  eu-worker-2   queue (Redis)  cache (Redis)  store (Garage)
//!   us: us-api  us-worker
//! ```
//! Every variable that is not about where things are has its default, so that leases, attempts and patience are those of
//! an operator who set none; only the limits of clients are off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use haul_shared::storage::{AccessKey, Role, S3Options, S3Store, Storage};
use haul_tests::house::unlimited;
use haul_tests::media;
use haul_tests::origin::Origin;
use haul_tests::processes::{Process, built, until};
use haul_tests::redis::free_port;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::machines::{APIS, Machine, WORKERS};
use crate::roads::Roads;

const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const BUCKET: &str = "media";
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A file of its origin that goes up in parts.
pub const LARGE: &str = "/large.mp4";

/// What the cache is told; it keeps nothing, and makes room.
const CACHE: [&str; 8] =
    ["--save", "", "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];

/// A running service.
pub struct Topology {
    pub roads: Roads,
    pub origin: Origin,
    processes: BTreeMap<Machine, Process>,
    _servers: Vec<Server>,
    files: TempDir,
    /// Where the words of every process are kept, also when the test has ended.
    pub logs: PathBuf,
}

/// A server that is not ours; killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Topology {
    /// Starts everything, in the order in which it needs one another.
    pub async fn open(name: &str, is_on_ground: bool) -> Result<Self> {
        let roads = if is_on_ground { Roads::network()? } else { Roads::wires().await? };
        let logs = media::folder().join("../../topology").join(name);
        fs::create_dir_all(&logs)?;
        let logs = logs.canonicalize()?;
        let origin = Origin::start_at(&roads.origin().to_string()).await;
        let files = tempfile::tempdir()?;
        origin.put(LARGE, fs::read(media::repeated(files.path(), "large.mp4", 40))?);
        let mut topology = Self { roads, origin, processes: BTreeMap::new(), _servers: Vec::new(), files, logs };
        let queue = topology.redis(Machine::Queue, &[])?;
        let cache = topology.redis(Machine::Cache, &CACHE)?;
        let store = topology.garage()?;
        topology._servers = vec![queue, cache, store];
        for redis in [Machine::Queue, Machine::Cache] {
            until("redis answers", async || topology.redis_connection(redis).await.is_ok()).await?;
        }
        let bucket = topology.bucket().await;
        until("garage has its bucket", async || bucket.ready().await.is_ok()).await?;
        for machine in APIS.into_iter().chain(WORKERS) {
            topology.start(machine).await?;
        }
        Ok(topology)
    }

    /// A process of ours on its machine, whatever was there before.
    pub async fn start(&mut self, machine: Machine) -> Result<()> {
        let at = self.roads.at(machine);
        let of_api = APIS.contains(&machine);
        let program = if of_api { "haul-api" } else { "haul-worker" };
        let mut command = self.roads.program(machine, &built(program)?);
        let listen = if of_api { "HAUL_LISTEN" } else { "HAUL_WORKER_LISTEN" };
        command.env_clear().envs(self.variables(machine)).env(listen, at.to_string()).stderr(self.log(machine)?);
        let process = Process::of(command, at).await?.with_context(|| format!("{machine} ended at its start"))?;
        self.processes.insert(machine, process);
        Ok(())
    }

    /// Kills a process, as a machine does that loses its power.
    pub fn kill(&mut self, machine: Machine) -> Result<()> {
        self.process(machine)?.kill()
    }

    /// Asks a process to stop, and waits until it has.
    pub async fn stop(&mut self, machine: Machine) -> Result<()> {
        let process = self.process(machine)?;
        process.signal(Signal::TERM)?;
        let status = process.ended().await?;
        ensure!(status.success(), "{machine} was told to stop, and ended with {status}");
        Ok(())
    }

    /// Is every process the one that was started last, and ready?
    pub async fn is_well(&self) -> bool {
        let ready = self.processes.values().map(Process::says_ready);
        futures::future::join_all(ready).await.into_iter().all(|ready| ready)
    }

    /// Nothing has ended that nobody has told to.
    pub fn all_live(&mut self) -> Result<()> {
        for (machine, process) in &mut self.processes {
            ensure!(!process.has_ended()?, "{machine} has ended by itself: see {}", self.logs.display());
        }
        Ok(())
    }

    /// The URL of a path of an API, or of a worker's own port, for clients.
    pub fn url(&self, machine: Machine, path: &str) -> String {
        format!("http://{}{path}", self.roads.at(machine))
    }

    /// A connection to a Redis, to look behind the scenes.
    pub async fn redis_connection(&self, redis: Machine) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{}", self.roads.at(redis)))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// The bucket, to look behind the scenes.
    pub async fn bucket(&self) -> Storage {
        let endpoint = format!("http://{}", self.roads.at(Machine::Store)).parse().expect("a URL");
        let options = S3Options {
            bucket: BUCKET.to_owned(),
            endpoint: Some(endpoint),
            region: "garage".to_owned(),
            public_endpoint: None,
            path_style: true,
            sse: None,
            credentials: Some(AccessKey { id: ACCESS_KEY.to_owned(), secret: SECRET.into() }),
        };
        Storage::S3(S3Store::open(&options, &Role::Worker).await)
    }

    fn process(&mut self, machine: Machine) -> Result<&mut Process> {
        self.processes.get_mut(&machine).with_context(|| format!("{machine} is no process of ours"))
    }

    fn variables(&self, machine: Machine) -> Vec<(&'static str, String)> {
        let way = |to| self.roads.way(machine, to);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", haul_tests::tools().display());
        let mut all = vec![
            ("PATH", path),
            ("HAUL_REDIS_URL", format!("redis://{}", way(Machine::Queue))),
            ("HAUL_CACHE_REDIS_URL", format!("redis://{}", way(Machine::Cache))),
            ("HAUL_STORAGE", "s3".to_owned()),
            ("HAUL_S3_BUCKET", BUCKET.to_owned()),
            ("HAUL_S3_REGION", "garage".to_owned()),
            ("HAUL_S3_ENDPOINT", format!("http://{}", way(Machine::Store))),
            ("HAUL_S3_PUBLIC_ENDPOINT", format!("http://{}", self.roads.at(Machine::Store))),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("HAUL_REGION", machine.region().to_owned()),
            ("HAUL_REGIONS", "eu,us".to_owned()),
            ("HAUL_OPEN", "true".to_owned()),
            ("HAUL_WORK_DIR", self.files.path().join(machine.name()).display().to_string()),
            ("HAUL_EGRESS_ALLOW", format!("{}/32", self.roads.origin())),
            ("HAUL_EGRESS_NAME", machine.name().to_owned()),
            ("HAUL_MIN_FREE_DISK", "1MiB".to_owned()),
            ("HAUL_LOG_FORMAT", "text".to_owned()),
        ];
        all.extend(unlimited());
        all
    }

    fn redis(&self, machine: Machine, more: &[&str]) -> Result<Server> {
        let (at, dir) = (self.roads.at(machine), self.files.path().join(machine.name()));
        fs::create_dir_all(&dir)?;
        let mut command = self.roads.program(machine, Path::new("redis-server"));
        command.arg(format!("{TREE}/deploy/redis/redis.conf")).arg("--dir").arg(dir);
        command.args(["--bind", &at.ip().to_string(), "--port", &at.port().to_string(), "--protected-mode", "no"]);
        self.serve(machine, command.args(more))
    }

    fn garage(&self) -> Result<Server> {
        let program = Path::new(TREE).join(".tools/bin/garage");
        ensure!(program.is_file(), "garage is not installed: tests/run --topology does that");
        let (dir, at) = (self.files.path().join("garage"), self.roads.at(Machine::Store));
        fs::create_dir_all(&dir)?;
        let settings = fs::read_to_string(format!("{TREE}/deploy/storage/garage.toml"))?;
        let mut settings = settings.replace("/var/lib/garage", &dir.display().to_string());
        if let Roads::Wires { .. } = self.roads {
            settings = settings.replace("0.0.0.0:3900", &at.to_string());
            for own in ["127.0.0.1:3901", "127.0.0.1:3903"] {
                settings = settings.replace(own, &format!("127.0.0.1:{}", free_port()?));
            }
        }
        let file = dir.join("garage.toml");
        fs::write(&file, settings)?;
        let mut command = self.roads.program(Machine::Store, &program);
        command.arg("-c").arg(file).args(["server", "--single-node", "--default-bucket"]);
        command.env("GARAGE_RPC_SECRET", SECRET).env("GARAGE_DEFAULT_BUCKET", BUCKET);
        command.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY).env("GARAGE_DEFAULT_SECRET_KEY", SECRET);
        self.serve(Machine::Store, &mut command)
    }

    fn serve(&self, machine: Machine, command: &mut Command) -> Result<Server> {
        let (out, error) = (self.log(machine)?, self.log(machine)?);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(error).spawn();
        Ok(Server(child.with_context(|| format!("{machine} cannot be started"))?))
    }

    fn log(&self, machine: Machine) -> Result<File> {
        let path = self.logs.join(format!("{machine}.log"));
        Ok(File::options().create(true).append(true).open(path)?)
    }
}
