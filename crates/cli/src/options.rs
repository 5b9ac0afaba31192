//! What is ordered: the fields of a download request that have flags, and what the flags make of it.
//!
//! A field that nobody sets is left out: the service knows the defaults, and another version may have others.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::notation::{self, Clip};

/// What to make of an address.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What to get")]
pub struct Options {
    /// Container for video, or format for audio [default: mp4]
    #[arg(short, long, value_parser = ["mp4", "webm", "mkv", "original", "mp3", "m4a", "opus", "flac", "wav"])]
    pub format: Option<String>,
    /// At most this, by the short side [default: best]
    #[arg(short, long, value_parser = ["best", "4320p", "2160p", "1440p", "1080p", "720p", "480p", "360p", "240p", "144p"])]
    pub quality: Option<String>,
    /// Which codec of video is preferred
    #[arg(long, value_parser = ["any", "h264", "h265", "vp9", "av1"])]
    pub codec: Option<String>,
    /// Fail rather than give less than was asked for
    #[arg(long)]
    pub strict: bool,
    /// Of lossy audio formats, in kbit/s: 32 to 320 [default: 192]
    #[arg(long, value_name = "KBPS", value_parser = clap::value_parser!(u16).range(32..=320))]
    pub audio_bitrate: Option<u16>,
    /// Only a part, as in 10-42, 1:02-3:04.5 or 1:02:03-
    #[arg(long, value_name = "FROM-TO", value_parser = notation::clip, allow_hyphen_values = true)]
    pub clip: Option<Clip>,
    /// Let the clip begin exactly there, which may code its picture anew
    #[arg(long, requires = "clip")]
    pub exact: bool,
    /// Subtitles in these languages, as in en,pt-BR
    #[arg(long, value_name = "LANGUAGE,...", value_delimiter = ',')]
    pub subs: Vec<String>,
    /// Those of a machine where there are no others
    #[arg(long, requires = "subs")]
    pub auto_subs: bool,
    /// Subtitles as files beside the result instead of in it
    #[arg(long, requires = "subs")]
    pub sidecar: bool,
    /// Leave these kinds of segments out, as in sponsor,intro
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    pub sponsorblock_remove: Vec<String>,
    /// Make chapters of these kinds of segments
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    pub sponsorblock_mark: Vec<String>,
    /// Which entry, when the address is a playlist
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub item: Option<u32>,
    /// Record a live stream for up to so long, as in 600 or 10m
    #[arg(long, value_name = "SECONDS", value_parser = notation::seconds)]
    pub live: Option<u64>,
    /// Make the picture that stands for it the cover of the file
    #[arg(long)]
    pub thumbnail: bool,
    /// A file that can be played while it is fetched
    #[arg(long)]
    pub streaming: bool,
    /// What the service shall call the result, without extension
    #[arg(long, value_name = "STEM")]
    pub filename: Option<String>,
    /// A word to find it by; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// What another program calls it
    #[arg(long, value_name = "ID")]
    pub external_id: Option<String>,
    /// Whether others go first
    #[arg(long, value_parser = ["normal", "low"])]
    pub priority: Option<String>,
    /// Where it is fetched
    #[arg(long)]
    pub region: Option<String>,
    /// How long the service keeps the result, as in 3600 or 1h
    #[arg(long, value_name = "SECONDS", value_parser = notation::seconds)]
    pub expires_in: Option<u64>,
    /// Whom the service tells when it has ended
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
}

