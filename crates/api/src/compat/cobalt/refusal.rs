//! How cobalt says no: its codes, and which of them stands for each of ours.
//!
//! Every refusal has status 400, but the one for asking too often, 429, and what is no fault of the client, 500. A link's are
//! told by status (`tunnel`). There is no code here that cobalt's clients don't know.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use haul_shared::job::FailureKind;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::compat::door::KeyInPath;
use crate::error::{ApiError, Code};
use crate::limits::Class;
use crate::observe::RequestId;

/// Headers of rate limits, by draft 6 of the IETF's, and ours that say the same.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub(super) const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const OURS: [(&str, HeaderName); 3] =
    [("x-ratelimit-limit", LIMIT), ("x-ratelimit-remaining", REMAINING), ("x-ratelimit-reset", RESET)];

macro_rules! codes {
    ($($name:ident = $word:literal),* $(,)?) => {
        /// What cobalt's clients have a sentence for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Said {
            $($name),*
        }

        impl Said {
            /// The code, without the beginning that all have.
            fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word),*
                }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    HeaderAccept = "header.accept",
    HeaderContentType = "header.content_type",
    InvalidBody = "invalid_body",
    LinkMissing = "link.missing",
    LinkInvalid = "link.invalid",
    LinkUnsupported = "link.unsupported",
    ServiceDisabled = "service.disabled",
    FetchFail = "fetch.fail",
    FetchRate = "fetch.rate",
    FetchEmpty = "fetch.empty",
    FetchCritical = "fetch.critical",
    TooLong = "content.too_long",
    VideoUnavailable = "content.video.unavailable",
    VideoLive = "content.video.live",
    VideoPrivate = "content.video.private",
    VideoAge = "content.video.age",
    VideoRegion = "content.video.region",
    PostPrivate = "content.post.private",
    Drm = "youtube.drm",
    NoMatchingFormat = "youtube.no_matching_format",
    AuthKeyMissing = "auth.key.missing",
    AuthKeyNotFound = "auth.key.not_found",
    AuthNotConfigured = "auth.not_configured",
    RateExceeded = "rate_exceeded",
    Capacity = "capacity",
    Generic = "generic",
}

impl Said {
    /// What stands for a refusal of the API's.
    fn of_code(code: Code) -> Self {
        match code {
            Code::BadRequest
            | Code::MalformedJson
            | Code::RequestTimeout
            | Code::PayloadTooLarge
            | Code::IdempotencyConflict => Self::InvalidBody,
            Code::UnsupportedMediaType => Self::HeaderContentType,
            Code::Unauthorized => Self::AuthKeyNotFound,
            Code::Forbidden => Self::ServiceDisabled,
            // all else of an order was checked before: what is left is its address
            Code::InvalidRequest | Code::EgressDenied => Self::LinkInvalid,
            Code::UnsupportedUrl => Self::LinkUnsupported,
            Code::RateLimited | Code::QuotaExceeded => Self::RateExceeded,
            Code::ClientQueueFull | Code::QueueFull => Self::Capacity,
            Code::Cancelled | Code::Timeout => Self::FetchFail,
            Code::Expired => Self::FetchEmpty,
            Code::ServiceUnavailable => Self::FetchCritical,
            Code::NotFound
            | Code::MethodNotAllowed
            | Code::NotReady
            | Code::NotRetryable
            | Code::PreconditionFailed
            | Code::RangeNotSatisfiable
            | Code::Internal => Self::Generic,
        }
    }

    /// What stands for why a download failed.
    fn of_failure(kind: FailureKind) -> Self {
        match kind {
            FailureKind::UnsupportedUrl => Self::LinkUnsupported,
            FailureKind::EgressDenied => Self::LinkInvalid,
            FailureKind::Unavailable | FailureKind::NotYetAvailable => Self::VideoUnavailable,
            FailureKind::Private => Self::VideoPrivate,
            FailureKind::LoginRequired => Self::PostPrivate,
            FailureKind::AgeRestricted => Self::VideoAge,
            FailureKind::GeoBlocked => Self::VideoRegion,
            FailureKind::DrmProtected => Self::Drm,
            FailureKind::LiveNotSupported => Self::VideoLive,
            FailureKind::FormatUnavailable => Self::NoMatchingFormat,
            FailureKind::TooLong => Self::TooLong,
            FailureKind::InvalidMedia | FailureKind::CorruptMedia => Self::FetchEmpty,
            FailureKind::SiteRateLimited => Self::FetchRate,
            FailureKind::TooLarge
            | FailureKind::SiteBlocked
            | FailureKind::Network
            | FailureKind::Timeout
            | FailureKind::Stalled => Self::FetchFail,
            FailureKind::DiskFull => Self::Capacity,
            FailureKind::WorkerLost | FailureKind::StorageUnavailable | FailureKind::ExtractorError => {
                Self::FetchCritical
            }
            FailureKind::Internal => Self::Generic,
        }
    }

