//! Traces: one request, and all that comes of it, as a tree of spans over both processes.
//!
//! Spans are made with `tracing`, like every other, and told apart by their [`TARGET`]: logs do not show them, and nobody
//! pays for them unless they are sent somewhere (`telemetry`). What leads from one process to the other is a
//! [`TraceParent`] beside the job. A span holds no link, secret, source query or address of a client, as no log line does.
//!
//! Not here: which traces are kept, and where they go (`telemetry`).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use tracing::{Instrument as _, Span};

/// The target of every span of a trace.
pub const TARGET: &str = "haul_traces";

/// A span of a trace, as W3C Trace Context names it in `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: NonZeroU128,
    span: NonZeroU64,
    is_sampled: bool,
}

/// What is no [`TraceParent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NoTraceParent;

impl TraceParent {
    /// Is its trace kept?
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_sampled
    }

    /// The same span, of a trace that is kept or is not.
    #[must_use]
    pub fn kept(self, is_sampled: bool) -> Self {
        Self { is_sampled, ..self }
    }

    /// Is that a span of the same trace?
    #[must_use]
    pub fn is_of_the_trace_of(&self, other: &Self) -> bool {
        self.trace == other.trace
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Reads version 00, and of a later one what it has in common with that.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut next = |digits| hex(parts.next()?, digits);
        let (version, trace, span, flags) = (next(2), next(32), next(16), next(2));
        let more = parts.next();
        match (version.ok_or(NoTraceParent)?, more) {
            (0xff, _) | (0, Some(_)) => return Err(NoTraceParent),
            _ => {}
        }
        let span = span.and_then(|span| u64::try_from(span).ok());
        Ok(Self {
            trace: trace.and_then(NonZeroU128::new).ok_or(NoTraceParent)?,
            span: span.and_then(NonZeroU64::new).ok_or(NoTraceParent)?,
            is_sampled: flags.ok_or(NoTraceParent)? & 1 == 1,
        })
    }
}

/// So many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// The span that is worked in; `None` outside of every trace that is kept.
#[must_use]
pub fn here() -> Option<TraceParent> {
    sent::here()
}

/// Makes a span, which nobody has entered yet, a child of one of another process, or of another time.
pub fn adopt(child: &Span, parent: TraceParent) {
    sent::adopt(child, parent);
}

/// Says of a span that it has to do with one of another trace.
pub fn link(span: &Span, other: TraceParent) {
    sent::link(span, other);
}

/// Says so of the span that is worked in.
pub fn link_here(other: TraceParent) {
    sent::link_here(other);
}

/// Work for a task of its own that belongs to what is done here: its spans are in this trace, its log lines of this request.
pub fn along<F: Future>(work: F) -> impl Future<Output = F::Output> {
    sent::along(work.in_current_span())
}

#[cfg(feature = "otel")]
mod sent {
    use opentelemetry::context::FutureExt as _;
    use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
    use opentelemetry::{Context, SpanId, TraceId};
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::{NonZeroU64, NonZeroU128, TraceParent};

    pub(super) fn here() -> Option<TraceParent> {
        let context = Context::current();
        let span = context.span().span_context().clone();
        Some(TraceParent {
            trace: NonZeroU128::new(u128::from_be_bytes(span.trace_id().to_bytes()))?,
            span: NonZeroU64::new(u64::from_be_bytes(span.span_id().to_bytes()))?,
            is_sampled: span.is_sampled().then_some(true)?,
        })
    }

    pub(super) fn adopt(child: &Span, parent: TraceParent) {
        // one that is not recorded can't be adopted, and need not be
        let _ = child.set_parent(Context::new().with_remote_span_context(context(parent)));
    }

    pub(super) fn link(span: &Span, other: TraceParent) {
        span.add_link(context(other));
    }

    pub(super) fn link_here(other: TraceParent) {
        Context::current().span().add_link(context(other), Vec::new());
    }

    /// The span that logs know is not the one that is sent, and only the former is taken along by itself.
    pub(super) fn along<F: Future>(work: F) -> impl Future<Output = F::Output> {
        work.with_current_context()
    }

    fn context(of: TraceParent) -> SpanContext {
        let flags = if of.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let (trace, span) = (TraceId::from(of.trace.get()), SpanId::from(of.span.get()));
        SpanContext::new(trace, span, flags, true, TraceState::NONE)
    }
}

#[cfg(not(feature = "otel"))]
mod sent {
    use tracing::Span;

    use super::TraceParent;

    pub(super) fn here() -> Option<TraceParent> {
        None
    }

    pub(super) fn adopt(_: &Span, _: TraceParent) {}

    pub(super) fn link(_: &Span, _: TraceParent) {}

    pub(super) fn link_here(_: TraceParent) {}

    pub(super) fn along<F: Future>(work: F) -> F {
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_its_standard_has_it() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (text, written) in [
            (format!("00-{ids}-01"), Some(format!("00-{ids}-01"))),
            (format!("00-{ids}-00"), Some(format!("00-{ids}-00"))),
            // flags that are not known yet are not passed on
            (format!("00-{ids}-ff"), Some(format!("00-{ids}-01"))),
            // a later version may have more
            (format!("cc-{ids}-01"), Some(format!("00-{ids}-01"))),
            (format!("cc-{ids}-01-what-is-to-come"), Some(format!("00-{ids}-01"))),
            (format!("cc-{ids}-01.what-is-to-come"), None),
            (format!("00-{ids}-01-"), None),
            (format!("ff-{ids}-01"), None),
            (format!("00-{ids}"), None),
            (format!("00-{}-01", ids.to_uppercase()), None),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(), None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(), None),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01".to_owned(), None),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(text.parse::<TraceParent>().ok().map(|read| read.to_string()), written, "{text}");
        }
    }
}
