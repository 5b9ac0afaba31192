//! ffmpeg among what it reads and what it writes: all of them work at the same time, and end together.
//!
//! The first failure counts, and ends the others: what ffmpeg says after a flow broke, or after the store did, is no
//! more than an echo. What was made counts only when all of them came to their end.
//!
//! Not here: what ffmpeg is told (`ffmpeg`), where flows come from, where the result goes (`pipeline`).

pub mod fifo;
mod flow;
mod lane;
mod mend;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use futures::future::try_join_all;
use haul_shared::job::{Failure, FailureKind};
use tokio_util::sync::CancellationToken;

use crate::ffmpeg::{Ffmpeg, Index, Make};
use crate::process::{Activity, Watch};
use crate::scratch;
use fifo::Drain;
use flow::Fed;
use mend::Keeper;

pub use flow::{Flow, Head};
pub use lane::{Lane, Place};

/// One run of ffmpeg.
pub struct Shaping<'a> {
    /// The program.
    pub ffmpeg: &'a Ffmpeg,
    /// When it is ended.
    pub watch: Watch,
    /// Bytes of each flow, at most.
    pub most: u64,
    /// What it is told. The output is not there yet.
    pub make: Make<'a>,
    /// The flows among its inputs, which come first: it reads them as they come, each by its pipe.
    pub flows: Vec<Flow<'a>>,
}

impl<'a> Shaping<'a> {
    /// Makes a file; `on_progress` gets the seconds of the medium that are done. Its index is in front. Where room was left
    /// for it, and was too small, the file was put together anew: nothing is where it was before.
    ///
    /// # Errors
    /// As the flows and ffmpeg fail.
    pub async fn into_file(self, on_progress: impl FnMut(f64)) -> Result<Index, Failure> {
        let (began, end, arrived) = (Instant::now(), End::of(&self.watch), self.arrived());
        let activity = Some(Arc::new(arrived) as Activity);
        let watch = Watch { cancel: end.halt.clone(), activity, ..self.watch.clone() };
        let keeper = Keeper::of(self.make.output, self.make.room);
        let running = async {
            let index = self.run(&watch, &end, &keeper.done, on_progress).await;
            keeper.done.cancel();
            index
        };
        let (index, ()) = tokio::join!(running, keeper.keep());
        if let Some(failure) = end.failure() {
            return Err(failure);
        }
        if index == Some(Index::Overflows) {
            let wall = watch.wall.saturating_sub(began.elapsed());
            keeper.mend(&Watch { wall, ..watch }).await?;
        }
        Ok(index.unwrap_or(Index::InFront))
    }

    /// Gives the result out while it is made. What `take` returns counts only if all went well: what it is given ends
    /// early when something failed.
    ///
    /// # Errors
    /// As the flows, `take`, and ffmpeg fail.
    pub async fn into_hands<T>(
        self,
        take: impl AsyncFnOnce(Made) -> Result<T, Failure>,
        on_progress: impl FnMut(f64),
    ) -> Result<T, Failure> {
        fifo::make(self.make.output).map_err(|error| scratch::failure(&error))?;
        let (drain, keeper) = fifo::drain(self.make.output).map_err(|error| scratch::failure(&error))?;
        let (end, pace) = (End::of(&self.watch), Arc::new(Pace::default()));
        let made = Made { drain, pace: Arc::clone(&pace) };
        let arrived = self.arrived();
        let activity = Some(Arc::new(move || pace.look() + arrived()) as Activity);
        let watch = Watch { cancel: end.halt.clone(), activity, ..self.watch.clone() };
        let running = async {
            // a pipe keeps what it has
            let ready = CancellationToken::new();
            ready.cancel();
            self.run(&watch, &end, &ready, on_progress).await;
            drop(keeper);
        };
        let taking = async {
            // a taker that waits for the store would not hear of the end
            let taken = end.halt.run_until_cancelled(take(made)).await;
            taken.and_then(|taken| end.heard(taken))
        };
        let ((), taken) = tokio::join!(running, taking);
        match (end.failure(), taken) {
            (None, Some(taken)) => Ok(taken),
            (failure, _) => Err(failure.unwrap_or_else(|| Failure::new(FailureKind::Internal, "nothing was made"))),
        }
    }

    /// Grows while anything arrives for any flow: an ffmpeg that waits for it is not silent.
    fn arrived(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let counts: Vec<_> = self.flows.iter().map(|flow| Arc::clone(&flow.arrived)).collect();
        move || counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// No flow is at its end for ffmpeg before it is `ready` to end.
    async fn run(
        self,
        watch: &Watch,
        end: &End,
        ready: &CancellationToken,
        on_progress: impl FnMut(f64),
    ) -> Option<Index> {
        let Self { ffmpeg, make, flows, most, .. } = self;
        let over = CancellationToken::new();
        let making = async {
            let made = ffmpeg.make(&make, watch, on_progress).await;
            over.cancel();
            end.heard(made)
        };
        let feeding = flows.into_iter().zip(make.inputs);
        let feeding = feeding.map(|(flow, input)| flow.feed(input.file, input.container, most, ready));
        let feeding = async {
            let fed = over.run_until_cancelled(try_join_all(feeding)).await;
            end.heard(fed.transpose())
        };
        let (made, fed) = tokio::join!(making, feeding);
        if fed.is_some_and(|fed| fed.is_none_or(|fed| fed.contains(&Fed::Cut))) {
            end.heard::<()>(Err(Failure::new(FailureKind::CorruptMedia, "ffmpeg did not read to the end")));
        }
        made
    }
}

/// What is being made, in order.
pub struct Made {
    drain: Drain,
    pace: Arc<Pace>,
}

impl Made {
    /// The next bytes, at most 256 KiB; `None` at the end.
    ///
    /// # Errors
    /// When the pipe can't be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.pace.wants.store(true, Ordering::Relaxed);
        let bytes = self.drain.next().await.map_err(|error| scratch::failure(&error))?;
        self.pace.wants.store(false, Ordering::Relaxed);
        self.pace.grown.fetch_add(bytes.as_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// The sign of life of an ffmpeg that writes into a pipe.
#[derive(Default)]
struct Pace {
    grown: AtomicU64,
    /// The taker waits for ffmpeg, and not the other way round.
    wants: AtomicBool,
}

impl Pace {
    /// Grows with what was taken. An ffmpeg that waits for the taker is not silent: whoever is slow then has limits of its
    /// own.
    fn look(&self) -> u64 {
        let waited = u64::from(!self.wants.load(Ordering::Relaxed));
        self.grown.fetch_add(waited, Ordering::Relaxed) + waited
    }
}

/// The first failure, which ends the others.
struct End {
    first: OnceLock<Failure>,
    halt: CancellationToken,
}

impl End {
    fn of(watch: &Watch) -> Self {
        Self { first: OnceLock::new(), halt: watch.cancel.child_token() }
    }

    fn heard<T>(&self, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                let _ = self.first.set(failure);
                self.halt.cancel();
                None
            }
        }
    }

    fn failure(self) -> Option<Failure> {
        self.first.into_inner()
    }
}
