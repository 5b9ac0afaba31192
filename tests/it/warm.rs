//! Warm extractors: what they survive, what they leave, and what a job in one of them cannot do.
//!
//! Deaths that the real yt-dlp can't be made to show come from a zip file of ours as the program: the real one with
//! another `extract_info`, which does as the last part of the address says.

mod sandbox;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use haul_shared::job::FailureKind;
use haul_tests::house::{House, Store, request};
use haul_tests::origin::{Fault, Origin};
use haul_tests::processes::until;
use haul_tests::site::send;
use haul_worker::ytdlp::counts::{Way, Why};
use haul_worker::ytdlp::{Bounds, Event, WarmSettings, Ytdlp};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ytdlp::{bounds, plain, read, warm};

/// Stands before the real package on the path, and gives way to it.
const UNRULY: &str = r#"
import os, subprocess, sys, time
sys.path.remove(__path__[0].rsplit('/', 1)[0])
del sys.modules['yt_dlp']
import yt_dlp

fork = os.fork

def may_fail():
    if os.path.exists(sys.argv[-1] + '.no-forks'):
        raise BlockingIOError(11, 'no more processes')
    return fork()

os.fork = may_fail
CHILD = 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 300'
real = yt_dlp.YoutubeDL.extract_info

def unruly(self, url, *args, **kwargs):
    events, what = getattr(self.params.get('logger'), 'events', None), url.rsplit('/', 1)[-1]
    if what == 'family':
        subprocess.Popen(['sh', '-c', CHILD.format('stays')])
        subprocess.Popen(['setsid', 'sh', '-c', CHILD.format('leaves')])
        time.sleep(300)
    while what == 'flood':
        events.tell('log', {'text': 'x' * 1000})
    while what == 'garbage':
        events.connection.sendall(b'\xff{]\n')
    while what == 'huge':
        events.connection.sendall(b'x' * (17 << 20) + b'\n')
    while what == 'endless':
        events.connection.sendall(b'x' * (1 << 20))
    if what == 'unreadable':
        events.connection.sendall(b'{"info": {]\n')
        time.sleep(300)
    if what == 'odd':
        deep = []
        for _ in range(300):
            deep = [deep]
        lone = {'format_id': '1', 'url': 'http://127.0.0.1:1/', 'protocol': 'http_dash_segments', 'ext': 'mp4'}
        endless = {**lone, 'format_id': '2', 'fragments': [{'path': '1', 'duration': 2.0}] * 500000}
        return {'title': 'cut \ud83d', 'duration': float('inf'), 'deep': deep, 'formats': [lone, endless]}
    if what == 'memory':
        bytearray(2 << 30)
    if what == 'death':
        os.kill(os.getpid(), 9)
    if what == 'places':
        places = [os.getcwd(), *(os.environ[name] for name in ('HOME', 'TMPDIR', 'XDG_CACHE_HOME'))]
        names = ' '.join(sorted(os.environ))
        return {'id': names, 'title': ' '.join(sorted(set(places)))}
    return real(self, url, *args, **kwargs)

yt_dlp.YoutubeDL.extract_info = unruly
"#;

/// The beginning of a package that stands before the real one: from there on `yt_dlp` is the real one.
pub(crate) fn gives_way() -> &'static str {
    UNRULY.split_once("CHILD =").unwrap().0
}

/// Stands before the real package, as a version of its own.
fn of_version(version: &str) -> String {
    // what it says of itself it has taken over when it was loaded
    format!("{}\nyt_dlp.version.__version__ = yt_dlp.options.__version__ = {version:?}\n", gives_way())
}

/// Makes the program of a zip file that holds [`UNRULY`].
fn unruly(dir: &Path) -> PathBuf {
    program(dir, UNRULY)
}

/// Makes the program of a zip file that holds a package of this text.
pub(crate) fn program(dir: &Path, package: &str) -> PathBuf {
    let python = haul_tests::tools().join("python3");
    let (program, fresh) = (dir.join("yt-dlp"), dir.join("fresh"));
    let make = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1] + '.zip', 'w'); \
                z.writestr('__main__.py', 'import yt_dlp; yt_dlp.main()'); \
                z.writestr('yt_dlp/__init__.py', sys.argv[2]); z.close(); \
                f = open(sys.argv[1], 'wb'); f.write(f'#!{sys.executable}\\n'.encode()); \
                f.write(open(sys.argv[1] + '.zip', 'rb').read())";
    let made = Command::new(&python).args(["-c", make]).arg(&fresh).arg(package).status().unwrap();
    assert!(made.success());
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&fresh, executable).unwrap();
    std::fs::rename(&fresh, &program).unwrap();
    program
}

