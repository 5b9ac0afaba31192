//! Who did what: one line for each change that is asked for with a key, and for each look at what is shown to `admin` only.
//!
//! A line has the name of the key, a word of a closed set, the start of the ticket, what became of it, and the id of the
//! request, by which the line of that is found. It is written also where the request was refused, failed, or was left by its
//! client before it was answered: it may have been done all the same. Only what a limit refuses has none, for it would push
//! all others out. Callers without a key have no name; what they do is in no line of these. Not here: where the lines go
//! (`shared::telemetry`).

use axum::RequestExt as _;
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use haul_shared::ids::Ticket;
use haul_shared::telemetry::AUDIT;

use crate::auth::Caller;
use crate::observe::RequestId;

/// The route of the numbers, among which are sites that others fetch from.
const STATS: &str = "/api/v1/stats";

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Order,
    Cancel,
    /// Of what has not ended it is a cancellation.
    Delete,
    Retry,
    Annotate,
    Redeliver,
    /// Of metadata.
    Forget,
    /// At the numbers for operators.
    Look,
    /// What has no word of its own yet.
    Change,
    AddKey,
    ChangeKey,
    RemoveKey,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::Retry => "retry",
            Self::Annotate => "annotate",
            Self::Redeliver => "redeliver",
            Self::Forget => "forget",
            Self::Look => "look",
            Self::Change => "change",
            Self::AddKey => "add_key",
            Self::ChangeKey => "change_key",
            Self::RemoveKey => "remove_key",
        }
    }

    /// What a request asks to be done; `None`: nothing that others would have to know of.
    fn of(method: &Method, route: &str, is_admin: bool) -> Option<Self> {
        let of = ["/api/v1/downloads", "/api/v1/playlists", "/downloads"];
        let download = of.iter().find_map(|prefix| route.strip_prefix(prefix));
        match (method.as_str(), route, download) {
            ("GET", STATS, _) => is_admin.then_some(Self::Look),
            ("GET" | "HEAD" | "OPTIONS", ..) => None,
            // questions that are sent as a body, and a key that its holder wants to be asked for no more
            ("POST", "/api/v1/metadata" | "/api/v1/plan" | "/page/key", _) => None,
            // of MeTube's, and done by nobody here
            ("POST", "/start" | "/cancel-add", _) => None,
            ("DELETE", "/api/v1/metadata", _) => Some(Self::Forget),
            // of dialects of other programs: MeTube deletes what has ended and cancels what has not, by one word
            ("POST", "/add", _) => Some(Self::Order),
            ("POST", "/delete", _) => Some(Self::Delete),
            ("POST", "/retry", _) => Some(Self::Retry),
            ("POST", "/", _) | ("POST", _, Some("" | "/batch")) => Some(Self::Order),
            ("DELETE", _, Some("/{id}")) => Some(Self::Delete),
            ("PATCH", _, Some("/{id}")) => Some(Self::Annotate),
            ("POST", _, Some("/{id}/cancel")) => Some(Self::Cancel),
            ("POST", _, Some("/{id}/retry")) => Some(Self::Retry),
            ("POST", _, Some("/{id}/webhook/redeliver")) => Some(Self::Redeliver),
            _ => Some(Self::Change),
        }
    }
}

/// Downloads that one line names; of more it has the number.
const MOST_NAMED: usize = 16;

/// Which downloads a request was about, beside its answer, where neither its path nor a `Location` says so.
#[derive(Debug, Clone)]
pub(crate) struct About(pub(crate) Vec<Ticket>);

impl About {
    /// What may be told of them; `None`: there are none.
    fn starts(&self) -> Option<String> {
        let starts = self.0.iter().take(MOST_NAMED).map(|ticket| start_of(*ticket));
        let more = self.0.len().checked_sub(MOST_NAMED).filter(|more| *more > 0).map(|more| format!("+{more}"));
        let starts: Vec<_> = starts.chain(more).collect();
        Some(starts.join(" ")).filter(|starts| !starts.is_empty())
    }
}

/// Goes on with a request whose caller is known, and writes the line about it if it is to have one.
pub(crate) async fn followed(mut request: Request, next: Next) -> Response {
    let Some(entry) = Entry::of(&mut request).await else { return next.run(request).await };
    let answer = next.run(request).await;
    entry.answered(&answer);
    answer
}

