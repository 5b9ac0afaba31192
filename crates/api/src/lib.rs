//! HTTP in, jobs out: the API of Haul.
//!
//! A request is checked in full ([`request`]), becomes a job in the store ([`submit`]), and is shown as what the
//! contract promises (`haul_shared::view`). [`router`] has all routes on one page; [`mod@run`] is the whole program, to which `main`
//! gives signals and a test gives tokens.
//!
//! Absent on purpose: no program is started here, no URL of a client is fetched, and nothing is kept that a second API
//! would miss, caches and limits aside.

pub mod cli;
pub mod config;
pub mod doctor;

pub mod app;
pub mod compat;
pub mod page;
pub mod router;
pub mod routes;

pub mod body;
pub mod playlist;
pub mod query;
pub mod request;
pub mod submit;

pub mod compression;
pub mod conditional;
pub mod cursor;
pub mod error;
pub mod events;
pub mod hold;
pub mod openapi;
pub mod representation;
pub mod results;
pub mod stored;

mod audit;
pub mod auth;
pub mod client_ip;
pub mod host;
pub mod limits;
pub mod metadata;
pub mod metrics;
pub mod observe;
pub mod place;
pub mod shares;
pub mod tally;
pub mod usage;
pub mod webhooks;

mod run;
mod spans;

pub use run::{Listeners, StartError, run};
