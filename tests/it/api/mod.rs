//! The API over real HTTP, with a real Redis and a real directory; the test plays the worker where one is needed.

mod access;
mod audit;
mod cut_off;
mod downloads;
mod edge;
mod events;
mod faults;
mod flood;
mod foreign;
mod generated;
mod jars;
mod keys;
mod library;
mod limits;
mod metadata;
mod odd;
mod operators;
mod page;
mod pictures;
mod plans;
mod pressure;
mod regions;
mod reload;
mod results;
mod usage;
