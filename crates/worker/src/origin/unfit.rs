//! Why an origin can't be fetched from by us, whatever is fetched.
//!
//! Not here: what a relay or a stream of segments needs beyond that (`relay`, `segments`).

/// What an origin does, or does not, that leaves its bytes to yt-dlp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    /// Not http or https, without a host, or with user or password.
    #[error("an address has a form of its own")]
    Address,
    /// More redirects than a browser would follow, or one without a target.
    #[error("the redirects lead nowhere")]
    Redirects,
    /// Nobody answered in time, or not in HTTP/1.1.
    #[error("the origin could not be asked")]
    Unanswered,
    /// Neither the bytes nor one of the known refusals.
    #[error("the origin answered with a status of its own")]
    Status,
    /// The bytes are compressed for the way, so that offsets mean nothing.
    #[error("the bytes are encoded")]
    Encoded,
    /// Nothing tells how much is to come.
    #[error("the length is not known")]
    NoLength,
    /// The origin sent other bytes than it was asked for, or more.
    #[error("the origin sent another range")]
    WrongRange,
}

impl Unfit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Address,
        Self::Redirects,
        Self::Unanswered,
        Self::Status,
        Self::Encoded,
        Self::NoLength,
        Self::WrongRange,
    ];

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Redirects => "redirects",
            Self::Unanswered => "unanswered",
            Self::Status => "status",
            Self::Encoded => "encoded",
            Self::NoLength => "no_length",
            Self::WrongRange => "wrong_range",
        }
    }
}
