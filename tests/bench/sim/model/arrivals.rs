//! Orders: who wants what, and when.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::RngExt as _;

use super::draw::{Draw, Random, random};

/// A day.
const DAY: f64 = 86_400.0;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// When.
    pub at: Duration,
    /// Who, by number.
    pub client: usize,
    /// How many turns this client has to one of another.
    pub weight: u32,
    /// Where, by number.
    pub region: usize,
    /// From which site, by number.
    pub site: usize,
    /// How much.
    pub bytes: u64,
    /// It may wait.
    pub is_low: bool,
    /// It is coded anew.
    pub is_coded: bool,
    /// Somebody follows it.
    pub is_followed: bool,
    /// A webhook is told of its end.
    pub is_told: bool,
}

/// Orders in the order of their times.
pub type Orders = Box<dyn Iterator<Item = Order>>;

/// What jobs are like.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// How long media play, in seconds.
    pub plays_seconds: Draw,
    /// Bytes per second that they play.
    pub bytes_per_second: Draw,
    /// Share that is coded.
    pub coded: f64,
    /// Share that is followed.
    pub followed: f64,
    /// Share that a webhook is told of.
    pub told: f64,
    /// Share that may wait.
    pub low: f64,
    /// Sites; the first has half of the orders, the second a quarter, and so on.
    pub sites: u32,
}

/// How many orders come.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Orders per second of each region on average.
    pub per_second: Vec<f64>,
    /// How far the day swings: 0 is flat, 1 has an hour without orders. Each region is a tenth of a day, say, later than the one
    /// before it: as much as they have in common.
    pub swing: f64,
    /// Clients of each region.
    pub clients: usize,
}

/// Orders that come independently of one another, as the days of their regions have it, until the end.
#[must_use]
pub fn poisson(demand: Demand, profile: Profile, end: Duration, seed: u64) -> Orders {
    let mut random = random(seed);
    let peak: f64 = demand.per_second.iter().sum::<f64>() * (1.0 + demand.swing);
    let mut at = 0.0;
    Box::new(std::iter::from_fn(move || {
        // thinning: orders at the highest rate, of which those stay that the hour has (Lewis and Shedler, 1979)
        loop {
            at += Draw::Exponential(1.0 / peak).draw(&mut random);
            if at >= end.as_secs_f64() {
                return None;
            }
            let mut mark = random.random::<f64>() * peak;
            for region in 0..demand.per_second.len() {
                mark -= demand.rate(region, at);
                if mark < 0.0 {
                    let client = region * demand.clients + random.random_range(0..demand.clients);
                    return Some(profile.order(Duration::from_secs_f64(at), client, region, &mut random));
                }
            }
        }
    }))
}

impl Demand {
    /// Orders per second of a region at a time.
    fn rate(&self, region: usize, at: f64) -> f64 {
        let phase = at / DAY - region as f64 / self.per_second.len() as f64;
        self.per_second[region] * (1.0 - self.swing * (TAU * phase).cos())
    }
}

impl Profile {
    /// An order.
    fn order(&self, at: Duration, client: usize, region: usize, random: &mut Random) -> Order {
        let bytes = self.plays_seconds.draw(random) * self.bytes_per_second.draw(random);
        let mut is = |share: f64| random.random_bool(share);
        let (is_low, is_coded, is_followed, is_told) = (is(self.low), is(self.coded), is(self.followed), is(self.told));
        let site = (0..self.sites.saturating_sub(1)).take_while(|_| random.random_bool(0.5)).count();
        let bytes = bytes as u64;
        Order { at, client, weight: 1, region, site, bytes, is_low, is_coded, is_followed, is_told }
    }

    /// Bytes of a job on average.
    #[must_use]
    pub fn mean_bytes(&self) -> f64 {
        self.plays_seconds.mean() * self.bytes_per_second.mean()
    }
}
