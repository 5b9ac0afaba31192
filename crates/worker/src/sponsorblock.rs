//! Segments that people have marked in a medium (SponsorBlock): read, made chapters of, and left out.
//!
//! Pure. Not here: asking for them and cutting files (`pipeline::sponsor`).

use std::fmt::Write as _;

use haul_shared::media::{Clip, SegmentKind, SponsorBlock};
use haul_shared::metadata::Chapter;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Of one medium.
const MOST_SEGMENTS: usize = 500;
/// Of what is marked at one moment.
const MOST_NAMES: usize = 4;
/// Shorter ones are no use to anybody, in seconds.
const SHORTEST: f64 = 0.5;

/// A part of a medium, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// From here.
    pub from: f64,
    /// To here.
    pub to: f64,
    /// What it is.
    pub kind: SegmentKind,
    /// Of a chapter.
    pub title: Option<String>,
}

/// Where the segments of a medium are asked for: of all whose hashes begin alike, so that nobody is told which it is.
#[must_use]
pub fn address(api: &str, id: &str, asked: &SponsorBlock) -> String {
    let hash: String = Sha256::digest(id).iter().take(2).fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    let kinds = asked.mark.iter().chain(&asked.remove).map(|kind| format!("category={}", kind.word()));
    let kinds: Vec<String> = kinds.collect();
    let api = api.trim_end_matches('/');
    let actions = "actionType=skip&actionType=poi&actionType=chapter";
    format!("{api}/api/skipSegments/{hash}?service=YouTube&{actions}&{}", kinds.join("&"))
}

#[derive(Deserialize)]
struct Medium {
    #[serde(rename = "videoID")]
    id: String,
    segments: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    segment: (f64, f64),
    category: String,
    description: Option<String>,
}

/// Reads an answer; `None`: it can't be read.
#[must_use]
pub fn read(json: &[u8], id: &str) -> Option<Vec<Segment>> {
    let media: Vec<Medium> = serde_json::from_slice(json).ok()?;
    let ours = media.into_iter().filter(|medium| medium.id == id).flat_map(|medium| medium.segments);
    let read = ours.take(MOST_SEGMENTS).filter_map(|told| {
        let kind = SegmentKind::of_word(&told.category)?;
        let (from, to) = told.segment;
        // a highlight is a moment
        let to = if kind == SegmentKind::PoiHighlight { from + 1.0 } else { to };
        let title = told.description.filter(|text| kind == SegmentKind::Chapter && !text.is_empty());
        let is_real = from.is_finite() && to.is_finite() && from >= 0.0 && to - from >= SHORTEST;
        is_real.then(|| Segment { from, to, kind, title: title.map(|text| text.chars().take(500).collect()) })
    });
    Some(read.collect())
}

/// The parts of a medium that are of these kinds, in order; what overlaps is one part.
#[must_use]
pub fn parts(segments: &[Segment], kinds: &[SegmentKind]) -> Vec<(f64, f64)> {
    let of_kinds = segments.iter().filter(|segment| kinds.contains(&segment.kind));
    merged(of_kinds.map(|segment| (segment.from, segment.to)).collect())
}

fn merged(mut parts: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    parts.sort_by(|one, other| one.0.total_cmp(&other.0));
    parts.dedup_by(|next, last| {
        let overlaps = next.0 <= last.1;
        if overlaps {
            last.1 = last.1.max(next.1);
        }
        overlaps
    });
    parts
}

