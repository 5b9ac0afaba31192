//! What programs really do, call by call: `strace(1)` on a worker, its threads and whatever it starts.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path};
use std::process::{Child, Command, Stdio};

use haul_tests::processes::{self, Process};

use super::*;

/// What a program may read: what it is made of, and what the system tells everybody. Its own folder comes to that.
const READ: [&str; 16] = [
    "/usr/",
    "/lib",
    "/bin/",
    "/opt/",
    "/etc/ld.so.",
    "/etc/ssl/",
    "/etc/localtime",
    "/etc/fonts",
    "/etc/mime.types",
    "/etc/OpenCL",
    "/dev/null",
    "/dev/urandom",
    "/proc/",
    "/sys/devices/system/",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
];
/// What the launcher writes of itself, before it becomes the program.
const WRITTEN: [&str; 3] = ["/dev/null", "/proc/", "pipe:"];

/// A trace of a worker, from now on.
struct Trace {
    strace: Child,
    file: tempfile::NamedTempFile,
    /// Threads of the worker itself.
    own: BTreeSet<i32>,
}

impl Trace {
    async fn of(worker: &Process) -> Result<Self> {
        let file = tempfile::NamedTempFile::new()?;
        let calls = "trace=connect,sendto,open,openat,openat2,creat,execve,clone,clone3,fork,vfork";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-s", "256", "-e", calls, "-o"]).arg(file.path());
        let all: Vec<i32> = worker.descendants().iter().map(|one| one.id()).chain([worker.id()]).collect();
        for process in &all {
            strace.args(["-p", &process.to_string()]);
        }
        let strace = strace.stderr(Stdio::null()).spawn().context("strace is not installed: tests/run does that")?;
        let traced = |process: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        };
        processes::until("all of the worker is traced", async || all.iter().all(traced)).await?;
        let threads = std::fs::read_dir(format!("/proc/{}/task", worker.id()))?.flatten();
        let own = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()).collect();
        Ok(Self { strace, file, own })
    }

    /// The calls of programs that succeeded or were begun, each with the program's name where it is known.
    fn ended(mut self) -> Result<Vec<(String, String)>> {
        let strace = rustix::process::Pid::from_child(&self.strace);
        rustix::process::kill_process(strace, rustix::process::Signal::INT)?;
        self.strace.wait()?;
        let text = String::from_utf8_lossy(&std::fs::read(self.file.path())?).into_owned();
        let mut begun: HashMap<i32, String> = HashMap::new();
        let mut names: HashMap<i32, String> = HashMap::new();
        let mut calls = Vec::new();
        for line in text.lines() {
            let Some((process, call)) = line.split_once(' ') else { continue };
            let (Ok(process), call) = (process.parse::<i32>(), call.trim_start()) else { continue };
            // a call that another one interrupted is told in two lines
            let call = if let Some(first) = call.strip_suffix(" <unfinished ...>") {
                begun.insert(process, first.to_owned());
                continue;
            } else if let Some((_, rest)) = call.split_once(" resumed>") {
                begun.remove(&process).unwrap_or_default() + rest
            } else {
                call.to_owned()
            };
            let result = call.rsplit_once(" = ").map(|(_, result)| result.to_owned()).unwrap_or_default();
            if call.starts_with("clone") || call.contains("fork(") {
                let child = result.split(['<', ' ']).next().and_then(|number| number.parse::<i32>().ok());
                if let Some(child) = child.filter(|child| *child > 0) {
                    if self.own.contains(&process) && call.contains("CLONE_THREAD") {
                        self.own.insert(child);
                    }
                    let name = names.get(&process).cloned().unwrap_or_default();
                    names.entry(child).or_insert(name);
                }
            } else if call.starts_with("execve(") && result.starts_with('0') {
                let program = call.split('"').nth(1).unwrap_or_default();
                names.insert(process, program.rsplit('/').next().unwrap_or_default().to_owned());
            }
            if !self.own.contains(&process) {
                calls.push((names.get(&process).cloned().unwrap_or_default(), call));
            }
        }
        Ok(calls)
    }
}

/// Where a worker's programs work, and where they find their guards.
struct Place<'a> {
    work: &'a Path,
    /// In a network of their own there is one; else each attempt has another, which none of these is.
    guard: Result<u16, &'a [u16]>,
}

/// The room of an attempt: the folder of a worker, and what is in it.
fn room<'a>(path: &'a Path, work: &Path) -> Option<Vec<Component<'a>>> {
    Some(path.strip_prefix(work).ok()?.components().take(2).collect())
}

