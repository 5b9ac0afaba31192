//! Hosts that have asked for fewer requests (429, 503): for a while they are asked half as much at once, by whichever way.
//!
//! Known to this worker only. By yt-dlp it is the host of the page that is spared, by us the one that has the bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an origin is left alone after a refusal that does not say for how long.
pub(crate) const QUIET: Duration = Duration::from_secs(1);
/// One that wants to be left alone for longer has the job wait in the queue, not in its slot; as long as yt-dlp's plugin
/// sleeps. Far below the 30 s after which a fetch that brings too little is stalled.
pub(crate) const LONGEST_QUIET: Duration = Duration::from_secs(10);
/// How long it is remembered.
const LASTS: Duration = Duration::from_secs(3600);
/// Hosts remembered at once; with more, those that asked longest ago are forgotten.
const MOST: usize = 1000;

/// Which hosts have asked, and when.
#[derive(Debug, Clone, Default)]
pub struct Patience(Arc<Mutex<HashMap<String, Instant>>>);

impl Patience {
    /// This host has asked for fewer requests.
    pub fn asked(&self, host: String) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host, Instant::now());
        if hosts.len() > MOST {
            let oldest = hosts.iter().min_by_key(|(_, asked)| **asked).map(|(host, _)| host.clone());
            oldest.and_then(|host| hosts.remove(&host));
        }
    }

    /// How many requests to this host there may be at once, of so many.
    #[must_use]
    pub fn at_once(&self, host: &str, most: u32) -> u32 {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_asked = hosts.get(host).is_some_and(|asked| asked.elapsed() < LASTS);
        if has_asked { (most / 2).max(1) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_asked_gets_half_and_others_do_not() {
        let patience = Patience::default();
        patience.asked("a.example".to_owned());
        for (host, most, at_once) in [("a.example", 8, 4), ("a.example", 1, 1), ("b.example", 8, 8)] {
            assert_eq!(patience.at_once(host, most), at_once, "{host}");
        }
        (0..MOST).for_each(|n| patience.asked(n.to_string()));
        assert_eq!(patience.at_once("a.example", 8), 8, "forgotten");
    }
}