/// The chapters of a medium with these segments among them. What has no chapter has the medium's title.
#[must_use]
pub fn chapters(site: &[Chapter], marks: &[Segment], title: Option<&str>, whole: f64) -> Vec<Chapter> {
    let end = |at: usize| site[at].end.or_else(|| site.get(at + 1).map(|next| next.start)).unwrap_or(whole);
    let mut edges = vec![0.0, whole];
    edges.extend(marks.iter().flat_map(|mark| [mark.from, mark.to]));
    edges.extend((0..site.len()).flat_map(|at| [site[at].start, end(at)]));
    edges.retain(|edge| (0.0..=whole).contains(edge));
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut all: Vec<Chapter> = Vec::new();
    for pair in edges.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let at = (from + to) / 2.0;
        let of_site = (0..site.len()).find(|one| (site[*one].start..end(*one)).contains(&at));
        let base = of_site.and_then(|one| site[one].title.as_deref()).or(title);
        let marked = marks.iter().filter(|mark| (mark.from..mark.to).contains(&at));
        let names: Vec<&str> =
            marked.take(MOST_NAMES).map(|mark| mark.title.as_deref().unwrap_or(mark.kind.name())).collect();
        let is_chapter = marks.iter().any(|mark| mark.title.is_some() && (mark.from..mark.to).contains(&at));
        let name = match (names.is_empty(), is_chapter) {
            (true, _) => base.map(str::to_owned),
            (false, true) => Some(names.join(", ")),
            (false, false) => Some(format!("[SponsorBlock]: {}", names.join(", "))),
        };
        match all.last_mut() {
            Some(last) if last.title == name && last.end == Some(from) => last.end = Some(to),
            _ => all.push(Chapter { title: name, start: from, end: Some(to) }),
        }
    }
    all
}

/// The parts of a medium that stay, in seconds and in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept(pub Vec<(f64, f64)>);

impl Kept {
    /// All but these parts; `None`: everything stays, or nothing would.
    #[must_use]
    pub fn without(parts: &[(f64, f64)], whole: f64) -> Option<Self> {
        let parts = merged(parts.iter().filter(|(from, to)| to - from >= SHORTEST).copied().collect());
        let (mut kept, mut at) = (Vec::new(), 0.0);
        for (from, to) in &parts {
            if from - at >= SHORTEST {
                kept.push((at, *from));
            }
            at = *to;
        }
        if whole - at >= SHORTEST {
            kept.push((at, whole));
        }
        (!parts.is_empty() && !kept.is_empty()).then_some(Self(kept))
    }

    /// When what was at this time comes now.
    #[must_use]
    pub fn time(&self, at: f64) -> f64 {
        self.0.iter().map(|(from, to)| (at.min(*to) - from).max(0.0)).sum()
    }

    /// A clip, whose times are those of the whole medium, as it comes now; `None`: nothing of it stays.
    #[must_use]
    pub fn clip(&self, clip: Clip) -> Option<Clip> {
        let (start, end) = (self.time(clip.start), self.time(clip.end.unwrap_or(f64::INFINITY)));
        (end > start).then(|| Clip { start, end: clip.end.map(|_| end), ..clip })
    }

