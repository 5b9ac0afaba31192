//! Versions of yt-dlp: dates, `YYYY.MM.DD`, of nightly builds with a time behind them.

use std::cmp::Ordering;
use std::fmt;

/// One, as it says of itself. The empty text is that of one that cannot tell, and older than any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is its date later? The package index leaves out zeros, `2026.8.19`, and is not newer for that.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.order() > other.order()
    }

    /// The numbers that it begins with, and whether that is all: `2026.08.01.dev0` comes before `2026.08.01`.
    fn order(&self) -> (Vec<u64>, bool) {
        let parts: Vec<_> = self.0.split('.').map(str::parse).collect();
        let is_whole = parts.iter().all(Result::is_ok);
        (parts.into_iter().map_while(Result::ok).collect(), is_whole)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_dates() {
        let ascending = [
            "",
            "dev",
            "2025.12.31",
            "2026.7.4",
            "2026.08.01.dev0",
            "2026.08.01",
            "2026.08.19",
            "2026.08.19.232843",
            "2026.10.01",
        ];
        for pair in ascending.windows(2) {
            assert!(Version::new(pair[0]) < Version::new(pair[1]), "{pair:?}");
        }
        let (padded, plain) = (Version::new("2026.08.19"), Version::new("2026.8.19"));
        assert!(!padded.is_newer_than(&plain) && !plain.is_newer_than(&padded));
        assert!(Version::new("2026.10.26").is_newer_than(&padded));
    }
}
