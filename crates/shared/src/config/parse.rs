//! How the text of a variable becomes a value. Pure; an error says what was expected.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use camino::Utf8PathBuf;
use ipnet::IpNet;
use jiff::SignedDuration;
use secrecy::SecretString;
use url::Url;

/// The value, or what was expected in its place.
pub type Parsed<T> = Result<T, String>;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, from 1.
    pub count: NonZeroU32,
    /// In how long: a second, a minute or an hour.
    pub per: Duration,
}

/// What [`Rate`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate such as 60/s, 3/m or 10/h")]
pub struct NoRate;

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let (count, unit) = text.split_once('/').ok_or(NoRate)?;
        let per = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(NoRate),
        };
        Ok(Self { count: digits(count).ok_or(NoRate)?, per: Duration::from_secs(per) })
    }
}

/// The text as it is.
pub fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// A text that is never shown.
pub fn secret(text: &str) -> Parsed<SecretString> {
    Ok(text.into())
}

/// A path; a relative one is taken from the directory that the process was started in, because programs are
/// started in others.
pub fn path(text: &str) -> Parsed<Utf8PathBuf> {
    let expected = || "a path".to_owned();
    let absolute = std::path::absolute(text).map_err(|_| expected())?;
    Utf8PathBuf::from_path_buf(absolute).map_err(|_| expected())
}

/// `true` or `false`, also `1` and `0`.
pub fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// A whole number in these bounds.
pub fn number<T: FromStr + PartialOrd + Display>(min: T, max: T) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let number = digits(text).filter(|number| (&min..=&max).contains(&number));
        number.ok_or_else(|| format!("a whole number from {min} to {max}"))
    }
}

/// A length of time in these bounds.
pub fn duration(min: Duration, max: Duration) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| {
        let duration = text.parse::<SignedDuration>().ok().and_then(|it| Duration::try_from(it).ok());
        duration
            .filter(|it| (min..=max).contains(it))
            .ok_or_else(|| format!("a duration such as 30s, 90m or 24h, from {} to {}", spell(min), spell(max)))
    }
}

/// A duration as a person writes it, in the largest unit that leaves no rest.
#[must_use]
pub fn spell(duration: Duration) -> String {
    let (seconds, rest) = (duration.as_secs(), duration.subsec_millis());
    match () {
        () if rest != 0 => format!("{}ms", duration.as_millis()),
        () if seconds != 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds != 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}

/// A number of bytes in these bounds.
pub fn bytes(min: u64, max: u64) -> impl Fn(&str) -> Parsed<u64> {
    move |text| {
        let size = text.parse::<ByteSize>().ok().map(|size| size.as_u64()).filter(|size| (min..=max).contains(size));
        size.ok_or_else(|| format!("a size such as 64KiB or 10GiB, from {} to {}", ByteSize(min), ByteSize(max)))
    }
}

/// `off`, or what `parse` reads.
pub fn or_off<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Option<T>> {
    move |text| {
        if text == "off" { Ok(None) } else { parse(text).map(Some).map_err(|expected| format!("{expected}, or off")) }
    }
}

/// A rate.
pub fn rate(text: &str) -> Parsed<Rate> {
    text.parse().map_err(|expected: NoRate| expected.to_string())
}

/// One of these words.
pub fn word<T: Clone>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        found.ok_or_else(|| words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or "))
    }
}

/// Items between commas, at least one; white space around them and a comma at the end do not matter.
pub fn list<T>(item: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Vec<T>> {
    move |text| {
        let items = text.trim_end_matches(',').split(',').map(str::trim);
        items.map(&item).collect::<Parsed<_>>().map_err(|expected| format!("between commas {expected}"))
    }
}

/// A block of addresses; a bare address is the block of itself.
pub fn cidr(text: &str) -> Parsed<IpNet> {
    let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc()).map_err(|_| "a block of addresses such as 10.0.0.0/8 or fd00::/8".to_owned())
}

/// A part of a whole.
pub fn share(text: &str) -> Parsed<f64> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1, such as 0.05".to_owned())
}

