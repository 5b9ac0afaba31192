//! From a checked order to a queued job: the one way in, for a request alone, in a batch, and tried again.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use haul_shared::ids::Ticket;
use haul_shared::job::{Job, JobSpec};
use haul_shared::store::{Idempotency, Submission, Submitted, WebhookOrder};
use haul_shared::view::DownloadRequest;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};
use crate::limits::{Class, over};
use crate::request::{Node, Order, check_address, check_webhook, read};

/// A job that a caller may now follow, and the status that says how it came about.
#[derive(Debug)]
pub struct Queued {
    /// `202`, or `200` when a finished result was there.
    pub status: StatusCode,
    /// The job, as it is now.
    pub job: Job,
    /// What was asked.
    pub request: DownloadRequest,
}

/// Checks a body and queues what it asks for. `key` is the caller's `Idempotency-Key`.
///
/// # Errors
/// Those of [`read`], `idempotency_conflict`, `rate_limited`, `queue_full`, `client_queue_full`,
/// `quota_exceeded`, `service_unavailable`, and `forbidden` for what the caller's key may not order.
pub async fn submit(app: &App, caller: &Caller, body: &Node, key: Option<String>) -> ApiResult<Queued> {
    let signs = caller.signing.is_some();
    let order = read(body, &app.rules, signs).inspect_err(|refusal| app.count_refusal(refusal))?;
    queue(app, caller, order, key).await
}

/// Queues an order without fault, whatever language it was written in.
///
/// # Errors
/// Those of [`submit`] but the faults of a body.
pub async fn queue(app: &App, caller: &Caller, mut order: Order, key: Option<String>) -> ApiResult<Queued> {
    // what has to be the same is what was asked: not how it was spelled, nor where the client was when it asked
    let body_sha256 = hex(&Sha256::digest(order.request.stored()));
    let region = order.request.region.get_or_insert_with(|| caller.region.clone()).clone();
    let ticket = app.jobs.draw(&JobSpec::Download(order.spec(&caller.jars)), &region);
    let mut submission = submission(app, caller, ticket, &order)?;
    submission.idempotency = key.map(|key| Idempotency { key, body_sha256 });
    let submitted = app.jobs.submit(&submission).await?;
    finish(app, caller, submitted)
}

/// Queues an ended job again, under its old id.
///
/// # Errors
/// `not_retryable`, `not_found`, and those of [`submit`] but the conflict.
pub async fn resubmit(app: &App, caller: &Caller, job: &Job, request: DownloadRequest) -> ApiResult<Queued> {
    let source = check_address(&request.url, &app.rules.egress)?;
    check_webhook(&request, &app.rules.egress, caller.signing.is_some())?;
    let order = Order { request, source };
    let submitted = app.jobs.resubmit(&submission(app, caller, job.ticket, &order)?).await?;
    finish(app, caller, submitted)
}

/// What the store is told, of an order that the caller may give: there is no other way to it.
///
/// # Errors
/// `forbidden`.
pub fn submission(app: &App, caller: &Caller, ticket: Ticket, order: &Order) -> ApiResult<Submission> {
    let request = &order.request;
    caller.allowance.permits(&order.source, request.format)?;
    Ok(Submission {
        ticket,
        client: caller.client.clone(),
        limits: caller.limits,
        spec: JobSpec::Download(order.spec(&caller.jars)),
        region: request.region.clone().unwrap_or_else(|| caller.region.clone()),
        priority: request.priority,
        request: request.stored(),
        expires_in: Duration::from_secs(request.expires_in),
        max_attempts: app.config.queue.max_attempts,
        idempotency: None,
        webhook: webhook(app, caller, request),
    })
}

/// Whom to tell of it. That it can be signed was seen when the request was read.
fn webhook(app: &App, caller: &Caller, request: &DownloadRequest) -> Option<WebhookOrder> {
    let signing = caller.signing.clone().filter(|_| request.webhook.is_some())?;
    Some(WebhookOrder { base: app.base_url.clone(), signing })
}

fn finish(app: &App, caller: &Caller, submitted: Submitted) -> ApiResult<Queued> {
    let (status, job) = taken(app, caller, submitted)?;
    let request = app.request_of(&job)?;
    Ok(Queued { status, job, request })
}

/// The job that came of a caller's submission, and the status that says how.
///
/// # Errors
/// What the store refused.
pub fn taken(app: &App, caller: &Caller, submitted: Submitted) -> ApiResult<(StatusCode, Job)> {
    if let Submitted::RateLimited { retry_after } = submitted {
        return Err(refuse(app, caller, retry_after));
    }
    let (status, job) = job_of(submitted)?;
    if status == StatusCode::OK {
        app.metrics.saw_reuse();
    }
    Ok((status, job))
}

/// The refusal of what all processes together count as one download too many.
pub fn refuse(app: &App, caller: &Caller, retry_after: Duration) -> ApiError {
    app.metrics.saw_rate_limit(Class::Downloads);
    match caller.limits.rate {
        Some(rate) => over(rate, retry_after),
        None => ApiError::new(Code::RateLimited).retry_after(retry_after),
    }
}

/// The job that came of a submission, and the status that says how.
///
/// # Errors
/// What the store refused.
pub fn job_of(submitted: Submitted) -> ApiResult<(StatusCode, Job)> {
    match submitted {
        Submitted::Accepted(job) | Submitted::Replayed(job) => Ok((StatusCode::ACCEPTED, *job)),
        Submitted::Reused(job) => Ok((StatusCode::OK, *job)),
        Submitted::IdempotencyConflict => Err(ApiError::new(Code::IdempotencyConflict)),
        Submitted::RateLimited { retry_after } => Err(ApiError::new(Code::RateLimited).retry_after(retry_after)),
        Submitted::QueueFull { retry_after } => Err(ApiError::new(Code::QueueFull).retry_after(retry_after)),
        Submitted::ClientQueueFull { retry_after } => {
            Err(ApiError::new(Code::ClientQueueFull).retry_after(retry_after))
        }
        Submitted::QuotaSpent { retry_after } => Err(ApiError::new(Code::QuotaExceeded).retry_after(retry_after)),
        Submitted::NotRetryable => Err(ApiError::new(Code::NotRetryable)),
        Submitted::Gone => Err(ApiError::new(Code::NotFound)),
    }
}

/// The header `Idempotency-Key`: 1-255 visible ASCII characters.
///
/// # Errors
/// `invalid_request`.
pub fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    const NAME: &str = "Idempotency-Key";
    let mut sent = headers.get_all(NAME).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let fits = (1..=255).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if fits && sent.next().is_none() => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid_parameter(NAME, "must be one header of 1 to 255 visible ASCII characters")),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_visible_ascii() {
        let longest = "k".repeat(255);
        let too_long = "k".repeat(256);
        for (sent, fits) in
            [("a", true), ("order-17/~", true), (&longest, true), ("", false), ("a b", false), (&too_long, false)]
        {
            let headers = HeaderMap::from_iter([("idempotency-key".parse().unwrap(), sent.parse().unwrap())]);
            assert_eq!(idempotency_key(&headers).is_ok(), fits, "{sent}");
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        let mut twice = HeaderMap::new();
        twice.append("idempotency-key", "a".parse().unwrap());
        twice.append("idempotency-key", "b".parse().unwrap());
        assert!(idempotency_key(&twice).is_err());
    }
}
