//! Why a download died, and what follows from it.
//!
//! The list is closed and drives action: [`FailureKind`] alone decides whether to try again, and has the
//! sentence that people read. Not here: which words of a program mean which kind (`worker::ytdlp::failure`).

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

/// The codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`sentence` says what each means")]
pub enum FailureKind {
    UnsupportedUrl,
    Unavailable,
    Private,
    LoginRequired,
    AgeRestricted,
    GeoBlocked,
    DrmProtected,
    LiveNotSupported,
    NotYetAvailable,
    FormatUnavailable,
    TooLarge,
    TooLong,
    EgressDenied,
    InvalidMedia,
    SiteRateLimited,
    SiteBlocked,
    Network,
    Timeout,
    Stalled,
    CorruptMedia,
    WorkerLost,
    DiskFull,
    StorageUnavailable,
    ExtractorError,
    Internal,
}

impl FailureKind {
    /// All kinds, in the contract's order.
    pub const ALL: [Self; 25] = [
        Self::UnsupportedUrl,
        Self::Unavailable,
        Self::Private,
        Self::LoginRequired,
        Self::AgeRestricted,
        Self::GeoBlocked,
        Self::DrmProtected,
        Self::LiveNotSupported,
        Self::NotYetAvailable,
        Self::FormatUnavailable,
        Self::TooLarge,
        Self::TooLong,
        Self::EgressDenied,
        Self::InvalidMedia,
        Self::SiteRateLimited,
        Self::SiteBlocked,
        Self::Network,
        Self::Timeout,
        Self::Stalled,
        Self::CorruptMedia,
        Self::WorkerLost,
        Self::DiskFull,
        Self::StorageUnavailable,
        Self::ExtractorError,
        Self::Internal,
    ];

    /// The stable code: on the wire, in Redis, as a metric label.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// Is another attempt worth it?
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.row().1
    }

    /// Does it speak against the site as a whole, as reached from here? It turned us away, or could not be reached, or
    /// sent nothing: the next job would fare no better, and what the breaker of a site counts is this
    /// (`docs/decisions/0009-breakers-in-the-scripts.md`). Everything else is the medium's trouble, or ours.
    #[must_use]
    pub fn blames_site(self) -> bool {
        match self {
            Self::SiteRateLimited | Self::SiteBlocked | Self::Network | Self::Stalled => true,
            Self::UnsupportedUrl
            | Self::Unavailable
            | Self::Private
            | Self::LoginRequired
            | Self::AgeRestricted
            | Self::GeoBlocked
            | Self::DrmProtected
            | Self::LiveNotSupported
            | Self::NotYetAvailable
            | Self::FormatUnavailable
            | Self::TooLarge
            | Self::TooLong
            | Self::EgressDenied
            | Self::InvalidMedia
            | Self::Timeout
            | Self::CorruptMedia
            | Self::WorkerLost
            | Self::DiskFull
            | Self::StorageUnavailable
            | Self::ExtractorError
            | Self::Internal => false,
        }
    }

    /// Does it speak of yt-dlp: is it what a site's page was read to mean? One that misreads pages says so in these words, and what
    /// is truly so is so for every version: of a new one and the others, each with its share of the same jobs, the rates of these
    /// are compared (`crate::rollout`). Everything else is the network's, the address's, the place's, or ours.
    #[must_use]
    pub fn blames_extractor(self) -> bool {
        match self {
            Self::UnsupportedUrl
            | Self::Unavailable
            | Self::Private
            | Self::LoginRequired
            | Self::AgeRestricted
            | Self::DrmProtected
            | Self::LiveNotSupported
            | Self::NotYetAvailable
            | Self::FormatUnavailable
            | Self::InvalidMedia
            // what an outdated yt-dlp is told by sites that have changed
            | Self::SiteBlocked
            | Self::CorruptMedia
            | Self::ExtractorError
            // also a yt-dlp that dies
            | Self::Internal => true,
            Self::GeoBlocked
            | Self::TooLarge
            | Self::TooLong
            | Self::EgressDenied
            | Self::SiteRateLimited
            | Self::Network
            | Self::Timeout
            | Self::Stalled
            | Self::WorkerLost
            | Self::DiskFull
            | Self::StorageUnavailable => false,
        }
    }

    /// What a person is told.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        self.row().2
    }

    /// Reads a code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    fn row(self) -> (&'static str, bool, &'static str) {
        const FINAL: bool = false;
        const RETRY: bool = true;
        match self {
            Self::UnsupportedUrl => {
                ("unsupported_url", FINAL, "No media that can be downloaded was found at this address.")
            }
            Self::Unavailable => ("unavailable", FINAL, "The media does not exist or was removed."),
            Self::Private => ("private", FINAL, "The media is private."),
            Self::LoginRequired => {
                ("login_required", FINAL, "The site shows this media only to people who are logged in.")
            }
            Self::AgeRestricted => ("age_restricted", FINAL, "The site shows this media only after an age check."),
            Self::GeoBlocked => ("geo_blocked", FINAL, "The site does not offer this media in the server's region."),
            Self::DrmProtected => ("drm_protected", FINAL, "The media is protected by DRM."),
            Self::LiveNotSupported => {
                ("live_not_supported", FINAL, "This is a live stream, and recording it was not asked for.")
            }
            Self::NotYetAvailable => ("not_yet_available", FINAL, "The media has not been published yet."),
            Self::FormatUnavailable => {
                ("format_unavailable", FINAL, "The media is not offered in the requested format or quality.")
            }
            Self::TooLarge => ("too_large", FINAL, "The media is larger than this service allows."),
            Self::TooLong => ("too_long", FINAL, "The media is longer than this service allows."),
            Self::EgressDenied => ("egress_denied", FINAL, "The address is not one that this service may reach."),
            Self::InvalidMedia => {
                ("invalid_media", FINAL, "What the site sent is not media of a kind that this service accepts.")
            }
            Self::SiteRateLimited => ("site_rate_limited", RETRY, "The site asks for fewer requests."),
            Self::SiteBlocked => ("site_blocked", RETRY, "The site refused the request."),
            Self::Network => ("network", RETRY, "The connection to the site failed."),
            Self::Timeout => ("timeout", RETRY, "The download took longer than this service allows."),
            Self::Stalled => ("stalled", RETRY, "The site stopped sending."),
            Self::CorruptMedia => ("corrupt_media", RETRY, "The downloaded media was incomplete or damaged."),
            Self::WorkerLost => ("worker_lost", RETRY, "The machine that worked on this download was lost."),
            Self::DiskFull => ("disk_full", RETRY, "The server ran out of disk space."),
            Self::StorageUnavailable => ("storage_unavailable", RETRY, "The result could not be stored."),
            Self::ExtractorError => ("extractor_error", RETRY, "The site's page could not be understood."),
            Self::Internal => ("internal", RETRY, "Something went wrong in this service."),
        }
    }
}

