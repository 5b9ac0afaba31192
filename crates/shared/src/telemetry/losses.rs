//! What of the traces gets lost, because a collector is away, or too slow: counted, and told once a minute.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// Between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How many spans wait, and how many were lost.
#[derive(Debug)]
pub(super) struct Losses {
    most_waiting: usize,
    waiting: AtomicUsize,
    /// Since it was told.
    lost: AtomicU64,
    told: Mutex<Option<Instant>>,
    has_ended: AtomicBool,
}

impl Losses {
    pub(super) fn new(most_waiting: usize) -> Self {
        Self {
            most_waiting,
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            told: Mutex::default(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// A span has ended. Is there room for it?
    fn takes(&self) -> bool {
        let had_room = |waiting| (waiting < self.most_waiting).then_some(waiting + 1);
        let is_taken = !self.has_ended.load(Ordering::Relaxed)
            && self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, had_room).is_ok();
        if !is_taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// So many were sent, or could not be.
    fn sent(&self, spans: usize, outcome: &OTelSdkResult) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match outcome {
            Err(error) => {
                self.lost.fetch_add(spans as u64, Ordering::Relaxed);
                self.tell(error);
            }
            // a collector that takes all that it is sent may still be too slow for what there is
            Ok(()) if self.lost.load(Ordering::Relaxed) > 0 => self.tell(&"they end faster than it takes them"),
            Ok(()) => {}
        }
    }

    fn tell(&self, why: &dyn fmt::Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let lost = self.lost.swap(0, Ordering::Relaxed);
            tracing::warn!(lost, "{lost} spans of traces did not get to their collector: {why}");
        }
    }

    /// Nothing is sent any more: says what was not told yet, with all that still waits.
    pub(super) fn tell_all(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        let waiting = self.waiting.swap(0, Ordering::Relaxed) as u64;
        let lost = self.lost.swap(0, Ordering::Relaxed) + waiting;
        if lost > 0 {
            tracing::warn!(lost, "{lost} spans of traces did not get to their collector before the end");
        }
    }
}

/// Lets through as many spans as may wait.
#[derive(Debug)]
pub(super) struct Counting<P> {
    pub(super) inner: P,
    pub(super) losses: Arc<Losses>,
}

impl<P: SpanProcessor> SpanProcessor for Counting<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.losses.takes() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what was sent.
#[derive(Debug)]
pub(super) struct Counted<E> {
    pub(super) inner: E,
    pub(super) losses: Arc<Losses>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.inner.export(batch).await;
        self.losses.sent(spans, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkError;

    fn failed() -> OTelSdkResult {
        Err(OTelSdkError::Timeout(Duration::ZERO))
    }

    #[test]
    fn what_finds_no_room_or_could_not_be_sent_is_lost_and_room_comes_back() {
        let losses = Losses::new(2);
        let lost = || losses.lost.load(Ordering::Relaxed);
        assert!(losses.takes() && losses.takes() && !losses.takes());
        assert_eq!(lost(), 1);
        losses.sent(2, &failed());
        // it was told, and begins anew
        assert_eq!(lost(), 0);
        assert!(losses.takes());
        losses.sent(1, &failed());
        assert_eq!(lost(), 1);
        losses.tell_all();
        assert!(lost() == 0 && !losses.takes());
    }

    /// What a slow collector had no room for was not told as long as it took what it was sent.
    #[test]
    fn what_finds_no_room_is_told_also_when_all_else_is_sent() {
        let losses = Losses::new(1);
        let lost = || losses.lost.load(Ordering::Relaxed);
        assert!(losses.takes() && !losses.takes());
        losses.sent(1, &Ok(()));
        assert_eq!(lost(), 0, "it was told");
        assert!(losses.takes() && !losses.takes());
        losses.sent(1, &Ok(()));
        assert_eq!(lost(), 1, "within a minute it is told once");
    }
}
