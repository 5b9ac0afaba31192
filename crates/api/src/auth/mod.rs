//! Who is calling: a key, or an address; what the caller may have, and what it may see.
//!
//! With a keys file every route below `/api` wants a key. Without one the caller is an address, and the id of a job
//! is all that is needed to see it; it cannot be guessed.

mod allowance;
mod guarded;
mod issue;
mod keys;
mod presented;
mod ring;

pub use allowance::Allowance;
pub use guarded::{Exposed, exposed};
pub use issue::{Issued, KeyForm, NotIssued, issue};
pub use keys::{ApiKey, KeysError, OwnRates};
pub(crate) use presented::{bearer, in_any_scheme};
pub use ring::KeyRing;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use haul_shared::config::Mode;
use haul_shared::cookies::Jars;
use haul_shared::ids::{ClientKey, Region};
use haul_shared::metadata::Look;
use haul_shared::source::SourceUrl;
use haul_shared::store::{ClientLimits, Scope};
use haul_shared::webhook::Signing;
use ipnet::IpNet;

use crate::app::App;
use crate::audit;
use crate::client_ip::{client_ip, is_trusted};
use crate::config::Rates;
use crate::error::{ApiError, ApiResult, Code};

/// Who is calling. Taken from the request by handlers, put there by [`identify`] or [`identify_by_address`].
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom limits, idempotency and lists are counted against.
    pub client: ClientKey,
    /// What it may have in the queue.
    pub limits: ClientLimits,
    /// How often it may ask.
    pub rates: Rates,
    /// Where it is served, unless it asks for another region.
    pub region: Region,
    /// What it may see.
    pub sight: Sight,
    /// The name of its key, if it has one.
    pub key: Option<String>,
    /// What it may order.
    pub allowance: Arc<Allowance>,
    /// Whose cookies its orders may use.
    pub jars: Jars,
    /// What its webhooks are signed with; `None`: it can have none.
    pub signing: Option<Signing>,
}

/// What a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The jobs of its key.
    Own {
        /// And what programs said of failures.
        admin: bool,
    },
    /// Every job, also in lists: a private service without keys.
    All,
    /// Every job whose id it has, and no list: a stranger.
    Known,
}

impl Caller {
    /// May it see the jobs of this client?
    #[must_use]
    pub fn may_see(&self, client: &ClientKey) -> bool {
        match self.sight {
            Sight::Own { .. } => *client == self.client,
            Sight::All | Sight::Known => true,
        }
    }

    /// Whose jobs its lists and totals show.
    ///
    /// # Errors
    /// `forbidden` for a stranger.
    pub fn listing(&self) -> ApiResult<Scope> {
        match self.sight {
            Sight::Own { .. } => Ok(Scope::Client(self.client.clone())),
            Sight::All => Ok(Scope::Everyone),
            Sight::Known => {
                Err(ApiError::new(Code::Forbidden).detail("Lists and totals are not shown without an API key."))
            }
        }
    }

    /// An address, as it shows itself with the cookies that it may use.
    ///
    /// # Errors
    /// `forbidden` for a site that its key may not fetch from.
    pub fn look(&self, url: SourceUrl) -> ApiResult<Look> {
        self.allowance.permits_site(&url)?;
        Ok(Look { cookies: self.jars.for_url(&url), url, first: 1 })
    }

    /// May it read which sites others fetch from? Not with a key that is nobody's but its own.
    #[must_use]
    pub fn may_see_sites(&self) -> bool {
        self.sight != Sight::Own { admin: false }
    }

    /// May it read what programs said?
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.sight == Sight::Own { admin: true }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        // a route without the layer is a fault of ours
        parts.extensions.get().cloned().ok_or_else(|| ApiError::new(Code::Internal))
    }
}

/// Layer of `/api`: finds out who is calling, and refuses who has no key where keys are asked for.
pub async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let caller = match who(&app, &request, bearer(request.headers())) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    request.extensions_mut().insert(caller);
    audit::followed(request, next).await
}

