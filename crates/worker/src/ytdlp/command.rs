//! The command lines of yt-dlp.
//!
//! Every option is ours; what a client chose arrives as a checked address and a number, and stands after `--`.
//! yt-dlp only downloads here: it finds no ffmpeg, so it cannot post-process, merge, or repair. Sizes are held by the
//! launcher's limit, never by `--max-filesize`, which with fragments drops the rest and exits with 0.
//!
//! Not here: which formats (`select`), how the program is run (`process`).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::source::SourceUrl;

use super::Extractors;
use crate::guard;

/// What the operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YtdlpSettings {
    /// The program, by absolute path.
    pub program: PathBuf,
    /// The JavaScript runtime for the sites that need one.
    pub deno: Option<PathBuf>,
    /// Fragments fetched at once (`--concurrent-fragments`), unless the rate is limited.
    pub concurrent_fragments: u32,
    /// Bytes of one ranged request (`--http-chunk-size`); extractors that need it set it themselves.
    pub http_chunk_size: Option<u64>,
    /// Bytes of one read (`--buffer-size`, kept by `--no-resize-buffer`).
    pub buffer_size: Option<u64>,
    /// Of one request (`--retries`).
    pub retries: u32,
    /// Of one fragment (`--fragment-retries`).
    pub fragment_retries: u32,
    /// Bytes per second (`--limit-rate`).
    pub rate_limit: Option<u64>,
    /// It is given strangers' addresses: one with known holes is not run.
    pub meets_strangers: bool,
    /// Which may be used (`--use-extractors`).
    pub extractors: Extractors,
    /// A jar of cookies lies in the folder of each run (`--cookies`).
    pub with_cookies: bool,
}

impl YtdlpSettings {
    /// Connections of one job: the limit of the rate is each connection's, so that with one there may only be one.
    pub(super) fn at_once(&self) -> u32 {
        if self.rate_limit.is_some() { 1 } else { self.concurrent_fragments }
    }
}

/// The first word of a line that yt-dlp prints for us.
pub(super) mod mark {
    pub(crate) const PROGRESS: &str = "@P";
    pub(crate) const BEGIN: &str = "@I";
    pub(crate) const FILE: &str = "@F";
    /// On standard error, by our plugin.
    pub(crate) const ASKED: &str = "@R";
}

/// Where our plugin is looked for, in the folder of a run.
pub(super) const PLUGINS: &str = "plugins";

/// The jar of cookies, in the folder of a run. yt-dlp may write it, for it is a copy.
pub(super) const JAR: &str = "cookies.txt";

/// The folder of a run, and where it finds the guard that it reaches the net by.
pub type Place<'a> = (&'a Path, SocketAddr);

/// For an answer, and for the next bytes of it (`--socket-timeout`): 15 s. The guard tires first and says so, also on a machine
/// that is busy: what yt-dlp says of a guard that it hears nothing of is that the net is at fault.
const SOCKET_TIMEOUT: Duration = guard::HEAD_WITHIN.saturating_add(Duration::from_secs(3));
/// Of one request of an extractor (`--extractor-retries`), and the longest pause before it is made again.
const EXTRACTOR_RETRIES: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// For a look at a site: a request that gets no answer as often as it is made, and some time for all others. Two minutes.
pub(crate) const LOOK_WITHIN: Duration =
    Duration::from_secs((EXTRACTOR_RETRIES as u64 + 1) * (SOCKET_TIMEOUT.as_secs() + LONGEST_PAUSE.as_secs()) + 20);

/// Entries that are listed of a playlist.
pub const ENTRIES: usize = 100;

/// Prints the names of all extractors, one a line.
#[must_use]
pub fn extractors() -> Vec<OsString> {
    ["--ignore-config", "--no-plugin-dirs", "--list-extractors"].map(OsString::from).into()
}

/// Prints what is known of one medium: of a playlist, of the entry with this number (from 1).
#[must_use]
pub fn extract(settings: &YtdlpSettings, url: &SourceUrl, at: Place<'_>, entry: u32) -> Vec<OsString> {
    let mut line = common(settings, at);
    line.words(["--playlist-items", &format!("{entry}:{entry}")]);
    // any format will do; the default specification would look for ffmpeg, and would refuse what only we can merge
    line.words(["--dump-single-json", "--format", "b*"]);
    line.url(url)
}

