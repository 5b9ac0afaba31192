//! The words that decide where no class does: of the pinned yt-dlp's source, and of sites as it passes them on.
//!
//! Each table is read from the top, all in lower case. What is in none of them is `extractor_error`, counted, and logged
//! with its words: that is where the next line comes from.

use haul_shared::job::FailureKind;

use FailureKind as K;

type Table = &'static [(&'static [&'static str], FailureKind)];

const TAKEN_FOR_A_BOT: &[&str] = &["anti-bot", "cloudflare", "captcha", "not a bot"];

/// Of a downloader: the site names a part that it does not have; another look may name others.
pub(super) const MISSING_PART: Table = &[
    (&["[download] got error: http error 404", "[download] got error: http error 410"], K::CorruptMedia),
    (&["unable to download video data: http error 404"], K::CorruptMedia),
    (&["unable to download video data: http error 410"], K::CorruptMedia),
    (&["not found, unable to continue", "fragment not found", "unable to open fragment"], K::CorruptMedia),
    (&["did not get any data blocks", "downloaded file is empty"], K::CorruptMedia),
];

/// Words that mean the same from any part of yt-dlp, also in an error that it did not foresee.
pub(super) const EVERYWHERE: Table = &[
    (&["file too large", "larger than max-filesize"], K::TooLarge),
    (&["no space left on device", "disk quota exceeded"], K::DiskFull),
    (&["unsafe file extension", "is unusual and will be skipped"], K::InvalidMedia),
    // the operator's, not the site's
    (&["unable to connect to proxy"], K::Internal),
    (&["http error 429", "too many requests"], K::SiteRateLimited),
    (&["http error 451"], K::GeoBlocked),
    (TAKEN_FOR_A_BOT, K::SiteBlocked),
    (&["http error 401", "http error 402"], K::LoginRequired),
    (&["http error 403"], K::SiteBlocked),
    (&["http error 404", "http error 410"], K::Unavailable),
    (&["http error 5", "redirect loop", "http error 408"], K::Network),
    (
        &["unsupported url", "file:// urls are disabled", "no connection adapters", "is not a valid url"],
        K::UnsupportedUrl,
    ),
    // the operator has left the fitting extractor out
    (&["no suitable extractor", "invalid ipv6 url", "unable to handle request"], K::UnsupportedUrl),
    // a protocol that only a program speaks which is never there
    (&["rtmp download detected"], K::UnsupportedUrl),
    (
        &["giving up after", "timed out", "failed to resolve", "connection", "incompleteread", "transporterror"],
        K::Network,
    ),
    (&["ssl:", "certificate", "bytes read", "bytes, expected", "remote end closed"], K::Network),
];

/// Words of an extractor that foresaw the error.
pub(super) const FORESEEN: Table = &[
    (&["drm"], K::DrmProtected),
    (&["requested format is not available"], K::FormatUnavailable),
    (&["geo restrict", "geo-restrict", "your country", "your region", "this region", "your location"], K::GeoBlocked),
    (&["geo block", "geo-block", "geoblock", "china only", "in taiwan only", "blocked by decision of"], K::GeoBlocked),
    (&["rate limit", "rate-limit", "try again later"], K::SiteRateLimited),
    (TAKEN_FOR_A_BOT, K::SiteBlocked),
    (
        &["ip address is blocked", "your ip may be blocked", "ip is likely being blocked", "ip address is unable"],
        K::SiteBlocked,
    ),
    (
        &["unusual traffic", "request is blocked", "request is rejected", "been blocked due to", "fresh cookies"],
        K::SiteBlocked,
    ),
    (&["temporarily unavailable", "network error has occurred"], K::Network),
    // a part that our yt-dlp lacks
    (&["not found. please install"], K::Internal),
    (&["not yet", "not started", "will begin", "will start", "premieres in", "scheduled"], K::NotYetAvailable),
    (&["not available yet", "will be available", "not currently live", "is not live", "offline"], K::NotYetAvailable),
    (&["downloadable yet", "is processing", "or processing", "only available after"], K::NotYetAvailable),
    (&["confirm your age", "age-restricted", "age restricted", "age verif", "inappropriate for"], K::AgeRestricted),
    (&["older than", "adult verification"], K::AgeRestricted),
    (&["private"], K::Private),
    (&["log in", "login", "logged in", "logged-in", "sign in", "registered users", "authenticat"], K::LoginRequired),
    (&["subscri", "premium", "members", "password", "purchase", "payment", "ticket", "--cookies"], K::LoginRequired),
    (&["not have access", "account is needed", "account that", "not authorized", "supporter"], K::LoginRequired),
    (&["tv providers", "is locked"], K::LoginRequired),
    (
        &["does not exist", "doesn't exist", "was deleted", "been deleted", "removed", "no longer available"],
        K::Unavailable,
    ),
    (
        &["unavailable", "not available", "has expired", "is expired", "likely expired", "terminated", "not found"],
        K::Unavailable,
    ),
    (&["no longer exists", "has ended", "was ended", "space ended"], K::Unavailable),
    // a page that was understood, and has nothing
    (&["no video", "no media found", "not a video", "contain a video", "contain any video"], K::UnsupportedUrl),
    (&["have a video", "have any videos", "contain audio", "website is no"], K::UnsupportedUrl),
];

/// yt-dlp wants ffmpeg to fetch it: a live stream, or encryption that it leaves to ffmpeg.
pub(super) const WANTS_FFMPEG: &str = "ffmpeg could not be found";

/// The first line of the table of which a word is among these.
pub(super) fn find(table: Table, words: &str) -> Option<FailureKind> {
    table.iter().find(|(any, _)| any.iter().any(|some| words.contains(some))).map(|(_, kind)| *kind)
}
