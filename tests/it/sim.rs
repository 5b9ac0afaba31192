//! The simulation that predicts how fleets do: it loses no job, repeats itself, and agrees with theory where there is one.

use std::time::Duration;

use haul_tests::sim::{
    Call, Calls, Cost, Costs, Demand, Draw, Faults, Limits, Order, Outcome, Plan, Profile, Service, WorkerPlan,
    erlang_c, poisson, simulate,
};

fn plan(workers: u32, slots: u32) -> Plan {
    let worker = |number| WorkerPlan { slots, regions: vec![0], egress: number as usize, coding: 1 };
    Plan {
        seed: 7,
        workers: (0..workers).map(worker).collect(),
        apis: 1,
        limits: Limits { client_running: None, queue: None, site_running: None, ..Limits::default() },
        service: Service {
            fixed_seconds: Draw::Exponential(2.0),
            bytes_per_second: Draw::Fixed(1e6),
            coding_ratio: 1.0,
            relayed: 0.5,
        },
        faults: Faults::default(),
        follow: haul_tests::sim::Follow::default(),
        round_trip: Duration::ZERO,
        horizon: None,
        warm_up: Duration::ZERO,
    }
}

fn profile(seconds: f64) -> Profile {
    Profile {
        name: "of a test",
        plays_seconds: Draw::Exponential(seconds.max(1e-9)),
        bytes_per_second: Draw::Fixed(1e6),
        coded: 0.0,
        followed: 0.0,
        told: 0.0,
        low: 0.0,
        sites: 1,
    }
}

fn steady(per_second: f64, profile: Profile, end: u64) -> haul_tests::sim::Orders {
    let demand = Demand { per_second: vec![per_second], swing: 0.0, clients: 50 };
    poisson(demand, profile, Duration::from_secs(end), 14)
}

fn all_at_once(clients: &[(usize, u32, usize)]) -> haul_tests::sim::Orders {
    let order = |client, weight| Order {
        at: Duration::ZERO,
        client,
        weight,
        region: 0,
        site: 0,
        bytes: 0,
        is_low: false,
        is_coded: false,
        is_followed: false,
        is_told: false,
    };
    // in turns, as long as each has some
    let most = clients.iter().map(|&(_, _, jobs)| jobs).max().unwrap_or(0);
    let of = |number: usize| {
        clients.iter().filter(move |one| number < one.2).map(|&(client, weight, _)| order(client, weight))
    };
    let orders: Vec<Order> = (0..most).flat_map(of).collect();
    Box::new(orders.into_iter())
}

/// Everything goes wrong now and then, and nothing is lost.
fn rough(seed: u64) -> Outcome {
    let mut plan = plan(4, 3);
    plan.seed = seed;
    plan.limits = Limits { queue: None, ..Limits::default() };
    plan.faults = Faults {
        kills: Vec::new(),
        mean_life: Some(Duration::from_secs(120)),
        down: Duration::from_secs(20),
        transient: 0.1,
        permanent: 0.05,
    };
    let rough = Profile { coded: 0.3, followed: 0.5, told: 0.2, low: 0.3, sites: 3, ..profile(2.0) };
    simulate(&plan, steady(1.5, rough, 3600))
}

#[test]
fn a_simulation_repeats_itself_for_a_seed_and_ends_every_job_that_it_took_in() {
    let one = rough(3);
    assert!(one.lost > 50 && one.failed > 200 && one.attempts > one.accepted, "{one:?}");
    assert_eq!((one.completed + one.failed, one.unfinished), (one.accepted, 0));
    assert_eq!(format!("{one:?}"), format!("{:?}", rough(3)));
    assert_ne!(format!("{one:?}"), format!("{:?}", rough(4)));
    let ledger = &one.ledger;
    assert_eq!(ledger.count(Call::Submit), one.accepted as f64);
    assert_eq!(ledger.count(Call::Leased), one.attempts as f64);
    assert_eq!(ledger.count(Call::Complete), one.completed as f64);
}

#[test]
fn simulated_clients_share_slots_by_their_weights_and_within_their_limits() {
    let mut plan = plan(1, 4);
    plan.horizon = Some(Duration::from_secs(600));
    let equal = simulate(&plan, all_at_once(&[(0, 1, 5000), (1, 1, 3000)])).begun_by_client;
    assert!(equal[0].abs_diff(equal[1]) <= 2, "{equal:?}");
    let weighted = simulate(&plan, all_at_once(&[(0, 3, 5000), (1, 1, 5000)])).begun_by_client;
    assert!(weighted[0].abs_diff(3 * weighted[1]) <= 4, "{weighted:?}");
    // one slot stays free for want of another client
    plan.limits.client_running = Some(3);
    let limited = simulate(&plan, all_at_once(&[(0, 1, 5000)]));
    assert!((limited.mean_at_work - 3.0).abs() < 0.05, "{}", limited.mean_at_work);
}

