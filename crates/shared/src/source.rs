//! The address of a medium, checked once.
//!
//! What a client wrote is parsed, judged, and spelled anew; only that spelling is kept and handed on, because
//! programs read odd spellings differently from us. Not here: what may be reached (`egress`).

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::egress::{Denied, EgressPolicy};

/// An http or https URL in its canonical spelling, without user information. `Display` and `Debug` show scheme and
/// host only: paths and queries hold tokens.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(Url);

/// Why a text is no address of ours; `Display` completes "the URL ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It cannot be parsed, or holds what no address needs.
    #[error("is not a valid URL")]
    Malformed,
    /// As written or in its canonical spelling.
    #[error("is longer than {} characters", SourceUrl::MAX_CHARS)]
    TooLong,
    /// Another scheme, or user information.
    #[error("must be an http or https URL without user name and password")]
    Unsupported,
    /// The policy does not allow it.
    #[error("{0}")]
    Denied(#[from] Denied),
}

/// yt-dlp takes orders of its own from a URL that holds this (`smuggle_url`; CVE-2023-46121).
const SMUGGLED: &str = "__youtubedl_smuggle";

impl SourceUrl {
    /// The longest URL, in characters.
    pub const MAX_CHARS: usize = 2048;

    /// Reads what a client wrote, and judges it by the policy.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(text: &str, policy: &EgressPolicy) -> Result<Self, UrlRefusal> {
        let url = Self::read(text)?;
        policy.judge_url(&url)?;
        Ok(url)
    }

    /// Reads a URL whatever it leads to.
    ///
    /// # Errors
    /// Why it is refused; never [`UrlRefusal::Denied`].
    pub fn read(text: &str) -> Result<Self, UrlRefusal> {
        // four bytes are the longest character: no need to count those of a megabyte
        if text.len() > 4 * Self::MAX_CHARS || text.chars().count() > Self::MAX_CHARS {
            return Err(UrlRefusal::TooLong);
        }
        // the parser would drop tabs and line ends, so that the text reads otherwise than it is
        if text.chars().any(char::is_control) {
            return Err(UrlRefusal::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlRefusal::Malformed)?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(UrlRefusal::Unsupported);
        }
        if matches!(url.host(), Some(Host::Domain(name)) if !is_host_name(name)) {
            return Err(UrlRefusal::Malformed);
        }
        if url.as_str().len() > Self::MAX_CHARS {
            return Err(UrlRefusal::TooLong);
        }
        if url.as_str().to_ascii_lowercase().replace("%5f", "_").contains(SMUGGLED) {
            return Err(UrlRefusal::Malformed);
        }
        Ok(Self(url))
    }

    /// The whole text, for the program that fetches it. Never logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The host: a name in lower case and in ASCII, or an address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("http and https URLs have a host")
    }

    /// The site: the host, and the port where it is not the scheme's own.
    #[must_use]
    pub fn site(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_string(),
        }
    }

    /// The port, also where it is the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().expect("http and https have a port")
    }
}

/// Whether a name is this zone, or below it. Both as URLs have them: in lower case and in ASCII.
#[must_use]
pub fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Can anybody have this name? At most 253 characters, in labels of 1 to 63 (RFC 1035 §2.3.4), perhaps a dot at the end.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

impl TryFrom<String> for SourceUrl {
    type Error = UrlRefusal;

