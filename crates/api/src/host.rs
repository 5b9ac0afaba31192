//! Which host a request is for: exactly one, as HTTP wants it (RFC 9112 §3.2).
//!
//! We serve whatever host is asked for; one may be a dialect's (`compat`). But a proxy before us that believes the first of two, and a cache that believes the
//! second, would keep one's answer for the other. hyper leaves this to us.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::{ApiError, Code};

/// Layer: refuses a request that names no host, several, or one that can be none.
pub async fn named_once(request: Request, next: Next) -> Response {
    let mut named = request.headers().get_all(header::HOST).iter();
    let detail = match (named.next(), named.next()) {
        (_, Some(_)) => "There is more than one header Host.",
        (None, None) if request.version() == Version::HTTP_11 => "The header Host is missing.",
        (Some(host), None) if !is_host(host) => "The header Host is not a host.",
        (Some(_) | None, None) => return next.run(request).await,
    };
    ApiError::new(Code::BadRequest).detail(detail).into_response()
}

/// The host that a request is for, with its port if it says one: what its target says, else its only header.
#[must_use]
pub fn named(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut named = request.headers().get_all(header::HOST).iter();
    let only = named.next().filter(|host| is_host(host) && !host.is_empty())?;
    if named.next().is_some() { None } else { Authority::try_from(only.as_bytes()).ok() }
}

/// A host with or without a port, or nothing: that is sent for a target without a host.
fn is_host(value: &HeaderValue) -> bool {
    let authority = Authority::try_from(value.as_bytes());
    value.is_empty() || authority.is_ok_and(|authority| !authority.as_str().contains('@'))
}
