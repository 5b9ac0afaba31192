//! The head of a question to the guard, read strictly: what two readers could understand differently is refused here,
//! before the HTTP library reads it, which tolerates some of it.
//!
//! Pure. Decides where a head and its body end, so that no second question hides behind the first, and nothing else: the
//! address is judged by whoever answers (`exchange`).

use url::{Host, Url};

/// Bytes of the longest head.
pub const LONGEST: usize = 32 * 1024;
/// Header lines of one head.
pub const MOST_LINES: usize = 100;
/// Characters of the longest method: `OPTIONS`, and some of WebDAV.
const LONGEST_METHOD: usize = 20;
/// Digits of the longest length of a body: more than 16 MiB does not pass anyway.
const LONGEST_LENGTH: usize = 15;

/// A head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, the empty line included.
    pub bytes: usize,
    /// What is wanted.
    pub asks: Asks,
}

/// What a question wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Something of an http address. So many bytes of a body follow.
    Http {
        /// Of the body, in bytes.
        body: u64,
    },
    /// A tunnel.
    Tunnel {
        /// Where to, as the URL standard reads it: a literal address is one, in whatever spelling.
        host: Host<String>,
        /// Never 0.
        port: u16,
    },
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`LONGEST`] bytes or [`MOST_LINES`] lines.
    #[error("the head is too long")]
    TooLong,
    /// A line end that is not CR LF, a NUL, or another control character.
    #[error("there is a control character in the head")]
    Control,
    /// Not `METHOD target HTTP/1.x`.
    #[error("the first line is none of a question")]
    FirstLine,
    /// The target is neither an http address nor, of `CONNECT`, a host and a port.
    #[error("the target is none of a proxy's")]
    Target,
    /// The target is an address of a scheme that this proxy does not speak: `ftp`, of which yt-dlp asks a proxy by http.
    #[error("the target is an address of another scheme")]
    Scheme,
    /// A header that is folded, has no name, or a blank between its name and the colon.
    #[error("a header is not one")]
    Header,
    /// `Transfer-Encoding`, or more than one `Content-Length` or `Host`, or a length that is no number.
    #[error("the end of the body is not certain")]
    Framing,
}

/// Reads the head at the beginning of these bytes; `None`: more of it has to come.
///
/// # Errors
/// [`Malformed`], as soon as it is certain.
pub fn read(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    read_on(bytes, 0)
}

/// The same of bytes of which so many were read before and were no whole head: they are not looked at again, so that a
/// head that comes byte by byte takes no more thought than another.
///
/// # Errors
/// As [`read`].
pub fn read_on(bytes: &[u8], before: usize) -> Result<Option<Head>, Malformed> {
    let within = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = end_of_head(within, before)? else {
        return if bytes.len() >= LONGEST { Err(Malformed::TooLong) } else { Ok(None) };
    };
    // all lines end in CR LF, and there is no other of either
    // and a value may be in Latin-1 (RFC 9110 §5.5), which nobody here reads
    let text = String::from_utf8_lossy(&within[..end - 4]);
    let mut lines = text.split("\r\n");
    let (method, target) = first_line(lines.next().unwrap_or_default())?;
    let (mut length, mut hosts, mut count) = (None, 0, 0);
    for line in lines {
        count += 1;
        if count > MOST_LINES {
            return Err(Malformed::TooLong);
        }
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Malformed::Framing);
        }
        if name.eq_ignore_ascii_case("content-length") && length.replace(number(value)?).is_some() {
            return Err(Malformed::Framing);
        }
        if name.eq_ignore_ascii_case("host") {
            hosts += 1;
        }
    }
    if hosts > 1 {
        return Err(Malformed::Framing);
    }
    let asks = match (method, length) {
        ("CONNECT", None | Some(0)) => tunnel(target)?,
        ("CONNECT", Some(_)) => return Err(Malformed::Framing),
        (_, length) => {
            is_http(target)?;
            Asks::Http { body: length.unwrap_or(0) }
        }
    };
    Ok(Some(Head { bytes: end, asks }))
}

/// Where the head ends, behind its empty line; `None`: not yet. No byte of it is a control character but a tab, and the
/// line ends. The last of those that were seen `before` is looked at again: it may have been half a line end.
fn end_of_head(bytes: &[u8], before: usize) -> Result<Option<usize>, Malformed> {
    for (at, byte) in bytes.iter().enumerate().skip(before.saturating_sub(1)) {
        match byte {
            b'\r' if bytes.get(at + 1).is_none_or(|next| *next == b'\n') => {}
            b'\n' if bytes[..at].ends_with(b"\r\n\r") => return Ok(Some(at + 1)),
            b'\n' if bytes[..at].ends_with(b"\r") => {}
            b'\t' => {}
            byte if byte.is_ascii_control() => return Err(Malformed::Control),
            _ => {}
        }
    }
    Ok(None)
}

