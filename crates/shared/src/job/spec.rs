//! What a worker is told to do: everything that changes the bytes of the result, and nothing else.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::cookies::Cookies;
use crate::ids::Region;
use crate::media::{Clip, Codec, Fallback, Format, Quality, SponsorBlock, Subtitles, USUAL_AUDIO_BITRATE_KBPS};
use crate::source::SourceUrl;

/// The order of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JobSpec {
    /// Make a file.
    Download(DownloadSpec),
    /// Find out what is at an address.
    Metadata {
        /// Where.
        url: SourceUrl,
        /// With whose cookies.
        #[serde(default, skip_serializing_if = "Cookies::is_none")]
        cookies: Cookies,
        /// From which entry on, when it is a list; from 1.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        first: u32,
    },
    /// Make a small picture of the one that metadata names.
    Picture(PictureSpec),
    /// Find out what a download would fetch.
    Plan(PlanSpec),
}

/// The order of a small picture for display: of the one that the metadata of a medium names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureSpec {
    /// Where the picture is.
    pub url: SourceUrl,
    /// Where the medium is.
    pub medium: SourceUrl,
    /// With whose cookies the medium was looked at, and the picture is asked for.
    #[serde(default, skip_serializing_if = "Cookies::is_none")]
    pub cookies: Cookies,
}

/// The order of a plan: of what a download would fetch, and what would come of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSpec {
    /// The download.
    pub download: DownloadSpec,
    /// Where it would be done: a site may show another region something else.
    pub region: Region,
}

impl PlanSpec {
    /// The plan of a download in a region. What changes no plan is left as usual, so that those who differ in nothing else
    /// are told the same.
    #[must_use]
    pub fn of(download: DownloadSpec, region: Region) -> Self {
        let sponsorblock = SponsorBlock { mark: Vec::new(), remove: download.sponsorblock.remove };
        let download = DownloadSpec {
            sponsorblock,
            embed_metadata: yes(),
            embed_chapters: yes(),
            embed_thumbnail: false,
            streaming: false,
            ..download
        };
        Self { download, region }
    }
}

/// How an order is stored: with the version that a worker has to know to do it right. A worker that is older hands
/// the job back for another one, instead of leaving out what it does not know.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    order: T,
}

impl JobSpec {
    /// The newest version that this build can do.
    pub const NEWEST: u32 = 5;

    /// The lowest version that does this order right: orders that want nothing new stay old, so that workers that are not
    /// replaced yet do them. In which order processes are replaced matters all the same (`docs/ARCHITECTURE.md`, Upgrades).
    #[must_use]
    pub fn version(&self) -> u32 {
        match self {
            Self::Plan(_) => 5,
            // who does not know it would look at the beginning of the list
            Self::Metadata { first: 2.., .. } => 5,
            Self::Picture(_) => 4,
            // who does not know the jar would ask without it
            _ if matches!(self.cookies(), Cookies::Jar(_)) => 3,
            Self::Download(spec) if spec.wants_more() => 2,
            Self::Download(_) | Self::Metadata { .. } => 1,
        }
    }

    /// Which address is asked first: of the medium, or of its picture.
    #[must_use]
    pub fn url(&self) -> &SourceUrl {
        match self {
            Self::Download(DownloadSpec { url, .. })
            | Self::Plan(PlanSpec { download: DownloadSpec { url, .. }, .. })
            | Self::Metadata { url, .. }
            | Self::Picture(PictureSpec { url, .. }) => url,
        }
    }

    /// With whose cookies it is asked for.
    #[must_use]
    pub fn cookies(&self) -> &Cookies {
        match self {
            Self::Download(DownloadSpec { cookies, .. })
            | Self::Plan(PlanSpec { download: DownloadSpec { cookies, .. }, .. })
            | Self::Metadata { cookies, .. }
            | Self::Picture(PictureSpec { cookies, .. }) => cookies,
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&Versioned { v: self.version(), order: self }).expect("a spec has only plain fields")
    }

