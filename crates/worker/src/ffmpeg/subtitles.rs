//! Subtitles: a stranger's text made into WebVTT, and texts of ours put into a file.
//!
//! What is converted is a file of ours with the bytes of a stranger, read by the demuxer that is named, which opens no
//! other file. Not here: which texts, and what is in them (`captions`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use haul_shared::job::Failure;

use super::line::{Line, What, words};
use super::tags::one_line;
use super::{Ffmpeg, check, internal};
use crate::captions::three_letters;
use crate::container::Container;
use crate::process::{self, Watch};
use crate::ytdlp::captions::CaptionForm;

/// A text of ours, in WebVTT, whose times count from the beginning of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtitle {
    /// Where it is.
    pub file: PathBuf,
    /// A tag of BCP 47.
    pub language: String,
    /// For people.
    pub name: Option<String>,
}

/// Does ffmpeg put texts into such files, so that players find them?
#[must_use]
pub fn holds_texts(container: Container) -> bool {
    coder(container).is_some()
}

fn coder(container: Container) -> Option<&'static str> {
    match container {
        Container::Mp4 => Some("mov_text"),
        Container::Mkv => Some("subrip"),
        Container::Webm => Some("webvtt"),
        Container::M4a
        | Container::MpegTs
        | Container::Mp3
        | Container::Aac
        | Container::Ogg
        | Container::Flac
        | Container::Wav
        | Container::Avi
        | Container::Flv => None,
    }
}

impl Ffmpeg {
    /// Converts a text into WebVTT.
    ///
    /// # Errors
    /// `corrupt_media` when it is no such text.
    pub async fn to_vtt(&self, file: &Path, form: CaptionForm, output: &Path, watch: &Watch) -> Result<(), Failure> {
        let arguments = converted(file, form, output);
        let output = process::output(&self.spec(&self.ffmpeg, output, arguments), watch).await;
        let output = output.map_err(|error| internal(&error))?;
        check(output.ended, &output.stderr_tail)
    }
}

pub(super) fn converted(file: &Path, form: CaptionForm, output: &Path) -> Line {
    let mut line = Line::of("-nostdin -hide_banner -loglevel error -y");
    line.input(file, What::Text(form));
    line.words("-map 0:s:0 -c:s webvtt -f webvtt");
    line.file(output);
    line
}

/// The words that put texts into a file that begins at `from` of the medium: before the outputs, and among them. Their
/// inputs get numbers from `input` on.
pub(super) fn texts(container: Container, texts: &[Subtitle], from: f64, input: usize) -> (Line, Vec<OsString>) {
    let (mut before, mut among) = (Line::default(), Vec::new());
    let Some(coder) = coder(container) else { return (before, among) };
    for (at, text) in texts.iter().enumerate() {
        // the beginning of the result is taken off again, as of everything
        before.words(&format!("-itsoffset {from:.3}"));
        before.input(&text.file, What::Text(CaptionForm::Vtt));
        among.extend(words(&format!("-map {}:0 -c:s:{at} {coder}", input + at)));
        among.push(format!("-metadata:s:s:{at}").into());
        among.push(format!("language={}", three_letters(&text.language)).into());
        among.push(format!("-metadata:s:s:{at}").into());
        among.push(format!("title={}", one_line(text.name.as_deref().unwrap_or(&text.language))).into());
    }
    (before, among)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_and_an_argument() {
        // Fault: with a NUL in its name, a text kept ffmpeg from being started at all.
        let name = Some("Eng\0lish\n".to_owned());
        let named = Subtitle { file: "/job/1.vtt".into(), language: "en".to_owned(), name };
        let nameless = Subtitle { file: "/job/2.vtt".into(), language: "x\0-y".to_owned(), name: None };
        let (_, among) = texts(Container::Mp4, &[named, nameless], 0.0, 1);
        let said: Vec<_> = among.iter().filter_map(|word| word.to_str()).filter(|word| word.contains('=')).collect();
        assert_eq!(said, ["language=eng", "title=Eng lish ", "language=und", "title=x -y"]);
    }
}
