//! The cookies of a format, each for the hosts that it is meant for (RFC 6265).

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
    path: String,
    secure: bool,
}

impl Cookies {
    /// Reads what yt-dlp writes into `cookies` of a format: `name=value; Domain=.site.example; Path=/; Secure; name=...`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut cookies: Vec<Cookie> = Vec::new();
        for part in text.split("; ") {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let attribute = ATTRIBUTES.iter().find(|known| name.eq_ignore_ascii_case(known));
            if attribute.is_none() && part.contains('=') {
                let name_and_value = format!("{name}={}", unquoted(value));
                let (domain, path) = (None, "/".to_owned());
                cookies.push(Cookie { name_and_value, domain, below: false, path, secure: false });
            }
            match (attribute.copied(), cookies.last_mut()) {
                (Some("domain"), Some(cookie)) => {
                    cookie.below = value.starts_with('.');
                    cookie.domain = Some(value.trim_start_matches('.').to_ascii_lowercase());
                }
                (Some("path"), Some(cookie)) => value.clone_into(&mut cookie.path),
                (Some("secure"), Some(cookie)) => cookie.secure = true,
                (Some(_) | None, _) => {}
            }
        }
        cookies.truncate(MOST);
        Self(cookies)
    }

    /// The header for a question about this address; `None`: there is nothing to say.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<HeaderValue> {
        let meant: Vec<_> =
            self.0.iter().filter(|cookie| cookie.is_for(url)).map(|c| c.name_and_value.as_str()).collect();
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
        let host_fits = self.domain.as_deref().is_some_and(|domain| {
            let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
            host == domain || (self.below && below && url.domain().is_some())
        });
        let path = url.path();
        let path_fits = path
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
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
    fn a_cookie_goes_where_it_is_meant_to_go() {
        let cookies = Cookies::read(
            "a=1; Domain=.site.example; Path=/; Expires=9999999999; b=\"x\\073y\"; Domain=cdn.site.example; Path=/v; \
             Secure; c=3; Domain=127.0.0.1; Path=/; d=4",
        );
        for (url, header) in [
            ("https://cdn.site.example/v/1", Some("a=1; b=x;y")),
            ("https://cdn.site.example/v2", Some("a=1")),
            ("http://cdn.site.example/v", Some("a=1")),
            ("https://x.cdn.site.example/v", Some("a=1")),
            ("https://site.example/", Some("a=1")),
            ("https://evilsite.example/", None),
            ("http://127.0.0.1:80/", Some("c=3")),
        ] {
            let said = cookies.of(&Url::parse(url).expect("an address"));
            assert_eq!(said.as_ref().map(|value| value.to_str().expect("text")), header, "{url}");
        }
    }
}
