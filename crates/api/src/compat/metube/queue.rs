//! What is done with downloads: added, listed, taken back, forgotten, tried again, fetched.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use haul_shared::ids::Ticket;
use haul_shared::job::{Job, StateKind};
use haul_shared::store::Cancelled;
use haul_shared::view::DownloadRequest;
use serde_json::{Value, json};

use super::clip::split_start;
use super::item::{Item, List, name_of};
use super::order::{Body, names, read};
use super::{ok, told};
use crate::app::App;
use crate::audit::About;
use crate::auth::Caller;
use crate::body::whole;
use crate::compat::queued::{Known, newest, waiting};
use crate::error::{ApiError, ApiResult, Code};
use crate::request::{Order, check_address};
use crate::routes::files;
use crate::submit;

/// Downloads that one request may name.
const MOST_IDS: usize = 500;

/// `POST add`: queues a download, and waits for nothing else. What the caller has in the queue already is not queued again:
/// clients send an order again of which they heard nothing.
pub(super) async fn add(State(app): State<Arc<App>>, caller: Caller, body: HttpBody) -> ApiResult<Response> {
    let request = read(&object(body).await?).map_err(bad)?;
    let source = check_address(&request.url, &app.rules.egress).inspect_err(|refusal| app.count_refusal(refusal))?;
    let request = DownloadRequest { expires_in: app.rules.result_ttl.as_secs(), ..request };
    if let Some((job, known)) = waiting(&app, &caller, &request).await? {
        let msg = format!("Already in queue: {}", known.url);
        return Ok(about(&[job.ticket], told(&json!({ "status": "ok", "msg": msg, "id": job.ticket.to_string() }))));
    }
    let ticket = submit::queue(&app, &caller, Order { request, source }, None).await?.job.ticket;
    Ok(about(&[ticket], told(&json!({ "status": "ok", "id": ticket.to_string() }))))
}

/// `POST retry`: queues again what has failed, under its old id. Of what an address names it is the newest: each `add` after a
/// failure has made another, and all of them would be the same file.
pub(super) async fn retry(State(app): State<Arc<App>>, caller: Caller, body: HttpBody) -> ApiResult<Response> {
    let body = object(body).await?;
    let id = body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| bad("'id' must be a non-empty string".to_owned()))?;
    let mut named = named(&app, &caller, &[id.to_owned()]).await?.into_iter();
    let failed = named.find(|(job, _)| job.state.kind() == StateKind::Failed);
    let (job, request) = failed.ok_or_else(|| bad("Only failed downloads can be retried.".to_owned()))?;
    submit::resubmit(&app, &caller, &job, request).await?;
    Ok(about(&[job.ticket], Json(ok()).into_response()))
}

/// `POST delete`: takes back what is in the queue, or forgets what is done, with its file.
pub(super) async fn delete(State(app): State<Arc<App>>, caller: Caller, body: HttpBody) -> ApiResult<Response> {
    let body = object(body).await?;
    let ids = ids(&body)?;
    let list = match body.get("where").and_then(Value::as_str) {
        Some("queue") => List::Queue,
        Some("done") => List::Done,
        Some(_) | None => return Err(bad("'where' must be queue or done".to_owned())),
    };
    let mut done = Vec::new();
    let all = take_away(&app, named(&app, &caller, &ids).await?, list, &mut done).await;
    // what was done is told also where the rest was not
    Ok(about(&done, all.map_or_else(ApiError::into_response, |()| told(&ok()))))
}

/// `done`: those that were taken back or forgotten by this.
async fn take_away(app: &App, named: Vec<Known>, list: List, done: &mut Vec<Ticket>) -> ApiResult<()> {
    for (job, _) in named {
        let is_done = match (list, job.state.kind().is_end()) {
            (List::Queue, false) => matches!(app.jobs.cancel(job.ticket).await?, Cancelled::Now | Cancelled::Stopping),
            (List::Done, true) => app.jobs.forget(job.ticket).await?,
            // one that has ended meanwhile stays: who takes back a download does not mean to delete its file
            (List::Queue, true) | (List::Done, false) => false,
        };
        done.extend(is_done.then_some(job.ticket));
    }
    Ok(())
}

