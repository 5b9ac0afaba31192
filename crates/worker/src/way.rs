//! By which way the bytes of a result came, and why not by a quicker one.

use haul_shared::job::Delivery;

use crate::{relay, segments};

/// The way of one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the range relay.
    Relay,
    /// By us, segment by segment.
    Native,
    /// By yt-dlp.
    Ytdlp(Why),
}

/// Why yt-dlp had to fetch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is no single file of an http(s) origin.
    Protocol,
    /// Only yt-dlp knows how to ask for it.
    Quirks,
    /// The relay saw that it can't do it safely.
    Relay(relay::NotHere),
    /// The fetcher of segments saw that it can't do it safely.
    Segments(segments::NotHere),
    /// The address was refused when it was new.
    Refused,
    /// The address was refused half-way, and so was a new one.
    Expired,
    /// The file changed twice while it was fetched.
    Changed,
    /// The connection broke too often.
    Broken,
}

impl Way {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        use Why::{Broken, Changed, Expired, Protocol, Quirks, Refused};
        let whys = [Protocol, Quirks, Refused, Expired, Changed, Broken].into_iter();
        let whys = whys.chain(relay::NotHere::all().map(Why::Relay));
        let whys = whys.chain(segments::NotHere::all().map(Why::Segments));
        [Self::Relay, Self::Native].into_iter().chain(whys.map(Self::Ytdlp))
    }

    /// As a job has it.
    #[must_use]
    pub fn delivery(self) -> Delivery {
        match self {
            Self::Relay => Delivery::Relay,
            Self::Native => Delivery::Native,
            Self::Ytdlp(_) => Delivery::Ytdlp,
        }
    }

    /// The words of the metric's labels: the way, and the reason.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Relay => ("relay", "fit"),
            Self::Native => ("native", "fit"),
            Self::Ytdlp(why) => ("ytdlp", why.word()),
        }
    }
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Quirks => "quirks",
            Self::Relay(not_here) => not_here.word(),
            Self::Segments(not_here) => not_here.word(),
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Changed => "changed",
            Self::Broken => "broken",
        }
    }
}
