//! The stage for tests: real parts, started for one test and gone with it.

pub mod media;
pub mod origin;
pub mod redis;
pub mod s3;
pub mod site;
pub mod small_disk;
