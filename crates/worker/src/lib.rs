//! The worker: takes jobs, runs programs, stores results.

pub mod cli;
pub mod config;
pub mod container;
pub mod process;
pub mod ytdlp;
