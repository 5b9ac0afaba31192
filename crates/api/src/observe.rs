//! What is known of every request from outside its handler: its id, its log line, its place in the metrics.
//!
//! A line says method, route, status and time. It has no address, no query and no body: those hold what clients
//! would not like to see in a log.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::app::App;
use crate::compat::Tongue;
use crate::spans;

/// The header that carries the id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What machines ask again and again.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What a request is called in the log, in its answer and in its problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that the client sent, if it is one: 1-64 of `[A-Za-z0-9_-]`; otherwise a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|text| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        });
        Self(sent.map_or_else(|| Uuid::new_v4().to_string().into(), Into::into))
    }

    fn value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("made of letters, digits, _ and -")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

/// Layer: names the request, and tells what became of it.
pub async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = method_word(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    // a path that matches nothing is input, and neither a label nor a line is made from input
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    // where a dialect is does not matter, and which one it is does
    let route = match request.extensions().get::<Tongue>() {
        Some(tongue) if path.is_some() => Cow::Owned(format!("{}:{route}", tongue.word())),
        Some(_) | None => Cow::Borrowed(route),
    };
    let route = &*route;

    let traced = match &path {
        // what machines ask all the time, and what leads nowhere, is nobody's question
        Some(_) if !PROBES.contains(&route) => spans::request(&app.config, (method, route), &id, request.headers()),
        _ => Span::none(),
    };
    let span = tracing::info_span!("request", %id);
    let mut response = next.run(request).instrument(span).instrument(traced.clone()).await;
    spans::answered(&traced, response.status());

    response.headers_mut().insert(REQUEST_ID, id.value());
    let (status, took) = (response.status().as_u16(), began.elapsed());
    app.metrics.saw_request(method, route, response.status(), took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // who watches a deployment asks every few seconds, which would bury what clients ask
    if PROBES.contains(&route) && response.status().is_success() {
        tracing::debug!(request_id = %id, method, route, status, duration_ms, "{method} {route} answered {status}");
    } else {
        tracing::info!(request_id = %id, method, route, status, duration_ms, "{method} {route} answered {status}");
    }
    response
}

/// The method, from a closed set.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_taken_over_and_any_other_replaced() {
        let long = "a".repeat(64);
        let longer = "a".repeat(65);
        for sane in ["a", "order_17-B", long.as_str()] {
            let headers = HeaderMap::from_iter([(REQUEST_ID, sane.parse().unwrap())]);
            assert_eq!(RequestId::of(&headers).to_string(), sane);
        }
        for other in ["", "a b", "a.b", "<script>", "é", longer.as_str()] {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(other.as_bytes()).unwrap())]);
            assert_eq!(RequestId::of(&headers).to_string().len(), 36, "{other}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
