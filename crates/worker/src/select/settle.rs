//! What is made of the files that came, decided on what ffprobe sees in them.
//!
//! A site's words are a promise at best, and a plain file has none. So container, coding of the sound, and a strict
//! request are judged again here, and this judgement is the one that counts.

use haul_shared::job::{DownloadSpec, Failure, FailureKind};
use haul_shared::media::{Fallback, Format, Quality, SubtitleMode};

use super::is_codec;
use crate::container::{AudioCodec, Container, VideoCodec};
use crate::ffmpeg::probe::Probe;

/// How the result is made, and what it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What comes out.
    pub container: Container,
    /// Where its picture comes from.
    pub video: Option<Picture>,
    /// Where its sound comes from, and how it is coded.
    pub audio: Option<Track>,
    /// Only this part of it.
    pub cut: Option<Cut>,
    /// The downloaded file is the result as it stands; ffmpeg is not run.
    pub untouched: bool,
    /// It is written from front to end, so that it can be sent while it is made and played while it is fetched.
    pub streaming: bool,
    /// The rung asked for; none for sound.
    pub asked: Option<Quality>,
    /// The rung that the picture really stands on; none for sound.
    pub got: Option<Quality>,
}

/// A part of the medium, in seconds from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// From here: a key frame, unless the picture is coded anew.
    pub from: f64,
    /// To here; none: to the end.
    pub to: Option<f64>,
    /// The picture is coded anew, as it begins between key frames.
    pub recode: bool,
}

/// A picture of an input; copied, unless an exact cut needs it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Which file, from 0.
    pub input: usize,
    /// Which stream of it.
    pub index: u32,
    /// How it is coded.
    pub codec: VideoCodec,
}

/// A sound of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Which file, from 0.
    pub input: usize,
    /// Which stream of it.
    pub index: u32,
    /// Channels of the source.
    pub channels: u32,
    /// What is done with it.
    pub sound: Sound,
}

/// What is done with the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// It fits as it is.
    Copy(AudioCodec),
    /// Coded anew, at the asked bitrate.
    Mp3,
    /// Coded anew, at the asked bitrate.
    Aac,
    /// Coded anew, at the asked bitrate.
    Opus,
    /// Coded anew, without further loss.
    Flac,
    /// Decoded.
    Wav,
}

/// Something that was fetched, or is being fetched, and was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// By its first bytes.
    pub container: Container,
    /// Of the whole file.
    pub size_bytes: u64,
    /// By ffprobe.
    pub probe: Probe,
    /// How long it plays, in seconds.
    pub duration: f64,
    /// How long the picture plays, by its packets.
    pub video_seconds: Option<f64>,
    /// How long the sound plays, by its packets.
    pub audio_seconds: Option<f64>,
    /// Only its beginning was looked at: it is still on its way, and all that is known of its length is promised.
    pub is_promised: bool,
}

impl Plan {
    /// Is anything coded anew?
    #[must_use]
    pub fn transcodes(&self) -> bool {
        let sound = self.audio.is_some_and(|track| !matches!(track.sound, Sound::Copy(_)));
        sound || self.cut.is_some_and(|cut| cut.recode)
    }

    /// How long the result must play, made of these files.
    #[must_use]
    pub fn expected_seconds(&self, files: &[Seen]) -> Option<f64> {
        let whole = self.whole_seconds(files)?;
        Some(self.cut.map_or(whole, |cut| (cut.to.map_or(whole, |to| to.min(whole)) - cut.from).max(0.0)))
    }

    /// How long these files play, before anything is cut.
    #[must_use]
    pub fn whole_seconds(&self, files: &[Seen]) -> Option<f64> {
        let video = self.video.and_then(|picture| files.get(picture.input)?.video_seconds);
        let audio = self.audio.and_then(|track| files.get(track.input)?.audio_seconds);
        video.into_iter().chain(audio).reduce(f64::max)
    }
}

