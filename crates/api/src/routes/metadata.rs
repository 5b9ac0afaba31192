//! Metadata without downloading.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use haul_shared::metadata::Picture;
use haul_shared::source::SourceUrl;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::limits::Class;
use crate::metadata::{Answer, MetadataView};
use crate::query::{NoParams, Params};
use crate::request::{check_address, read_address};

const HAUL_CACHE: HeaderName = HeaderName::from_static("haul-cache");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is asked about.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataRequest {
    /// http or https, at most 2048 characters.
    #[schema(min_length = 1, max_length = 2048, example = "https://media.example/talk")]
    url: String,
}

/// Why nobody can say what is at an address, whatever is asked of it.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description: what is sent is made by `ApiError`")]
pub(super) enum NoLook {
    #[response(status = 404, description = "`unavailable`", content_type = "application/problem+json")]
    Unavailable(Problem),
    #[response(status = 409, description = "`not_yet_available`", content_type = "application/problem+json")]
    NotYet(Problem),
    #[response(
        status = 429,
        description = "`rate_limited`, `client_queue_full`",
        content_type = "application/problem+json"
    )]
    TooMany(Problem),
    #[response(
        status = 502,
        description = "`network`, `site_blocked`, `extractor_error`",
        content_type = "application/problem+json"
    )]
    Site(Problem),
    #[response(
        status = 503,
        description = "`site_rate_limited`, `queue_full`, `service_unavailable`",
        content_type = "application/problem+json"
    )]
    Later(Problem),
    #[response(status = 504, description = "`timeout`", content_type = "application/problem+json")]
    Late(Problem),
}

/// What is at an address.
#[utoipa::path(
    post, path = "/api/v1/metadata", tag = "metadata", request_body = MetadataRequest,
    responses(
        (status = 200, description = "What is there.", body = MetadataView, headers(
            ("Haul-Cache" = String, description = "`hit`, `miss` or `stale`"),
            ("Age" = u64, description = "How old it is, in seconds."),
        )),
        (status = 403, description = "`private`, `login_required`, `age_restricted`, `geo_blocked`, `drm_protected`; `forbidden`: a site that the key may not fetch from", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
        NoLook,
    )
)]
pub async fn look(
    State(app): State<Arc<App>>,
    caller: Caller,
    _: NoParams,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let source = read_address(&body, &app.rules.egress).inspect_err(|refusal| app.count_refusal(refusal))?;
    answered(&app, app.metadata.get(&caller.look(source)?, &caller).await)
}

/// Sends what is known, or why nothing is, and says where from.
pub(super) fn answered(app: &App, answer: Answer) -> ApiResult<Response> {
    app.metrics.saw_metadata(answer.origin);
    let cache = HeaderValue::from_static(answer.origin.word());
    let age = HeaderValue::from(answer.age.as_secs());
    match answer.outcome {
        Ok(body) => {
            let headers = [(HAUL_CACHE, cache), (header::AGE, age), (header::CONTENT_TYPE, JSON)];
            Ok((headers, body).into_response())
        }
        Err(refusal) => Err(refusal.header(HAUL_CACHE, cache).header(header::AGE, age)),
    }
}

/// The picture that metadata names as `thumbnail_url`, made small: a JPEG of at most 640 pixels on either side. The answer
/// waits for it up to 10 s, and is then `409 not_ready`. Where nothing is known of the address, somebody looks first, which
/// counts as a request for metadata.
#[utoipa::path(
    get, path = "/api/v1/metadata/thumbnail", tag = "metadata",
    params(("url" = String, Query, min_length = 1, max_length = 2048, description = "The address.")),
    responses(
        (status = 200, description = "The picture.", content_type = "image/jpeg", headers(
            ("Cache-Control" = String, description = "For how long it is good."),
        )),
        (status = 403, description = "as for metadata", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: there is none, or nothing could be made of it; `unavailable`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not_ready`, with `Retry-After`; `not_yet_available`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`, `client_queue_full`", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "as for metadata", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`site_rate_limited`, `queue_full`, `service_unavailable`", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "`timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn thumbnail(State(app): State<Arc<App>>, caller: Caller, params: Params) -> ApiResult<Response> {
    let what = caller.look(asked_about(&app, params)?)?;
    let kept = match app.metadata.kept_picture(&what).await? {
        Some(kept) => kept,
        None => {
            // first: who has to ask again for want of one has paid for no look
            let place = app.metadata.place_for_picture(&caller)?;
            if !app.metadata.is_known(&what).await {
                let charged = app.limits.charge(Class::Metadata, &caller);
                charged.inspect_err(|_| app.metrics.saw_rate_limit(Class::Metadata))?;
            }
            app.metadata.make_picture(&what, &caller, place, &app.shutdown).await?
        }
    };
    let Picture::Jpeg(jpeg) = kept.picture else { return Err(ApiError::new(Code::NotFound)) };
    let good_for = format!("private, max-age={}", kept.left.as_secs());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::try_from(good_for).map_err(|_| ApiError::new(Code::Internal))?),
        // what one key may see is not for another one of the same browser
        (header::VARY, HeaderValue::from_static("authorization")),
    ];
    Ok((headers, jpeg).into_response())
}

/// Forget what is known of an address, its picture and plans too.
#[utoipa::path(
    delete, path = "/api/v1/metadata", tag = "metadata",
    params(("url" = String, Query, min_length = 1, max_length = 2048, description = "The address.")),
    responses(
        (status = 204, description = "It is forgotten, if it was known."),
        (status = 403, description = "`forbidden`: a site that the key may not fetch from", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn forget(State(app): State<Arc<App>>, caller: Caller, params: Params) -> ApiResult<StatusCode> {
    app.metadata.forget(&caller.look(asked_about(&app, params)?)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The only parameter of both.
fn asked_about(app: &App, mut params: Params) -> ApiResult<SourceUrl> {
    let url = params.text("url");
    params.end()?;
    let url = url.ok_or_else(|| ApiError::invalid_parameter("url", "is required"))?;
    check_address(&url, &app.rules.egress).inspect_err(|refusal| app.count_refusal(refusal))
}
