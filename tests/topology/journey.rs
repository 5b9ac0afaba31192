//! A journey: the load is there, something happens to the topology, it is over, and everything is looked at.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use haul_tests::processes::until;

use crate::customers::{Customers, End};
use crate::judge::{Away, Missing, Reckoning, late, not_shown, told, wrongly_told};
use crate::machines::Machine;
use crate::roads::{How, Link};
use crate::topology::Topology;

/// Orders that are taken before anything happens, and after it is over.
const SOME: usize = 4;

/// The head of the table of all reports.
pub const HEAD: &str = "\
| What | Orders | taken meanwhile | sent again | What was told by whom it concerned, other than the usual | All ready after | Drained after | Wrong |
| --- | --- | --- | --- | --- | --- | --- | --- |";

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum Happens {
    /// These links are cut, and heal.
    Cut(&'static [Link]),
    /// This process is killed, and another one started in its place after a while.
    Death(Machine),
    /// This process is asked to stop, and another one started in its place.
    Replacement(Machine),
}

/// What happens, and to whom it makes a difference.
pub struct Journey {
    pub what: &'static str,
    pub happens: Happens,
    pub missing: &'static Missing,
}

/// What came of it.
pub struct Report {
    what: String,
    orders: usize,
    meanwhile: usize,
    sent_again: usize,
    told: Vec<String>,
    ready: Duration,
    drained: Duration,
    pub wrong: BTreeSet<String>,
}

impl Report {
    /// As the row of a table.
    pub fn row(&self) -> String {
        let Self { what, orders, meanwhile, sent_again, told, ready, drained, wrong } = self;
        let told = if told.is_empty() { "nothing".to_owned() } else { told.join("<br>") };
        let (ready, drained, wrong) = (ready.as_secs_f64(), drained.as_secs_f64(), wrong.len());
        format!("| {what} | {orders} | {meanwhile} | {sent_again} | {told} | {ready:.1} s | {drained:.1} s | {wrong} |")
    }
}

/// Makes one.
pub async fn journey(
    topology: &mut Topology,
    name: &str,
    journey: &Journey,
    how: How,
    time: Duration,
) -> Result<Report> {
    let tag = format!("{name}-{}", journey.what.replace(' ', "-"));
    let what = match journey.happens {
        Happens::Cut(_) => format!("{}, {how}", journey.what),
        Happens::Death(_) | Happens::Replacement(_) => journey.what.to_owned(),
    };
    let completed = Reckoning::of(topology)?.completed().await?;

    println!("{name}: {what}: the load comes");
    let customers = Customers::gather(topology, &tag).await?;
    let come = Instant::now();
    until("some orders are taken", async || customers.taken_since(come) >= SOME).await?;

    println!("{name}: {what}: it happens");
    let from = Instant::now();
    happen(topology, journey.happens, how, time).await?;
    let over = Instant::now();
    println!("{name}: {what}: it is over");
    until("all are ready", async || topology.is_well().await).await?;
    let away = Away { from, to: Instant::now() };
    until("some orders are taken", async || customers.taken_since(away.to) >= SOME).await?;
    let journal = customers.leave().await?;

    let reckoning = Reckoning::of(topology)?;
    reckoning.drained().await?;
    let drained = over.elapsed();
    let mut wrong = wrongly_told(&journal.heard, away, journey.missing);
    if !matches!(journey.happens, Happens::Replacement(_)) {
        wrong.extend(not_shown(&journal.heard, away, journey.missing));
    }
    wrong.extend(late(&journal.heard, away, journey.missing));
    wrong.extend(reckoning.ended(&journal.orders, &tag).await?);
    if journal.never_taken > 0 {
        wrong.insert(format!("{} orders were never taken", journal.never_taken));
    }
    let due = journal.orders.iter().filter(|order| !matches!(order.end, End::Failure(_))).count() as u64;
    let ended = reckoning.completed().await? - completed;
    if ended != due {
        wrong.insert(format!("{ended} completions of {due} jobs"));
    }
    wrong.extend(reckoning.orphans().await?.into_iter().map(|object| format!("nobody knows of {object}")));
    topology.all_live()?;

    let meanwhile = journal.orders.iter().filter(|order| order.taken > away.from && order.taken < over).count();
    let told = journey.missing.iter().map(|(machine, _)| told(&journal.heard, away, *machine)).collect();
    let sent_again = journal.orders.iter().filter(|order| order.sent > 1).count();
    let (orders, ready) = (journal.orders.len(), away.to - over);
    let report = Report { what, orders, meanwhile, sent_again, told, ready, drained, wrong };
    println!("{name}: {}", report.row());
    for what in &report.wrong {
        println!("{name}: WRONG: {what}");
    }
    Ok(report)
}

async fn happen(topology: &mut Topology, happens: Happens, how: How, time: Duration) -> Result<()> {
    match happens {
        Happens::Cut(links) => {
            topology.roads.cut(links, how)?;
            tokio::time::sleep(time).await;
            topology.roads.heal(links, how)
        }
        Happens::Death(machine) => {
            topology.kill(machine)?;
            tokio::time::sleep(time).await;
            topology.start(machine).await
        }
        Happens::Replacement(machine) => {
            topology.stop(machine).await?;
            topology.start(machine).await
        }
    }
}
