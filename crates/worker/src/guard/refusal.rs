//! What a guard refuses, and which failure of a job it is. The only place that knows both.

use haul_shared::egress::Denied;
use haul_shared::job::FailureKind;

/// Why something did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The policy does not allow it.
    #[error("the policy does not allow it: it {0}")]
    Denied(Denied),
    /// A question for what is no plain address of the web: with user information, say.
    #[error("what was asked for is no address of the web")]
    Target,
    /// A question for an address that is not of http.
    #[error("what was asked for is not reached by http")]
    Scheme,
    /// A question that could be read in two ways, or is too large.
    #[error("a question was not well-formed")]
    Malformed,
    /// More bytes than a job may have.
    #[error("more bytes came than may be taken")]
    Received,
    /// An answer that announces more than that.
    #[error("more bytes are announced than may be taken")]
    Announced,
    /// More bytes than a job may send.
    #[error("more bytes were sent than a download needs")]
    Sent,
    /// A connection brought less than 1 KiB/s.
    #[error("a connection was too slow")]
    Slow,
    /// No connection became free.
    #[error("too many connections were open")]
    Connections,
    /// More questions than any medium needs.
    #[error("too many questions were asked")]
    Requests,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Denied(Denied::Address),
        Self::Denied(Denied::Name),
        Self::Denied(Denied::Port),
        Self::Target,
        Self::Scheme,
        Self::Malformed,
        Self::Received,
        Self::Announced,
        Self::Sent,
        Self::Slow,
        Self::Connections,
        Self::Requests,
    ];

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.word(),
            Self::Target => "target",
            Self::Scheme => "scheme",
            Self::Malformed => "malformed",
            Self::Received => "received_bytes",
            Self::Announced => "announced_bytes",
            Self::Sent => "sent_bytes",
            Self::Slow => "slow",
            Self::Connections => "connections",
            Self::Requests => "requests",
        }
    }

    /// What a job has failed of, if this is why.
    #[must_use]
    pub fn kind(self) -> FailureKind {
        match self {
            Self::Denied(_) | Self::Target | Self::Sent => FailureKind::EgressDenied,
            Self::Scheme => FailureKind::UnsupportedUrl,
            // a medium in more pieces than any other has is one that is too large for us
            Self::Received | Self::Announced | Self::Requests => FailureKind::TooLarge,
            Self::Slow => FailureKind::Stalled,
            Self::Malformed | Self::Connections => FailureKind::Network,
        }
    }

    /// Can it be why a job fails? A question that nobody understood was not asked, and who waited in vain for a
    /// connection asks again: what the program makes of that stands.
    pub(super) fn is_of_the_job(self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Target
            | Self::Scheme
            | Self::Received
            | Self::Announced
            | Self::Sent
            | Self::Slow
            | Self::Requests => true,
            Self::Malformed | Self::Connections => false,
        }
    }

    /// Nothing may pass after it.
    pub(super) fn ends_all(self) -> bool {
        match self {
            Self::Received | Self::Sent | Self::Requests => true,
            Self::Denied(_)
            | Self::Target
            | Self::Scheme
            | Self::Malformed
            | Self::Announced
            | Self::Slow
            | Self::Connections => false,
        }
    }

    /// Is it why, where a job seems to have failed of this? Not of what has nothing to do with the net; and one slow
    /// connection is no better reason than one that will not pass.
    pub(super) fn explains(self, seeming: FailureKind) -> bool {
        match seeming {
            FailureKind::StorageUnavailable
            | FailureKind::DiskFull
            | FailureKind::WorkerLost
            | FailureKind::TooLong
            | FailureKind::DrmProtected
            | FailureKind::LiveNotSupported
            | FailureKind::EgressDenied
            | FailureKind::TooLarge => false,
            FailureKind::UnsupportedUrl
            | FailureKind::Unavailable
            | FailureKind::Private
            | FailureKind::LoginRequired
            | FailureKind::AgeRestricted
            | FailureKind::GeoBlocked
            | FailureKind::NotYetAvailable
            | FailureKind::FormatUnavailable
            | FailureKind::InvalidMedia
            | FailureKind::SiteRateLimited
            | FailureKind::SiteBlocked => self != Self::Slow,
            FailureKind::Network
            | FailureKind::Timeout
            | FailureKind::Stalled
            | FailureKind::CorruptMedia
            | FailureKind::ExtractorError
            | FailureKind::Internal => true,
        }
    }
}
