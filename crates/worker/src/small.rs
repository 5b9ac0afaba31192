//! Small files of strangers: subtitles and answers of other services, whole in memory, and pictures, in files.
//!
//! Every hop goes through the guard, and is told what headers and cookies are meant for it. Time and bytes are bounded.
//! Not here: media, which are `ytdlp`'s and the relay's to fetch; what the bytes are (whoever asked).

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use haul_shared::egress::Unreachable;
use haul_shared::job::FailureKind;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue, USER_AGENT};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::guard::Guard;
use crate::origin::{Asker, Connection, Silence, is_address, is_plain, next_bytes, target};

/// Of one address.
const MOST_HOPS: usize = 5;
/// Some sites answer nobody who does not say who asks.
const WHO: &str = "Mozilla/5.0 (compatible; Haul)";

/// First bytes that tell what a file is.
const HEAD: usize = 32;

/// How far one fetch may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the answer.
    pub bytes: usize,
    /// From the question to its last byte.
    pub wall: Duration,
}

/// Why there is nothing. No message holds the address.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// Not an http or https address.
    #[error("not an address of the web")]
    Address,
    /// The policy, or the resolver.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// More than are followed, or one that leads nowhere.
    #[error("too many redirects")]
    Redirects,
    /// Not a success.
    #[error("answered with {0}")]
    Status(u16),
    /// More bytes than were bargained for.
    #[error("the answer is too large")]
    TooLarge,
    /// Not in time.
    #[error("took too long")]
    TooLate,
    /// Compressed for the way, which was not asked for.
    #[error("the answer is encoded")]
    Encoded,
    /// The connection failed.
    #[error("the connection failed")]
    Failed,
}

impl NotFetched {
    /// Which failure it is of a job that can't do without.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable(Unreachable::Denied(_)) => FailureKind::EgressDenied,
            Self::Status(429) => FailureKind::SiteRateLimited,
            Self::Status(401 | 403) => FailureKind::SiteBlocked,
            Self::TooLarge => FailureKind::TooLarge,
            Self::Address => FailureKind::InvalidMedia,
            Self::Unreachable(Unreachable::Unresolved)
            | Self::Redirects
            | Self::Status(_)
            | Self::TooLate
            | Self::Encoded
            | Self::Failed => FailureKind::Network,
        }
    }
}

impl From<Silence> for NotFetched {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Denied(unreachable) => Self::Unreachable(unreachable),
            Silence::Unresolved => Self::Unreachable(Unreachable::Unresolved),
            Silence::Broken => Self::Failed,
        }
    }
}

/// Fetches what is at an address.
///
/// # Errors
/// [`NotFetched`].
pub async fn fetch(guard: &Guard, asker: &Asker, url: &str, bounds: Bounds) -> Result<Vec<u8>, NotFetched> {
    open(guard, asker, url, bounds).await?.whole().await
}

/// The same, to be read piece by piece.
///
/// # Errors
/// [`NotFetched`].
pub async fn open(guard: &Guard, asker: &Asker, url: &str, bounds: Bounds) -> Result<Answer, NotFetched> {
    let until = Instant::now() + bounds.wall;
    let opened = async {
        let mut url = Url::parse(url).map_err(|_| NotFetched::Address)?;
        for _ in 0..=MOST_HOPS {
            if !is_address(&url) {
                return Err(NotFetched::Address);
            }
            let mut connection = Connection::open(guard, &url).await?;
            let (head, body) = connection.get(&url, said(asker, &url)).await?.into_parts();
            match head.status {
                status if status.is_success() && is_plain(&head.headers) => {
                    return Ok(Answer { url, body, _connection: connection, left_bytes: bounds.bytes, until });
                }
                status if status.is_success() => return Err(NotFetched::Encoded),
                status if status.is_redirection() => {
                    url = target(&url, &head.headers).map_err(|_| NotFetched::Redirects)?;
                }
                status => return Err(NotFetched::Status(status.as_u16())),
            }
        }
        Err(NotFetched::Redirects)
    };
    timeout_at(until, opened).await.map_err(|_| NotFetched::TooLate)?
}

/// What is said to an origin: by who asks, and by everybody.
fn said(asker: &Asker, url: &Url) -> HeaderMap {
    let mut headers = asker.headers_for(url);
    for (name, usual) in [(USER_AGENT, WHO), (ACCEPT, "*/*")] {
        headers.entry(name).or_insert(HeaderValue::from_static(usual));
    }
    headers
}

/// An answer that comes, within its bounds.
#[derive(Debug)]
pub struct Answer {
    url: Url,
    body: Incoming,
    _connection: Connection,
    left_bytes: usize,
    until: Instant,
}

impl Answer {
    /// Where it came from, redirects followed.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// All of it.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub async fn whole(mut self) -> Result<Vec<u8>, NotFetched> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// All of it, into a new file as it comes: no more of it is in memory than a piece. Gives its first bytes, by which
    /// kinds of files are told apart.
    ///
    /// # Errors
    /// Those of the file, and [`NotFetched`] as one of them. Some of it may be in the file.
    pub async fn save(mut self, file: &Path) -> io::Result<Vec<u8>> {
        let mut file = File::create(file).await?;
        let mut head = Vec::with_capacity(HEAD);
        while let Some(piece) = self.next().await.map_err(io::Error::other)? {
            head.extend(piece.iter().take(HEAD - head.len()));
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        Ok(head)
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, NotFetched> {
        let next = timeout_at(self.until, next_bytes(&mut self.body)).await.map_err(|_| NotFetched::TooLate)??;
        if let Some(piece) = &next {
            self.left_bytes = self.left_bytes.checked_sub(piece.len()).ok_or(NotFetched::TooLarge)?;
        }
        Ok(next)
    }
}