    /// Chapters as they come now.
    #[must_use]
    pub fn chapters(&self, chapters: &[Chapter]) -> Vec<Chapter> {
        let next = |at: usize| chapters.get(at + 1).map(|next| next.start);
        let moved = chapters.iter().enumerate().map(|(at, chapter)| Chapter {
            title: chapter.title.clone(),
            start: self.time(chapter.start),
            end: chapter.end.or_else(|| next(at)).map(|end| self.time(end)),
        });
        moved.filter(|chapter| chapter.end.is_none_or(|end| end - chapter.start >= SHORTEST)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chapters: &[Chapter]) -> String {
        let one = |chapter: &Chapter| {
            format!("{}-{} {}", chapter.start, chapter.end.unwrap_or(-1.0), chapter.title.as_deref().unwrap_or("-"))
        };
        chapters.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn segment(from: f64, to: f64, kind: SegmentKind) -> Segment {
        Segment { from, to, kind, title: None }
    }

    #[test]
    fn marks_stand_between_the_chapters_that_are_there() {
        let site = [
            Chapter { title: Some("One".into()), start: 0.0, end: None },
            Chapter { title: Some("Two".into()), start: 4.0, end: Some(8.0) },
        ];
        let marks = [segment(3.0, 5.0, SegmentKind::Sponsor), segment(4.5, 9.0, SegmentKind::Outro)];
        assert_eq!(
            shown(&chapters(&site, &marks, Some("Talk"), 10.0)),
            "0-3 One; 3-4.5 [SponsorBlock]: Sponsor; 4.5-5 [SponsorBlock]: Sponsor, Endcards/Credits; \
             5-9 [SponsorBlock]: Endcards/Credits; 9-10 Talk"
        );
        assert_eq!(
            shown(&chapters(&[], &marks[..1], Some("Talk"), 10.0)),
            "0-3 Talk; 3-5 [SponsorBlock]: Sponsor; 5-10 Talk"
        );
        // Fault: where hundreds overlapped, each piece was named by all of them.
        let nested = (0..500).map(|at| segment(f64::from(at), 1000.0 - f64::from(at), SegmentKind::Filler));
        let longest = chapters(&[], &nested.collect::<Vec<_>>(), None, 1000.0).into_iter().filter_map(|one| one.title);
        assert!(longest.map(|title| title.len()).max() < Some(200));
    }

    #[test]
    fn what_overlaps_is_left_out_as_one_part() {
        // Fault: the end of each was moved to a key frame alone, and what lay between them came back.
        let of = |from, to, kind| segment(from, to, kind);
        let segments = [
            of(5.0, 9.0, SegmentKind::Intro),
            of(1.0, 5.5, SegmentKind::Sponsor),
            of(2.0, 3.0, SegmentKind::Sponsor),
            of(9.5, 10.0, SegmentKind::Outro),
        ];
        let kinds = [SegmentKind::Sponsor, SegmentKind::Intro];
        assert_eq!(parts(&segments, &kinds), [(1.0, 9.0)]);
        assert_eq!(parts(&segments, &kinds[..1]), [(1.0, 5.5)]);
    }

    #[test]
    fn what_stays_moves_together() {
        let kept = Kept::without(&[(2.0, 4.0), (3.0, 5.0), (9.8, 10.0), (7.0, 7.1)], 10.0).unwrap();
        assert_eq!(kept.0, [(0.0, 2.0), (5.0, 10.0)]);
        assert_eq!([1.0, 3.0, 5.0, 8.0].map(|at| kept.time(at)), [1.0, 2.0, 2.0, 5.0]);
        let clip = |start, end| kept.clip(Clip { start, end, exact: false }).map(|clip| (clip.start, clip.end));
        // Fault: a clip was measured by the times that it had before, and one that is gone was cut all the same.
        assert_eq!(clip(8.0, Some(9.0)), Some((5.0, Some(6.0))));
        assert_eq!((clip(4.0, None), clip(1.0, Some(4.0))), (Some((2.0, None)), Some((1.0, Some(2.0)))));
        assert_eq!((clip(2.5, Some(4.5)), clip(10.0, None)), (None, None));
        let chapters = [
            Chapter { title: Some("One".into()), start: 0.0, end: Some(3.0) },
            Chapter { title: Some("gone".into()), start: 3.0, end: Some(4.5) },
            Chapter { title: Some("Two".into()), start: 4.5, end: Some(10.0) },
        ];
        assert_eq!(shown(&kept.chapters(&chapters)), "0-2 One; 2-7 Two");
        assert_eq!((Kept::without(&[], 10.0), Kept::without(&[(0.0, 10.0)], 10.0)), (None, None));
    }

    #[test]
    fn an_answer_is_about_many_media_and_its_numbers_may_be_anything() {
        let json = br#"[{"videoID": "x", "segments": [{"segment": [1.5, 3], "category": "sponsor"},
            {"segment": [5, 5], "category": "poi_highlight"}, {"segment": [9, 2], "category": "intro"},
            {"segment": [1, 2], "category": "new"}, {"segment": [2, 4], "category": "chapter", "description": "Two"}]},
            {"videoID": "y", "segments": [{"segment": [0, 9], "category": "sponsor"}]}]"#;
        let read = |json, id| read(json, id).map(|all| all.iter().map(|one| (one.from, one.to)).collect::<Vec<_>>());
        assert_eq!(read(json, "x").unwrap(), [(1.5, 3.0), (5.0, 6.0), (2.0, 4.0)]);
        assert_eq!(read(json, "z").unwrap(), []);
        assert_eq!(read(b"<html>", "x"), None);
    }
}