/// Prints what is known for display: of a playlist, a list of [`ENTRIES`] entries from the `first` one on (from 1).
#[must_use]
pub fn metadata(settings: &YtdlpSettings, url: &SourceUrl, at: Place<'_>, first: u32) -> Vec<OsString> {
    let mut line = common(settings, at);
    let last = first.saturating_add(ENTRIES as u32 - 1);
    line.words(["--flat-playlist", "--playlist-items", &format!("{first}:{last}")]);
    line.words(["--dump-single-json", "--format", "b*"]);
    line.url(url)
}

/// Downloads exactly these formats of one medium, each into a file of its own that has a number for a name.
#[must_use]
pub fn download<'a>(
    settings: &YtdlpSettings,
    url: &SourceUrl,
    at: Place<'_>,
    entry: u32,
    format_ids: impl IntoIterator<Item = &'a str>,
) -> Vec<OsString> {
    let formats: Vec<_> = format_ids.into_iter().map(exactly).collect();
    let mut line = common(settings, at);
    line.words(["--playlist-items", &format!("{entry}:{entry}")]);
    line.words(["--quiet", "--no-simulate", "--newline", "--progress", "--progress-delta", "0.5"]);
    line.words([
        "--progress-template",
        &format!(
            "download:{} %(progress.{{status,downloaded_bytes,total_bytes,total_bytes_estimate,fragment_index,fragment_count}})j %(info.{{format_id}})j",
            mark::PROGRESS
        ),
    ]);
    line.words(["--print", &format!("before_dl:{} %(.{{format_id,is_live}})j", mark::BEGIN)]);
    line.words(["--print", &format!("after_move:{} %(.{{filepath,format_id,ext}})j", mark::FILE)]);
    // a title, or the site's own name for a format, never touches the file system
    line.words(["--output", "media.%(autonumber)d.%(ext)s"]);
    line.words(["--format", &formats.join(",")]);
    line.url(url)
}