    /// Reads what is stored; `None` when it is of a newer version, or no order at all.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let versioned: Versioned<IgnoredAny> = serde_json::from_slice(stored).ok()?;
        if versioned.v > Self::NEWEST {
            return None;
        }
        serde_json::from_slice::<Versioned<Self>>(stored).ok().map(|versioned| versioned.order)
    }
}

/// The order of a download. Stored without what is usual, which makes up most of most orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DownloadSpec {
    /// Where the medium is.
    pub url: SourceUrl,
    /// With whose cookies it is asked for.
    #[serde(default, skip_serializing_if = "Cookies::is_none")]
    pub cookies: Cookies,
    /// What the result shall be.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub format: Format,
    /// How large a picture.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub quality: Quality,
    /// Preferred codec.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub codec: Codec,
    /// What to do when the medium has not what was asked.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub fallback: Fallback,
    /// For lossy audio formats, 32-320.
    #[serde(default = "usual_bitrate", skip_serializing_if = "is_usual_bitrate")]
    pub audio_bitrate_kbps: u16,
    /// Only this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// Its subtitles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitles: Option<Subtitles>,
    /// What is done with the segments that people have marked.
    #[serde(default, skip_serializing_if = "SponsorBlock::is_nothing")]
    pub sponsorblock: SponsorBlock,
    /// Record a live stream for up to so many seconds; absent: such a stream is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_seconds: Option<u32>,
    /// Write title, artist and date into the file.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub embed_metadata: bool,
    /// Write chapters into the file.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub embed_chapters: bool,
    /// Write the picture that stands for the medium into the file.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub embed_thumbnail: bool,
    /// Which entry, when the URL is a playlist; from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub playlist_index: u32,
    /// Made so that it can be played while it is fetched.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub streaming: bool,
}

impl DownloadSpec {
    /// Does it want what version 1 did not know?
    fn wants_more(&self) -> bool {
        let is_more = self.embed_thumbnail || self.streaming || !self.sponsorblock.is_nothing();
        is_more || self.clip.is_some() || self.subtitles.is_some() || self.live_seconds.is_some()
    }
}

fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn usual_bitrate() -> u16 {
    USUAL_AUDIO_BITRATE_KBPS
}

fn is_usual_bitrate(kbps: &u16) -> bool {
    *kbps == usual_bitrate()
}

fn yes() -> bool {
    true
}

fn is_yes(said: &bool) -> bool {
    *said
}

fn first() -> u32 {
    1
}

