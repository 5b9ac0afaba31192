//! Who calls a dialect: a key in whatever way its clients can present one, and from whose page.
//!
//! The key is one of the keys file, and its holder the same caller as at the native routes. Where no keys are asked for, none
//! is needed here. Why a key may stand in a path: `docs/decisions/0039-dialects-have-places-of-their-own.md`.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::audit;
use crate::auth::{in_any_scheme, who};
use crate::body::is_json;
use crate::config::CorsOrigins;
use crate::error::{ApiError, Code};
use crate::page::is_sent_here;

/// What a path begins with that a key follows.
const KEY: &str = "/key/";

/// A key that stood in the path of a request.
#[derive(Clone)]
pub struct KeyInPath(pub String);

impl fmt::Debug for KeyInPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyInPath(..)")
    }
}

/// Tells `/key/KEY/rest` apart; `/rest` is left. Any other path is left as it is.
#[must_use]
pub fn split_key(path: &str) -> (Option<String>, &str) {
    let Some(rest) = path.strip_prefix(KEY).filter(|rest| !rest.is_empty()) else { return (None, path) };
    let (key, rest) = match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, "/"),
    };
    (Some(percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned()), rest)
}

/// Layer: lets in who has a key, where keys are asked for, and nobody whom a page sends that may not.
pub async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if !may_send(&app, request.method(), request.headers()) {
        let detail = "A page of another site sent this. Its origin has to be among HAUL_CORS_ORIGINS.";
        return ApiError::new(Code::Forbidden).detail(detail).into_response();
    }
    // who put a key into the path meant us; a header may be meant for a proxy on the way
    let in_path = request.extensions_mut().remove::<KeyInPath>().map(|KeyInPath(key)| key);
    let key = in_path.or_else(|| in_any_scheme(request.headers()));
    match who(&app, &request, key.as_deref()) {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(refusal) => {
            let detail = "A valid API key is needed: as the password of HTTP Basic, as Bearer or Api-Key, or in the address, \
                          behind /key/.";
            return refusal.detail(detail).into_response();
        }
    };
    audit::followed(request, next).await
}

/// Before a page sends JSON to another site, browsers ask that one, and are told what `HAUL_CORS_ORIGINS` says. Anything else
/// they send unasked, so that it has to be judged here.
fn may_send(app: &App, method: &Method, headers: &HeaderMap) -> bool {
    *method != Method::POST || is_json(headers) || is_let_in(app, headers)
}

/// Is this of no page, or of one whose origin is ours or was named?
pub(super) fn is_let_in(app: &App, headers: &HeaderMap) -> bool {
    if is_sent_here(headers, &app.base_url) {
        return true;
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| is_named(&app.config.cors, origin))
}

fn is_named(origins: &CorsOrigins, origin: &str) -> bool {
    match origins {
        CorsOrigins::Any => true,
        CorsOrigins::These(list) => list.iter().any(|named| named == origin),
    }
}

/// How browsers and apps are asked for a key.
#[must_use]
pub fn challenge() -> HeaderValue {
    HeaderValue::from_static("Basic realm=\"Haul\", charset=\"UTF-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_is_no_part_of_what_is_asked_for() {
        let table = [
            ("/key/k/add", Some("k"), "/add"),
            ("/key/k/", Some("k"), "/"),
            ("/key/k", Some("k"), "/"),
            ("/key/a%2Fb%20c/download/x", Some("a/b c"), "/download/x"),
            ("/key/", None, "/key/"),
            ("/key", None, "/key"),
            ("/keys/k/add", None, "/keys/k/add"),
            ("/add/key/k", None, "/add/key/k"),
        ];
        for (path, key, rest) in table {
            assert_eq!(split_key(path), (key.map(str::to_owned), rest), "{path}");
        }
        assert_eq!(format!("{:?}", KeyInPath("sesame".to_owned())), "KeyInPath(..)");
    }
}
