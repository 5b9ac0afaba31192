//! Names of files for people: safe on every system, whatever a site calls its media.
//!
//! Not here: the names of objects in the store (`key`), which hold no title.

use std::fmt::Write as _;

/// Longest stem in bytes; file systems allow 255 for the whole name, and programs add to it.
const STEM_BYTES: usize = 150;

/// What stands for a title of which nothing is left.
const NAMELESS: &str = "media";

/// Makes a title, or what a client suggests, the stem of a file name that is safe on Linux, macOS and Windows: no
/// separators, controls, direction marks or quotes, no leading dot or dash, no reserved name, 1 to 150 bytes.
#[must_use]
pub fn clean_stem(title: &str) -> String {
    let mut stem = String::with_capacity(title.len().min(STEM_BYTES));
    for c in title.chars() {
        match c {
            c if c.is_whitespace() => {
                if !stem.ends_with(' ') {
                    stem.push(' ');
                }
            }
            c if unseen(c) || matches!(c, '"' | '*' | '?' | '<' | '>') => {}
            '/' | '\\' | '|' | ':' => stem.push('-'),
            c => stem.push(c),
        }
    }
    let stem = stem.trim_start_matches(['.', '-', ' ']);
    let mut stem = if reserved(stem) { format!("_{stem}") } else { stem.to_owned() };
    stem.truncate(stem.floor_char_boundary(STEM_BYTES));
    // Windows drops dots and spaces at the end, and so would open another file
    stem.truncate(stem.trim_end_matches(['.', ' ']).len());
    if stem.is_empty() { NAMELESS.to_owned() } else { stem }
}

/// The value of `Content-Disposition` (RFC 6266) for a file name: plain ASCII for old clients, and the whole name in
/// the encoding of RFC 8187.
#[must_use]
pub fn content_disposition(filename: &str, inline: bool) -> String {
    let mut plain = String::with_capacity(filename.len());
    let mut encoded = String::with_capacity(filename.len());
    for c in filename.chars().filter(|c| !unseen(*c)) {
        // some clients decode `%41` in the plain form
        plain.push(if c == ' ' || (c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | '/')) { c } else { '_' });
        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                encoded.push(byte.into());
            } else {
                write!(encoded, "%{byte:02X}").expect("a string takes all");
            }
        }
    }
    let kind = if inline { "inline" } else { "attachment" };
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// The content type of a media file by its extension, lower case and without dot; a closed list, and bytes without
/// meaning for the rest, so that no browser ever runs what a site made us store.
#[must_use]
pub fn content_type_of(extension: &str) -> &'static str {
    match extension {
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mov" => "video/quicktime",
        "avi" => "video/x-msvideo",
        "ts" => "video/mp2t",
        "flv" => "video/x-flv",
        "3gp" => "video/3gpp",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "opus" | "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "jpg" => "image/jpeg",
        "vtt" => "text/vtt; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Characters that a person cannot see but a terminal, a browser or a file manager obeys: controls, marks that turn
/// the direction of text (U+202E makes `gpj.exe` look like `exe.jpg`), and those without width or meaning.
fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0001}')
}

/// Names of devices on Windows, with any extension.
fn reserved(stem: &str) -> bool {
    let device = stem.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match device.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        other => {
            let port = other.strip_prefix("COM").or_else(|| other.strip_prefix("LPT"));
            port.is_some_and(|n| matches!(n, "¹" | "²" | "³") || (n.len() == 1 && n.as_bytes()[0].is_ascii_digit()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_safe_on_every_system() {
        for (title, stem) in [
            ("Big Buck Bunny", "Big Buck Bunny"),
            ("Don't look — naïve 東京 👩‍👩‍👧", "Don't look — naïve 東京 👩‍👩‍👧"),
            ("AC/DC: Live \\ 1979 | full", "AC-DC- Live - 1979 - full"),
            ("say \"what?\" <b>*</b>", "say what b-b"),
            ("a\n\tb\u{a0}\u{2003} c\u{2028}d", "a b c d"),
            ("a\0b\x1b[31mc\u{7f}\u{85}d\u{9b}", "ab[31mc d"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            ("\u{2066}a\u{200f}\u{61c}\u{200b}b\u{feff}", "ab"),
            ("-rf", "rf"),
            ("--exec=sh", "exec=sh"),
            (".hidden", "hidden"),
            (". . -x", "x"),
            ("../../etc/passwd", "etc-passwd"),
            ("..", NAMELESS),
            ("", NAMELESS),
            (" \t ", NAMELESS),
            ("???", NAMELESS),
            ("\u{202e}\u{200b}", NAMELESS),
            ("end. . .", "end"),
            ("CON", "_CON"),
            ("con .txt", "_con .txt"),
            ("aux.mp4", "_aux.mp4"),
            ("?nul", "_nul"),
            ("LPT9", "_LPT9"),
            ("com¹", "_com¹"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("%(id)s 100%", "%(id)s 100%"),
        ] {
            assert_eq!(clean_stem(title), stem, "{title:?}");
        }
    }

    #[test]
    fn a_long_title_is_cut_between_characters() {
        assert_eq!(clean_stem(&"a".repeat(400)).len(), 150);
        let cut = clean_stem(&format!("a{}", "東".repeat(100)));
        assert_eq!((cut.len(), cut.chars().count()), (148, 50));
        assert_eq!(clean_stem(&format!("{} .. tail", "a".repeat(147))), "a".repeat(147));
    }

    proptest::proptest! {
        #[test]
        fn a_stem_cleaned_again_is_the_same(title in "\\PC{0,80}|[./\\\\\" \\-\\x00-\\x1f\u{202e}conCON1]{0,12}") {
            let stem = clean_stem(&title);
            proptest::prop_assert!((1..=STEM_BYTES).contains(&stem.len()));
            proptest::prop_assert_eq!(&clean_stem(&stem), &stem);
        }
    }

    #[test]
    fn a_disposition_carries_the_whole_name_and_a_plain_one() {
        for (filename, inline, header) in [
            ("talk.mp4", false, "attachment; filename=\"talk.mp4\"; filename*=UTF-8''talk.mp4"),
            ("a b.mp4", true, "inline; filename=\"a b.mp4\"; filename*=UTF-8''a%20b.mp4"),
            (
                "naïve 東.mp3",
                false,
                "attachment; filename=\"na_ve _.mp3\"; filename*=UTF-8''na%C3%AFve%20%E6%9D%B1.mp3",
            ),
            ("it's 100%.mkv", false, "attachment; filename=\"it's 100_.mkv\"; filename*=UTF-8''it%27s%20100%25.mkv"),
            (
                "a\"; x=\"\\.mp4",
                false,
                "attachment; filename=\"a_; x=__.mp4\"; filename*=UTF-8''a%22%3B%20x%3D%22%5C.mp4",
            ),
            (
                "a\r\nSet-Cookie: b",
                false,
                "attachment; filename=\"aSet-Cookie: b\"; filename*=UTF-8''aSet-Cookie%3A%20b",
            ),
            ("\u{202e}gpj.exe", true, "inline; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"),
        ] {
            assert_eq!(content_disposition(filename, inline), header, "{filename:?}");
        }
    }

    #[test]
    fn only_media_have_a_type() {
        assert_eq!(content_type_of("mkv"), "video/x-matroska");
        assert_eq!(content_type_of("opus"), "audio/ogg");
        for other in ["html", "svg", "MP4", "", "exe"] {
            assert_eq!(content_type_of(other), "application/octet-stream");
        }
    }
}