impl Options {
    /// The body of a download request for an address.
    #[must_use]
    pub fn request(&self, url: &str) -> Value {
        let mut body = Map::from_iter([("url".to_owned(), json!(url))]);
        let mut set = |field: &str, value: Option<Value>| {
            body.extend(value.map(|value| (field.to_owned(), value)));
        };
        set("format", self.format.as_ref().map(|it| json!(it)));
        set("quality", self.quality.as_ref().map(|it| json!(it)));
        set("codec", self.codec.as_ref().map(|it| json!(it)));
        set("fallback", self.strict.then(|| json!("strict")));
        set("audio_bitrate_kbps", self.audio_bitrate.map(|it| json!(it)));
        set("clip", self.clip.map(|it| json!({ "start": it.start, "end": it.end, "exact": self.exact })));
        set("subtitles", self.subtitles());
        set("sponsorblock", self.segments());
        set("playlist_index", self.item.map(|it| json!(it)));
        set("live_seconds", self.live.map(|it| json!(it)));
        set("embed_thumbnail", self.thumbnail.then_some(Value::Bool(true)));
        set("streaming", self.streaming.then_some(Value::Bool(true)));
        set("filename", self.filename.as_ref().map(|it| json!(it)));
        set("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        set("external_id", self.external_id.as_ref().map(|it| json!(it)));
        set("priority", self.priority.as_ref().map(|it| json!(it)));
        set("region", self.region.as_ref().map(|it| json!(it)));
        set("expires_in", self.expires_in.map(|it| json!(it)));
        set("webhook", self.webhook.as_ref().map(|it| json!({ "url": it })));
        Value::Object(body)
    }

    fn subtitles(&self) -> Option<Value> {
        let mode = if self.sidecar { "sidecar" } else { "embed" };
        let wanted = || json!({ "languages": self.subs, "automatic": self.auto_subs, "mode": mode });
        (!self.subs.is_empty()).then(wanted)
    }

    fn segments(&self) -> Option<Value> {
        let wanted = || json!({ "mark": self.sponsorblock_mark, "remove": self.sponsorblock_remove });
        (!self.sponsorblock_mark.is_empty() || !self.sponsorblock_remove.is_empty()).then(wanted)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::{Expect, expect};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[track_caller]
    fn check(line: &str, expect: &Expect) {
        let words = ["haul"].into_iter().chain(line.split_whitespace());
        expect.assert_eq(&Line::parse_from(words).options.request("u").to_string());
    }

    #[test]
    fn each_flag_fills_its_field_and_nothing_else_is_said() {
        check("", &expect![[r#"{"url":"u"}"#]]);
        check("-f mp3 --audio-bitrate 128", &expect![[r#"{"audio_bitrate_kbps":128,"format":"mp3","url":"u"}"#]]);
        check(
            "-q 720p --codec h264 --strict",
            &expect![[r#"{"codec":"h264","fallback":"strict","quality":"720p","url":"u"}"#]],
        );
        check("--clip 1:02-3:04 --exact", &expect![[r#"{"clip":{"end":184.0,"exact":true,"start":62.0},"url":"u"}"#]]);
        check("--clip -30", &expect![[r#"{"clip":{"end":30.0,"exact":false,"start":0.0},"url":"u"}"#]]);
        check(
            "--subs en,pt-BR --auto-subs --sidecar",
            &expect![[r#"{"subtitles":{"automatic":true,"languages":["en","pt-BR"],"mode":"sidecar"},"url":"u"}"#]],
        );
        check(
            "--sponsorblock-remove sponsor,intro --sponsorblock-mark outro",
            &expect![[r#"{"sponsorblock":{"mark":["outro"],"remove":["sponsor","intro"]},"url":"u"}"#]],
        );
        check(
            "--item 3 --live 10m --thumbnail --streaming",
            &expect![[r#"{"embed_thumbnail":true,"live_seconds":600,"playlist_index":3,"streaming":true,"url":"u"}"#]],
        );
        check(
            "--filename talk --tag a --tag b --external-id 17 --priority low --region eu --expires-in 1h --webhook h",
            &expect![[
                r#"{"expires_in":3600,"external_id":"17","filename":"talk","priority":"low","region":"eu","tags":["a","b"],"url":"u","webhook":{"url":"h"}}"#
            ]],
        );
    }

    #[test]
    fn what_means_nothing_is_refused_before_anybody_is_asked() {
        for line in ["-f avi", "-q 721p", "--exact", "--auto-subs", "--audio-bitrate 8", "--clip 9-3", "--item 0"] {
            let words = ["haul"].into_iter().chain(line.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