    fn try_from(text: String) -> Result<Self, UrlRefusal> {
        Self::read(&text)
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kept_spelling_is_the_canonical_one() {
        for (text, kept) in [
            ("HTTP://Example.COM:80", "http://example.com/"),
            (" https://example.com/a b?c=d#e ", "https://example.com/a%20b?c=d#e"),
            ("https://example.com/a/../b", "https://example.com/b"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("http:example.com", "http://example.com/"),
            ("http://example.com\\@127.0.0.1/", "http://example.com/@127.0.0.1/"),
            ("http://127.0.0.1\\@example.com/", "http://127.0.0.1/@example.com/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
        ] {
            assert_eq!(SourceUrl::read(text).map(String::from).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_medium_is_refused() {
        use UrlRefusal::{Malformed, Unsupported};
        for (text, refusal) in [
            ("", Malformed),
            ("example.com/a.mp4", Malformed),
            ("http://", Malformed),
            ("http://a b/", Malformed),
            ("http://[fe80::1%25eth0]/", Malformed),
            ("http://[fe80::1%eth0]/", Malformed),
            ("http://[::1/", Malformed),
            ("http://example.com:65536/", Malformed),
            ("http://1.2.3.256/", Malformed),
            ("http://exa\nmple.com/", Malformed),
            ("http://lo\tcalhost/", Malformed),
            ("http://example.com/\0", Malformed),
            ("--exec=id", Malformed),
            ("-oProxyCommand=x", Malformed),
            ("@file", Malformed),
            ("http://example.com/#__youtubedl_smuggle=%7B%7D", Malformed),
            ("http://example.com/?u=http%3A%2F%2Fa%23%5F%5Fyoutubedl%5fsmuggle=1", Malformed),
            ("ftp://example.com/a.mp4", Unsupported),
            ("file:///etc/passwd", Unsupported),
            ("javascript:alert(1)", Unsupported),
            ("data:text/html,x", Unsupported),
            ("view-source:http://example.com", Unsupported),
            ("ytsearch:foo", Unsupported),
            ("rtmp://example.com/live", Unsupported),
            ("http://user@example.com/", Unsupported),
            ("http://user:password@example.com/", Unsupported),
            ("http://:password@example.com/", Unsupported),
        ] {
            assert_eq!(SourceUrl::read(text), Err(refusal), "{text:?}");
        }
    }

    #[test]
    fn a_host_name_is_one_that_somebody_can_have() {
        let read = |host: &str| SourceUrl::read(&format!("http://{host}/")).map(drop);
        let longest = ["a"; 127].join(".");
        assert_eq!(longest.len(), 253);
        for host in [longest.as_str(), &format!("{longest}."), &"a".repeat(63), "example.com.", "_dmarc.example.com"] {
            assert_eq!(read(host), Ok(()), "{host}");
        }
        for host in [&format!("{longest}a"), &format!("b.{longest}"), &"a".repeat(64), "a..example", ".example", "."] {
            assert_eq!(read(host), Err(UrlRefusal::Malformed), "{host}");
        }
    }

    #[test]
    fn the_limit_holds_before_and_after_spelling() {
        let of_length = |chars: usize, filler: &str| {
            let start = "http://example.com/";
            format!("{start}{}", filler.repeat(chars - start.len()))
        };
        assert!(SourceUrl::read(&of_length(2048, "a")).is_ok());
        assert_eq!(SourceUrl::read(&of_length(2049, "a")), Err(UrlRefusal::TooLong));
        assert_eq!(SourceUrl::read(&of_length(2048, "é")), Err(UrlRefusal::TooLong));
        assert_eq!(SourceUrl::read(&of_length(1 << 20, "a")), Err(UrlRefusal::TooLong));
    }

    #[test]
    fn a_stored_url_is_checked_again() {
        let read = |text: &str| serde_json::from_value::<SourceUrl>(text.into());
        let url = read("https://example.com/a").unwrap();
        assert_eq!(serde_json::to_value(&url).unwrap(), "https://example.com/a");
        assert!(read("file:///etc/passwd").is_err());
        assert!(read("http://user@example.com/").is_err());
    }

    #[test]
    fn a_log_line_shows_the_host_only() {
        let url = SourceUrl::read("https://example.com:8443/private/path?token=hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://example.com https://example.com");
    }

    #[test]
    fn a_site_is_a_host_with_its_unusual_port() {
        for (text, site) in [
            ("https://Example.COM/a?b#c", "example.com"),
            ("https://example.com:443/", "example.com"),
            ("http://example.com:443/", "example.com:443"),
            ("http://[2001:DB8::1]:8080/", "[2001:db8::1]:8080"),
        ] {
            assert_eq!(SourceUrl::read(text).unwrap().site(), site, "{text}");
        }
    }

    #[test]
    fn the_policy_has_its_say() {
        let policy = EgressPolicy { allow: Vec::new(), ports: vec![443] };
        assert_eq!(SourceUrl::parse("http://127.1/", &policy), Err(UrlRefusal::Denied(Denied::Address)));
        assert!(SourceUrl::parse("https://example.com/", &policy).is_ok());
    }

    proptest! {
        #[test]
        fn an_accepted_url_reads_back_as_itself(text in "(https?|HTTP)?:?[/\\\\]{0,3}[a-zA-Z0-9.:@%#?&=+_~\\-\\[\\]/\\\\ é①。ß\u{202e}]{0,60}") {
            if let Ok(url) = SourceUrl::read(&text) {
                prop_assert_eq!(SourceUrl::read(url.expose()).map(String::from), Ok(url.expose().to_owned()));
                prop_assert!(url.expose().is_ascii());
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = SourceUrl::read(&text);
        }
    }
}
