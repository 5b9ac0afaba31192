//! Errors as clients see them: `application/problem+json` (RFC 9457).
//!
//! The only module that knows which status a fault has. A handler returns an [`ApiError`]; the problem itself is
//! written by [`render`], a layer around all routes, because only there the request's id is known, and because
//! refusals that no handler made (no such route, wrong method, a panic) then look the same. What went wrong
//! inside is logged there, once, and never sent.
//!
//! Not here: why a download failed (`shared::job::failure`); this module only gives such a failure a status.

mod code;
mod problem;

pub use code::Code;
pub use problem::{Problem, Writer, as_problem, of_panic, refusal_in, render};

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use haul_shared::egress::Denied;
use haul_shared::job::FailureKind;
use haul_shared::storage::StorageError;
use haul_shared::store::StoreError;
use rand::RngExt as _;
use serde::Serialize;
use utoipa::ToSchema;

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

/// One fault of a request, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer into the body (RFC 6901), or `/name` of a query parameter or header.
    #[schema(example = "/clip/end")]
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: Cow<'static, str>,
}

impl Fault {
    /// Something is wrong at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A refusal, on its way to a client.
#[derive(Clone)]
pub struct ApiError(Box<Refusal>);

#[derive(Clone)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
    source: Option<String>,
    denied: Option<Denied>,
}

impl ApiError {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let (status, code, sentence) = code.row();
        Self::with_status(status, code, sentence)
    }

    /// A body or query that parses but is wrong.
    #[must_use]
    pub fn invalid(faults: Vec<Fault>) -> Self {
        Self::new(Code::InvalidRequest).faults(faults)
    }

    /// A wrong query parameter or header.
    #[must_use]
    pub fn invalid_parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid(vec![Fault::new(format!("/{name}"), detail)])
    }

    /// The result of a download that failed was asked for.
    #[must_use]
    pub fn no_result(failure: FailureKind) -> Self {
        Self::with_status(StatusCode::CONFLICT, failure.code(), failure.sentence())
    }

    /// Metadata could not be found out, for this reason, of a site that may have asked to be left alone for so long.
    #[must_use]
    pub fn no_metadata(failure: FailureKind, asked: Option<Duration>) -> Self {
        use FailureKind as F;
        let status = match failure {
            F::Unavailable => StatusCode::NOT_FOUND,
            F::Private | F::LoginRequired | F::AgeRestricted | F::GeoBlocked | F::DrmProtected => StatusCode::FORBIDDEN,
            F::UnsupportedUrl
            | F::EgressDenied
            | F::LiveNotSupported
            | F::FormatUnavailable
            | F::TooLarge
            | F::TooLong
            | F::InvalidMedia => StatusCode::UNPROCESSABLE_ENTITY,
            F::NotYetAvailable => StatusCode::CONFLICT,
            F::Network | F::SiteBlocked | F::ExtractorError | F::CorruptMedia => StatusCode::BAD_GATEWAY,
            F::SiteRateLimited | F::WorkerLost | F::DiskFull | F::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            F::Timeout | F::Stalled => StatusCode::GATEWAY_TIMEOUT,
            F::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let error = Self::with_status(status, failure.code(), failure.sentence());
        // long enough for a site's own window to move, short enough for a person to wait
        let ours = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(60));
        match asked.or(ours) {
            Some(wait) => error.retry_after(wait),
            None => error,
        }
    }

    fn with_status(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self(Box::new(Refusal {
            status,
            code,
            detail: Cow::Borrowed(detail),
            faults: Vec::new(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then(not_all_at_once),
            headers: HeaderMap::new(),
            source: None,
            denied: None,
        }))
    }

    /// Says more exactly what is wrong than the code's sentence does.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Names the places.
    #[must_use]
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// Says when to come back. Rounded up to whole seconds and never 0: who obeys must not be refused again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Puts off when to come back, if it is sooner.
    pub fn no_sooner_than(&mut self, wait: Duration) {
        self.0.retry_after = Some(self.0.retry_after.unwrap_or_default().max(wait));
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Keeps what went wrong inside, for the log.
    #[must_use]
    pub fn because(mut self, source: &dyn std::error::Error) -> Self {
        self.0.source = Some(chain(source));
        self
    }

    /// Which part of an address the policy refused, if that is what it is about.
    #[must_use]
    pub fn denied(&self) -> Option<Denied> {
        self.0.denied
    }

    /// Keeps which part of an address the policy refused, for the metrics.
    #[must_use]
    pub fn because_denied(mut self, denied: Denied) -> Self {
        self.0.denied = Some(denied);
        self
    }

    /// How long the caller shall wait, if it is said.
    pub(crate) fn asks_to_wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Code and pointers in one line, for tests.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        let pointers: Vec<&str> = self.0.faults.iter().map(|fault| fault.pointer.as_str()).collect();
        format!("{} {}", self.0.code, pointers.join(" "))
    }

    /// Is it a refusal of this kind?
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code.word()
    }

    /// The code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.0.detail
    }

    /// The places that are wrong.
    #[must_use]
    pub fn places(&self) -> &[Fault] {
        &self.0.faults
    }

    /// What is added to the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The status it has.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }
}

