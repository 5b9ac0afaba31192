//! A fleet on paper: orders, the fair queue, workers and what they ask of Redis and of the bucket, as events in logical time.
//!
//! It follows the scripts (`store/lua`) and the claim loop (`worker::claim`) in what decides who waits how long: turns by
//! virtual time, every eighth for less urgent jobs, limits of clients and sites, wake tokens, lost leases, retries. It counts
//! calls, and knows what each costs only from a table that was measured ([`Costs`]). The same seed gives the same history.
//!
//! Not here: breakers of sites, jobs that several clients share, playlists, looks at metadata, cancelling. What is measured
//! beside it and what it predicts stands in `tests/bench/sim`; it lies in the harness for the sake of its tests.

mod arrivals;
mod clock;
mod costs;
mod draw;
mod fleet;
mod ledger;
mod outcome;
mod plan;
mod queue;
mod theory;
mod world;

pub use arrivals::{Demand, Order, Orders, Profile, poisson};
pub use clock::Agenda;
pub use costs::{Call, Calls, Cost, Costs};
pub use draw::{Draw, Random, random};
pub use ledger::{Ledger, MINUTE};
pub use outcome::{Outcome, Spread};
pub use plan::{Faults, Follow, Limits, Plan, Service, WorkerPlan};
pub use theory::erlang_c;
pub use world::simulate;
