//! What a run came to, for people and as one document of JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Limits;
use super::bench::Bench;
use super::fault::Fault;
use super::tally::{Percentiles, Tally};
use super::users::{Run, Went};
use crate::error::{Error, Exit};
use crate::outline::bytes_of;
use crate::screen::Screen;
use crate::table;

/// Beyond this the figures are also those of the program that measures, in milliseconds at p99: the clock of the
/// runtime has steps of one, and services are told apart by tens.
const MOST_LAG_MS: f64 = 10.0;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    server: String,
    model: &'static str,
    users: u32,
    rate_per_second: Option<f64>,
    /// As it was asked for.
    for_seconds: f64,
    /// As it was.
    elapsed_seconds: f64,
    mix: String,
    seed: u64,
    /// What every job of the run can be found by.
    tag: String,
    total: Figures,
    scenarios: BTreeMap<&'static str, Figures>,
    /// Under way when there was no more time for them; in no other figure.
    unfinished: u64,
    generator: Generator,
    limits: Vec<Limit>,
}

/// What requests came to.
#[derive(Debug, Serialize)]
struct Figures {
    requests: u64,
    /// Those that ended while others still began.
    per_second: f64,
    /// Of all that ended, however they did.
    latency_ms: Percentiles,
    bytes: u64,
    failed: u64,
    /// 0 to 1.
    failed_share: f64,
    errors: Vec<Class>,
    /// Of every answer; a journey has several.
    statuses: BTreeMap<u16, u64>,
}

/// Those that failed in the same way.
#[derive(Debug, Serialize)]
struct Class {
    class: &'static str,
    code: Option<String>,
    count: u64,
}

/// How the program itself did.
#[derive(Debug, Serialize)]
struct Generator {
    /// How much later than it wanted it got a turn, or began a request.
    lag_ms: Percentiles,
    is_saturated: bool,
}

/// Something that had to hold.
#[derive(Debug, Serialize)]
struct Limit {
    name: &'static str,
    /// A share of 0 to 1, or milliseconds.
    limit: f64,
    /// `None`: there was nothing to measure, or so many did not succeed in any time.
    was: Option<f64>,
    holds: bool,
}

impl Report {
    /// What this run came to.
    #[must_use]
    pub fn of(bench: &Bench, run: Run, went: &Went, limits: Limits) -> Self {
        let (tallies, elapsed) = (bench.tallies(), went.length.as_secs_f64());
        let all = tallies.all();
        let lag_ms = went.lag.percentiles();
        Self {
            server: bench.client.host(),
            model: if run.rate.is_some() { "open" } else { "closed" },
            users: run.users,
            rate_per_second: run.rate.map(super::Rate::per_second),
            for_seconds: run.length.as_secs_f64(),
            elapsed_seconds: elapsed,
            mix: bench.mix.to_string(),
            seed: run.seed,
            tag: bench.tag.clone(),
            scenarios: tallies
                .scenarios()
                .into_iter()
                .map(|(it, tally)| (it.name(), figures(tally, elapsed)))
                .collect(),
            unfinished: bench.unfinished(),
            generator: Generator { lag_ms, is_saturated: lag_ms.p99.is_some_and(|lag| lag > MOST_LAG_MS) },
            limits: limits.of(&all),
            total: figures(&all, elapsed),
        }
    }

    /// Did any answer come, where one should have?
    fn was_answered(&self) -> bool {
        self.total.requests == 0 || !self.total.statuses.is_empty()
    }

