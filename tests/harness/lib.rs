//! The stage for tests: real parts, started for one test and gone with it.

pub mod chaos;
pub mod cluster;
pub mod crowd;
pub mod house;
pub mod media;
pub mod origin;
pub mod processes;
pub mod proxy;
pub mod ranges;
pub mod redis;
mod resp;
pub mod s3;
pub mod sentinel;
pub mod site;
pub mod small_disk;
pub mod worker;

/// Where `tests/run` installs the pinned yt-dlp and its JavaScript runtime.
#[must_use]
pub fn tools() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin")
}

/// This yt-dlp, without a JavaScript runtime, trying everything once.
#[must_use]
pub fn ytdlp(program: std::path::PathBuf) -> haul_worker::ytdlp::YtdlpSettings {
    haul_worker::ytdlp::YtdlpSettings {
        program,
        deno: None,
        concurrent_fragments: 4,
        http_chunk_size: None,
        buffer_size: None,
        retries: 0,
        fragment_retries: 0,
        rate_limit: None,
        extractors: "all".to_owned(),
    }
}

/// An order that names an address and leaves all else as it usually is.
#[must_use]
pub fn usual_spec(url: &haul_shared::source::SourceUrl) -> haul_shared::job::DownloadSpec {
    let order = serde_json::json!({ "url": url });
    serde_json::from_value(order).expect("what is not said has its usual value")
}
