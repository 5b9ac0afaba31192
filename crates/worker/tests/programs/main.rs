//! Programs under the launcher, with real processes.
//!
//! Here and not with the other integration tests, because cargo builds `haul-jail` for the tests of its own package.

mod chain;
mod holes;
mod media;
mod process;
mod shape;
