//! Behaviour through the public surface, one module per subject, one binary so that it links once.

mod api;
mod command_line;
mod commands;
mod compat;
mod doctor;
mod downloads;
mod faults;
mod guard;
mod operations;
mod origin;
mod page;
mod playlists;
mod redis;
mod relay;
mod security;
mod segments;
mod sim;
mod sites;
mod storage;
mod store;
mod tidy;
mod traces;
mod warm;
mod webhooks;
mod worker;
mod ytdlp;
