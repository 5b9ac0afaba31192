//! What ffmpeg was built with, against what our command lines ask of it.
//!
//! What is asked is taken from the lines themselves, so that it can't be another thing than what they say.

use std::collections::BTreeSet;
use std::path::Path;

use super::muxer::{demuxer, muxer};
use super::{Ffmpeg, clip, sound};
use crate::container::Container;
use crate::sandbox::CannotRun;
use crate::select::Sound;

/// The oldest that knows our options (`-fps_mode`).
const OLDEST: (u32, u32) = (5, 1);

/// Something that an ffmpeg was built without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}")]
pub struct Lack {
    kind: &'static str,
    name: String,
}

/// Is this version known to be too old? One that is no number (of a build from source) is not.
#[must_use]
pub fn is_old(version: &str) -> bool {
    let mut parts = version.trim_start_matches('n').split(['.', '-']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), minor) if major < 1000 => (major, minor.unwrap_or(0)) < OLDEST,
        _ => false,
    }
}

/// Of one kind: how it is asked for, and which there have to be.
struct Wanted {
    kind: &'static str,
    option: &'static str,
    names: BTreeSet<String>,
}

/// What all our lines together name.
fn wanted() -> [Wanted; 4] {
    let of = |kind, option, names: Vec<String>| Wanted { kind, option, names: names.into_iter().collect() };
    let sounds = [Sound::Mp3, Sound::Aac, Sound::Opus, Sound::Flac, Sound::Wav];
    let of_sound = sounds.map(|coded| coder(&sound::arguments(coded, 2, 128, None, Container::Mkv)));
    let of_picture = [Container::Webm, Container::Mp4].map(|container| coder(&clip::recoded(container)));
    let texts = ["mjpeg", "mov_text", "webvtt"].map(str::to_owned);
    let coders = of_sound.into_iter().chain(of_picture).flatten().chain(texts).collect();
    let muxers = Container::ALL.map(|container| muxer(container).to_owned());
    let demuxers = Container::ALL.map(|container| demuxer(container).to_owned());
    let more = ["webvtt", "srt", "ass", "ffmetadata", "concat"].map(str::to_owned);
    [
        of("encoder", "-encoders", coders),
        of("muxer", "-muxers", muxers.into_iter().chain(["mjpeg", "webvtt"].map(str::to_owned)).collect()),
        of("demuxer", "-demuxers", demuxers.into_iter().chain(more).collect()),
        of("protocol", "-protocols", ["file", "pipe"].map(str::to_owned).into()),
    ]
}

/// What stands behind `-c:a` or `-c:v:0`.
fn coder(arguments: &[std::ffi::OsString]) -> Option<String> {
    let at = arguments.iter().position(|word| word.to_str().is_some_and(|word| word.starts_with("-c:")))?;
    arguments.get(at + 1)?.to_str().map(str::to_owned)
}

/// The names in what ffmpeg lists: the second word of a line, where the first are flags, and there are several between commas.
fn listed(said: &str) -> BTreeSet<&str> {
    let names = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        Some(words.next().unwrap_or(first))
    });
    names.flat_map(|names| names.split(',')).collect()
}

impl Ffmpeg {
    /// What it would need for our lines and has not.
    ///
    /// # Errors
    /// When it can't be run.
    pub async fn lacks(&self, dir: &Path) -> Result<Vec<Lack>, CannotRun> {
        let mut lacks = Vec::new();
        for Wanted { kind, option, names } in wanted() {
            let said = self.says("HAUL_FFMPEG", &self.ffmpeg, dir, option).await?;
            let has = listed(&said);
            let missing = names.into_iter().filter(|name| !has.contains(name.as_str()));
            lacks.extend(missing.map(|name| Lack { kind, name }));
        }
        Ok(lacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_or_builds_of_somebody() {
        for version in ["5.1.9-0+deb12u1", "5.1", "6.0", "n7.1", "8", "N-118000-g1234567", "2024-01-01-git-abc", "git"]
        {
            assert!(!is_old(version), "{version}");
        }
        for version in ["5.0.3", "4.4.2-0ubuntu0.22.04.1", "n4.2", "5"] {
            assert!(is_old(version), "{version}");
        }
    }

    #[test]
    fn what_is_wanted_is_what_our_lines_name() {
        let told = wanted()
            .map(|wanted| format!("{}: {}", wanted.kind, wanted.names.into_iter().collect::<Vec<_>>().join(" ")));
        expect_test::expect![[r#"
            encoder: aac flac libmp3lame libopus libvpx-vp9 libx264 mjpeg mov_text pcm_s16le webvtt
            muxer: adts avi flac flv matroska mjpeg mp3 mp4 mpegts ogg wav webm webvtt
            demuxer: aac ass avi concat ffmetadata flac flv matroska mov mp3 mpegts ogg srt wav webvtt
            protocol: file pipe
        "#]]
        .assert_eq(&(told.join("\n") + "\n"));
    }

    #[test]
    fn lists_of_ffmpeg_are_read() {
        // lines of ffmpeg 5.1
        let said = " V..... = Video\n ------\n V....D libx264              libx264 H.264 / AVC (codec h264)\n D  \
                    mov,mp4,m4a,3gp,3g2,mj2 QuickTime / MOV\n  E mp4             MP4\nInput:\n  file\n";
        let has = listed(said);
        assert!(["libx264", "mov", "mp4", "file"].iter().all(|name| has.contains(name)), "{has:?}");
        assert!(!has.contains("h264"));
    }
}