/// The selector of the one format with this id. yt-dlp has replaced its own syntax in ids (white space, `,/+[]()`).
fn exactly(id: &str) -> String {
    format!("all[format_id=\"{}\"]", id.replace('\\', r"\\").replace('"', r#"\""#))
}

fn common(settings: &YtdlpSettings, (dir, proxy): Place<'_>) -> Line {
    let mut line = Line(Vec::new());
    line.option("--proxy", format!("http://{proxy}"));
    // nothing from outside decides: no configuration, plugin, cookie, cache, code from elsewhere
    line.words(["--ignore-config", "--no-config-locations", "--no-update", "--no-plugin-dirs"]);
    line.option("--plugin-dirs", dir.join(PLUGINS));
    line.words(["--no-remote-components", "--no-cache-dir", "--no-exec", "--no-batch-file"]);
    line.words(["--no-cookies-from-browser", "--no-js-runtimes"]);
    if settings.with_cookies {
        line.option("--cookies", dir.join(JAR));
    } else {
        line.words(["--no-cookies"]);
    }
    if let Some(deno) = &settings.deno {
        let mut runtime = OsString::from("deno:");
        runtime.push(deno);
        line.option("--js-runtimes", runtime);
    }
    // an empty folder, as far as ffmpeg goes
    line.option("--ffmpeg-location", dir);
    line.words(["--color", "never", "--no-playlist", "--concat-playlist", "never", "--fixup", "never", "--no-mtime"]);
    line.words(["--no-write-playlist-metafiles", "--downloader", "native"]);
    line.words(["--abort-on-error", "--abort-on-unavailable-fragments"]);
    line.option("--retries", settings.retries.to_string());
    line.option("--fragment-retries", settings.fragment_retries.to_string());
    line.option("--extractor-retries", EXTRACTOR_RETRIES.to_string());
    line.option("--socket-timeout", SOCKET_TIMEOUT.as_secs().to_string());
    line.words(["--file-access-retries", "3"]);
    // without these a site that asks for patience gets all retries in one second
    line.words(["--retry-sleep", "http:exp=1:20", "--retry-sleep", "fragment:exp=1:20"]);
    line.option("--retry-sleep", format!("extractor:exp=1:{}", LONGEST_PAUSE.as_secs()));
    line.option("--concurrent-fragments", settings.at_once().to_string());
    if settings.buffer_size.is_some() {
        // or it would hold for the first read only
        line.words(["--no-resize-buffer"]);
    }
    for (option, value) in [
        ("--http-chunk-size", settings.http_chunk_size),
        ("--buffer-size", settings.buffer_size),
        ("--limit-rate", settings.rate_limit),
    ] {
        if let Some(value) = value {
            line.option(option, value.to_string());
        }
    }
    if let Some(allowed) = settings.extractors.option() {
        line.words(["--use-extractors", &allowed]);
    }
    line
}

struct Line(Vec<OsString>);

impl Line {
    fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }

    fn url(mut self, url: &SourceUrl) -> Vec<OsString> {
        self.words(["--", url.expose()]);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> YtdlpSettings {
        YtdlpSettings {
            program: "/opt/yt-dlp".into(),
            deno: None,
            concurrent_fragments: 8,
            http_chunk_size: None,
            buffer_size: None,
            retries: 5,
            fragment_retries: 5,
            rate_limit: None,
            meets_strangers: false,
            extractors: Extractors::default(),
            with_cookies: false,
        }
    }

    fn words(line: Vec<OsString>) -> Vec<String> {
        line.into_iter().map(|word| word.into_string().expect("ours")).collect()
    }

    fn url(text: &str) -> SourceUrl {
        serde_json::from_value(text.into()).expect("an address")
    }

    #[test]
    fn an_id_cannot_leave_its_quotes() {
        for (id, selector) in [
            ("137", r#"all[format_id="137"]"#),
            ("a'b$%s", r#"all[format_id="a'b$%s"]"#),
            (r#"x" or best["#, r#"all[format_id="x\" or best["]"#),
            (r"back\", r#"all[format_id="back\\"]"#),
        ] {
            assert_eq!(exactly(id), selector);
        }
    }

    #[test]
    fn the_address_is_the_last_word_and_cannot_be_an_option() {
        let (settings, at) = (settings(), (Path::new("/job"), ([127, 0, 0, 1], 9).into()));
        let url = url("https://site.example/--exec=x");
        for line in [
            extract(&settings, &url, at, 1),
            metadata(&settings, &url, at, 101),
            download(&settings, &url, at, 1, ["1", "2"]),
        ] {
            let words = words(line);
            assert_eq!(words[words.len() - 2..], ["--", "https://site.example/--exec=x"]);
        }
    }

    #[test]
    fn settings_are_said_only_when_there_are_any() {
        let at = (Path::new("/job"), ([127, 0, 0, 1], 9).into());
        let mut settings = settings();
        let has = |settings: &YtdlpSettings, pair: [&str; 2]| {
            words(extract(settings, &url("https://site.example/"), at, 7)).windows(2).any(|two| two == pair)
        };
        assert!(has(&settings, ["--playlist-items", "7:7"]) && has(&settings, ["--proxy", "http://127.0.0.1:9"]));
        assert!(has(&settings, ["--concurrent-fragments", "8"]));
        let optional = [
            ["--http-chunk-size", "10"],
            ["--buffer-size", "20"],
            ["--limit-rate", "30"],
            ["--use-extractors", "default,-generic(:.*)?"],
            ["--js-runtimes", "deno:/opt/deno"],
        ];
        assert!(optional.iter().all(|pair| !has(&settings, *pair)));
        settings.http_chunk_size = Some(10);
        settings.buffer_size = Some(20);
        settings.rate_limit = Some(30);
        settings.extractors = "-generic".parse().expect("a list");
        settings.deno = Some("/opt/deno".into());
        assert!(optional.iter().all(|pair| has(&settings, *pair)));
        assert!(has(&settings, ["--no-resize-buffer", "--http-chunk-size"]), "the size is kept");
        // Fault: every fragment under way was given the whole rate.
        assert!(has(&settings, ["--concurrent-fragments", "1"]), "one rate, one connection");
        assert!(has(&settings, ["--no-js-runtimes", "--no-cookies"]));
        settings.with_cookies = true;
        assert!(
            has(&settings, ["--cookies", "/job/cookies.txt"]) && !has(&settings, ["--no-js-runtimes", "--no-cookies"])
        );
    }
}
