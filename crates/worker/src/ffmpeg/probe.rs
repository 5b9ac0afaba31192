//! What ffprobe says of a file: arguments, and its JSON as a type, with bounds.
//!
//! Not here: running it (`ffmpeg`), and whether what it says is good enough (`verify`).

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use super::command::input;
use crate::container::{AudioCodec, Container, VideoCodec};

/// Streams of one file; more is no medium that anybody plays.
const MOST_STREAMS: usize = 64;
/// Pixels of either side.
const LARGEST_SIDE: u32 = 16_384;
/// A year in seconds.
const LONGEST: f64 = 366.0 * 86_400.0;

/// A file as ffprobe sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The time stamp at which it begins, in seconds; times of ours count from there.
    pub start: f64,
    /// How long it says it plays, in seconds.
    pub duration: Option<f64>,
    /// The moving picture; covers are not counted.
    pub video: Option<Video>,
    /// The first sound.
    pub audio: Option<Audio>,
}

/// A moving picture. Sizes in pixels.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Video {
    /// Which stream of the file.
    pub index: u32,
    pub codec: VideoCodec,
    /// As ffprobe names it.
    pub codec_name: String,
    pub width: u32,
    pub height: u32,
    /// Pictures per second on which all time stamps lie; the true rate if that is constant.
    pub rate: Option<f64>,
}

/// Sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Which stream of the file.
    pub index: u32,
    /// How it is coded.
    pub codec: AudioCodec,
    /// As ffprobe names it.
    pub codec_name: String,
    /// Channels, at least 1.
    pub channels: u32,
}

/// Why ffprobe's answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No JSON, or not of ffprobe's shape.
    #[error("ffprobe's answer can't be read")]
    Unreadable,
    /// Neither picture nor sound.
    #[error("neither picture nor sound")]
    Empty,
    /// Beyond what any real medium has.
    #[error("absurd: {0}")]
    Absurd(&'static str),
}

/// Arguments that make ffprobe describe a file of a container that was sniffed before.
#[must_use]
pub fn arguments(file: &Path, container: Container) -> Vec<OsString> {
    let mut arguments = words("-hide_banner -loglevel error -print_format json -show_entries");
    arguments.push(
        "format=start_time,duration:stream=index,codec_type,codec_name,width,height,r_frame_rate,channels,duration\
         :stream_disposition=attached_pic"
            .into(),
    );
    arguments.extend(input(file, container));
    arguments
}

/// Arguments that make ffprobe write a line for every packet of a file, which reads it to its end.
#[must_use]
pub fn packet_arguments(file: &Path, container: Container) -> Vec<OsString> {
    let mut arguments = words("-hide_banner -loglevel error -print_format compact=print_section=0 -show_entries");
    arguments.push("packet=stream_index,pts_time,dts_time,duration_time".into());
    if matches!(container, Container::Mp4 | Container::M4a) {
        // its index says it all: what lies in the media data is not asked, which costs time and may have been left out
        arguments.extend(words("-fflags +noparse"));
    }
    arguments.extend(input(file, container));
    arguments
}

pub(super) fn words(text: &str) -> Vec<OsString> {
    text.split_ascii_whitespace().map(OsString::from).collect()
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Described>,
    format: Option<Whole>,
}

#[derive(Deserialize)]
struct Whole {
    start_time: Option<String>,
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    index: u32,
    codec_type: Option<String>,
    codec_name: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    r_frame_rate: Option<String>,
    #[serde(default)]
    channels: u32,
    duration: Option<String>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

impl Probe {
    /// Reads ffprobe's JSON.
    ///
    /// # Errors
    /// When it is no such JSON, describes nothing playable, or something absurd.
    pub fn parse(json: &str) -> Result<Self, ProbeError> {
        let answer: Answer = serde_json::from_str(json).map_err(|_| ProbeError::Unreadable)?;
        if answer.streams.len() > MOST_STREAMS {
            return Err(ProbeError::Absurd("too many streams"));
        }
        let of_kind = |kind: &str| {
            let kind = kind.to_owned();
            answer
                .streams
                .iter()
                .find(move |stream| stream.codec_type.as_deref() == Some(&kind) && stream.disposition.attached_pic == 0)
        };
        let video = of_kind("video").map(Described::video).transpose()?;
        let audio = of_kind("audio").map(Described::audio);
        if video.is_none() && audio.is_none() {
            return Err(ProbeError::Empty);
        }
        let start = answer.format.as_ref().and_then(|format| format.start_time.as_deref()?.parse().ok());
        let start = start.filter(|seconds: &f64| seconds.is_finite()).unwrap_or_default();
        let whole = answer.format.and_then(|format| format.duration);
        let streams = answer.streams.iter().filter_map(|stream| seconds(stream.duration.as_deref())).reduce(f64::max);
        let duration = seconds(whole.as_deref()).or(streams);
        if duration.is_some_and(|seconds| seconds > LONGEST) {
            return Err(ProbeError::Absurd("longer than a year"));
        }
        Ok(Self { start, duration, video, audio })
    }
}

impl Described {
    fn video(&self) -> Result<Video, ProbeError> {
        let name = self.codec_name.clone().unwrap_or_default();
        let rate = self.r_frame_rate.as_deref().and_then(ratio);
        Video::new(self.index, name, (self.width, self.height), rate)
    }

