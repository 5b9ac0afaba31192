//! Compression, for those who ask for it.
//!
//! The library's body has room for the state of every encoder, some ten kilobytes that each layer around it would move
//! with each answer. So it comes into play only when a request names encodings.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::ServiceExt as _;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

/// Layer: compresses what is worth it, when asked to.
pub async fn compress(mut request: Request, next: Next) -> Response {
    allow_plain(request.headers_mut());
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

/// Leaves out what refuses an answer as it is, which RFC 9110 §12.5.3 allows: the library would put 406 in the place of
/// whatever was answered, an order that was taken among it.
fn allow_plain(headers: &mut HeaderMap) {
    let refuses = |element: &str| {
        let (coding, weight) = element.split_once(';').unwrap_or((element, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
        matches!(coding.trim().to_ascii_lowercase().as_str(), "*" | "identity") && weight.parse() == Ok(0.0_f32)
    };
    let asked = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let elements: Vec<&str> = asked.flat_map(|text| text.split(',')).collect();
    if !elements.iter().any(|element| refuses(element)) {
        return;
    }
    let left: Vec<&str> = elements.into_iter().filter(|element| !refuses(element)).collect();
    match HeaderValue::from_str(&left.join(",")) {
        Ok(left) if !left.is_empty() => headers.insert(header::ACCEPT_ENCODING, left),
        Ok(_) | Err(_) => headers.remove(header::ACCEPT_ENCODING),
    };
}

/// Media bytes never are, nor is a ZIP of them.
fn worth_it() -> impl Predicate {
    let media = |kind| NotForContentType::const_new(kind);
    DefaultPredicate::new()
        .and(media("video/"))
        .and(media("audio/"))
        .and(media("application/octet-stream"))
        .and(media("application/zip"))
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
