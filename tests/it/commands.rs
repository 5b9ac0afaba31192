//! The commands of a newcomer: `deploy/local/up` and what the README says can be done with it.
//!
//! They build the tree as it is (unoptimised, as for the tests), so the first one may take as long as a build.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use haul_tests::origin::Origin;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const BUILT_AND_UP: Duration = Duration::from_secs(600);
const STOPPED: Duration = Duration::from_secs(60);

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie below the top").to_path_buf()
}

fn up(data: &Path) -> Command {
    let mut command = Command::new(top().join("deploy/local/up"));
    command.args(["--debug", "--data"]).arg(data).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A service that was brought up, and where it is.
struct Up {
    script: Child,
    base: String,
    data: TempDir,
}

impl Up {
    /// Returns when everything is ready.
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut script = up(data.path())
            .env("HAUL_EGRESS_ALLOW", "127.0.0.0/8")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let mut lines = BufReader::new(script.stderr.take().expect("piped")).lines();
        let mut said = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                said.push_str(&line);
                said.push('\n');
                if line.contains("Ctrl-C stops everything") {
                    return true;
                }
            }
            false
        };
        let is_ready = timeout(BUILT_AND_UP, ready).await;
        assert_eq!(is_ready, Ok(true), "{said}");
        // what it says later is of no interest, but must not block it
        tokio::spawn(async move { lines.into_inner().read_to_end(&mut Vec::new()).await });
        let base = said.split_once("the API is at ").and_then(|(_, rest)| rest.split(['/', ' ']).nth(2));
        let base = format!("http://{}", base.expect("it says where the API is"));
        Self { script, base, data }
    }

    /// Asks it to stop, as Ctrl-C does; the exit code.
    async fn stop(&mut self) -> Option<i32> {
        let pid = self.script.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it is ours");
        let status = timeout(STOPPED, self.script.wait()).await.expect("it stops in time").expect("it was started");
        status.code().or(status.signal().map(|signal| -signal))
    }
}

/// The command lines of running processes that speak of a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a path in UTF-8");
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    processes
        .filter_map(|process| {
            // a part is known by its arguments, its environment or, as Redis, by the folder where it works
            let read = |name| std::fs::read(process.path().join(name)).unwrap_or_default();
            let place = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
            let text = String::from_utf8_lossy(&[read("cmdline"), read("environ")].concat()).replace('\0', " ");
            (text.contains(folder) || place.starts_with(folder)).then_some(text)
        })
        .collect()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn the_demo_goes_through_the_whole_service_and_leaves_nothing_running() {
    let data = tempfile::tempdir().expect("a folder");
    let run = up(data.path()).args(["--demo", "--once"]).output();
    let output = timeout(BUILT_AND_UP, run).await.expect("in time").expect("bash runs");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("the bytes match the SHA-256"), "{}", text(&output));
    assert_eq!(processes_of(data.path()), [""; 0]);
    // files that rotate: a service that is left alone for a year fills no disk
    for log in ["haul-api.log", "haul-worker.log"] {
        assert!(std::fs::metadata(data.path().join("log").join(log)).is_ok_and(|log| log.len() > 0), "{log}");
    }
}

#[tokio::test]
async fn whoever_stops_the_service_stops_every_part_of_it() {
    let mut up = Up::start().await;
    assert!(processes_of(up.data.path()).len() >= 4, "the script, Redis, the API and the worker");
    assert_eq!(up.stop().await, Some(0));
    assert_eq!(processes_of(up.data.path()), [""; 0]);
}

#[tokio::test]
async fn the_requests_of_the_readme_do_what_they_say() {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("the README");
    let (_, section) = readme.split_once("## Five requests\n```sh\n").expect("the section");
    let (examples, _) = section.split_once("```").expect("its end");
    let (origin, mut up) = (Origin::start().await, Up::start().await);
    let folder = tempfile::tempdir().expect("a folder");

    // as printed, but for the two addresses; a reader looks at the second answer until it says what the third needs
    let script = examples.lines().map(|line| match line.split_once('=') {
        Some(("api", _)) => format!("api={}/api/v1", up.base),
        Some(("url", _)) => format!("url={}", origin.url("/hls-ts/master.m3u8")),
        _ if line.starts_with("# 3.") => {
            r#"until curl -sS "$api/downloads/$id?wait=5" | grep -q '"status":"completed"'; do :; done"#.to_owned()
        }
        _ => line.to_owned(),
    });
    let careful =
        ["set -euo pipefail", "curl() { command curl --fail-with-body --max-time 60 \"$@\"; }"].map(str::to_owned);
    let script = careful.into_iter().chain(script).collect::<Vec<_>>().join("\n");
    let run = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(120), run).await.expect("in time").expect("bash runs");
    let answers = text(&output);
    assert!(output.status.success(), "{answers}");
    for part in ["\"progress\":", "\"sha256\":\"", "\"qualities\":"] {
        assert!(answers.contains(part), "{part} in {answers}");
    }
    assert!(std::fs::metadata(folder.path().join("talk.part")).is_ok_and(|part| part.len() > 0), "{answers}");
    assert_eq!(up.stop().await, Some(0));
}
