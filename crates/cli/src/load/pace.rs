//! When requests begin: in the open model by the clock alone, whatever becomes of those before.
//!
//! Not here: in the closed model a user begins when it is done with what it did before (`users`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most that is asked for, per second; one generator does not come near.
const HIGHEST: f64 = 100_000.0;

/// The least: one in an hour.
const LOWEST: f64 = 1.0 / 3600.0;

/// How many requests begin in a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

/// The moments at which requests begin, counted from the start of the run: evenly, after a rise in a straight line.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    per_second: f64,
    ramp: f64,
}

impl Rate {
    /// Requests per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => 0.0,
        };
        let rate = count.parse::<f64>().map(|count| count / seconds).unwrap_or_default();
        let is_one = (LOWEST..=HIGHEST).contains(&rate);
        is_one.then_some(Self(rate)).ok_or_else(|| "write it as in 50/s or 600/m, 1/h to 100000/s".to_owned())
    }
}

impl Pace {
    /// This rate, after a rise to it of so long.
    #[must_use]
    pub fn of(rate: Rate, ramp: Duration) -> Self {
        Self { per_second: rate.0, ramp: ramp.as_secs_f64() }
    }

    /// When the request with this number begins; the first is 0.
    #[must_use]
    pub fn moment(self, number: u64) -> Duration {
        let number = number as f64;
        // a straight rise brings half of what the full rate would
        let in_rise = self.per_second * self.ramp / 2.0;
        Duration::from_secs_f64(if number < in_rise {
            (2.0 * self.ramp * number / self.per_second).sqrt()
        } else {
            self.ramp + (number - in_rise) / self.per_second
        })
    }
}

/// When one of several users begins, so that they have all begun after this time.
#[must_use]
pub fn start_of_user(user: u32, users: u32, ramp: Duration) -> Duration {
    ramp.mul_f64(f64::from(user) / f64::from(users.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_in_a_second_a_minute_or_an_hour() {
        for (text, per_second) in
            [("50/s", 50.0), ("50", 50.0), ("600/m", 10.0), ("1800/h", 0.5), ("0.5", 0.5), ("1/h", LOWEST)]
        {
            assert_eq!(text.parse::<Rate>().map(Rate::per_second), Ok(per_second), "{text}");
        }
        for text in ["", "0", "-1/s", "5/d", "/s", "5/", "inf", "NaN/s", "100001/s", "0.9/h", "1e-300/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn requests_begin_evenly_and_before_that_in_a_straight_rise() {
        let moments = |rate: &str, ramp, numbers: &[u64]| -> Vec<u128> {
            let pace = Pace::of(rate.parse().unwrap(), Duration::from_secs(ramp));
            numbers.iter().map(|number| pace.moment(*number).as_millis()).collect()
        };
        assert_eq!(moments("50/s", 0, &[0, 1, 2, 50, 3000]), [0, 20, 40, 1000, 60_000]);
        // 250 in the ten seconds of the rise, a quarter of them in its first half; from there on as without one
        assert_eq!(moments("50/s", 10, &[0, 62, 250, 300]), [0, 4979, 10_000, 11_000]);
        let pace = Pace::of(Rate(1000.0), Duration::from_secs(3));
        assert!((0..10_000).map(|number| pace.moment(number)).is_sorted());
    }

    #[test]
    fn users_begin_one_after_the_other_within_the_ramp() {
        let starts = [0, 1, 199].map(|user| start_of_user(user, 200, Duration::from_secs(10)).as_millis());
        assert_eq!(starts, [0, 50, 9950]);
        assert_eq!(start_of_user(7, 200, Duration::ZERO), Duration::ZERO);
    }
}
