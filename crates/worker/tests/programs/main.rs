//! Programs under the launcher, with real processes.
//!
//! Here and not with the other integration tests, because cargo builds `haul-jail` for the tests of its own package.

mod aside;
mod chain;
mod comets;
mod holes;
mod index;
mod media;
mod parts;
mod process;
mod sandbox;
mod shape;
mod sizes;

use std::path::Path;
use std::time::Duration;

use haul_shared::job::DownloadSpec;
use haul_tests::media::program;
use haul_worker::ffmpeg::{Embedded, Ffmpeg, Input, Make};
use haul_worker::process::{Limits, Spec, Watch, output};
use haul_worker::select::Plan;
use tokio_util::sync::CancellationToken;

/// The installed one.
fn ffmpeg() -> Ffmpeg {
    Ffmpeg {
        ffmpeg: program("ffmpeg"),
        ffprobe: program("ffprobe"),
        made_of: Vec::new(),
        launcher: Some(env!("CARGO_BIN_EXE_haul-jail").into()),
        sandbox: haul_worker::sandbox::Sandbox::off(),
        limits: Limits::default(),
        threads: 1,
    }
}

/// A minute for all of it, and for each silence.
fn watch() -> Watch {
    Watch::new(Duration::from_secs(60), Duration::from_secs(60), CancellationToken::new())
}

/// So many seconds of a picture of this size and of a tone, coded and laid out so.
async fn coded(file: &Path, (size, seconds): (&str, u32), coding: &str) {
    let sources = format!(
        "-v error -y -f lavfi -i testsrc2=size={size}:rate=25:duration={seconds} -f lavfi -i sine=duration={seconds}"
    );
    let words = sources.split(' ').chain(coding.split(' '));
    let spec = Spec::new(program("ffmpeg"), file.parent().expect("it is in a folder")).args(words).args([file]);
    let made = output(&spec.launcher(env!("CARGO_BIN_EXE_haul-jail")), &watch()).await;
    let made = made.expect("ffmpeg can be run");
    assert!(made.ended.is_success(), "{coding}: {}", made.stderr_tail);
}

/// Without texts of ours, and of a length that nobody knows.
fn plain<'a>(plan: &'a Plan, spec: &'a DownloadSpec, inputs: &'a [Input<'a>], output: &'a Path) -> Make<'a> {
    Make { plan, spec, inputs, embedded: Embedded::default(), seconds: None, room: None, output }
}