    /// Which exit code it has, if nothing stopped it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (self.was_answered(), self.limits.iter().all(|limit| limit.holds)) {
            (false, _) => Exit::Unreachable,
            (true, false) => Exit::Failed,
            (true, true) => Exit::Done,
        }
    }

    /// Tells it on the standard output, and what is wrong with it on the other.
    ///
    /// # Errors
    /// When nobody reads the figures; what is wrong with them is told all the same.
    pub fn tell(&self, screen: &Screen) -> Result<(), Error> {
        let told = if screen.is_json() { screen.say_json(self) } else { screen.say(self.lines()) };
        if let (true, Some(lag)) = (self.generator.is_saturated, self.generator.lag_ms.p99) {
            screen.warn(&format!(
                "this machine does not keep up: 1 of 100 turns came {} late, so the service may be faster than these figures",
                time(Some(lag))
            ));
        }
        for limit in self.limits.iter().filter(|limit| !limit.holds) {
            screen.warn(&format!("--{} does not hold: {}", limit.name, limit.words(&self.total)));
        }
        told
    }

    fn lines(&self) -> Vec<String> {
        let rate = self.rate_per_second.map(|rate| format!(", {rate} requests begun per second")).unwrap_or_default();
        let users = if self.users == 1 { "user" } else { "users" };
        let mut lines = vec![
            format!(
                "{}: {} {users}{rate}, {} model, {:.1} s, {}",
                self.server, self.users, self.model, self.elapsed_seconds, self.mix
            ),
            String::new(),
        ];
        let heads = ["scenario", "requests", "per s", "p50", "p90", "p95", "p99", "p99.9", "max", "bytes", "failed"];
        let scenarios = self.scenarios.iter().map(|(name, figures)| figures.row(name));
        let rows: Vec<Vec<String>> = scenarios.chain([self.total.row("all")]).collect();
        lines.extend(table::lines(&heads, &rows));
        lines.push(String::new());
        let statuses = self.total.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        lines.push(format!("answers   {}", statuses.collect::<Vec<_>>().join(", ")));
        lines.push(format!("lag       p99 {}, of this program", time(self.generator.lag_ms.p99)));
        if self.unfinished > 0 {
            lines.push(format!("left      {} under way at the end, not counted", self.unfinished));
        }
        if self.total.failed > 0 {
            lines.push(String::new());
            let of =
                |(name, figures): (&&str, &Figures)| figures.errors.iter().map(|it| it.row(name)).collect::<Vec<_>>();
            let rows: Vec<Vec<String>> = self.scenarios.iter().flat_map(of).collect();
            lines.extend(table::lines(&["scenario", "error", "code", "count"], &rows));
        }
        lines
    }
}

fn figures(tally: &Tally, seconds: f64) -> Figures {
    let class = |(fault, count): (&Fault, &u64)| Class {
        class: fault.class(),
        code: fault.code().map(str::to_owned),
        count: *count,
    };
    Figures {
        requests: tally.requests,
        per_second: tally.in_run as f64 / seconds.max(f64::MIN_POSITIVE),
        latency_ms: tally.times.percentiles(),
        bytes: tally.bytes,
        failed: tally.failed(),
        failed_share: tally.failed_share(),
        errors: tally.faults.iter().map(class).collect(),
        statuses: tally.statuses.clone(),
    }
}

impl Figures {
    fn row(&self, name: &str) -> Vec<String> {
        let Percentiles { p50, p90, p95, p99, p999, max } = self.latency_ms;
        let mut cells = vec![name.to_owned(), self.requests.to_string(), format!("{:.1}", self.per_second)];
        cells.extend([p50, p90, p95, p99, p999, max].map(time));
        cells.extend([bytes_of(self.bytes), format!("{} ({:.2} %)", self.failed, self.failed_share * 100.0)]);
        cells
    }
}

impl Class {
    fn row(&self, scenario: &str) -> Vec<String> {
        let code = self.code.clone().unwrap_or_else(|| "-".to_owned());
        vec![scenario.to_owned(), self.class.to_owned(), code, self.count.to_string()]
    }
}

impl Limits {
    fn of(self, all: &Tally) -> Vec<Limit> {
        let at_most =
            |name, limit: f64, was: Option<f64>| Limit { name, limit, was, holds: was.is_some_and(|it| it <= limit) };
        let times = [("p95", self.p95, 95), ("p99", self.p99, 99)];
        let share = (all.requests > 0).then(|| all.failed_share());
        let errors = self.max_errors.map(|limit| at_most("max-errors", limit, share));
        let times = times
            .into_iter()
            .filter_map(|(name, limit, percent)| limit.map(|limit| at_most(name, millis(limit), all.within(percent))));
        errors.into_iter().chain(times).collect()
    }
}

