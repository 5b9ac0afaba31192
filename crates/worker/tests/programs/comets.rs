//! Programs that fork and end for ever, each time in a session of their own: whoever is looked at is gone already.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use haul_worker::process::{Ended, Spec, Supervised, Watch, output};
use haul_worker::sandbox::{Sandbox, Tier, Wanted};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::watch;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_haul-jail");

/// Some of them. They hold a lock, which the last to die gives back; the arguments say what the program itself does, and how
/// many there are. Whom nobody has killed ends after five
/// minutes, later than anybody here waits for it: he would slow down all that runs on the machine.
const COMETS: &str = "
import fcntl, os, signal, sys, time
fcntl.flock(os.open('lock', os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 300
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        while time.monotonic() < end:
            try:
                os.setsid()
                if os.fork():
                    os._exit(0)
            except OSError:
                pass
        os._exit(0)
os.close(os.open('up', os.O_CREAT | os.O_RDWR))
time.sleep(0.2 if sys.argv[1] == 'ends' else 60)
";
const MANY: &str = "48";
const FEW: &str = "4";

/// Each is in a session of its own and the parent of the next: whoever kills his children by a list has the last of them
/// only after all others. They hold the same lock, and the first ends when the last is there.
const GENERATIONS: &str = "
import fcntl, os, signal, time
fcntl.flock(os.open('lock', os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
first, end = os.getpid(), time.monotonic() + 60
for _ in range(4):
    if os.fork():
        break
    os.setsid()
else:
    os.close(os.open('up', os.O_CREAT | os.O_RDWR))
while os.getpid() == first and not os.path.exists('up') and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0 if os.getpid() == first else 60)
";

fn python(dir: &Path, program: &[&str]) -> Spec {
    Spec::new("/usr/bin/python3", dir).args(["-I", "-S", "-c"]).args(program).launcher(LAUNCHER)
}

fn comets(dir: &Path, ending: &str) -> Spec {
    python(dir, &[COMETS, ending, MANY])
}

fn is_anybody_left(dir: &Path) -> bool {
    File::open(dir.join("lock")).expect("it was made").try_lock().is_err()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    haul_tests::processes::until(what, async || is()).await.expect("it happens");
}

/// Fault: the keeper killed one of them after the other, and was killed before it had the last.
#[tokio::test]
async fn a_program_that_forks_and_ends_for_ever_leaves_nobody() {
    let home = TempDir::new().unwrap();
    for tier in [Tier::A, Tier::B] {
        let sandbox = Sandbox::establish(Wanted::Exactly(tier), home.path(), Some(Path::new(LAUNCHER))).await.unwrap();
        let room = |ending: &str| {
            let room = home.path().join(format!("{ending}-{}", tier.word()));
            std::fs::create_dir(&room).unwrap();
            room
        };
        let ends = room("ends");
        let ended = output(&comets(&ends, "ends").sandbox(&sandbox), &watch()).await.unwrap().ended;
        assert_eq!((ended, is_anybody_left(&ends)), (Ended::Exited(0), false), "{tier:?}");

        let stays = room("stays");
        let watch = Watch::new(watch().wall, watch().silence, CancellationToken::new());
        let cancel = async {
            until("the start", || stays.join("up").exists()).await;
            watch.cancel.cancel();
        };
        let spec = comets(&stays, "stays").sandbox(&sandbox);
        let (output, ()) = tokio::join!(output(&spec, &watch), cancel);
        assert_eq!((output.unwrap().ended, is_anybody_left(&stays)), (Ended::Cancelled, false), "{tier:?}");

        let dropped = room("dropped");
        let program = Supervised::start(&comets(&dropped, "stays").sandbox(&sandbox)).unwrap();
        until("the start", || dropped.join("up").exists()).await;
        drop(program);
        until("the end of all", || !is_anybody_left(&dropped)).await;
    }
}

#[tokio::test]
async fn when_the_worker_is_killed_nobody_is_left_who_forks_and_ends_for_ever() {
    // by a list alone they can outrun the keeper
    for apart in ["--apart", ""].into_iter().take(if knows_scopes() { 2 } else { 1 }) {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("comets.py"), COMETS).unwrap();
        // the first process of the pipe stands for the worker: it holds the lifeline, and is killed
        let script = format!(
            r#"sh -c 'echo $$ > holder; exec sleep 60' | "{LAUNCHER}" {apart} -- /usr/bin/python3 -I -S comets.py stays {MANY}; echo $? > over"#
        );
        let spec = Spec::new("/bin/sh", dir.path()).args(["-c", &script]).env("PATH", "/usr/bin:/bin");
        let mut outer = Supervised::start(&spec.launcher(LAUNCHER)).unwrap();
        let watch = watch();
        let kill = async {
            until("the start", || dir.path().join("up").exists()).await;
            let holder = std::fs::read_to_string(dir.path().join("holder")).unwrap();
            let holder = rustix::process::Pid::from_raw(holder.trim().parse().unwrap()).unwrap();
            rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
        };
        let (ended, ()) = tokio::join!(outer.run(&watch, |_| {}), kill);
        let over = std::fs::read_to_string(dir.path().join("over")).unwrap();
        assert_eq!((ended, over.as_str(), is_anybody_left(dir.path())), (Ended::Exited(0), "137\n", false), "{apart}");
    }
}

/// Can this kernel keep signals in?
fn knows_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("every kernel has one");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

/// Uses up Landlock, so that the launcher can't keep its signals in, and becomes what it is told.
const WITHOUT_SCOPES: &str = "
import ctypes, os, struct, sys
call, root = ctypes.CDLL(None).syscall, os.open('/', os.O_PATH)
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
for _ in range(16):
    ruleset = call(444, struct.pack('=QQQ', 1 << 13, 0, 0), ctypes.c_size_t(24), 0)
    call(445, ruleset, 1, struct.pack('=Qi', 1 << 13, root), 0)
    call(446, ruleset, 0)
os.execv(sys.argv[1], sys.argv[1:])
";

#[tokio::test]
async fn everybody_is_killed_in_one_step_and_one_by_one_where_that_cannot_be_had() {
    for without_scopes in ["", "/usr/bin/python3 -I -S without_scopes.py"] {
        let in_one_step = knows_scopes() && without_scopes.is_empty();
        // whether a list can follow those who fork for ever is the machine's affair
        let program: &[&str] = if in_one_step { &[COMETS, "ends", FEW] } else { &[GENERATIONS] };
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("without_scopes.py"), WITHOUT_SCOPES).unwrap();
        // of the keeper alone, not of whom it starts
        let words = format!("exec /usr/bin/strace -qq -e trace=kill -o kills {without_scopes} '{LAUNCHER}' \"$@\"");
        let launcher = dir.path().join("launcher");
        std::fs::write(&launcher, format!("#!/bin/sh\n{words}\n")).unwrap();
        std::fs::set_permissions(&launcher, Permissions::from_mode(0o755)).unwrap();
        let ended = output(&python(dir.path(), program).launcher(launcher), &watch()).await.unwrap();
        assert_eq!((ended.ended, is_anybody_left(dir.path())), (Ended::Exited(0), false), "{}", ended.stderr_tail);
        let kills = std::fs::read_to_string(dir.path().join("kills")).unwrap();
        assert_eq!(kills.contains("kill(-1, SIGKILL)"), in_one_step, "{without_scopes}: {kills}");
    }
}
