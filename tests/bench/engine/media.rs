//! What is downloaded: made once by ffmpeg, kept below the target directory, served by `origin`.
//!
//! All of it is one clip of eight seconds (a test picture with grain, 6 Mbit/s, so that no encoder can make it small)
//! as often over as the asked size needs, copied into its container. A folder's name holds what its content depends on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use haul_tests::media::ffmpeg;

/// Changes with the recipes, so that old media are not taken for new ones.
const VERSION: &str = "1";

const CLIP_SECONDS: f64 = 8.0;

const CLIP: &str = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=8,noise=alls=25:allf=t \
     -f lavfi -i sine=frequency=440:sample_rate=48000:duration=8 \
     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 \
     -b:v 6M -maxrate 6M -bufsize 3M -c:a aac -b:a 128k -ac 2 clip.mp4";

const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n\
     #EXT-X-STREAM-INF:BANDWIDTH=6500000,RESOLUTION=1280x720,CODECS=\"avc1.42c01f,mp4a.40.2\"\nindex.m3u8\n";

/// How a medium is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One mp4 file.
    Progressive,
    /// HLS with segments of fragmented mp4, picture and sound together.
    HlsFmp4,
    /// HLS with segments of MPEG-TS, picture and sound together.
    HlsTs,
    /// DASH with picture and sound apart.
    Dash,
}

impl Kind {
    /// The name of its folder, of what is served first, and the arguments that make it.
    const fn recipe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Progressive => ("progressive", "file.mp4", "-movflags +faststart file.mp4"),
            Self::HlsFmp4 => (
                "hls-fmp4",
                "master.m3u8",
                "-f hls -hls_time 4 -hls_playlist_type vod -hls_segment_type fmp4 -hls_segment_filename %d.m4s index.m3u8",
            ),
            Self::HlsTs => (
                "hls-ts",
                "master.m3u8",
                "-f hls -hls_time 4 -hls_playlist_type vod -hls_segment_filename %d.ts index.m3u8",
            ),
            Self::Dash => (
                "dash",
                "manifest.mpd",
                "-f dash -seg_duration 4 -adaptation_sets id=0,streams=v|id=1,streams=a \
                 -init_seg_name init-$RepresentationID$.m4s -media_seg_name $RepresentationID$-$Number$.m4s manifest.mpd",
            ),
        }
    }
}

/// A medium that is there.
#[derive(Debug, Clone)]
pub struct Medium {
    /// Its path on the site, beginning with `/`.
    pub path: String,
    /// Paths on the site of all that holds picture and sound.
    pub parts: Vec<String>,
    /// Bytes of those.
    pub bytes: u64,
}

/// The folder that the site serves, below the build's target directory.
///
/// # Errors
/// When this program lies somewhere else than cargo puts it.
pub fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("a benchmark lies in target/<profile>/deps")?;
    Ok(target.join("bench-media").join(VERSION))
}

/// Where the site has a path from.
///
/// # Errors
/// As [`folder`].
pub fn on_disk(path: &str) -> Result<PathBuf> {
    Ok(folder()?.join(path.trim_start_matches('/')))
}

/// A medium of about so many megabytes; made if it is not there yet.
///
/// # Errors
/// When ffmpeg is not installed, or the disk is full.
pub fn make(kind: Kind, megabytes: f64) -> Result<Medium> {
    let (name, first, arguments) = kind.recipe();
    let (folder, name) = (folder()?, format!("{name}-{megabytes}"));
    fs::create_dir_all(&folder)?;
    let clip = folder.join("clip.mp4");
    if !clip.exists() {
        build(&folder, |fresh| ffmpeg(fresh, CLIP), "clip.mp4")?;
    }
    if !folder.join(&name).exists() {
        let seconds = CLIP_SECONDS * megabytes * 1e6 / clip.metadata()?.len() as f64;
        let input = format!("-stream_loop -1 -i {} -t {seconds:.2} -c copy", clip.display());
        build(&folder, |fresh| make_in(&fresh.join(&name), &format!("{input} {arguments}"), first), &name)?;
    }
    let (mut parts, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(folder.join(&name))? {
        let entry = entry?;
        let file = entry.file_name().into_string().ok().context("names are plain")?;
        if !file.ends_with(".m3u8") && !file.ends_with(".mpd") {
            bytes += entry.metadata()?.len();
            parts.push(format!("/{name}/{file}"));
        }
    }
    Ok(Medium { path: format!("/{name}/{first}"), parts, bytes })
}

fn make_in(folder: &Path, recipe: &str, first: &str) -> Result<()> {
    fs::create_dir(folder)?;
    if first == "master.m3u8" {
        fs::write(folder.join(first), MASTER)?;
    }
    ffmpeg(folder, recipe)
}

/// Makes a file or folder of this name somewhere else, and moves it to its place whole.
fn build(folder: &Path, make: impl Fn(&Path) -> Result<()>, name: &str) -> Result<()> {
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let fresh = tempfile::tempdir_in(folder)?;
    make(fresh.path())?;
    Ok(fs::rename(fresh.path().join(name), folder.join(name))?)
}
