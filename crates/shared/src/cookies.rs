//! Whose cookies an order may use: the name of a jar, and never a cookie.
//!
//! The caller's key decides (`api::auth`), the order says it, and by that the single run, the reused result and the cached
//! metadata of a caller with cookies are never those of a caller without. Not here: what is in a jar (`worker::jar`).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;

use crate::source::{SourceUrl, is_within};

/// The site that a jar is for, which is its name: a host name in lower case and in ASCII, or an IPv4 address. Safe as the
/// name of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JarName(String);

/// Why a text is no name of a jar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a site, such as video.example")]
pub struct NoJarName;

impl JarName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this host the site, or one below it?
    #[must_use]
    pub fn serves(&self, host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => is_within(name, self.as_str()),
            Host::Ipv4(address) => address.to_string() == self.0,
            Host::Ipv6(_) => false,
        }
    }

    /// The names that a jar for this host may have, the nearest first.
    pub fn of_host(host: &Host<&str>) -> impl Iterator<Item = Self> + use<> {
        let whole = host.to_string();
        let parts = match host {
            Host::Domain(name) => name.split('.').count(),
            Host::Ipv4(_) | Host::Ipv6(_) => 1,
        };
        (0..parts).filter_map(move |skipped| whole.splitn(skipped + 1, '.').last()?.parse().ok())
    }
}

impl FromStr for JarName {
    type Err = NoJarName;

    /// A name of one label is refused: a top-level domain is no site.
    fn from_str(text: &str) -> Result<Self, NoJarName> {
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
        if is_name && is_host { Ok(Self(text.to_owned())) } else { Err(NoJarName) }
    }
}

impl fmt::Display for JarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose cookies an order may use. Stored as the jar's name, or a word that is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cookies {
    /// Nobody's.
    #[default]
    None,
    /// Those of this jar; without it the order fails.
    Jar(JarName),
    /// Those of whichever jar the worker has for the address, if it has one: a person's own machine.
    Any,
}

const ANY: &str = "any";

impl Cookies {
    /// Are there none to be used?
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Which jars a caller may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Jars {
    /// None.
    #[default]
    None,
    /// These.
    These(Vec<JarName>),
    /// All that there are.
    All,
}

impl Jars {
    /// What an order for this address may use: of several jars, that of the nearest site.
    #[must_use]
    pub fn for_url(&self, url: &SourceUrl) -> Cookies {
        match self {
            Self::None => Cookies::None,
            Self::All => Cookies::Any,
            Self::These(names) => {
                let fitting = names.iter().filter(|name| name.serves(&url.host()));
                let nearest = fitting.max_by_key(|name| name.as_str().len());
                nearest.cloned().map_or(Cookies::None, Cookies::Jar)
            }
        }
    }
}

impl TryFrom<String> for Cookies {
    type Error = NoJarName;

    fn try_from(text: String) -> Result<Self, NoJarName> {
        match text.as_str() {
            "" => Ok(Self::None),
            ANY => Ok(Self::Any),
            name => name.parse().map(Self::Jar),
        }
    }
}

impl From<Cookies> for String {
    fn from(cookies: Cookies) -> Self {
        match cookies {
            Cookies::None => Self::new(),
            Cookies::Any => ANY.to_owned(),
            Cookies::Jar(JarName(name)) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> JarName {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_jar_has_the_name_of_a_site_and_no_other_name() {
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
            assert!(text.parse::<JarName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_jar_serves_its_site_and_what_is_below_it_and_nothing_that_looks_alike() {
        let serves = |jar: &str, url: &str| name(jar).serves(&SourceUrl::read(url).expect("an address").host());
        for (jar, url, expected) in [
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
            assert_eq!(serves(jar, url), expected, "{jar} {url}");
        }
    }

    #[test]
    fn of_several_jars_the_nearest_is_taken_and_a_caller_with_none_has_none() {
        let url = SourceUrl::read("https://a.b.video.example/x").expect("an address");
        let these = |names: &[&str]| Jars::These(names.iter().map(|text| name(text)).collect()).for_url(&url);
        assert_eq!(
            these(&["video.example", "b.video.example", "other.example"]),
            Cookies::Jar(name("b.video.example"))
        );
        assert_eq!(these(&["other.example"]), Cookies::None);
        assert_eq!((Jars::None.for_url(&url), Jars::All.for_url(&url)), (Cookies::None, Cookies::Any));
        let nearest: Vec<_> = JarName::of_host(&url.host()).map(|name| name.to_string()).collect();
        assert_eq!(nearest, ["a.b.video.example", "b.video.example", "video.example"]);
        let address = SourceUrl::read("http://127.0.0.1/").expect("an address");
        assert_eq!(JarName::of_host(&address.host()).collect::<Vec<_>>(), [name("127.0.0.1")]);
    }
}
