//! What ffmpeg was built with, against what our command lines ask of it.
//!
//! What is asked is taken from the lines themselves, so that it can't be another thing than what they say. Beside it stands what
//! no line names: what ffmpeg puts between by itself, and what sites send. The ffmpeg of the image is built with all of it
//! (test: the_ffmpeg_of_the_image_is_built_with_what_is_wanted).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use super::line::{Line, What};
use super::picture::{self, Image, Source};
use super::subtitles::{self, Subtitle};
use super::{Ffmpeg, clip, muxer, sound};
use crate::container::Container;
use crate::sandbox::CannotRun;
use crate::ytdlp::captions::CaptionForm;

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

/// Decoders of the codecs that `container` knows by name, of pictures and of texts: for frames, and for what is coded anew. Of
/// those between bars one will do. Containers hold others, too, of which nothing is promised.
const DECODERS: &str = "h264 hevc libdav1d|libaom-av1 vp8 vp9 aac ac3 alac eac3 flac mp3|mp3float opus|libopus pcm_s16le \
     vorbis|libvorbis mjpeg png webp ass subrip webvtt";
/// Filters that ffmpeg adds: a cut, another form of samples or pixels, a picture that lies on its side.
const FILTERS: &str = "aformat anull aresample atrim format hflip null rotate transpose trim vflip";
/// Filters of packets that it adds, where another container has their heads otherwise.
const BITSTREAM_FILTERS: &str = "extract_extradata h264_mp4toannexb hevc_mp4toannexb vp9_superframe";
/// What `-progress` goes through.
const PROTOCOLS: &str = "pipe";

/// Of one kind: how it is asked for, and which there have to be.
struct Wanted {
    kind: &'static str,
    option: &'static str,
    names: BTreeSet<String>,
}

/// What all our lines together name, and what stands beside them.
fn wanted() -> [Wanted; 7] {
    let lines = lines();
    let of = |kind, option, beside: &str| {
        let named = lines.iter().flat_map(|line| named(line, kind)).chain(beside.split_whitespace());
        Wanted { kind, option, names: named.map(str::to_owned).collect() }
    };
    [
        of("encoder", "-encoders", ""),
        of("decoder", "-decoders", DECODERS),
        of("muxer", "-muxers", ""),
        of("demuxer", "-demuxers", ""),
        of("filter", "-filters", FILTERS),
        of("bitstream filter", "-bsfs", BITSTREAM_FILTERS),
        of("protocol", "-protocols", PROTOCOLS),
    ]
}

/// Lines, and parts of lines, that together name what all our lines do (test: no_line_names_what_is_not_wanted).
fn lines() -> Vec<Vec<OsString>> {
    let file = Path::new("/");
    let input = |what| {
        let mut line = Line::default();
        line.input(file, what);
        line.into_words()
    };
    let text = [Subtitle { file: file.to_owned(), language: String::new(), name: None }];
    let of_containers = Container::ALL.into_iter().flat_map(|container| {
        let (_, texts) = subtitles::texts(container, &text, 0.0, 0);
        [input(What::Medium(container)), muxer::output(container, false, None, None), clip::recoded(container), texts]
    });
    let of_sounds = sound::each().map(|sound| sound::arguments(sound, 2, 128, Some(Container::MpegTs), Container::Mkv));
    let of_images = [Image::Jpeg, Image::Png, Image::Webp]
        .map(|image| picture::drawn(Source::Still(file, image), (1, 1), file, None).into_words());
    let of_texts = [CaptionForm::Ass, CaptionForm::Srt, CaptionForm::Vtt]
        .map(|form| subtitles::converted(file, form, file).into_words());
    let ours = [What::Tags, What::Parts(Container::Mkv)].map(input);
    of_containers.chain(of_sounds).chain(of_images).chain(of_texts).chain(ours).collect()
}

/// What a line names of a kind.
fn named<'l>(line: &'l [OsString], kind: &str) -> Vec<&'l str> {
    let word = |at: usize| line.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let mut names = Vec::new();
    for at in 0..line.len() {
        let value = word(at + 1);
        let format = if word(at + 2) == "-i" { "demuxer" } else { "muxer" };
        match word(at) {
            option if option.starts_with("-c:") && kind == "encoder" && value != "copy" => names.push(value),
            option if option.starts_with("-bsf:") && kind == "bitstream filter" => names.extend(value.split(',')),
            "-f" if kind == format => names.push(value),
            "-vf" if kind == "filter" => names.extend(chained(value)),
            "-protocol_whitelist" if kind == "protocol" => names.extend(value.split(',')),
            _ => {}
        }
    }
    names
}

