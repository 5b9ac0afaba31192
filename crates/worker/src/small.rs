//! Small files of strangers: subtitles and answers of other services, whole in memory, and pictures, in files.
//!
//! Every hop is judged by the egress policy, and the judged addresses are the ones that are dialled. Time and bytes are
//! bounded. Not here: media, which are `ytdlp`'s and the relay's to fetch; what the bytes are (whoever asked).

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use haul_shared::egress::{EgressPolicy, Unreachable};
use haul_shared::source::SourceUrl;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// Of one address.
const MOST_HOPS: usize = 5;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
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
    /// The connection failed.
    #[error("the connection failed")]
    Failed(#[source] reqwest::Error),
}

/// Fetches what is at an address, with these headers; cookies among them go to the first host only.
///
/// # Errors
/// [`NotFetched`].
pub async fn fetch(
    egress: &EgressPolicy,
    url: &str,
    headers: &HeaderMap,
    bounds: Bounds,
) -> Result<Vec<u8>, NotFetched> {
    open(egress, url, headers, bounds).await?.whole().await
}

/// The same, to be read piece by piece.
///
/// # Errors
/// [`NotFetched`].
pub async fn open(egress: &EgressPolicy, url: &str, headers: &HeaderMap, bounds: Bounds) -> Result<Answer, NotFetched> {
    let until = Instant::now() + bounds.wall;
    let opened = async {
        let mut url = SourceUrl::read(url).map_err(|_| NotFetched::Address)?;
        let mut headers = headers.clone();
        for _ in 0..=MOST_HOPS {
            let answer = ask(egress, &url, &headers).await?;
            let Some(next) = redirect(&url, &answer)? else {
                let url = Url::parse(url.expose()).map_err(|_| NotFetched::Address)?;
                return Ok(Answer { url, body: answer, left_bytes: bounds.bytes, until });
            };
            if next.host() != url.host() {
                headers.remove(COOKIE);
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(NotFetched::Redirects)
    };
    timeout_at(until, opened).await.map_err(|_| NotFetched::TooLate)?
}

/// An answer that comes, within its bounds.
#[derive(Debug)]
pub struct Answer {
    url: Url,
    body: Response,
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
        let next = timeout_at(self.until, self.body.chunk()).await.map_err(|_| NotFetched::TooLate)?.map_err(failed)?;
        if let Some(piece) = &next {
            self.left_bytes = self.left_bytes.checked_sub(piece.len()).ok_or(NotFetched::TooLarge)?;
        }
        Ok(next)
    }
}

async fn ask(egress: &EgressPolicy, url: &SourceUrl, headers: &HeaderMap) -> Result<Response, NotFetched> {
    let addresses = egress.addresses(url.host(), url.port()).await?;
    let mut client =
        Client::builder().no_proxy().user_agent(WHO).redirect(Policy::none()).connect_timeout(CONNECT_WITHIN);
    if let Host::Domain(name) = url.host() {
        client = client.resolve_to_addrs(name, &addresses);
    }
    let client = client.build().map_err(failed)?;
    client.get(url.expose()).headers(headers.clone()).send().await.map_err(failed)
}

/// Where to go on; `None`: the answer is here.
fn redirect(url: &SourceUrl, answer: &Response) -> Result<Option<SourceUrl>, NotFetched> {
    let status = answer.status();
    if status.is_success() {
        return Ok(None);
    }
    let target = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
    let target = target.ok_or(NotFetched::Status(status.as_u16()))?.to_str().map_err(|_| NotFetched::Redirects)?;
    let next = Url::parse(url.expose()).and_then(|url| url.join(target)).map_err(|_| NotFetched::Redirects)?;
    SourceUrl::read(next.as_str()).map(Some).map_err(|_| NotFetched::Redirects)
}

/// An error of the client shows the address.
fn failed(error: reqwest::Error) -> NotFetched {
    NotFetched::Failed(error.without_url())
}
