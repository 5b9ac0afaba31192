//! Results on their way to clients: as a link to the store, and as bytes through this process.
//!
//! Bytes are sent as they are read, in constant memory. The store that cannot be reached directly (a directory)
//! has its links answered here as well.

mod fetchable;

pub(crate) use fetchable::Fetchable;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use haul_shared::job::{Job, Stored};
use haul_shared::storage::{LinkError, LinkSpec, ObjectKey, clean_stem, content_disposition, content_type_of};
use haul_shared::view::{filename, stem, time};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;
use utoipa::ToSchema;

use crate::app::{App, Id, IdAnd};
use crate::auth::Caller;
use crate::conditional::{Validators, Wanted, http_date, wanted};
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::query::{NoParams, Params};
use crate::spans::hand_over;
use crate::stored;

/// Where a result can be fetched, and what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// For anyone who holds it, until it expires; honours ranges.
    url: String,
    #[schema(format = DateTime)]
    expires_at: String,
    filename: String,
    size_bytes: u64,
    content_type: String,
    /// Hex, of the bytes.
    sha256: String,
}

/// Why there is no result to be had yet, or any more.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description: what is sent is made by `ApiError`")]
pub(super) enum NoResult {
    #[response(
        status = 409,
        description = "`not_ready`, `cancelled`, or why it failed",
        content_type = "application/problem+json"
    )]
    NotReady(Problem),
    #[response(status = 410, description = "`expired`", content_type = "application/problem+json")]
    Expired(Problem),
}

/// What a file answers to conditions and ranges, beside its bytes.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description: what is sent is made by `send`")]
pub(super) enum Conditional {
    #[response(status = 304, description = "The client has it.")]
    Known,
    #[response(status = 412, description = "`precondition_failed`", content_type = "application/problem+json")]
    Other(Problem),
    #[response(status = 416, description = "`range_not_satisfiable`", content_type = "application/problem+json")]
    Outside(Problem),
}

/// A link to the result.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/link", tag = "results",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("redirect" = Option<bool>, Query, description = "Answer with a redirect instead."),
        ("inline" = Option<bool>, Query, description = "For playing instead of saving."),
    ),
    responses(
        (status = 200, description = "The link.", body = LinkView),
        (status = 302, description = "With `redirect=true`."),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        NoResult,
    )
)]
pub async fn link(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    mut params: Params,
    method: Method,
) -> ApiResult<Response> {
    let (redirect, inline) = (params.flag("redirect"), params.flag("inline"));
    params.end()?;
    let job = app.find(&caller, id).await?;
    let artifact = Fetchable::of(&job)?.artifact;
    let filename = filename(artifact, &app.request_of(&job)?);
    let signed = sign(&app, &job, &filename, inline).instrument(hand_over(&job, "link")).await?;
    if method == Method::GET {
        app.tally.fetched(&app.jobs, id);
    }
    if redirect {
        return Ok(signed.redirect());
    }
    let view = LinkView {
        url: signed.url,
        expires_at: time(signed.expires_at),
        filename,
        size_bytes: artifact.size_bytes,
        content_type: artifact.content_type.clone(),
        sha256: artifact.sha256.clone(),
    };
    Ok((SECRET, Json(view)).into_response())
}

/// Told with a link: whoever sees it has the file.
const SECRET: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];

/// A link to a result.
pub(crate) struct Signed {
    url: String,
    expires_at: Timestamp,
}

impl Signed {
    /// The way there.
    pub(crate) fn redirect(self) -> Response {
        (StatusCode::FOUND, SECRET, [(header::LOCATION, self.url)]).into_response()
    }
}

/// A link to the result of a job, for who saves it under this name, or plays it.
///
/// # Errors
/// Why there is no result, or no link to it.
pub(crate) async fn sign(app: &App, job: &Job, filename: &str, inline: bool) -> ApiResult<Signed> {
    let Fetchable { artifact, left, .. } = Fetchable::of(job)?;
    // whole seconds, as signatures have them, so that what is told is what holds
    let life = left.min(app.config.lives.link).as_secs().max(1);
    let spec = LinkSpec {
        expires_in: Duration::from_secs(life),
        filename: filename.to_owned(),
        content_type: artifact.content_type.clone(),
        inline,
    };
    let url = app.results.link(&artifact.object, &spec).await?.to_string();
    Ok(Signed { url, expires_at: Timestamp::now() + Duration::from_secs(life) })
}