    /// What stands for a refusal by its own code.
    fn of(error: &ApiError) -> Self {
        let code = Code::ALL.into_iter().find(|code| error.is(*code)).map(Self::of_code);
        let failure = || FailureKind::of_code(error.code()).map(Self::of_failure);
        code.or_else(failure).unwrap_or(Self::Generic)
    }
}

/// A refusal in cobalt's words.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    said: Said,
    context: Option<Value>,
    headers: HeaderMap,
}

impl Refusal {
    /// One of the client's making.
    pub(super) fn of(said: Said) -> Self {
        Self { status: StatusCode::BAD_REQUEST, said, context: None, headers: HeaderMap::new() }
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same, and when to ask again.
    pub(super) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        self
    }

    /// One of ours, with its headers.
    pub(super) fn of_error(error: &ApiError) -> Self {
        let said = Said::of(error);
        let status = match said {
            Said::RateExceeded => StatusCode::TOO_MANY_REQUESTS,
            Said::Capacity => StatusCode::BAD_REQUEST,
            _ if error.status().is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let wait = || error.asks_to_wait().map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64);
        let limit = if said == Said::RateExceeded { window(error.headers()).or_else(wait) } else { None };
        let context = limit.map(|limit| json!({ "limit": limit }));
        let mut headers = error.headers().clone();
        headers.extend(wait().map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait))));
        Self { status, said, context, headers }
    }
}

/// The seconds of `20;w=60`.
fn window(headers: &HeaderMap) -> Option<u64> {
    headers.get(POLICY)?.to_str().ok()?.split_once(";w=")?.1.parse().ok()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": format!("error.api.{}", self.said.word()) });
        if let Some(context) = self.context {
            error["context"] = context;
        }
        let mut body = json!({ "status": "error", "error": error });
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            body["critical"] = Value::Bool(true);
        }
        let mut response = (self.status, self.headers, Json(body)).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // cobalt asks in no scheme that a browser could ask its user for
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response
    }
}

/// Why a request is refused: for a reason of the API's, which is written last of all, or of the dialect's own.
pub(super) enum No {
    Ours(ApiError),
    Cobalts(Refusal),
}

impl From<ApiError> for No {
    fn from(error: ApiError) -> Self {
        Self::Ours(error)
    }
}

impl From<Said> for No {
    fn from(said: Said) -> Self {
        Self::Cobalts(Refusal::of(said))
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        match self {
            Self::Ours(error) => error.into_response(),
            Self::Cobalts(refusal) => refusal.into_response(),
        }
    }
}

/// Writes a refusal of the API's.
pub(super) fn write(error: &ApiError, _: &RequestId) -> Response {
    Refusal::of_error(error).into_response()
}

/// Layer: whether a key was sent at all is another code.
pub(super) async fn tell_missing_key(request: Request, next: Next) -> Response {
    let has_key =
        request.headers().contains_key(header::AUTHORIZATION) || request.extensions().get::<KeyInPath>().is_some();
    let response = next.run(request).await;
    let is_refused = response.extensions().get::<ApiError>().is_some_and(|error| error.is(Code::Unauthorized));
    if is_refused && !has_key { Refusal::of(Said::AuthKeyMissing).into_response() } else { response }
}

