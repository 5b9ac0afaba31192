//! Names of files: what a server calls a result, made a name in the folder that the person chose, whatever it says.
//!
//! The service cleans its names itself. But a client that trusts them writes where a server wants it to.

use crate::text::is_unseen;

/// Bytes of a name at most: file systems take 255, and a part's name has a digest and a number more.
const LONGEST_BYTES: usize = 200;

/// Characters of an extension at most; what is longer is part of the name.
const LONGEST_EXTENSION: usize = 16;

/// What stands for a name of which nothing is left.
const NAMELESS: &str = "download";

/// A name without any path, safe on every system: no separators, controls, direction marks or wildcards, no leading
/// dot or dash, no trailing dot or space, no name of a device, 1 to 200 bytes with its extension kept.
#[must_use]
pub fn safe(told: &str) -> String {
    let last = told.rsplit(['/', '\\']).find(|part| !part.trim_matches(['.', ' ']).is_empty()).unwrap_or_default();
    let cleaned: String = last
        .chars()
        .filter(|c| !is_unseen(*c))
        .map(|c| if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    let name = cleaned.trim_start_matches(['.', '-', ' ', '~']).trim_end_matches(['.', ' ']);
    let (stem, extension) = split(name);
    let stem = &stem[..stem.floor_char_boundary(LONGEST_BYTES - extension.len())];
    let stem = stem.trim_end_matches(['.', ' ']);
    match (stem, is_device(stem)) {
        ("", _) => format!("{NAMELESS}{extension}"),
        (stem, true) => format!("_{stem}{extension}"),
        (stem, false) => format!("{stem}{extension}"),
    }
}

/// The name that is taken when a file of the first one is there: `talk (1).mp4`.
#[must_use]
pub fn numbered(name: &str, number: u32) -> String {
    match (number, split(name)) {
        (0, _) => name.to_owned(),
        (number, (stem, extension)) => format!("{stem} ({number}){extension}"),
    }
}

/// The name for subtitles beside a file: `talk.en.vtt`.
#[must_use]
pub fn beside(name: &str, language: &str) -> String {
    let language: String = language.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(35).collect();
    format!("{}.{language}.vtt", split(name).0)
}

/// Stem and extension, the latter with its dot.
fn split(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= LONGEST_EXTENSION);
    name.split_at(dot.unwrap_or(name.len()))
}

/// Names of devices on Windows, with any extension.
fn is_device(stem: &str) -> bool {
    let device = stem.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port = |name: &str| {
        device
            .strip_prefix(name)
            .is_some_and(|rest| matches!(rest, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9"))
    };
    matches!(device.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || is_port("COM") || is_port("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_server_calls_it_the_name_stays_in_the_folder() {
        for (told, name) in [
            ("Ein Vortrag.mp4", "Ein Vortrag.mp4"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("/etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\evil.dll", "evil.dll"),
            ("..", "download"),
            ("", "download"),
            ("a/..", "a"),
            (".bashrc", "bashrc"),
            ("-rf.mp4", "rf.mp4"),
            ("...mp4", "mp4"),
            ("nul.mp4", "_nul.mp4"),
            ("COM1", "_COM1"),
            ("community.mp4", "community.mp4"),
            ("a\u{1b}[31mb\u{0}.mp4", "a[31mb.mp4"),
            ("txt\u{202e}4pm.exe", "txt4pm.exe"),
            ("what? who: \"me\".mp4", "what_ who_ _me_.mp4"),
            ("talk.mp4. . ", "talk.mp4"),
        ] {
            assert_eq!(safe(told), name, "{told:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_where_a_character_ends_and_keeps_its_extension() {
        let name = safe(&format!("{}.mp4", "ü".repeat(300)));
        assert!(name.len() <= LONGEST_BYTES && name.ends_with("ü.mp4"), "{name}");
        assert_eq!(safe(&"a".repeat(300)).len(), LONGEST_BYTES);
        assert_eq!(safe(&format!("a.{}", "b".repeat(300))).len(), LONGEST_BYTES, "that is no extension");
    }

    #[test]
    fn names_that_are_taken_are_numbered_before_the_extension() {
        let names = [0, 1, 12].map(|number| numbered("talk.mp4", number));
        assert_eq!(names, ["talk.mp4", "talk (1).mp4", "talk (12).mp4"]);
        assert_eq!(numbered("talk", 2), "talk (2)");
        assert_eq!(
            (beside("talk.mp4", "pt-BR"), beside("talk", "../e")),
            ("talk.pt-BR.vtt".into(), "talk.e.vtt".into())
        );
    }
}
