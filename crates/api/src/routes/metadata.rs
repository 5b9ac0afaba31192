//! Metadata without downloading.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use haul_shared::metadata::{Chapter, Entry, MediaFormat, Metadata, Subtitle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, ApiResult, Problem};
use crate::query::{NoParams, Params};
use crate::request::{check_address, read_address};

const HAUL_CACHE: HeaderName = HeaderName::from_static("haul-cache");

/// What is asked about.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataRequest {
    /// http or https, at most 2048 characters.
    #[schema(max_length = 2048)]
    url: String,
}

/// What is known of a medium, or of a playlist.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataView {
    id: Option<String>,
    extractor: Option<String>,
    title: Option<String>,
    uploader: Option<String>,
    duration_seconds: Option<f64>,
    is_live: bool,
    thumbnail_url: Option<String>,
    webpage_url: Option<String>,
    #[schema(format = "date")]
    upload_date: Option<String>,
    formats: Vec<FormatView>,
    /// The rungs of the quality ladder that it really has, highest first.
    qualities: Vec<String>,
    subtitles: Vec<SubtitleView>,
    chapters: Vec<ChapterView>,
    /// Of a playlist, at most 100.
    entries: Vec<EntryView>,
}

/// One stream that the site offers.
#[derive(Debug, Serialize, ToSchema)]
struct FormatView {
    format_id: String,
    ext: String,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    vcodec: Option<String>,
    acodec: Option<String>,
    bitrate_kbps: Option<f64>,
    size_bytes: Option<u64>,
    protocol: String,
}

/// A language in which subtitles exist.
#[derive(Debug, Serialize, ToSchema)]
struct SubtitleView {
    language: String,
    name: Option<String>,
    automatic: bool,
}

/// A chapter; seconds from the start.
#[derive(Debug, Serialize, ToSchema)]
struct ChapterView {
    title: Option<String>,
    start: f64,
    end: Option<f64>,
}

/// An entry of a playlist.
#[derive(Debug, Serialize, ToSchema)]
struct EntryView {
    url: Option<String>,
    title: Option<String>,
    duration_seconds: Option<f64>,
}

/// What is at an address.
#[utoipa::path(
    post, path = "/api/v1/metadata", tag = "metadata", request_body = MetadataRequest,
    responses(
        (status = 200, description = "What is there.", body = MetadataView, headers(
            ("Haul-Cache" = String, description = "`hit`, `miss` or `stale`"),
            ("Age" = u64, description = "How old it is, in seconds."),
        )),
        (status = 403, description = "`private`, `login_required`, `age_restricted`, `geo_blocked`, `drm_protected`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`unavailable`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not_yet_available`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "`network`, `site_blocked`, `extractor_error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`site_rate_limited`", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "`timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn look(
    State(app): State<Arc<App>>,
    caller: Caller,
    _: NoParams,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let source = read_address(&body, &app.rules.egress).inspect_err(|refusal| app.count_refusal(refusal))?;
    let answer = app.metadata.get(&source, &caller).await;
    app.metrics.saw_metadata(answer.origin);
    let cache = HeaderValue::from_static(answer.origin.word());
    let age = HeaderValue::from(answer.age.as_secs());
    match answer.outcome {
        Ok(metadata) => {
            let headers = [(HAUL_CACHE, cache), (header::AGE, age)];
            Ok((headers, Json(MetadataView::of(&metadata))).into_response())
        }
        Err(refusal) => Err(refusal.header(HAUL_CACHE, cache).header(header::AGE, age)),
    }
}

/// Forget what is known of an address.
#[utoipa::path(
    delete, path = "/api/v1/metadata", tag = "metadata",
    params(("url" = String, Query, description = "The address.")),
    responses(
        (status = 204, description = "It is forgotten, if it was known."),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn forget(State(app): State<Arc<App>>, mut params: Params) -> ApiResult<StatusCode> {
    let url = params.text("url");
    params.end()?;
    let url = url.ok_or_else(|| ApiError::invalid_parameter("url", "is required"))?;
    app.metadata.forget(&check_address(&url, &app.rules.egress)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl MetadataView {
    fn of(metadata: &Metadata) -> Self {
        let metadata = metadata.clone();
        Self {
            id: metadata.id,
            extractor: metadata.extractor,
            title: metadata.title,
            uploader: metadata.uploader,
            duration_seconds: metadata.duration_seconds,
            is_live: metadata.is_live,
            thumbnail_url: metadata.thumbnail_url,
            webpage_url: metadata.webpage_url,
            upload_date: metadata.upload_date,
            formats: metadata.formats.into_iter().map(FormatView::of).collect(),
            qualities: metadata.qualities,
            subtitles: metadata.subtitles.into_iter().map(SubtitleView::of).collect(),
            chapters: metadata.chapters.into_iter().map(ChapterView::of).collect(),
            entries: metadata.entries.into_iter().map(EntryView::of).collect(),
        }
    }
}

impl FormatView {
    fn of(format: MediaFormat) -> Self {
        let MediaFormat { format_id, ext, width, height, fps, vcodec, acodec, bitrate_kbps, size_bytes, protocol } =
            format;
        Self { format_id, ext, width, height, fps, vcodec, acodec, bitrate_kbps, size_bytes, protocol }
    }
}

impl SubtitleView {
    fn of(Subtitle { language, name, automatic }: Subtitle) -> Self {
        Self { language, name, automatic }
    }
}

impl ChapterView {
    fn of(Chapter { title, start, end }: Chapter) -> Self {
        Self { title, start, end }
    }
}

impl EntryView {
    fn of(Entry { url, title, duration_seconds }: Entry) -> Self {
        Self { url, title, duration_seconds }
    }
}