/// The method and the target.
fn first_line(line: &str) -> Result<(&str, &str), Malformed> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed::FirstLine);
    };
    let is_method = (1..=LONGEST_METHOD).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
    let is_target = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_method && is_target && matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        Ok((method, target))
    } else {
        Err(Malformed::FirstLine)
    }
}

/// An address of http; of https a tunnel is asked for, and anything else is of this proxy itself.
fn is_http(target: &str) -> Result<(), Malformed> {
    let (scheme, _) = target.split_once("://").ok_or(Malformed::Target)?;
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    match scheme.bytes().next() {
        _ if is("http") => Ok(()),
        Some(first) if first.is_ascii_alphabetic() && scheme.bytes().all(is_scheme) && !is("https") => {
            Err(Malformed::Scheme)
        }
        _ => Err(Malformed::Target),
    }
}

/// The name and the value.
fn header(line: &str) -> Result<(&str, &str), Malformed> {
    let (name, value) = line.split_once(':').ok_or(Malformed::Header)?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Malformed::Header);
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn number(text: &str) -> Result<u64, Malformed> {
    let fits = (1..=LONGEST_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().map_err(|_| Malformed::Framing) } else { Err(Malformed::Framing) }
}

/// `host:port`, and nothing that would make more of it once it is an address.
fn tunnel(target: &str) -> Result<Asks, Malformed> {
    let (host, port) = target.rsplit_once(':').ok_or(Malformed::Target)?;
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| is_port && *port > 0).ok_or(Malformed::Target)?;
    let is_bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some();
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || (is_bracketed && b"[:]".contains(&byte));
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(Malformed::Target);
    }
    let url = Url::parse(&format!("http://{host}/")).map_err(|_| Malformed::Target)?;
    let host = url.host().ok_or(Malformed::Target)?.to_owned();
    Ok(Asks::Tunnel { host, port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asks(head: &str) -> Result<Option<Asks>, Malformed> {
        read(head.as_bytes()).map(|head| head.map(|head| head.asks))
    }

    fn tunnel_to(authority: &str) -> Result<Option<Asks>, Malformed> {
        asks(&format!("CONNECT {authority} HTTP/1.1\r\n\r\n"))
    }

    #[test]
    fn a_question_is_read_with_the_length_of_its_body() {
        let http = |body| Ok(Some(Asks::Http { body }));
        assert_eq!(asks("GET http://a.example/ HTTP/1.1\r\nHost: b\r\n\r\n"), http(0));
        assert_eq!(asks("POST HTTP://a.example/ HTTP/1.0\r\nContent-Length: 12 \r\n\r\n"), http(12));
        assert_eq!(asks("GET http://a.example/ HTTP/1.1\r\nX:\ta b\r\n\r"), Ok(None));
        let head = read(b"GET http://a/ HTTP/1.1\r\n\r\nGET").expect("well-formed").expect("whole");
        assert_eq!(head.bytes, 26);
        let cookie = read(b"GET http://a/ HTTP/1.1\r\nCookie: a=\xe9\r\n\r\n").expect("well-formed").expect("whole");
        assert_eq!((cookie.bytes, cookie.asks), (39, Asks::Http { body: 0 }));
        for named in [&b"GET http://a/\xe9 HTTP/1.1\r\n\r\n"[..], b"GET http://a/ HTTP/1.1\r\n\xe9: a\r\n\r\n"] {
            assert!(read(named).is_err());
        }
        for (host, read) in [
            ("site.example", Host::Domain("site.example".to_owned())),
            ("SITE.example.", Host::Domain("site.example.".to_owned())),
            ("2130706433", Host::Ipv4([127, 0, 0, 1].into())),
            ("0x7f.1", Host::Ipv4([127, 0, 0, 1].into())),
            ("[::ffff:a9fe:a9fe]", Host::Ipv6("::ffff:a9fe:a9fe".parse().expect("an address"))),
        ] {
            assert_eq!(tunnel_to(&format!("{host}:443")), Ok(Some(Asks::Tunnel { host: read, port: 443 })), "{host}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        use Malformed::{Control, FirstLine, Framing, Header, Scheme, Target};
        let first = |line: &str| asks(&format!("{line}\r\n\r\n"));
        for (line, malformed) in [
            ("GET http://a.example/", FirstLine),
            ("GET http://a.example/ HTTP/0.9", FirstLine),
            ("GET http://a.example/ HTTP/2.0", FirstLine),
            ("GET  http://a.example/ HTTP/1.1", FirstLine),
            ("GET http://a.example/ HTTP/1.1 ", FirstLine),
            ("get http://a.example/ HTTP/1.1", FirstLine),
            ("\r\nGET http://a.example/ HTTP/1.1", FirstLine),
            ("GET http://a.example/\tHTTP/1.1", FirstLine),
            ("GET http://é.example/ HTTP/1.1", FirstLine),
            ("GET / HTTP/1.1", Target),
            ("GET * HTTP/1.1", Target),
            ("GET https://a.example/ HTTP/1.1", Target),
            ("GET ftp://a.example/ HTTP/1.1", Scheme),
            ("GET 1ftp://a.example/ HTTP/1.1", Target),
            ("GET /ftp://a.example/ HTTP/1.1", Target),
            ("GET http:/a.example/ HTTP/1.1", Target),
            ("GET http://a.example/\nHost: b HTTP/1.1", Control),
            ("GET http://a.example/\rHost: b HTTP/1.1", Control),
            ("GET http://a.example/\0 HTTP/1.1", Control),
        ] {
            assert_eq!(first(line), Err(malformed), "{line:?}");
        }
        for (line, malformed) in [
            ("Transfer-Encoding: chunked", Framing),
            ("transfer-encoding: identity", Framing),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", Framing),
            ("Content-Length: 1\r\nContent-Length: 2", Framing),
            ("Content-Length: 1\r\nContent-Length: 1", Framing),
            ("Content-Length: 1, 1", Framing),
            ("Content-Length: +1", Framing),
            ("Content-Length: 0x1", Framing),
            ("Content-Length:", Framing),
            ("Content-Length: 9999999999999999", Framing),
            ("Host: a\r\nHost: b", Framing),
            ("Host : a", Header),
            (" folded", Header),
            ("A: b\r\n folded", Header),
            ("A: b\r\n\tfolded: c", Header),
            (": nameless", Header),
            ("no colon", Header),
            ("Transfer-Encoding\t: chunked", Header),
            ("A: b\nTransfer-Encoding: chunked", Control),
            ("A: b\r\r\nC: d", Control),
            ("A: b\0c", Control),
            ("A: b\u{7f}c", Control),
        ] {
            assert_eq!(asks(&format!("GET http://a.example/ HTTP/1.1\r\n{line}\r\n\r\n")), Err(malformed), "{line:?}");
        }
        // a line end that is none is seen at once, not when the time is over
        assert_eq!(read(b"GET http://a/ HTTP/1.1\nHost: a\n\n"), Err(Control));
        assert_eq!(asks("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), Err(Framing));
    }

    #[test]
    fn a_tunnel_leads_to_a_host_and_a_port_and_no_further() {
        for authority in [
            "a.example",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:+80",
            "a.example:080000",
            ":443",
            "u@a.example:443",
            "a.example:443/",
            "a.example:443#x",
            "a.example/x:443",
            "a.example?x:443",
            "a.example\\@b:443",
            "a%2eexample:443",
            "a.example:80:443",
            "[::1:443",
            "::1:443",
            "[::1%25lo]:443",
            "[a.example]:443",
            "https://a.example:443",
        ] {
            assert_eq!(tunnel_to(authority), Err(Malformed::Target), "{authority}");
        }
    }

    #[test]
    fn a_head_has_a_bound() {
        let line = format!("X: {}\r\n", "a".repeat(1000));
        let head = |lines: usize| format!("GET http://a.example/ HTTP/1.1\r\n{}\r\n", line.repeat(lines));
        assert!(matches!(asks(&head(30)), Ok(Some(_))));
        assert_eq!(asks(&head(40)), Err(Malformed::TooLong));
        let short = |lines: usize| format!("GET http://a.example/ HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(lines));
        assert!(matches!(asks(&short(MOST_LINES)), Ok(Some(_))));
        assert_eq!(asks(&short(MOST_LINES + 1)), Err(Malformed::TooLong));
    }

    proptest! {
        /// Whatever comes is read without a panic, and as one would read a longer beginning of the same.
        #[test]
        fn a_head_is_read_the_same_however_much_of_it_is_there(
            line in "(GET|POST|CONNECT|get)? ?(http://a/|a:1|[ -~]{0,9}) ?(HTTP/1.1|HTTP/1.0|HTTP/9)?",
            headers in proptest::collection::vec("(Content-Length|Host|Transfer-Encoding|X|[ -~\t\r\n]{0,4}): ?[ -~\t\r\n]{0,6}", 0..6),
            end in "(\r\n\r\n|\n\n|\r\n)",
            behind in proptest::collection::vec(any::<u8>(), 0..40),
            step in 1..9_usize,
        ) {
            let mut bytes = [&[line], &headers[..]].concat().join("\r\n").into_bytes();
            bytes.extend_from_slice(end.as_bytes());
            bytes.extend_from_slice(&behind);
            let whole = read(&bytes);
            let first = (0..=bytes.len()).map(|at| read(&bytes[..at])).find(|read| *read != Ok(None));
            let mut before = 0;
            let by_and_by = (0..=bytes.len()).step_by(step).chain([bytes.len()]);
            let mut next = by_and_by.map(|at| read_on(&bytes[..at], std::mem::replace(&mut before, at)));
            prop_assert_eq!(&next.find(|read| *read != Ok(None)).unwrap_or(Ok(None)), &whole);
            prop_assert_eq!(&first.unwrap_or(Ok(None)), &whole);
            if let Ok(Some(head)) = whole {
                let text = &bytes[..head.bytes];
                prop_assert!(text.ends_with(b"\r\n\r\n"));
                prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), text.windows(2).filter(|two| two == b"\r\n").count());
            }
        }
    }
}