/// Decides, for one file, or for a picture and a sound apart (in this order).
///
/// # Errors
/// `format_unavailable` when the picture or the sound that the format is made of is not there, or when the request is
/// strict and these files can't fulfil it.
pub fn settle(files: &[Seen], spec: &DownloadSpec) -> Result<Plan, Failure> {
    // the file fetched for its sound comes last and is asked first
    let inputs = || files.iter().enumerate();
    let audio = inputs().rev().find_map(|(input, seen)| seen.probe.audio.as_ref().map(|audio| (input, audio)));
    let video = inputs().find_map(|(input, seen)| seen.probe.video.as_ref().map(|video| (input, video)));
    let copied = audio.map(|(input, audio)| Track {
        input,
        index: audio.index,
        channels: audio.channels,
        sound: Sound::Copy(audio.codec),
    });
    if let Some(coded) = sound_of(spec.format) {
        let (Some(container), Some(track)) = (Container::of_format(spec.format), copied) else {
            return Err(unavailable("the medium has no sound"));
        };
        let fits = matches!(track.sound, Sound::Copy(codec) if container.holds_audio(codec));
        let audio = Some(Track { sound: if fits { track.sound } else { coded }, ..track });
        let streaming = streams(container, audio, files, spec);
        let (cut, untouched) = (None, false);
        return Ok(Plan { container, video: None, audio, cut, untouched, streaming, asked: None, got: None });
    }
    let picture = video.map(|(input, video)| Picture { input, index: video.index, codec: video.codec });
    let codecs = (video.map(|(_, video)| video.codec), audio.map(|(_, audio)| audio.codec));
    let got = video.map(|(_, video)| Quality::of_short_side(video.width.min(video.height)));
    let plan = |container, untouched| Plan {
        container,
        video: picture,
        audio: copied,
        cut: None,
        untouched,
        streaming: !untouched && streams(container, copied, files, spec),
        asked: video.and(Some(spec.quality)),
        got,
    };
    if spec.format == Format::Original {
        check_strict(spec, picture, got)?;
        let [one] = files else {
            let own = files.first().map(|seen| seen.container);
            return Ok(plan(together(own, codecs), false));
        };
        return Ok(plan(named_by_content(one), true));
    }
    if picture.is_none() {
        return Err(unavailable("the medium has no picture"));
    }
    check_strict(spec, picture, got)?;
    let asked = Container::of_format(spec.format).unwrap_or(Container::Mkv);
    if holds(asked, codecs) {
        return Ok(plan(asked, false));
    }
    match spec.fallback {
        Fallback::Nearest => Ok(plan(Container::Mkv, false)),
        Fallback::Strict => Err(unavailable("the asked container can't hold these streams")),
    }
}

/// Is the result written from front to end? Only where that was asked for, and where nothing is lost by it but an index:
/// the other containers can be played while they are fetched as they are, and would lose their duration.
fn streams(container: Container, sound: Option<Track>, files: &[Seen], spec: &DownloadSpec) -> bool {
    let possible = match container {
        // in fragments a cover is a track without a picture, and no text has an end
        Container::Mp4 | Container::M4a => {
            let texts = spec.subtitles.as_ref().is_some_and(|texts| texts.mode == SubtitleMode::Embed);
            !texts && !spec.embed_thumbnail
        }
        // frames that describe themselves one by one: the head of an mkv can't be written before the first
        Container::Mkv => sound.is_none_or(|track| {
            let raw = matches!(files[track.input].container, Container::MpegTs | Container::Aac);
            !raw || track.sound != Sound::Copy(AudioCodec::Aac)
        }),
        Container::Webm => true,
        _ => false,
    };
    spec.streaming && spec.format != Format::Original && possible
}

