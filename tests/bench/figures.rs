//! Figures: how they are compared and told.
//!
//! What is measured and its floor take turns (A, B, A, B, ...), so that whatever else the machine does hits both; the
//! medians are compared. How far the floor's own rounds lie apart is told as the noise.

use anyhow::Result;
use serde_json::json;

/// Several measurements of one thing, in the order in which they were made.
#[derive(Debug, Clone)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Was nothing measured?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The value below which this part of them lies; NaN when there are none.
    #[must_use]
    pub fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (part * (sorted.len().saturating_sub(1)) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    /// The middle one of what each is as part of the one that was measured beside it: what comes and goes on the machine hits
    /// both.
    #[must_use]
    pub fn beside(&self, floor: &Self) -> f64 {
        self.0.iter().zip(&floor.0).map(|(value, floor)| value / floor).collect::<Self>().median()
    }

    /// Distance between the farthest, as part of the median.
    #[must_use]
    pub fn noise(&self) -> f64 {
        (self.at(1.0) - self.at(0.0)) / self.median()
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Measures two things in turns.
///
/// # Errors
/// That of the first measurement that fails.
pub async fn in_turns(
    rounds: usize,
    mut one: impl AsyncFnMut() -> Result<f64>,
    mut other: impl AsyncFnMut() -> Result<f64>,
) -> Result<(Rounds, Rounds)> {
    let (mut ones, mut others) = (Rounds::new(), Rounds::new());
    for _ in 0..rounds {
        ones.add(one().await?);
        others.add(other().await?);
    }
    Ok((ones, others))
}

/// Opens a table.
pub fn begin(title: &str) {
    eprintln!("\n{title}\n{:<58} {:>12} {:>12} {:>7}  aim", "", "value", "floor", "ratio");
}

/// Tells a figure that stands alone.
pub fn tell(name: &str, value: f64) {
    show(name, value, None, "");
}

/// Tells a figure beside its floor. `aim` is what the ratio should be, for people.
pub fn compare(name: &str, value: f64, floor: f64, aim: &str) {
    show(name, value, Some((floor, value / floor)), aim);
}

/// Tells what was measured in turns with its floor: both medians, and the median of the ratios.
pub fn compare_pairs(name: &str, value: &Rounds, floor: &Rounds, aim: &str) {
    show(name, value.median(), Some((floor.median(), value.beside(floor))), aim);
}

/// A remark below the table: what explains a figure, and is none.
pub fn remark(text: &str) {
    eprintln!("  {text}");
}

fn show(name: &str, value: f64, beside: Option<(f64, f64)>, aim: &str) {
    let (floor, ratio) = beside.unzip();
    let text = |number: Option<f64>, digits| number.map_or_else(String::new, |n| format!("{n:.digits$}"));
    eprintln!("{name:<58} {value:>12.3} {:>12} {:>7}  {aim}", text(floor, 3), text(ratio, 2));
    say(name, value, floor, ratio);
}

/// The line of JSON of a figure; for people it stands in a table of another shape.
pub fn line(name: &str, value: f64, floor: Option<f64>) {
    say(name, value, floor, floor.map(|floor| value / floor));
}

fn say(name: &str, value: f64, floor: Option<f64>, ratio: Option<f64>) {
    println!("{}", json!({ "name": name, "value": value, "floor": floor, "ratio": ratio }));
}
