//! The keys of an order, as a request of our own.

use haul_shared::media::{Codec, Format, Quality};
use haul_shared::view::{DownloadRequest, SubtitleMode, Subtitles};
use serde_json::{Map, Value};

use super::super::name::Style;
use super::super::refusal::Said;

/// What sound can be ordered with here, in kbit/s.
const LEAST_KBPS: u16 = 32;
const MOST_KBPS: u16 = 320;
/// Keys that say yes or no, those of older clients among them. What they choose among is not to be had here, or always so:
/// everything is passed through; the site's own streams are found by yt-dlp; pictures are not made into others.
const FLAGS: [&str; 9] = [
    "alwaysProxy",
    "allowH265",
    "tiktokH265",
    "convertGif",
    "twitterGif",
    "tiktokFullAudio",
    "youtubeHLS",
    "youtubeBetterAudio",
    "disableMetadata",
];

/// An order, read.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// Its address and life are still to be judged and set.
    pub(super) request: DownloadRequest,
    /// How its file is named.
    pub(super) style: Style,
}

/// Reads the keys of a body.
///
/// # Errors
/// `link.missing`; `invalid_body` for a value that cobalt does not know; `service.disabled` for a picture without its sound,
/// which is not made here: with sound it would be another file than was asked for.
pub(super) fn read(body: &Map<String, Value>) -> Result<Asked, Said> {
    let url = match body.get("url") {
        Some(Value::String(url)) if !url.trim().is_empty() => url.trim().to_owned(),
        None | Some(Value::String(_)) => return Err(Said::LinkMissing),
        Some(_) => return Err(Said::InvalidBody),
    };
    for key in FLAGS {
        flag(body, key)?;
    }
    check_local_processing(body)?;
    language(body, "youtubeDubLang")?;

    let quality = match word(
        body,
        "videoQuality",
        &["1080", "max", "4320", "2160", "1440", "720", "480", "360", "240", "144"],
    )? {
        "max" => Quality::Best,
        pixels => pixels.parse().map(Quality::AtMost).map_err(|_| Said::InvalidBody)?,
    };
    let kbps = word(body, "audioBitrate", &["128", "320", "256", "96", "64", "8"])?;
    let kbps: u16 = kbps.parse().map_err(|_| Said::InvalidBody)?;
    let sound = match word(body, "audioFormat", &["mp3", "best", "ogg", "wav", "opus"])? {
        "mp3" => Format::Mp3,
        "wav" => Format::Wav,
        // a file of Ogg all the same; Vorbis in it is not made here, and most sites' best sound is Opus
        _ => Format::Opus,
    };
    let (codec, usual) = match word(body, "youtubeVideoCodec", &["h264", "av1", "vp9"])? {
        "av1" => (Codec::Av1, Format::Webm),
        "vp9" => (Codec::Vp9, Format::Webm),
        _ => (Codec::H264, Format::Mp4),
    };
    let picture = match word(body, "youtubeVideoContainer", &["auto", "mp4", "webm", "mkv"])? {
        "mp4" => Format::Mp4,
        "webm" => Format::Webm,
        "mkv" => Format::Mkv,
        _ => usual,
    };
    let is_audio = match word(body, "downloadMode", &["auto", "audio", "mute"])? {
        "audio" => true,
        // nothing is wrong with the body: who reads that would look for a fault in their client
        "mute" => return Err(Said::ServiceDisabled),
        _ => false,
    };
    let style = word(body, "filenameStyle", &["basic", "classic", "pretty", "nerdy"])?;
    let style = Style::ALL.into_iter().find(|known| known.word() == style).ok_or(Said::InvalidBody)?;
    let subtitles = language(body, "subtitleLang")?.filter(|_| !is_audio);

    let of_url = DownloadRequest { embed_metadata: !flag(body, "disableMetadata")?, ..DownloadRequest::of_url(url) };
    let request = if is_audio {
        DownloadRequest { format: sound, audio_bitrate_kbps: kbps.clamp(LEAST_KBPS, MOST_KBPS), ..of_url }
    } else {
        DownloadRequest { format: picture, quality, codec, subtitles, ..of_url }
    };
    Ok(Asked { request, style })
}

/// One of these words; without the key the first.
fn word<'a>(body: &'a Map<String, Value>, key: &str, known: &[&'a str]) -> Result<&'a str, Said> {
    match body.get(key) {
        None => Ok(known[0]),
        Some(Value::String(word)) if known.contains(&word.as_str()) => Ok(word),
        Some(_) => Err(Said::InvalidBody),
    }
}

/// Yes or no; without the key no.
fn flag(body: &Map<String, Value>, key: &str) -> Result<bool, Said> {
    match body.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Said::InvalidBody),
    }
}

/// Whether the client would like to put the file together itself. It never has to: here that is done.
fn check_local_processing(body: &Map<String, Value>) -> Result<(), Said> {
    match body.get("localProcessing") {
        Some(Value::Bool(_)) => Ok(()),
        _ => word(body, "localProcessing", &["disabled", "preferred", "forced"]).map(drop),
    }
}

