//! What the counts of a trial say: is the candidate worse than the others, better, or as good?
//!
//! The question is asked again after every few attempts, so it takes a test that may be asked at any time: an e-value by
//! universal inference (Wasserman, Ramdas, Balakrishnan: "Universal inference", PNAS 117, 2020). It is the likelihood of what
//! was seen where each side has a rate of its own, unknown (the estimator of Krichevsky and Trofimov), over the most that one
//! common rate makes of it. Were the candidate no worse, that ratio would ever reach 100 with a probability of at most 1 in 100
//! (Ville), however often one looks. Needs no table and remembers no look: four counts are enough.

use std::collections::BTreeMap;

use Verdict::{Promoted, RolledBack, Undecided};

/// One in so many verdicts may be wrong, at most.
const CERTAINTY: f64 = 100.0;

/// First attempts of each side after which a candidate that was not found worse is taken for as good.
const ENOUGH: u64 = 50;

/// As long as it does not fail more often by this much: then more attempts will tell.
const TOLERATED: f64 = 0.1;

/// How attempts ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// With a result.
    pub well: u64,
    /// With a failure that speaks of the extractor.
    pub badly: u64,
}

/// How first attempts of the two sides ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the version on trial.
    pub candidate: Ends,
    /// Of all others.
    pub others: Ends,
}

/// How it stands with a candidate, at one site or at all that have no verdict of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It takes its share.
    #[default]
    Undecided,
    /// It is as good, or better: it takes what comes.
    Promoted,
    /// It is worse: it leaves the site to the others.
    RolledBack,
}

impl Verdict {
    /// All.
    pub const ALL: [Self; 3] = [Undecided, Promoted, RolledBack];

    /// The word, in Redis, in answers, and as a metric label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Undecided => "undecided",
            Promoted => "promoted",
            RolledBack => "rolled_back",
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.word() == word)
    }
}

impl Ends {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.well + self.badly
    }

    /// The share that ended well; 1 of none.
    fn rate(self) -> f64 {
        if self.all() == 0 { 1.0 } else { self.well as f64 / self.all() as f64 }
    }

    fn and(self, other: Self) -> Self {
        Self { well: self.well + other.well, badly: self.badly + other.badly }
    }

    /// Logarithm of the probability of one such row, by Krichevsky and Trofimov: the rate is unknown.
    fn unknown_rate(self) -> f64 {
        let (well, badly) = (self.well as f64, self.badly as f64);
        let beta = |one: f64, other: f64| libm::lgamma(one) + libm::lgamma(other) - libm::lgamma(one + other);
        beta(well + 0.5, badly + 0.5) - beta(0.5, 0.5)
    }

    /// The same by the rate that fits best.
    fn best_rate(self) -> f64 {
        let part = |count: u64| if count == 0 { 0.0 } else { count as f64 * (count as f64 / self.all() as f64).ln() };
        part(self.well) + part(self.badly)
    }
}

impl Tally {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { candidate: self.candidate.and(other.candidate), others: self.others.and(other.others) }
    }

    /// Logarithm of the e-value against "the first side ends no worse than the second".
    fn speaks_against(first: Ends, second: Ends) -> f64 {
        if first.all() == 0 || second.all() == 0 || first.rate() >= second.rate() {
            return 0.0;
        }
        first.unknown_rate() + second.unknown_rate() - first.and(second).best_rate()
    }

    fn against_candidate(self) -> f64 {
        Self::speaks_against(self.candidate, self.others)
    }
}

/// The verdict on a site after what was counted since the one before. A roll-back stands until the trial ends, for nothing more is
/// seen of the candidate there.
#[must_use]
pub fn judged(before: Verdict, seen: Tally) -> Verdict {
    let Tally { candidate, others } = seen;
    let is_worse = seen.against_candidate() >= CERTAINTY.ln();
    let is_better = Tally::speaks_against(others, candidate) >= CERTAINTY.ln();
    let is_as_good = candidate.all().min(others.all()) >= ENOUGH && candidate.rate() + TOLERATED >= others.rate();
    match before {
        RolledBack => RolledBack,
        Undecided | Promoted if is_worse => RolledBack,
        Undecided if is_better || is_as_good => Promoted,
        Undecided | Promoted => before,
    }
}

/// Extractors that do not suffice for a verdict on all sites, however much they say.
const TOO_FEW: usize = 2;

