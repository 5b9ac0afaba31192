//! yt-dlp, ffmpeg and the sandbox that they run in, looked at by the code of the start.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::config::Fault;
use haul_shared::config::vars::{MODE, SANDBOX, WARM_EXTRACTORS};
use haul_shared::doctor::{Check, Finding, are_known, nearest};
use haul_shared::ids::WorkerId;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;

use super::sandbox;
use crate::config::{WorkerConfig, host};
use crate::equipment;
use crate::ffmpeg::{Ffmpeg, Lack, is_old};
use crate::guard::{Caps, Guards};
use crate::process::launcher_beside_us;
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use crate::ytdlp::{About, Unusable, Ytdlp, floor};

/// For all of them: each has limits of its own, for a machine that is busy.
const WITHIN: Duration = Duration::from_secs(180);
/// Sites change, and a yt-dlp of before does not find its way in them.
const OLD_AFTER_DAYS: i64 = 90;

const YTDLP: &str = "programs.ytdlp";
const FFMPEG: &str = "programs.ffmpeg";
const UPGRADE: &str = "pip install --upgrade 'yt-dlp[default]' in its environment (deploy/ytdlp-requirements.txt has what Haul was tried with)";

/// Whether programs can be started, in which sandbox, and whether they are what Haul needs. What hangs on a variable at fault is
/// left out; which extractors may be used is asked by nothing but the check of their names, and by default that is not made.
pub(super) fn check(config: &WorkerConfig, faults: &[Fault]) -> Check {
    let (config, faults) = (config.clone(), faults.to_vec());
    Check::new("programs", WITHIN, async move {
        let launcher = launcher_beside_us().unwrap_or_default();
        if !launcher.is_file() {
            let remedy = "install haul-jail into the same folder: cargo build --release --workspace makes both";
            return vec![Finding::fail("sandbox.launcher", "haul-jail does not lie beside haul-worker", remedy)];
        }
        let scratch = match place(config.work_dir.as_std_path()).await {
            Ok(scratch) => scratch,
            Err(error) => {
                let remedy = "set HAUL_WORK_DIR to a folder that this user can write, or make room in /tmp";
                return vec![Finding::fail("scratch.probe", format_args!("programs cannot be tried: {error}"), remedy)];
            }
        };
        let found = Sandbox::establish(config.sandbox, scratch.dir(), None).await;
        let tier = are_known(&faults, &[MODE, SANDBOX]).then(|| sandbox::judged(&found, config.sandbox, config.mode));
        // the programs are looked at all the same
        let sandbox = found.unwrap_or_else(|_| Sandbox::off());
        let (of_ytdlp, of_ffmpeg) =
            tokio::join!(ytdlp(&config, &faults, &sandbox, &scratch), ffmpeg(&config, &sandbox, &scratch));
        tier.into_iter().chain(of_ytdlp).chain(of_ffmpeg).collect()
    })
}

/// Where workers have theirs, or where everybody may have some.
async fn place(work_dir: &Path) -> std::io::Result<Scratch> {
    let id = WorkerId::on_host(&host());
    if nearest(work_dir) == work_dir
        && let Ok(scratch) = Scratch::aside(work_dir, &id).await
    {
        return Ok(scratch);
    }
    Scratch::aside(&std::env::temp_dir(), &id).await
}

