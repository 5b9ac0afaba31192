//! Codecs and the containers that hold them as they are.
//!
//! The one place that knows both tongues: what sites write about their formats (RFC 6381, yt-dlp's words) and what
//! ffprobe calls the same thing. Not here: which stream is wanted (`select`), how a file is made (`ffmpeg`).

use haul_shared::media::Format;

/// How a picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the well-known name of a codec")]
pub enum VideoCodec {
    H264,
    H265,
    Av1,
    Vp9,
    Vp8,
    /// Any other; only mkv is trusted with it.
    Other,
}

impl VideoCodec {
    /// Reads `avc1.42c01e`, `h264`, `hvc1`, `vp09.00.40.08`, `av01.0.08M.08`, ...
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        match name.split('.').next().unwrap_or_default() {
            "avc1" | "avc2" | "avc3" | "avc4" | "avc" | "h264" | "x264" => Self::H264,
            "hvc1" | "hev1" | "hevc" | "h265" | "x265" | "dvh1" | "dvhe" => Self::H265,
            "av01" | "av1" => Self::Av1,
            "vp09" | "vp9" | "vp9x" => Self::Vp9,
            "vp08" | "vp8" | "vp8x" => Self::Vp8,
            _ => Self::Other,
        }
    }
}

/// How sound is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the well-known name of a codec")]
pub enum AudioCodec {
    Aac,
    Mp3,
    /// Dolby Digital and Digital Plus.
    Ac3,
    Opus,
    Vorbis,
    Flac,
    Alac,
    /// 16 bit, little-endian, as wav has it.
    PcmS16,
    /// Any other; only mkv is trusted with it.
    Other,
}

impl AudioCodec {
    /// Reads `mp4a.40.2`, `aac`, `opus`, `ec-3`, ...
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        match name.as_str() {
            // RFC 6381 object types of MPEG-1 and MPEG-2 layer III
            "mp4a.6b" | "mp4a.69" | "mp4a.40.34" => return Self::Mp3,
            _ => {}
        }
        match name.split('.').next().unwrap_or_default() {
            "mp4a" | "aac" | "aacl" => Self::Aac,
            "mp3" => Self::Mp3,
            "ac-3" | "ac3" | "ec-3" | "eac3" => Self::Ac3,
            "opus" => Self::Opus,
            "vorbis" | "vrbs" => Self::Vorbis,
            "flac" | "fla" => Self::Flac,
            "alac" => Self::Alac,
            "pcm_s16le" => Self::PcmS16,
            _ => Self::Other,
        }
    }
}

/// The shape of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the well-known name of a container")]
pub enum Container {
    Mp4,
    /// Mp4 that holds sound only.
    M4a,
    Webm,
    Mkv,
    MpegTs,
    Mp3,
    /// Raw AAC with ADTS headers.
    Aac,
    Ogg,
    Flac,
    Wav,
    Avi,
    Flv,
}