/// The verdict on all sites that have none of their own: many have too few jobs for one. Only those speak that yt-dlp has an extractor
/// for, by the name of that, and all of one extractor are one voice: what breaks, breaks in an extractor, and whoever owns domains,
/// however many, has none. Two of them decide nothing: neither those with the most attempts nor, of the others, those that speak
/// most against the candidate are heard.
#[must_use]
pub fn all_together<'s>(before: Verdict, sites: impl IntoIterator<Item = (&'s str, Tally)>) -> Verdict {
    let mut voices: BTreeMap<&str, Tally> = BTreeMap::new();
    for (extractor, seen) in sites {
        let sum = voices.entry(extractor).or_default();
        *sum = sum.and(seen);
    }
    let mut voices: Vec<Tally> = voices.into_values().collect();
    voices.sort_by_key(|seen| seen.candidate.all());
    voices.truncate(voices.len().saturating_sub(TOO_FEW));
    voices.sort_by(|one, other| one.against_candidate().total_cmp(&other.against_candidate()));
    voices.truncate(voices.len().saturating_sub(TOO_FEW));
    judged(before, voices.into_iter().fold(Tally::default(), Tally::and))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn tally(candidate: (u64, u64), others: (u64, u64)) -> Tally {
        let ends = |(well, badly)| Ends { well, badly };
        Tally { candidate: ends(candidate), others: ends(others) }
    }

    #[test]
    fn a_verdict_takes_as_many_attempts_as_the_difference_is_small() {
        for (candidate, others, before, verdict) in [
            ((0, 0), (0, 0), Undecided, Undecided),
            ((0, 9), (0, 0), Undecided, Undecided),
            ((0, 2), (40, 2), Undecided, Undecided),
            ((0, 4), (40, 2), Undecided, RolledBack),
            ((0, 4), (40, 2), Promoted, RolledBack),
            ((5, 5), (40, 2), Undecided, Undecided),
            ((10, 12), (200, 10), Undecided, RolledBack),
            ((4, 0), (2, 40), Undecided, Promoted),
            ((4, 0), (2, 40), RolledBack, RolledBack),
            ((49, 1), (400, 20), Undecided, Promoted),
            ((48, 1), (400, 20), Undecided, Undecided),
            ((41, 9), (400, 4), Undecided, RolledBack),
            // a site that fails whoever comes
            ((1, 49), (9, 400), Undecided, Promoted),
            ((50, 0), (3, 0), Undecided, Undecided),
        ] {
            assert_eq!(judged(before, tally(candidate, others)), verdict, "{candidate:?} {others:?} {before:?}");
        }
    }

    #[test]
    fn two_extractors_do_not_decide_for_all_sites_however_many_sites_they_read() {
        let fine = tally((3, 0), (30, 1));
        let broken = tally((0, 3), (30, 1));
        let bad = tally((0, 40), (400, 1));
        let good = tally((100, 0), (900, 30));
        let all = |seen: &[Tally], name: &dyn Fn(usize) -> String| {
            let sites: Vec<_> = seen.iter().enumerate().map(|(at, seen)| (name(at), *seen)).collect();
            all_together(Undecided, sites.iter().map(|(extractor, seen)| (extractor.as_str(), *seen)))
        };
        let apart = |at: usize| format!("extractor{at}");
        assert_eq!(all(&[bad, bad, fine, fine], &apart), Undecided);
        assert_eq!(all(&[broken; 6], &apart), RolledBack);
        assert_eq!(all(&[fine; 21], &apart), Promoted);
        assert_eq!(all(&[good, good, fine, fine], &apart), Undecided);
        assert_eq!(all(&[tally((3, 0), (0, 30)); 6], &apart), Promoted);
        assert_eq!(all(&[], &apart), Undecided);
        // one extractor that reads many sites
        let names: Vec<_> = [broken; 170].into_iter().chain([fine; 21]).collect();
        assert_eq!(all(&names, &|at| if at < 170 { "bands".to_owned() } else { apart(at) }), Promoted);
        assert_eq!(all(&[broken; 20], &|_| "bands".to_owned()), Undecided);
    }

    /// The last verdict, and after how many attempts of the candidate was the first one, when every tenth of `jobs` is its.
    fn stream(candidate: f64, others: f64, jobs: u64, rng: &mut StdRng) -> (Verdict, u64) {
        let (mut seen, mut verdict, mut first) = (Tally::default(), Undecided, None);
        for job in 0..jobs {
            let (side, rate) =
                if job % 10 == 9 { (&mut seen.candidate, candidate) } else { (&mut seen.others, others) };
            let end = if rng.random_bool(rate) { &mut side.well } else { &mut side.badly };
            *end += 1;
            if job % 10 == 9 {
                verdict = judged(verdict, seen);
            }
            if verdict != Undecided {
                first.get_or_insert(seen.candidate.all());
            }
            // one that is as good is looked at further: it must not be rolled back later
            if verdict == RolledBack {
                break;
            }
        }
        (verdict, first.unwrap_or(seen.candidate.all()))
    }

    #[test]
    fn equals_are_hardly_ever_rolled_back_and_what_is_broken_or_mended_is_seen_within_ten_attempts() {
        let mut rng = StdRng::seed_from_u64(51);
        for rate in [0.05, 0.5, 0.8, 0.95, 0.99] {
            let ends: Vec<_> = (0..600).map(|_| stream(rate, rate, 1500, &mut rng).0).collect();
            let wrong = ends.iter().filter(|verdict| **verdict == RolledBack).count();
            assert!(wrong < 6, "{wrong} of 600 at {rate}");
            let promoted = ends.iter().filter(|verdict| **verdict == Promoted).count();
            assert!(promoted > 500, "{promoted} of 600 at {rate}");
        }
        for (candidate, others, expected) in [(0.0, 0.95, RolledBack), (0.95, 0.05, Promoted)] {
            let mut late = 0;
            for _ in 0..300 {
                let (verdict, attempts) = stream(candidate, others, 300, &mut rng);
                assert_eq!(verdict, expected, "{candidate} against {others}");
                late += usize::from(attempts > 10);
            }
            assert!(late < 3, "{late} of 300 took longer");
        }
    }
}
