//! Configuration: the environment, read and checked whole before a port is opened, then passed down.
//!
//! [`vars`] has every variable, [`Env`] what was set, [`Reader`] makes values of it and tells all faults at once,
//! [`sections`] are the parts that both processes have. Not here: the struct of each process (`api::config`,
//! `worker::config`). Nothing else in the program reads the environment, but for the AWS credentials chain.

mod compose;
mod env;
pub mod parse;
mod redis;
pub mod render;
pub mod sections;
pub mod vars;

pub use env::{Env, Fault, Faults, Reader, Warning};
pub use parse::Rate;
pub use redis::RedisConfig;
pub use sections::{
    Durability, Lives, LogConfig, LogFormat, Mode, QueueConfig, Regions, Sse, StorageConfig, TraceConfig,
    egress_policy, mode,
};
pub use vars::Process;