impl Limit {
    fn words(&self, all: &Figures) -> String {
        match (self.name, self.was) {
            (_, None) if all.requests == 0 => "there was no request".to_owned(),
            (_, None) => format!("only {:.2} % of the requests succeeded", (1.0 - all.failed_share) * 100.0),
            ("max-errors", Some(was)) => format!("{:.2} % instead of {:.2} %", was * 100.0, self.limit * 100.0),
            (_, Some(was)) => format!("{} instead of {}", time(Some(was)), time(Some(self.limit))),
        }
    }
}

/// How the last second went.
#[must_use]
pub fn second(number: u64, lately: &Tally) -> String {
    let Percentiles { p50, p95, .. } = lately.times.percentiles();
    let (requests, failed) = (lately.requests, lately.failed());
    format!("{number:>4} s  {requests:>6} requests/s  p50 {}  p95 {}  {failed} failed", time(p50), time(p95))
}

/// A time in milliseconds, as people read it.
fn time(millis: Option<f64>) -> String {
    match millis {
        None => "-".to_owned(),
        Some(millis) if millis < 10.0 => format!("{millis:.2} ms"),
        Some(millis) if millis < 1000.0 => format!("{millis:.0} ms"),
        Some(millis) => format!("{:.2} s", millis / 1000.0),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::tally::Outcome;
    use super::*;

    fn tally(failed: usize, well: usize) -> Tally {
        let mut tally = Tally::default();
        for number in 0..failed + well {
            let fault = (number < failed).then_some(Fault::Timeout);
            tally.add(Some(Duration::from_millis(100)), &Outcome { statuses: vec![200], bytes: 1, fault });
        }
        tally
    }

    #[test]
    fn a_limit_holds_up_to_its_value_and_not_where_nothing_was_measured() {
        let limits =
            |errors, p95| Limits { max_errors: Some(errors), p95: Some(Duration::from_millis(p95)), p99: None };
        let holds = |limits: Limits, tally: &Tally| limits.of(tally).iter().map(|it| it.holds).collect::<Vec<_>>();
        assert_eq!(holds(limits(0.01, 101), &tally(1, 99)), [true, true]);
        assert_eq!(holds(limits(0.01, 99), &tally(2, 98)), [false, false]);
        assert_eq!(holds(limits(1.0, 101), &tally(6, 94)), [true, false], "failures are in no time");
        assert_eq!(holds(limits(1.0, 1000), &tally(0, 0)), [false, false]);
        assert_eq!(holds(Limits::default(), &tally(9, 0)), [false; 0]);
        for (limits, tally, told) in [
            (limits(0.01, 50), tally(2, 98), ["2.00 % instead of 1.00 %", "100 ms instead of 50 ms"]),
            (limits(0.01, 50), tally(6, 94), ["6.00 % instead of 1.00 %", "only 94.00 % of the requests succeeded"]),
            (limits(0.01, 50), tally(0, 0), ["there was no request"; 2]),
        ] {
            let words = |limit: &Limit| limit.words(&figures(&tally, 1.0));
            assert_eq!(limits.of(&tally).iter().map(words).collect::<Vec<_>>(), told);
        }
    }

    #[test]
    fn times_are_told_in_what_people_read() {
        let told = [None, Some(0.128), Some(9.994), Some(10.4), Some(999.4), Some(1234.0)].map(time);
        assert_eq!(told, ["-", "0.13 ms", "9.99 ms", "10 ms", "999 ms", "1.23 s"]);
        assert_eq!(second(3, &tally(1, 1)), "   3 s       2 requests/s  p50 100 ms  p95 100 ms  1 failed");
    }
}
