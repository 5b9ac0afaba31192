//! Dialects: APIs of other programs, served so that the clients which speak them work with this service.
//!
//! Each is a thin module over what the native routes use (`submit`, `app`), off by default, and has a place of its own:
//! below a path, or a host name ([`mount`]). There, nothing native is reached, and elsewhere nothing of a dialect. Who may
//! call is found out in [`door`]. What each serves and what not is in `docs/COMPATIBILITY.md`.
//!
//! Not here: what a download is, how often a caller may ask, what a refusal is. A dialect has its own words for them, no
//! rules of its own.

pub mod cobalt;
pub mod door;
pub mod metube;
pub mod mount;
pub mod queued;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::StatusCode;
use axum::http::uri::{PathAndQuery, Uri};
use axum::middleware::from_fn_with_state;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::app::App;
use crate::error::Writer;
use crate::host;
use crate::limits::{Class, limit};
use crate::router::SOON;
use door::KeyInPath;
use mount::{Mount, Named, single_slashes};

/// Which dialect a request is spoken in. Among its extensions; what is counted and logged names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the programs")]
pub enum Tongue {
    Metube,
    Cobalt,
}

impl Tongue {
    /// What stands before a route in metrics and log lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Metube => "metube",
            Self::Cobalt => "cobalt",
        }
    }
}

/// One dialect, before it is served.
pub struct Dialect {
    /// Whose.
    pub tongue: Tongue,
    /// Where.
    pub mount: Mount,
    /// Its routes, from `/`, each behind [`door::guard`] and [`charged`] as far as it needs to be.
    pub routes: Router<Arc<App>>,
    /// How it says no.
    pub write: Writer,
    /// Whose pages may call it.
    pub cors: Option<CorsLayer>,
}

/// The dialects that are configured.
#[must_use]
pub fn dialects(app: &Arc<App>) -> Vec<Dialect> {
    let metube = app.config.compat.metube.clone().map(|mount| metube::dialect(app, mount));
    let cobalt = app.config.compat.cobalt.clone().map(|mount| cobalt::dialect(app, mount));
    metube.into_iter().chain(cobalt).collect()
}

/// Routes that cost their caller one of this class, and are answered within a time.
pub fn charged(app: &Arc<App>, class: Class, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SOON))
        .layer(from_fn_with_state((Arc::clone(app), class), limit));
    routes.route_layer(layers)
}

/// Routes that are for callers with a key, where keys are asked for, and take bodies of so many bytes.
pub fn guarded(app: &Arc<App>, largest_body: usize, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(app), door::guard))
        .layer(RequestBodyLimitLayer::new(largest_body));
    routes.route_layer(layers)
}

/// Native routes, and finished dialects beside them, each at its place.
pub fn beside(native: Router, dialects: Vec<(Mount, Tongue, Router)>) -> Router {
    if dialects.is_empty() {
        return native;
    }
    let dialects: Arc<[_]> = dialects.into();
    Router::new().fallback(move |mut request: Request| {
        let router = direct(&dialects, &mut request).unwrap_or_else(|| native.clone());
        async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
    })
}

/// The dialect that a request is for. Its path is then that within the dialect, and a key that stood there is beside it: nothing
/// that comes after, the log and the metrics among it, sees more of either.
fn direct(dialects: &[(Mount, Tongue, Router)], request: &mut Request) -> Option<Router> {
    // one that names several hosts, or none, is refused with the native routes
    let named = host::named(request).as_ref().and_then(Named::of);
    let path = request.uri().path();
    let at_host = dialects.iter().find(|(mount, ..)| named.as_ref().is_some_and(|named| mount.is_at(named)));
    let (found, within) = match at_host {
        Some(found) => (found, single_slashes(path)),
        None => dialects.iter().find_map(|found| Some((found, found.0.below(path)?)))?,
    };
    let (key, within) = door::split_key(&within);
    let within = within.to_owned();
    if let Some(key) = key {
        request.extensions_mut().insert(KeyInPath(key));
    }
    let (_, tongue, router) = found;
    request.extensions_mut().insert(*tongue);
    request.extensions_mut().remove::<OriginalUri>();
    if let Some(uri) = with_path(request.uri(), &within) {
        *request.uri_mut() = uri;
    }
    Some(router.clone())
}

/// The same target with another path. `None`: it has none (`*`, and what is sent with CONNECT), and no route either.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok().filter(|path| path.as_str().starts_with('/'))?);
    Uri::from_parts(parts).ok()
}
