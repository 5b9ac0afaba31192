//! The lines that yt-dlp prints for us while it downloads.
//!
//! Each has a mark and JSON; all others are talk and are not read. A warm extractor tells the same by its events. Estimated totals are unsteady while fragments are
//! fetched in parallel (they double and halve), so [`Report::fraction`] goes by fragments where bytes are not exact.

use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::command::mark;
use super::value::{self, Fields};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A format begins.
    Begin {
        /// Which.
        format_id: String,
        /// It has no end.
        is_live: bool,
    },
    /// A format is on its way.
    Progress(Report),
    /// A file is whole, as far as yt-dlp knows.
    File {
        /// As yt-dlp wrote it.
        path: String,
        /// Which format it holds.
        format_id: String,
        /// Without a dot.
        ext: String,
    },
}

/// How far one format is. How fast it comes is measured here (`meter`), for all ways alike.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the fields are those of yt-dlp's progress")]
pub struct Report {
    pub format_id: String,
    pub downloaded_bytes: Option<u64>,
    /// Exact.
    pub total_bytes: Option<u64>,
    /// A guess that changes.
    pub estimated_bytes: Option<u64>,
    pub fragment_index: Option<u64>,
    pub fragment_count: Option<u64>,
    pub finished: bool,
}

impl Report {
    /// The share that is done, 0 to 1; `None` when nothing says how much there is.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, shown in tenths of a percent")]
    pub fn fraction(&self) -> Option<f64> {
        let share = |part: Option<u64>, whole: Option<u64>| match (part, whole) {
            (Some(part), Some(whole)) if whole > 0 => Some((part as f64 / whole as f64).min(1.0)),
            _ => None,
        };
        if self.finished {
            return Some(1.0);
        }
        share(self.downloaded_bytes, self.total_bytes)
            .or_else(|| share(self.fragment_index, self.fragment_count))
            .or_else(|| share(self.downloaded_bytes, self.estimated_bytes))
    }
}

/// Reads a line of standard output; `None`: not for us.
#[must_use]
pub fn event(line: &str) -> Option<Event> {
    let (mark, json) = line.split_once(' ')?;
    let mut values = Deserializer::from_str(json).into_iter::<&RawValue>().map_while(Result::ok);
    let first = values.next()?;
    let fields = Fields::of(first)?;
    match mark {
        mark::PROGRESS => {
            let format = values.next();
            Some(Event::Progress(report(&fields, format.and_then(Fields::of).as_ref())))
        }
        mark::BEGIN => begin(&fields),
        mark::FILE => file(&fields),
        _ => None,
    }
}

/// Reads what a warm extractor tells under this name; `None`: not of a download.
pub(super) fn told(name: &str, fields: &Fields<'_>) -> Option<Event> {
    match name {
        "progress" => Some(Event::Progress(report(fields, Some(fields)))),
        "begin" => begin(fields),
        "file" => file(fields),
        _ => None,
    }
}

fn report(fields: &Fields<'_>, format: Option<&Fields<'_>>) -> Report {
    Report {
        format_id: format.and_then(id).unwrap_or_default(),
        downloaded_bytes: fields.whole("downloaded_bytes"),
        total_bytes: fields.whole("total_bytes"),
        estimated_bytes: fields.whole("total_bytes_estimate"),
        fragment_index: fields.whole("fragment_index"),
        fragment_count: fields.whole("fragment_count"),
        finished: fields.text("status", value::WORD).as_deref() == Some("finished"),
    }
}

fn begin(fields: &Fields<'_>) -> Option<Event> {
    Some(Event::Begin { format_id: id(fields)?, is_live: fields.is_true("is_live") })
}

fn file(fields: &Fields<'_>) -> Option<Event> {
    Some(Event::File {
        path: fields.text("filepath", value::LINK)?,
        format_id: id(fields)?,
        ext: fields.text("ext", value::WORD)?,
    })
}

fn id(fields: &Fields<'_>) -> Option<String> {
    fields.text("format_id", value::ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(line: &str) -> Report {
        match event(line) {
            Some(Event::Progress(report)) => report,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn progress_is_read_as_recorded() {
        let fragments = report(
            r#"@P {"status": "downloading", "downloaded_bytes": 1024, "total_bytes_estimate": 133104.0, "fragment_index": 1, "fragment_count": 4} {"format_id": "a_u_d='x-E_n_g_'q'_$%s"}"#,
        );
        assert_eq!(fragments.format_id, "a_u_d='x-E_n_g_'q'_$%s");
        assert_eq!((fragments.downloaded_bytes, fragments.estimated_bytes), (Some(1024), Some(133_104)));
        assert_eq!(fragments.total_bytes, None);
        assert_eq!(fragments.fraction(), Some(0.25));

        let whole = report(
            r#"@P {"status": "finished", "downloaded_bytes": 119399, "total_bytes": 119399.0} {"format_id": "mp4"}"#,
        );
        assert_eq!((whole.total_bytes, whole.fraction()), (Some(119_399), Some(1.0)));

        let unknown = report(
            r#"@P {"status": "downloading", "downloaded_bytes": 5, "total_bytes": null, "total_bytes_estimate": "NA"} {}"#,
        );
        assert_eq!((unknown.fraction(), unknown.estimated_bytes), (None, None));
        let half = report(r#"@P {"downloaded_bytes": 5, "total_bytes": 10} {"format_id": "1"}"#);
        assert_eq!(half.fraction(), Some(0.5));
    }

    #[test]
    fn begin_and_file_are_read_as_recorded() {
        assert_eq!(
            event(r#"@I {"format_id": "0", "is_live": true}"#),
            Some(Event::Begin { format_id: "0".into(), is_live: true })
        );
        assert_eq!(
            event(r#"@F {"filepath": "/job/media.1.mp4", "format_id": "200", "ext": "mp4"}"#),
            Some(Event::File { path: "/job/media.1.mp4".into(), format_id: "200".into(), ext: "mp4".into() })
        );
    }

    #[test]
    fn what_has_no_mark_is_not_read() {
        for line in ["", "@P", "@P NA NA", "@P [] {}", "@X {}", "[download] 100%", r#"@F {"filepath": 3}"#, "@F {"] {
            assert_eq!(event(line), None, "{line}");
        }
    }
}
