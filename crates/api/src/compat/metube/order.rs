//! What `add` is asked, as a request of our own: the current form and the one that older clients send.
//!
//! Unknown keys are ignored, as `MeTube` does: clients send some that it has dropped. A quality that a format has not is the
//! nearest that it has. What would make another file than was asked for is refused, with a reason; what has no meaning here
//! (where captions come from, names for chapters) is passed over.
//!
//! Not here: whether the address may be fetched, which is judged as for every request.

use haul_shared::media::{Codec, Format, Quality};
use haul_shared::view::{Clip, DownloadRequest, SponsorBlock};
use serde_json::{Map, Value};

use super::clip::{moment, split_start};

/// The body of an `add`.
pub(super) type Body = Map<String, Value>;

/// The best that a coded sound can be ordered with, in kbit/s: what `MeTube` calls best.
pub(super) const BEST_KBPS: u16 = 320;
/// What the tags begin with in which a download keeps what only `MeTube` knows.
const FOLDER: &str = "folder:";
const PREFIX: &str = "prefix:";
/// What is left of a tag behind them.
const LONGEST_NAME: usize = 64 - FOLDER.len();
const VIDEO_FORMATS: &str = "any, mp4 or ios";
const AUDIO_FORMATS: &str = "m4a, mp3, opus, wav or flac";

/// The request that a body stands for; its address and life are still to be judged and set.
///
/// # Errors
/// What is wrong, or not to be had here, for people.
pub(super) fn read(body: &Body) -> Result<DownloadRequest, String> {
    let address = text(body, "url").ok_or("url is missing")?;
    let medium = Medium::read(body)?;
    refuse_what_there_is_not(body)?;
    let (address, begins) = split_start(&address);
    let tags = [(FOLDER, "folder"), (PREFIX, "custom_name_prefix")].map(|(tag, key)| name(body, tag, key));
    let [folder, prefix] = tags;
    let is_cut = body.get("sponsorblock").is_some_and(is_truthy);
    let remove = if is_cut { vec!["sponsor".to_owned()] } else { Vec::new() };
    Ok(DownloadRequest {
        format: medium.format,
        quality: medium.quality,
        codec: medium.codec,
        audio_bitrate_kbps: medium.kbps,
        // MeTube puts the picture into every sound file that can hold one
        embed_thumbnail: medium.format.is_audio() && medium.format != Format::Wav,
        clip: clip(body, begins)?,
        sponsorblock: SponsorBlock { mark: Vec::new(), remove },
        tags: folder?.into_iter().chain(prefix?).collect(),
        ..DownloadRequest::of_url(address)
    })
}

/// What the result is to be.
struct Medium {
    format: Format,
    quality: Quality,
    codec: Codec,
    kbps: u16,
}

impl Medium {
    fn read(body: &Body) -> Result<Self, String> {
        let format = word(body, "format");
        let quality = word(body, "quality").unwrap_or_else(|| "best".to_owned());
        let Some(kind) = word(body, "download_type") else { return Self::of_older(body, format, &quality) };
        match kind.as_str() {
            "video" => Self::video(&format.unwrap_or_default(), &quality, word(body, "codec")),
            "audio" => Self::audio(&format.unwrap_or_default(), &quality),
            "captions" => Err(NO_CAPTIONS.to_owned()),
            "thumbnail" => Err(NO_THUMBNAIL.to_owned()),
            _ => Err("download_type must be video or audio".to_owned()),
        }
    }

    /// Without `download_type`, the format says what it is to be.
    fn of_older(body: &Body, format: Option<String>, quality: &str) -> Result<Self, String> {
        let format = format.unwrap_or_else(|| "any".to_owned());
        match (format.as_str(), quality) {
            ("thumbnail", _) => Err(NO_THUMBNAIL.to_owned()),
            ("captions", _) => Err(NO_CAPTIONS.to_owned()),
            (sound, quality) if audio_format(sound).is_some() => Self::audio(sound, quality),
            (_, "best_ios") => Self::video("ios", "best", word(body, "video_codec")),
            (_, "audio") => Self::audio("m4a", "best"),
            (format, quality) => Self::video(format, quality, word(body, "video_codec")),
        }
    }

    fn video(format: &str, quality: &str, codec: Option<String>) -> Result<Self, String> {
        let codec = match codec.as_deref() {
            None | Some("auto") => Codec::Any,
            Some("h264") => Codec::H264,
            Some("h265") => Codec::H265,
            Some("av1") => Codec::Av1,
            Some("vp9") => Codec::Vp9,
            Some(_) => return Err("codec must be auto, h264, h265, av1 or vp9".to_owned()),
        };
        let (format, codec) = match format {
            "any" => (Format::Original, codec),
            "mp4" => (Format::Mp4, codec),
            // what the players of Apple's devices take
            "ios" => (Format::Mp4, if codec == Codec::Any { Codec::H264 } else { codec }),
            _ => return Err(format!("format must be {VIDEO_FORMATS} for video")),
        };
        Ok(Self { format, codec, quality: rung(quality)?, kbps: BEST_KBPS })
    }