/// When to come back to a service of which a part does not answer. Clients that were all refused at once should not all
/// come back at once, nor before the part had a chance.
#[must_use]
pub fn not_all_at_once() -> Duration {
    Duration::from_secs(rand::rng().random_range(5..=30))
}

/// An error and what is behind it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.0.status.as_u16(), self.0.code, self.0.faults)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let refusal = match &error {
            StoreError::Unavailable(_) | StoreError::OutOfMemory => Self::new(Code::ServiceUnavailable),
            StoreError::Unreadable(_) | StoreError::LeaseLost | StoreError::OtherShards { .. } => {
                Self::new(Code::Internal)
            }
        };
        refusal.because(&error)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let refusal = match &error {
            // a part of this service that does not answer; why is told by `results`, once for all who ask meanwhile
            StorageError::Refused(_) => return Self::new(Code::ServiceUnavailable),
            // the janitor, or the bucket's own rules, were faster than the record
            StorageError::NotFound => Self::new(Code::Expired),
            StorageError::RangeOutside => Self::new(Code::RangeNotSatisfiable),
            StorageError::Unavailable(_) | StorageError::Full => Self::new(Code::ServiceUnavailable),
            StorageError::File(_) => Self::new(Code::Internal),
        };
        refusal.because(&error)
    }
}

impl IntoResponse for ApiError {
    /// An answer without body: [`render`] writes it.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_failures_have_the_statuses_of_the_contract() {
        let table = [
            ("unavailable", 404),
            ("private", 403),
            ("login_required", 403),
            ("age_restricted", 403),
            ("geo_blocked", 403),
            ("drm_protected", 403),
            ("unsupported_url", 422),
            ("egress_denied", 422),
            ("not_yet_available", 409),
            ("network", 502),
            ("site_blocked", 502),
            ("extractor_error", 502),
            ("site_rate_limited", 503),
            ("timeout", 504),
        ];
        for (code, status) in table {
            let kind = FailureKind::of_code(code).unwrap();
            assert_eq!(ApiError::no_metadata(kind, None).status(), status, "{code}");
        }
        let wait = |asked| ApiError::no_metadata(FailureKind::SiteRateLimited, asked).0.retry_after;
        assert!(wait(None).is_some());
        let asked = Some(Duration::from_secs(7));
        assert_eq!(wait(asked), asked, "what the site says is passed on");
    }

    #[test]
    fn whatever_is_not_available_says_when_to_come_back_and_not_to_all_the_same() {
        let wait = |error: ApiError| error.0.retry_after.expect("a time").as_secs();
        let waits: Vec<u64> = (0..100).map(|_| wait(StoreError::OutOfMemory.into())).collect();
        assert!(waits.iter().all(|wait| (5..=30).contains(wait)) && waits.iter().any(|wait| *wait != waits[0]));
        for error in [
            StorageError::Full.into(),
            StorageError::Refused("no".into()).into(),
            ApiError::new(Code::of_status(StatusCode::SERVICE_UNAVAILABLE)),
            ApiError::new(Code::QueueFull),
        ] {
            assert!((5..=30).contains(&wait(error)));
        }
    }
}
