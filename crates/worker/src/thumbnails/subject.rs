//! What a thumbnail is made of, kept until then.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio_util::task::AbortOnDropHandle;

use crate::container::Container;
use crate::ffmpeg::picture::{Frame, Image};

/// What a thumbnail can be made of: the first of these that there is.
#[derive(Debug, Default)]
pub struct Subject {
    /// It is there already: the run that made the result has made it as well.
    pub made: Option<PathBuf>,
    /// The picture of the site.
    pub site: Option<SitePicture>,
    /// A frame of the medium.
    pub frame: Option<KeptFrame>,
}

/// A picture of a site, on its way. Dropped, it is not fetched any further.
#[derive(Debug)]
pub struct SitePicture {
    still: Shared<BoxFuture<'static, Option<Still>>>,
}

/// A picture by its first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The picture.
    pub file: PathBuf,
    /// Which kind.
    pub image: Image,
}

/// A key frame of a medium in a file: [`Frame`].
#[derive(Debug, Clone)]
pub struct KeptFrame {
    /// The medium.
    pub file: PathBuf,
    /// By its first bytes.
    pub container: Container,
    /// Which of its streams.
    pub stream: u32,
    /// About when, in seconds from its beginning.
    pub at: f64,
}

impl SitePicture {
    /// Fetches it from now on, whoever waits for it.
    pub fn fetch(fetch: impl Future<Output = Option<Still>> + Send + 'static) -> Self {
        let fetching = AbortOnDropHandle::new(tokio::spawn(fetch));
        Self { still: async move { fetching.await.ok().flatten() }.boxed().shared() }
    }

    /// The picture, once it is there.
    pub async fn still(&self) -> Option<Still> {
        self.still.clone().await
    }
}

impl KeptFrame {
    /// For the run that makes a picture of it.
    #[must_use]
    pub fn borrowed(&self) -> Frame<'_> {
        Frame { file: &self.file, container: self.container, stream: self.stream, at: self.at }
    }
}

impl Subject {
    /// Is there nothing that a picture could be made of?
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.made.is_none() && self.site.is_none() && self.frame.is_none()
    }

    /// The picture of the site, once it is there.
    pub async fn still(&self) -> Option<Still> {
        self.site.as_ref()?.still().await
    }

    /// Moves what it needs into this folder, so that all else can be removed.
    pub async fn move_into(&mut self, dir: &Path) {
        if self.made.is_some() {
            (self.site, self.frame) = (None, None);
        }
        if let Some(frame) = &mut self.frame {
            let kept = dir.join("medium");
            match tokio::fs::rename(&frame.file, &kept).await {
                Ok(()) => frame.file = kept,
                Err(error) => {
                    tracing::debug!(%error, "the medium of a frame could not be kept");
                    self.frame = None;
                }
            }
        }
    }

    /// Bytes of disk that its medium takes. One that is the stored result as well, by another name, takes none.
    pub async fn bytes(&self) -> u64 {
        /// `stat(2)`: what `st_blocks` counts.
        const BLOCK: u64 = 512;
        let Some(frame) = &self.frame else { return 0 };
        match tokio::fs::metadata(&frame.file).await {
            Ok(file) if file.nlink() == 1 => file.blocks() * BLOCK,
            Ok(_) | Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_medium_that_is_the_stored_result_by_another_name_takes_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("medium");
        std::fs::write(&file, vec![1; 1 << 20]).unwrap();
        let frame = KeptFrame { file: file.clone(), container: Container::Mp4, stream: 0, at: 0.0 };
        let subject = Subject { frame: Some(frame), ..Subject::default() };
        assert!(subject.bytes().await >= 1 << 20);
        std::fs::hard_link(&file, dir.path().join("object")).unwrap();
        assert_eq!((subject.bytes().await, Subject::default().bytes().await), (0, 0));
    }
}
