//! However a run ends, nothing of it is left.

use std::path::Path;
use std::time::Duration;

use haul_worker::process::{Ended, Limits, Pace, SpawnError, Spec, Stream, Supervised, Watch, output};
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

/// Two grandchildren that ignore TERM, one of them in a session of its own; their ids are in the files `stay` and `leave`.
/// Whom nobody has killed ends after some minutes.
const FAMILY: &str = r#"
    sh -c 'trap "" TERM; echo $$ > stay.new; mv stay.new stay; exec sleep 300' &
    setsid sh -c 'trap "" TERM; echo $$ > leave.new; mv leave.new leave; exec sleep 300' &
    while [ ! -e stay ] || [ ! -e leave ]; do sleep 0.01; done
"#;

fn sh(dir: &TempDir, script: &str) -> Spec {
    Spec::new("/bin/sh", dir.path()).args(["-c", script]).env("PATH", "/usr/bin:/bin")
}

fn patient() -> Watch {
    Watch::new(LONG, LONG, CancellationToken::new())
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let mut ticks = interval(Duration::from_millis(5));
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what} did not happen");
        ticks.tick().await;
    }
}

/// Is there such a process, and is it more than a zombie that waits for init?
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn pid(dir: &TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).expect("the script wrote its id").trim().to_owned()
}

fn has(dir: &TempDir, name: &str) -> bool {
    dir.path().join(name).exists()
}