/// The names of filters that follow one another; what they are told may have commas between quotes.
fn chained(filters: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = filters.split(move |c| {
        is_quoted ^= c == '\'';
        c == ',' && !is_quoted
    });
    parts.map(|filter| filter.split('=').next().unwrap_or(filter))
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
            let missing = names.into_iter().filter(|name| !name.split('|').any(|one| has.contains(one)));
            lacks.extend(missing.map(|name| Lack { kind, name: name.replace('|', " or ") }));
        }
        Ok(lacks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::line;
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
            encoder: aac flac libmp3lame libopus libvpx-vp9 libx264 mjpeg mov_text pcm_s16le subrip webvtt
            decoder: aac ac3 alac ass eac3 flac h264 hevc libdav1d|libaom-av1 mjpeg mp3|mp3float opus|libopus pcm_s16le png subrip vorbis|libvorbis vp8 vp9 webp webvtt
            muxer: adts avi flac flv matroska mjpeg mp3 mp4 mpegts ogg wav webm webvtt
            demuxer: aac ass avi concat ffmetadata flac flv jpeg_pipe matroska mov mp3 mpegts ogg png_pipe srt wav webp_pipe webvtt
            filter: aformat anull aresample atrim format hflip null rotate scale setpts setsar transpose trim vflip
            bitstream filter: aac_adtstoasc extract_extradata h264_mp4toannexb hevc_mp4toannexb vp9_superframe
            protocol: file pipe
        "#]]
        .assert_eq(&(told.join("\n") + "\n"));
    }

    /// Options that name something that ffmpeg may be built without, as [`named`] reads them.
    const NAMING: &str = "bsf c f protocol_whitelist vf";
    /// Those that name nothing of the kind, or only what another one names too (`format_whitelist`).
    const SILENT: &str = "ac analyzeduration attach b cpu-used crf deadline disposition fflags filter_threads \
         format_whitelist fps_mode frames hide_banner i itsoffset loglevel map map_chapters map_metadata max_pixels \
         metadata movflags noaccurate_seek nostats nostdin pix_fmt preset print_format probesize progress q row-mt safe \
         select_streams show_entries skip_frame skip_loop_filter ss stats_period thread_queue_size threads to y";

    #[test]
    fn no_line_names_what_is_not_wanted() {
        let all: Vec<Vec<OsString>> = line::tests::all().into_iter().map(Line::into_words).collect();
        let words = all.iter().flatten().filter_map(|word| word.to_str()?.strip_prefix('-'));
        let options = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
        let options: BTreeSet<&str> = options.filter_map(|option| option.split(':').next()).collect();
        let known: BTreeSet<&str> = [NAMING, SILENT].iter().flat_map(|list| list.split(' ')).collect();
        assert_eq!(options, known, "an option that nobody has judged, or one that is on no line any more");
        for Wanted { kind, names, .. } in wanted() {
            let named: BTreeSet<&str> = all.iter().flat_map(|line| named(line, kind)).collect();
            let beyond: Vec<&&str> = named.iter().filter(|name| !names.contains(**name)).collect();
            assert!(beyond.is_empty(), "{kind}: {beyond:?}");
        }
    }

    /// The same thing has another name where ffmpeg is built.
    fn built(kind: &str, name: &str) -> String {
        match (kind, name) {
            ("encoder", "mov_text") => "movtext".to_owned(),
            ("demuxer", name) if name.ends_with("_pipe") => format!("image_{name}"),
            (_, name) => name.replace('-', "_"),
        }
    }

    /// Fault: the image had an encoder that no doctor asked for, so that a build without it was called complete.
    #[test]
    fn the_ffmpeg_of_the_image_is_built_with_what_is_wanted() {
        let script = include_str!("../../../../deploy/images/ffmpeg");
        let list = |name: &str| {
            let begin = format!("{name}='");
            let found = script.lines().find_map(|line| line.strip_prefix(&begin)?.strip_suffix('\''));
            found.unwrap_or_else(|| panic!("no list of {name}")).split(' ').map(str::to_owned)
        };
        let lists = |names: &[&str]| names.iter().flat_map(|name| list(name)).collect::<BTreeSet<String>>();
        for Wanted { kind, names, .. } in wanted() {
            let has = match kind {
                "encoder" => lists(&["encoders"]),
                "decoder" => lists(&["video", "images", "audio", "pcm", "texts"]),
                "muxer" => lists(&["muxers"]),
                "demuxer" => lists(&["demuxers"]),
                "filter" => lists(&["filters", "between"]),
                "bitstream filter" => lists(&["bsfs"]),
                _ => lists(&["protocols"]),
            };
            let wanted: Vec<Vec<String>> =
                names.iter().map(|name| name.split('|').map(|one| built(kind, one)).collect()).collect();
            let lacks: Vec<_> = wanted.iter().filter(|ones| !ones.iter().any(|one| has.contains(one))).collect();
            assert!(lacks.is_empty(), "{kind}: {lacks:?}");
            // of decoders there are more: what is not built is not played either
            let idle: Vec<_> = has.iter().filter(|one| !wanted.concat().contains(one)).collect();
            assert!(idle.is_empty() || kind == "decoder", "{kind}: {idle:?} is built for nobody");
        }
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
