//! The programs as the configuration has them: for who works by them, and for the doctor who looks at them.
//!
//! Not here: how they are run (`process`), what they are told (`ytdlp`, `ffmpeg`).

use std::num::NonZeroUsize;

use haul_shared::config::Mode;

use crate::config::WorkerConfig;
use crate::ffmpeg::Ffmpeg;
use crate::process::Limits;
use crate::sandbox::{Sandbox, libraries_beside};
use crate::ytdlp::YtdlpSettings;

/// Private memory of ffmpeg in bytes: several pictures of 8K, and a file that claims absurd sizes ends in an error.
const FFMPEG_MEMORY: u64 = 2 << 30;

/// ffmpeg and ffprobe, in this sandbox.
pub(crate) fn ffmpeg(config: &WorkerConfig, sandbox: &Sandbox, cores: NonZeroUsize) -> Ffmpeg {
    let files = [&config.programs.ffmpeg, &config.programs.ffprobe].map(|program| program.canonicalize().ok());
    Ffmpeg {
        made_of: files.iter().flatten().flat_map(|file| libraries_beside(file)).collect(),
        ffmpeg: config.programs.ffmpeg.clone().into(),
        ffprobe: config.programs.ffprobe.clone().into(),
        launcher: None,
        sandbox: sandbox.clone(),
        limits: Limits {
            // Twice, for what is made may be larger than what came; the result is measured afterwards.
            file_size: Some(config.limits.max_file_bytes.saturating_mul(2)),
            data: Some(FFMPEG_MEMORY),
            ..Limits::default()
        },
        threads: (cores.get() / config.slots.max(1)).max(1),
    }
}

/// The command line's settings; the JavaScript runtime is the one beside the program.
pub(crate) fn ytdlp(config: &WorkerConfig) -> YtdlpSettings {
    let (programs, download) = (&config.programs, &config.download);
    let beside = programs.ytdlp.canonicalize_utf8().unwrap_or_else(|_| programs.ytdlp.clone()).with_file_name("deno");
    YtdlpSettings {
        program: programs.ytdlp.clone().into(),
        deno: beside.is_file().then(|| beside.into()),
        concurrent_fragments: download.concurrent_fragments,
        http_chunk_size: download.http_chunk_bytes,
        buffer_size: download.buffer_bytes,
        retries: download.retries,
        fragment_retries: download.fragment_retries,
        rate_limit: download.rate_limit_bytes,
        meets_strangers: config.mode == Mode::Public,
        extractors: download.extractors.clone(),
        with_cookies: false,
    }
}
