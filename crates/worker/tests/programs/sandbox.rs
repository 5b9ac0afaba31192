//! What a program can do in the sandbox, by a program that tries: real rules, put on by the real launcher.

use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul_jail::{Attempts, Found};
use haul_worker::process::{Ended, Limits, Output, Serve, Spec, Supervised, Watch, output};
use haul_worker::sandbox::{Sandbox, Tier, Wanted};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::watch;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_haul-jail");

/// A worker's scratch with the directories of two jobs, and what is around it.
struct Scene {
    home: TempDir,
    sandbox: Sandbox,
    launcher: PathBuf,
    elsewhere: TcpListener,
}

impl Scene {
    async fn in_tier(tier: Tier) -> Self {
        let home = TempDir::new().expect("it works");
        for job in ["job-ours", "job-theirs"] {
            std::fs::create_dir(home.path().join(job)).expect("it works");
        }
        std::fs::write(home.path().join("job-theirs/media.mp4"), "theirs").expect("it works");
        let sandbox = Sandbox::establish(Wanted::Exactly(tier), home.path(), Some(Path::new(LAUNCHER))).await;
        let elsewhere = TcpListener::bind("127.0.0.1:0").expect("it works");
        elsewhere.set_nonblocking(true).expect("it works");
        Self { home, sandbox: sandbox.expect("this machine has what it takes"), launcher: LAUNCHER.into(), elsewhere }
    }

    fn room(&self) -> PathBuf {
        self.home.path().join("job-ours")
    }

    fn spec(&self, program: &Path) -> Spec {
        Spec::new(program, self.room()).launcher(&self.launcher).sandbox(&self.sandbox).env("PATH", "/usr/bin:/bin")
    }

    /// Whoever comes is greeted.
    fn guard(&self) -> (SocketAddr, Serve) {
        let greet = |listener: TcpListener| {
            listener.set_nonblocking(false).expect("it works");
            std::thread::spawn(move || {
                listener.incoming().map_while(Result::ok).for_each(|mut guest| {
                    let _ = guest.write_all(b"guard");
                });
            });
        };
        match self.sandbox.guard_inside() {
            Some(inside) => (inside, Arc::new(greet)),
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("it works");
                let address = listener.local_addr().expect("it works");
                greet(listener);
                (address, Arc::new(|_| panic!("no listener is handed out here")))
            }
        }
    }

    /// Runs the program that tries to get out.
    async fn escape(&self, python: &Path) -> Output {
        let real = python.canonicalize().expect("it works");
        let prefixes = [python, &real].map(|python| python.ancestors().nth(2).expect("it works").to_owned());
        let (guard, serve) = self.guard();
        let address = |of: SocketAddr| json!([of.ip(), of.port()]);
        let other = json!({
            "worker": std::process::id(), "home": self.home.path(),
            "file": self.home.path().join("job-theirs/media.mp4"),
            "guard": address(guard), "greets": true, "elsewhere": address(self.elsewhere.local_addr().expect("it works")),
        });
        let script = haul_tests::ESCAPE;
        let spec = self.spec(python).args(["-I", "-c", script, &other.to_string()]).made_of(prefixes);
        output(&spec.reaches(guard, serve), &watch()).await.expect("it works")
    }
}

async fn is_confined_in(tier: Tier) {
    let scene = Scene::in_tier(tier).await;
    finds_no_way_out(&scene, &haul_tests::tools().join("python3")).await;
}

async fn finds_no_way_out(scene: &Scene, python: &Path) {
    let tier = scene.sandbox.tier();
    let tried = scene.escape(python).await;
    assert_eq!(tried.ended, Ended::Exited(0), "{}{}", tried.stdout, tried.stderr_tail);
    assert_eq!(haul_tests::escaped(&tried.stdout), Vec::<String>::new(), "{tier:?}");
    let theirs = std::fs::read_to_string(scene.home.path().join("job-theirs/media.mp4")).expect("it works");
    assert_eq!(theirs, "theirs");
    let guest = scene.elsewhere.accept().map(|_| ());
    assert_eq!(guest.expect_err("nobody").kind(), ErrorKind::WouldBlock, "somebody came");
}

#[tokio::test]
async fn in_tier_a_a_program_has_its_directory_and_the_guard_and_nothing_else() {
    is_confined_in(Tier::A).await;
}

#[tokio::test]
async fn in_tier_b_a_program_has_its_directory_and_the_guard_and_nothing_else() {
    is_confined_in(Tier::B).await;
}

