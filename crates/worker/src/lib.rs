//! The worker: takes jobs, runs programs, stores results.
//!
//! A job goes through the modules in this order. [`claim`] takes it when a slot is free, [`attempt`] runs and settles
//! it, [`pipeline`] is the work itself: [`ytdlp`] finds and fetches, [`select`] chooses, [`shape`] makes of it by
//! [`ffmpeg`] what was asked, [`verify`] proves; what lies beside a result comes by [`small`]. [`board`] knows what is
//! under way, and with [`course`] and [`meter`] how far it is; [`heartbeat`] tells the store.
//! Whoever wants to be told of an end is told by [`webhooks`].

pub mod cli;
pub mod config;
pub mod doctor;
mod equipment;
pub mod run;

pub mod attempt;
pub mod board;
pub mod claim;
pub mod context;
pub mod heartbeat;
pub mod insist;

pub mod course;
pub mod jar;
pub mod meter;
pub mod pipeline;
pub mod scratch;
pub mod stages;
pub mod storage_watch;
pub mod thumbnails;
pub mod way;
pub mod webhooks;

pub mod captions;
pub mod container;
pub mod ffmpeg;
pub mod forecast;
pub mod guard;
pub mod live;
pub mod origin;
pub mod part;
pub mod process;
pub mod relay;
pub mod sandbox;
pub mod segments;
pub mod select;
pub mod shape;
pub mod small;
pub mod sponsorblock;
pub mod update;
pub mod verify;
pub mod ytdlp;

pub mod health;
pub mod metrics;
pub mod orphans;
mod spans;
pub mod sweep;
