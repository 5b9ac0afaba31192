//! What users do, and how often each of it.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt as _};
use serde::{Serialize, Serializer};

/// Something that users of the service do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Ask how a download stands.
    Status,
    /// Order a download.
    Submit,
    /// Order a download, follow it to its end, and ask for its link.
    Journey,
    /// List the newest downloads.
    List,
    /// Ask what is behind an address.
    Metadata,
    /// Ask what would be downloaded.
    Plan,
    /// Ask whether the service is alive.
    Health,
}

/// How often each scenario is chosen, in proportion to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    shares: Vec<(Scenario, u32)>,
    total: u32,
}

impl Scenario {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] =
        [Self::Status, Self::Submit, Self::Journey, Self::List, Self::Metadata, Self::Plan, Self::Health];

    /// As it is written on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Submit => "submit",
            Self::Journey => "journey",
            Self::List => "list",
            Self::Metadata => "metadata",
            Self::Plan => "plan",
            Self::Health => "health",
        }
    }

    /// Has it to be told an address of media?
    #[must_use]
    pub fn needs_address(self) -> bool {
        match self {
            Self::Submit | Self::Journey | Self::Metadata | Self::Plan => true,
            Self::Status | Self::List | Self::Health => false,
        }
    }
}

impl Mix {
    /// What is done unless it is said otherwise: mostly looking, as people do.
    #[must_use]
    pub fn usual(has_addresses: bool) -> Self {
        let shares: &[(Scenario, u32)] = if has_addresses {
            &[(Scenario::Status, 80), (Scenario::Submit, 10), (Scenario::List, 5), (Scenario::Metadata, 5)]
        } else {
            &[(Scenario::Status, 80), (Scenario::List, 20)]
        };
        Self { shares: shares.to_vec(), total: 100 }
    }

    /// The next scenario, by chance.
    pub fn draw(&self, chance: &mut impl Rng) -> Scenario {
        let mut left = chance.random_range(0..self.total);
        for (scenario, share) in &self.shares {
            match left.checked_sub(*share) {
                Some(rest) => left = rest,
                None => return *scenario,
            }
        }
        unreachable!("the shares make up the total")
    }

    /// Is it ever chosen?
    #[must_use]
    pub fn has(&self, scenario: Scenario) -> bool {
        self.shares.iter().any(|(it, _)| *it == scenario)
    }

    /// Does any of it order downloads?
    #[must_use]
    pub fn orders(&self) -> bool {
        self.has(Scenario::Submit) || self.has(Scenario::Journey)
    }

    /// The first that has to be told an address of media.
    #[must_use]
    pub fn needs_address(&self) -> Option<Scenario> {
        self.shares.iter().map(|(scenario, _)| *scenario).find(|scenario| scenario.needs_address())
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<String> = self.shares.iter().map(|(it, share)| format!("{}={share}", it.name())).collect();
        f.write_str(&shares.join(","))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut shares: Vec<(Scenario, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.trim().split_once('=').unwrap_or((part.trim(), "1"));
            let Some(scenario) = Scenario::ALL.into_iter().find(|it| it.name() == name) else {
                let names = Scenario::ALL.map(Scenario::name).join(", ");
                return Err(format!("'{name}' is none of {names}; write it as in status=80,list=20"));
            };
            if shares.iter().any(|(it, _)| *it == scenario) {
                return Err(format!("{name} is there twice"));
            }
            let share = share.parse::<u32>().ok().filter(|share| *share <= 1_000_000);
            shares.push((scenario, share.ok_or_else(|| format!("the share of {name} is a number of 0 to 1000000"))?));
        }
        shares.retain(|(_, share)| *share > 0);
        let total = shares.iter().map(|(_, share)| share).sum();
        if total == 0 { Err("nothing is left to do".to_owned()) } else { Ok(Self { shares, total }) }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_mix_is_shares_of_what_there_is_and_says_what_is_wrong_with_it() {
        for (text, read) in [
            ("status=80,submit=10,list=5,metadata=5", "status=80,submit=10,list=5,metadata=5"),
            ("health", "health=1"),
            ("plan=3, list=0, journey=1", "plan=3,journey=1"),
        ] {
            assert_eq!(text.parse::<Mix>().map(|mix| mix.to_string()), Ok(read.to_owned()));
        }
        assert_eq!("status=80,submit=10,list=5,metadata=5".parse(), Ok(Mix::usual(true)));
        for text in
            ["", "statu=1", "status=-1", "status=1,status=2", "status=0", "status=1000001", "status=x", "list=1,"]
        {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_drawn_has_its_shares_and_is_the_same_by_the_same_seed() {
        let mix: Mix = "status=80,submit=15,health=5".parse().unwrap();
        let drawn = |seed| {
            let mut chance = StdRng::seed_from_u64(seed);
            std::iter::repeat_with(|| mix.draw(&mut chance)).take(10_000).collect::<Vec<_>>()
        };
        let all = drawn(1);
        for (scenario, share) in [(Scenario::Status, 8000_i64), (Scenario::Submit, 1500), (Scenario::Health, 500)] {
            let count = all.iter().filter(|it| **it == scenario).count() as i64;
            assert!((count - share).abs() < 200, "{} {count}", scenario.name());
        }
        assert_eq!(all, drawn(1));
        assert_ne!(all, drawn(2));
    }
}
