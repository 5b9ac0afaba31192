//! What a client asks about the service itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::place::Place;
use super::refusal::{Refusal, Said};
use crate::app::App;

/// The generation of cobalt's API that is spoken.
const VERSION: &str = "11.0";

/// What cobalt names among its services, as it names them, and yt-dlp has as well. Any other site that yt-dlp knows can be
/// ordered too.
const SERVICES: [&str; 22] = [
    "bilibili",
    "bluesky",
    "dailymotion",
    "facebook",
    "instagram",
    "loom",
    "newgrounds",
    "ok",
    "pinterest",
    "reddit",
    "rutube",
    "snapchat",
    "soundcloud",
    "streamable",
    "tiktok",
    "tumblr",
    "twitch clips",
    "twitter",
    "vimeo",
    "vk",
    "xiaohongshu",
    "youtube",
];

/// `GET /`: that there is an instance here, which one, and since when.
pub(super) async fn instance(
    State(app): State<Arc<App>>,
    place: Extension<Arc<Place>>,
    request: Request,
) -> Json<Value> {
    Json(json!({
        "cobalt": {
            "version": VERSION,
            "url": place.url(&app, &request),
            "startTime": place.since.as_millisecond().to_string(),
            "services": SERVICES,
        },
        // cobalt tells here what it was built of
        "git": { "branch": "haul", "commit": env!("CARGO_PKG_VERSION"), "remote": "haul" },
    }))
}

/// `POST /session`: sessions come of a puzzle that this service does not set. Keys are for everybody.
pub(super) async fn no_sessions() -> Refusal {
    Refusal::of(Said::AuthNotConfigured)
}

/// Any other `GET` leads to the instance.
pub(super) async fn elsewhere(State(app): State<Arc<App>>, place: Extension<Arc<Place>>, request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::FOUND, [(header::LOCATION, place.url(&app, &request))]).into_response();
    }
    Refusal::of(Said::Generic).with_status(StatusCode::NOT_FOUND).into_response()
}
