//! cobalt's dialect: an order is answered at once with a link, and the link with the file.
//!
//! An order is read in [`order`] and named in [`name`]; a link is made and read in [`link`], and answered in [`tunnel`].
//! [`refusal`] has cobalt's codes, of which there are no others. cobalt streams while it fetches and so answers 200 before it
//! knows that there is a file; here a link waits until there is one (`docs/decisions/0044-cobalts-links-wait-for-a-result.md`).

mod about;
mod link;
mod name;
mod order;
mod place;
mod refusal;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::{Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::mount::Mount;
use super::{Dialect, Tongue, charged, guarded};
use crate::app::App;
use crate::auth::identify_by_address;
use crate::limits::{Class, limit};
use place::Place;

/// Bytes of an order: cobalt's own limit.
const LARGEST_ORDER: usize = 1024;
/// How long a browser remembers what it may send.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The dialect, at its place.
#[must_use]
pub fn dialect(app: &Arc<App>, mount: Mount) -> Dialect {
    let place = Arc::new(Place::new(mount.clone()));
    let ordering = charged(app, Class::Downloads, Router::new().route("/", post(order::order)))
        .route_layer(from_fn_with_state(Class::Downloads, refusal::tell_rate));
    let ordering = guarded(app, LARGEST_ORDER, ordering)
        .route_layer(from_fn_with_state(Arc::clone(app), order::let_in_pages))
        .route_layer(from_fn(refusal::tell_missing_key));
    // no layer sets a time: an answer waits for the end of a job, as long as `tunnel` says
    let fetching = Router::new()
        .route("/tunnel", get(tunnel::fetch))
        .route_layer(from_fn_with_state((Arc::clone(app), Class::Reads), limit))
        .route_layer(from_fn_with_state(Class::Reads, refusal::tell_rate))
        .route_layer(from_fn_with_state(Arc::clone(app), identify_by_address));
    let open = Router::new()
        .route("/", get(about::instance))
        .route("/session", post(about::no_sessions))
        .fallback(about::elsewhere);
    let routes = ordering.merge(fetching).merge(open).layer(Extension(place));
    Dialect { tongue: Tongue::Cobalt, mount, routes, write: refusal::write, cors: Some(cors()) }
}

/// Any page may read what it is told; which may order, `order::let_in_pages` says.
fn cors() -> CorsLayer {
    let exposed = [
        header::RETRY_AFTER,
        header::CONTENT_DISPOSITION,
        header::CONTENT_RANGE,
        refusal::LIMIT,
        refusal::POLICY,
        refusal::REMAINING,
        refusal::RESET,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(REMEMBERED)
}
