//! What the API and the workers of Haul must agree on, or the disagreement is a bug.
//!
//! A client asks the API for a download and holds a [`ids::Ticket`]. Behind it stands a [`job::Job`], moved
//! through its states by scripts in Redis ([`store`]). A worker leases it, makes a file, puts it into
//! [`storage`], and completes the job; only then does a link exist.

pub mod config;
pub mod cookies;
pub mod doctor;
pub mod egress;
pub mod healthcheck;
pub mod ids;
pub mod job;
pub mod media;
pub mod metadata;
pub mod metrics;
pub mod recent;
pub mod redis;
pub mod rollout;
pub mod serve;
pub mod shutdown;
pub mod site;
pub mod source;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod trace;
mod unseen;
pub mod view;
pub mod webhook;