/// The result itself, for clients that cannot reach the store.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/content", tag = "results",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("inline" = Option<bool>, Query, description = "For playing instead of saving."),
        ("Range" = Option<String>, Header, description = "One range of bytes."),
    ),
    responses(
        (status = 200, description = "All bytes, of the type that the job names.", content_type = "*/*"),
        (status = 206, description = "The range.", content_type = "*/*"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        NoResult, Conditional,
    )
)]
pub async fn content(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    mut params: Params,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let inline = params.flag("inline");
    params.end()?;
    let job = app.find(&caller, id).await?;
    let name = filename(Fetchable::of(&job)?.artifact, &app.request_of(&job)?);
    send_result(&app, &job, content_disposition(&name, inline), &method, &headers).await
}

/// The result of a job, for who saves or plays it as this `disposition` says.
///
/// # Errors
/// Why there is no result, or no such part of it.
pub(crate) async fn send_result(
    app: &App,
    job: &Job,
    disposition: String,
    method: &Method,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let Fetchable { artifact, finished, left } = Fetchable::of(job)?;
    let file = File {
        key: artifact.object.clone(),
        total: artifact.size_bytes,
        validators: Validators { etag: format!("\"{}\"", artifact.sha256), modified: Some(finished) },
        disposition,
        content_type: artifact.content_type.clone(),
        fresh: left,
    };
    let answer = send(app, &file, method, headers).instrument(hand_over(job, "content")).await?;
    // a player that seeks asks again and again, but only once for the beginning
    if *method == Method::GET && file.is_sent_from_its_beginning(headers) {
        app.tally.fetched(&app.jobs, job.ticket);
    }
    Ok(answer)
}

/// Subtitles that lie beside the result, in WebVTT.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/subtitles/{language}", tag = "results",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("language" = String, Path, description = "As `result.subtitles` has it."),
    ),
    responses(
        (status = 200, description = "The text.", content_type = "text/vtt"),
        (status = 206, description = "The range.", content_type = "text/vtt"),
        (status = 404, description = "`not_found`: also a language that is not beside the result", body = Problem, content_type = "application/problem+json"),
        NoResult, Conditional,
    )
)]
pub async fn subtitles(
    State(app): State<Arc<App>>,
    caller: Caller,
    IdAnd(id, language): IdAnd,
    _: NoParams,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let job = app.find(&caller, id).await?;
    let result = Fetchable::of(&job)?;
    let texts = result.artifact.beside.subtitles.iter().filter(|text| text.language.as_ref() == Some(&language));
    let stored = texts.filter_map(|text| text.stored.as_ref()).next().ok_or_else(|| ApiError::new(Code::NotFound))?;
    let name = format!("{}.{}.vtt", stem(result.artifact, &app.request_of(&job)?), clean_stem(&language));
    send(&app, &File::beside(&result, stored, &name), &method, &headers).await
}

/// A link of the disk store. The signature is all that it takes.
pub async fn signed(
    State(app): State<Arc<App>>,
    key: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    // a path that can't be decoded is no key, and so nothing that this service signed
    let key = key.map_or_else(|_| String::new(), |Path(key)| key);
    let link = app.results.verify_link(&key, &query.unwrap_or_default()).map_err(|refusal| match refusal {
        LinkError::Expired => ApiError::new(Code::Expired).detail("The link has expired; ask for a new one."),
        LinkError::Forged => ApiError::new(Code::Forbidden).detail("This is not a link that this service made."),
    })?;
    let object = app.open(&link.key, None).await?;
    let left = link.expires_at.saturating_sub(Timestamp::now().as_second());
    let file = File {
        total: object.total_bytes,
        // an object never changes, so its name will do
        validators: Validators { etag: name_tag(&link.key), modified: object.modified },
        disposition: content_disposition(&link.filename, link.inline),
        content_type: link.content_type,
        fresh: Duration::from_secs(left.try_into().unwrap_or(0)),
        key: link.key,
    };
    send(&app, &file, &method, &headers).await
}