/// How one attempt, or the whole job, ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What drives action.
    pub kind: FailureKind,
    /// What the program said, for operators; at most [`Failure::DETAIL_LIMIT`] bytes.
    pub detail: String,
    /// How long the site asked to be left alone (`Retry-After`, RFC 9110 §10.2.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Bytes kept of what a program said.
    pub const DETAIL_LIMIT: usize = 500;

    /// A failure whose detail is cut to the limit, at a character boundary.
    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        detail.truncate(detail.floor_char_boundary(Self::DETAIL_LIMIT));
        Self { kind, detail, retry_after: None }
    }

    /// The same, of a site that asked to be left alone for so long.
    #[must_use]
    pub fn after(mut self, asked: Option<Duration>) -> Self {
        self.retry_after = asked;
        self
    }
}

/// The longest that a site is believed when it asks to be left alone.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Doubled for each attempt made.
    pub base: Duration,
    /// Never longer than this.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(5), cap: Duration::from_secs(600) }
    }
}

impl RetryPolicy {
    /// The longest wait after this many attempts: `min(cap, base * 2^attempts)`.
    #[must_use]
    pub fn ceiling(&self, attempts: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(attempts)).min(self.cap)
    }

    /// Draws a wait between zero and the ceiling ("full jitter": retries of jobs that failed together spread out),
    /// but never below what the site asked for: that up to an hour, and up to a tenth above it.
    #[must_use]
    pub fn delay(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let mut rng = rand::rng();
        let own = self.ceiling(attempts).mul_f64(rng.random::<f64>());
        own.max(asked.unwrap_or_default().min(LONGEST_ASKED).mul_f64(rng.random_range(1.0..1.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_wire() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.code()));
            assert_eq!(FailureKind::of_code(kind.code()), Some(kind));
        }
    }

    #[test]
    fn what_is_tried_again_is_what_the_contract_says() {
        let of = |picked: fn(FailureKind) -> bool| {
            let codes: Vec<&str> =
                FailureKind::ALL.into_iter().filter(|kind| picked(*kind)).map(FailureKind::code).collect();
            codes.join(" ")
        };
        assert_eq!(
            of(FailureKind::is_retryable),
            "site_rate_limited site_blocked network timeout stalled corrupt_media worker_lost disk_full \
             storage_unavailable extractor_error internal"
        );
        assert_eq!(of(FailureKind::blames_site), "site_rate_limited site_blocked network stalled");
        assert_eq!(
            of(FailureKind::blames_extractor),
            "unsupported_url unavailable private login_required age_restricted drm_protected live_not_supported \
             not_yet_available format_unavailable invalid_media site_blocked corrupt_media extractor_error internal"
        );
    }

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let policy = RetryPolicy::default();
        let ceilings: Vec<u64> = [1, 2, 3, 7, 60].map(|n| policy.ceiling(n).as_secs()).to_vec();
        assert_eq!(ceilings, [10, 20, 40, 600, 600]);
        assert!((0..100).all(|_| policy.delay(1, None) <= policy.ceiling(1)));
    }

    #[test]
    fn the_wait_is_never_below_what_the_site_asked_for_up_to_an_hour() {
        let policy = RetryPolicy::default();
        let seconds = Duration::from_secs;
        for (attempts, asked, least, most) in [(1, 7, 7.0, 10.0), (1, 60, 60.0, 66.0), (1, 9000, 3600.0, 3960.0)] {
            let mut waits = (0..100).map(|_| policy.delay(attempts, Some(seconds(asked))).as_secs_f64());
            assert!(waits.all(|wait| (least..=most).contains(&wait)), "{asked}");
        }
        assert!((0..100).any(|_| policy.delay(7, Some(seconds(1))) > seconds(60)), "more than asked is kept");
    }

    /// Stored failures outlive the version that wrote them.
    #[test]
    fn a_failure_is_read_back_with_and_without_a_wait() {
        let stored = r#"{"kind":"network","detail":"x"}"#;
        let failure: Failure = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&failure).unwrap(), stored);
        let asked = failure.after(Some(Duration::from_secs(7)));
        assert_eq!(serde_json::from_str::<Failure>(&serde_json::to_string(&asked).unwrap()).unwrap(), asked);
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let failure = Failure::new(FailureKind::Internal, "é".repeat(400));
        assert_eq!(failure.detail.len(), Failure::DETAIL_LIMIT);
    }
}
