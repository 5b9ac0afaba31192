//! What is counted of all guards of a worker.

use haul_shared::metrics::counters;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec};

use super::Refusal;

/// The counters; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct Counts {
    denied: IntCounterVec,
    bytes: IntCounterVec,
    pub(super) received: IntCounter,
    pub(super) sent: IntCounter,
}

impl Default for Counts {
    fn default() -> Self {
        let denied = counters("haul_egress_denied_total", "What the egress guard refused.", &["reason"]);
        // a series that is not there until it is counted hides its first count from `increase()`
        for refusal in Refusal::ALL {
            denied.with_label_values(&[refusal.word()]);
        }
        let bytes = counters("haul_egress_bytes_total", "Bytes that passed the egress guard.", &["direction"]);
        let (received, sent) = (bytes.with_label_values(&["received"]), bytes.with_label_values(&["sent"]));
        Self { denied, bytes, received, sent }
    }
}

impl Counts {
    /// For the registry.
    #[must_use]
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.denied.clone()), Box::new(self.bytes.clone())]
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.denied.with_label_values(&[refusal.word()]).inc();
    }
}
