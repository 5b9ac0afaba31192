//! WebVTT (W3C) as a list of cues: read from a stranger, or from ffmpeg, cut to a part of the medium, and written anew.
//!
//! Styles, regions and notes are left out, and of a cue its settings: nothing but times and texts goes on.

use std::fmt::Write as _;

/// Cues of one text; more is none that anybody reads.
const MOST_CUES: usize = 50_000;
/// Bytes of the words of one text.
const MOST_BYTES: usize = 8 << 20;

/// A text and when it is shown, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cue {
    from: u64,
    to: u64,
    text: String,
}

/// Cues in the order in which they came; what is too much for one text is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vtt {
    cues: Vec<Cue>,
    /// Of their words.
    bytes: usize,
}

impl Vtt {
    /// Reads what can be read, and takes it in behind what is there already: a text in segments comes in many, and a
    /// cue that reaches over an edge comes twice.
    pub fn take(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for block in text.split("\n\n") {
            if let Some(cue) = cue(block)
                && !self.cues.iter().rev().take(100).any(|known| *known == cue)
                && !self.push(cue)
            {
                return;
            }
        }
    }

    /// Takes a cue in. Was there room for it?
    fn push(&mut self, cue: Cue) -> bool {
        let bytes = self.bytes + cue.text.len();
        let fits = self.cues.len() < MOST_CUES && bytes <= MOST_BYTES;
        if fits {
            self.bytes = bytes;
            self.cues.push(cue);
        }
        fits
    }

    /// Is there nothing to read in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cues.is_empty()
    }

    /// The cues of a part of the medium, in seconds, with times that count from its beginning.
    #[must_use]
    pub fn part(&self, from: f64, to: f64) -> Self {
        self.parts(&[(from, to)])
    }

    /// The cues of several parts, one behind the other.
    #[must_use]
    pub fn parts(&self, parts: &[(f64, f64)]) -> Self {
        let millis = |seconds: f64| (seconds.max(0.0) * 1000.0).round() as u64;
        let (mut all, mut at) = (Self::default(), 0);
        for (from, to) in parts {
            let (from, to) = (millis(*from), millis(*to));
            // a text that is shown all the time is in every part
            for cue in &self.cues {
                let (first, last) = (cue.from.max(from), cue.to.min(to));
                let moved = || Cue { from: at + first - from, to: at + last - from, text: cue.text.clone() };
                if first < last && !all.push(moved()) {
                    return all;
                }
            }
            at += to.saturating_sub(from);
        }
        all
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("WEBVTT\n");
        for cue in &self.cues {
            let _ = write!(text, "\n{} --> {}\n{}\n", time(cue.from), time(cue.to), cue.text);
        }
        text
    }
}

/// One block between empty lines, if it is a cue.
fn cue(block: &str) -> Option<Cue> {
    let mut lines = block.trim_matches('\n').lines().map(str::trim_end);
    let times = lines.find(|line| line.contains("-->"))?;
    let (from, rest) = times.split_once("-->")?;
    let (from, to) = (millis(from.trim())?, millis(rest.trim_start().split([' ', '\t']).next()?)?);
    let text: Vec<String> =
        lines.map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>().replace("-->", "->")).collect();
    let text = text.join("\n");
    (to > from && !text.is_empty()).then_some(Cue { from, to, text })
}

/// `[h:]mm:ss.mmm`, with a comma too, as SubRip has it.
fn millis(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let fraction: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let mut seconds: u64 = 0;
    for part in whole.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    seconds.checked_mul(1000)?.checked_add(fraction)
}

fn time(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn segments_become_one_text_of_times_and_words() {
        let mut vtt = Vtt::default();
        vtt.take("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\nSTYLE\n::cue { color: red }\n\n1\n00:01.000 --> 00:02.500 line:0\nOne\ntwo\n\nNOTE no\n\n00:00:03.000 --> 00:00:05.000\nThree\n");
        vtt.take("WEBVTT\r\n\r\n00:00:03.000 --> 00:00:05.000\r\nThree\r\n\r\n01:00:00,5 --> 01:00:01\r\nA --> b\r\n\r\nx --> y\r\nno\r\n");
        expect![[r"
            WEBVTT

            00:00:01.000 --> 00:00:02.500
            One
            two

            00:00:03.000 --> 00:00:05.000
            Three

            01:00:00.500 --> 01:00:01.000
            A -> b
        "]]
        .assert_eq(&vtt.text());
    }

    #[test]
    fn a_part_counts_from_its_own_beginning() {
        let mut vtt = Vtt::default();
        vtt.take("WEBVTT\n\n00:00.000 --> 00:01.000\ngone\n\n00:01.000 --> 00:03.000\ncut\n\n00:05.000 --> 00:09.000\nlast\n\n00:08.000 --> 00:09.000\nlate\n");
        expect![[r"
            WEBVTT

            00:00:00.000 --> 00:00:01.000
            cut

            00:00:03.000 --> 00:00:06.000
            last
        "]]
        .assert_eq(&vtt.part(2.0, 8.0).text());
    }

    #[test]
    fn cues_of_all_parts_together_are_no_more_than_those_of_one_text() {
        // Fault: a cue that is shown all the time was copied into every part, however many there were.
        let parts: Vec<_> = (0..501).map(|at| (f64::from(at), f64::from(at) + 0.5)).collect();
        for (times, words) in [(1000, "x".to_owned()), (10, "x".repeat(1 << 20))] {
            let mut vtt = Vtt::default();
            for at in 0..times {
                vtt.take(&format!("00:00:00.000 --> 01:00:00.{at:03}\n{words}\n"));
            }
            let text = vtt.parts(&parts).text();
            assert!(text.matches("-->").count() <= MOST_CUES && text.len() < 2 * MOST_BYTES, "{}", text.len());
        }
    }
}
