//! What is told: tables in Markdown for people and documents, a line of JSON per figure for programs.

use haul_tests::sim::{Call, Costs};

use super::cases::Case;
use super::measure::Figures;
use super::shard::{Level, is_taken};
use super::{Measured, NEAR};
use crate::figures;

/// Opens a table.
pub fn table(title: &str, columns: &[&str]) {
    eprintln!("\n**{title}**\n");
    row(&columns.iter().map(ToString::to_string).collect::<Vec<_>>());
    row(&columns.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
}

/// A row of it.
pub fn row(cells: &[String]) {
    eprintln!("| {} |", cells.join(" | "));
}

/// A number as people read it: three digits that say something.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_owned(),
        size if size >= 1e4 => {
            let text = format!("{value:.0}");
            let from_end = |(at, digit): (usize, char)| {
                let comma = at > 0 && (text.len() - at).is_multiple_of(3);
                [comma.then_some(','), Some(digit)]
            };
            text.chars().enumerate().flat_map(from_end).flatten().collect()
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if !(5e-3..0.1).contains(&size) => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// What was measured before anything is simulated.
pub fn calibration(measured: &Measured) {
    eprintln!("\nMeasured {} on {}", measured.date, measured.machine);
    let columns = ["Call", "Commands", "Bytes in", "Bytes out", "Processor, µs, alone", "in a crowd"];
    table("What a call costs Redis", &columns);
    let costs = measured.costs();
    for call in Call::ALL {
        let cost = costs.one(call);
        let figures = [cost.commands, cost.in_bytes, cost.out_bytes, cost.cpu_us, costs.crowded_us(call)];
        let mut cells = vec![format!("`{}`", call.word())];
        cells.extend(figures.map(|figure| format!("{figure:.1}")));
        row(&cells);
    }
    let fixed = measured.fixed_seconds.iter().sum::<f64>() / measured.fixed_seconds.len() as f64;
    eprintln!(
        "\nBy itself Redis takes {:.0} µs in a second. For each change of a job that is followed an API looks {:.2} times, and asks \
         {:.2} times whether there is anything new. A job takes {fixed:.3} s and a second per {:.0} bytes.",
        measured.idle_us, measured.looks, measured.peeks, measured.bytes_per_second
    );
}

/// What was held against what was measured.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Those that lie too far apart, by name.
    pub far: Vec<String>,
    ratios: Vec<f64>,
    /// Microseconds of Redis's processor in all cases, measured and on paper.
    processor: (f64, f64),
}

impl Verdict {
    /// A case: the ratio of each figure. `beat_us`: microseconds of a heartbeat, meanwhile and when calls were measured.
    pub fn case(&mut self, case: &Case, real: &Figures, paper: &Figures, beat_us: (f64, f64)) {
        table(&format!("{} ({} jobs)", case.name, case.jobs), &["", "Measured", "Simulated", "Ratio"]);
        let jobs = case.jobs as f64;
        let per_job = |of: fn(&Figures) -> f64| (of(real) / jobs, of(paper) / jobs);
        let per_second = |of: fn(&Figures) -> f64| (of(real) / real.makespan, of(paper) / paper.makespan);
        let mut rows = vec![
            ("makespan, s".to_owned(), (real.makespan, paper.makespan)),
            ("mean wait, s".to_owned(), (real.wait_mean, paper.wait_mean)),
            ("95 of 100 wait less than, s".to_owned(), (real.wait_p95, paper.wait_p95)),
        ];
        if case.weights.len() > 1 {
            for (client, weight) in case.weights.iter().enumerate() {
                let name = format!("mean wait of the client with weight {weight}, s");
                rows.push((name, (real.wait_by_client[client], paper.wait_by_client[client])));
            }
        }
        rows.extend([
            ("calls of Redis per s".to_owned(), per_second(|all| all.calls)),
            ("commands of Redis per s".to_owned(), per_second(|all| all.cost.commands)),
            ("KB to Redis per job".to_owned(), per_job(|all| all.cost.in_bytes / 1e3)),
            ("KB from Redis per job".to_owned(), per_job(|all| all.cost.out_bytes / 1e3)),
        ]);
        // what a killed worker had counted is gone with it
        if case.kill.is_none() {
            rows.push(("requests that write to the bucket per job".to_owned(), per_job(|all| all.puts)));
        }
        for (name, (real, paper)) in rows {
            let ratio = self.judge(&format!("{}: {name}", case.name), real, paper);
            row(&[name, number(real), number(paper), format!("{ratio:.2}")]);
        }
        let (measured, simulated) = per_job(|all| all.cost.cpu_us);
        let name = "µs of Redis's processor per job, not judged by itself".to_owned();
        row(&[name, number(measured), number(simulated), format!("{:.2}", simulated / measured)]);
        self.processor = (self.processor.0 + real.cost.cpu_us, self.processor.1 + paper.cost.cpu_us);
        eprintln!(
            "\nMeanwhile a heartbeat took another Redis {:.0} µs; when calls were measured it was {:.0}.",
            beat_us.0, beat_us.1
        );
    }

    /// Redis's processor in all cases that were told: in one of them it is some tens of milliseconds, and the same case takes a
    /// fifth more or less the next time.
    pub fn processor(&mut self) {
        let (measured, simulated) = self.processor;
        let ratio = self.judge("all cases: Redis's processor", measured, simulated);
        table("All cases", &["", "Measured", "Simulated", "Ratio"]);
        let name = "ms of Redis's processor".to_owned();
        row(&[name, number(measured / 1e3), number(simulated / 1e3), format!("{ratio:.2}")]);
    }

    /// How busy calls in a mixture make one Redis. Those that say how far between alone and a crowd calls lie are not judged.
    pub fn levels(&mut self, levels: &[Level], costs: &Costs) {
        let columns =
            ["", "Jobs per s", "Calls per s", "One core of Redis, measured", "On paper", "Ratio", "If each came alone"];
        table("One Redis, more and more busy", &columns);
        for (at, level) in levels.iter().enumerate() {
            let busy = costs.busy(&level.calls);
            let ratio = if is_taken(at) {
                "taken".to_owned()
            } else {
                format!("{:.2}", self.judge(&format!("{}: core of Redis", level.name), level.busy, busy))
            };
            let percent = |share: f64| format!("{:.2} %", share * 100.0);
            let alone = (costs.all_us(&level.calls, 0.0) + costs.idle_us()) / 1e6;
            let mut cells = vec![level.name.clone(), number(level.jobs), number(level.per_second)];
            cells.extend([percent(level.busy), percent(busy), ratio, percent(alone)]);
            row(&cells);
        }
    }

    /// Between what all ratios lie.
    pub fn tell(&self) {
        let least = self.ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.ratios.iter().copied().fold(0.0, f64::max);
        eprintln!("\nAll that is judged lies between {least:.2} and {most:.2}.");
    }

    fn judge(&mut self, name: &str, real: f64, paper: f64) -> f64 {
        let ratio = paper / real;
        figures::line(&format!("sim, {name}, simulated / measured"), paper, Some(real));
        self.ratios.push(ratio);
        if (ratio - 1.0).abs() > NEAR || ratio.is_nan() {
            self.far.push(format!("{name} ({ratio:.2})"));
        }
        ratio
    }
}
