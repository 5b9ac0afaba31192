//! A new yt-dlp on trial: which of the live versions is new, and what its attempts say of it.
//!
//! Pure: versions and counts come in, a candidate and a verdict come out. Not here: who counts, and which jobs a worker leaves
//! to others meanwhile (`store::trials`, `lua/trials.lua`). Why it is decided so:
//! `docs/decisions/0051-a-new-yt-dlp-is-on-trial.md`.

mod verdict;
mod version;

pub use verdict::{Ends, Tally, Verdict, all_together, judged};
pub use version::Version;

use std::time::Duration;

/// Workers are restarted, one after the other perhaps: for so long a trial goes on without one of its sides.
pub const APART: Duration = Duration::from_secs(600);

/// Who is on trial, once it is known which versions are at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The new one; `None`: there is no trial.
    pub candidate: Option<Version>,
    /// What the service runs on until there is a newer one: an older one that comes back is no trial of what everybody has.
    pub settled: Version,
    /// Workers of both sides live.
    pub is_met: bool,
}

impl Standing {
    /// Of these live versions, when this one was `settled` before and that one was on trial, whose sides have been apart for so long;
    /// `None`: nobody lives.
    #[must_use]
    pub fn of(live: &[Version], settled: Option<&Version>, on_trial: Option<(&Version, Duration)>) -> Option<Self> {
        let newest = live.iter().max()?;
        let next = live.iter().filter(|version| *version != newest).max();
        let before = settled.or(next).unwrap_or(newest);
        let goes_on = on_trial.filter(|(candidate, apart)| {
            *candidate == newest && next.is_some() || *candidate >= newest && *apart < APART
        });
        if let Some((candidate, _)) = goes_on {
            let is_met = candidate == newest && next.is_some();
            return Some(Self { candidate: Some(candidate.clone()), settled: before.clone(), is_met });
        }
        let is_new = next.is_some() && newest > before;
        let settled = if next.is_some() { before } else { newest };
        Some(Self { candidate: is_new.then(|| newest.clone()), settled: settled.clone(), is_met: is_new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_on_trial_until_it_is_settled_and_one_that_comes_back_puts_nobody_on_trial() {
        let version = |text: &str| Version::new(text);
        let standing = |live: &[&str], settled: Option<&str>, on_trial: Option<(&str, u64)>| {
            let live: Vec<_> = live.iter().map(|text| version(text)).collect();
            let on_trial = on_trial.map(|(candidate, apart)| (version(candidate), Duration::from_secs(apart)));
            let on_trial = on_trial.as_ref().map(|(candidate, apart)| (candidate, *apart));
            let of = Standing::of(&live, settled.map(version).as_ref(), on_trial);
            of.map(|it| (it.candidate.map(|it| it.to_string()), it.settled.to_string(), it.is_met))
        };
        let (old, new, newer) = ("2026.08.19", "2026.09.01", "2026.09.08");
        let none = |settled: &str| Some((None, settled.to_owned(), false));
        let trial = |new: &str, settled: &str, is_met| Some((Some(new.to_owned()), settled.to_owned(), is_met));
        for (live, settled, on_trial, expected) in [
            (&[][..], Some(old), None, None),
            (&[old], None, None, none(old)),
            (&[old, new], None, None, trial(new, old, true)),
            (&[old, new], Some(old), Some((new, 900)), trial(new, old, true)),
            // the last of a side has gone, or is started again
            (&[new], Some(old), Some((new, 300)), trial(new, old, false)),
            (&[old], Some(old), Some((new, 300)), trial(new, old, false)),
            (&[new], Some(old), Some((new, 900)), none(new)),
            (&[old], Some(old), Some((new, 900)), none(old)),
            // an old worker is started: nobody is on trial for it
            (&[old, new], Some(new), None, none(new)),
            // an even newer one takes the place of the one on trial
            (&[old, new, newer], Some(old), Some((new, 0)), trial(newer, old, true)),
            // one that cannot tell is older than any
            (&["", old], None, None, trial(old, "", true)),
            // all have gone back
            (&[old], Some(new), None, none(old)),
        ] {
            assert_eq!(standing(live, settled, on_trial), expected, "{live:?} {settled:?} {on_trial:?}");
        }
    }
}