/// Layer: says how a caller stands in the headers that cobalt has for it.
pub(super) async fn tell_rate(State(class): State<Class>, request: Request, next: Next) -> Response {
    let rate = request.extensions().get::<Caller>().and_then(|caller| class.rate(caller));
    let mut response = next.run(request).await;
    let Some(rate) = rate else { return response };
    let policy = format!("{};w={}", rate.count, rate.per.as_secs().max(1));
    let told = |headers: &HeaderMap| {
        let known = |(ours, name): (&str, HeaderName)| Some((name, headers.get(ours)?.clone()));
        let mut told: Vec<_> = OURS.into_iter().filter_map(known).collect();
        told.extend(HeaderValue::from_str(&policy).ok().filter(|_| !told.is_empty()).map(|policy| (POLICY, policy)));
        told
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let headers = told(error.headers());
        let error = headers.into_iter().fold(error, |error, (name, value)| error.header(name, value));
        response.extensions_mut().insert(error);
    }
    let headers = told(response.headers());
    response.headers_mut().extend(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clients of cobalt 11 know, without `error.api.`.
    const KNOWN: &str = "header.accept header.content_type link.missing link.invalid link.unsupported \
        service.unsupported service.disabled service.audio_not_supported fetch.fail fetch.rate fetch.empty fetch.critical \
        fetch.critical.core fetch.short_link content.too_long content.video.unavailable content.video.live \
        content.video.private content.video.age content.video.region content.region content.paid content.post.unavailable \
        content.post.private content.post.age youtube.login youtube.token_expired youtube.drm youtube.decipher \
        youtube.no_matching_format youtube.no_hls_streams youtube.no_session_tokens youtube.api_error auth.key.missing \
        auth.key.not_api_key auth.key.invalid auth.key.not_found auth.key.invalid_ip auth.key.ip_not_allowed \
        auth.key.ua_not_allowed auth.jwt.missing auth.jwt.invalid auth.turnstile.missing auth.turnstile.invalid \
        auth.not_configured invalid_body generic rate_exceeded capacity";

    #[test]
    fn no_code_is_told_that_cobalts_clients_do_not_know() {
        for said in Said::ALL {
            assert!(KNOWN.split_whitespace().any(|known| known == said.word()), "{said:?}");
        }
    }

    #[test]
    fn every_refusal_of_ours_has_a_code_of_cobalts_and_a_status() {
        let table = [
            (Code::BadRequest, 400, "invalid_body"),
            (Code::MalformedJson, 400, "invalid_body"),
            (Code::Unauthorized, 400, "auth.key.not_found"),
            (Code::Forbidden, 400, "service.disabled"),
            (Code::NotFound, 400, "generic"),
            (Code::MethodNotAllowed, 400, "generic"),
            (Code::RequestTimeout, 400, "invalid_body"),
            (Code::IdempotencyConflict, 400, "invalid_body"),
            (Code::NotReady, 400, "generic"),
            (Code::Cancelled, 400, "fetch.fail"),
            (Code::NotRetryable, 400, "generic"),
            (Code::Expired, 400, "fetch.empty"),
            (Code::PreconditionFailed, 400, "generic"),
            (Code::PayloadTooLarge, 400, "invalid_body"),
            (Code::UnsupportedMediaType, 400, "header.content_type"),
            (Code::RangeNotSatisfiable, 400, "generic"),
            (Code::InvalidRequest, 400, "link.invalid"),
            (Code::UnsupportedUrl, 400, "link.unsupported"),
            (Code::EgressDenied, 400, "link.invalid"),
            (Code::RateLimited, 429, "rate_exceeded"),
            (Code::ClientQueueFull, 400, "capacity"),
            (Code::QuotaExceeded, 429, "rate_exceeded"),
            (Code::Internal, 500, "generic"),
            (Code::QueueFull, 400, "capacity"),
            (Code::ServiceUnavailable, 500, "fetch.critical"),
            (Code::Timeout, 500, "fetch.fail"),
        ];
        assert!(table.iter().map(|(code, ..)| *code).eq(Code::ALL));
        for (code, status, word) in table {
            let refusal = Refusal::of_error(&ApiError::new(code));
            assert_eq!((refusal.status.as_u16(), refusal.said.word()), (status, word), "{code:?}");
        }
    }

    #[test]
    fn every_failure_of_a_download_has_a_code_of_cobalts() {
        let table = [
            (FailureKind::UnsupportedUrl, "link.unsupported"),
            (FailureKind::Unavailable, "content.video.unavailable"),
            (FailureKind::Private, "content.video.private"),
            (FailureKind::LoginRequired, "content.post.private"),
            (FailureKind::AgeRestricted, "content.video.age"),
            (FailureKind::GeoBlocked, "content.video.region"),
            (FailureKind::DrmProtected, "youtube.drm"),
            (FailureKind::LiveNotSupported, "content.video.live"),
            (FailureKind::NotYetAvailable, "content.video.unavailable"),
            (FailureKind::FormatUnavailable, "youtube.no_matching_format"),
            (FailureKind::TooLarge, "fetch.fail"),
            (FailureKind::TooLong, "content.too_long"),
            (FailureKind::EgressDenied, "link.invalid"),
            (FailureKind::InvalidMedia, "fetch.empty"),
            (FailureKind::SiteRateLimited, "fetch.rate"),
            (FailureKind::SiteBlocked, "fetch.fail"),
            (FailureKind::Network, "fetch.fail"),
            (FailureKind::Timeout, "fetch.fail"),
            (FailureKind::Stalled, "fetch.fail"),
            (FailureKind::CorruptMedia, "fetch.empty"),
            (FailureKind::WorkerLost, "fetch.critical"),
            (FailureKind::DiskFull, "capacity"),
            (FailureKind::StorageUnavailable, "fetch.critical"),
            (FailureKind::ExtractorError, "fetch.critical"),
            (FailureKind::Internal, "generic"),
        ];
        assert!(table.iter().map(|(kind, _)| *kind).eq(FailureKind::ALL));
        for (kind, word) in table {
            assert_eq!(Said::of(&ApiError::no_result(kind)).word(), word, "{kind:?}");
        }
    }

    #[test]
    fn who_asks_too_often_is_told_the_window_or_how_long_to_wait() {
        let error = ApiError::new(Code::RateLimited).retry_after(Duration::from_secs(7));
        assert_eq!(Refusal::of_error(&error).context, Some(json!({ "limit": 7 })));
        let error = error.header(POLICY, HeaderValue::from_static("20;w=60"));
        assert_eq!(Refusal::of_error(&error).context, Some(json!({ "limit": 60 })));
    }
}