async fn of_program(program: PathBuf) -> Ytdlp {
    let warm = WarmSettings { servers: 1, jobs_each: 500, home: std::env::temp_dir() };
    let ytdlp = Ytdlp::new(haul_tests::ytdlp(program)).warmed(warm);
    ytdlp.begun().await;
    ytdlp
}

/// The fork servers below this process: the programs of their keepers.
fn servers() -> Vec<Pid> {
    children(std::process::id().cast_signed()).into_iter().flat_map(children).filter_map(Pid::from_raw).collect()
}

fn children(parent: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn is_up(ytdlp: &Ytdlp) {
    until("a warm extractor is up", async || ytdlp.counts().up() == 1).await.unwrap();
}

#[tokio::test]
async fn a_killed_server_costs_no_job_and_the_next_one_is_warm_again() {
    let origin = Origin::start().await;
    let (ytdlp, dir) = (warm(500).await, TempDir::new().unwrap());
    let url = read(&origin.spoilt(Fault::Throttle(150_000), "/progressive.mp4"));
    let (_, session) = ytdlp.extract(&url, 1, dir.path(), &bounds()).await.unwrap();
    let mut killed = false;
    let kill = |event: &Event| {
        if matches!(event, Event::Progress(_)) && !std::mem::replace(&mut killed, true) {
            servers().into_iter().for_each(|server| kill_process(server, Signal::KILL).unwrap());
        }
    };
    let files = session.download(&["mp4"], &bounds(), kill).await.unwrap();
    assert!(killed);
    let source = std::fs::read(haul_tests::media::file("progressive.mp4")).unwrap();
    assert!(std::fs::read(&files[0].path).unwrap() == source);

    until("its death is seen", async || ytdlp.counts().replaced(Why::Died) == 1).await.unwrap();
    is_up(&ytdlp).await;
    let dir = TempDir::new().unwrap();
    ytdlp.extract(&read(&origin.url("/progressive.mp4")), 1, dir.path(), &bounds()).await.unwrap();
    assert_eq!((ytdlp.counts().runs(Way::Warm), ytdlp.counts().runs(Way::Plain)), (2, 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_replaced_and_its_job_takes_the_plain_way() {
    let origin = Origin::start().await;
    let (ytdlp, dir) = (warm(500).await, TempDir::new().unwrap());
    servers().into_iter().for_each(|server| kill_process(server, Signal::STOP).unwrap());
    ytdlp.extract(&read(&origin.url("/progressive.mp4")), 1, dir.path(), &bounds()).await.unwrap();
    assert_eq!((ytdlp.counts().runs(Way::Plain), ytdlp.counts().replaced(Why::Deaf)), (1, 1));
    is_up(&ytdlp).await;
}

#[tokio::test]
async fn a_cancelled_job_leaves_no_process_not_even_one_that_left_its_session() {
    let dir = TempDir::new().unwrap();
    let ytdlp = of_program(unruly(dir.path())).await;
    let job = TempDir::new().unwrap();
    let place = |name: &str| job.path().join(name);
    let bounds = bounds();
    let cancel = async {
        until("both run", async || place("stays").exists() && place("leaves").exists()).await.unwrap();
        bounds.cancel.cancel();
    };
    let url = read("http://127.0.0.1:1/family");
    let (ended, ()) = tokio::join!(ytdlp.extract(&url, 1, job.path(), &bounds), cancel);
    assert!(ended.is_err());
    for name in ["stays", "leaves"] {
        assert!(!lives(std::fs::read_to_string(place(name)).unwrap().trim()), "{name}");
    }
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_its_child() {
    let origin = Origin::start().await;
    let (ytdlp, dir) = (warm(500).await, TempDir::new().unwrap());
    let url = read(&origin.url("/progressive.mp4"));
    let (_, session) = ytdlp.extract(&url, 1, dir.path(), &bounds()).await.unwrap();
    let server = servers()[0].as_raw_nonzero().get();
    assert_eq!(children(server).len(), 1, "its guard");
    drop(session);
    until("the guard ends", async || children(server).is_empty()).await.unwrap();
    ytdlp.end().await;
    assert!(servers().is_empty());
}

#[tokio::test]
async fn whatever_a_job_says_is_bounded_and_other_jobs_go_on() {
    let (dir, origin) = (TempDir::new().unwrap(), Origin::start().await);
    let ytdlp = of_program(unruly(dir.path())).await;
    for (what, kind) in [
        ("flood", FailureKind::ExtractorError),
        ("garbage", FailureKind::ExtractorError),
        ("huge", FailureKind::InvalidMedia),
        ("endless", FailureKind::InvalidMedia),
        ("unreadable", FailureKind::ExtractorError),
        ("memory", FailureKind::InvalidMedia),
        ("death", FailureKind::Internal),
    ] {
        let job = TempDir::new().unwrap();
        let found = ytdlp.extract(&read(&format!("http://127.0.0.1:1/{what}")), 1, job.path(), &bounds()).await;
        assert_eq!(found.map(|(info, _)| info).unwrap_err().kind, kind, "{what}");
    }
    let job = TempDir::new().unwrap();
    ytdlp.extract(&read(&origin.url("/progressive.mp4")), 1, job.path(), &bounds()).await.unwrap();
    assert_eq!((ytdlp.counts().runs(Way::Warm), ytdlp.counts().runs(Way::Plain)), (8, 0));
    assert_eq!((ytdlp.counts().unknown(), ytdlp.counts().up()), (3, 1));
}

/// Fault: half of a character, an infinity, or much depth in a site's words, and the job hung; half a million fragments
/// were held in memory.
#[tokio::test]
async fn odd_words_of_a_site_spoil_only_themselves() {
    let (dir, job) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ytdlp = of_program(unruly(dir.path())).await;
    let (info, _session) = ytdlp.extract(&read("http://127.0.0.1:1/odd"), 1, job.path(), &bounds()).await.unwrap();
    assert_eq!((info.title.as_deref(), info.duration_seconds), (Some("cut ?"), None));
    let fragments = info.formats.iter().map(|format| {
        let place = format.place.as_ref().unwrap();
        (place.fragments.len(), place.quirks)
    });
    assert_eq!(fragments.collect::<Vec<_>>(), [(0, false), (0, true)]);
    assert_eq!(ytdlp.counts().runs(Way::Warm), 1);
}

/// Fault: the server ended, and every job on it.
#[tokio::test]
async fn a_fork_that_fails_costs_no_other_job() {
    let (origin, dir, jobs) = (Origin::start().await, TempDir::new().unwrap(), TempDir::new().unwrap());
    let ytdlp = of_program(unruly(dir.path())).await;
    let url = read(&origin.url("/progressive.mp4"));
    let (_, session) = ytdlp.extract(&url, 1, jobs.path(), &bounds()).await.unwrap();
    let server = servers();
    std::fs::write(dir.path().join("yt-dlp.no-forks"), "").unwrap();
    let other = TempDir::new().unwrap();
    ytdlp.extract(&url, 1, other.path(), &bounds()).await.unwrap();
    assert_eq!((ytdlp.counts().runs(Way::Warm), ytdlp.counts().runs(Way::Plain)), (1, 1));
    assert!(servers().contains(&server[0]), "it lives on");
    session.download(&["mp4"], &bounds(), |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_job_knows_no_folder_but_its_own() {
    let dir = TempDir::new().unwrap();
    let ytdlp = of_program(unruly(dir.path())).await;
    let url = read("http://127.0.0.1:1/places");
    let [one, two] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let bounds = bounds();
    let (first, second) =
        tokio::join!(ytdlp.extract(&url, 1, one.path(), &bounds), ytdlp.extract(&url, 1, two.path(), &bounds));
    for (found, own) in [(first, &one), (second, &two)] {
        let (info, _session) = found.unwrap();
        assert_eq!(info.title.unwrap(), own.path().to_str().unwrap());
        assert_eq!(
            info.id.unwrap(),
            "HOME HTTPS_PROXY HTTP_PROXY LANG PATH TMPDIR XDG_CACHE_HOME YTDLP_NO_PLUGINS http_proxy https_proxy"
        );
    }
}

#[tokio::test]
async fn a_server_gives_way_after_its_jobs_while_they_go_on() {
    let origin = Origin::start().await;
    let (ytdlp, dir) = (warm(2).await, TempDir::new().unwrap());
    let slow = read(&origin.spoilt(Fault::Throttle(150_000), "/progressive.mp4"));
    let (_, session) = ytdlp.extract(&slow, 1, dir.path(), &bounds()).await.unwrap();
    let first = servers();
    let bounds = bounds();
    let others = async {
        let quick = read(&origin.url("/progressive.mp4"));
        let dir = TempDir::new().unwrap();
        ytdlp.metadata(&quick, 1, dir.path(), &bounds).await.unwrap();
        until("it gives way", async || ytdlp.counts().replaced(Why::Served) == 1).await.unwrap();
    };
    let (files, ()) = tokio::join!(session.download(&["mp4"], &bounds, |_| {}), others);
    assert_eq!(files.unwrap().len(), 1);
    until("a fresh one alone is left", async || servers().len() == 1 && servers() != first).await.unwrap();
    assert_eq!((ytdlp.counts().runs(Way::Plain), ytdlp.counts().replaced(Why::Died)), (0, 0));
}

#[tokio::test]
async fn another_version_of_the_program_is_seen_before_the_next_job() {
    let (dir, origin) = (TempDir::new().unwrap(), Origin::start().await);
    let ytdlp = of_program(unruly(dir.path())).await;
    let before = servers();
    unruly(dir.path());
    let job = TempDir::new().unwrap();
    // whichever way it takes: not that of the old one
    let _ = ytdlp.extract(&read(&origin.url("/progressive.mp4")), 1, job.path(), &bounds()).await;
    assert_eq!((ytdlp.counts().replaced(Why::Changed), ytdlp.counts().runs(Way::Warm)), (1, 0));
    is_up(&ytdlp).await;
    until("the old one is gone", async || !servers().iter().any(|server| before.contains(server))).await.unwrap();
}

#[tokio::test]
async fn the_version_that_is_told_is_that_of_the_program_that_took_its_place() -> anyhow::Result<()> {
    let dir = TempDir::new()?;
    let yt_dlp = program(dir.path(), &of_version("2030.01.01"));
    let house = House::open(Store::Disk, &[("HAUL_YTDLP", yt_dlp.to_str().unwrap())]).await?;
    let worker = house.worker(&[]).await?;
    let tells = async |version: &str| {
        let answer = send(house.request(&worker, Method::GET, "/metrics")).await.unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        let stats = house.get("/api/v1/stats").await.unwrap().json();
        text.contains(&format!("haul_build_info{{version=\"{}\",ytdlp=\"{version}\"}} 1", env!("CARGO_PKG_VERSION")))
            && text.matches("haul_build_info{").count() == 1
            && stats["workers"][0]["ytdlp"] == version
    };
    until("the first is told", async || tells("2030.01.01").await).await?;
    program(dir.path(), &of_version("2030.02.02"));
    house.outcome(&house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?).await?;
    until("the second is told", async || tells("2030.02.02").await).await?;
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_no_script_of_yt_dlp_s_takes_the_plain_way() {
    let (dir, origin) = (TempDir::new().unwrap(), Origin::start().await);
    let program = dir.path().join("yt-dlp");
    let real = haul_tests::tools().join("yt-dlp");
    std::fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", real.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ytdlp = of_program(program).await;
    let job = TempDir::new().unwrap();
    ytdlp.extract(&read(&origin.url("/progressive.mp4")), 1, job.path(), &bounds()).await.unwrap();
    assert_eq!((ytdlp.counts().up(), ytdlp.counts().runs(Way::Plain)), (0, 1));
}

#[tokio::test]
async fn both_ways_tell_the_same_of_a_medium() {
    let origin = Origin::start().await;
    let warm = warm(500).await;
    let short = Bounds { cancel: CancellationToken::new(), wall: Duration::from_secs(90), ..bounds() };
    for path in ["/progressive.mp4", "/hls-fmp4/master.m3u8", "/hls-ts/master.m3u8", "/dash/manifest.mpd"] {
        let url = read(&origin.url(path));
        let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut plainly = plain().extract(&url, 1, one.path(), &short).await.unwrap().0;
        let mut warmly = warm.extract(&url, 1, two.path(), &short).await.unwrap().0;
        // each yt-dlp is another browser by chance
        for place in plainly.formats.iter_mut().chain(&mut warmly.formats).filter_map(|format| format.place.as_mut()) {
            assert!(place.headers.remove("user-agent").is_some());
        }
        assert_eq!(plainly, warmly, "{path}");
    }
}

/// A random that a job had from its server, the next one would have, too.
#[tokio::test]
async fn jobs_share_the_trusted_certificates_and_nothing_else_of_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = read(&format!("https://{}/a.mp4", listener.local_addr().unwrap()));
    let ytdlp = warm(500).await;
    let mut randoms = Vec::new();
    for _ in 0..2 {
        let dir = TempDir::new().unwrap();
        let within = bounds();
        let job = ytdlp.extract(&url, 1, dir.path(), &within);
        let hello = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // a record, in it a handshake, in it a version and the random (RFC 8446, 4.1.2 and 5.1)
            let mut hello = [0; 5 + 4 + 2 + 32];
            stream.read_exact(&mut hello).await.unwrap();
            hello
        };
        let (failure, hello) = tokio::join!(job, hello);
        assert_eq!(failure.err().map(|failure| failure.kind), Some(FailureKind::Network));
        assert_eq!((hello[0], hello[5]), (22, 1), "a hello");
        randoms.push(hello[11..].to_vec());
    }
    assert_ne!(randoms[0], randoms[1]);
    assert_eq!(ytdlp.counts().runs(Way::Warm), 2);
}