/// The coder of a sound format; none for formats with a picture.
pub(crate) fn sound_of(format: Format) -> Option<Sound> {
    match format {
        Format::Mp3 => Some(Sound::Mp3),
        Format::M4a => Some(Sound::Aac),
        Format::Opus => Some(Sound::Opus),
        Format::Flac => Some(Sound::Flac),
        Format::Wav => Some(Sound::Wav),
        Format::Mp4 | Format::Webm | Format::Mkv | Format::Original => None,
    }
}

fn check_strict(spec: &DownloadSpec, picture: Option<Picture>, got: Option<Quality>) -> Result<(), Failure> {
    if spec.fallback == Fallback::Nearest {
        return Ok(());
    }
    if picture.is_some_and(|picture| !is_codec(spec.codec, picture.codec)) {
        return Err(unavailable("the picture is not in the asked codec"));
    }
    if spec.quality != Quality::Best && got.is_some_and(|got| got != spec.quality) {
        return Err(unavailable("the picture is not of the asked size"));
    }
    Ok(())
}

/// How picture and sound are coded; none: there is none.
type Codecs = (Option<VideoCodec>, Option<AudioCodec>);

fn holds(container: Container, (video, audio): Codecs) -> bool {
    video.is_none_or(|codec| container.holds_video(codec)) && audio.is_none_or(|codec| container.holds_audio(codec))
}

/// Where picture and sound that a site has apart go together: the picture's own container where that holds both.
pub(super) fn together(own: Option<Container>, codecs: Codecs) -> Container {
    let fit = own.filter(|own| matches!(own, Container::Mp4 | Container::Webm) && holds(*own, codecs));
    fit.unwrap_or(Container::Mkv)
}

fn named_by_content(seen: &Seen) -> Container {
    if seen.probe.video.is_some() { seen.container } else { seen.container.without_picture() }
}

fn unavailable(detail: &str) -> Failure {
    Failure::new(FailureKind::FormatUnavailable, detail)
}

#[cfg(test)]
mod tests {
    use haul_shared::media::Codec;

    use super::super::tests::spec;
    use super::*;
    use crate::ffmpeg::probe::{Audio, Video};