async fn ytdlp(config: &WorkerConfig, faults: &[Fault], sandbox: &Sandbox, scratch: &Scratch) -> Vec<Finding> {
    // the want of it is a fault of the configuration
    if config.programs.ytdlp.as_str().is_empty() {
        return Vec::new();
    }
    let settings = equipment::ytdlp(config);
    let has_deno = settings.deno.is_some();
    let ytdlp = Ytdlp::new(settings).confined(sandbox);
    let dirs = tokio::join!(scratch.attempt(), scratch.attempt());
    let (Ok(one), Ok(other)) = dirs else {
        return vec![Finding::fail(YTDLP, "no scratch can be made for it", "make room in HAUL_WORK_DIR")];
    };
    let guards = match Guards::new(config.egress.clone(), Caps::for_files_of(0)) {
        Ok(guards) => guards.found_at(sandbox.guard_inside()),
        Err(error) => return vec![Finding::fail("network.trust", error, "apt-get install ca-certificates")],
    };
    let guard = guards.look(&CancellationToken::new());
    let (looked, about) = tokio::join!(ytdlp.look(one.path()), ytdlp.about(other.path(), &guard));
    tokio::join!(one.remove(), other.remove());
    let mut findings = match looked {
        Ok(version) => usable(&version, are_known(faults, &[MODE])),
        Err(unusable) => return vec![refused(&unusable)],
    };
    if are_known(faults, &[WARM_EXTRACTORS]) {
        findings.push(interpreter(ytdlp.python(), config.warm_extractors));
    }
    match about {
        Ok(about) => findings.extend(surroundings(&about, has_deno)),
        Err(error) => findings.push(Finding::warn("programs.libraries", error, UPGRADE)),
    }
    findings
}

/// One that a start takes; how bad the holes of an old one are is up to the mode.
fn usable(version: &str, is_mode_known: bool) -> Vec<Finding> {
    let found = is_mode_known.then(|| match floor::check(version) {
        Ok(()) => Finding::ok(YTDLP, format_args!("yt-dlp {version}")),
        Err(unfit) => Finding::warn(YTDLP, unfit, UPGRADE),
    });
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let age = age_days(version, today).map(|days| {
        let found = format!("it is {days} days old");
        if days > OLD_AFTER_DAYS {
            Finding::warn("programs.ytdlp_age", found, UPGRADE)
        } else {
            Finding::ok("programs.ytdlp_age", found)
        }
    });
    found.into_iter().chain(age).collect()
}

/// A version is a date.
fn age_days(version: &str, today: Date) -> Option<i64> {
    let mut parts = version.split('.');
    let date = Date::new(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?).ok()?;
    Some(i64::from(date.until(today).ok()?.get_days()))
}

/// One that a start refuses.
fn refused(unusable: &Unusable) -> Finding {
    match unusable {
        Unusable::Unfit(_) => Finding::fail(YTDLP, unusable, UPGRADE),
        Unusable::Broken(_) => Finding::fail(
            YTDLP,
            unusable,
            "set HAUL_YTDLP to the program that pip has installed (DIR/bin/yt-dlp); see that this says a version: \"$HAUL_YTDLP\" --version",
        ),
        Unusable::Extractors(_) => {
            Finding::fail(YTDLP, unusable, "set HAUL_EXTRACTORS to names of: yt-dlp --list-extractors")
        }
    }
}

fn interpreter(python: Option<PathBuf>, warm: usize) -> Finding {
    let name = "programs.python";
    match python {
        Some(_) => Finding::ok(name, "yt-dlp is a program of Python, and can be kept warm"),
        None if warm == 0 => Finding::ok(name, "yt-dlp is not kept warm (HAUL_WARM_EXTRACTORS=0)"),
        None => Finding::warn(
            name,
            "yt-dlp is no program of a Python that can be found: it is started anew for each job, which takes seconds",
            "set HAUL_YTDLP to one that pip has installed, or HAUL_WARM_EXTRACTORS=0",
        ),
    }
}

/// What it can't do all sites without.
fn surroundings(about: &About, has_deno: bool) -> Vec<Finding> {
    let name = "programs.javascript";
    let javascript = match &about.javascript {
        Some(runtime) => Finding::ok(name, runtime),
        None if has_deno => Finding::warn(
            name,
            "the deno beside yt-dlp cannot be run by it, or is too old: YouTube and others will fail",
            "pip install --upgrade deno in the environment of yt-dlp",
        ),
        None => Finding::warn(
            name,
            "there is no deno beside yt-dlp: YouTube and others will fail",
            "pip install deno in the environment of yt-dlp, or link deno into the folder of HAUL_YTDLP",
        ),
    };
    let library = |name, module: &str, what: &str| match about.library(module) {
        Some(found) => Finding::ok(name, found),
        None => Finding::warn(name, format_args!("{module} is missing: {what}"), UPGRADE),
    };
    vec![
        javascript,
        library("programs.ejs", "yt_dlp_ejs", "YouTube and others will fail"),
        library("programs.certifi", "certifi", "certificates are those of the system, which may be old"),
    ]
}

