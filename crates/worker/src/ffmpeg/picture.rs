//! The picture that stands for a medium: made from a site's own or from a frame, and put into a file as its cover.
//!
//! Argument lists without IO, and the one call that makes the pictures. A site's picture is judged by its first bytes
//! before ffmpeg sees it, and its demuxer is named. Not here: where it comes from and whether it is wanted (`pipeline`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haul_shared::job::{Failure, FailureKind};

use super::line::{Line, What};
use super::{Ffmpeg, check, internal};
use crate::container::Container;
use crate::process::{self, Limits, Watch};
use crate::scratch;

/// The thumbnail, in pixels of either side.
const THUMBNAIL: u32 = 640;
/// The cover of a file, in pixels of either side.
const COVER: u32 = 1280;
/// Processor time of a run, which has up to a minute of others' leave: a picture takes a tenth of a second.
const CPU: Duration = Duration::from_secs(5);
/// How coarse a picture is: the scale of ffmpeg's encoder, from 2 to 31.
const QUALITY: u32 = 4;
/// Sides and qualities of one that has to be small in bytes, each smaller than the one before. Of noise, which no encoder
/// makes smaller, they have 355, 260 and 50 KiB.
const SMALLER: [(u32, u32); 3] = [(THUMBNAIL, QUALITY), (THUMBNAIL, 10), (THUMBNAIL / 2, 16)];

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
    /// A picture.
    Still(&'a Path, Image),
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
    pub(super) fn words(&self, input: usize) -> (Line, Line) {
        let source = Source::Frame(self.frame);
        (opened(source, false), scaled((input, self.frame.stream), (THUMBNAIL, QUALITY), self.thumbnail))
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

/// What a picture is; there are no others that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the well-known name of a format")]
pub enum Image {
    Jpeg,
    Png,
    Webp,
}

impl Image {
    /// By its first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    pub(super) fn demuxer(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg_pipe",
            Self::Png => "png_pipe",
            Self::Webp => "webp_pipe",
        }
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
        self.draw(drawn(source, (THUMBNAIL, QUALITY), &thumbnail, cover.as_deref()), &thumbnail, watch).await?;
        Ok(Picture { thumbnail, cover })
    }

    /// Makes the thumbnail of a picture in `dir`, smaller until it has no more than so many bytes; gives the bytes.
    ///
    /// # Errors
    /// When ffmpeg can't, or it is too large even then.
    pub async fn small_picture(
        &self,
        (file, image): (&Path, Image),
        dir: &Path,
        most_bytes: usize,
        watch: &Watch,
    ) -> Result<Vec<u8>, Failure> {
        let thumbnail = dir.join("thumbnail.jpg");
        for size in SMALLER {
            self.draw(drawn(Source::Still(file, image), size, &thumbnail, None), &thumbnail, watch).await?;
            let made = tokio::fs::read(&thumbnail).await.map_err(|error| scratch::failure(&error))?;
            if made.len() <= most_bytes {
                return Ok(made);
            }
        }
        Err(Failure::new(FailureKind::TooLarge, "even the smallest picture has too many bytes"))
    }

    async fn draw(&self, arguments: Line, thumbnail: &Path, watch: &Watch) -> Result<(), Failure> {
        let limits = Limits { cpu: Some(CPU), ..self.limits };
        let output = process::output(&self.spec(&self.ffmpeg, thumbnail, arguments).limits(limits), watch).await;
        let output = output.map_err(|error| internal(&error))?;
        check(output.ended, &output.stderr_tail)?;
        if is_there(thumbnail).await {
            Ok(())
        } else {
            Err(Failure::new(FailureKind::CorruptMedia, "there is no frame"))
        }
    }
}

pub(super) fn drawn(source: Source<'_>, size: (u32, u32), thumbnail: &Path, cover: Option<&Path>) -> Line {
    let mut line = Line::of("-nostdin -hide_banner -loglevel error -y -filter_threads 1");
    line.join(opened(source, cover.is_some()));
    let stream = match source {
        Source::Still(..) => 0,
        Source::Frame(frame) => frame.stream,
    };
    line.join(scaled((0, stream), size, thumbnail));
    if let Some(cover) = cover {
        line.join(scaled((0, stream), (COVER, QUALITY), cover));
    }
    line
}

fn opened(source: Source<'_>, with_cover: bool) -> Line {
    let mut line = Line::of("-threads 1");
    match source {
        Source::Still(file, image) => line.input(file, What::Image(image)),
        Source::Frame(Frame { file, container, at, .. }) => {
            if matches!(container, Container::Mp4 | Container::M4a | Container::Webm | Container::Mkv) {
                // its head says all: nothing need be decoded to learn what there is
                line.words("-probesize 32 -analyzeduration 0");
            }
            line.words(&format!("-skip_frame nokey -noaccurate_seek -ss {at:.3}"));
            if !with_cover {
                // in a picture this small nobody sees the edges of blocks
                line.words("-skip_loop_filter all");
            }
            line.input(file, What::Medium(container));
        }
    }
    line
}

fn scaled((input, stream): (usize, u32), (side, quality): (u32, u32), output: &Path) -> Line {
    let mut line = Line::of(&format!("-map {input}:{stream} -frames:v 1 -map_metadata -1 -threads 1 -vf"));
    // a key frame before the time that was asked for would be left out as too late; never enlarged; pixels need not be square
    // in the source, and may be as odd as anybody likes: there is one step to the final size, and nothing larger on the way
    let share = format!("min(1,min({side}/(iw*sar),{side}/ih))");
    line.words(&format!("setpts=0,scale=w='max(1,round({share}*iw*sar))':h='max(1,round({share}*ih))',setsar=1"));
    // the key frame that was sought lies before the time that was asked for: it is the one, and is not to be waited past
    line.words(&format!("-fps_mode passthrough -pix_fmt yuvj420p -c:v mjpeg -q:v {quality} -f mjpeg"));
    line.file(output);
    line
}

/// The words that put a cover into a file that begins at `from` of the medium: before the outputs, and among them.
/// `input` is the number that its input gets, `video` that its stream gets among the pictures of the file. Nothing, where
/// the container has no place for one.
pub(super) fn cover(container: Container, cover: &Path, from: f64, input: usize, video: usize) -> (Line, Line) {
    match container {
        Container::Mp4 | Container::M4a | Container::Mp3 | Container::Flac => {
            // what has an earlier time than the beginning would be cut off
            let mut before = Line::of(&format!("-itsoffset {from:.3}"));
            before.input(cover, What::Image(Image::Jpeg));
            let among = format!("-map {input}:0 -c:v:{video} copy -disposition:v:{video} attached_pic");
            (before, Line::of(&among))
        }
        Container::Mkv => {
            let mut among = Line::of("-attach");
            among.file(cover);
            among.words("-metadata:s:t:0 mimetype=image/jpeg -metadata:s:t:0 filename=cover.jpg");
            (Line::default(), among)
        }
        // as text, among the tags: `Tags::cover`
        Container::Ogg => Default::default(),
        Container::Webm | Container::MpegTs | Container::Aac | Container::Wav | Container::Avi | Container::Flv => {
            Default::default()
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
        for (head, image) in [
            (&b"\xff\xd8\xff\xe0"[..], Some(Image::Jpeg)),
            (b"\x89PNG\r\n\x1a\n", Some(Image::Png)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Image::Webp)),
            (b"GIF89a", None),
            (b"\x89PNG\n\x1a\n", None),
            (b"#EXTM3U\n", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
        ] {
            assert_eq!(Image::of(head), image, "{}", head.escape_ascii());
        }
    }
}
