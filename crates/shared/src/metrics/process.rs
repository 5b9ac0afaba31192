//! What the runtime says of itself, read when somebody asks.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};
use tokio::runtime::Handle;

use super::{VALID, gauge};

/// The runtime in which it is asked; outside of one it keeps what it said last.
#[derive(Debug)]
pub(super) struct Runtime {
    threads: IntGauge,
    tasks: IntGauge,
    queued: IntGauge,
    busy: Counter,
}

impl Runtime {
    pub(super) fn new() -> Self {
        let busy = "Time in which the threads of the runtime were at work.";
        Self {
            threads: gauge("haul_runtime_threads", "Threads of the runtime that work on tasks."),
            tasks: gauge("haul_runtime_tasks", "Tasks that have not ended."),
            queued: gauge("haul_runtime_queued_tasks", "Tasks that wait for any thread of the runtime."),
            busy: Counter::new("haul_runtime_busy_seconds_total", busy).expect(VALID),
        }
    }
}

impl Collector for Runtime {
    fn desc(&self) -> Vec<&Desc> {
        [self.threads.desc(), self.tasks.desc(), self.queued.desc(), self.busy.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Ok(runtime) = Handle::try_current() {
            let told = runtime.metrics();
            let busy = (0..told.num_workers()).map(|thread| told.worker_total_busy_duration(thread).as_secs_f64());
            self.threads.set(super::signed(told.num_workers()));
            self.tasks.set(super::signed(told.num_alive_tasks()));
            self.queued.set(super::signed(told.global_queue_depth()));
            // not below zero, should two scrapes read at the same time
            self.busy.inc_by((busy.sum::<f64>() - self.busy.get()).max(0.0));
        }
        [self.threads.collect(), self.tasks.collect(), self.queued.collect(), self.busy.collect()].concat()
    }
}
