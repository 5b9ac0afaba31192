//! What is ordered, and how it is answered: with a link, before anything is known of the medium.
//!
//! Known keys are read strictly by their values, as cobalt does; unknown ones are passed over, which cobalt does not do:
//! clients send keys that it has dropped.

mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use haul_shared::config::Mode;
use haul_shared::media::{Codec, Quality};
use haul_shared::source::SourceUrl;
use haul_shared::view::DownloadRequest;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::link::Link;
use super::name::{Parts, name};
use super::place::Place;
use super::refusal::{No, Refusal, Said};
use crate::app::App;
use crate::audit::About;
use crate::auth::Caller;
use crate::body::whole;
use crate::compat::door::is_let_in;
use crate::compat::queued::waiting;
use crate::error::ApiResult;
use crate::request::{Order, check_address};
use crate::submit;
use body::Asked;

/// How long an answer waits for what is known of an address already. Nobody is asked to look: there are clients that wait
/// 2.5 s for an answer.
const RECALLED_WITHIN: Duration = Duration::from_secs(1);

/// Layer: who may order from a page. Any page may send JSON here, as to cobalt; so where no key is asked for and the service
/// is somebody's own, with its cookies, only pages of named origins order.
pub(super) async fn let_in_pages(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_own = app.keys.is_none() && app.config.mode == Mode::Private;
    if *request.method() == Method::POST && is_own && !is_let_in(&app, request.headers()) {
        return Refusal::of(Said::AuthNotConfigured).into_response();
    }
    next.run(request).await
}

/// `POST /`: queues a download and tells where its file will be. What the caller has in the queue already is not queued again.
pub(super) async fn order(
    State(app): State<Arc<App>>,
    place: Extension<Arc<Place>>,
    caller: Caller,
    request: Request,
) -> Result<(Extension<About>, Json<Value>), No> {
    if !names_json(request.headers(), &header::ACCEPT) {
        return Err(Said::HeaderAccept.into());
    }
    if !names_json(request.headers(), &header::CONTENT_TYPE) {
        return Err(Said::HeaderContentType.into());
    }
    let here = place.url(&app, &request);
    let body = whole(request.into_body()).await?;
    let Ok(Value::Object(body)) = serde_json::from_slice(&body) else { return Err(Said::InvalidBody.into()) };
    let Asked { request, style } = body::read(&body)?;

    let source = check_address(&request.url, &app.rules.egress).inspect_err(|refusal| app.count_refusal(refusal))?;
    let request = DownloadRequest { expires_in: app.rules.result_ttl.as_secs(), ..request };
    let secret = place.secret(&app).await?;
    let ticket = match waiting(&app, &caller, &request).await? {
        Some((job, _)) => job.ticket,
        None => {
            let order = Order { request: request.clone(), source: source.clone() };
            submit::queue(&app, &caller, order, None).await?.job.ticket
        }
    };
    let expires = Timestamp::now() + app.rules.result_ttl;
    let link = Link { ticket, style, expires_ms: expires.as_millisecond() };
    let parts = timeout(RECALLED_WITHIN, known(&app, &caller, source, &request)).await;
    let parts = parts.ok().and_then(Result::ok).unwrap_or_else(|| unknown(&request));
    let told = json!({
        "status": "tunnel",
        "url": format!("{here}tunnel?{}", link.query(&secret)),
        "filename": name(&request.url, style, &parts),
    });
    Ok((Extension(About(vec![ticket])), Json(told)))
}

/// Is it `application/json`, with `charset=utf-8` or without, as cobalt wants it?
fn names_json(headers: &HeaderMap, name: &HeaderName) -> bool {
    let sent = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, parameter) = sent.split_once(';').unwrap_or((sent, "charset=utf-8"));
    kind.trim().eq_ignore_ascii_case("application/json") && parameter.trim().eq_ignore_ascii_case("charset=utf-8")
}

/// What a name is made of as long as nothing is known of the medium.
fn unknown(request: &DownloadRequest) -> Parts {
    Parts { is_audio: request.format.is_audio(), extension: request.format.word().to_owned(), ..Parts::default() }
}

/// The same with what was found at the address before, if anything was.
async fn known(app: &App, caller: &Caller, source: SourceUrl, request: &DownloadRequest) -> ApiResult<Parts> {
    let parts = unknown(request);
    let found = app.metadata.recalled(&caller.look(source)?).await;
    let found: Value = found.and_then(|found| serde_json::from_slice(&found).ok()).unwrap_or_default();
    let Some(title) = found["title"].as_str() else { return Ok(parts) };
    let pixels = |quality: Quality| match quality {
        Quality::Best => u16::MAX,
        Quality::AtMost(pixels) => pixels,
    };
    let fits = |rung: &&str| rung.parse().is_ok_and(|rung| pixels(rung) <= pixels(request.quality));
    // they stand in their order, the highest first
    let rung = found["qualities"].as_array().and_then(|all| all.iter().filter_map(Value::as_str).find(fits));
    let codec = match request.codec {
        Codec::Any => None,
        Codec::H264 => Some("h264"),
        Codec::H265 => Some("hevc"),
        Codec::Vp9 => Some("vp9"),
        Codec::Av1 => Some("av1"),
    };
    let [title, rung, codec] = [Some(title), rung, codec].map(|it| it.map(str::to_owned));
    Ok(Parts { title, rung, codec, ..parts })
}