#[tokio::test]
async fn a_program_sees_its_arguments_and_no_variable_but_ours() {
    let dir = TempDir::new().unwrap();
    let spec = sh(&dir, r#"printf '%s\n' "$0" "$1"; pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort; echo oh >&2; cat; exit 3"#)
        .args(["a b", "--data"])
        .env("NAME", "va lue");
    let output = output(&spec, &patient()).await.unwrap();
    assert_eq!(output.ended, Ended::Exited(3));
    let here = dir.path().canonicalize().unwrap();
    assert_eq!(output.stdout, format!("a b\n--data\n{}\nNAME=va lue\nPATH=/usr/bin:/bin\n", here.display()));
    assert_eq!(output.stderr_tail, "oh\n");
    assert!(!output.cut);
}

/// What is to die with its parent dies with the thread that it was started by.
#[tokio::test]
async fn a_program_outlives_the_thread_that_started_it() {
    let dir = TempDir::new().unwrap();
    let spec = sh(&dir, "while [ ! -e go ]; do sleep 0.01; done; exit 7");
    let runtime = tokio::runtime::Handle::current();
    let starts = std::thread::spawn(move || {
        let _on = runtime.enter();
        Supervised::start(&spec).unwrap()
    });
    let mut program = starts.join().unwrap();
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert_eq!(program.run(&patient(), |_| {}).await, Ended::Exited(7));
}

#[tokio::test]
async fn a_program_that_dies_by_a_signal_is_told_from_one_that_exits() {
    let dir = TempDir::new().unwrap();
    for (script, ended) in [
        ("kill -KILL $$", Ended::Signalled(9)),
        ("kill -XFSZ $$", Ended::Signalled(25)),
        ("exit 137", Ended::Exited(137)),
        ("true", Ended::Exited(0)),
    ] {
        assert_eq!(output(&sh(&dir, script), &patient()).await.unwrap().ended, ended, "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let dir = TempDir::new().unwrap();
    let absent = output(&Spec::new("/nowhere/program", dir.path()), &patient()).await.unwrap();
    assert_eq!(absent.ended, Ended::Exited(127));
    let folder = output(&Spec::new("/etc", dir.path()), &patient()).await.unwrap();
    assert_eq!(folder.ended, Ended::Exited(126));
    let no_launcher = Supervised::start(&sh(&dir, "true").launcher("/nowhere/haul-jail"));
    assert!(matches!(no_launcher, Err(SpawnError::NoLauncher(_))));
    let no_dir = Supervised::start(&Spec::new("/bin/true", "/nowhere"));
    assert!(matches!(no_dir, Err(SpawnError::Refused(..))));
}

#[tokio::test]
async fn limits_bind_the_program() {
    let dir = TempDir::new().unwrap();
    let limits = Limits {
        file_size: Some(4096),
        data: Some(64 << 20),
        cpu: Some(Duration::from_secs(1)),
        open_files: Some(20),
        gives_way: true,
    };
    let own = output(&sh(&dir, "nice"), &patient()).await.unwrap().stdout;
    let niceness = (own.trim().parse::<i32>().unwrap() + 5).min(19);
    let script = "ulimit -c; ulimit -d; ulimit -n; nice; ulimit -s; cat /proc/self/oom_score_adj; head -c 9000 /dev/zero > big; exit 0";
    let said = output(&sh(&dir, script).limits(limits), &patient()).await.unwrap();
    assert_eq!(said.stdout, format!("0\n65536\n20\n{niceness}\n8192\n1000\n"));
    assert_eq!(std::fs::metadata(dir.path().join("big")).unwrap().len(), 4096);
    let ended = output(&sh(&dir, "while :; do :; done").limits(limits), &patient()).await.unwrap().ended;
    assert!(ended.is_too_dear(), "{ended}");
}

#[tokio::test]
async fn a_program_that_ends_leaves_no_descendant() {
    let dir = TempDir::new().unwrap();
    let ended = output(&sh(&dir, FAMILY), &patient()).await.unwrap().ended;
    assert_eq!(ended, Ended::Exited(0));
    assert!(!lives(&pid(&dir, "stay")) && !lives(&pid(&dir, "leave")));
}

#[tokio::test]
async fn a_cancelled_program_may_end_well_and_leaves_no_descendant() {
    let dir = TempDir::new().unwrap();
    let script = format!(r#"trap 'echo bye; exit 0' TERM; {FAMILY} while :; do sleep 0.01; done"#);
    let watch = patient();
    let cancel = async {
        eventually("the start", || has(&dir, "stay") && has(&dir, "leave")).await;
        watch.cancel.cancel();
    };
    let spec = sh(&dir, &script);
    let (output, ()) = tokio::join!(output(&spec, &watch), cancel);
    let output = output.unwrap();
    assert_eq!((output.ended, output.stdout.as_str()), (Ended::Cancelled, "bye\n"));
    assert!(!lives(&pid(&dir, "stay")) && !lives(&pid(&dir, "leave")));
}

#[tokio::test]
async fn a_program_that_ignores_the_request_to_end_is_killed() {
    let dir = TempDir::new().unwrap();
    let watch = Watch::new(Duration::from_millis(500), LONG, CancellationToken::new());
    let spec = sh(&dir, &format!("trap '' TERM; {FAMILY} while :; do sleep 1; done"));
    assert_eq!(output(&spec, &watch).await.unwrap().ended, Ended::TimedOut);
    for name in ["stay", "leave"] {
        assert!(!has(&dir, name) || !lives(&pid(&dir, name)), "{name}");
    }
}

#[tokio::test]
async fn a_dropped_program_takes_its_descendants_along() {
    // once, only the group was killed: what had left it lived on
    let dir = TempDir::new().unwrap();
    let mut program = Supervised::start(&sh(&dir, &format!("{FAMILY} while :; do sleep 1; done"))).unwrap();
    let watch = patient();
    {
        let run = program.run(&watch, |_| {});
        tokio::select! {
            _ = run => panic!("it must not end"),
            () = eventually("the start", || has(&dir, "stay") && has(&dir, "leave")) => {}
        }
    }
    drop(program);
    eventually("the end of all", || !lives(&pid(&dir, "stay")) && !lives(&pid(&dir, "leave"))).await;
}

#[tokio::test]
async fn when_the_worker_is_killed_its_programs_die() {
    let dir = TempDir::new().unwrap();
    // the first process of the pipe stands for the worker: it holds the lifeline, and is killed
    let launcher = env!("CARGO_BIN_EXE_haul-jail");
    let script = format!(
        r#"sh -c 'echo $$ > holder; exec sleep 60' | "{launcher}" -- sh -c '{} while :; do sleep 1; done'; echo $? > over"#,
        FAMILY.replace('\'', r"'\''")
    );
    let mut outer = Supervised::start(&sh(&dir, &script)).unwrap();
    let watch = patient();
    let kill = async {
        eventually("the start", || has(&dir, "stay") && has(&dir, "leave")).await;
        let holder = rustix::process::Pid::from_raw(pid(&dir, "holder").parse().unwrap()).unwrap();
        rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
        eventually("the end", || !lives(&pid(&dir, "stay")) && !lives(&pid(&dir, "leave"))).await;
    };
    let (ended, ()) = tokio::join!(outer.run(&watch, |_| {}), kill);
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(pid(&dir, "over"), "137");
}

#[tokio::test]
async fn a_silent_program_is_ended_and_a_talking_or_working_one_is_not() {
    let dir = TempDir::new().unwrap();
    let mut watch = patient();
    watch.silence = Duration::from_secs(4);
    let run = async |script: &str, watch: &Watch| output(&sh(&dir, script), watch).await.unwrap().ended;
    assert_eq!(run("echo once; sleep 60", &watch).await, Ended::Silent);
    assert_eq!(run("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; sleep 0.5; done", &watch).await, Ended::Exited(0));

    let file = dir.path().join("grows");
    watch.activity = Some(size_of(&file));
    assert_eq!(
        run("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >> grows; sleep 0.5; done", &watch).await,
        Ended::Exited(0)
    );
    assert_eq!(run("echo more >> grows; sleep 60", &watch).await, Ended::Silent);
}

#[tokio::test]
async fn a_program_that_trickles_is_too_slow() {
    let dir = TempDir::new().unwrap();
    let mut watch = patient();
    watch.activity = Some(size_of(&dir.path().join("grows")));
    watch.slowest = Some(Pace { bytes: 1000, window: Duration::from_secs(1) });
    let trickle = "while :; do printf x >> grows; echo; sleep 0.05; done";
    assert_eq!(output(&sh(&dir, trickle), &watch).await.unwrap().ended, Ended::Slow);
}

#[tokio::test]
async fn a_flood_of_output_is_read_in_bounded_memory() {
    let dir = TempDir::new().unwrap();
    let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; yes line | head -n 200000 >&2; echo last";
    let mut lines = Vec::new();
    let mut program = Supervised::start(&sh(&dir, script)).unwrap();
    let ended = timeout(
        LONG,
        program.run(&patient(), |line| {
            if line.from == Stream::Stdout {
                lines.push((line.text.len(), line.cut));
            }
        }),
    )
    .await;
    assert_eq!(ended, Ok(Ended::Exited(0)));
    assert_eq!(lines, [(Stream::Stdout.line_limit(), true), (4, false)]);
    assert!(program.stderr_tail().len() <= 64 << 10);
    assert!(program.stderr_tail().ends_with("line\n"));
}

fn size_of(file: &Path) -> std::sync::Arc<dyn Fn() -> u64 + Send + Sync> {
    let file = file.to_owned();
    std::sync::Arc::new(move || std::fs::metadata(&file).map_or(0, |meta| meta.len()))
}
