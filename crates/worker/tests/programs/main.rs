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

use std::path::Path;

use haul_shared::job::DownloadSpec;
use haul_tests::media::program;
use haul_worker::ffmpeg::{Embedded, Ffmpeg, Input, Make};
use haul_worker::process::Limits;
use haul_worker::select::Plan;

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

/// Without texts of ours, and of a length that nobody knows.
fn plain<'a>(plan: &'a Plan, spec: &'a DownloadSpec, inputs: &'a [Input<'a>], output: &'a Path) -> Make<'a> {
    Make { plan, spec, inputs, embedded: Embedded::default(), seconds: None, output }
}
