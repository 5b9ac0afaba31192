//! The two models of users.
//!
//! Closed: each user waits for its answer before it asks again, so a slow service is asked less. Open: requests begin when
//! it is their time, whatever became of those before, as those of strangers do; a time counts from the moment at which
//! the request should have begun, so that what waited for the generator or for a service that stood still is not left out.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ask::carry_out;
use super::bench::{Bench, Turn};
use super::fault::Fault;
use super::pace::{Pace, Rate, start_of_user};
use super::tally::{Outcome, Times};

/// For what is under way when nothing more is awaited: an order that is left without its answer may become a job after the
/// others are gone.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether this program keeps up with the clock.
const BEAT: Duration = Duration::from_millis(10);

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// How many users there are; in the open model at most.
    pub users: u32,
    /// The open model: how many requests begin in a time. `None`: the closed model.
    pub rate: Option<Rate>,
    /// How long requests begin.
    pub length: Duration,
    /// How long it takes until all users are there, or the rate is reached.
    pub ramp: Duration,
    /// What a user of the closed model does between two requests: nothing, for so long.
    pub think: Duration,
    /// What chance begins with.
    pub seed: u64,
}

/// The two ends of a run.
#[derive(Debug, Clone)]
struct Ends {
    /// Whoever started it has had enough.
    stop: CancellationToken,
    /// Nothing begins any more.
    over: CancellationToken,
    /// What is under way is left.
    left: CancellationToken,
}

/// How a run went, beside what was counted.
#[derive(Debug)]
pub struct Went {
    /// How long requests began.
    pub length: Duration,
    /// How much later than it wanted this program got a turn, and in the open model began a request.
    pub lag: Times,
}

/// Lets users do what they do, until the time is over or it is stopped, and what is under way then has had its time.
pub async fn run(bench: &Arc<Bench>, run: Run, stop: &CancellationToken) -> Went {
    let ends = Ends { stop: stop.clone(), over: stop.child_token(), left: CancellationToken::new() };
    let (users, began) = (TaskTracker::new(), Instant::now());
    let mut lags = vec![tokio::spawn(lag_until(ends.over.clone()))];
    match run.rate {
        None => (0..run.users).for_each(|user| {
            users.spawn(user_of_closed(Arc::clone(bench), run, user, began, ends.clone()));
        }),
        Some(rate) => {
            lags.push(users.spawn(arrivals(Arc::clone(bench), run, rate, began, ends.clone(), users.clone())));
        }
    }
    users.close();
    // a timer and not the users ends it: they may all be waiting
    ends.over.run_until_cancelled(sleep_until(began + run.length)).await;
    let length = began.elapsed();
    bench.tallies().close();
    ends.over.cancel();
    // so that the last one's time-out is counted, too
    let in_time = timeout(bench.client.timeout().saturating_add(GRACE), users.wait());
    if stop.run_until_cancelled(in_time).await.is_none() {
        let _all_done = timeout(GRACE, users.wait()).await;
    }
    ends.left.cancel();
    users.wait().await;
    let mut lag = Times::default();
    for of_one in lags {
        lag.join(&of_one.await.unwrap_or_default());
    }
    Went { length, lag }
}

async fn user_of_closed(bench: Arc<Bench>, run: Run, user: u32, began: Instant, ends: Ends) {
    let mut chance = StdRng::seed_from_u64(run.seed.wrapping_add(user.into()));
    let mut pause = sleep_until(began + start_of_user(user, run.users, run.ramp));
    while ends.over.run_until_cancelled(pause).await.is_some() && !ends.over.is_cancelled() {
        let turn = bench.turn(bench.mix.draw(&mut chance));
        one(&bench, turn, Instant::now(), &ends.left).await;
        pause = sleep(run.think);
    }
}

/// Begins each request when it is its time, and tells how much later than that it was.
async fn arrivals(bench: Arc<Bench>, run: Run, rate: Rate, began: Instant, ends: Ends, users: TaskTracker) -> Times {
    let (mut chance, mut lag) = (StdRng::seed_from_u64(run.seed), Times::default());
    let (pace, free) = (Pace::of(rate, run.ramp), Arc::new(Semaphore::new(run.users as usize)));
    // what was due before the end belongs to the rate, late or not
    for due in (0..).map(|number| pace.moment(number)).take_while(|due| *due < run.length) {
        if ends.stop.run_until_cancelled(sleep_until(began + due)).await.is_none() {
            break;
        }
        let late = (began + due).elapsed();
        lag.add(late);
        let turn = bench.turn(bench.mix.draw(&mut chance));
        // who would have waited for as long as for an answer has gone; so none is left over when the last ones time out
        let is_there = late <= bench.client.timeout();
        let Some(user) = is_there.then(|| Arc::clone(&free).try_acquire_owned().ok()).flatten() else {
            let outcome = Outcome { statuses: Vec::new(), bytes: 0, fault: Some(Fault::Dropped) };
            bench.count(turn.scenario, None, &outcome);
            continue;
        };
        let (bench, left) = (Arc::clone(&bench), ends.left.clone());
        users.spawn(async move {
            one(&bench, turn, began + due, &left).await;
            drop(user);
        });
    }
    lag
}

/// Carries one out and counts it, with the time since it should have begun.
async fn one(bench: &Bench, turn: Turn, due: Instant, left: &CancellationToken) {
    match left.run_until_cancelled(carry_out(bench, turn)).await {
        Some(outcome) => bench.count(turn.scenario, Some(due.elapsed()), &outcome),
        None => bench.leaves(),
    }
}

/// How much later than it was due a task got its turn, again and again: where this is much, the figures are those of this
/// program and not of the service.
async fn lag_until(over: CancellationToken) -> Times {
    let mut lag = Times::default();
    loop {
        let due = Instant::now() + BEAT;
        if over.run_until_cancelled(sleep_until(due)).await.is_none() {
            return lag;
        }
        lag.add(due.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;
    use crate::client::Client;

    #[tokio::test]
    async fn a_generator_that_is_behind_its_schedule_says_so_and_leaves_none_uncounted() {
        let line = "haul load --server http://127.0.0.1:9 --timeout 60 --mix health";
        let global = Cli::parse_from(line.split(' ')).global;
        let rate = "50/s".parse().unwrap();
        let (users, length) = (50, Duration::from_secs(1));
        let run = Run { users, rate: Some(rate), length, ramp: Duration::ZERO, think: Duration::ZERO, seed: 0 };
        for (behind, dropped) in [(30, 0), (90, 50)] {
            let client = Client::new(&global).unwrap();
            let bench = Arc::new(Bench::new(client, "health".parse().unwrap(), Vec::new(), false));
            let (stop, users) = (CancellationToken::new(), TaskTracker::new());
            let ends = Ends { over: stop.child_token(), left: CancellationToken::new(), stop };
            let began = Instant::now() - Duration::from_secs(behind);
            let lag = arrivals(Arc::clone(&bench), run, rate, began, ends, users.clone()).await;
            users.close();
            users.wait().await;
            let all = bench.tallies().all();
            let told = (all.requests, all.faults.get(&Fault::Dropped).copied().unwrap_or_default());
            assert_eq!((told, lag.len()), ((50, dropped), 50), "{behind} s behind");
            assert!(lag.percentile(50.0).is_some_and(|late| late > (behind - 2) as f64 * 1000.0), "{lag:?}");
        }
    }
}
