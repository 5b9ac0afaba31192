//! Small real media, made once by the real ffmpeg and kept below the target directory.
//!
//! Every file is eight seconds of a test picture and a tone. The folder's name is a hash of the recipes, so a changed
//! recipe makes a new folder; it is built under a lock, beside its place, and moved there whole.
//!
//! Not here: how the files are served and spoilt (`origin`).

use std::fs::{self, File};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest, Sha256};

/// How long every medium plays, in seconds; a container may round it up by one frame.
pub const DURATION_SECONDS: f64 = 8.0;

/// Made from nothing: three pictures, and a tone in six codings.
const SOURCES: &str = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=8 \
     -f lavfi -i sine=frequency=440:sample_rate=48000:duration=8 \
     -filter_complex [0:v]split=4[a][b][c][d];[b]scale=640:360[m];[c]scale=426:240[s];[d]scale=640:360,transpose[p] \
     -map [a] -c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -crf 42 v720.mp4 \
     -map [m] -c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -crf 36 v360.mp4 \
     -map [s] -c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -crf 34 v240.mp4 \
     -map [p] -c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -crf 36 vportrait.mp4 \
     -map 1:a -c:a aac -b:a 96k -ac 2 audio.m4a \
     -map 1:a -c:a aac -b:a 96k -ac 2 audio.aac \
     -map 1:a -c:a libopus -b:a 64k audio.opus \
     -map 1:a -c:a libmp3lame -b:a 96k audio.mp3 \
     -map 1:a -c:a flac audio.flac \
     -map 1:a -c:a pcm_s16le audio.wav";

/// Made from what came before; arguments are parted by spaces.
const RECIPES: &[&str] = &[
    "-i v360.mp4 -i audio.m4a -map 0 -map 1 -c copy -movflags +faststart progressive.mp4",
    "-i v360.mp4 -c copy -movflags +faststart silent.mp4",
    "-i v720.mp4 -frames:v 1 poster.png",
    "-i v360.mp4 -i audio.m4a -map 0 -map 1 -c copy progressive.mkv",
    "-i v360.mp4 -i audio.m4a -map 0 -map 1 -c copy progressive.ts",
    "-i v360.mp4 -i audio.opus -map 0 -map 1 -c copy h264-opus.mkv",
    "-i vportrait.mp4 -i audio.m4a -map 0 -map 1 -c copy -movflags +faststart portrait.mp4",
    "-i v360.mp4 -i audio.opus -map 0 -map 1 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -threads 1 -b:v 200k -g 50 \
     -c:a copy progressive.webm",
    "-i progressive.mp4 -i chapters.txt -map 0 -map_metadata 1 -map_chapters 1 -c copy -movflags +faststart chapters.mp4",
    // many bytes in few pictures: what is about bytes need not decode an hour
    "-i v720.mp4 -i audio.m4a -map 0 -map 1 -c:a copy -c:v libx264 -preset ultrafast -threads 1 -vf scale=640:360 \
     -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -qp 8 dense.mkv",
    "-i v240.mp4 -i v360.mp4 -i v720.mp4 -i audio.m4a -map 0 -map 3 -map 1 -map 3 -map 2 -map 3 -c copy \
     -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_filename hls-ts/%v-%d.ts \
     -var_stream_map v:0,a:0,name:240p|v:1,a:1,name:360p|v:2,a:2,name:720p hls-ts/%v.m3u8",
    "-i v240.mp4 -i v360.mp4 -i v720.mp4 -i audio.m4a -map 3 -map 0 -map 1 -map 2 -c copy \
     -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 -hls_fmp4_init_filename init-%v.mp4 \
     -hls_segment_filename hls-fmp4/%v-%d.m4s \
     -var_stream_map a:0,agroup:a,name:sound|v:0,agroup:a,name:240p|v:1,agroup:a,name:360p|v:2,agroup:a,name:720p \
     hls-fmp4/%v.m3u8",
    "-i v240.mp4 -i v360.mp4 -i v720.mp4 -i audio.m4a -map 0 -map 1 -map 2 -map 3 -c copy -f dash -seg_duration 2 \
     -adaptation_sets id=0,streams=v|id=1,streams=a -init_seg_name init-$RepresentationID$.m4s \
     -media_seg_name seg-$RepresentationID$-$Number$.m4s dash/manifest.mpd",
    "-i audio.m4a -c copy -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_filename hls-audio/%d.ts hls-audio/index.m3u8",
];

