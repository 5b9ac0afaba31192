//! What ffprobe says of a file: arguments, and its lines as a type, with bounds.
//!
//! Not here: running it (`ffmpeg`), and whether what it says is good enough (`verify`).

use std::path::Path;

use super::line::{Line, What};
use crate::container::{AudioCodec, Container, VideoCodec};

/// Streams of one file; more is no medium that anybody plays.
const MOST_STREAMS: usize = 64;
/// Pixels of either side: 8K is 7680 by 4320, upright or not.
pub(super) const LARGEST_SIDE: u32 = 8192;
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
    /// It does not come to its end.
    #[error("ffprobe's answer can't be read")]
    Unreadable,
    /// Neither picture nor sound.
    #[error("neither picture nor sound")]
    Empty,
    /// It does not say how large its picture is.
    #[error("a picture without a size")]
    Sizeless,
    /// Beyond what any real medium has.
    #[error("absurd: {0}")]
    Absurd(&'static str),
}

/// Arguments that make ffprobe describe a file of a container that was sniffed before, and with `packets` tell when each
/// of them is shown, for which it reads the file to its end. Each section is a line, those of packets first.
#[must_use]
pub fn arguments(file: &Path, container: Container, packets: bool) -> Line {
    let mut line = Line::of("-hide_banner -loglevel error -print_format compact -show_entries");
    let mut entries = "format=start_time,duration\
        :stream=index,codec_type,codec_name,width,height,r_frame_rate,channels,duration\
        :stream_disposition=attached_pic"
        .to_owned();
    if packets {
        entries.push_str(":packet=stream_index,pts_time,dts_time,duration_time");
    }
    line.words(&entries);
    if packets && matches!(container, Container::Mp4 | Container::M4a) {
        // its index says it all: what lies in the media data is not asked, which costs time and may have been left out
        line.words("-fflags +noparse");
    }
    line.input(file, What::Medium(container));
    line
}

/// What ffprobe says, line by line (its writer `compact`).
#[derive(Debug, Default)]
pub struct Answer {
    streams: Vec<Described>,
    whole: Option<Described>,
}

#[derive(Debug, Default)]
struct Described {
    index: u32,
    codec_type: String,
    codec_name: String,
    width: u32,
    height: u32,
    rate: Option<f64>,
    channels: u32,
    start: Option<f64>,
    duration: Option<f64>,
    is_cover: bool,
}

impl Described {
    fn of(fields: &str) -> Self {
        let mut described = Self::default();
        for (key, value) in fields.split('|').filter_map(|field| field.split_once('=')) {
            let number = || value.parse().unwrap_or_default();
            match key {
                "index" => described.index = number(),
                "codec_type" => described.codec_type = value.to_owned(),
                "codec_name" => described.codec_name = value.to_owned(),
                "width" => described.width = number(),
                "height" => described.height = number(),
                "r_frame_rate" => described.rate = ratio(value),
                "channels" => described.channels = number(),
                "start_time" => described.start = value.parse().ok().filter(|seconds: &f64| seconds.is_finite()),
                "duration" => described.duration = seconds(value),
                "disposition:attached_pic" => described.is_cover = value == "1",
                _ => {}
            }
        }
        described
    }

    fn video(&self) -> Result<Video, ProbeError> {
        Video::new(self.index, self.codec_name.clone(), (self.width, self.height), self.rate)
    }

    fn audio(&self) -> Audio {
        Audio::new(self.index, self.codec_name.clone(), self.channels)
    }
}

impl Answer {
    /// Takes in a line. Of a packet, its fields are handed back.
    pub fn take<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        match line.split_once('|')? {
            ("packet", fields) => return Some(fields),
            // what is in a program is told there, too, without it
            ("stream", fields) if fields.contains("disposition:") && self.streams.len() <= MOST_STREAMS => {
                self.streams.push(Described::of(fields));
            }
            ("format", fields) => self.whole = Some(Described::of(fields)),
            _ => {}
        }
        None
    }

    /// What there is.
    ///
    /// # Errors
    /// When it was no such answer, describes nothing playable, or something absurd.
    pub fn probe(&self) -> Result<Probe, ProbeError> {
        let whole = self.whole.as_ref().ok_or(ProbeError::Unreadable)?;
        if self.streams.len() > MOST_STREAMS {
            return Err(ProbeError::Absurd("too many streams"));
        }
        let of_kind =
            |kind: &'static str| self.streams.iter().find(|stream| stream.codec_type == kind && !stream.is_cover);
        let video = of_kind("video").map(Described::video).transpose()?;
        let audio = of_kind("audio").map(Described::audio);
        // what nobody wants is read, too
        if self.streams.iter().any(|stream| stream.width.max(stream.height) > LARGEST_SIDE) {
            return Err(ProbeError::Absurd("size of the picture"));
        }
        if video.is_none() && audio.is_none() {
            return Err(ProbeError::Empty);
        }
        let streams = self.streams.iter().filter_map(|stream| stream.duration).reduce(f64::max);
        let duration = whole.duration.or(streams);
        if duration.is_some_and(|seconds| seconds > LONGEST) {
            return Err(ProbeError::Absurd("longer than a year"));
        }
        Ok(Probe { start: whole.start.unwrap_or_default(), duration, video, audio })
    }
}

