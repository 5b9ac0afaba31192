//! The handlers. Each parses, asks once, shows.

pub mod batch;
pub mod downloads;
pub mod events;
pub mod files;
pub mod health;
pub mod library;
pub mod list;
pub mod metadata;
pub mod operators;
pub mod plan;
pub mod playlist_list;
pub mod playlist_zip;
pub mod playlists;
pub mod thumbnail;
pub mod usage;
pub mod webhook;
