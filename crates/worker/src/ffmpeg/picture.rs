//! The picture that stands for a medium: made from a site's own or from a frame, and put into a file as its cover.
//!
//! Argument lists without IO, and the one call that makes the pictures. A site's picture is judged by its first bytes
//! before ffmpeg sees it, and its demuxer is named. Not here: where it comes from and whether it is wanted (`pipeline`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haul_shared::job::{Failure, FailureKind};

use super::command::{file_url, input};
use super::probe::words;
use super::{Ffmpeg, check, internal};
use crate::container::Container;
use crate::process::{self, Watch};

/// The thumbnail, in pixels of either side.
const THUMBNAIL: u32 = 640;
/// The cover of a file, in pixels of either side.
const COVER: u32 = 1280;
/// Pixels of a site's picture; more is a bomb.
const MOST_PIXELS: u32 = 64_000_000;
/// Pictures that sites have, by ffmpeg's demuxers.
const FORMATS: &str = "jpeg_pipe,png_pipe,webp_pipe,gif";

/// The same picture, for the API and for the file. JPEG both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// At most 640 pixels wide and high.
    pub thumbnail: PathBuf,
    /// At most 1280; only when it was asked for.
    pub cover: Option<PathBuf>,
}

/// What a picture is made of.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A picture, by its demuxer.
    Still(&'a Path, &'static str),
    /// A key frame of a medium.
    Frame(Frame<'a>),
}

/// A key frame of a medium.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The medium.
    pub file: &'a Path,
    /// By its first bytes.
    pub container: Container,
    /// Which of its streams.
    pub stream: u32,
    /// About when, in seconds from its beginning.
    pub at: f64,
}

/// A thumbnail that is made in the same run as the result.
#[derive(Debug, Clone, Copy)]
pub struct Aside<'a> {
    /// Of what.
    pub frame: Frame<'a>,
    /// Where to; absolute, in the job's folder.
    pub thumbnail: &'a Path,
}

impl Aside<'_> {
    /// The words for it: its input, which gets this number, and its output.
    pub(super) fn words(&self, input: usize) -> (Vec<OsString>, Vec<OsString>) {
        let source = Source::Frame(self.frame);
        (opened(source, false), scaled((input, self.frame.stream), THUMBNAIL, self.thumbnail))
    }

    /// The picture, if there is one.
    pub async fn picture(&self) -> Option<Picture> {
        is_there(self.thumbnail).await.then(|| Picture { thumbnail: self.thumbnail.to_owned(), cover: None })
    }
}

/// ffmpeg ends well also where it found no frame.
async fn is_there(picture: &Path) -> bool {
    tokio::fs::metadata(picture).await.is_ok_and(|file| file.len() > 0)
}

/// The demuxer of a picture by its first bytes; none: it is no picture that we take.
#[must_use]
pub fn still(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xff, 0xd8, 0xff, ..] => Some("jpeg_pipe"),
        [0x89, b'P', b'N', b'G', ..] => Some("png_pipe"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp_pipe"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        _ => None,
    }
}

impl Ffmpeg {
    /// Makes the thumbnail in `dir`, and the cover where it is wanted.
    ///
    /// # Errors
    /// When ffmpeg can't.
    pub async fn picture(
        &self,
        source: Source<'_>,
        dir: &Path,
        with_cover: bool,
        watch: &Watch,
    ) -> Result<Picture, Failure> {
        let thumbnail = dir.join("thumbnail.jpg");
        let cover = with_cover.then(|| dir.join("cover.jpg"));
        let mut arguments = words("-nostdin -hide_banner -loglevel error -y -filter_threads 1");
        arguments.extend(opened(source, with_cover));
        let stream = match source {
            Source::Still(..) => 0,
            Source::Frame(frame) => frame.stream,
        };
        arguments.extend(scaled((0, stream), THUMBNAIL, &thumbnail));
        if let Some(cover) = &cover {
            arguments.extend(scaled((0, stream), COVER, cover));
        }
        let output = process::output(&self.spec(&self.ffmpeg, &thumbnail, arguments), watch).await;
        let output = output.map_err(|error| internal(&error))?;
        check(output.ended, &output.stderr_tail)?;
        if !is_there(&thumbnail).await {
            return Err(Failure::new(FailureKind::CorruptMedia, "there is no frame"));
        }
        Ok(Picture { thumbnail, cover })
    }
}