/// Files that are text from the start.
const TEXTS: &[(&str, &str)] = &[
    (
        "chapters.txt",
        ";FFMETADATA1\ntitle=A test picture\nartist=The harness\ndate=2026-11-20\n\
         [CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=3000\ntitle=Beginning\n\
         [CHAPTER]\nTIMEBASE=1/1000\nSTART=3000\nEND=8000\ntitle=End\n",
    ),
    (
        "hls-ts/master.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:3\n\
         #EXT-X-STREAM-INF:BANDWIDTH=350000,RESOLUTION=426x240,CODECS=\"avc1.42c015,mp4a.40.2\"\n240p.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\"\n360p.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1800000,RESOLUTION=1280x720,CODECS=\"avc1.42c01f,mp4a.40.2\"\n720p.m3u8\n",
    ),
    (
        "hls-fmp4/master.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:7\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"English\",DEFAULT=YES,LANGUAGE=\"en\",URI=\"sound.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=350000,RESOLUTION=426x240,CODECS=\"avc1.42c015,mp4a.40.2\",AUDIO=\"sound\"\n240p.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",AUDIO=\"sound\"\n360p.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1800000,RESOLUTION=1280x720,CODECS=\"avc1.42c01f,mp4a.40.2\",AUDIO=\"sound\"\n720p.m3u8\n",
    ),
    // from its master without CODECS yt-dlp takes the variant for whole: picture without sound, exit code 0
    (
        "hls-fmp4/without-codecs.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:7\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"English\",DEFAULT=YES,LANGUAGE=\"en\",URI=\"sound.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=350000,RESOLUTION=426x240,AUDIO=\"sound\"\n240p.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,AUDIO=\"sound\"\n360p.m3u8\n",
    ),
    // says 60 seconds, holds 8
    (
        "hls-ts/wrong-duration.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:15\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXTINF:15.0,\n360p-0.ts\n#EXTINF:15.0,\n360p-1.ts\n#EXTINF:15.0,\n360p-2.ts\n#EXTINF:15.0,\n360p-3.ts\n\
         #EXT-X-ENDLIST\n",
    ),
];

/// The folder of all media. The first call of a fresh tree takes a few seconds, later ones nothing.
///
/// # Panics
/// When ffmpeg can't be run or refuses a recipe.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let place = target().join("test-media").join(version());
        fs::create_dir_all(place.parent().expect("a joined path has a parent")).expect("the target can be written");
        // tests run in processes of their own: one makes the media, the others wait for it
        let lock = File::create(place.with_extension("lock")).expect("the target can be written");
        lock.lock().expect("the lock can be taken");
        if !place.exists() {
            make(&place);
        }
        place
    })
}

/// One of the media: `progressive.mp4`, `hls-ts/master.m3u8`, ...
#[must_use]
pub fn file(name: &str) -> PathBuf {
    folder().join(name)
}

/// The build's target directory, which holds the running test's binary.
fn target() -> PathBuf {
    let binary = std::env::current_exe().expect("a process knows its program");
    let folder = binary.ancestors().nth(3).expect("test binaries lie in target/<profile>/deps");
    folder.to_path_buf()
}