/// Why a call is none that a program may make; `None`: it may.
fn wrong(program: &str, call: &str, place: &Place<'_>) -> Option<String> {
    let told = || Some(format!("{program}: {call}"));
    if call.starts_with("connect(") || call.starts_with("sendto(") {
        // to the guard, and to where the warm server hands out its children; nothing at all from ffmpeg
        let is_net = call.contains("AF_INET");
        let port = call.split_once("htons(").and_then(|(_, rest)| rest.split(')').next()?.parse::<u16>().ok());
        let is_guard = |port| place.guard.map_or_else(|others| !others.contains(&port), |guard| port == guard);
        let to_guard = call.contains("inet_addr(\"127.0.0.1\")") && port.is_some_and(is_guard);
        let is_ffmpeg = program.starts_with("ff");
        return if is_net && (is_ffmpeg || !to_guard) { told() } else { None };
    }
    if !call.starts_with("open") && !call.starts_with("creat") {
        return None;
    }
    // `= 5</where/it/is>`; what failed opened nothing
    let (arguments, result) = call.rsplit_once(" = ")?;
    let path = result.split_once('<')?.1.strip_suffix('>')?;
    // who confines itself names what it will be allowed, and reads nothing of it (open(2), O_PATH)
    if arguments.contains("O_PATH") {
        return None;
    }
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| arguments.contains(flag));
    let begins = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
    let tools = haul_tests::tools().canonicalize().ok()?;
    // the folder of the pinned yt-dlp, and that of our own launcher
    let ours = [tools.parent()?.to_path_buf(), std::env::current_exe().ok()?.ancestors().nth(2)?.to_path_buf()];
    let is_made_of = begins(&READ) || ours.iter().any(|folder| Path::new(path).starts_with(folder));
    // `openat(AT_FDCWD</where/it/works>`
    let works_in = arguments.split_once("AT_FDCWD<").and_then(|(_, rest)| rest.split('>').next());
    let (own, opened) = (works_in.and_then(|dir| room(Path::new(dir), place.work)), room(Path::new(path), place.work));
    let is_own = opened.is_some() && opened == own;
    let secret = path.contains("/environ") || path.contains("/another-job/");
    let may = if writes { is_own || begins(&WRITTEN) } else { is_own || is_made_of };
    if may && !secret { None } else { told() }
}

#[test]
fn no_program_connects_past_its_guard_or_opens_what_is_not_its_own() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let workers = world.worker_of_each_tier().await?;
        let objects = world.house.objects();
        let work = objects.ancestors().nth(2).context("a data directory")?.join("work");
        // what another job would have there
        std::fs::create_dir_all(work.join("another-job"))?;
        let victim = work.join("another-job/1.ts");
        std::fs::copy(media::file("progressive.ts"), &victim)?;
        world.house.origin.put_playlist_of("/posing.mp4", &victim);
        let page = "<!doctype html><title>A talk</title><video src=/progressive.webm poster=/poster.png></video>";
        world.house.origin.put("/talk.html", page);

        let (mut traces, mut orders) = (Vec::new(), Vec::new());
        for (at, worker) in workers.iter().enumerate() {
            traces.push(Trace::of(worker).await?);
            let order = |path: &str, more| in_tier(request(&world.url(&format!("{path}?{at}")), more), at);
            orders.extend([
                // picture and sound of two playlists, merged; a page with its picture; a tone coded anew; and the impostor
                (order("/hls-fmp4/master.m3u8", json!({"format": "mkv"})), &["completed"][..]),
                (order("/talk.html", json!({"embed_thumbnail": true, "format": "mkv"})), &["completed"]),
                (order("/dash/manifest.mpd", json!({"format": "mp3"})), &["completed"]),
                (order("/posing.mp4", json!({})), &["invalid_media"]),
            ]);
        }
        let ended = ended_so(&world, orders).await?;
        assert!(ended.is_empty(), "{ended:#?}");
        let house = &world.house;
        let others = [53, house.redis.port(), house.api.address().port(), house.origin.address().port()]
            .into_iter()
            .chain(workers.iter().map(|worker| worker.address().port()))
            .collect::<Vec<_>>();
        // in tier A the guard is at this port of a network of its own
        for ((worker, trace), guard) in workers.iter().zip(traces).zip([Ok(3128), Err(&others[..])]) {
            let place = Place { work: &work, guard };
            processes::until("thumbnails are made", async || worker.programs().is_empty()).await?;
            let calls = trace.ended()?;
            let programs: BTreeSet<_> = calls.iter().map(|(program, _)| program.as_str()).collect();
            assert!(programs.contains("ffmpeg") && calls.len() > 200, "{programs:?}, {} calls", calls.len());
            let wrong: BTreeSet<_> = calls.iter().filter_map(|(program, call)| wrong(program, call, &place)).collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
        world.canary.is_silent()
    })
}
