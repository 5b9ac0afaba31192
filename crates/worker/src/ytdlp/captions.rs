//! What yt-dlp says of a medium's subtitles: for each language the one file that can be made use of.
//!
//! Not here: which languages are wanted (`captions`), how a text is fetched (`pipeline::texts`).

use serde_json::value::RawValue;

use super::value::{self, Fields, TITLE, WORD};

/// Languages that are looked at; a machine translates into hundreds.
const LANGUAGES: usize = 500;
/// Files of one language that are looked at.
const FILES: usize = 100;
/// Characters of a text that a site gives at once.
const TEXT: usize = 4 << 20;

/// Subtitles in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// As the site writes it; most write a tag of BCP 47.
    pub language: String,
    /// For people.
    pub name: Option<String>,
    /// Made by a machine.
    pub automatic: bool,
    /// How it is written.
    pub form: CaptionForm,
    /// Where it is.
    pub source: CaptionSource,
}

/// A way to write subtitles, of those that can be converted; the greatest is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaptionForm {
    /// Advanced `SubStation` Alpha.
    Ass,
    /// `SubRip`.
    Srt,
    /// WebVTT.
    Vtt,
}

/// Where a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptionSource {
    /// At this address.
    File(String),
    /// In the segments of the HLS playlist at this address.
    Playlist(String),
    /// Here.
    Text(String),
}

/// All that can be made use of, those that somebody wrote first.
pub(super) fn captions(fields: &Fields<'_>) -> Vec<Caption> {
    let of = |name: &str, automatic| {
        let languages = fields.entries(name, LANGUAGES).filter(|(language, _)| *language != "live_chat");
        languages.filter_map(move |(language, files)| caption(&language, files, automatic))
    };
    of("subtitles", false).chain(of("automatic_captions", true)).collect()
}

fn caption(language: &str, files: &RawValue, automatic: bool) -> Option<Caption> {
    let usable =
        value::objects(files, FILES).filter_map(|file| Some((form(&file)?, source(&file)?, file.text("name", TITLE))));
    // of equals the last: yt-dlp puts the best there
    let (form, source, name) = usable.max_by_key(|(form, ..)| *form)?;
    Some(Caption { language: language.chars().take(WORD).collect(), name, automatic, form, source })
}

fn form(file: &Fields<'_>) -> Option<CaptionForm> {
    match file.text("ext", WORD)?.as_str() {
        "vtt" => Some(CaptionForm::Vtt),
        "srt" => Some(CaptionForm::Srt),
        "ass" | "ssa" => Some(CaptionForm::Ass),
        _ => None,
    }
}

fn source(file: &Fields<'_>) -> Option<CaptionSource> {
    if file.has("data") {
        return file.text("data", TEXT).map(CaptionSource::Text);
    }
    match file.text("protocol", WORD).as_deref() {
        None | Some("http" | "https") => file.link("url").map(CaptionSource::File),
        Some("m3u8" | "m3u8_native") => file.link("url").map(CaptionSource::Playlist),
        Some(_) => None,
    }
}
