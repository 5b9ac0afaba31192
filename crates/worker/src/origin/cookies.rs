//! The cookies of a format, each for the hosts that it is meant for (RFC 6265).

use haul_shared::source::is_within;
use hyper::header::HeaderValue;
use url::Url;

/// Cookies of one format at most.
const MOST: usize = 100;
/// What yt-dlp says of the cookie before.
const ATTRIBUTES: [&str; 5] = ["domain", "path", "secure", "expires", "version"];

/// Read once; a clone is cheap enough. `Debug` shows none.
#[derive(Clone, Default, PartialEq)]
pub struct Cookies(Vec<Cookie>);

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cookies").field(&self.0.len()).finish()
    }
}

#[derive(Clone, PartialEq)]
struct Cookie {
    name_and_value: String,
    /// Without the dot in front; `None`: yt-dlp does not say.
    domain: Option<String>,
    /// It may go to hosts below the domain.
    below: bool,
    /// `None`: any.
    path: Option<String>,
    secure: bool,
}

impl Cookies {
    /// Reads what yt-dlp writes into `cookies` of a format: `name=value; Domain=.site.example; Path=/; Secure; name=...`.
    /// `None`: more than anybody else should keep apart.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut cookies: Vec<Cookie> = Vec::new();
        for part in text.split("; ") {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let attribute = ATTRIBUTES.iter().find(|known| name.eq_ignore_ascii_case(known));
            if attribute.is_none() && part.contains('=') {
                let name_and_value = format!("{name}={}", unquoted(value));
                cookies.push(Cookie { name_and_value, domain: None, below: false, path: None, secure: false });
            }
            match (attribute.copied(), cookies.last_mut()) {
                // yt-dlp says both right after the value: a second one is a cookie of this name, and sends no other elsewhere
                (Some("domain"), Some(cookie)) if cookie.domain.is_none() => {
                    cookie.below = value.starts_with('.');
                    cookie.domain = Some(value.trim_start_matches('.').to_ascii_lowercase());
                }
                (Some("path"), Some(cookie)) if cookie.path.is_none() => cookie.path = Some(value.to_owned()),
                (Some("secure"), Some(cookie)) => cookie.secure = true,
                (Some(_) | None, _) => {}
            }
        }
        (cookies.len() <= MOST).then_some(Self(cookies))
    }

    /// Reads a jar of ours: the lines of [`crate::jar`]. Those whose time is over at this Unix time are left out.
    #[must_use]
    pub fn of_jar(text: &str, now: u64) -> Self {
        let lines = text.lines().filter_map(|line| <[&str; 7]>::try_from(line.split('\t').collect::<Vec<_>>()).ok());
        let is_alive = |ends: &str| ends.parse().is_ok_and(|ends: u64| ends == 0 || ends > now);
        let cookies =
            lines.filter(|[.., ends, _, _]| is_alive(ends)).map(|[domain, _, path, secure, _, name, value]| Cookie {
                name_and_value: format!("{name}={value}"),
                domain: Some(domain.trim_start_matches('.').to_owned()),
                below: domain.starts_with('.'),
                path: Some(path.to_owned()),
                secure: secure == "TRUE",
            });
        Self(cookies.collect())
    }

    /// The header for a question about this address; `None`: there is nothing to say.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<HeaderValue> {
        // one that no header can have keeps no other from going
        let can_go = |text: &&str| HeaderValue::from_str(text).is_ok();
        let meant = self.0.iter().filter(|cookie| cookie.is_for(url)).map(|c| c.name_and_value.as_str());
        let meant: Vec<_> = meant.filter(can_go).collect();
        let value = (!meant.is_empty()).then(|| HeaderValue::from_str(&meant.join("; ")).ok()).flatten();
        value.map(|mut value| {
            value.set_sensitive(true);
            value
        })
    }
}

impl Cookie {
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let host_fits = self
            .domain
            .as_deref()
            .is_some_and(|domain| host == domain || (self.below && is_within(host, domain) && url.domain().is_some()));
        let path_fits = self.path.as_deref().is_none_or(|path| {
            let rest = url.path().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
        });
        host_fits && path_fits && (!self.secure || url.scheme() == "https")
    }
}

/// A value in quotes has been quoted by yt-dlp: `\"`, `\\`, and three octal digits.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut plain = String::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let skipped = match (octal, after.chars().next()) {
            (Some(byte), _) => {
                plain.push(char::from(byte));
                3
            }
            (None, Some(escaped)) => {
                plain.push(escaped);
                escaped.len_utf8()
            }
            (None, None) => 0,
        };
        rest = &after[skipped..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookies_of_a_jar_go_where_it_says_until_their_time_is_over() {
        let jar = "# Netscape HTTP Cookie File\n.site.example\tTRUE\t/\tFALSE\t0\ta\t1\n\
                   site.example\tFALSE\t/v\tTRUE\t2000\tb\t2\n.site.example\tTRUE\t/\tFALSE\t1000\tc\t3\n";
        let cookies = Cookies::of_jar(jar, 1000);
        for (url, header) in [
            ("https://site.example/v/1", Some("a=1; b=2")),
            ("http://site.example/v/1", Some("a=1")),
            ("https://cdn.site.example/v/1", Some("a=1")),
            ("https://other.example/v/1", None),
        ] {
            let said = cookies.of(&Url::parse(url).expect("an address"));
            assert_eq!(said.as_ref().map(|value| value.to_str().expect("text")), header, "{url}");
        }
    }

    #[test]
    fn a_cookie_goes_where_it_is_meant_to_go() {
        let many = "a=1; Domain=a.example; ".repeat(MOST + 1);
        assert_eq!(Cookies::read(&many), None, "a part of them is none of them");
        let cookies = Cookies::read(
            "a=1; Domain=.site.example; Path=/; Expires=9999999999; b=\"x\\073y\"; Domain=cdn.site.example; Path=/v; \
             Secure; c=3; Domain=127.0.0.1; Path=/; d=4; e=5; Domain=.login.example; Path=/in; Domain=evil.example; \
             Domain=.login.example; Path=/; f=6; Domain=host.example; Path=/; g=\"\\001\"; Domain=host.example; Path=/",
        )
        .expect("few");
        for (url, header) in [
            ("https://cdn.site.example/v/1", Some("a=1; b=x;y")),
            ("https://cdn.site.example/v2", Some("a=1")),
            ("http://cdn.site.example/v", Some("a=1")),
            ("https://x.cdn.site.example/v", Some("a=1")),
            ("https://site.example/", Some("a=1")),
            ("https://evilsite.example/", None),
            ("https://site.example.evil.example/", None),
            ("https://example/", None),
            ("http://127.0.0.1:80/", Some("c=3")),
            ("http://1.127.0.0.1.example/", None),
            ("https://www.login.example/in/x", Some("e=5")),
            ("https://www.login.example/inner", None),
            // Fault: a cookie that a site had called `Domain` sent the one before to the host that it named.
            ("https://evil.example/in", None),
            ("https://host.example/", Some("f=6")),
            ("https://www.host.example/", None),
        ] {
            let said = cookies.of(&Url::parse(url).expect("an address"));
            assert_eq!(said.as_ref().map(|value| value.to_str().expect("text")), header, "{url}");
        }
    }
}