    /// `container video@lines audio`, `-` for none.
    fn seen(text: &str) -> Seen {
        let [container, video, audio] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("three words: {text}") };
        let container = match container {
            "mp4" => Container::Mp4,
            "webm" => Container::Webm,
            "ts" => Container::MpegTs,
            other => panic!("{other}"),
        };
        let video = video.split_once('@').map(|(codec, lines)| {
            let height = lines.parse().unwrap();
            let codec_name = codec.to_owned();
            Video { index: 0, codec: VideoCodec::of_name(codec), codec_name, width: height * 2, height, rate: None }
        });
        let audio = (audio != "-").then(|| Audio {
            index: 1,
            codec: AudioCodec::of_name(audio),
            codec_name: audio.to_owned(),
            channels: 2,
        });
        let probe = Probe { start: 0.0, duration: Some(8.0), video, audio };
        Seen {
            container,
            size_bytes: 1,
            probe,
            duration: 8.0,
            video_seconds: None,
            audio_seconds: None,
            is_promised: false,
        }
    }

    fn shown(result: Result<Plan, Failure>) -> String {
        match result {
            Ok(plan) => {
                let sound = plan.audio.map_or_else(|| "-".to_owned(), |track| format!("{:?}", track.sound));
                let got = plan.got.map_or_else(|| "-".to_owned(), |got| got.to_string());
                let untouched = if plan.untouched { " untouched" } else { "" };
                format!("{} {sound} {got}{untouched}", plan.container.extension())
            }
            Err(failure) => failure.kind.code().to_owned(),
        }
    }

    #[test]
    fn the_container_is_the_one_asked_or_the_one_that_holds_what_came() {
        for (files, format, expected) in [
            (&["mp4 h264@360 aac"][..], "mp4", "mp4 Copy(Aac) 360p"),
            (&["ts h264@360 aac"], "mp4", "mp4 Copy(Aac) 360p"),
            (&["mp4 h264@360 aac"], "webm", "mkv Copy(Aac) 360p"),
            (&["webm vp8@360 vorbis"], "mp4", "mkv Copy(Vorbis) 360p"),
            (&["webm vp9@360 opus"], "webm", "webm Copy(Opus) 360p"),
            (&["mp4 h264@360 -", "mp4 - aac"], "mp4", "mp4 Copy(Aac) 360p"),
            (&["mp4 h264@360 -", "webm - opus"], "original", "mp4 Copy(Opus) 360p"),
            (&["webm vp9@360 -", "mp4 - aac"], "original", "mkv Copy(Aac) 360p"),
            (&["ts h264@360 aac"], "original", "ts Copy(Aac) 360p untouched"),
            (&["mp4 - aac"], "original", "m4a Copy(Aac) - untouched"),
            (&["mp4 h264@360 aac"], "m4a", "m4a Copy(Aac) -"),
            (&["mp4 h264@360 aac"], "mp3", "mp3 Mp3 -"),
            (&["webm vp9@360 opus"], "opus", "opus Copy(Opus) -"),
            (&["mp4 h264@360 -"], "mp3", "format_unavailable"),
            (&["mp4 - aac"], "mp4", "format_unavailable"),
        ] {
            let files: Vec<_> = files.iter().map(|file| seen(file)).collect();
            assert_eq!(shown(settle(&files, &spec(format, "best"))), expected, "{files:?} {format}");
        }
    }

    #[test]
    fn what_streams_is_what_needs_no_going_back() {
        for (files, format, expected) in [
            (&["mp4 h264@360 aac"][..], "mp4", true),
            (&["ts h264@360 aac"], "mp4", true),
            (&["ts h264@360 aac"], "mkv", false),
            (&["mp4 h264@360 -", "mp4 - aac"], "mkv", true),
            (&["webm vp9@360 opus"], "webm", true),
            (&["mp4 h264@360 aac"], "m4a", true),
            (&["mp4 h264@360 aac"], "mp3", false),
            (&["mp4 h264@360 aac"], "wav", false),
            (&["mp4 h264@360 aac"], "original", false),
            (&["mp4 h264@360 -", "mp4 - aac"], "original", false),
        ] {
            let files: Vec<_> = files.iter().map(|file| seen(file)).collect();
            let spec = DownloadSpec { streaming: true, ..spec(format, "best") };
            assert_eq!(settle(&files, &spec).unwrap().streaming, expected, "{files:?} {format}");
            let covered = DownloadSpec { embed_thumbnail: true, ..spec.clone() };
            assert_eq!(settle(&files, &covered).unwrap().streaming, expected && matches!(format, "mkv" | "webm"));
            assert!(!settle(&files, &DownloadSpec { streaming: false, ..spec }).unwrap().streaming);
        }
    }

    #[test]
    fn strict_is_judged_again_on_the_file() {
        for (file, format, quality, codec, expected) in [
            ("mp4 h264@360 aac", "mp4", "360p", Codec::Any, "mp4 Copy(Aac) 360p"),
            ("mp4 h264@360 aac", "mp4", "720p", Codec::Any, "format_unavailable"),
            ("mp4 h264@360 aac", "mp4", "best", Codec::Av1, "format_unavailable"),
            ("mp4 h264@360 aac", "webm", "best", Codec::Any, "format_unavailable"),
            ("mp4 h264@360 aac", "original", "720p", Codec::Any, "format_unavailable"),
            ("mp4 h264@360 aac", "flac", "best", Codec::Any, "flac Flac -"),
        ] {
            let spec = DownloadSpec { fallback: Fallback::Strict, codec, ..spec(format, quality) };
            assert_eq!(shown(settle(&[seen(file)], &spec)), expected, "{file} {format} {quality} {codec:?}");
        }
    }
}
