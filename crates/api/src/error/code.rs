//! The refusals that are no failures of a download, each with its one status, code and sentence.

use axum::http::StatusCode;

/// The refusals that are not failures of a download. One status, one stable code, one sentence each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`row` says what each means")]
pub enum Code {
    BadRequest,
    MalformedJson,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    IdempotencyConflict,
    NotReady,
    Cancelled,
    NotRetryable,
    Expired,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    InvalidRequest,
    UnsupportedUrl,
    EgressDenied,
    RateLimited,
    ClientQueueFull,
    QuotaExceeded,
    Internal,
    QueueFull,
    ServiceUnavailable,
    Timeout,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 26] = [
        Self::BadRequest,
        Self::MalformedJson,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdempotencyConflict,
        Self::NotReady,
        Self::Cancelled,
        Self::NotRetryable,
        Self::Expired,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::InvalidRequest,
        Self::UnsupportedUrl,
        Self::EgressDenied,
        Self::RateLimited,
        Self::ClientQueueFull,
        Self::QuotaExceeded,
        Self::Internal,
        Self::QueueFull,
        Self::ServiceUnavailable,
        Self::Timeout,
    ];

    /// Status, stable code, and the sentence for people.
    pub(crate) fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request", "The request could not be read."),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed_json", "The body is not valid JSON."),
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed: Authorization: Bearer KEY.")
            }
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This is not allowed to this caller."),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here."),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The header Allow names the methods that exist.")
            }
            Self::RequestTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time.")
            }
            Self::IdempotencyConflict => (
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "This Idempotency-Key was used before with another request.",
            ),
            Self::NotReady => (StatusCode::CONFLICT, "not_ready", "The download is not finished yet."),
            Self::Cancelled => (StatusCode::CONFLICT, "cancelled", "The download was cancelled."),
            Self::NotRetryable => {
                (StatusCode::CONFLICT, "not_retryable", "Only a failed or cancelled download can be retried.")
            }
            Self::Expired => (StatusCode::GONE, "expired", "The result was kept for its time and is deleted."),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition_failed", "The file is not the one that was meant.")
            }
            Self::PayloadTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body is larger than 64 KiB.")
            }
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be sent as application/json.",
            ),
            Self::RangeNotSatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The range begins beyond the end of the file.",
            ),
            Self::InvalidRequest => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "The request has faults; errors names each.")
            }
            Self::UnsupportedUrl => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "unsupported_url",
                "Only http and https addresses without user name or password can be downloaded.",
            ),
            Self::EgressDenied => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "egress_denied",
                "The address is not one that this service may reach.",
            ),
            Self::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests; Retry-After says when to go on.")
            }
            Self::ClientQueueFull => (
                StatusCode::TOO_MANY_REQUESTS,
                "client_queue_full",
                "This client has as many downloads waiting as it may have.",
            ),
            Self::QuotaExceeded => (
                StatusCode::TOO_MANY_REQUESTS,
                "quota_exceeded",
                "This API key has had as many bytes today as it may have; a new day begins at midnight UTC.",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong in this service."),
            Self::QueueFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_full",
                "The queue is full; Retry-After says when to try again.",
            ),
            Self::ServiceUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "A part of this service does not answer; try again soon.",
            ),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "No answer was found in time."),
        }
    }

    /// The stable code, as clients read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// What a refusal made by the framework (a bare status) is called.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::InvalidRequest,
            StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            StatusCode::SERVICE_UNAVAILABLE => Self::ServiceUnavailable,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_are_listed_in_their_order() {
        assert!(Code::ALL.into_iter().map(|code| code as usize).eq(0..=Code::Timeout as usize));
    }
}
