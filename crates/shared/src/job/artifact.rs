//! What a completed job made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::storage::ObjectKey;

/// Which way the bytes took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The range relay fetched them.
    Relay,
    /// They were fetched segment by segment.
    Native,
    /// yt-dlp fetched them. A way that a newer version has found reads as this one.
    #[default]
    #[serde(other)]
    Ytdlp,
}

/// A verified result in the store. Sizes in bytes, durations in seconds, picture in pixels.
///
/// Stored under names of one letter: Redis keeps as many as there are finished jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it is.
    #[serde(rename = "o")]
    pub object: ObjectKey,
    /// The title as a file name stem, cleaned; a ticket's own `filename` wins over it.
    #[serde(rename = "n")]
    pub stem: String,
    /// File name extension, from a closed list.
    #[serde(rename = "e")]
    pub extension: String,
    /// Its size.
    #[serde(rename = "b")]
    pub size_bytes: u64,
    /// From our own look at the file, from a closed list.
    #[serde(rename = "t")]
    pub content_type: String,
    /// SHA-256 of the bytes, 64 lower-case hex digits.
    #[serde(rename = "s")]
    pub sha256: String,
    /// How long it plays.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Of the picture.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of the picture.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// As ffprobe names it.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    pub vcodec: Option<String>,
    /// As ffprobe names it.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub acodec: Option<String>,
    /// The format's name, as a request has it.
    #[serde(rename = "c")]
    pub container: String,
    /// The rung asked for; none for audio.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The rung that the picture stands on; none for audio.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// Which way the bytes took.
    #[serde(flatten, with = "way")]
    pub delivery: Delivery,
    /// Why they took it: a word from a closed list of the worker's, for operators. Empty: a version before this knew of
    /// none.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// It is a recording of a live stream: who asks for the same later wants another one.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_recording: bool,
    /// What lies in the store beside it.
    #[serde(rename = "x", default, skip_serializing_if = "Beside::is_nothing")]
    pub beside: Beside,
}

impl Artifact {
    /// Everything that lies in the store for it, with sizes: the result first, and each object once.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, u64)> {
        let all = &self.beside.subtitles;
        let is_first = |at: usize| !all[..at].iter().any(|before| before.stored == all[at].stored);
        let texts = all.iter().enumerate().filter(move |(at, _)| is_first(*at));
        let texts = texts.filter_map(|(_, text)| text.stored.as_ref());
        let beside = self.beside.thumbnail.stored().into_iter().chain(texts).map(|one| (&one.object, one.size_bytes));
        std::iter::once((&self.object, self.size_bytes)).chain(beside)
    }
}

/// How the way of the bytes is stored. The first versions know `ytdlp` only, under `y`, and can't read a result that has
/// any other word there; so that word stands there always, and the true one under `f`.
mod way {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Delivery;

    #[derive(Serialize, Deserialize)]
    struct Stored {
        #[serde(default)]
        y: Delivery,
        f: Option<Delivery>,
    }

    pub(super) fn serialize<S: Serializer>(delivery: &Delivery, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { y: Delivery::Ytdlp, f: Some(*delivery) }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Delivery, D::Error> {
        Stored::deserialize(deserializer).map(|Stored { y, f }| f.unwrap_or(y))
    }
}

/// What belongs to a result and lives as long.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beside {
    /// A JPEG that stands for it. Not a part of the stored result: it comes after that.
    #[serde(rename = "t", default, skip_serializing)]
    pub thumbnail: Thumbnail,
    /// What became of the subtitles that were asked for, in that order.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub subtitles: Vec<Text>,
}

/// What became of the picture that stands for a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "Option<Stored>")]
pub enum Thumbnail {
    /// There is none, and will be none.
    #[default]
    None,
    /// It is being made. What is not there by then will not come.
    Coming {
        /// By the clock of Redis.
        until: Timestamp,
    },
    /// It is in the store.
    There(Stored),
}

impl Thumbnail {
    /// Where it is, if it is anywhere.
    #[must_use]
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Self::There(stored) => Some(stored),
            Self::None | Self::Coming { .. } => None,
        }
    }
}

/// Before, a result was stored after its thumbnail, and told of it.
impl From<Option<Stored>> for Thumbnail {
    fn from(stored: Option<Stored>) -> Self {
        stored.map_or(Self::None, Self::There)
    }
}

/// Subtitles in a language that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// As it was asked for.
    #[serde(rename = "q")]
    pub asked: String,
    /// As the site has it; none: there is nothing of it.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A machine made it.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// Where it is, in WebVTT, perhaps that of another language as well; none: in the file.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

impl Beside {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// An object and its size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it is.
    #[serde(rename = "o")]
    pub object: ObjectKey,
    /// Its size.
    #[serde(rename = "b")]
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const JOB: &str = "m/0123456789abcdef0123456789abcdef/1";

    /// As it is stored, and what else there is to it.
    fn artifact(more: Value) -> Artifact {
        let mut stored = json!({
            "o": format!("{JOB}/media.mp4"), "n": "", "e": "mp4", "b": 7, "t": "", "s": "", "d": 12.5, "c": "mp4", "y": "ytdlp",
        });
        let (Value::Object(stored_fields), Value::Object(more)) = (&mut stored, more) else { panic!("two objects") };
        stored_fields.extend(more);
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn a_text_of_two_languages_is_one_object() {
        let text =
            |asked: &str| json!({ "q": asked, "l": "en-US", "o": { "o": format!("{JOB}/subtitles-0.vtt"), "b": 1 } });
        let made = artifact(json!({ "x": { "s": [text("en"), { "q": "fr" }, text("en-US"), { "q": "it" }] } }));
        assert_eq!(made.objects().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [7, 1]);
    }

    #[test]
    fn a_way_is_read_back_and_older_versions_read_the_one_they_know() {
        for (y, f, expected) in [
            ("ytdlp", Some("relay"), Delivery::Relay),
            ("ytdlp", Some("ytdlp"), Delivery::Ytdlp),
            ("ytdlp", None, Delivery::Ytdlp),
            ("native", None, Delivery::Native),
            // A job of a newer version could not be shown at all.
            ("ytdlp", Some("pigeon"), Delivery::Ytdlp),
        ] {
            let artifact = artifact(json!({ "y": y, "f": f }));
            assert_eq!(artifact.delivery, expected, "{y} {f:?}");
            let stored = serde_json::to_value(&artifact).unwrap();
            assert_eq!(stored["y"], "ytdlp");
            assert_eq!(serde_json::from_value::<Artifact>(stored).unwrap(), artifact);
        }
    }
}
