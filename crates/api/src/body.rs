//! Bodies: taken whole, within a size and a time, or refused with the right status.
//!
//! The size is set by the router's limit layer, the time here. What JSON has to say is checked in `request`, what forms
//! have in `page`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError};

use crate::error::{ApiError, Code};
use crate::request::Node;

/// How long a body may take to arrive: 64 KiB at the speed of a bad mobile connection.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A body of JSON.
#[derive(Debug)]
pub struct JsonBody(pub Node);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(Code::UnsupportedMediaType));
        }
        let body = whole(request.into_body()).await?;
        let node = Node::parse(&body)
            .map_err(|place| ApiError::new(Code::MalformedJson).detail(format!("The body is not JSON: {place}.")))?;
        Ok(Self(node))
    }
}

/// A body once all of it is there.
///
/// # Errors
/// `request_timeout`, `payload_too_large`, `bad_request`.
pub(crate) async fn whole(body: Body) -> Result<bytes::Bytes, ApiError> {
    tokio::time::timeout(ARRIVAL, read(body)).await.map_err(|_| ApiError::new(Code::RequestTimeout))?
}

async fn read(body: Body) -> Result<bytes::Bytes, ApiError> {
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_long(&error) => Err(ApiError::new(Code::PayloadTooLarge)),
        // the client went away, or sent what is no HTTP body
        Err(_) => Err(ApiError::new(Code::BadRequest)),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// `application/json`, or another JSON type such as `application/merge-patch+json`, with or without parameters.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_type() {
        let table = [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/problem+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ];
        for (kind, expected) in table {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
