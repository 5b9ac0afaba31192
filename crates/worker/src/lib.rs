//! The worker: takes jobs, runs programs, stores results.

pub mod cli;
pub mod config;
pub mod container;
pub mod ffmpeg;
pub mod process;
pub mod select;
pub mod verify;
pub mod ytdlp;
