//! The stage for tests: real parts, started for one test and gone with it.

pub mod browser;
pub mod chaos;
pub mod cluster;
pub mod collector;
pub mod command_line;
pub mod crowd;
pub mod door;
pub mod events;
pub mod fuzz;
pub mod gateway;
pub mod house;
pub mod keys;
pub mod media;
pub mod origin;
pub mod processes;
pub mod prometheus;
pub mod proxy;
pub mod ranges;
pub mod receiver;
pub mod redis;
pub mod registries;
mod resp;
pub mod s3;
pub mod schema;
pub mod sentinel;
#[path = "../bench/sim/model/mod.rs"]
pub mod sim;
pub mod site;
pub mod small_disk;
pub mod tls;
pub mod verbatim;
pub mod worker;
pub mod world;
pub mod zip;

/// Where `tests/run` installs the pinned yt-dlp and its JavaScript runtime.
#[must_use]
pub fn tools() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin")
}

/// A Python with what `tests/run` installs to check things by.
#[must_use]
pub fn checks() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/checks/bin/python")
}

/// A program in Python that tries to get out of the sandbox. Its argument names what belongs to others: `worker` (its
/// number), `home`, `file`, `guard`, `greets` (the guard says so), `elsewhere`. Of each try it says `name: outcome`; what
/// it needs comes before a line of `--`, what must be denied behind it.
pub const ESCAPE: &str = include_str!("escape.py");

/// What in the words of [`ESCAPE`] is not as it has to be.
#[must_use]
pub fn escaped(said: &str) -> Vec<String> {
    let (needed, forbidden) = said.split_once("--\n").unwrap_or((said, ""));
    let not = |part: &str, outcome: &str| {
        part.lines().filter(|line| !line.ends_with(outcome)).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut wrong = [not(needed, ": possible"), not(forbidden, ": denied")].concat();
    if needed.lines().count() != 4 || forbidden.lines().count() < 50 {
        wrong.push(format!("it did not try all: {said}"));
    }
    wrong
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
        meets_strangers: false,
        extractors: haul_worker::ytdlp::Extractors::default(),
        with_cookies: false,
    }
}

/// What lets pass what these blocks have, to any number of bytes that a test would send.
#[must_use]
pub fn guards(allow: &[&str]) -> haul_worker::guard::Guards {
    let allow = allow.iter().map(|block| block.parse().expect("a block")).collect();
    let policy = haul_shared::egress::EgressPolicy { allow, ports: vec![80, 443] };
    let caps = haul_worker::guard::Caps::for_files_of(1 << 40);
    haul_worker::guard::Guards::new(policy, caps).expect("this machine trusts somebody")
}

/// A guard that lets pass what is on loopback, until it is dropped.
#[must_use]
pub fn guard() -> haul_worker::guard::Guard {
    guards(&["127.0.0.1/32"]).attempt(&tokio_util::sync::CancellationToken::new())
}

/// An order that names an address and leaves all else as it usually is.
#[must_use]
pub fn usual_spec(url: &haul_shared::source::SourceUrl) -> haul_shared::job::DownloadSpec {
    let order = serde_json::json!({ "url": url });
    serde_json::from_value(order).expect("what is not said has its usual value")
}
