//! Which addresses are asked for, what is said there of who asks, and where an answer sends on to.
//!
//! Not here: whether a host may be dialled (`guard`).

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, LOCATION};
use url::Url;

use super::{Cookies, Unfit};

/// As many as browsers follow, about.
pub(crate) const MOST_REDIRECTS: usize = 10;

/// Something that may be asked for, by whoever judges the host.
pub(crate) fn is_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none()
}

/// Who asks for what belongs to a medium, as its site knows him: with headers and cookies of one of its formats.
#[derive(Clone, Default)]
pub struct Asker {
    source: Option<Url>,
    headers: HeaderMap,
    cookies: Cookies,
}

/// Neither the URL nor a cookie is shown.
impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl Asker {
    pub(crate) fn of(source: Url, headers: HeaderMap, cookies: Cookies) -> Self {
        Self { source: Some(source), headers, cookies }
    }

    /// What is said at this address.
    pub(crate) fn headers_for(&self, url: &Url) -> HeaderMap {
        match &self.source {
            Some(source) => headers_for((source, &self.headers, &self.cookies), url),
            None => HeaderMap::new(),
        }
    }
}

/// The headers of a source, for a question to this address: with the cookies that are meant for it, and with what proves
/// who asks only where the source itself is (as curl does, without `--location-trusted`).
pub(crate) fn headers_for((source, headers, cookies): (&Url, &HeaderMap, &Cookies), url: &Url) -> HeaderMap {
    let mut headers = headers.clone();
    if url.origin() != source.origin() {
        headers.remove(AUTHORIZATION);
    }
    headers.remove(COOKIE);
    headers.extend(cookies.of(url).map(|cookies| (COOKIE, cookies)));
    headers
}

/// Where the redirect with this head leads, which may be no address.
///
/// # Errors
/// [`Unfit::Redirects`]: nowhere.
pub(crate) fn target(url: &Url, headers: &HeaderMap) -> Result<Url, Unfit> {
    let target = headers.get(LOCATION).and_then(|target| target.to_str().ok());
    target.and_then(|target| url.join(target).ok()).ok_or(Unfit::Redirects)
}
