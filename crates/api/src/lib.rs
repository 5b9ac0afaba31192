//! HTTP in, jobs out: the API of Haul.

pub mod cli;
pub mod config;
