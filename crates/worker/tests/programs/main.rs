//! Programs under the launcher, with real processes.
//!
//! Here and not with the other integration tests, because cargo builds `haul-jail` for the tests of its own package.

mod aside;
mod chain;
mod holes;
mod index;
mod media;
mod parts;
mod process;
mod shape;

use haul_tests::media::program;
use haul_worker::ffmpeg::Ffmpeg;
use haul_worker::process::Limits;

/// The installed one.
fn ffmpeg() -> Ffmpeg {
    Ffmpeg {
        ffmpeg: program("ffmpeg"),
        ffprobe: program("ffprobe"),
        launcher: Some(env!("CARGO_BIN_EXE_haul-jail").into()),
        limits: Limits::default(),
        threads: 1,
    }
}
