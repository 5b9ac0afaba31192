//! S47: what reads the words of strangers, with words that nobody would think of. A target never panics, and what it
//! accepts is what it should be, judged by other means than its own.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use haul_api::client_ip::client_ip;
use haul_api::conditional::{Validators, Wanted, wanted};
use haul_shared::egress::EgressPolicy;
use haul_shared::source::SourceUrl;
use haul_shared::storage::{clean_stem, content_disposition};
use haul_tests::fuzz::{holds, spoilt, spoilt_text};
use haul_tests::registries;
use haul_worker::ffmpeg::probe;
use haul_worker::guard::head;
use haul_worker::ytdlp::{info, progress};
use proptest::prelude::*;
use serde_json::value::RawValue;
use url::Host;

const URLS: &[&str] = &[
    "http://cdn.example.com/progressive.mp4?a=b#c",
    "https://93.184.215.14:8443/x",
    "http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8080/",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1\\@example.com/",
    "http:\\\\0x7f.1:80/..",
    "http://[::ffff:127.0.0.1]/",
    "http://xn--bcher-kva.example./",
];
const URL_WORDS: &[&str] = &[
    "@",
    ":",
    "//",
    "\\",
    "#",
    "?",
    "%",
    "%2e",
    "%00",
    ".",
    "..",
    "[",
    "]",
    "::",
    "0x",
    "0177",
    "127.0.0.1",
    "localhost",
    ".local",
    "。",
    "①",
    "\u{ad}",
    "\u{200b}",
    "\t",
    "\n",
    "ß",
    "xn--",
    ":22",
    ":443",
    "user:word@",
    "__youtubedl_smuggle",
    "%5f",
    "[::1]",
    "64:ff9b::",
    "file:",
    "http:",
    " ",
];

#[test]
fn whatever_is_read_as_a_url_is_public_http_and_reads_the_same_again() {
    let policy = EgressPolicy { allow: Vec::new(), ports: vec![80, 443, 8080, 8443] };
    let inputs = prop_oneof![4 => spoilt_text(URLS, URL_WORDS), 1 => any::<String>()];
    holds("url policy", &inputs, |text| {
        let Ok(url) = SourceUrl::parse(&text, &policy) else { return Ok(()) };
        let spelled = url.expose();
        let again = SourceUrl::parse(spelled, &policy).map(|again| again.expose().to_owned());
        prop_assert_eq!(again.as_deref(), Ok(spelled));
        prop_assert!(spelled.starts_with("http://") || spelled.starts_with("https://"));
        prop_assert!(spelled.is_ascii() && !spelled.bytes().any(|byte| byte.is_ascii_control() || byte == b' '));
        let authority = spelled.split('/').nth(2).unwrap_or_default();
        prop_assert!(!authority.contains(['@', '\\']), "{}", authority);
        prop_assert!([80, 443, 8080, 8443].contains(&url.port()));
        match url.host() {
            Host::Ipv4(address) => prop_assert!(registries::is_public(address.into()), "{}", address),
            Host::Ipv6(address) => prop_assert!(registries::is_public(address.into()), "{}", address),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                prop_assert!(name.contains('.') && name.parse::<IpAddr>().is_err(), "{}", name);
                let zone = name.rsplit('.').next().unwrap_or_default();
                prop_assert!(!["localhost", "local", "internal", "svc"].contains(&zone), "{}", name);
            }
        }
        Ok(())
    });
}