impl Container {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Mp4,
        Self::M4a,
        Self::Webm,
        Self::Mkv,
        Self::MpegTs,
        Self::Mp3,
        Self::Aac,
        Self::Ogg,
        Self::Flac,
        Self::Wav,
        Self::Avi,
        Self::Flv,
    ];

    /// The container that a request names; none for `original`.
    #[must_use]
    pub fn of_format(format: Format) -> Option<Self> {
        match format {
            Format::Original => None,
            Format::Mp4 => Some(Self::Mp4),
            Format::Webm => Some(Self::Webm),
            Format::Mkv => Some(Self::Mkv),
            Format::Mp3 => Some(Self::Mp3),
            Format::M4a => Some(Self::M4a),
            Format::Opus => Some(Self::Ogg),
            Format::Flac => Some(Self::Flac),
            Format::Wav => Some(Self::Wav),
        }
    }

    /// Can it hold such a picture, untouched, so that ordinary players find it?
    #[must_use]
    pub fn holds_video(self, codec: VideoCodec) -> bool {
        use VideoCodec::{Av1, H264, H265, Vp8, Vp9};
        match self {
            Self::Mkv => true,
            Self::Mp4 => matches!(codec, H264 | H265 | Av1 | Vp9),
            Self::Webm => matches!(codec, Vp8 | Vp9 | Av1),
            Self::MpegTs => matches!(codec, H264 | H265),
            Self::Avi | Self::Flv => codec == H264,
            Self::M4a | Self::Mp3 | Self::Aac | Self::Ogg | Self::Flac | Self::Wav => false,
        }
    }

    /// Can it hold such sound, untouched?
    #[must_use]
    pub fn holds_audio(self, codec: AudioCodec) -> bool {
        use AudioCodec::{Aac, Ac3, Alac, Flac, Mp3, Opus, PcmS16, Vorbis};
        match self {
            Self::Mkv => true,
            Self::Mp4 => matches!(codec, Aac | Mp3 | Ac3 | Alac | Opus),
            Self::Webm => matches!(codec, Opus | Vorbis),
            Self::MpegTs => matches!(codec, Aac | Mp3 | Ac3),
            Self::M4a | Self::Aac | Self::Flv => codec == Aac,
            Self::Mp3 => codec == Mp3,
            Self::Ogg => codec == Opus,
            Self::Flac => codec == Flac,
            Self::Wav => codec == PcmS16,
            Self::Avi => matches!(codec, Mp3 | Ac3 | PcmS16),
        }
    }

    /// Is a file of this container, by its bytes alone, one of that? Mp4 and m4a begin alike.
    #[must_use]
    pub fn is_kind_of(self, other: Self) -> bool {
        let alike = |container| matches!(container, Self::Mp4 | Self::M4a);
        self == other || (alike(self) && alike(other))
    }

    /// File name extension, from a closed list.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::M4a => "m4a",
            Self::Webm => "webm",
            Self::Mkv => "mkv",
            Self::MpegTs => "ts",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Ogg => "opus",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Avi => "avi",
            Self::Flv => "flv",
        }
    }

    /// The container that a file of this extension promises to be.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.extension() == extension)
    }

    /// How the sound in such a file is coded, as a rule; none: in several ways.
    #[must_use]
    pub fn usual_sound(self) -> Option<AudioCodec> {
        match self {
            Self::Mp4 | Self::M4a | Self::MpegTs | Self::Aac | Self::Flv => Some(AudioCodec::Aac),
            Self::Mp3 => Some(AudioCodec::Mp3),
            Self::Ogg => Some(AudioCodec::Opus),
            Self::Flac => Some(AudioCodec::Flac),
            Self::Wav => Some(AudioCodec::PcmS16),
            Self::Webm | Self::Mkv | Self::Avi => None,
        }
    }

    /// What it is called when there is no picture in it.
    #[must_use]
    pub fn without_picture(self) -> Self {
        if self == Self::Mp4 { Self::M4a } else { self }
    }

    /// Media type, from a closed list.
    #[must_use]
    pub fn content_type(self, has_video: bool) -> &'static str {
        match (self, has_video) {
            (Self::Mp4 | Self::M4a, false) => "audio/mp4",
            (Self::Mp4 | Self::M4a, true) => "video/mp4",
            (Self::Webm, false) => "audio/webm",
            (Self::Webm, true) => "video/webm",
            (Self::Mkv, false) => "audio/x-matroska",
            (Self::Mkv, true) => "video/x-matroska",
            (Self::MpegTs, _) => "video/mp2t",
            (Self::Mp3, _) => "audio/mpeg",
            (Self::Aac, _) => "audio/aac",
            (Self::Ogg, _) => "audio/ogg",
            (Self::Flac, _) => "audio/flac",
            (Self::Wav, _) => "audio/wav",
            (Self::Avi, _) => "video/x-msvideo",
            (Self::Flv, _) => "video/x-flv",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_and_ffprobe_name_the_same_codecs() {
        for (name, codec) in [
            ("avc1.42c01e", VideoCodec::H264),
            ("h264", VideoCodec::H264),
            ("hev1.1.6.L93.B0", VideoCodec::H265),
            ("hevc", VideoCodec::H265),
            ("vp09.00.40.08", VideoCodec::Vp9),
            ("vp9", VideoCodec::Vp9),
            ("av01.0.08M.08", VideoCodec::Av1),
            ("mpeg4", VideoCodec::Other),
        ] {
            assert_eq!(VideoCodec::of_name(name), codec, "{name}");
        }
        for (name, codec) in [
            ("mp4a.40.2", AudioCodec::Aac),
            ("mp4a.40.34", AudioCodec::Mp3),
            ("opus", AudioCodec::Opus),
            ("ec-3", AudioCodec::Ac3),
            ("eac3", AudioCodec::Ac3),
            ("pcm_s16le", AudioCodec::PcmS16),
            ("pcm_s24le", AudioCodec::Other),
        ] {
            assert_eq!(AudioCodec::of_name(name), codec, "{name}");
        }
    }

    #[test]
    fn an_extension_promises_a_container_that_holds_its_usual_sound() {
        assert_eq!(Container::of_extension("mov"), None);
        for container in Container::ALL {
            assert_eq!(Container::of_extension(container.extension()), Some(container));
            assert!(container.usual_sound().is_none_or(|codec| container.holds_audio(codec)), "{container:?}");
        }
    }
}