/// The tag of an object that is known by its name alone.
fn name_tag(key: &ObjectKey) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(key.as_str())[..16]))
}

/// A file that is to be sent, or a part of it.
pub(super) struct File {
    key: ObjectKey,
    total: u64,
    validators: Validators,
    disposition: String,
    content_type: String,
    /// How long a client may keep it without asking again.
    fresh: Duration,
}

pub(super) async fn send(app: &App, file: &File, method: &Method, headers: &HeaderMap) -> ApiResult<Response> {
    let (status, range) = match wanted(method, headers, &file.validators, file.total) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Nothing => return Ok((StatusCode::NOT_MODIFIED, file.validator_headers()?).into_response()),
        Wanted::Other => return Err(ApiError::new(Code::PreconditionFailed)),
        Wanted::Outside => {
            let size = header_value(&format!("bytes */{}", file.total))?;
            return Err(ApiError::new(Code::RangeNotSatisfiable).header(header::CONTENT_RANGE, size));
        }
    };
    let body = if *method == Method::HEAD { Body::empty() } else { read(app, &file.key, range.clone()).await? };
    Ok((status, file.headers(range)?, body).into_response())
}

/// The bytes as they come.
async fn read(app: &App, key: &ObjectKey, range: Option<RangeInclusive<u64>>) -> ApiResult<Body> {
    let object = app.open(key, range).await?;
    // whoever compresses it asks once more after the end
    Ok(Body::from_stream(stored::in_time(object.body).fuse()))
}

impl File {
    /// What lies beside a result, to be looked at rather than saved.
    pub(super) fn beside(result: &Fetchable<'_>, stored: &Stored, name: &str) -> Self {
        Self {
            key: stored.object.clone(),
            total: stored.size_bytes,
            validators: Validators { etag: name_tag(&stored.object), modified: Some(result.finished) },
            disposition: content_disposition(name, true),
            content_type: content_type_of(name.rsplit('.').next().unwrap_or_default()).to_owned(),
            fresh: result.left,
        }
    }

    /// Does the answer to a `GET` with these headers have the first byte?
    fn is_sent_from_its_beginning(&self, headers: &HeaderMap) -> bool {
        match wanted(&Method::GET, headers, &self.validators, self.total) {
            Wanted::Whole => true,
            Wanted::Part(range) => *range.start() == 0,
            Wanted::Nothing | Wanted::Other | Wanted::Outside => false,
        }
    }

    /// The same, kept by clients for so long.
    pub(super) fn kept_for(self, fresh: Duration) -> Self {
        Self { fresh, ..self }
    }

    fn validator_headers(&self) -> ApiResult<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, header_value(&self.validators.etag)?);
        if let Some(modified) = self.validators.modified {
            headers.insert(header::LAST_MODIFIED, header_value(&http_date(modified))?);
        }
        let cache = format!("private, max-age={}, immutable", self.fresh.as_secs());
        headers.insert(header::CACHE_CONTROL, header_value(&cache)?);
        Ok(headers)
    }

    fn headers(&self, range: Option<RangeInclusive<u64>>) -> ApiResult<HeaderMap> {
        let mut headers = self.validator_headers()?;
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_TYPE, header_value(&self.content_type)?);
        headers.insert(header::CONTENT_DISPOSITION, header_value(&self.disposition)?);
        let length = match range {
            None => self.total,
            Some(range) => {
                let (first, last) = (range.start(), range.end());
                headers.insert(header::CONTENT_RANGE, header_value(&format!("bytes {first}-{last}/{}", self.total))?);
                last - first + 1
            }
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Ok(headers)
    }
}

/// Made of our own text, so a failure is a fault of ours.
fn header_value(text: &str) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| ApiError::new(Code::Internal).because(&error))
}
