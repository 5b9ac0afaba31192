//! Traces on their way to a collector: which are kept, and how they are sent.
//!
//! Nobody who works waits for a collector. Spans that have ended wait in a queue of [`QUEUE`], and one thread sends them in
//! batches, each for as long as [`SENT_WITHIN`]; what does not fit, or could not be sent, is dropped and counted
//! ([`super::losses`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};
use tokio::runtime::Handle;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

use super::losses::{Counted, Counting, Losses};
use super::{Service, TelemetryError, start_fault};
use crate::config::TraceConfig;
use crate::trace::TARGET;

/// Spans that wait to be sent, some 1 KB each.
const QUEUE: usize = 2048;
/// Spans sent together.
const BATCH: usize = 512;
/// Between two batches, if fewer than [`BATCH`] wait.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// For one batch, with what is tried again.
const SENT_WITHIN: Duration = Duration::from_secs(5);
/// For what waits when the process stops; a part of the time that is left after its grace (`docker-compose.yml`).
const FLUSHED_WITHIN: Duration = Duration::from_secs(3);
/// Longest answer of a collector that is read: one that says what it did not take has a sentence.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Sends traces until it is ended.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    losses: Arc<Losses>,
}

impl Traces {
    /// Begins to send. To be called on a runtime, which does the sending.
    pub(super) fn start(config: &TraceConfig, service: &Service) -> Result<Self, TelemetryError> {
        let collector = format!("{}/v1/traces", config.collector.as_str().trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new().map_err(|error| start_fault(error.into()))?)
            .with_endpoint(collector)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(SENT_WITHIN)
            .build()
            .map_err(|error| start_fault(error.into()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let losses = Arc::new(Losses::new(QUEUE));
        let counted = Counted { inner: exporter, losses: Arc::clone(&losses) };
        let batching = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Counting { inner: batching, losses: Arc::clone(&losses) })
            .with_sampler(Sampler::ParentBased(Box::new(FromRequests(Sampler::TraceIdRatioBased(config.ratio)))))
            .with_resource(resource(service))
            .build();
        Ok(Self { provider, losses })
    }

    /// What makes the spans of the traces out of those of `tracing`, and of nothing else: no line of the log gets into one.
    pub(super) fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("haul"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        layer.with_filter(filter_fn(|what| what.is_span() && what.target() == TARGET))
    }

    /// Sends what waits, and ends.
    pub(super) fn end(self) {
        // how many did not get there is told below, whatever the reason
        let _ = self.provider.shutdown_with_timeout(FLUSHED_WITHIN);
        self.losses.tell_all();
    }
}

fn resource(service: &Service) -> Resource {
    // without what the environment says of us: that is read in one place
    let says = [
        KeyValue::new("service.name", service.name),
        KeyValue::new("service.version", service.version),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        KeyValue::new("haul.regions", service.regions.clone()),
    ];
    Resource::builder_empty().with_attributes(says).build()
}

/// A trace begins with a request. What nobody asked for (a look behind somebody's back), or comes of what is not kept, makes
/// none.
#[derive(Debug, Clone)]
struct FromRequests(Sampler);

impl ShouldSample for FromRequests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if *kind == SpanKind::Server {
            return self.0.should_sample(parent, trace, name, kind, attributes, links);
        }
        let (attributes, trace_state) = (Vec::new(), opentelemetry::trace::TraceState::NONE);
        SamplingResult { decision: SamplingDecision::Drop, attributes, trace_state }
    }
}

/// The way to the collector. The thread that sends is on no runtime, and waits for one that is.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    fn new() -> reqwest::Result<Self> {
        // one that leads elsewhere is not followed there, and no proxy that the environment names for others is on the way
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Ok(Self { client: client.timeout(SENT_WITHIN).build()?, runtime: Handle::current() })
    }
}

impl HttpClient for Collector {
    fn send_bytes<'s, 'f>(&'s self, request: Request<Bytes>) -> BoxFuture<'f, Result<Response<Bytes>, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { send(&client, request).await });
        Box::pin(async move { sending.await? })
    }
}

async fn send(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let answer = client.execute(request.try_into()?).await?;
    let mut told = Response::builder().status(answer.status());
    if let Some(headers) = told.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await.transpose()? {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(io::Error::other("the collector's answer is too long").into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(told.body(body.into())?)
}