async fn ffmpeg(config: &WorkerConfig, sandbox: &Sandbox, scratch: &Scratch) -> Vec<Finding> {
    let programs = &config.programs;
    if programs.ffmpeg.as_str().is_empty() || programs.ffprobe.as_str().is_empty() {
        return Vec::new();
    }
    let ffmpeg: Ffmpeg = equipment::ffmpeg(config, sandbox, NonZeroUsize::MIN);
    let Ok(dir) = scratch.attempt().await else {
        return vec![Finding::fail(FFMPEG, "no scratch can be made for it", "make room in HAUL_WORK_DIR")];
    };
    let (versions, lacks) = tokio::join!(ffmpeg.versions(dir.path()), ffmpeg.lacks(dir.path()));
    dir.remove().await;
    let remedy = "apt-get install ffmpeg (5.1 or newer), and HAUL_FFMPEG and HAUL_FFPROBE to the programs of one build";
    let names = [FFMPEG, "programs.ffprobe"];
    let mut findings: Vec<_> = names
        .into_iter()
        .zip(versions)
        .map(|(name, version)| match version {
            Ok(version) if is_old(&version) => {
                Finding::fail(name, format_args!("{version} does not know our options"), remedy)
            }
            Ok(version) => Finding::ok(name, version),
            Err(error) => Finding::fail(name, error, remedy),
        })
        .collect();
    // one that can't be run has said so
    findings.extend(lacks.ok().map(|lacks| abilities(&lacks)));
    findings
}

fn abilities(lacks: &[Lack]) -> Finding {
    let name = "programs.ffmpeg_build";
    if lacks.is_empty() {
        return Finding::ok(name, "ffmpeg has every coder, container and filter that Haul uses");
    }
    let lacks = lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let remedy =
        "take a build that has them: that of Debian has (apt-get install ffmpeg), or name another one in HAUL_FFMPEG";
    Finding::fail(name, format_args!("ffmpeg was built without {lacks}"), remedy)
}

#[cfg(test)]
mod tests {
    use haul_shared::doctor::Status;

    use super::*;

    #[test]
    fn a_version_is_as_old_as_its_date() {
        let today = Date::constant(2026, 11, 22);
        for (version, age) in
            [("2026.08.19", Some(95)), ("2026.11.22.123456", Some(0)), ("2026.12.01", Some(-9)), ("dev", None)]
        {
            assert_eq!(age_days(version, today), age, "{version}");
        }
    }

    #[test]
    fn whether_an_old_yt_dlp_will_do_is_left_open_where_the_mode_is_unknown() {
        let names =
            |is_mode_known| usable("2025.01.01", is_mode_known).into_iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names(true), [YTDLP, "programs.ytdlp_age"]);
        assert_eq!(names(false), ["programs.ytdlp_age"]);
    }

    #[test]
    fn what_yt_dlp_lacks_around_it_is_named() {
        let bare = surroundings(&About::default(), false);
        assert!(bare.iter().all(|finding| finding.status == Status::Warn && finding.remedy.is_some()), "{bare:?}");
        let libraries = ["certifi-2026.10.18", "yt_dlp_ejs-0.8.0"].map(str::to_owned).into();
        let about = About { python: None, libraries, javascript: Some("deno-2.9.8".to_owned()) };
        assert!(surroundings(&about, true).iter().all(|finding| finding.status == Status::Ok));
    }
}