fn opened(source: Source<'_>, with_cover: bool) -> Vec<OsString> {
    let mut arguments = words(&format!("-threads 1 -max_pixels {MOST_PIXELS}"));
    match source {
        Source::Still(file, demuxer) => {
            arguments.extend(words(&format!("-protocol_whitelist file -format_whitelist {FORMATS} -f {demuxer} -i")));
            arguments.push(file_url(file));
        }
        Source::Frame(Frame { file, container, at, .. }) => {
            if matches!(container, Container::Mp4 | Container::M4a | Container::Webm | Container::Mkv) {
                // its head says all: nothing need be decoded to learn what there is
                arguments.extend(words("-probesize 32 -analyzeduration 0"));
            }
            arguments.extend(words(&format!("-skip_frame nokey -noaccurate_seek -ss {at:.3}")));
            if !with_cover {
                // in a picture this small nobody sees the edges of blocks
                arguments.extend(words("-skip_loop_filter all"));
            }
            arguments.extend(input(file, container));
        }
    }
    arguments
}

fn scaled((input, stream): (usize, u32), side: u32, output: &Path) -> Vec<OsString> {
    let mut arguments = words(&format!("-map {input}:{stream} -frames:v 1 -map_metadata -1 -threads 1 -vf"));
    // a key frame before the time that was asked for would be left out as too late; never enlarged; pixels need not be
    // square in the source
    arguments.push(
        format!(
            "setpts=0,scale=iw*sar:ih,setsar=1,scale=w='min({side},iw)':h='min({side},ih)':force_original_aspect_ratio=decrease"
        )
        .into(),
    );
    // the key frame that was sought lies before the time that was asked for: it is the one, and is not to be waited past
    arguments.extend(words("-fps_mode passthrough -pix_fmt yuvj420p -c:v mjpeg -q:v 4 -f mjpeg"));
    arguments.push(file_url(output));
    arguments
}

/// The words that put a cover into a file that begins at `from` of the medium: before the outputs, and among them.
/// `input` is the number that its input gets, `video` that its stream gets among the pictures of the file. Nothing, where
/// the container has no place for one.
pub(super) fn cover(
    container: Container,
    cover: &Path,
    from: f64,
    input: usize,
    video: usize,
) -> (Vec<OsString>, Vec<OsString>) {
    match container {
        Container::Mp4 | Container::M4a | Container::Mp3 | Container::Flac => {
            // what has an earlier time than the beginning would be cut off
            let mut before = words(&format!("-itsoffset {from:.3}"));
            before.extend(words("-protocol_whitelist file -format_whitelist jpeg_pipe -f jpeg_pipe -i"));
            before.push(file_url(cover));
            let among = format!("-map {input}:0 -c:v:{video} copy -disposition:v:{video} attached_pic");
            (before, words(&among))
        }
        Container::Mkv => {
            let mut among = words("-attach");
            among.push(file_url(cover));
            among.extend(words("-metadata:s:t:0 mimetype=image/jpeg -metadata:s:t:0 filename=cover.jpg"));
            (Vec::new(), among)
        }
        // as text, among the tags: `Tags::cover`
        Container::Ogg => (Vec::new(), Vec::new()),
        Container::Webm | Container::MpegTs | Container::Aac | Container::Wav | Container::Avi | Container::Flv => {
            (Vec::new(), Vec::new())
        }
    }
}

/// A JPEG as a tag of Ogg: the picture block of FLAC (RFC 9639 §8.8) in base64.
#[must_use]
pub fn picture_block(jpeg: &[u8]) -> String {
    const FRONT_COVER: u32 = 3;
    const TYPE: &[u8] = b"image/jpeg";
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut block = FRONT_COVER.to_be_bytes().to_vec();
    block.extend(length(TYPE));
    block.extend(TYPE);
    // no description; sizes and colours stand in the picture itself
    block.extend([0; 5 * 4]);
    block.extend(length(jpeg));
    block.extend(jpeg);
    STANDARD.encode(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_pictures() {
        for (head, demuxer) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("jpeg_pipe")),
            (b"\x89PNG\r\n\x1a\n", Some("png_pipe")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("webp_pipe")),
            (b"GIF89a", Some("gif")),
            (b"#EXTM3U\n", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
        ] {
            assert_eq!(still(head), demuxer, "{}", head.escape_ascii());
        }
    }
}
