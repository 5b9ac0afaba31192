//! What a client asks about the service itself, and what of `MeTube` there is not here.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{Redirect, Response};
use serde_json::{Value, json};

use super::{ok as done, told};
use crate::app::App;
use crate::body::whole;
use crate::error::{ApiError, ApiResult, Code};

/// `GET /`: `MeTube`'s page is there; ours is at the API's own address.
pub(super) async fn page(State(app): State<Arc<App>>) -> Redirect {
    Redirect::to(app.base_url.as_str())
}

/// `GET version`: of the newest yt-dlp among the workers, and of this service. Clients show both as they are.
pub(super) async fn version(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    let workers = app.jobs.workers().await?;
    let newest = workers.into_iter().map(|worker| worker.ytdlp).max();
    let ours = concat!("haul-", env!("CARGO_PKG_VERSION"));
    Ok(Json(json!({ "yt-dlp": newest.as_deref().unwrap_or("unknown"), "version": ours })))
}

/// `GET presets`: options of yt-dlp have no names here, and can't be given.
pub(super) async fn presets() -> Json<Value> {
    Json(json!({ "presets": [] }))
}

/// `POST cancel-add`: nothing is looked at while a client waits, so that there is nothing to stop.
pub(super) async fn ok() -> Json<Value> {
    Json(done())
}

/// `GET cookie-status`: whether any were uploaded.
pub(super) async fn cookie_status() -> Response {
    told(&json!({ "status": "ok", "has_cookies": false }))
}

/// `POST upload-cookies`, `POST delete-cookies`. Taken whole, so that who sends a file hears the answer.
pub(super) async fn no_cookies(body: Body) -> ApiResult<Response> {
    whole(body).await?;
    let why = "Cookies are given to this service by who runs it; none can be uploaded or deleted here.";
    Err(ApiError::new(Code::BadRequest).detail(why))
}

/// `GET subscriptions`.
pub(super) async fn subscriptions() -> Response {
    told(&json!([]))
}

/// `POST subscribe`, and what is done with subscriptions.
pub(super) async fn no_subscriptions(body: Body) -> ApiResult<Response> {
    whole(body).await?;
    Err(ApiError::new(Code::BadRequest).detail("This service follows no channels; add their videos one by one."))
}
