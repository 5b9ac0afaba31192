//! Rivals that are a program: started cold for each download, as a script would.
//!
//! Not here: rivals that stay (`services`).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use haul_tests::s3::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::cases::Rival;
use super::media::{Medium, on_disk};
use super::scene::Scene;
use super::spent::{Meter, Spent, kill_all};
use crate::roles::script;

/// One that runs; killed with all that it started when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        kill_all(pid(&self.0));
        let _ended = self.0.wait();
    }
}

/// Runs a rival on one medium: what it spent, and how many bytes it delivered.
///
/// # Errors
/// When it is not installed, fails, takes longer than the limit, or ends without the goods.
pub async fn run(
    rival: Rival,
    scene: &mut Scene,
    medium: &Medium,
    throttled: bool,
    python: &Path,
    limit: Duration,
) -> Result<(Spent, u64)> {
    let out = scene.fresh("rival")?;
    let mut command = command(rival, scene, medium, throttled, python, &out)?;
    let log = fs::File::create(scene.fresh("log")?.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let process = Running(command.spawn().with_context(|| format!("{} cannot be started", rival.name()))?);
    let meter = Meter::of_started(pid(&process.0));
    let id = WaitId::Pid(Pid::from_child(&process.0));
    // it is left a zombie: what it spent can then still be read
    let ended = tokio::task::spawn_blocking(move || waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
    tokio::time::timeout(limit, ended).await.context("it took too long")???;
    let spent = meter.finish()?;
    let mut process = process;
    let status = process.0.wait()?;
    ensure!(status.success(), "{} ended with {status}", rival.name());
    let delivered = match rival {
        Rival::Upload => medium.bytes,
        _ => bytes_below(&out)?,
    };
    scene.fresh("rival")?;
    Ok((spent, delivered))
}

fn command(
    rival: Rival,
    scene: &mut Scene,
    medium: &Medium,
    throttled: bool,
    python: &Path,
    out: &Path,
) -> Result<Command> {
    let address = scene.address(&medium.path, throttled);
    let file = out.join("media.mp4");
    let command = match rival {
        Rival::Curl => curl(scene, medium, throttled, out)?,
        Rival::Upload => {
            let mut command = scene.command("curl");
            let to = format!("{}/{BUCKET}/{}", scene.endpoint(throttled), scene.key());
            command.args(["-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"]);
            command.arg(format!("{ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}"));
            // not every curl that signs sends it by itself, and S3 asks for it
            command.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-T"]).arg(on_disk(&medium.path)?).arg(to);
            command
        }
        Rival::Ffmpeg => {
            let mut command = scene.command("ffmpeg");
            command.args(["-nostdin", "-v", "error", "-y", "-i", &address, "-c", "copy"]).arg(file);
            command
        }
        Rival::Ytdlp(at_once) => {
            let mut command = then_upload(scene, throttled, python, out);
            command.arg("yt-dlp").args(["--ignore-config", "--quiet", "--no-warnings", "-N", &at_once.to_string()]);
            command.args(["-f", "bv*+ba/b", "--merge-output-format", "mp4", "-o"]);
            command.arg(out.join("media.%(ext)s")).arg(address);
            command
        }
        Rival::Aria2c => {
            let mut command = then_upload(scene, throttled, python, out);
            command.args(["aria2c", "--quiet", "--no-conf", "-x16", "-s16", "-k1M", "--file-allocation=none", "-d"]);
            command.arg(out).args(["-o", "media.mp4", &address]);
            command
        }
        Rival::RqFork | Rival::RqSimple | Rival::Metube | Rival::Haul | Rival::HaulStreaming => {
            bail!("{} is no program", rival.name())
        }
    };
    Ok(command)
}

/// `curl` of a file, or of all segments, eight at once.
fn curl(scene: &mut Scene, medium: &Medium, throttled: bool, out: &Path) -> Result<Command> {
    let mut list = String::new();
    for (number, part) in medium.parts.iter().enumerate() {
        let address = scene.address(part, throttled);
        list.push_str(&format!("url=\"{address}\"\noutput=\"{}\"\n", out.join(number.to_string()).display()));
    }
    let config = scene.fresh("curl")?.join("list");
    fs::write(&config, list)?;
    let mut command = scene.command("curl");
    command.args(["-sf", "--parallel", "--parallel-immediate", "--parallel-max", "8", "--config"]).arg(config);
    Ok(command)
}

fn then_upload(scene: &mut Scene, throttled: bool, python: &Path, out: &Path) -> Command {
    let mut command = scene.command(python);
    command.arg(script("then_upload.py")).args([scene.boto3(throttled).to_string(), scene.key()]).arg(out);
    command
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn pid(child: &Child) -> i32 {
    Pid::from_child(child).as_raw_nonzero().get()
}