/// An address with a port.
pub fn socket_address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "an address and port such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// What a URL of ours may be: http or https, no user, no query, no fragment.
pub fn http_url(text: &str) -> Parsed<Url> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| "an http:// or https:// URL without user, query and fragment".to_owned())
}

/// The address of a Redis; it may hold a password.
pub fn redis_url(text: &str) -> Parsed<SecretString> {
    let scheme = text.starts_with("redis://") || text.starts_with("rediss://");
    let usable = scheme && redis::Client::open(text).is_ok();
    if usable { Ok(text.into()) } else { Err("a redis:// or rediss:// URL".to_owned()) }
}

/// Addresses of Redis servers between commas. What begins with no scheme has that of the first, and its user and
/// password.
pub fn redis_urls(text: &str) -> Parsed<Vec<SecretString>> {
    let begin = text.find("://").map_or(0, |at| at + 3);
    let host = text[begin..].split([',', '/', '?']).next().and_then(|first| first.rfind('@')).map_or(0, |at| at + 1);
    let prefix = &text[..begin + host];
    list(|item| if item.contains("://") { redis_url(item) } else { redis_url(&format!("{prefix}{item}")) })(text)
}

/// A number of digits only: `FromStr` would take a `+` as well.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn durations_have_units() {
        let read = duration(Duration::from_secs(1), DAY);
        for (text, seconds) in [("30s", 30), ("90m", 5400), ("1h", 3600), ("1h 30m", 5400), ("24h", 86_400)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["30", "0s", "-5s", "25h", "1h1", "soon", ""] {
            assert_eq!(read(wrong).unwrap_err(), "a duration such as 30s, 90m or 24h, from 1s to 24h", "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let read = bytes(1, 1 << 50);
        for (text, size) in [("10GiB", 10 << 30), ("1GB", 1_000_000_000), ("64 KiB", 65_536), ("512", 512)] {
            assert_eq!(read(text), Ok(size), "{text}");
        }
        for wrong in ["0", "-1", "1XB", "GiB", "99999999999TiB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_a_number_and_a_unit() {
        for (text, count, seconds) in [("3/m", 3, 60), ("60/s", 60, 1), ("10/h", 10, 3600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count.get(), rate.per.as_secs(), rate.to_string().as_str()), (count, seconds, text));
        }
        for wrong in ["", "3", "0/m", "+3/m", "-1/s", "3/d", "3/ m", "3/m/s", "4294967296/s", "off"] {
            assert_eq!(wrong.parse::<Rate>(), Err(NoRate), "{wrong}");
        }
        assert_eq!(or_off(rate)("off"), Ok(None));
    }

    #[test]
    fn blocks_are_cut_to_their_prefix() {
        let read = |text| list(cidr)(text).map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read("127.0.0.1/8, ::1,").unwrap(), ["127.0.0.0/8", "::1/128"]);
        for wrong in ["10.0.0.0/33", "localhost", ",", "10.0.0.0/8,,::1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_redis_urls_name_a_redis() {
        for good in ["redis://127.0.0.1:6379", "rediss://user:pass@cache.example/1", "redis://[::1]"] {
            assert!(redis_url(good).is_ok(), "{good}");
        }
        for wrong in ["127.0.0.1:6379", "http://a", "unix:///tmp/x", "redis://a:b:c", "redis://a,redis://b"] {
            assert!(redis_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn servers_between_commas_share_what_stands_before_the_first() {
        let read = |text| redis_urls(text).map(|urls| urls.iter().map(|url| url.expose_secret().to_owned()).collect());
        let these = |urls: &[&str]| Ok(urls.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read("redis://a:1, redis://b:2"), these(&["redis://a:1", "redis://b:2"]));
        assert_eq!(read("rediss://u:p@a:1,b:2"), these(&["rediss://u:p@a:1", "rediss://u:p@b:2"]));
        for wrong in ["a:1,b:2", "redis://a,http://b", "redis://a,,redis://b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_url_holds_no_secret() {
        for wrong in ["ftp://a", "https://u:p@a", "https://a/?q", "https://a/#f", "a.example", "http://"] {
            assert!(http_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(http_url("https://a.example/media").unwrap().as_str(), "https://a.example/media");
    }
}