impl Video {
    /// A picture of so many pixels, wide and high, in a coding by ffprobe's name.
    ///
    /// # Errors
    /// When it has no size, or an absurd one.
    pub fn new(index: u32, name: String, (width, height): (u32, u32), rate: Option<f64>) -> Result<Self, ProbeError> {
        if width == 0 || height == 0 {
            return Err(ProbeError::Sizeless);
        }
        if width > LARGEST_SIDE || height > LARGEST_SIDE {
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
fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
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

    /// ffprobe 5.1 of a transport stream.
    const PROGRAM: &str = "packet|stream_index=0|pts_time=1.421333|dts_time=1.421333|duration_time=0.040000|side_data|\n\n\
        program|stream|index=0|codec_name=h264|codec_type=video|width=640|height=360|r_frame_rate=25/1|duration=8.000000\n\
        stream|index=1|codec_name=aac|codec_type=audio|channels=2|r_frame_rate=0/0|duration=7.978667\n\n\
        stream|index=0|codec_name=h264|codec_type=video|width=640|height=360|r_frame_rate=25/1|duration=8.000000|disposition:attached_pic=0\n\
        stream|index=1|codec_name=aac|codec_type=audio|channels=2|r_frame_rate=0/0|duration=7.978667|disposition:attached_pic=0\n\
        format|start_time=1.400000|duration=8.021333";
    /// ffprobe 5.1 of an mp3 with a cover.
    const COVER: &str = "stream|index=0|codec_name=mp3|codec_type=audio|channels=1|r_frame_rate=0/0|duration=8.040000|disposition:attached_pic=0\n\
        stream|index=1|codec_name=mjpeg|codec_type=video|width=300|height=300|r_frame_rate=90000/1|duration=N/A|disposition:attached_pic=1\n\
        format|start_time=0.023021|duration=8.040000";

    fn parse(text: &str) -> (Result<Probe, ProbeError>, usize) {
        let mut answer = Answer::default();
        let packets = text.lines().filter_map(|line| answer.take(line)).count();
        (answer.probe(), packets)
    }

    #[test]
    fn picture_and_sound_are_read() {
        let (probe, packets) = parse(PROGRAM);
        let Probe { start, duration, video, audio } = probe.unwrap();
        let video = video.unwrap();
        assert_eq!((video.codec, video.width, video.height, video.rate), (VideoCodec::H264, 640, 360, Some(25.0)));
        assert_eq!(audio.map(|audio| (audio.codec, audio.channels)), Some((AudioCodec::Aac, 2)));
        assert_eq!((start, duration, packets), (1.4, Some(8.021_333), 1));
    }

    #[test]
    fn a_cover_is_no_moving_picture() {
        let probe = parse(COVER).0.unwrap();
        assert_eq!((probe.video, probe.audio.unwrap().codec), (None, AudioCodec::Mp3));
    }

    #[test]
    fn absurd_answers_are_refused() {
        let [huge, none] = ["8193", "0"].map(|width| PROGRAM.replace("=640", &format!("={width}")));
        let other = "stream|index=2|codec_type=video|codec_name=png|width=9000|height=8000|disposition:attached_pic=0";
        let second = format!("{other}\n{PROGRAM}").replace("index=0", "index=3");
        let long = PROGRAM.replace("8.021333", "1e9");
        let stream = "stream|index=0|codec_type=audio|codec_name=aac|disposition:attached_pic=0\n";
        let many = format!("{}format|start_time=0", stream.repeat(65));
        for (text, error) in [
            ("", ProbeError::Unreadable),
            (stream, ProbeError::Unreadable),
            ("format|duration=1", ProbeError::Empty),
            (huge.as_str(), ProbeError::Absurd("size of the picture")),
            (none.as_str(), ProbeError::Sizeless),
            (second.as_str(), ProbeError::Absurd("size of the picture")),
            (long.as_str(), ProbeError::Absurd("longer than a year")),
            (many.as_str(), ProbeError::Absurd("too many streams")),
        ] {
            assert_eq!(parse(text).0, Err(error), "{text}");
        }
    }
}
