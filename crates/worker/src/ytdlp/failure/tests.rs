//! The words are yt-dlp's own, of version 2026.08.19.

use serde::Deserialize;

use super::*;
use crate::ytdlp::value::{Fields, raw};

/// A row of `recorded.json`.
#[derive(Deserialize)]
struct Recorded {
    name: String,
    code: String,
    stderr: String,
    causes: serde_json::Value,
}

#[test]
fn what_was_recorded_of_each_trouble_has_its_code_by_both_ways() {
    let rows: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).expect("as record.py writes it");
    assert!(rows.len() > 80);
    for Recorded { name, code, stderr, causes } in rows {
        let told = serde_json::json!({ "causes": causes });
        let told = raised(&Raised::of(&Fields::of(&raw(&told)).expect("an object")), &[]);
        let said = failure(Ended::Exited(1), &stderr, false);
        for (way, failure) in [("plain", said), ("warm", told)] {
            assert_eq!(failure.kind.code(), code, "{way}, {name}: {stderr}");
            let detail = failure.detail;
            assert!(
                !detail.contains("sesame") && !detail.contains("://127") && !detail.contains("Confirm you"),
                "{detail}"
            );
        }
    }
}

#[track_caller]
fn check(words: &str, kind: FailureKind) {
    let failure = failure(Ended::Exited(1), words, false);
    assert_eq!(failure.kind, kind, "{words}");
    assert!(!failure.detail.contains("://127") && !failure.detail.contains("://example"), "{}", failure.detail);
}

const REPORT: &str = "; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues?q= , filling out the \
                      appropriate issue template. Confirm you are on the latest version using  yt-dlp -U";

/// Recorded from runs against an origin on loopback.
#[test]
fn recorded_words_have_their_kind() {
    let webpage = |status: &str| {
        format!("ERROR: [generic] x: Unable to download webpage: HTTP Error {status} (caused by <HTTPError {status}>)")
    };
    let download = |what: &str| format!("ERROR: [download] Got error: {what}. Giving up after 1 retries");
    for (words, kind) in [
        (webpage("404: Not Found"), K::Unavailable),
        (webpage("410: Gone"), K::Unavailable),
        (webpage("403: Forbidden"), K::SiteBlocked),
        (webpage("401: Unauthorized"), K::LoginRequired),
        (webpage("429: Too Many Requests"), K::SiteRateLimited),
        (webpage("451: Unavailable For Legal Reasons"), K::GeoBlocked),
        (webpage("500: Internal Server Error"), K::Network),
        (webpage("503: Service Unavailable"), K::Network),
        (webpage("302: Found (redirect loop detected)"), K::Network),
        (download("HTTP Error 404: Not Found"), K::CorruptMedia),
        (download("HTTP Error 403: Forbidden"), K::SiteBlocked),
        (download("HTTP Error 503: Service Unavailable"), K::Network),
        (download("HTTPConnectionPool(host='127.0.0.1', port=8077): Read timed out."), K::Network),
        (download("5012 bytes read, 994988 more expected"), K::Network),
        ("ERROR: [generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge; see  https://github.com/yt-dlp/yt-dlp#impersonation  for how to install the required impersonation dependency, and try again with  --extractor-args \"generic:impersonate\"".into(), K::SiteBlocked),
        ("ERROR: Unsupported URL: http://127.0.0.1:8077/this-video-is-private".into(), K::UnsupportedUrl),
        ("ERROR: No suitable extractor found for URL http://127.0.0.1:8077/x.mp4".into(), K::UnsupportedUrl),
        ("\n\nERROR: Did not get any data blocks".into(), K::CorruptMedia),
        ("ERROR: RTMP download detected but \"rtmpdump\" could not be run. Please install".into(), K::UnsupportedUrl),
        ("ERROR: [generic] drm: This video is DRM protected".into(), K::DrmProtected),
        ("ERROR: m3u8 download detected but ffmpeg could not be found. Please install".into(), K::DrmProtected),
        (format!("ERROR: [generic] emptypl: No video formats found!{REPORT}"), K::ExtractorError),
        ("ERROR: [generic] a: Requested format is not available. Use --list-formats for a list of available formats".into(), K::FormatUnavailable),
        ("ERROR: unable to write data: [Errno 27] File too large".into(), K::TooLarge),
        ("ERROR: Unable to download video: [Errno 27] File too large".into(), K::TooLarge),
        ("ERROR: [generic] garbage: Unable to download webpage: ('Connection aborted.', BadStatusLine('SSH-2.0-OpenSSH\\r\\n')) (caused by TransportError(\"('Connection aborted.', BadStatusLine('SSH-2.0-OpenSSH\\\\r\\\\n'))\"))".into(), K::Network),
        ("ERROR: [generic] x: Unable to download webpage: HTTPConnection(host='127.0.0.1', port=1): Failed to establish a new connection: [Errno 111] Connection refused (caused by TransportError(\"HTTPConnection(host='127.0.0.1', port=1): Failed to establish a new connection: [Errno 111] Connection refused\"))".into(), K::Network),
        ("ERROR: [generic] x: Unable to download webpage: HTTPConnection(host='no.such.host.invalid', port=80): Failed to resolve 'no.such.host.invalid' ([Errno -2] Name or service not known) (caused by TransportError(\"HTTPConnection(host='no.such.host.invalid', port=80): Failed to resolve 'no.such.host.invalid' ([Errno -2] Name or service not known)\"))".into(), K::Network),
        (format!("ERROR: [generic] x: Unable to download webpage: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006) (caused by SSLError('[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)')){REPORT}"), K::Network),
        ("Traceback (most recent call last):\n  File \"x.py\", line 1080, in main\nyt_dlp.networking.exceptions.RequestError: No connection adapters were found for 'file:///etc/passwd'".into(), K::UnsupportedUrl),
        ("Traceback (most recent call last):\nyt_dlp.networking.exceptions.RequestError: file:// URLs are disabled by default in yt-dlp for security reasons. Use --enable-file-urls to enable at your own risk.".into(), K::UnsupportedUrl),
        ("Traceback (most recent call last):\nyt_dlp.networking.exceptions.NoSupportingHandlers: Unable to handle request: Unsupported url scheme: \"foo\" (requests, urllib, websockets)".into(), K::UnsupportedUrl),
        ("Traceback (most recent call last):\nValueError: Invalid IPv6 URL".into(), K::UnsupportedUrl),
        ("Traceback (most recent call last):\nMemoryError".into(), K::InvalidMedia),
        ("Traceback (most recent call last):\nKeyError: 'private'".into(), K::ExtractorError),
    ] {
        check(&words, kind);
    }
}