/// What must fail in a sandbox would prove nothing, did it fail anywhere. Whoever has a keeper can signal nobody else.
#[expect(clippy::disallowed_methods, reason = "the program by itself, without a keeper")]
#[tokio::test]
async fn what_is_attempted_at_the_start_succeeds_where_nothing_confines_it() {
    let dir = TempDir::new().expect("it works");
    let foreign_file = dir.path().join("secret");
    std::fs::write(&foreign_file, "x").expect("it works");
    let (guard, elsewhere) = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("it works")).into();
    let address = |listener: &TcpListener| listener.local_addr().expect("it works");
    let attempts = Attempts {
        own_file: dir.path().join("file"),
        foreign_file: foreign_file.clone(),
        guard: address(&guard),
        elsewhere: address(&elsewhere),
        worker: std::process::id().cast_signed(),
    };
    let words = ["--attempt".to_owned(), serde_json::to_string(&attempts).expect("it works")];
    let tried = std::process::Command::new(LAUNCHER).args(words).output().expect("it works");
    let found: Found = serde_json::from_slice(&tried.stdout).expect("it tells");
    let all = Found {
        own_file: true,
        foreign_file: true,
        guard: true,
        elsewhere: true,
        datagram: true,
        listening: true,
        namespaces: true,
        cutting: true,
        signal: true,
    };
    assert_eq!(found, all);
    assert_eq!(std::fs::read(foreign_file).expect("it works"), b"");
}

const NOBODY: u32 = 65534;

/// As many as may be, which do nothing.
const MANY: &str = "
import os, signal
many = 0
try:
    while many < 2000:
        if os.fork() == 0:
            signal.pause()
        many += 1
except BlockingIOError:
    print(many)
";

#[tokio::test]
async fn in_tier_a_the_launcher_needs_no_right_of_the_system_s_and_processes_are_counted() {
    let mut scene = Scene::in_tier(Tier::A).await;
    let place = TempDir::new().expect("it works");
    // elsewhere all tests are without such rights, and root's processes are counted by nobody
    if rustix::process::geteuid().is_root() {
        scene.launcher = as_nobody(&scene, place.path());
    }
    let python = Path::new("/usr/bin/python3");
    finds_no_way_out(&scene, python).await;
    let many = output(&scene.spec(python).args(["-I", "-c", MANY]), &watch()).await.expect("it works");
    let many: u32 = many.stdout.trim().parse().unwrap_or_else(|_| panic!("{} {}", many.ended, many.stderr_tail));
    assert!((500..=512).contains(&many), "{many}");
}

/// A launcher in this place that somebody starts who has no right of the system's, and whose the room is.
fn as_nobody(scene: &Scene, place: &Path) -> PathBuf {
    let open_to_all = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it works");
    // a folder of its own may be closed to nobody
    let [launcher, as_nobody] = ["haul-jail", "as-nobody"].map(|name| place.join(name));
    std::fs::copy(LAUNCHER, &launcher).expect("it works");
    let words = format!("exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups -- {}", launcher.display());
    std::fs::write(&as_nobody, format!("#!/bin/sh\n{words} \"$@\"\n")).expect("it works");
    [place, &launcher, &as_nobody, scene.home.path()].into_iter().for_each(open_to_all);
    std::os::unix::fs::chown(scene.room(), Some(NOBODY), Some(NOBODY)).expect("it works");
    as_nobody
}

/// Two grandchildren that ignore the request to end, one of them in a session of its own. What is looked for outside is
/// their argument: inside they have other numbers. Whom nobody has killed ends after some minutes.
const FAMILY: &str = r#"
    sh -c 'trap "" TERM; touch stay; while [ $((i += 1)) -lt 300 ]; do sleep 1; done' "$0" &
    setsid sh -c 'trap "" TERM; touch leave; while [ $((i += 1)) -lt 300 ]; do sleep 1; done' "$0" &
    while [ ! -e stay ] || [ ! -e leave ]; do sleep 0.01; done
"#;

/// How many processes of this machine have this argument.
fn running(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("it works").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())).count()
}

fn family(scene: &Scene, mark: &str, after: &str) -> Spec {
    scene.spec(Path::new("/bin/sh")).args(["-c", &format!("{FAMILY}{after}"), mark])
}

async fn until(what: &str, is: impl Fn() -> bool) {
    haul_tests::processes::until(what, async || is()).await.expect("it works");
}