/// A tag of a language, or none.
fn language(body: &Map<String, Value>, key: &str) -> Result<Option<Subtitles>, Said> {
    let tag = match body.get(key) {
        None => return Ok(None),
        Some(Value::String(tag)) => tag,
        Some(_) => return Err(Said::InvalidBody),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    // what begins with a hyphen is no tag, whatever cobalt takes it for
    if !(2..=8).contains(&tag.len()) || !tag.bytes().all(is_plain) || tag.starts_with('-') {
        return Err(Said::InvalidBody);
    }
    let wanted = Subtitles { languages: vec![tag.clone()], automatic: false, mode: SubtitleMode::Embed };
    Ok(Some(wanted).filter(|_| tag != "none"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://video.example/1";

    fn read_with(more: &Value) -> Result<Asked, Said> {
        let mut body = more.as_object().expect("an object").clone();
        body.entry("url").or_insert_with(|| json!(URL));
        read(&body)
    }

    fn expected(format: Format) -> DownloadRequest {
        let of_url = DownloadRequest { format, ..DownloadRequest::of_url(URL.to_owned()) };
        match format.is_audio() {
            true => DownloadRequest { audio_bitrate_kbps: 128, ..of_url },
            false => DownloadRequest { quality: Quality::AtMost(1080), codec: Codec::H264, ..of_url },
        }
    }

    #[test]
    fn an_order_of_cobalts_is_one_of_ours() {
        let video = || expected(Format::Mp4);
        let table = [
            (json!({}), video()),
            (json!({ "url": format!(" {URL} ") }), video()),
            (json!({ "videoQuality": "max" }), DownloadRequest { quality: Quality::Best, ..video() }),
            (json!({ "videoQuality": "144" }), DownloadRequest { quality: Quality::AtMost(144), ..video() }),
            (json!({ "youtubeVideoCodec": "vp9" }), DownloadRequest { codec: Codec::Vp9, ..expected(Format::Webm) }),
            (
                json!({ "youtubeVideoCodec": "av1", "youtubeVideoContainer": "mkv" }),
                DownloadRequest { codec: Codec::Av1, ..expected(Format::Mkv) },
            ),
            (json!({ "disableMetadata": true }), DownloadRequest { embed_metadata: false, ..video() }),
            (
                json!({ "subtitleLang": "pt-BR" }),
                DownloadRequest {
                    subtitles: Some(Subtitles {
                        languages: vec!["pt-BR".to_owned()],
                        automatic: false,
                        mode: SubtitleMode::Embed,
                    }),
                    ..video()
                },
            ),
            (json!({ "downloadMode": "audio" }), expected(Format::Mp3)),
            (json!({ "downloadMode": "audio", "audioFormat": "best", "subtitleLang": "en" }), expected(Format::Opus)),
            (json!({ "downloadMode": "audio", "audioFormat": "ogg" }), expected(Format::Opus)),
            (
                json!({ "downloadMode": "audio", "audioFormat": "wav", "audioBitrate": "320" }),
                DownloadRequest { audio_bitrate_kbps: 320, ..expected(Format::Wav) },
            ),
            (
                json!({ "downloadMode": "audio", "audioBitrate": "8" }),
                DownloadRequest { audio_bitrate_kbps: 32, ..expected(Format::Mp3) },
            ),
            // what changes nothing here, older keys and unknown ones
            (
                json!({ "alwaysProxy": true, "youtubeDubLang": "de", "convertGif": false, "tiktokFullAudio": true }),
                video(),
            ),
            (json!({ "twitterGif": true, "tiktokH265": true, "isTTFullAudio": 7, "vCodec": {} }), video()),
            (json!({ "localProcessing": "forced", "subtitleLang": "none" }), video()),
            (json!({ "localProcessing": true }), video()),
        ];
        for (body, request) in table {
            assert_eq!(read_with(&body), Ok(Asked { request, style: Style::Basic }), "{body}");
        }
        for style in Style::ALL {
            assert_eq!(read_with(&json!({ "filenameStyle": style.word() })).map(|asked| asked.style), Ok(style));
        }
    }

    #[test]
    fn a_value_that_cobalt_does_not_know_is_refused_and_so_is_what_is_not_made_here() {
        let table = [
            json!({ "videoQuality": 1080 }),
            json!({ "videoQuality": "1081" }),
            json!({ "videoQuality": null }),
            json!({ "downloadMode": "video" }),
            json!({ "audioFormat": "flac" }),
            json!({ "audioBitrate": 128 }),
            json!({ "audioBitrate": "192" }),
            json!({ "filenameStyle": "" }),
            json!({ "youtubeVideoCodec": "h265" }),
            json!({ "youtubeVideoContainer": "mov" }),
            json!({ "youtubeDubLang": "a" }),
            json!({ "subtitleLang": "deutsch/1" }),
            json!({ "subtitleLang": "--all" }),
            json!({ "localProcessing": "maybe" }),
            json!({ "alwaysProxy": "true" }),
            json!({ "twitterGif": 1 }),
            json!({ "url": 7 }),
            json!({ "url": null }),
        ];
        for body in table {
            assert_eq!(read_with(&body), Err(Said::InvalidBody), "{body}");
        }
        assert_eq!(read_with(&json!({ "downloadMode": "mute" })), Err(Said::ServiceDisabled));
        assert_eq!(read_with(&json!({ "url": " " })), Err(Said::LinkMissing));
        assert_eq!(read(&Map::new()), Err(Said::LinkMissing));
    }
}