const INFOS: &[&str] = &[
    r#"{"id":"1","title":"A talk","duration":8.0,"extractor":"generic","formats":[{"format_id":"a","url":"http://x/1.mp4","ext":"mp4","vcodec":"h264","acodec":"aac","width":640,"height":360,"tbr":1.5,"protocol":"https","http_headers":{"User-Agent":"x","Ytdl-Request-Proxy":"http://y"}}]}"#,
    r#"{"id":null,"url":"http://x/1.mp4","ext":"mp4","is_live":true,"thumbnails":[{"url":"http://x/1.png","width":9}],"subtitles":{"en":[{"url":"http://x/1.vtt","ext":"vtt"}]},"chapters":[{"start_time":0,"end_time":3,"title":"Beginning"}]}"#,
    r#"{"_type":"playlist","entries":[{"id":"1","url":"http://x/1"},{"_type":"playlist","entries":[null]}],"formats":[{"format_id":"0","protocol":"m3u8_native","manifest_url":"file:///etc/passwd","fragments":[{"url":"a","duration":2}],"fragment_base_url":"http://x/"}]}"#,
];
const JSON_WORDS: &[&str] = &[
    "null",
    "true",
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\\ud800\"",
    "\"\"",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "\\u0000",
    "\"",
    ",",
    ":",
    "}",
    "]",
    "\"formats\":",
    "\"entries\":",
    "\"url\":",
    "\"http_headers\":",
    "0.0000001",
    "-0",
];

#[test]
fn whatever_yt_dlp_says_is_read_or_not() {
    let lines = [
        "@P {\"status\":\"downloading\",\"downloaded_bytes\":1048576,\"total_bytes\":null,\"fragment_index\":1,\"fragment_count\":4} \"a\"",
        "@I {\"format_id\":\"a\",\"is_live\":false}",
        "@F {\"filepath\":\"/tmp/media.1.mp4\",\"format_id\":\"a\",\"ext\":\"mp4\"}",
    ];
    let inputs = prop_oneof![spoilt_text(&lines, JSON_WORDS), spoilt_text(INFOS, JSON_WORDS)];
    holds("yt-dlp's output", &inputs, |text| {
        if let Some(progress::Event::Progress(report)) = progress::event(&text) {
            prop_assert!(report.fraction().is_none_or(|share| (0.0..=1.0).contains(&share)), "{:?}", report);
        }
        let Ok(value) = RawValue::from_string(text) else { return Ok(()) };
        let Some(found) = info::Info::read(&value) else { return Ok(()) };
        let metadata = serde_json::to_string(&found.into_metadata());
        prop_assert!(metadata.is_ok(), "{:?}", metadata);
        Ok(())
    });
}

#[test]
fn whatever_ffprobe_says_describes_something_or_nothing() {
    let right = [
        "stream|index=0|codec_name=h264|codec_type=video|width=640|height=360|r_frame_rate=25/1|duration=8.000000|disposition:attached_pic=0\n\
         stream|index=1|codec_name=aac|codec_type=audio|channels=2|r_frame_rate=0/0|duration=8.000000|disposition:attached_pic=0\n\
         format|start_time=0.000000|duration=8.021333\n",
        "packet|stream_index=0|pts_time=0.04|dts_time=N/A|duration_time=0.04\nformat|duration=N/A\n",
    ];
    let words = &[
        "|",
        "=",
        "\n",
        "N/A",
        "inf",
        "-1",
        "1e308",
        "NaN",
        "4294967296",
        "stream|",
        "format|",
        "packet|",
        "0/0",
        "1/0",
        "index=",
        "width=",
        "disposition:",
    ];
    holds("ffprobe's output", &spoilt_text(&right, words), |text| {
        let mut answer = probe::Answer::default();
        text.lines().for_each(|line| {
            answer.take(line);
        });
        let Ok(probe) = answer.probe() else { return Ok(()) };
        prop_assert!(probe.duration.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0), "{:?}", probe);
        prop_assert!(probe.start.is_finite() && (probe.video.is_some() || probe.audio.is_some()), "{:?}", probe);
        Ok(())
    });
}

