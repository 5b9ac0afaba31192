//! The worker: takes jobs, runs programs, stores results.

pub mod process;