/// `POST start`: everything starts by itself.
pub(super) async fn start(body: HttpBody) -> ApiResult<Response> {
    ids(&object(body).await?)?;
    Ok(told(&ok()))
}

/// `GET history`: the caller's newest downloads, each list with the oldest first.
pub(super) async fn history(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Response> {
    let (mut queue, mut done) = (Vec::new(), Vec::new());
    for (job, request) in newest(&app, &caller).await?.iter().rev() {
        match Item::of(job, request) {
            Some((List::Queue, item)) => queue.push(item),
            Some((List::Done, item)) => done.push(item),
            None => {}
        }
    }
    Ok(told(&json!({ "done": done, "queue": queue, "pending": [] })))
}

/// `GET download/JOB/NAME`, or as clients put it together from an item: `download/NAME`, `download/FOLDER/NAME`. Leads to the
/// result, which is then saved under the name that the item has.
pub(super) async fn download(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(path): Path<String>,
    method: Method,
) -> ApiResult<Response> {
    let found = match path.split('/').next().and_then(|first| first.parse::<Ticket>().ok()) {
        Some(ticket) => {
            let job = app.find(&caller, ticket).await?;
            let request = app.request_of(&job)?;
            Some((job, request))
        }
        None => newest(&app, &caller).await?.into_iter().find(|(job, request)| is_at(job, request, &path)),
    };
    let (job, request) = found.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let name = name_of(&job, &request).unwrap_or_default();
    let link = files::sign(&app, &job, &name, false).await?;
    if method == Method::GET {
        app.tally.fetched(&app.jobs, job.ticket);
    }
    Ok(link.redirect())
}

/// Is the result of this download what a client asks for by that path?
fn is_at(job: &Job, request: &DownloadRequest, path: &str) -> bool {
    let Some(name) = name_of(job, request) else { return false };
    let (folder, _) = names(request);
    path == name || path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) == Some(&name)
}

/// An answer, and for the audit what it was about.
fn about(tickets: &[Ticket], answer: Response) -> Response {
    (Extension(About(tickets.to_vec())), answer).into_response()
}

/// The caller's downloads that are named, each once: by its id, or all of one address by that, the newest first. What there is
/// not is passed over.
async fn named(app: &App, caller: &Caller, ids: &[String]) -> ApiResult<Vec<Known>> {
    let (mut found, mut addresses): (Vec<Known>, HashSet<String>) = Default::default();
    for id in ids {
        let Ok(ticket) = id.parse::<Ticket>() else {
            // as it is shown, or as it was sent
            addresses.extend([id.clone(), split_start(id).0]);
            continue;
        };
        match app.find(caller, ticket).await {
            Ok(job) => {
                let request = app.request_of(&job)?;
                found.push((job, request));
            }
            Err(refusal) if refusal.is(Code::NotFound) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if !addresses.is_empty() {
        let of_these = |(_, request): &Known| addresses.contains(&request.url);
        found.extend(newest(app, caller).await?.into_iter().filter(of_these));
    }
    let mut seen = HashSet::new();
    found.retain(|(job, _)| seen.insert(job.ticket));
    Ok(found)
}

/// The ids of a body.
fn ids(body: &Body) -> ApiResult<Vec<String>> {
    let list = body.get("ids").and_then(Value::as_array).filter(|list| !list.is_empty());
    let ids: Option<Vec<String>> = list.and_then(|list| list.iter().map(|id| Some(id.as_str()?.to_owned())).collect());
    let ids = ids.ok_or_else(|| bad("'ids' must be a non-empty list of strings".to_owned()))?;
    if ids.len() > MOST_IDS {
        return Err(bad(format!("'ids' must have at most {MOST_IDS} items")));
    }
    Ok(ids)
}

/// A body of JSON, whatever it says that it is: clients send it as text, as a form, or as nothing.
async fn object(body: HttpBody) -> ApiResult<Body> {
    match serde_json::from_slice(&whole(body).await?) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad("JSON request body must be an object".to_owned())),
        Err(_) => Err(bad("Invalid JSON request body".to_owned())),
    }
}

fn bad(what: String) -> ApiError {
    ApiError::new(Code::BadRequest).detail(what)
}