/// Copied from yt-dlp's source; the file is named beside it.
#[test]
fn words_of_the_source_have_their_kind() {
    for (file, words, kind) in [
        ("extractor/common.py", "This video is only available for registered users", K::LoginRequired),
        ("extractor/common.py", "This video is not available from your location due to geo restriction", K::GeoBlocked),
        ("extractor/common.py", "This video is DRM protected", K::DrmProtected),
        (
            "downloader/hls.py",
            "This format is DRM protected; Try selecting another format with --format",
            K::DrmProtected,
        ),
        ("utils/_utils.py", "The channel is not currently live", K::NotYetAvailable),
        ("extractor/generic.py", "'x' is not a valid URL", K::UnsupportedUrl),
        ("extractor/cbc.py", "This livestream has not yet started", K::NotYetAvailable),
        ("extractor/adn.py", "This video is not available yet. Release date: 2026-12-01", K::NotYetAvailable),
        ("extractor/eplus.py", "This live event will begin at 2026-12-01 12:00 JST", K::NotYetAvailable),
        ("extractor/twitter.py", "Twitter Space not started yet", K::NotYetAvailable),
        ("extractor/picarto.py", "Stream is offline", K::NotYetAvailable),
        ("extractor/bilibili.py", "This video is for premium members only", K::LoginRequired),
        ("extractor/bilibili.py", "You have exceeded the rate limit. Try again later", K::SiteRateLimited),
        ("extractor/damtomo.py", "You are rate-limited. Try again later.", K::SiteRateLimited),
        ("extractor/tiktok.py", "Your IP address is blocked from accessing this post", K::SiteBlocked),
        ("extractor/instagram.py", "You need to log in to access this content", K::LoginRequired),
        ("extractor/adn.py", "This video requires a subscription", K::LoginRequired),
        ("extractor/dropbox.py", "Password protected video, use --video-password <password>", K::LoginRequired),
        ("extractor/likee.py", "Video was deleted", K::Unavailable),
        ("extractor/bitchute.py", "Video is unavailable", K::Unavailable),
        ("extractor/bunnycdn.py", "This video does not exist", K::Unavailable),
        ("extractor/afreecatv.py", "The VOD does not exist", K::Unavailable),
        ("extractor/afreecatv.py", "This VOD is private", K::Private),
        ("extractor/iwara.py", "Private video. Login if you have permissions to watch", K::Private),
        ("extractor/niconico.py", "Login is required to access age-restricted content", K::AgeRestricted),
        ("extractor/ard.py", "This video is only available for age verified users or after 22:00", K::AgeRestricted),
        ("extractor/youtube/_video.py", "Sign in to confirm your age", K::AgeRestricted),
        ("extractor/mixcloud.py", "Track unavailable in your country due to licensing restrictions", K::GeoBlocked),
        ("extractor/kuwo.py", "This song is blocked in this region", K::GeoBlocked),
    ] {
        check(&format!("ERROR: [{file}] 1: {words}"), kind);
    }
}