/// Who is calling with this key, or without any.
///
/// # Errors
/// `unauthorized` where keys are asked for and this is none.
pub fn who(app: &App, request: &Request, key: Option<&str>) -> ApiResult<Caller> {
    match &app.keys {
        None => Ok(by_address(app, request)),
        Some(ring) => match key.and_then(|key| ring.find(key)) {
            Some(key) => Ok(by_key(app, request, key)),
            None => Err(unauthorized()),
        },
    }
}

/// Layer of the routes outside `/api` that have limits: the caller is its address, whatever else it sends.
pub async fn identify_by_address(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let caller = by_address(&app, &request);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn unauthorized() -> ApiError {
    ApiError::new(Code::Unauthorized).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn by_key(app: &App, request: &Request, key: ApiKey) -> Caller {
    let defaults = app.config.rates;
    let rates = Rates {
        metadata: key.rates.metadata.unwrap_or(defaults.metadata),
        downloads: key.rates.downloads.unwrap_or(defaults.downloads),
        reads: key.rates.reads.unwrap_or(defaults.reads),
    };
    Caller {
        client: ClientKey::of_api_key(&key.name),
        limits: ClientLimits {
            max_queued: key.max_queued.or(app.config.queue.client_max_queued),
            max_running: key.max_running.or(app.config.queue.client_max_running),
            weight: key.weight,
            rate: rates.downloads,
            bytes_per_day: key.bytes_per_day,
        },
        rates,
        region: region(app, request),
        sight: Sight::Own { admin: key.admin },
        key: Some(key.name),
        allowance: key.allowance,
        jars: Jars::These(key.cookies),
        signing: match key.webhook_secrets {
            Some(secrets) => Some(Signing { secrets, is_own: true }),
            None => signing_of_all(app),
        },
    }
}

fn by_address(app: &App, request: &Request) -> Caller {
    Caller {
        client: client_of(request, &app.config.trusted_proxies),
        limits: ClientLimits {
            max_queued: app.config.queue.client_max_queued,
            max_running: app.config.queue.client_max_running,
            weight: 1,
            rate: app.config.rates.downloads,
            bytes_per_day: None,
        },
        rates: app.config.rates,
        region: region(app, request),
        sight: match app.config.mode {
            Mode::Private => Sight::All,
            Mode::Public => Sight::Known,
        },
        key: None,
        allowance: Arc::default(),
        // without keys, a private service is one person's own
        jars: match app.config.mode {
            Mode::Private if app.keys.is_none() => Jars::All,
            Mode::Private | Mode::Public => Jars::None,
        },
        signing: signing_of_all(app),
    }
}

fn signing_of_all(app: &App) -> Option<Signing> {
    app.config.webhook_secrets.clone().map(|secrets| Signing { secrets, is_own: false })
}

/// Whose address it is, as far as these proxies are believed.
fn client_of(request: &Request, trusted: &[IpNet]) -> ClientKey {
    ClientKey::of_address(client_ip(peer(request), request.headers(), trusted))
}

/// Who is connected to us: the client, or a proxy.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // without a peer (a server that does not say it) all callers are one, which is safe, if unkind
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())
}

/// Where a caller is served that names no region.
fn region(app: &App, request: &Request) -> Region {
    let config = &app.config;
    let is_believed = is_trusted(peer(request), &config.trusted_proxies);
    let place = is_believed.then(|| config.places.region(request.headers())).flatten();
    place.unwrap_or(&config.region).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our server says of every request who sent it; with another, nobody would be without a limit.
    #[test]
    fn requests_that_come_from_nowhere_are_one_client() {
        let client = |claimed: &'static str| {
            let mut request = Request::new(axum::body::Body::empty());
            request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static(claimed));
            client_of(&request, &["127.0.0.0/8".parse().unwrap()])
        };
        assert_eq!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