fn is_first(index: &u32) -> bool {
    *index == first()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{SegmentKind, SubtitleMode};

    fn usual() -> DownloadSpec {
        DownloadSpec {
            url: serde_json::from_value("https://example.com/".into()).unwrap(),
            cookies: Cookies::None,
            format: Format::default(),
            quality: Quality::default(),
            codec: Codec::default(),
            fallback: Fallback::default(),
            audio_bitrate_kbps: USUAL_AUDIO_BITRATE_KBPS,
            clip: None,
            subtitles: None,
            sponsorblock: SponsorBlock::default(),
            live_seconds: None,
            embed_metadata: true,
            embed_chapters: true,
            embed_thumbnail: false,
            playlist_index: 1,
            streaming: false,
        }
    }

    fn other() -> DownloadSpec {
        DownloadSpec {
            cookies: Cookies::Jar("video.example".parse().unwrap()),
            format: Format::Mp3,
            quality: Quality::AtMost(720),
            codec: Codec::Av1,
            fallback: Fallback::Strict,
            audio_bitrate_kbps: 64,
            clip: Some(Clip { start: 0.1, end: Some(42.0), exact: true }),
            subtitles: Some(Subtitles {
                languages: vec!["en".to_owned()],
                automatic: true,
                mode: SubtitleMode::Sidecar,
            }),
            sponsorblock: SponsorBlock { mark: vec![SegmentKind::Intro], remove: vec![SegmentKind::Sponsor] },
            live_seconds: Some(600),
            embed_metadata: false,
            embed_chapters: false,
            embed_thumbnail: true,
            playlist_index: 2,
            streaming: true,
            ..usual()
        }
    }

    #[test]
    fn what_is_usual_is_not_stored_and_yet_read_back() {
        let stored = JobSpec::Download(usual()).encode();
        assert_eq!(stored, br#"{"v":1,"order":{"kind":"download","url":"https://example.com/"}}"#);
        for spec in [usual(), other()].map(JobSpec::Download) {
            assert_eq!(JobSpec::decode(&spec.encode()), Some(spec));
        }
    }

    #[test]
    fn a_plan_is_for_workers_that_know_plans_and_keeps_of_an_order_what_can_change_it() {
        let region: Region = "eu".parse().unwrap();
        let spec = JobSpec::Plan(PlanSpec::of(other(), region.clone()));
        assert_eq!((spec.version(), spec.url(), spec.cookies()), (5, &other().url, &other().cookies));
        assert_eq!(JobSpec::decode(&spec.encode()), Some(spec));
        let PlanSpec { download, .. } = PlanSpec::of(other(), region.clone());
        assert_eq!(download.sponsorblock.remove, [SegmentKind::Sponsor]);
        assert_eq!((download.clip, download.subtitles), (other().clip, other().subtitles));
        let covered = DownloadSpec { embed_thumbnail: true, embed_chapters: false, streaming: true, ..usual() };
        assert_eq!(PlanSpec::of(covered, region.clone()), PlanSpec::of(usual(), region));
    }

    #[test]
    fn an_order_is_read_back_and_a_newer_one_is_not() {
        let url = serde_json::from_value("https://example.com/".into()).unwrap();
        let spec = JobSpec::Metadata { url, cookies: Cookies::None, first: 1 };
        let stored = String::from_utf8(spec.encode()).unwrap();
        assert_eq!(JobSpec::decode(stored.as_bytes()), Some(spec));
        let newer = stored.replace(r#""v":1"#, &format!(r#""v":{}"#, JobSpec::NEWEST + 1));
        assert!(newer != stored && JobSpec::decode(newer.as_bytes()).is_none());
    }

    #[test]
    fn a_picture_is_for_workers_that_know_pictures_and_is_asked_for_where_it_is() {
        let read = |url: &str| SourceUrl::read(url).unwrap();
        let (url, medium) = (read("https://cdn.example/p.jpg"), read("https://video.example/"));
        let spec = JobSpec::Picture(PictureSpec { url: url.clone(), medium, cookies: Cookies::Any });
        assert_eq!((spec.version(), spec.url(), spec.cookies()), (4, &url, &Cookies::Any));
        assert_eq!(JobSpec::decode(&spec.encode()), Some(spec));
    }

    #[test]
    fn only_a_look_beyond_the_beginning_of_a_list_asks_for_a_worker_that_can() {
        let url = SourceUrl::read("https://video.example/").unwrap();
        let look = |first| JobSpec::Metadata { url: url.clone(), cookies: Cookies::None, first };
        assert_eq!([1, 2, 101].map(|first| look(first).version()), [1, 5, 5]);
        let stored = look(101).encode();
        assert_eq!(stored, br#"{"v":5,"order":{"kind":"metadata","url":"https://video.example/","first":101}}"#);
        assert_eq!(JobSpec::decode(&stored), Some(look(101)));
    }

    #[test]
    fn only_a_jar_that_is_named_asks_for_a_worker_that_knows_jars() {
        let url: SourceUrl = serde_json::from_value("https://video.example/".into()).unwrap();
        for (cookies, version, stored) in [
            (Cookies::None, 1, r#"{"kind":"metadata","url":"https://video.example/"}"#),
            (Cookies::Any, 1, r#"{"kind":"metadata","url":"https://video.example/","cookies":"any"}"#),
            (
                Cookies::Jar("video.example".parse().unwrap()),
                3,
                r#"{"kind":"metadata","url":"https://video.example/","cookies":"video.example"}"#,
            ),
        ] {
            let spec = JobSpec::Metadata { url: url.clone(), cookies, first: 1 };
            assert_eq!(spec.encode(), format!(r#"{{"v":{version},"order":{stored}}}"#).as_bytes());
            assert_eq!(JobSpec::decode(&spec.encode()), Some(spec));
        }
    }
}