/// Recorded from runs with our plugin against an origin on loopback.
#[test]
fn the_longest_wait_that_was_asked_for_in_the_end_is_told() {
    let error = "ERROR: [generic] a: Unable to download webpage: HTTP Error";
    let unavailable = format!("{error} 503: Service Unavailable (caused by <HTTPError 503: Service Unavailable>)\n");
    let limited = format!("{error} 429: Too Many Requests (caused by <HTTPError 429: Too Many Requests>)\n");
    let gone = format!("{error} 410: Gone (caused by <HTTPError 410: Gone>)\n");
    let refused = "ERROR: [site] 1: You have exceeded the rate limit. Try again later\n";
    for (stderr, seconds) in [
        (format!("@R 503 7\n{unavailable}"), Some(7)),
        (format!("@R 429 30\n{limited}"), Some(30)),
        (format!("@R 503 3\n@R 503 9\n@R 503 4\n{unavailable}"), Some(9)),
        (format!("@R 429 600\n{unavailable}"), None),
        (format!("@R 403 5\n{refused}"), Some(5)),
        (format!("@R 410 5\n{gone}"), None),
        (format!("@R 503 -1\n@R 503\n@R\n{unavailable}"), None),
        (unavailable, None),
    ] {
        let failure = failure(Ended::Exited(1), &stderr, false);
        assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{stderr}");
        assert!(failure.detail.starts_with("ERROR: "), "{stderr}");
    }
    assert_eq!(failure(Ended::Exited(1), "@R 503 7\n", false).detail, "yt-dlp exited with code 1");
}

#[test]
fn an_error_that_was_not_foreseen_is_not_read_as_what_it_happens_to_contain() {
    check(&format!("ERROR: [site] 1: Unable to extract private key{REPORT}"), K::ExtractorError);
    check(&format!("ERROR: [site] 1: Song id not found in webpage{REPORT}"), K::ExtractorError);
}

#[test]
fn how_it_ended_comes_before_what_it_said() {
    for (ended, kind) in [
        (Ended::TimedOut, K::Timeout),
        (Ended::Silent, K::Stalled),
        (Ended::Slow, K::Stalled),
        (Ended::Signalled(25), K::TooLarge),
        (Ended::Signalled(9), K::Internal),
        (Ended::Exited(2), K::Internal),
        (Ended::Exited(127), K::Internal),
    ] {
        assert_eq!(failure(ended, "ERROR: [site] 1: Private video", false).kind, kind, "{ended}");
    }
    assert_eq!(failure(Ended::Exited(1), "", false).detail, "yt-dlp exited with code 1");
}

#[test]
fn a_live_stream_that_wants_ffmpeg_is_told_from_encryption() {
    let words = "ERROR: m3u8 download detected but ffmpeg could not be found. Please install";
    assert_eq!(failure(Ended::Exited(1), words, true).kind, K::LiveNotSupported);
}
