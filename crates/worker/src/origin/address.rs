//! Which addresses are asked for, what is said there of who asks, and where an answer sends on to.
//!
//! Not here: whether a host may be dialled (`shared::egress`).

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
