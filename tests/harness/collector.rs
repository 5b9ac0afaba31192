//! A collector of traces: takes what comes over OTLP, or does not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::processes::until;

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes what comes.
    Takes,
    /// It never answers.
    Hangs,
    /// It says that all is well, in words that are no answer.
    Raves,
    /// It refuses.
    Refuses,
}

/// A span as it came, with its numbers in hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Of what says who made it, the name of its service.
    pub service: String,
    /// All that says who made it.
    pub resource: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// Its trace.
    pub trace: String,
    /// Its own number.
    pub id: String,
    /// The number of its parent; empty: it has none.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// What it is linked with: traces and spans.
    pub links: Vec<(String, String)>,
    /// Names of what happened in it.
    pub events: Vec<String>,
    /// Does it say that it went wrong?
    pub is_error: bool,
}

impl Span {
    /// An attribute; empty if it has none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A collector on loopback. Dropped, nobody listens there any more.
pub struct Collector {
    address: SocketAddr,
    came: Arc<Came>,
    _task: AbortOnDropHandle<()>,
}

struct Came {
    manner: Manner,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    batches: usize,
    spans: Vec<Span>,
    faults: Vec<String>,
}

impl Came {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with it")
    }
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let came = Arc::new(Came { manner, seen: Mutex::default() });
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&came));
        let serving = async move { drop(axum::serve(listener, router).await) };
        Ok(Self { address, came, _task: AbortOnDropHandle::new(tokio::spawn(serving)) })
    }

    /// What a process is told in `HAUL_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Batches that have come, taken or not.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.came.seen().batches
    }

    /// The spans that were taken.
    ///
    /// # Errors
    /// When something came that is no batch of spans.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let seen = self.came.seen();
        ensure!(seen.faults.is_empty(), "{:?}", seen.faults);
        Ok(seen.spans.clone())
    }

    /// Waits until spans of which this is so have come, and returns all that have.
    ///
    /// # Errors
    /// When they do not.
    pub async fn until(&self, what: &str, is_so: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        let waited = until(what, async || is_so(&self.came.seen().spans)).await;
        let spans = self.spans()?;
        let names =
            || spans.iter().map(|span| format!("{} {} {}", span.trace, span.service, span.name)).collect::<Vec<_>>();
        ensure!(waited.is_ok(), "waited in vain: {what} among {:#?}", names());
        Ok(spans)
    }
}

async fn take(State(came): State<Arc<Came>>, headers: HeaderMap, body: Bytes) -> Response {
    let batch = ExportTraceServiceRequest::decode(body);
    let is_typed = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-protobuf");
    let manner = {
        let mut seen = came.seen();
        seen.batches += 1;
        match batch {
            Ok(batch) if is_typed => {
                if came.manner == Manner::Takes {
                    seen.spans.extend(batch.resource_spans.iter().flat_map(spans));
                }
            }
            Ok(_) => seen.faults.push("it is not called protobuf".to_owned()),
            Err(error) => seen.faults.push(error.to_string()),
        }
        came.manner
    };
    match manner {
        Manner::Takes => ([(header::CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Raves => (StatusCode::OK, "\u{ff}<html>".repeat(100_000)).into_response(),
        Manner::Refuses => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn spans(of: &ResourceSpans) -> Vec<Span> {
    let resource = of.resource.as_ref().map(|resource| texts(&resource.attributes)).unwrap_or_default();
    let service = resource.get("service.name").cloned().unwrap_or_default();
    let spans = of.scope_spans.iter().flat_map(|scope| &scope.spans);
    let read = |span: &opentelemetry_proto::tonic::trace::v1::Span| Span {
        service: service.clone(),
        resource: resource.clone(),
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(&span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        events: span.events.iter().map(|event| format!("{} {:?}", event.name, texts(&event.attributes))).collect(),
        is_error: span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error),
    };
    spans.map(read).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|one| (one.key.clone(), text(one.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}
