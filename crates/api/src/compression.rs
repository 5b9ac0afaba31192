//! Compression, for those who ask for it.
//!
//! The library's body has room for the state of every encoder, some ten kilobytes that each layer around it would move
//! with each answer. So it comes into play only when a request names encodings.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::ServiceExt as _;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

/// Layer: compresses what is worth it, when asked to.
pub async fn compress(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ACCEPT_ENCODING) {
        return Box::pin(compressed(request, next)).await;
    }
    let mut response = next.run(request).await;
    let headers = response.headers();
    let is_final = headers.contains_key(header::CONTENT_ENCODING) || headers.contains_key(header::CONTENT_RANGE);
    if !is_final && worth_it().should_compress(&response) {
        // others would have got another form of it
        response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

async fn compressed(request: Request, next: Next) -> Response {
    let answer = Compression::new(next).compress_when(worth_it()).oneshot(request).await;
    let mut response = answer.unwrap_or_else(|never: Infallible| match never {}).map(Body::new);
    weaken_tag(&mut response);
    response
}

/// Media bytes never are.
fn worth_it() -> impl Predicate {
    let media = |kind| NotForContentType::const_new(kind);
    DefaultPredicate::new().and(media("video/")).and(media("audio/")).and(media("application/octet-stream"))
}

/// A compressed answer has not the bytes that its strong tag stands for (RFC 9110 §8.8.1).
fn weaken_tag(response: &mut Response) {
    if response.headers().contains_key(header::CONTENT_ENCODING)
        && let Some(tag) = response.headers_mut().get_mut(header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}
