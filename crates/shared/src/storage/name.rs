//! Names of files for people: safe on every system, whatever a site calls its media.
//!
//! Not here: the names of objects in the store (`key`), which hold no title.

use std::fmt::Write as _;

use crate::unseen::is_unseen;

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
            c if is_unseen(c) || matches!(c, '"' | '*' | '?' | '<' | '>') => {}
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
    for c in filename.chars().filter(|c| !is_unseen(*c)) {
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
mod tests;
