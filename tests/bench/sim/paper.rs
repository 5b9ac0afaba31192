//! A small case on paper: the mean of some histories, since chance is not what a case is about.

use haul_tests::sim::{Call, Outcome, simulate};

use super::Measured;
use super::cases::{Bytes, Case};
use super::measure::Figures;
use super::shard::Level;

/// How many.
const HISTORIES: u64 = 20;

/// What a case comes to.
#[must_use]
pub fn run(case: &Case, bytes: Bytes, measured: &Measured, seed: u64) -> Figures {
    let costs = measured.costs();
    let mut sum = Figures { wait_by_client: vec![0.0; case.weights.len()], ..Figures::default() };
    let part = 1.0 / HISTORIES as f64;
    for seen in histories(case, bytes, measured, seed) {
        sum.makespan += seen.makespan.as_secs_f64() * part;
        sum.wait_mean += seen.waits.mean() * part;
        sum.wait_p95 += seen.waits.at(0.95) * part;
        for (client, waited) in seen.waited_by_client.iter().enumerate() {
            let jobs = case.orders(bytes).iter().filter(|order| order.client == client).count();
            sum.wait_by_client[client] += waited / jobs as f64 * part;
        }
        // of the programs looks at regions are not counted; what a look asks inside its script is, and a trial is two scripts
        let count = |call: Call| seen.ledger.count(call);
        sum.calls += (seen.ledger.calls() - count(Call::Lanes) + count(Call::Look) + count(Call::Trial)) * part;
        sum.cost = sum.cost + seen.ledger.cost(&costs) * part;
        sum.puts += seen.puts * part;
    }
    sum
}

/// A case as one that keeps a Redis busy: how busy that was, and its calls on paper.
#[must_use]
pub fn level(case: &Case, real: &Figures, bytes: Bytes, measured: &Measured, seed: u64) -> Level {
    let mut calls = [0.0; Call::ALL.len()];
    for seen in histories(case, bytes, measured, seed) {
        let seconds = seen.makespan.as_secs_f64() * HISTORIES as f64;
        calls.iter_mut().zip(seen.ledger.counts()).for_each(|(sum, count)| *sum += count / seconds);
    }
    Level {
        name: case.name.to_owned(),
        per_second: real.calls / real.makespan,
        jobs: calls[Call::Submit as usize],
        busy: real.cost.cpu_us / real.makespan / 1e6,
        calls,
    }
}

fn histories(case: &Case, bytes: Bytes, measured: &Measured, seed: u64) -> impl Iterator<Item = Outcome> {
    let (service, follow, orders) = (measured.service(), measured.follow(), case.orders(bytes));
    (0..HISTORIES).map(move |history| {
        let plan = case.plan(&service, follow, seed + history);
        simulate(&plan, Box::new(orders.clone().into_iter()))
    })
}
