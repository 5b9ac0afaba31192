//! One message by the Standard Webhooks specification: made, signed, and sent once.
//!
//! It goes to the address that the client named, through a guard of its own, and nowhere else: what answers with a redirect has
//! not taken it. Of the answer only the head counts.

use std::time::Duration;

use bytes::Bytes;
use haul_shared::source::SourceUrl;
use haul_shared::store::Telling;
use haul_shared::view::{DownloadRequest, EventView, JobView};
use haul_shared::webhook::event;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Response, StatusCode};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::guard::{Guard, Guards, Kept};
use crate::origin::retry_after;

/// From the look-up of the name to the head of the answer.
const WITHIN: Duration = Duration::from_secs(15);
/// For the rest of an answer, so that nobody is hung up on who has little to say; and how much of it is read.
const HEARD_OUT_WITHIN: Duration = Duration::from_millis(500);
const HEARD_OUT_BYTES: usize = 4096;

const WHO: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTold {
    /// The answer is no success.
    Status,
    /// It leads somewhere else.
    Redirect,
    /// The address is not one that may be reached.
    Denied,
    /// The name has no address.
    Unresolved,
    /// Nobody could be spoken to there.
    Unreachable,
    /// There was no answer that could be understood.
    Broken,
    /// There was none in time.
    Late,
    /// There is nothing to sign it with any more.
    Unsigned,
}

impl NotTold {
    fn of(kept: Kept) -> Self {
        match kept {
            Kept::Denied => Self::Denied,
            Kept::Unresolved => Self::Unresolved,
            Kept::Unreached => Self::Unreachable,
            Kept::Unheard => Self::Broken,
        }
    }

    /// The word that clients read.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Denied => "egress_denied",
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Late => "timeout",
            Self::Unsigned => "unsigned",
        }
    }
}

/// An attempt in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    /// The status of the answer, if there was one.
    pub(super) status: Option<StatusCode>,
    /// Why.
    pub(super) why: NotTold,
    /// How long the receiver wants to be left alone.
    pub(super) asked: Option<Duration>,
}

impl From<NotTold> for Failed {
    fn from(why: NotTold) -> Self {
        Self { status: None, why, asked: None }
    }
}

/// A message, signed for this moment.
pub(super) struct Message {
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

/// The host that a message goes to. None: what was asked can't be read by this version.
pub(super) fn receiver(telling: &Telling) -> Option<String> {
    let (_, url) = asked(telling)?;
    Some(url.host_str()?.to_owned())
}

/// What the client asked, and where it wants to be told.
fn asked(telling: &Telling) -> Option<(DownloadRequest, Url)> {
    let request = DownloadRequest::read(&telling.job.request).ok()?;
    let url = SourceUrl::read(&request.webhook.as_ref()?.url).ok()?;
    Some((request, url.expose().parse().ok()?))
}

impl Message {
    /// Makes it, as of `now`.
    pub(super) fn of(telling: &Telling, now: Timestamp) -> Result<Self, Failed> {
        let (request, url) = asked(telling).ok_or(NotTold::Broken)?;
        let event = event(telling.end).ok_or(NotTold::Broken)?;
        let told = EventView::of(event, telling.at, JobView::of(&telling.job, request, &telling.base, false));
        let body: Bytes = serde_json::to_vec(&told).map_err(|_| NotTold::Broken)?.into();
        let headers = headers(telling, now, &body).ok_or(NotTold::Unsigned)?;
        Ok(Self { url, headers, body })
    }

    /// Sends it once. The status of who has taken it.
    pub(super) async fn send(self, guards: &Guards) -> Result<StatusCode, Failed> {
        let guard = guards.message(&CancellationToken::new());
        let answer = timeout(WITHIN, self.post(&guard)).await.map_err(|_| NotTold::Late)?;
        // the guard knows better: it answers by itself what it lets nobody ask
        if let Some(kept) = guard.kept() {
            return Err(NotTold::of(kept).into());
        }
        let mut answer = answer?;
        // what is said, and whether in time, changes nothing
        let _heard = timeout(HEARD_OUT_WITHIN, hear_out(&mut answer)).await;
        judged(answer.status(), answer.headers())
    }

    async fn post(self, guard: &Guard) -> Result<Response, NotTold> {
        let client = guard.client().await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a webhook can't be sent from here");
            NotTold::Unreachable
        })?;
        let answer = client.post(self.url).headers(self.headers).body(self.body).send().await;
        // in a tunnel the guard hears that there is an answer, and not what becomes of it
        answer.map_err(|error| if error.is_connect() { NotTold::Unreachable } else { NotTold::Broken })
    }
}

/// What an answer means.
fn judged(status: StatusCode, headers: &HeaderMap) -> Result<StatusCode, Failed> {
    if status.is_success() {
        return Ok(status);
    }
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    Err(Failed {
        status: Some(status),
        why: if status.is_redirection() { NotTold::Redirect } else { NotTold::Status },
        asked: retry_after(headers, Timestamp::now()).filter(|_| is_busy),
    })
}

async fn hear_out(answer: &mut Response) {
    let mut bytes = 0;
    while bytes < HEARD_OUT_BYTES
        && let Ok(Some(piece)) = answer.chunk().await
    {
        bytes += piece.len();
    }
}

/// Who speaks, and a signature by each secret. None: there is no secret.
fn headers(telling: &Telling, now: Timestamp, body: &[u8]) -> Option<HeaderMap> {
    let seconds = now.as_second();
    let signatures = telling.secrets.as_ref()?.expose().map(|secret| {
        let signer = Webhook::new(secret).ok()?;
        signer.sign(&telling.message, seconds, body).ok()
    });
    let signatures = signatures.collect::<Option<Vec<_>>>()?.join(" ");
    let own = [
        (HEADER_WEBHOOK_ID, telling.message.clone()),
        (HEADER_WEBHOOK_TIMESTAMP, seconds.to_string()),
        (HEADER_WEBHOOK_SIGNATURE, signatures),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in own {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(WHO));
    Some(headers)
}
