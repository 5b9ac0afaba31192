//! The spans that an API makes: of each request, and of results that it hands out.
//!
//! A span of a request is named after its route, and has neither its address nor its query. Whom a stranger's `traceparent`
//! names is taken over, but not that the trace is to be kept: what everybody asks for would cost the operator what it likes
//! (`docs/decisions/0043-one-trace-over-both-processes.md`).

use axum::http::{HeaderMap, StatusCode};
use haul_shared::config::{Mode, TraceConfig};
use haul_shared::job::Job;
use haul_shared::trace::{self, TARGET, TraceParent};
use rand::RngExt as _;
use tracing::Span;
use tracing::field::Empty;

use crate::config::ApiConfig;
use crate::observe::RequestId;

/// What W3C Trace Context calls its header.
const TRACEPARENT: &str = "traceparent";

/// The span of a request.
pub(crate) fn request(config: &ApiConfig, (method, route): (&str, &str), id: &RequestId, headers: &HeaderMap) -> Span {
    let Some(traces) = &config.traces else { return Span::none() };
    let span = tracing::info_span!(
        target: TARGET, "request", otel.name = %format_args!("{method} {route}"), otel.kind = "server",
        http.request.method = method, http.route = route, request.id = %id,
        http.response.status_code = Empty, error.type = Empty, otel.status_code = Empty,
    );
    if let Some(sent) = sent(headers) {
        trace::adopt(&span, judged(sent, config.mode, traces));
    }
    span
}

/// A request was answered so. By the conventions for HTTP only what went wrong here is an error.
pub(crate) fn answered(request: &Span, status: StatusCode) {
    request.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        request.record("error.type", status.as_str()).record("otel.status_code", "ERROR");
    }
}

/// The span in which a result is handed out, from now on.
pub(crate) fn hand_over(job: &Job, what: &'static str) -> Span {
    HandOver::of(job).begin(what)
}

/// A result that the request here asks for, and that is handed out when its turn comes, be it long after the request was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandOver {
    made: Option<TraceParent>,
    asked: Option<TraceParent>,
}

impl HandOver {
    /// The result of this job. From here on the request is linked with it.
    pub(crate) fn of(job: &Job) -> Self {
        if let Some(made) = job.trace {
            trace::link_here(made);
        }
        Self { made: job.trace, asked: trace::here() }
    }

    /// Its span, from now on: in the trace of its job, whoever asks and whenever, and linked with the request.
    pub(crate) fn begin(self, what: &'static str) -> Span {
        let Some(made) = self.made else { return Span::none() };
        let span = tracing::info_span!(target: TARGET, parent: None, "hand over", otel.name = what);
        trace::adopt(&span, made);
        if let Some(asked) = self.asked {
            trace::link(&span, asked);
        }
        span
    }
}

/// The client's own span, if it sends one.
fn sent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let (one, more) = (sent.next()?, sent.next());
    one.to_str().ok().filter(|_| more.is_none())?.parse().ok()
}

/// Whether a trace that a client began is kept: who is known may say so, and of strangers' as many as of those that begin here.
fn judged(sent: TraceParent, mode: Mode, traces: &TraceConfig) -> TraceParent {
    match mode {
        Mode::Private => sent,
        Mode::Public => sent.kept(rand::rng().random_bool(traces.ratio)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_names_a_trace_and_does_not_say_whether_it_is_kept() {
        let is_kept = |mode, ratio, flags: &str| {
            let sent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}").parse().unwrap();
            let traces = TraceConfig { collector: "http://127.0.0.1:4318".parse().unwrap(), ratio };
            let judged = judged(sent, mode, &traces);
            assert!(judged.is_of_the_trace_of(&sent));
            judged.is_kept()
        };
        for flags in ["00", "01"] {
            assert!(is_kept(Mode::Public, 1.0, flags) && !is_kept(Mode::Public, 0.0, flags));
            for ratio in [0.0, 1.0] {
                assert_eq!(is_kept(Mode::Private, ratio, flags), flags == "01");
            }
        }
    }

    #[test]
    fn one_traceparent_is_taken_over_and_of_two_none() {
        let one = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(sent(&headers), None);
        headers.append(TRACEPARENT, one.parse().unwrap());
        assert_eq!(sent(&headers).map(|sent| sent.to_string()), Some(one.to_owned()));
        headers.append(TRACEPARENT, one.parse().unwrap());
        assert_eq!(sent(&headers), None);
    }
}