    fn audio(format: &str, quality: &str) -> Result<Self, String> {
        let known = audio_format(format).ok_or_else(|| format!("format must be {AUDIO_FORMATS} for audio"))?;
        let kbps = match (known, quality) {
            (Format::Mp3 | Format::M4a, "192") => 192,
            (Format::Mp3 | Format::M4a, "128") => 128,
            _ => BEST_KBPS,
        };
        Ok(Self { format: known, quality: Quality::Best, codec: Codec::Any, kbps })
    }
}

const NO_CAPTIONS: &str =
    "captions alone can't be had here: add the video, or order it with subtitles at the API itself";
const NO_THUMBNAIL: &str = "a thumbnail alone can't be had here: add the video";

fn audio_format(word: &str) -> Option<Format> {
    Format::of_word(word).filter(|format| format.is_audio())
}

/// The height of a picture: `1080`, also as `1080p`; one between two rungs is the lower.
fn rung(quality: &str) -> Result<Quality, String> {
    match quality {
        "best" => Ok(Quality::Best),
        // nothing is smaller, and with nothing so small the smallest there is will do
        "worst" => Ok(Quality::AtMost(144)),
        height => {
            let pixels = height.strip_suffix('p').unwrap_or(height).parse().ok().filter(|pixels| *pixels > 0);
            pixels
                .map(Quality::of_short_side)
                .ok_or_else(|| "quality must be best, worst or a height such as 1080".to_owned())
        }
    }
}

fn clip(body: &Body, begins: Option<f64>) -> Result<Option<Clip>, String> {
    let read = |key: &str| moment(body.get(key)).map_err(|what| format!("{key} {what}"));
    let (start, end) = (read("clip_start")?, read("clip_end")?);
    // an end without a start is counted from the beginning, wherever the address begins
    let start = start.or(if end.is_some() { Some(0.0) } else { begins });
    let Some(start) = start else { return Ok(None) };
    if end.is_some_and(|end| end <= start) {
        return Err("clip_end must be greater than clip_start".to_owned());
    }
    Ok(Some(Clip { start, end, exact: false }))
}

/// What would be done otherwise than it was asked for.
fn refuse_what_there_is_not(body: &Body) -> Result<(), String> {
    let says = |key: &str| body.get(key).is_some_and(is_truthy);
    // absent and null are yes
    if body.get("auto_start").is_some_and(|value| !value.is_null() && !is_truthy(value)) {
        return Err("auto_start can't be false: every download begins here as soon as it is its turn".to_owned());
    }
    if says("split_by_chapters") {
        return Err("split_by_chapters can't be had here; chapters are kept in the file".to_owned());
    }
    if says("ytdl_options_presets") || says("ytdl_options_preset") {
        return Err("ytdl_options_presets can't be had here: there are none".to_owned());
    }
    match body.get("ytdl_options_overrides") {
        Some(Value::String(text)) if matches!(text.trim(), "" | "{}") => Ok(()),
        Some(value) if is_truthy(value) => Err("ytdl_options_overrides are disabled".to_owned()),
        Some(_) | None => Ok(()),
    }
}

/// A name that is kept as a tag.
fn name(body: &Body, tag: &str, key: &str) -> Result<Option<String>, String> {
    let Some(name) = text(body, key) else { return Ok(None) };
    let name = name.trim_matches('/');
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("{key} must have at most {LONGEST_NAME} characters, none of them a control character"));
    }
    Ok(Some(name).filter(|name| !name.is_empty()).map(|name| format!("{tag}{name}")))
}

/// The folder and the prefix that a download was ordered with; empty: none.
pub(super) fn names(request: &DownloadRequest) -> (&str, &str) {
    let tag = |tag: &str| request.tags.iter().find_map(|it| it.strip_prefix(tag)).unwrap_or_default();
    (tag(FOLDER), tag(PREFIX))
}

/// A text, or a number as one, without the space around it; `None`: there is nothing in it.
fn text(body: &Body, key: &str) -> Option<String> {
    let text = match body.get(key)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn word(body: &Body, key: &str) -> Option<String> {
    text(body, key).map(|text| text.to_ascii_lowercase())
}

/// As Python has it, and what people write for no.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim(), "" | "false" | "0"),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

#[cfg(test)]
mod tests;
