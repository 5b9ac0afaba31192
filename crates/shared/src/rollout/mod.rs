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

/// Workers are restarted, one after the other perhaps, and a fleet starts bit by bit: only what was seen for so long without a break
/// ends a trial, or settles a version.
pub const APART: Duration = Duration::from_secs(600);

/// Who is on trial, once it is known which versions are at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The new one; `None`: there is no trial.
    pub candidate: Option<Version>,
    /// What the service runs on until there is a newer one: an older one that comes back is no trial of what everybody has. `None`: that
    /// is not known yet.
    pub settled: Option<Version>,
    /// The newest that lives, where that is no version on trial beside others.
    pub apart: Option<Version>,
}

impl Standing {
    /// Of these live versions, when this one was `settled` before, that one was on trial, and the newest was seen to be this one
    /// `apart` for so long; `None`: nobody lives.
    #[must_use]
    pub fn of(
        live: &[Version],
        settled: Option<&Version>,
        on_trial: Option<&Version>,
        apart: (&Version, Duration),
    ) -> Option<Self> {
        let newest = live.iter().max()?;
        let next = live.iter().filter(|version| *version != newest).max();
        let before = settled.or(next);
        let is_gone = on_trial.is_some_and(|candidate| candidate > newest);
        let is_apart = next.is_none() || is_gone;
        let (candidate, settled) = if is_apart && (apart.0 != newest || apart.1 < APART) {
            (on_trial.filter(|candidate| *candidate >= newest), before)
        } else if next.is_none() {
            (None, Some(newest))
        } else {
            (Some(newest).filter(|newest| before.is_none_or(|before| *newest > before)), before)
        };
        let apart = Some(newest).filter(|_| is_apart);
        Some(Self { candidate: candidate.cloned(), settled: settled.cloned(), apart: apart.cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_on_trial_until_it_is_settled_and_one_that_comes_back_puts_nobody_on_trial() {
        let version = |text: &str| Version::new(text);
        let standing = |live: &[&str], settled: Option<&str>, on_trial: Option<&str>, apart: (&str, u64)| {
            let live: Vec<_> = live.iter().map(|text| version(text)).collect();
            let (settled, on_trial) = (settled.map(version), on_trial.map(version));
            let apart = (&version(apart.0), Duration::from_secs(apart.1));
            let of = Standing::of(&live, settled.as_ref(), on_trial.as_ref(), apart);
            of.map(|it| [it.candidate, it.settled, it.apart].map(|it| it.map(|it| it.to_string())))
        };
        let (old, new, newer) = ("2026.08.19", "2026.09.01", "2026.09.08");
        let never = ("", 0);
        for (live, settled, on_trial, apart, expected) in [
            (&[][..], Some(old), None, never, None),
            // the first to be started is not all there is
            (&[new], None, None, never, Some([None, None, Some(new)])),
            (&[new], None, None, (new, 900), Some([None, Some(new), Some(new)])),
            (&[new], Some(old), None, (new, 300), Some([None, Some(old), Some(new)])),
            (&[old, new], None, None, never, Some([Some(new), Some(old), None])),
            (&[old, new], Some(old), Some(new), (new, 900), Some([Some(new), Some(old), None])),
            // the last of a side has gone, or is started again
            (&[new], Some(old), Some(new), (new, 300), Some([Some(new), Some(old), Some(new)])),
            (&[old], Some(old), Some(new), (old, 300), Some([Some(new), Some(old), Some(old)])),
            (&["", old], Some(old), Some(new), (old, 300), Some([Some(new), Some(old), Some(old)])),
            (&[new], Some(old), Some(new), (new, 900), Some([None, Some(new), Some(new)])),
            (&[old], Some(old), Some(new), (old, 900), Some([None, Some(old), Some(old)])),
            (&["", old], Some(old), Some(new), (old, 900), Some([None, Some(old), Some(old)])),
            // that was seen of another one
            (&[new], Some(old), Some(new), (old, 900), Some([Some(new), Some(old), Some(new)])),
            // an old worker is started: nobody is on trial for it
            (&[old, new], Some(new), None, never, Some([None, Some(new), None])),
            // an even newer one takes the place of the one on trial
            (&[old, new, newer], Some(old), Some(new), never, Some([Some(newer), Some(old), None])),
            // one that cannot tell is older than any
            (&["", old], None, None, never, Some([Some(old), Some(""), None])),
            // all have gone back
            (&[old], Some(new), None, (old, 900), Some([None, Some(old), Some(old)])),
        ] {
            let expected = expected.map(|texts| texts.map(|text| text.map(str::to_owned)));
            assert_eq!(
                standing(live, settled, on_trial, apart),
                expected,
                "{live:?} {settled:?} {on_trial:?} {apart:?}"
            );
        }
    }
}