    fn audio(&self) -> Audio {
        Audio::new(self.index, self.codec_name.clone().unwrap_or_default(), self.channels)
    }
}

impl Video {
    /// A picture of so many pixels, wide and high, in a coding by ffprobe's name.
    ///
    /// # Errors
    /// When its size is absurd.
    pub fn new(index: u32, name: String, (width, height): (u32, u32), rate: Option<f64>) -> Result<Self, ProbeError> {
        if width == 0 || height == 0 || width > LARGEST_SIDE || height > LARGEST_SIDE {
            return Err(ProbeError::Absurd("size of the picture"));
        }
        Ok(Self { index, codec: VideoCodec::of_name(&name), codec_name: name, width, height, rate })
    }
}

impl Audio {
    /// Sound of so many channels, in a coding by ffprobe's name.
    #[must_use]
    pub fn new(index: u32, name: String, channels: u32) -> Self {
        Self { index, codec: AudioCodec::of_name(&name), codec_name: name, channels: channels.max(1) }
    }
}

/// A number of seconds that makes sense; ffprobe writes `N/A` for what it does not know.
fn seconds(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
}

/// `30000/1001`.
fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
    (over > 0.0 && under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ffprobe 5.1 of a merged DASH download.
    const MP4: &str = r#"{"programs": [], "streams": [
        {"index": 0, "codec_name": "h264", "codec_type": "video", "width": 640, "height": 360,
         "r_frame_rate": "25/1", "duration": "8.000000", "disposition": {"attached_pic": 0}},
        {"index": 1, "codec_name": "aac", "codec_type": "audio", "channels": 2,
         "r_frame_rate": "0/0", "duration": "8.000000", "disposition": {"attached_pic": 0}}],
        "format": {"duration": "8.000000"}}"#;
    /// ffprobe 5.1 of an mp3 with a cover.
    const COVER: &str = r#"{"programs": [], "streams": [
        {"index": 0, "codec_name": "mp3", "codec_type": "audio", "channels": 1,
         "r_frame_rate": "0/0", "duration": "8.040000", "disposition": {"attached_pic": 0}},
        {"index": 1, "codec_name": "mjpeg", "codec_type": "video", "width": 300, "height": 300,
         "r_frame_rate": "90000/1", "disposition": {"attached_pic": 1}}], "format": {"duration": "8.040000"}}"#;

    #[test]
    fn picture_and_sound_are_read() {
        let probe = Probe::parse(MP4).unwrap();
        let video = probe.video.unwrap();
        assert_eq!((video.codec, video.width, video.height, video.rate), (VideoCodec::H264, 640, 360, Some(25.0)));
        assert_eq!(probe.audio.unwrap().codec, AudioCodec::Aac);
        assert_eq!(probe.duration, Some(8.0));
    }

    #[test]
    fn a_cover_is_no_moving_picture() {
        let probe = Probe::parse(COVER).unwrap();
        assert_eq!((probe.video, probe.audio.unwrap().codec), (None, AudioCodec::Mp3));
    }

    #[test]
    fn absurd_answers_are_refused() {
        let huge = MP4.replace("640", "20000");
        let long = MP4.replace("8.000000\"}}", "1e9\"}}");
        let stream = r#"{"index": 0, "codec_type": "audio", "codec_name": "aac"}"#;
        let many = format!(r#"{{"streams": [{}]}}"#, [stream; 65].join(","));
        for (json, error) in [
            ("", ProbeError::Unreadable),
            ("{}", ProbeError::Empty),
            (huge.as_str(), ProbeError::Absurd("size of the picture")),
            (long.as_str(), ProbeError::Absurd("longer than a year")),
            (many.as_str(), ProbeError::Absurd("too many streams")),
        ] {
            assert_eq!(Probe::parse(json), Err(error), "{json}");
        }
    }
}
