//! Where a dialect is served: below a path, or at the root of a host name.
//!
//! Read once, with the configuration. Not here: what is served there (the dialect), and who may call (`door`).

use std::borrow::Cow;

use axum::http::uri::Authority;
use haul_shared::config::parse::Parsed;
use haul_shared::config::{Reader, vars};
use url::{Host, Url};

/// What native paths begin with; a dialect there would hide them.
const OURS: [&str; 9] = ["api", "docs", "downloads", "files", "healthz", "metrics", "openapi.json", "page", "readyz"];
/// Ports that no client names: a host with one of them would never be asked for.
const UNNAMED: [u16; 2] = [80, 443];

/// The place of one dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Below this path, which begins with `/` and does not end with one.
    Path(String),
    /// At the root of a host, whatever its port, or with this one only.
    Host(Host, Option<u16>),
}

/// The places of all dialects; by default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    /// `MeTube`'s.
    pub metube: Option<Mount>,
    /// cobalt's.
    pub cobalt: Option<Mount>,
}

impl Mounts {
    /// Reads both, and checks that they keep out of each other's way and of the API's own, whose links begin with
    /// `public_url`.
    pub fn read(reader: &mut Reader<'_>, public_url: Option<&Url>) -> Self {
        let metube = reader.optional(&vars::COMPAT_METUBE, Mount::parse);
        let cobalt = reader.optional(&vars::COMPAT_COBALT, Mount::parse);
        if let (Some(metube), Some(cobalt)) = (&metube, &cobalt)
            && (metube.holds(cobalt) || cobalt.holds(metube))
        {
            reader.fault(&vars::COMPAT_COBALT, "is the place of HAUL_COMPAT_METUBE, or one of them lies in the other");
        }
        for (variable, mount) in [(&vars::COMPAT_METUBE, &metube), (&vars::COMPAT_COBALT, &cobalt)] {
            let ours = public_url.and_then(|url| Some(Named { host: url.host()?.to_owned(), port: url.port() }));
            if mount.as_ref().zip(ours).is_some_and(|(mount, ours)| mount.is_at(&ours)) {
                reader.fault(variable, "is the host of HAUL_PUBLIC_URL, where the API itself is");
            }
        }
        Self { metube, cobalt }
    }
}

/// The host that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    host: Host,
    port: Option<u16>,
}

impl Named {
    /// Reads `host` or `host:port`; a dot at the end of a name makes no difference.
    #[must_use]
    pub fn of(authority: &Authority) -> Option<Self> {
        let host = authority.host();
        let host = Host::parse(host.strip_suffix('.').unwrap_or(host)).ok()?;
        Some(Self { host, port: authority.port_u16() })
    }
}

impl Mount {
    /// Reads `/metube`, `metube.example` or `metube.example:8080`.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Parsed<Self> {
        if text.starts_with('/') { Self::path(text) } else { Self::host(text) }
    }

    fn path(text: &str) -> Parsed<Self> {
        let fits = |segment: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain)
        };
        let mut segments = text[1..].split('/');
        if !segments.clone().all(fits) {
            return Err("a path such as /metube, of letters, digits and -._~, without / at its end".to_owned());
        }
        if segments.next().is_some_and(|first| OURS.contains(&first)) {
            return Err(format!("a path that begins with none of /{}", OURS.join(", /")));
        }
        Ok(Self::Path(text.to_owned()))
    }

    fn host(text: &str) -> Parsed<Self> {
        let expected =
            || "a path that begins with /, or a host name, with its port if that is not 80 or 443".to_owned();
        let authority: Authority = text.parse().map_err(|_| expected())?;
        let has_port = authority.as_str().len() > authority.host().len();
        match Named::of(&authority) {
            Some(Named { host, port })
                if port.is_some() == has_port && !port.is_some_and(|it| UNNAMED.contains(&it)) =>
            {
                Ok(Self::Host(host, port))
            }
            Some(_) | None => Err(expected()),
        }
    }

    /// Is this dialect at the host that is named?
    #[must_use]
    pub fn is_at(&self, named: &Named) -> bool {
        match self {
            Self::Path(_) => false,
            Self::Host(host, port) => *host == named.host && (port.is_none() || *port == named.port),
        }
    }

    /// What is left of a path below this one, without doubled slashes; at least `/`. `None`: it leads elsewhere, or this is
    /// no path.
    #[must_use]
    pub fn below<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        let Self::Path(own) = self else { return None };
        let path = single_slashes(path);
        let rest = path.strip_prefix(own.as_str())?;
        match rest {
            "" => Some(Cow::Borrowed("/")),
            rest if rest.starts_with('/') => Some(Cow::Owned(rest.to_owned())),
            _ => None,
        }
    }

    /// Is the other one here, or below?
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(_), Self::Path(path)) => self.below(path).is_some(),
            (Self::Host(one, port), Self::Host(other, others)) => {
                one == other && (port.is_none() || others.is_none() || port == others)
            }
            (Self::Path(_), Self::Host(..)) | (Self::Host(..), Self::Path(_)) => false,
        }
    }
}

