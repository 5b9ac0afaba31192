//! How times are written on the command line: how long (`90`, `90s`, `1h30m`), and from where to where (`1:02-3:04`).

use std::time::Duration;

use jiff::SignedDuration;

/// A part of a medium, in seconds from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Where it begins.
    pub start: f64,
    /// Where it ends; `None`: with the medium.
    pub end: Option<f64>,
}

/// Reads a time: seconds, or with units, as in `90s`, `10m` or `1h30m`.
///
/// # Errors
/// What a person should write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().map(Duration::from_secs).ok();
    let with_units = || text.parse::<SignedDuration>().ok().and_then(|it| Duration::try_from(it).ok());
    seconds.or_else(with_units).ok_or_else(|| "write seconds, or units, as in 90, 90s, 10m or 1h30m".to_owned())
}

/// Reads a time as whole seconds.
///
/// # Errors
/// As [`duration`].
pub fn seconds(text: &str) -> Result<u64, String> {
    Ok(duration(text)?.as_secs())
}

/// Reads a clip: `10-42`, `1:02-3:04.5`, `1:02:03-`, or `-30`, which are the first 30 seconds.
///
/// # Errors
/// What a person should write instead.
pub fn clip(text: &str) -> Result<Clip, String> {
    let wrong = || "write where it begins and ends, as in 10-42, 1:02-3:04.5 or 1:02:03-".to_owned();
    let (start, end) = text.split_once('-').filter(|_| text != "-").ok_or_else(wrong)?;
    let at = |text: &str| if text.is_empty() { Some(None) } else { moment(text).map(Some) };
    let start = at(start).ok_or_else(wrong)?.unwrap_or(0.0);
    let end = at(end).ok_or_else(wrong)?;
    match end {
        Some(end) if end <= start => Err("it has to end after it begins".to_owned()),
        end => Ok(Clip { start, end }),
    }
}

/// `42`, `1:02`, `1:02:03.5`: what is behind a colon is below 60.
fn moment(text: &str) -> Option<f64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split(':').collect();
    let (last, before) = parts.split_last()?;
    let (whole, rest) = last.split_once('.').unwrap_or((last, "0"));
    if before.len() > 2 || ![whole, rest].into_iter().chain(before.iter().copied()).all(digits) {
        return None;
    }
    let mut total = 0.0;
    for (at, part) in before.iter().copied().chain([*last]).enumerate() {
        let value: f64 = part.parse().ok()?;
        if at > 0 && value >= 60.0 {
            return None;
        }
        total = total * 60.0 + value;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_written_in_seconds_or_as_players_show_them() {
        for (text, start, end) in [
            ("10-42", 10.0, Some(42.0)),
            ("10.5-42.25", 10.5, Some(42.25)),
            ("1:02-3:04", 62.0, Some(184.0)),
            ("1:02:03.5-2:00:00", 3723.5, Some(7200.0)),
            ("90-", 90.0, None),
            ("-30", 0.0, Some(30.0)),
            ("600-11:00", 600.0, Some(660.0)),
        ] {
            assert_eq!(clip(text), Ok(Clip { start, end }), "{text}");
        }
        for text in
            ["", "-", "10", "42-10", "10-10", "1:60-2:00", "1:2:3:4-", "a-b", "1e3-", "10--42", "+1-2", "1.-2", "nan-"]
        {
            assert!(clip(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_seconds_unless_they_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-5", "-5s", "soon", "1.5.2"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
