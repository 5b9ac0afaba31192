//! What was found out, for people and for machines, and what is to be done next.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use haul_shared::rollout::{Ends, Verdict, Version};
use haul_shared::store::{Trial, Tried, WorkerInfo};
use serde_json::{Value, json};

use super::{Answer, Found};

pub(super) fn text(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let told = |version: &Result<Version, String>| match version {
        Ok(version) => version.to_string(),
        Err(why) => format!("not known: {why}"),
    };
    writeln!(out, "here      {}  ({})", told(&found.here), found.program.display())?;
    writeln!(out, "newest    {}", told(&found.newest))?;
    match &found.fleet {
        None => writeln!(out, "workers   not known: Redis does not answer (haul-worker doctor tells why)")?,
        Some((workers, trial)) => {
            let versions: Vec<_> =
                versions(workers).iter().map(|(version, count)| of_workers(version, *count)).collect();
            writeln!(
                out,
                "workers   {}",
                if versions.is_empty() { "none lives".to_owned() } else { versions.join(", ") }
            )?;
            if let Some(trial) = trial {
                let seen = (rate(trial.seen.candidate), rate(trial.seen.others));
                writeln!(
                    out,
                    "on trial  {}: {}; {}, the others {}",
                    trial.candidate,
                    trial.verdict.word(),
                    seen.0,
                    seen.1
                )?;
                for (site, tried) in ruled(trial) {
                    let seen = (rate(tried.seen.candidate), rate(tried.seen.others));
                    writeln!(out, "          {site}: {}; {}, the others {}", tried.verdict.word(), seen.0, seen.1)?;
                }
            }
        }
    }
    writeln!(out)?;
    next(found).iter().try_for_each(|step| writeln!(out, "{step}"))
}

pub(super) fn json(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let unknown: Vec<_> = [&found.here, &found.newest].into_iter().filter_map(|it| it.as_ref().err()).collect();
    let fleet = found.fleet.as_ref().map(|(workers, trial)| {
        let versions: Vec<Value> = versions(workers)
            .into_iter()
            .map(|(version, count)| json!({ "ytdlp": version.as_str(), "workers": count }))
            .collect();
        json!({ "versions": versions, "trial": trial.as_ref().map(of_trial) })
    });
    let report = json!({
        "here": found.here.as_ref().ok().map(Version::as_str),
        "newest": found.newest.as_ref().ok().map(Version::as_str),
        "update": match found.answer() {
            Answer::Update => Some(true),
            Answer::Newest => Some(false),
            Answer::Unknown => None,
        },
        "unknown": unknown,
        "fleet": fleet,
        "next": next(found),
    });
    writeln!(out, "{report}")
}

fn of_trial(trial: &Trial) -> Value {
    let sites: Vec<Value> = ruled(trial)
        .into_iter()
        .map(|(site, tried)| json!({ "site": site, "verdict": tried.verdict.word() }))
        .collect();
    json!({ "ytdlp": trial.candidate.as_str(), "verdict": trial.verdict.word(), "sites": sites })
}

/// Sites with a verdict of their own, those first where it is worse.
fn ruled(trial: &Trial) -> Vec<(&String, &Tried)> {
    let mut sites: Vec<_> = trial.sites.iter().filter(|(_, tried)| tried.verdict != Verdict::Undecided).collect();
    sites.sort_by_key(|(_, tried)| Reverse(tried.verdict));
    sites
}

fn versions(workers: &[WorkerInfo]) -> BTreeMap<Version, usize> {
    let mut counts = BTreeMap::new();
    for worker in workers {
        *counts.entry(worker.extractor()).or_default() += 1;
    }
    counts
}

fn of_workers(version: &Version, count: usize) -> String {
    let version = if version.as_str().is_empty() { "an unknown version" } else { version.as_str() };
    format!("{version} on {count}")
}

fn rate(ends: Ends) -> String {
    format!("{} of {} ended well", ends.well, ends.all())
}

/// What a person does now.
fn next(found: &Found) -> Vec<String> {
    let trial = found.fleet.as_ref().and_then(|(_, trial)| trial.as_ref());
    let mut steps = Vec::new();
    match (found.answer(), &found.newest) {
        (Answer::Update, Ok(newest)) => {
            let is_tried = trial.is_some_and(|trial| !newest.is_newer_than(&trial.candidate));
            if !is_tried {
                let python = found.python.as_deref().map_or_else(|| "python3".into(), |path| path.display().to_string());
                steps.push(format!("give it to one worker first: {python} -m pip install --upgrade 'yt-dlp[default]=={newest}'"));
                steps.push("that worker goes on with it by itself, and it is tried beside the others: ask here again".to_owned());
            }
        }
        (Answer::Newest | Answer::Update, _) => {}
        (Answer::Unknown, _) => steps.push(
            "ask where there is a pip: python3 -m pip index versions yt-dlp; an image gets it by deploy/ytdlp-requirements.txt".to_owned(),
        ),
    }
    steps.extend(trial.map(after_trial));
    if steps.is_empty() {
        steps.push("nothing to be done".to_owned());
    }
    steps
}

/// What a person does with the version on trial.
fn after_trial(trial: &Trial) -> String {
    let candidate = &trial.candidate;
    let is_worse = |(_, tried): &(&String, &Tried)| tried.verdict == Verdict::RolledBack;
    let worse: Vec<_> = ruled(trial).into_iter().filter(is_worse).map(|(site, _)| site.as_str()).collect();
    let at = worse.join(", ");
    match (trial.verdict, &worse[..]) {
        (Verdict::RolledBack, _) => {
            format!("{candidate} fails more often than the others: take it back, or wait for the next")
        }
        (Verdict::Undecided, []) => format!("{candidate} is on trial: wait until it is promoted or rolled back"),
        (Verdict::Undecided, _) => {
            format!("{candidate} is on trial, and was rolled back at {at}: wait, or take it back")
        }
        (Verdict::Promoted, []) => format!("{candidate} is as good as the others: give it to all workers"),
        (Verdict::Promoted, _) => {
            format!(
                "{candidate} is as good as the others, but not at {at}: give it to all but a few workers, which keep these going"
            )
        }
    }
}
