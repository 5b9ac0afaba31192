//! Writing a refusal: the one place where a problem's body is made, and where its cause is logged.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiError, Code, Fault};
use crate::observe::RequestId;

/// The body of every error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A name for the kind of problem; nothing is to be found there.
    #[serde(rename = "type")]
    #[schema(example = "urn:haul:problem:invalid_request")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What happened, for people.
    detail: Cow<'static, str>,
    /// What happened, for programs: stable, snake_case.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// What to quote when asking the operator.
    request_id: String,
    /// Seconds after which another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Every fault of the request at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

impl ApiError {
    /// Tells the log what went wrong inside, if anything did. Whoever shows a refusal calls it, once.
    pub fn log(&self, id: &RequestId) {
        if let Some(source) = &self.0.source {
            tracing::error!(request_id = %id, code = self.0.code, "request {id} failed: {source}");
        }
    }

    /// The body that a client reads.
    #[must_use]
    pub fn problem(&self, request: &RequestId) -> Problem {
        Problem {
            kind: format!("urn:haul:problem:{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            detail: self.0.detail.clone(),
            code: self.0.code,
            request_id: request.to_string(),
            retry_after: self.0.retry_after.map(whole_seconds),
            errors: self.0.faults.clone(),
        }
    }
}

/// Shows a refusal to those who can read this form of it: the status that they understand, the body, and headers that go
/// before those of the refusal.
pub type Writer = fn(&ApiError, &RequestId) -> Response;

/// A refusal as the contract has it.
#[must_use]
pub fn as_problem(error: &ApiError, id: &RequestId) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    (error.0.status, kind, Json(error.problem(id))).into_response()
}

/// Layer: gives every refusal its body, whoever made it.
pub async fn render(State(write): State<Writer>, id: RequestId, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(error) = refusal_in(&mut response) else { return response };
    error.log(&id);
    let mut shown = write(&error, &id);
    let mut headers = std::mem::take(response.headers_mut());
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(error.0.headers.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = error.0.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    headers.extend(std::mem::take(shown.headers_mut()));
    *shown.headers_mut() = headers;
    shown
}

/// Takes the refusal out of an answer, if it is one that was not written yet: ours, or one of the framework.
pub fn refusal_in(response: &mut Response) -> Option<ApiError> {
    let ours = response.extensions_mut().remove::<ApiError>();
    ours.or_else(|| is_bare(response).then(|| ApiError::new(Code::of_status(response.status()))))
}

/// Is this a refusal of the framework, with no body for programs?
fn is_bare(response: &Response) -> bool {
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    refused && content_type.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// What a panic in a handler becomes. What it said goes to the log; the hook of the runtime has said where.
pub fn of_panic(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::new(Code::Internal).into_response()
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_refusal_of_the_framework_is_one_of_ours_and_what_has_a_body_is_none() {
        let code_of = |mut response: Response| refusal_in(&mut response).map(|refusal| refusal.0.code);
        for (status, code) in [(504, "timeout"), (413, "payload_too_large"), (405, "method_not_allowed")] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(code_of(status.into_response()), Some(code));
            assert_eq!(code_of((status, "in words").into_response()), Some(code));
            assert_eq!(code_of((status, axum::response::Html("<p>")).into_response()), None, "{code}");
        }
        assert_eq!(code_of(ApiError::new(Code::QueueFull).into_response()), Some("queue_full"), "not only its status");
        assert_eq!(code_of("done".into_response()), None);
    }

    #[test]
    fn who_obeys_retry_after_is_not_refused_again() {
        for (wait, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(wait)), seconds);
        }
    }
}
