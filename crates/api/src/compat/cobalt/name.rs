//! How a file is named: cobalt's four styles, of what an address and a result tell.
//!
//! Service and id are read from the address alone, so that the name in the answer to an order and the one that the file is
//! sent with agree on them. What is not known yet is left out.

use haul_shared::storage::clean_stem;
use url::{Host, Url};

/// Characters of a title that stay, so that there is room for what follows it.
const LONGEST_TITLE: usize = 100;
/// Characters of an id.
const LONGEST_ID: usize = 64;

/// A style of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `youtube_dQw4w9WgXcQ_1080p_h264`
    Classic,
    /// `Title (1080p, h264, youtube)`
    Pretty,
    /// `Title (1080p, h264)`
    Basic,
    /// `Title (1080p, h264, youtube, dQw4w9WgXcQ)`
    Nerdy,
}

impl Style {
    pub(super) const ALL: [Self; 4] = [Self::Classic, Self::Pretty, Self::Basic, Self::Nerdy];

    /// As an order has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Pretty => "pretty",
            Self::Basic => "basic",
            Self::Nerdy => "nerdy",
        }
    }

    /// As a link has it: the first letter of its word.
    pub(super) fn letter(self) -> char {
        char::from(self.word().as_bytes()[0])
    }

    /// Reads the letter of a link.
    pub(super) fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.letter() == letter)
    }
}

/// What a name is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) title: Option<String>,
    /// Such as `1080p`; not of sound.
    pub(super) rung: Option<String>,
    /// Of the picture.
    pub(super) codec: Option<String>,
    pub(super) is_audio: bool,
    /// Without dot.
    pub(super) extension: String,
}

/// The name of what was ordered from this address.
pub(super) fn name(address: &str, style: Style, parts: &Parts) -> String {
    let (service, id) = service_and_id(address);
    let tags = || parts.rung.iter().chain(&parts.codec).filter(|_| !parts.is_audio).cloned();
    let listed = |of: &[&str]| tags().chain(of.iter().map(|&it| it.to_owned())).collect::<Vec<_>>();
    let stem = match (style, &parts.title) {
        (Style::Classic, _) | (_, None) if parts.is_audio => format!("{service}_{id}_audio"),
        (Style::Classic, _) | (_, None) => [service, id].into_iter().chain(tags()).collect::<Vec<_>>().join("_"),
        (style, Some(title)) => {
            let tags = match style {
                Style::Classic | Style::Basic => listed(&[]),
                Style::Pretty => listed(&[&service]),
                Style::Nerdy => listed(&[&service, &id]),
            };
            let title: String = clean_stem(title).chars().take(LONGEST_TITLE).collect();
            if tags.is_empty() { title } else { format!("{title} ({})", tags.join(", ")) }
        }
    };
    format!("{}.{}", clean_stem(&stem), parts.extension)
}

/// What the site is called, and the medium there.
fn service_and_id(address: &str) -> (String, String) {
    let unknown = || "media".to_owned();
    let Ok(url) = Url::parse(address) else { return (unknown(), unknown()) };
    let service = match url.host() {
        Some(Host::Domain(name)) => service(name).unwrap_or_else(unknown),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => unknown(),
    };
    let watched = url.query_pairs().find(|(key, _)| key == "v").map(|(_, id)| id.into_owned());
    let last = || url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned);
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id: String = watched.or_else(last).unwrap_or_default().chars().filter(is_plain).take(LONGEST_ID).collect();
    (service, if id.is_empty() { unknown() } else { id })
}

/// The label that a site is known by, or what its short name stands for.
fn service(host: &str) -> Option<String> {
    match host {
        "youtu.be" => return Some("youtube".to_owned()),
        "x.com" => return Some("twitter".to_owned()),
        "b23.tv" => return Some("bilibili".to_owned()),
        "redd.it" | "v.redd.it" => return Some("reddit".to_owned()),
        _ => {}
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    // of `video.co.uk` the second is no name
    let skipped = match labels[..] {
        [_, .., second, first] if first.len() == 2 && second.len() <= 3 => 2,
        _ => 1,
    };
    labels.iter().rev().nth(skipped).or(labels.first()).map(|label| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_in_cobalts_styles_of_what_is_known() {
        let watch = "https://www.youtube.com/watch?v=dQw4w9WgXcQ";
        let known = |title: &str, is_audio| Parts {
            title: Some(title.to_owned()).filter(|title| !title.is_empty()),
            rung: Some("1080p".to_owned()),
            codec: Some("h264".to_owned()),
            is_audio,
            extension: if is_audio { "mp3" } else { "mp4" }.to_owned(),
        };
        let table = [
            (Style::Classic, "Never", false, "youtube_dQw4w9WgXcQ_1080p_h264.mp4"),
            (Style::Pretty, "Never", false, "Never (1080p, h264, youtube).mp4"),
            (Style::Basic, "Never", false, "Never (1080p, h264).mp4"),
            (Style::Nerdy, "Never", false, "Never (1080p, h264, youtube, dQw4w9WgXcQ).mp4"),
            (Style::Classic, "Never", true, "youtube_dQw4w9WgXcQ_audio.mp3"),
            (Style::Pretty, "Never", true, "Never (youtube).mp3"),
            (Style::Basic, "Never", true, "Never.mp3"),
            (Style::Nerdy, "Never", true, "Never (youtube, dQw4w9WgXcQ).mp3"),
            (Style::Nerdy, "../a/b\r\n\"c\"", true, "a-b c (youtube, dQw4w9WgXcQ).mp3"),
            (Style::Basic, "", true, "youtube_dQw4w9WgXcQ_audio.mp3"),
        ];
        for (style, title, is_audio, expected) in table {
            assert_eq!(name(watch, style, &known(title, is_audio)), expected, "{style:?}");
            assert_eq!(Style::of_letter(style.letter()), Some(style));
        }
        assert_eq!(Style::of_letter('x'), None);
    }

    #[test]
    fn service_and_id_are_read_from_the_address_alone() {
        let table = [
            ("https://youtu.be/dQw4w9WgXcQ?t=7", "youtube", "dQw4w9WgXcQ"),
            ("https://vm.tiktok.com/ZMx1/", "tiktok", "ZMx1"),
            ("https://x.com/a/status/17", "twitter", "17"),
            ("https://www.video.co.uk/p/9.html", "video", "9html"),
            ("http://127.0.0.1:81/talk.mp4", "media", "talkmp4"),
            ("https://vimeo.com/", "vimeo", "media"),
            ("https://v.vk.com/%2e%2e%2fetc", "vk", "2e2e2fetc"),
            ("no address", "media", "media"),
        ];
        for (address, service, id) in table {
            assert_eq!(service_and_id(address), (service.to_owned(), id.to_owned()), "{address}");
        }
    }
}
