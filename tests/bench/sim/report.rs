//! What is told: tables in Markdown for people and documents, a line of JSON per figure for programs.

use haul_tests::sim::Call;

use super::cases::Case;
use super::measure::Figures;
use super::{Measured, NEAR};
use crate::figures;

/// Opens a table.
pub fn table(title: &str, columns: &[&str]) {
    eprintln!("\n{title}\n");
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
    table("What a call costs Redis", &["Call", "Commands", "Bytes in", "Bytes out", "Processor, µs"]);
    for call in Call::ALL {
        let cost = measured.costs_in_a_row().one(call);
        let figures = [cost.commands, cost.in_bytes, cost.out_bytes, cost.cpu_us];
        let mut cells = vec![format!("`{}`", call.word())];
        cells.extend(figures.map(|figure| format!("{figure:.1}")));
        row(&cells);
    }
    let fixed = measured.fixed_seconds.iter().sum::<f64>() / measured.fixed_seconds.len() as f64;
    eprintln!("\nA job takes {fixed:.3} s and a second per {:.0} bytes", measured.bytes_per_second);
}

/// A case: the ratio of each figure. Those that lie too far apart, by name.
pub fn case(case: &Case, real: &Figures, paper: &Figures, jobs: usize) -> Vec<String> {
    table(&format!("{} ({jobs} jobs)", case.name), &["", "Measured", "Simulated", "Ratio"]);
    let mut rows = vec![
        ("makespan, s".to_owned(), real.makespan, paper.makespan),
        ("mean wait, s".to_owned(), real.wait_mean, paper.wait_mean),
        ("95 of 100 wait less than, s".to_owned(), real.wait_p95, paper.wait_p95),
    ];
    if case.weights.len() > 1 {
        for (client, weight) in case.weights.iter().enumerate() {
            let name = format!("mean wait of the client with weight {weight}, s");
            rows.push((name, real.wait_by_client[client], paper.wait_by_client[client]));
        }
    }
    rows.extend([
        ("round trips to Redis per s".to_owned(), real.calls / real.makespan, paper.calls / paper.makespan),
        (
            "commands of Redis per s".to_owned(),
            real.cost.commands / real.makespan,
            paper.cost.commands / paper.makespan,
        ),
        (
            "KB to Redis per job".to_owned(),
            real.cost.in_bytes / 1e3 / jobs as f64,
            paper.cost.in_bytes / 1e3 / jobs as f64,
        ),
        (
            "KB from Redis per job".to_owned(),
            real.cost.out_bytes / 1e3 / jobs as f64,
            paper.cost.out_bytes / 1e3 / jobs as f64,
        ),
    ]);
    // what a killed worker had counted is gone with it
    if case.kill.is_none() {
        rows.push((
            "requests that write to the bucket per job".to_owned(),
            real.puts / jobs as f64,
            paper.puts / jobs as f64,
        ));
    }
    let mut far = Vec::new();
    for (name, real, paper) in rows {
        let ratio = paper / real;
        row(&[name.clone(), number(real), number(paper), format!("{ratio:.2}")]);
        figures::line(&format!("sim, {}: {name}, simulated / measured", case.name), paper, Some(real));
        if (ratio - 1.0).abs() > NEAR {
            far.push(format!("{}: {name} ({ratio:.2})", case.name));
        }
    }
    // what one after the other costs is less than what calls cost that come now and then: what predictions take the factor from
    let cpu = (real.cost.cpu_us / jobs as f64, paper.cost.cpu_us / jobs as f64);
    row(&[
        "µs of Redis's processor per job (not judged)".to_owned(),
        number(cpu.0),
        number(cpu.1),
        format!("{:.2}", cpu.1 / cpu.0),
    ]);
    far
}

/// How much more of Redis's processor the calls of a fleet take than calls in a row.
pub fn redis_cpu(per_second: f64, factor: f64) {
    eprintln!(
        "\nOf Redis's processor {factor:.2} times what the same calls cost in a row, with {} round trips a second; the tables below have that factor in them",
        number(per_second)
    );
}