#[test]
fn simulated_lines_obey_littles_law_and_wait_as_erlang_says() {
    for (servers, per_second) in [(1, 0.35), (2, 0.8), (8, 3.4), (32, 14.0)] {
        let service = Duration::from_secs(2);
        let mut plan = plan(1, servers);
        plan.warm_up = Duration::from_secs(2000);
        let end = 300_000.0 / per_second;
        plan.horizon = Some(Duration::from_secs_f64(end));
        let seen = simulate(&plan, steady(per_second, profile(0.0), end as u64));
        let theory = erlang_c(per_second, service, servers).expect("they keep up").as_secs_f64();
        let ratio = seen.waits.mean() / theory;
        assert!((0.95..1.05).contains(&ratio), "{servers} servers: {} of {theory}", seen.waits.mean());

        let (stood, left) = seen.in_line;
        let throughput = left as f64 / seen.looked_at.as_secs_f64();
        let little = seen.mean_in_line / (throughput * stood / left as f64);
        assert!((0.99..1.01).contains(&little), "{servers} servers: {little}");
        let busy = seen.mean_at_work / (per_second * service.as_secs_f64());
        assert!((0.98..1.02).contains(&busy), "{servers} servers: {busy}");
    }
    assert_eq!(erlang_c(1.0, Duration::from_secs(2), 2), None);
}

#[test]
fn jobs_of_a_killed_worker_begin_again_with_another_once_their_leases_have_run_out() {
    let mut plan = plan(2, 2);
    plan.service.fixed_seconds = Draw::Fixed(10.0);
    plan.faults.kills = vec![(Duration::from_secs(5), 1)];
    let seen = simulate(&plan, all_at_once(&[(0, 1, 4)]));
    assert_eq!((seen.completed, seen.lost, seen.attempts), (4, 2, 6));
    // killed at 5 s, within a second of a heartbeat; a lease of 30 s; back within 1 s, twice looked for
    let end = seen.makespan.as_secs_f64();
    assert!((44.0..48.0).contains(&end), "{end}");
}

/// Calls of one kind, which cost 100 µs alone and 20 µs in a crowd, of a Redis that takes a thousandth of a core by itself.
fn busy(calls_per_second: f64) -> f64 {
    let costs =
        Costs::of(1000.0, vec![(0.005, 0.0), (1.0, 1.0)], |_| (Cost { cpu_us: 100.0, ..Cost::default() }, 20.0));
    let mut calls: Calls = [0.0; Call::ALL.len()];
    calls[Call::Submit as usize] = calls_per_second;
    let busy = costs.busy(&calls);
    // at that cost they take just that much
    assert!((costs.all_us(&calls, busy) / 1e6 + 0.001 - busy).abs() < 1e-9, "{calls_per_second}: {busy}");
    assert!((costs.all(&calls.map(|count| count * 60.0), 60.0).cpu_us / 60e6 - busy).abs() < 1e-9);
    busy
}

#[test]
fn a_simulated_redis_takes_less_for_a_call_the_busier_it_is_and_is_full_where_calls_in_a_crowd_fill_it() {
    assert!((busy(0.0) - 0.001).abs() < 1e-9);
    // a small fleet pays for waking it up each time
    assert!((busy(40.0) - 0.005).abs() < 1e-4, "{}", busy(40.0));
    let levels: Vec<f64> = (0..=60).map(|thousands| busy(f64::from(thousands) * 1000.0)).collect();
    assert!(levels.is_sorted_by(|one, next| one < next), "{levels:?}");
    assert!(busy(49_000.0) < 1.0 && busy(51_000.0) > 1.0);
    // a day is charged minute by minute: what comes at once costs less than what is spread
    let costs = Costs::of(0.0, vec![(0.005, 0.0), (1.0, 1.0)], |_| (Cost { cpu_us: 100.0, ..Cost::default() }, 20.0));
    let (spread, at_once) = (steady(2.0, profile(0.1), 600), all_at_once(&[(0, 1, 1200)]));
    let [spread, at_once] = [spread, at_once].map(|orders| {
        let seen = simulate(&plan(20, 4), orders);
        seen.ledger.cost(&costs).cpu_us / seen.ledger.counts().iter().sum::<f64>()
    });
    assert!(20.0 < at_once && at_once < spread && spread < 100.0, "{at_once} {spread}");
}
