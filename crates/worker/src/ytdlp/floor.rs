//! Which yt-dlp is too old to be given strangers' addresses.

use std::fmt;

/// The oldest without a known hole that can be used against us: GHSA-6v4j-43gg-vj32 was closed in it.
const OLDEST: (u32, u32, u32) = (2026, 7, 4);

/// Why a yt-dlp is not one for strangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = OLDEST;
        write!(f, "{}; addresses of strangers want {year}.{month:02}.{day:02} or newer", self.0)
    }
}

impl std::error::Error for Unfit {}

/// Is this version new enough? `YYYY.MM.DD`, and maybe more behind it.
///
/// # Errors
/// [`Unfit`], also of what is no version.
pub fn check(version: &str) -> Result<(), Unfit> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let date = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
    match date {
        (Some(year), Some(month), Some(day)) if (year, month, day) >= OLDEST => Ok(()),
        (Some(_), Some(_), Some(_)) => Err(Unfit(format!("yt-dlp {version} has known holes"))),
        _ => Err(Unfit("yt-dlp does not say which version it is".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        for version in ["2026.07.04", "2026.7.4", "2026.08.19", "2027.01.01", "2026.07.04.123456", "2026.08.01.dev0"] {
            assert_eq!(check(version), Ok(()), "{version}");
        }
        for version in ["2026.07.03", "2026.06.30", "2025.12.31", "", "unknown", "2026.08", "9", "v2026.08.19"] {
            assert!(check(version).is_err(), "{version}");
        }
    }
}