/// The keys file has another entry for this key than before, or one at last, or none any more.
pub(crate) fn keys_file(key: &str, action: Action) {
    let action = action.word();
    tracing::info!(target: AUDIT, key, action, outcome = "done", "the keys file: {action} {key}");
}

/// A line to be; written when it is dropped.
struct Entry {
    key: String,
    action: Action,
    ticket: Option<String>,
    request: RequestId,
    status: Option<StatusCode>,
}

impl Entry {
    async fn of(request: &mut Request) -> Option<Self> {
        let extensions = request.extensions();
        let caller = extensions.get::<Caller>()?;
        let key = caller.key.as_ref()?;
        let route = extensions.get::<MatchedPath>()?.as_str();
        let action = Action::of(request.method(), route, caller.is_admin())?;
        let (key, id) = (key.clone(), extensions.get().cloned());
        let id = id.unwrap_or_else(|| RequestId::of(request.headers()));
        let params = request.extract_parts::<RawPathParams>().await.ok();
        let ticket = params.iter().flatten().find(|(name, _)| *name == "id").and_then(|(_, ticket)| start_in(ticket));
        Some(Self { key, action, ticket, request: id, status: None })
    }

    fn answered(mut self, answer: &Response) {
        self.status = Some(answer.status());
        // that of a new job is in no path yet
        let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let made = || start_in(location?.rsplit('/').next()?);
        let about = || answer.extensions().get().and_then(About::starts);
        self.ticket = self.ticket.take().or_else(made).or_else(about);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Self { key, action, ticket, request, status } = self;
        let outcome = match status {
            None => "left",
            // thousands a second can be had, and nothing was done
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE) => return,
            Some(status) if status.is_server_error() => "failed",
            Some(status) if status.is_client_error() => "refused",
            Some(_) => "done",
        };
        let (action, status) = (action.word(), status.map(|status| status.as_u16()));
        let ticket = ticket.as_deref();
        let what = ticket.map(|starts| format!(" {}…", starts.replace(' ', "… "))).unwrap_or_default();
        tracing::info!(
            target: AUDIT, key, action, ticket, outcome, status, request_id = %request,
            "key {key}: {action}{what} {outcome}"
        );
    }
}

/// What may be told of a ticket; the rest is a capability.
fn start_of(ticket: Ticket) -> String {
    ticket.to_string()[..8].to_owned()
}

/// The same of a text, if it is one.
fn start_in(text: &str) -> Option<String> {
    text.parse().ok().map(start_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_word_and_a_question_has_none() {
        let shown = |asked: &str, is_admin| {
            let (method, route) = asked.split_once(' ').unwrap();
            Action::of(&method.parse().unwrap(), route, is_admin).map_or("-", Action::word)
        };
        for (asked, ordinary, admin) in [
            ("POST /api/v1/downloads", "order", "order"),
            ("POST /api/v1/downloads/batch", "order", "order"),
            ("POST /", "order", "order"),
            ("DELETE /api/v1/downloads/{id}", "delete", "delete"),
            ("PATCH /api/v1/downloads/{id}", "annotate", "annotate"),
            ("POST /api/v1/downloads/{id}/cancel", "cancel", "cancel"),
            ("POST /downloads/{id}/cancel", "cancel", "cancel"),
            ("POST /downloads/{id}/retry", "retry", "retry"),
            ("POST /api/v1/downloads/{id}/webhook/redeliver", "redeliver", "redeliver"),
            ("DELETE /api/v1/metadata", "forget", "forget"),
            ("POST /add", "order", "order"),
            ("POST /delete", "delete", "delete"),
            ("POST /retry", "retry", "retry"),
            ("POST /start", "-", "-"),
            ("POST /cancel-add", "-", "-"),
            ("POST /api/v1/playlists", "order", "order"),
            ("POST /api/v1/playlists/{id}/cancel", "cancel", "cancel"),
            ("DELETE /api/v1/playlists/{id}", "delete", "delete"),
            ("PUT /api/v1/what-comes-later", "change", "change"),
            ("POST /api/v1/metadata", "-", "-"),
            ("GET /api/v1/downloads/{id}", "-", "-"),
            ("HEAD /api/v1/downloads/{id}/content", "-", "-"),
            ("GET /api/v1/stats", "-", "look"),
        ] {
            assert_eq!((shown(asked, false), shown(asked, true)), (ordinary, admin), "{asked}");
        }
    }
}