#[test]
fn whatever_range_is_asked_for_lies_within_the_file() {
    let right = ["bytes=0-499", "bytes=-500", "bytes=500-", "bytes=0-0,-1", "bytes=18446744073709551615-", "bytes=5-2"];
    let words = &["-", ",", "=", "bytes", "BYTES", " ", "0", "9", "18446744073709551616", "+1", "0x1", "\t"];
    let inputs = (spoilt(&right, words), prop_oneof![Just(0), Just(1), 0..2000_u64, Just(u64::MAX)], any::<bool>());
    holds("ranges", &inputs, |(range, total, fresh)| {
        let Ok(range) = HeaderValue::from_bytes(&range) else { return Ok(()) };
        let mut headers = HeaderMap::from_iter([(axum::http::header::RANGE, range)]);
        headers.insert(axum::http::header::IF_RANGE, HeaderValue::from_static(if fresh { "\"a\"" } else { "\"b\"" }));
        let file = Validators { etag: "\"a\"".to_owned(), modified: None };
        match wanted(&Method::GET, &headers, &file, total) {
            Wanted::Whole => {}
            Wanted::Part(part) => {
                prop_assert!(fresh && part.start() <= part.end() && *part.end() < total, "{:?}", part);
            }
            Wanted::Outside => prop_assert!(fresh),
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    });
}

const TITLES: &[&str] = &[
    "Ein Vortrag.mp4",
    "CON",
    "../../etc/passwd",
    "a\"; filename=\"b.exe",
    "x\r\nSet-Cookie: a=b",
    "\u{202e}4pm.exe",
    "%2e%2e%2fx",
    "aux.mp4",
    ".hidden",
    "-rf",
    "💾 数据",
];
const TITLE_WORDS: &[&str] = &[
    "/",
    "\\",
    "..",
    "\r\n",
    "\"",
    "%",
    "\u{202e}",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    ";",
    "'",
    "''",
    " ",
    ".",
    "COM1",
    "nul",
    "ä",
    "\u{301}",
    "👩‍👩‍👧‍👧",
];

#[test]
fn whatever_a_title_is_its_file_name_is_one_plain_name() {
    let inputs = (prop_oneof![3 => spoilt_text(TITLES, TITLE_WORDS), 1 => any::<String>()], any::<bool>());
    holds("file names and content-disposition", &inputs, |(title, inline)| {
        let name = format!("{}.mp4", clean_stem(&title));
        prop_assert!(name.len() <= 255 && !name.starts_with(['.', '-', ' ']), "{:?}", name);
        prop_assert!(
            !name.contains(|c: char| c.is_control() || "/\\:*?\"<>|\u{202e}\u{2066}\u{2028}".contains(c)),
            "{:?}",
            name
        );
        // of names that are not ours, too
        for name in [&name, &title] {
            let header = content_disposition(name, inline);
            prop_assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{:?}", header);
            prop_assert!(HeaderValue::from_str(&header).is_ok());
            let (plain, encoded) = header.split_once("\"; filename*=UTF-8''").expect("both forms");
            let plain = plain.split_once("; filename=\"").expect("the plain form").1;
            prop_assert!(!plain.contains(['"', '\\', '%', '/']), "{:?}", plain);
            prop_assert!(!encoded.contains(['"', ';', ' ', ',', '\\', '/']), "{:?}", encoded);
        }
        let header = content_disposition(&name, inline);
        let encoded = header.split_once("UTF-8''").expect("the whole form").1;
        // the decoder is that of query strings, to which `+` is a space
        let query = format!("n={}", encoded.replace('+', "%2B").replace('&', "%26"));
        let decoded = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned());
        prop_assert_eq!(decoded, Some(name));
        Ok(())
    });
}