#[tokio::test]
async fn a_confined_program_that_ends_is_cancelled_or_let_go_leaves_no_descendant() {
    for tier in [Tier::A, Tier::B] {
        let scene = Scene::in_tier(tier).await;
        let is_there = |name| scene.room().join(name).exists();
        let begun = || is_there("stay") && is_there("leave");
        let ended = output(&family(&scene, "ends-by-itself", "exit 3"), &watch()).await.unwrap().ended;
        assert_eq!((ended, running("ends-by-itself")), (Ended::Exited(3), 0), "{tier:?}");

        let watch = watch();
        let scripts = ["trap 'exit 0' TERM; while :; do sleep 0.01; done", "while :; do sleep 1; done"];
        for (script, mark) in scripts.into_iter().zip(["ends-well", "is-deaf"]) {
            let clear = ["stay", "leave"].map(|name| std::fs::remove_file(scene.room().join(name)));
            assert!(clear.iter().all(Result::is_ok));
            let spec = family(&scene, mark, script);
            let watch = Watch::new(watch.wall, watch.silence, CancellationToken::new());
            let cancel = async {
                until("its start", begun).await;
                watch.cancel.cancel();
            };
            let (ended, ()) = tokio::join!(output(&spec, &watch), cancel);
            assert_eq!((ended.unwrap().ended, running(mark)), (Ended::Cancelled, 0), "{tier:?}");
        }

        let program = Supervised::start(&family(&scene, "is-let-go", "while :; do sleep 1; done")).unwrap();
        until("its start", || running("is-let-go") > 2).await;
        drop(program);
        until("its end", || running("is-let-go") == 0).await;
    }
}

#[tokio::test]
async fn when_the_worker_or_the_keeper_is_killed_a_program_apart_dies_with_all_its_descendants() {
    let dir = TempDir::new().unwrap();
    for killed in ["worker", "keeper"] {
        // the first process of the pipe stands for the worker: it holds the lifeline
        let script = format!(
            r#"sh -c 'exec sleep 60' worker | sh -c 'echo $$ > keeper; exec "{LAUNCHER}" --apart -- sh -c "$0" {killed}-dies' '{}while :; do sleep 1; done' &
               echo $! > last; jobs -p > worker; wait; echo over > over"#,
            FAMILY.replace('\'', r"'\''")
        );
        let spec =
            Spec::new("/bin/bash", dir.path()).launcher(LAUNCHER).args(["-c", &script]).env("PATH", "/usr/bin:/bin");
        let mut outer = Supervised::start(&spec).unwrap();
        let mark = format!("{killed}-dies");
        let watch = watch();
        let kill = async {
            until("the start", || dir.path().join("leave").exists() && dir.path().join("stay").exists()).await;
            assert!(running(&mark) > 2);
            let number = std::fs::read_to_string(dir.path().join(killed)).unwrap();
            let process = rustix::process::Pid::from_raw(number.trim().parse().unwrap()).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            until("the end of all", || running(&mark) == 0).await;
            watch.cancel.cancel();
        };
        tokio::join!(outer.run(&watch, |_| {}), kill);
        for name in ["stay", "leave"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
}

/// As yt-dlp starts it for the puzzles of sites: with code made while it runs, threads, and a gigabyte.
#[tokio::test]
async fn a_javascript_runtime_works_in_the_sandbox() {
    let deno = haul_tests::tools().join("deno").canonicalize().unwrap();
    let script = "let n = 0; for (let i = 0; i < 3e6; i++) n += i % 7; await new Promise(r => setTimeout(r, 1)); \
                  const read = Deno.readTextFile('/etc/passwd').then(() => 'read', e => e.name); \
                  console.log(new Function('a', 'return a * 2')(21), n, await read)";
    for tier in [Tier::A, Tier::B] {
        let scene = Scene::in_tier(tier).await;
        let room = scene.room();
        let (guard, serve) = scene.guard();
        let limits = Limits { data: Some(1 << 30), ..Limits::default() };
        std::fs::write(room.join("puzzle.js"), script).unwrap();
        let words =
            ["run", "--allow-read", "--no-remote", "--no-prompt", "--no-lock", "--node-modules-dir=none", "puzzle.js"];
        let spec = scene.spec(&deno).args(words).limits(limits).env("HOME", &room).env("TMPDIR", &room);
        let ran = output(&spec.reaches(guard, serve), &watch()).await.unwrap();
        assert_eq!(ran.stdout, "42 8999994 PermissionDenied\n", "{tier:?}: {} {}", ran.ended, ran.stderr_tail);
    }
}