fn version() -> String {
    let mut hash = Sha256::new();
    hash.update(SOURCES);
    RECIPES.iter().for_each(|recipe| hash.update(recipe));
    TEXTS.iter().for_each(|(name, text)| hash.update(format!("{name}{text}")));
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn make(place: &Path) {
    let parent = place.parent().expect("a joined path has a parent");
    let fresh = tempfile::tempdir_in(parent).expect("the target can be written");
    for folder in ["hls-ts", "hls-fmp4", "hls-audio", "dash"] {
        fs::create_dir(fresh.path().join(folder)).expect("the target can be written");
    }
    for (name, text) in TEXTS {
        fs::write(fresh.path().join(name), text).expect("the target can be written");
    }
    for recipe in iter::once(&SOURCES).chain(RECIPES) {
        ffmpeg(fresh.path(), recipe).expect("the recipes are right");
    }
    fs::rename(fresh.path(), place).expect("the target can be written");
}

/// Runs ffmpeg in a folder with the arguments of one recipe, parted by spaces; `|` stands for a space inside of one.
///
/// # Errors
/// When there is no ffmpeg, or the recipe is none.
pub fn ffmpeg(folder: &Path, recipe: &str) -> Result<()> {
    let arguments = recipe.split_ascii_whitespace().map(|argument| argument.replace('|', " "));
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("ffmpeg is not installed")?;
    ensure!(output.status.success(), "{recipe}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A file of some 130 MiB in this folder: the small one, many times over.
///
/// # Panics
/// When ffmpeg can't be run.
#[must_use]
pub fn large(folder: &Path) -> PathBuf {
    repeated(folder, "large.mkv", 300)
}

/// The small file so many times over, each time some 450 KiB, in this folder.
///
/// # Panics
/// When ffmpeg can't be run.
#[must_use]
pub fn repeated(folder: &Path, name: &str, times: usize) -> PathBuf {
    let extension = name.rsplit('.').next().expect("a name");
    let once = file(&format!("progressive.{extension}"));
    let recipe = format!("-stream_loop {} -i {} -c copy {name}", times - 1, once.display());
    ffmpeg(folder, &recipe).expect("the recipe is right");
    folder.join(name)
}

/// What ffprobe sees in a file: its `format`, `streams` and `chapters`.
///
/// # Panics
/// When it can't be run, or can't read the file.
#[must_use]
pub fn ffprobe(file: &Path) -> serde_json::Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-print_format", "json", "-show_format", "-show_streams", "-show_chapters"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("ffprobe is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON")
}

/// The MD5 of what ffmpeg makes of a file with these options: `-map 0:v` gives that of all its decoded pictures.
///
/// # Panics
/// When it can't be run, or can't read the file.
#[must_use]
pub fn md5(file: &Path, options: &str) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file).args(options.split_ascii_whitespace()).args(["-f", "md5", "-"]);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The bytes of several files one after the other: what a downloader makes of an initialisation and its segments.
///
/// # Panics
/// When one of them does not exist.
#[must_use]
pub fn joined(names: &[String]) -> Vec<u8> {
    names.iter().flat_map(|name| fs::read(file(name)).expect("it is one of the media")).collect()
}

/// The names of segments that are counted: `seg-1-*.m4s`, from the first number up to the one before the last.
pub fn segments(pattern: &str, range: std::ops::Range<u32>) -> impl Iterator<Item = String> + use<'_> {
    range.map(|at| pattern.replace('*', &at.to_string()))
}

/// An initialisation with its segments.
///
/// # Panics
/// When one of them does not exist.
#[must_use]
pub fn after(init: &str, rest: Vec<String>) -> Vec<u8> {
    joined(&[vec![init.to_owned()], rest].concat())
}

/// Where a program is that is found on the path.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let output = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().expect("there is a shell");
    assert!(output.status.success(), "{name} is not installed");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// An AVI whose subtitles of the kind GAB2 are a playlist (RIFF: four letters, a length, the rest): the attack of 2016 on
/// what renders subtitles.
///
/// # Panics
/// When it is longer than four bytes can say.
#[must_use]
pub fn avi_with_subtitles(playlist: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8], parts: &[&[u8]]| {
        let body = parts.concat();
        let length = u32::try_from(body.len()).expect("a short text").to_le_bytes();
        [name, &length, &body, &[0][..body.len() % 2]].concat()
    };
    let kind = chunk(b"strh", &[b"txts", &[0; 52]]);
    let stream = chunk(b"LIST", &[b"strl", &kind, &chunk(b"strf", &[])]);
    let header = chunk(b"LIST", &[b"hdrl", &chunk(b"avih", &[&[0; 56]]), &stream]);
    let text = chunk(b"00tx", &[b"GAB2\0\x02\0\0\0\0\0\x04\0\0\0\0\0", playlist]);
    chunk(b"RIFF", &[b"AVI ", &header, &chunk(b"LIST", &[b"movi", &text])])
}