#[test]
fn whatever_headers_claim_only_what_trusted_hops_wrote_is_believed() {
    let right = [
        "203.0.113.7, 10.0.0.2",
        "for=\"[2001:db8::1]:8080\";proto=https, for=10.0.0.3",
        "unknown, _hidden, 1.2.3.4:99",
        "::ffff:10.0.0.1",
        "",
    ];
    let words = &[",", ";", "for=", "\"", "[", "]", ":", "10.0.0.9", "8.8.8.8", "::1", "fd00::1", "_x", " ", "\t", "%"];
    let value = || spoilt(&right, words);
    let peer =
        prop_oneof![Just("10.0.0.1"), Just("8.8.4.4"), Just("::ffff:10.0.0.1"), Just("fd00::7"), Just("2001:db8::9")];
    let inputs = (peer, proptest::collection::vec((any::<bool>(), value()), 0..4));
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a block"));
    let is_trusted = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    };
    holds("forwarded headers", &inputs, |(peer, lines)| {
        let peer: IpAddr = peer.parse().expect("an address");
        let mut headers = HeaderMap::new();
        let mut said = String::new();
        for (forwarded, value) in lines {
            let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                said.push_str(&String::from_utf8_lossy(value.as_bytes()));
                said.push(',');
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let client = client_ip(peer, &headers, &trusted);
        prop_assert_eq!(client, client.to_canonical());
        if !is_trusted(peer) {
            prop_assert_eq!(client, peer.to_canonical());
        } else if client != peer.to_canonical() {
            // nobody who is not in the headers: every address stands there, in some spelling
            let words = said.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
            let spelled = words.flat_map(|word| [Some(word), word.rsplit_once(':').map(|(host, _)| host)]);
            let named = spelled
                .flatten()
                .flat_map(|word| [word, word.trim_matches(':')])
                .filter_map(|word| word.parse::<IpAddr>().ok());
            prop_assert!(
                named.map(|address| address.to_canonical()).any(|address| address == client),
                "{} in {:?}",
                client,
                said
            );
        }
        Ok(())
    });
}

const HEADS: &[&str] = &[
    "GET http://cdn.example.com/progressive.mp4 HTTP/1.1\r\nHost: cdn.example.com\r\nRange: bytes=0-\r\n\r\n",
    "POST http://cdn.example.com:8080/x HTTP/1.1\r\nHost: cdn.example.com:8080\r\nContent-Length: 5\r\n\r\nhello",
    "CONNECT cdn.example.com:443 HTTP/1.1\r\nHost: cdn.example.com:443\r\n\r\n",
    "CONNECT [2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443 HTTP/1.1\r\n\r\n",
    "GET http://a.example/ HTTP/1.0\r\n\r\nGET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
];
const HEAD_WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    "\0",
    "Content-Length: 7\r\n",
    "content-length:0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : x\r\n",
    "Host: 127.0.0.1\r\n",
    "\r\n folded",
    "CONNECT ",
    "HTTP/1.1",
    "HTTP/2.0",
    "0\r\n\r\n",
    "@",
    "%00",
    "http://",
    "127.0.0.1:22",
    "[::1]:80",
    ":0",
    ":65536",
];

#[test]
fn whatever_a_program_asks_its_guard_for_has_one_end_and_one_meaning() {
    let inputs =
        (spoilt(HEADS, HEAD_WORDS), any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..40));
    holds("proxy requests", &inputs, |(bytes, cut, behind)| {
        let Ok(Some(read)) = head::read(&bytes) else { return Ok(()) };
        prop_assert!(read.bytes <= bytes.len());
        // what is not ASCII stands in values only; a head has no control character that could stand for it
        let plain = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '\x7f' };
        let text: String = bytes[..read.bytes].iter().map(plain).collect();
        let is_value = |at: usize, line: &str| line.find('\x7f').is_none_or(|end| at > 0 && line[..end].contains(':'));
        prop_assert!(text.split("\r\n").enumerate().all(|(at, line)| is_value(at, line)));
        // it ends where every reader would end it, and no line of it ends otherwise
        prop_assert_eq!(text.find("\r\n\r\n"), Some(text.len() - 4));
        prop_assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        prop_assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
        let lower = text.to_ascii_lowercase();
        let lines = || lower.split("\r\n").skip(1);
        let is_framed = |line: &str| line.starts_with("transfer-encoding:") || line.starts_with([' ', '\t']);
        prop_assert!(!lines().any(is_framed), "{:?}", text);
        prop_assert!(lines().filter(|line| line.starts_with("content-length:")).count() <= 1, "{:?}", text);
        prop_assert!(lines().filter(|line| line.starts_with("host:")).count() <= 1, "{:?}", text);
        // what comes behind changes nothing, and no beginning of it is already whole
        prop_assert_eq!(head::read(&[&bytes[..read.bytes], &behind].concat()), Ok(Some(read.clone())));
        let beginning = head::read(&bytes[..cut.index(read.bytes)]);
        prop_assert!(!matches!(beginning, Ok(Some(_))), "{:?}", text);
        Ok(())
    });
}
