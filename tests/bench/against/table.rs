//! A table of what was measured side by side: Markdown for people, as it goes into the page, and a line of JSON per figure.

use std::fmt::Write as _;

use crate::figures::{Rounds, line};

/// Ours is the first of those who took part.
pub struct Table {
    title: String,
    who: Vec<String>,
    rows: Vec<Row>,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger figure.
    More,
    /// The smaller one.
    Less,
}

struct Row {
    what: String,
    better: Better,
    cells: Vec<Rounds>,
}

impl Table {
    /// Nothing yet.
    #[must_use]
    pub fn of(title: &str, who: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let who = who.into_iter().map(Into::into).collect();
        Self { title: title.to_owned(), who, rows: Vec::new() }
    }

    /// One more row, and its figures as JSON. Who has none, or none any more, is left out of it.
    pub fn row(&mut self, what: &str, better: Better, mut cells: Vec<Rounds>) {
        cells.resize(self.who.len(), Rounds::new());
        let row = Row { what: what.to_owned(), better, cells };
        for (number, (who, cell)) in self.who.iter().zip(&row.cells).enumerate() {
            if cell.is_empty() {
                continue;
            }
            let best = if number == 0 { row.best().map(Rounds::median) } else { None };
            line(&format!("against, {}: {what}: {who}", self.title), cell.median(), best);
        }
        eprintln!("  {}", row.shown());
        self.rows.push(row);
    }

    /// The whole of it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n", self.title);
        let _infallible = writeln!(text, "| | {} | Haul : best |", self.who.join(" | "));
        text.push_str(&"| --- ".repeat(self.who.len() + 2));
        text.push_str("|\n");
        for row in &self.rows {
            text.push_str(&row.shown());
            text.push('\n');
        }
        text
    }
}

impl Row {
    /// The best of the others.
    fn best(&self) -> Option<&Rounds> {
        let others = self.cells.iter().skip(1).filter(|cell| !cell.is_empty());
        match self.better {
            Better::More => others.max_by(|a, b| a.median().total_cmp(&b.median())),
            Better::Less => others.min_by(|a, b| a.median().total_cmp(&b.median())),
        }
    }

    /// How many times better ours is: the median of the turns, where each has a turn beside it.
    fn ratio(&self) -> Option<f64> {
        let (ours, best) = (self.cells.first().filter(|cell| !cell.is_empty())?, self.best()?);
        Some(match self.better {
            Better::More => ours.beside(best),
            Better::Less => best.beside(ours),
        })
    }

    fn shown(&self) -> String {
        let cells: Vec<String> = self.cells.iter().map(cell).collect();
        let ratio = self.ratio().map_or_else(|| "—".to_owned(), number);
        format!("| {} | {} | {ratio} |", self.what, cells.join(" | "))
    }
}

fn cell(rounds: &Rounds) -> String {
    match rounds.len() {
        0 => "—".to_owned(),
        1 => number(rounds.median()),
        _ => format!("{} (±{:.0} %)", number(rounds.median()), rounds.noise() * 50.0),
    }
}

/// With three digits that say something, at least.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let whole = text.split('.').next().map_or(0, str::len);
    if whole <= 4 {
        return text;
    }
    // 12,345
    let (head, tail) = text.split_at(whole - 3);
    format!("{head},{tail}")
}
