//! Names of sites, as an operator writes them: which jars there are, and where a key may fetch from.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use url::Host;

use crate::source::is_within;

/// The name of a site: a host name in lower case and in ASCII, or an IPv4 address. Safe as the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteName(String);

/// Why a text is no name of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a site, such as video.example")]
pub struct NoSiteName;

impl SiteName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this host the site, or one below it?
    #[must_use]
    pub fn covers(&self, host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => is_within(name, self.as_str()),
            Host::Ipv4(address) => address.to_string() == self.0,
            Host::Ipv6(_) => false,
        }
    }

    /// The names of sites that this host may be of, the nearest first.
    pub fn of_host(host: &Host<&str>) -> impl Iterator<Item = Self> + use<> {
        let whole = host.to_string();
        let parts = match host {
            Host::Domain(name) => name.split('.').count(),
            Host::Ipv4(_) | Host::Ipv6(_) => 1,
        };
        (0..parts).filter_map(move |skipped| whole.splitn(skipped + 1, '.').last()?.parse().ok())
    }
}

impl FromStr for SiteName {
    type Err = NoSiteName;

    /// A name of one label is refused: a top-level domain is no site.
    fn from_str(text: &str) -> Result<Self, NoSiteName> {
        let is_label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-')
        };
        let is_name = text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
        // what ends in a number is an address, and has one spelling
        let is_host = match Host::parse(text) {
            Ok(Host::Domain(name)) => name == text,
            Ok(Host::Ipv4(address)) => text.parse() == Ok::<Ipv4Addr, _>(address),
            Ok(Host::Ipv6(_)) | Err(_) => false,
        };
        if is_name && is_host { Ok(Self(text.to_owned())) } else { Err(NoSiteName) }
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SiteName> for String {
    fn from(SiteName(name): SiteName) -> Self {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceUrl;

    fn name(text: &str) -> SiteName {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_site_is_spelled_in_one_way() {
        for text in ["video.example", "a-b.c_d.example", "xn--bcher-kva.example", "127.0.0.1"] {
            assert_eq!(name(text).as_str(), text);
        }
        let long = format!("{}.example", "a".repeat(64));
        for text in [
            "",
            "example",
            "com",
            "Video.example",
            "bücher.example",
            ".video.example",
            "video.example.",
            "a..b",
            "../video.example",
            "a/b.example",
            "video.example\0",
            "video example.com",
            "-a.example",
            "*.example",
            "127.1",
            "0x7f.0.0.1",
            "[::1]",
            "::1",
            "video.example:443",
            "any",
            &long,
        ] {
            assert!(text.parse::<SiteName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_site_is_its_host_and_what_is_below_it_and_nothing_that_looks_alike() {
        let covers = |site: &str, url: &str| name(site).covers(&SourceUrl::read(url).expect("an address").host());
        for (site, url, expected) in [
            ("video.example", "https://video.example/", true),
            ("video.example", "http://VIDEO.example:8080/", true),
            ("video.example", "https://a.b.video.example/", true),
            ("video.example", "https://evilvideo.example/", false),
            ("video.example", "https://video.example.evil.example/", false),
            ("video.example", "https://example/video.example", false),
            ("video.example", "https://evil.example/?video.example", false),
            ("video.example", "https://video.example./", false),
            ("www.video.example", "https://video.example/", false),
            ("127.0.0.1", "http://127.0.0.1:81/", true),
            ("127.0.0.1", "http://127.0.0.11/", false),
            ("127.0.0.1", "http://1.127.0.0.1.example/", false),
        ] {
            assert_eq!(covers(site, url), expected, "{site} {url}");
        }
    }

    #[test]
    fn a_host_may_be_of_each_site_above_it() {
        let of = |url: &str| {
            let url = SourceUrl::read(url).expect("an address");
            SiteName::of_host(&url.host()).map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("https://a.b.video.example/x"), ["a.b.video.example", "b.video.example", "video.example"]);
        assert_eq!(of("http://127.0.0.1/"), ["127.0.0.1"]);
    }
}