/// A path as it is meant by clients that put `/add` behind a base which ends with `/`.
#[must_use]
pub fn single_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut single = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    Cow::Owned(single)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_host() {
        let host = |name: &str, port| Ok(Mount::Host(Host::parse(name).unwrap(), port));
        let table = [
            ("/metube", Ok(Mount::Path("/metube".to_owned()))),
            ("/tools/me.tube-1", Ok(Mount::Path("/tools/me.tube-1".to_owned()))),
            ("metube.example", host("metube.example", None)),
            ("MeTube.Example.", host("metube.example", None)),
            ("metube.example:8443", host("metube.example", Some(8443))),
            ("192.0.2.7:81", host("192.0.2.7", Some(81))),
            ("[2001:db8::7]:81", host("[2001:db8::7]", Some(81))),
        ];
        for (text, expected) in table {
            assert_eq!(Mount::parse(text), expected, "{text}");
        }
        for wrong in [
            "",
            "/",
            "//",
            "/metube/",
            "/a//b",
            "/a/../b",
            "/a b",
            "/{a}",
            "/a%62",
            "/api",
            "/api/metube",
            "/files/x",
            "/healthz",
            "a b",
            "a/b",
            "http://a",
            "u@a.example",
            "a.example:",
            "a.example:0x",
            "a.example:99999",
            "a.example:80",
            "a.example:443",
        ] {
            assert!(Mount::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// Every literal path of the routers and handlers, in their own text.
    #[test]
    fn no_native_route_lies_where_a_dialect_may() {
        let texts = [
            include_str!("../router.rs"),
            include_str!("../openapi.rs"),
            include_str!("../page/mod.rs"),
            include_str!("../routes/health.rs"),
            include_str!("../routes/downloads.rs"),
        ];
        let mut segments = 0;
        for literal in texts.iter().flat_map(|text| text.split('"').skip(1).step_by(2)) {
            let first = literal.strip_prefix('/').map(|path| path.split('/').next().unwrap_or_default());
            if let Some(first) = first.filter(|first| !first.is_empty()) {
                assert!(OURS.contains(&first), "{literal}");
                segments += 1;
            }
        }
        assert!(segments > 10, "{segments}");
    }

    #[test]
    fn a_host_is_the_same_in_any_case_and_with_any_port_unless_one_is_named() {
        let is_at =
            |mount: &str, named: &str| Mount::parse(mount).unwrap().is_at(&Named::of(&named.parse().unwrap()).unwrap());
        for named in ["metube.example", "METUBE.example:8080", "metube.example.", "metube.example.:443"] {
            assert!(is_at("metube.example", named), "{named}");
        }
        for named in ["example", "a.metube.example", "metube.example.evil"] {
            assert!(!is_at("metube.example", named), "{named}");
        }
        assert!(is_at("metube.example:81", "metube.example:81"));
        assert!(!is_at("metube.example:81", "metube.example") && !is_at("/metube", "metube"));
    }

    #[test]
    fn below_a_path_is_what_follows_it_whatever_its_slashes() {
        let mount = Mount::parse("/metube").unwrap();
        for (path, rest) in [
            ("/metube", Some("/")),
            ("/metube/", Some("/")),
            ("/metube/add", Some("/add")),
            ("//metube//add", Some("/add")),
            ("/metube/key/k//add/", Some("/key/k/add/")),
            ("/metubeadd", None),
            ("/add", None),
            ("/", None),
        ] {
            assert_eq!(mount.below(path).as_deref(), rest, "{path}");
        }
        assert_eq!(Mount::parse("metube.example").unwrap().below("/metube"), None);
    }
}
