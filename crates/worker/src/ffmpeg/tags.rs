//! Title, artist, date and chapters as a text that ffmpeg reads (its format `ffmetadata`).
//!
//! The address is not written: its query may hold a secret, and the file is handed around.

use std::fmt::Write as _;

use haul_shared::metadata::Chapter;

/// Characters kept of one value.
const LONGEST: usize = 2_000;
/// Chapters kept.
const MOST_CHAPTERS: usize = 1_000;

/// What is written into the file; what is empty is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tags {
    /// The medium's title.
    pub title: Option<String>,
    /// Its uploader.
    pub artist: Option<String>,
    /// `YYYY-MM-DD`.
    pub date: Option<String>,
    /// A cover as [`super::picture::picture_block`] writes it, for containers that have it as text.
    pub cover: Option<String>,
    /// Its chapters, in order; times in seconds.
    pub chapters: Vec<Chapter>,
}

impl Tags {
    /// Is there a title, an artist, a date, or a cover?
    #[must_use]
    pub fn has_text(&self) -> bool {
        self.title.is_some() || self.artist.is_some() || self.date.is_some() || self.cover.is_some()
    }

    /// The text of an ffmetadata file. `duration` ends the last chapter if nothing else does, and no chapter is beyond it:
    /// an mp4 would play until its last chapter ends.
    #[must_use]
    pub fn to_ffmetadata(&self, duration: Option<f64>) -> String {
        let mut text = String::from(";FFMETADATA1\n");
        for (key, value) in [("title", &self.title), ("artist", &self.artist), ("date", &self.date)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key}={}", escaped(value));
            }
        }
        if let Some(cover) = &self.cover {
            let _ = writeln!(text, "METADATA_BLOCK_PICTURE={}", cover.replace('=', "\\="));
        }
        for (at, chapter) in self.chapters.iter().take(MOST_CHAPTERS).enumerate() {
            let next = self.chapters.get(at + 1).map(|next| next.start);
            let Some(end) = chapter.end.or(next).into_iter().chain(duration).reduce(f64::min) else { continue };
            if !(chapter.start >= 0.0 && end > chapter.start && end.is_finite()) {
                continue;
            }
            let millis = |seconds: f64| (seconds * 1000.0).round() as u64;
            let _ = writeln!(text, "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}", millis(chapter.start), millis(end));
            let title = chapter.title.clone().unwrap_or_else(|| format!("Chapter {}", at + 1));
            let _ = writeln!(text, "title={}", escaped(&title));
        }
        text
    }
}

/// One line of a stranger's, not too long. What is no word is a space: a NUL would end an argument.
pub(super) fn one_line(value: &str) -> String {
    value.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One line; `=`, `;`, `#` and `\` mean something to ffmpeg and get a backslash.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in one_line(value).chars() {
        if matches!(c, '=' | ';' | '#' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_means_something_to_ffmpeg_is_escaped() {
        let chapter = |title: Option<&str>, start, end| Chapter { title: title.map(str::to_owned), start, end };
        let tags = Tags {
            title: Some("a=b; #1 \\ two\nlines\0".to_owned()),
            artist: None,
            date: Some("2026-11-20".to_owned()),
            cover: Some("AAAA==".to_owned()),
            chapters: vec![
                chapter(Some("[CHAPTER]\nSTART=0"), 0.0, Some(1.5)),
                chapter(None, 1.5, None),
                chapter(Some("backwards"), 3.0, Some(2.0)),
                chapter(Some("endless"), 4.0, None),
                chapter(Some("too long"), 6.0, Some(9.0)),
                chapter(Some("elsewhere"), 9.0, Some(10.0)),
            ],
        };
        expect![[r"
            ;FFMETADATA1
            title=a\=b\; \#1 \\ two lines 
            date=2026-11-20
            METADATA_BLOCK_PICTURE=AAAA\=\=
            [CHAPTER]
            TIMEBASE=1/1000
            START=0
            END=1500
            title=[CHAPTER] START\=0
            [CHAPTER]
            TIMEBASE=1/1000
            START=1500
            END=3000
            title=Chapter 2
            [CHAPTER]
            TIMEBASE=1/1000
            START=4000
            END=6000
            title=endless
            [CHAPTER]
            TIMEBASE=1/1000
            START=6000
            END=8000
            title=too long
        "]]
        .assert_eq(&tags.to_ffmetadata(Some(8.0)));
    }
}
