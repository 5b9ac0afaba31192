//! What is measured of calls that leave the process for Redis or for the store of results.
//!
//! How long a call took is a histogram by what was asked, whose series appear with the first call. What came of it, where it
//! failed, is a counter by the reason, whose series are all there from the start: an alert looks at how they rise.

use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::VALID;
use crate::storage::StorageError;

/// Seconds; from a script on loopback, some tens of microseconds, to [`RESPONSE_TIMEOUT`](crate::redis::RESPONSE_TIMEOUT).
const REDIS_BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0];

/// Seconds; from a link of a file to a part of 8 MiB, or a file of 16, over a slow line.
const STORAGE_BUCKETS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What a Redis is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has the queue, and the cache too unless that has one of its own.
    Queue,
    /// It has the cache of metadata only.
    Cache,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Cache => "cache",
        }
    }
}

/// Why a call to Redis failed; each attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No connection was to be had: none free in the pool, or none could be made.
    NoConnection,
    /// Sent, and not answered.
    Unanswered,
    /// Redis has no memory for it.
    OutOfMemory,
    /// Carried out, and no replica has it.
    NotReplicated,
    /// Refused for another reason.
    Refused,
}

impl Reason {
    const ALL: [Self; 5] =
        [Self::NoConnection, Self::Unanswered, Self::OutOfMemory, Self::NotReplicated, Self::Refused];

    fn word(self) -> &'static str {
        match self {
            Self::NoConnection => "no_connection",
            Self::Unanswered => "unanswered",
            Self::OutOfMemory => "out_of_memory",
            Self::NotReplicated => "not_replicated",
            Self::Refused => "refused",
        }
    }
}

/// What is measured of the calls to one Redis; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct RedisCalls {
    duration: HistogramVec,
    failures: IntCounterVec,
}

impl RedisCalls {
    pub(crate) fn new(role: Role) -> Self {
        let duration =
            HistogramOpts::new("haul_redis_call_duration_seconds", "Time from a call of Redis to its answer.")
                .const_label("role", role.word())
                .buckets(REDIS_BUCKETS.to_vec());
        let failures = Opts::new("haul_redis_call_failures_total", "Calls of Redis that failed; each attempt counts.")
            .const_label("role", role.word());
        let calls = Self {
            duration: HistogramVec::new(duration, &["call"]).expect(VALID),
            failures: IntCounterVec::new(failures, &["reason"]).expect(VALID),
        };
        for reason in Reason::ALL {
            calls.failures.with_label_values(&[reason.word()]);
        }
        calls
    }

    /// For a registry.
    #[must_use]
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.duration.clone()), Box::new(self.failures.clone())]
    }

    pub(crate) fn took(&self, call: &'static str, took: Duration) {
        self.duration.with_label_values(&[call]).observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, reason: Reason) {
        self.failures.with_label_values(&[reason.word()]).inc();
    }
}

/// What a store of results is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// To take a file, or bytes in memory.
    Put,
    /// To take an object while it is made: from its last bytes on.
    Send,
    /// To begin an object that comes in parts.
    Begin,
    /// To take a part.
    Part,
    /// To make an object of its parts.
    Complete,
    /// For bytes, until they begin to come.
    Read,
    /// For a signed link.
    Link,
    /// To remove an object.
    Delete,
    /// What is there: one page of it.
    List,
    /// Whether it can do what is needed.
    Ready,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Put,
        Self::Send,
        Self::Begin,
        Self::Part,
        Self::Complete,
        Self::Read,
        Self::Link,
        Self::Delete,
        Self::List,
        Self::Ready,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Send => "send",
            Self::Begin => "begin",
            Self::Part => "part",
            Self::Complete => "complete",
            Self::Read => "read",
            Self::Link => "link",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Ready => "ready",
        }
    }
}

/// Of what the store is at fault; an object that is not there is no failure of it.
fn reason(error: &StorageError) -> Option<&'static str> {
    match error {
        StorageError::Full => Some(FULL),
        StorageError::Refused(_) => Some(REFUSED),
        StorageError::Unavailable(_) => Some(UNAVAILABLE),
        StorageError::NotFound | StorageError::RangeOutside | StorageError::File(_) => None,
    }
}

const FULL: &str = "full";
const REFUSED: &str = "refused";
const UNAVAILABLE: &str = "unavailable";

/// What is measured of the calls to a store of results; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct StorageCalls {
    duration: HistogramVec,
    failures: IntCounterVec,
}

impl StorageCalls {
    /// Of a store of this kind, `disk` or `s3`.
    pub(crate) fn new(backend: &'static str) -> Self {
        let duration =
            HistogramOpts::new("haul_storage_operation_duration_seconds", "Time that the store of results took.")
                .const_label("backend", backend)
                .buckets(STORAGE_BUCKETS.to_vec());
        let failures = Opts::new("haul_storage_failures_total", "What the store of results did not do.")
            .const_label("backend", backend);
        let calls = Self {
            duration: HistogramVec::new(duration, &["operation"]).expect(VALID),
            failures: IntCounterVec::new(failures, &["operation", "reason"]).expect(VALID),
        };
        for operation in Operation::ALL {
            for reason in [FULL, REFUSED, UNAVAILABLE] {
                calls.failures.with_label_values(&[operation.word(), reason]);
            }
        }
        calls
    }

    /// For a registry.
    #[must_use]
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.duration.clone()), Box::new(self.failures.clone())]
    }

    /// Something is asked from now on. Without an answer, because nobody waits for it any more, it does not count.
    pub(crate) fn ask(&self, operation: Operation) -> Asked<'_> {
        Asked { calls: self, operation, began: Instant::now() }
    }

    pub(crate) fn failed(&self, operation: Operation, error: &StorageError) {
        if let Some(reason) = reason(error) {
            self.failures.with_label_values(&[operation.word(), reason]).inc();
        }
    }
}

/// Something that a store of results is asked. No wrapper of the future that it is: those of a store are large, and each
/// wrapper would hold them once more.
pub(crate) struct Asked<'a> {
    calls: &'a StorageCalls,
    operation: Operation,
    began: Instant,
}

impl Asked<'_> {
    /// Measures the answer, and hands it back.
    pub(crate) fn answered<T>(self, answer: Result<T, StorageError>) -> Result<T, StorageError> {
        let took = self.began.elapsed().as_secs_f64();
        self.calls.duration.with_label_values(&[self.operation.word()]).observe(took);
        answer.inspect_err(|error| self.calls.failed(self.operation, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_not_there_is_no_failure_of_the_store_and_a_refusal_is_one() {
        let calls = StorageCalls::new("disk");
        let ask = |answer: Result<(), StorageError>| calls.ask(Operation::Read).answered(answer).is_ok();
        let refused = StorageError::Refused("no".into());
        assert_eq!([ask(Ok(())), ask(Err(StorageError::NotFound)), ask(Err(refused))], [true, false, false]);
        let failed = |reason| calls.failures.with_label_values(&["read", reason]).get();
        assert_eq!([FULL, REFUSED, UNAVAILABLE].map(failed), [0, 1, 0]);
        assert_eq!(calls.duration.with_label_values(&["read"]).get_sample_count(), 3);
    }
}
