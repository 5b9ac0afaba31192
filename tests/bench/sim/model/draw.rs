//! What is left to chance, from a generator whose numbers are the same on every machine and in every release.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp, LogNormal};

/// Where chance comes from.
pub type Random = Xoshiro256PlusPlus;

/// A source of its own for a seed.
#[must_use]
pub fn random(seed: u64) -> Random {
    Random::seed_from_u64(seed)
}

/// A number that is left to chance.
#[derive(Debug, Clone, PartialEq)]
pub enum Draw {
    /// Always the same.
    Fixed(f64),
    /// Without memory, with this mean.
    Exponential(f64),
    /// Its logarithm is normal: half are below `median`, and two thirds within a factor of `e^sigma` of it.
    LogNormal {
        /// Half are below it.
        median: f64,
        /// How far they spread.
        sigma: f64,
    },
    /// One of those that were measured.
    Observed(Vec<f64>),
}

impl Draw {
    /// The next one.
    ///
    /// # Panics
    /// When a mean or a median is not positive, or nothing was observed: faults of the plan.
    pub fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Exponential(mean) => Exp::new(1.0 / mean).expect("a mean is positive").sample(random),
            Self::LogNormal { median, sigma } => {
                LogNormal::new(median.ln(), *sigma).expect("a median is positive").sample(random)
            }
            Self::Observed(values) => values[random.random_range(0..values.len())],
        }
    }

    /// What they come to on average.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Fixed(value) | Self::Exponential(value) => *value,
            Self::LogNormal { median, sigma } => median * (sigma * sigma / 2.0).exp(),
            Self::Observed(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }
}
