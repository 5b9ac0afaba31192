//! What was measured, told: a table for people, a line of JSON per figure, and the ratios that the engine is judged by, each
//! beside its aim. An aim is told and never asserted.

use super::cases::{Case, Rival};
use super::spent::Spent;
use crate::figures::{Rounds, compare, line, remark};

/// One download of a case, or all of its downloads together.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// From the order to the last link.
    pub seconds: f64,
    /// What the program, or the worker, and its children spent.
    pub spent: Spent,
    /// Bytes of what came out.
    pub delivered_bytes: u64,
    /// Most memory of Haul's worker alone, in bytes.
    pub own_bytes: Option<u64>,
}

/// All runs of a rival in a case.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Whose.
    pub rival: Rival,
    /// From the order to the last link.
    pub seconds: Rounds,
    /// CPU seconds of the group.
    pub cpu: Rounds,
    /// Most memory of the group, in MB.
    pub peak_mb: Rounds,
    /// Bytes written to disk per byte delivered.
    pub written: Rounds,
    /// Most memory of Haul's worker alone, in MiB.
    own_mib: Rounds,
}

impl Measured {
    /// Nothing yet.
    #[must_use]
    pub fn of(rival: Rival) -> Self {
        let none = Rounds::new;
        Self { rival, seconds: none(), cpu: none(), peak_mb: none(), written: none(), own_mib: none() }
    }

    /// One more run.
    pub fn add(&mut self, run: &Run) {
        self.seconds.add(run.seconds);
        self.cpu.add(run.spent.cpu_seconds);
        self.peak_mb.add(run.spent.peak_bytes as f64 / 1e6);
        self.written.add(run.spent.written_bytes as f64 / run.delivered_bytes.max(1) as f64);
        if let Some(own) = run.own_bytes {
            self.own_mib.add(own as f64 / 1024.0 / 1024.0);
        }
    }
}

/// Tells a case.
pub fn tell(case: &Case, all: &[Measured]) {
    let each =
        if case.jobs == 1 { String::new() } else { format!("{} downloads, {} at once, each ", case.jobs, case.slots) };
    eprintln!("\n{}: {each}{} MB", case.title(), case.megabytes);
    eprintln!("{:<34} {:>9} {:>6} {:>9} {:>9} {:>13}", "", "seconds", "noise", "CPU s", "peak MB", "written/byte");
    for one in all {
        let name = format!("{} {}", one.rival.name(), one.rival.remark());
        eprintln!(
            "{name:<34} {:>9.2} {:>4.0} % {:>9.2} {:>9.0} {:>13.2}",
            one.seconds.median(),
            one.seconds.noise() * 100.0,
            one.cpu.median(),
            one.peak_mb.median(),
            one.written.median()
        );
        let figures = [
            ("seconds", &one.seconds),
            ("noise of the seconds", &Rounds::from_iter([one.seconds.noise()])),
            ("CPU seconds", &one.cpu),
            ("peak MB", &one.peak_mb),
            ("bytes written per byte delivered", &one.written),
        ];
        for (what, rounds) in figures {
            line(&format!("{}, {}: {what}", case.title(), one.rival.name()), rounds.median(), None);
        }
    }
    aims(case, all);
}

/// The ratios of a case, with their aims.
fn aims(case: &Case, all: &[Measured]) {
    let find = |rival| all.iter().find(|one| one.rival == rival);
    let Some(haul) = find(Rival::Haul) else { return };
    let title = case.title();
    let against = |what: &str, rival: Rival, of: fn(&Measured) -> &Rounds, aim: &str| {
        if let Some(other) = find(rival) {
            let name = format!("{title}: {what} of {} / of haul", rival.name());
            compare(&name, of(other).median(), of(haul).median(), aim);
        }
    };
    eprintln!("{:<58} {:>12} {:>12} {:>7}  aim", "", "value", "floor", "ratio");
    match (case.name, case.throttled) {
        ("progressive", true) => against("seconds", Rival::Ytdlp(4), |one| &one.seconds, ">= 10"),
        ("progressive", false) => {
            if let (Some(fetch), Some(store)) = (find(Rival::Curl), find(Rival::Upload)) {
                let slower = fetch.seconds.median().max(store.seconds.median());
                let name = format!("{title}: seconds of haul / of the slower floor");
                compare(&name, haul.seconds.median(), slower, "<= 1.3");
            }
        }
        ("hls-fmp4" | "hls-ts" | "dash", true) => against("seconds", Rival::Ytdlp(8), |one| &one.seconds, ">= 1.25"),
        ("small", _) => {
            against("seconds", Rival::RqFork, |one| &one.seconds, "> 1");
            against("seconds", Rival::RqSimple, |one| &one.seconds, "> 1");
            against("seconds", Rival::Metube, |one| &one.seconds, "> 1");
        }
        ("small20", _) => against("seconds", Rival::Metube, |one| &one.seconds, "> 2"),
        ("hls20", _) => {
            against("seconds", Rival::Metube, |one| &one.seconds, "> 1");
            against("CPU seconds", Rival::Metube, |one| &one.cpu, "> 1");
        }
        _ => {}
    }
    against("CPU seconds", Rival::RqFork, |one| &one.cpu, ">= 2");
    against("CPU seconds", Rival::RqSimple, |one| &one.cpu, ">= 2");
    let (bound, aim) = if case.kind == super::media::Kind::Progressive { (0.05, "<= 1") } else { (2.1, "<= 1") };
    compare(&format!("{title}: written per byte of haul / bound"), haul.written.median(), bound, aim);
    if let Some(streaming) = find(Rival::HaulStreaming) {
        let name = format!("{title}: written per byte of haul-streaming / bound");
        compare(&name, streaming.written.median(), 1.1, "<= 1");
    }
    let relays = if case.kind == super::media::Kind::Progressive { case.slots } else { 0 };
    let bound = 64.0 + 32.0 * relays as f64;
    compare(&format!("{title}: MiB of the worker itself / bound"), haul.own_mib.median(), bound, "<= 1");
    let slots = if case.slots == 1 { "one worker".to_owned() } else { format!("{} workers", case.slots) };
    remark(&format!("RQ runs {slots}; Haul one, with four slots"));
}
