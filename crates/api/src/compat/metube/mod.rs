//! `MeTube`'s dialect: its routes over our downloads, for the extensions, apps and scripts that speak it.
//!
//! An order is read in [`order`], a download shown in [`item`]; [`queue`] does what is asked. An item is named by the address
//! that was asked for, or by the id of a download; an address names all of its caller's downloads of it. What is not served
//! ([`about`]) is refused in words that a person can act on, and in the form that clients of `MeTube` show.

mod about;
mod clip;
mod item;
mod order;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use tower_http::cors::{AllowHeaders, CorsLayer};

use super::door::challenge;
use super::mount::Mount;
use super::{Dialect, Tongue, charged, guarded};
use crate::app::App;
use crate::config::CorsOrigins;
use crate::error::{ApiError, Code};
use crate::limits::Class;
use crate::observe::RequestId;
use crate::router::{LARGEST_BODY, allowed};

/// How long a browser remembers what it may send.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The dialect, at its place.
#[must_use]
pub fn dialect(app: &Arc<App>, mount: Mount) -> Dialect {
    let reading = Router::new()
        .route("/delete", post(queue::delete))
        .route("/start", post(queue::start))
        .route("/history", get(queue::history))
        .route("/download/{*path}", get(queue::download))
        .route("/audio_download/{*path}", get(queue::download))
        .route("/cancel-add", post(about::ok))
        .route("/version", get(about::version))
        .route("/presets", get(about::presets))
        .route("/cookie-status", get(about::cookie_status))
        .route("/upload-cookies", post(about::no_cookies))
        .route("/delete-cookies", post(about::no_cookies))
        .route("/subscriptions", get(about::subscriptions))
        .route("/subscribe", post(about::no_subscriptions))
        .route("/subscriptions/{what}", post(about::no_subscriptions));
    let ordering = Router::new().route("/add", post(queue::add)).route("/retry", post(queue::retry));
    let routes = charged(app, Class::Reads, reading).merge(charged(app, Class::Downloads, ordering));
    // there is no other page here than the API's own, which is for everybody
    let routes = guarded(app, LARGEST_BODY, routes).route("/", get(about::page));
    Dialect { tongue: Tongue::Metube, mount, routes, write, cors: cors(&app.config.cors) }
}

/// Pages of origins that are named may also send what a browser keeps for this service, as `MeTube` lets them.
fn cors(origins: &CorsOrigins) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_origin(allowed(origins)?)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        // the add-on for Firefox sends whatever headers its user was told to by a proxy
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(matches!(origins, CorsOrigins::These(_)))
        .max_age(REMEMBERED);
    Some(layer)
}

/// An answer as `MeTube` sends most of them: JSON that says it is text.
fn told<T: Serialize>(answer: &T) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    match serde_json::to_string(answer) {
        Ok(text) => (kind, text).into_response(),
        Err(error) => ApiError::new(Code::Internal).because(&error).into_response(),
    }
}

/// That what was asked is done.
fn ok() -> Value {
    json!({ "status": "ok" })
}

/// A refusal: of the three keys, each client reads one. Most take a 400 for what the user did wrong, and anything else for
/// trouble with the service, so that there are few other statuses.
fn write(error: &ApiError, _: &RequestId) -> Response {
    let said = sentence(error);
    let body = json!({ "status": "error", "msg": said, "error": said, "message": said });
    let mut response = (status(error.status()), Json(body)).into_response();
    if error.is(Code::Unauthorized) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge());
    }
    response
}

fn status(native: StatusCode) -> StatusCode {
    match native {
        StatusCode::UNAUTHORIZED
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::TOO_MANY_REQUESTS => native,
        status if status.is_client_error() => StatusCode::BAD_REQUEST,
        status => status,
    }
}

/// What is wrong, for who sees one line of it.
fn sentence(error: &ApiError) -> String {
    if !error.is(Code::InvalidRequest) || error.places().is_empty() {
        return error.sentence().to_owned();
    }
    let faults = error.places().iter().map(|fault| format!("{} {}", fault.pointer.trim_matches('/'), fault.detail));
    faults.collect::<Vec<_>>().join("; ")
}
