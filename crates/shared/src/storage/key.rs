//! The name of an object in the store: the only place where its text is made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Fence, JobId};

/// `m/<job>/<fence>/media.<ext>`, and beside it what belongs to it: unguessable, and different for each attempt, so that
/// a worker that lost its lease can overwrite nothing. Holds no title and no URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// The text is not one that [`ObjectKey::new`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an object key")]
pub struct BadObjectKey;

impl ObjectKey {
    /// The object of one attempt. `extension` is 1-5 of `[a-z0-9]`.
    ///
    /// # Panics
    /// On another extension: it comes from a closed list of ours, never from a site.
    #[must_use]
    pub fn new(job: JobId, fence: Fence, extension: &str) -> Self {
        Self::parse(&format!("m/{}/{fence}/media.{extension}", job.simple())).expect("made of safe parts")
    }

    /// The picture that stands for this result.
    #[must_use]
    pub fn thumbnail(&self) -> Self {
        self.beside("thumbnail.jpg")
    }

    /// The text beside this result with this number, 0-99.
    ///
    /// # Panics
    /// On a higher number: there are never so many.
    #[must_use]
    pub fn subtitles(&self, number: usize) -> Self {
        self.beside(&format!("subtitles-{number}.vtt"))
    }

    fn beside(&self, file: &str) -> Self {
        let folder = self.0.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::parse(&format!("{folder}/{file}")).expect("made of safe parts")
    }

    /// Reads a key back; refuses everything that `new` would not make, so that no path escapes the store.
    ///
    /// # Errors
    /// [`BadObjectKey`].
    pub fn parse(text: &str) -> Result<Self, BadObjectKey> {
        let mut parts = text.split('/');
        let (Some("m"), Some(job), Some(fence), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadObjectKey);
        };
        let fits = is_ours(file)
            && job.len() == 32
            && job.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && is_number(fence, 16);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadObjectKey) }
    }

    /// The job that it was made by.
    ///
    /// # Panics
    /// Never: a key has the id in it.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.0.split('/').nth(1).and_then(JobId::of_simple).expect("a key is checked as it is read")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Is it the name of a result, or of something beside it?
fn is_ours(file: &str) -> bool {
    if let Some(extension) = file.strip_prefix("media.") {
        return (1..=5).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    }
    let text = file.strip_prefix("subtitles-").and_then(|rest| rest.strip_suffix(".vtt"));
    file == "thumbnail.jpg" || text.is_some_and(|number| is_number(number, 2))
}

/// Up to so many digits, as a number is written: without a zero in front.
fn is_number(text: &str, most: usize) -> bool {
    let is_plain = text == "0" || !text.starts_with('0');
    is_plain && (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = BadObjectKey;

    fn try_from(text: String) -> Result<Self, BadObjectKey> {
        Self::parse(&text)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_make_is_a_key() {
        let key = ObjectKey::new(JobId::new(), Fence(1_795_187_196_318_000), "mp4");
        for key in [key.clone(), key.thumbnail(), key.subtitles(0), key.subtitles(99)] {
            assert_eq!(key.job().simple(), key.as_str()[2..34]);
            assert_eq!(ObjectKey::parse(key.as_str()), Ok(key));
        }
        let job = JobId::new().simple();
        for wrong in [
            String::new(),
            format!("m/{job}/7/../media.mp4"),
            format!("/m/{job}/7/media.mp4"),
            format!("m/{job}/7/media.MP4"),
            format!("m/{job}/-7/media.mp4"),
            format!("m/{job}/7/media."),
            format!("m/{job}/7/cover.jpg"),
            format!("m/{job}/7/subtitles.vtt"),
            format!("m/{job}/7/subtitles-100.vtt"),
            format!("m/{job}/7/subtitles-00.vtt"),
            format!("m/{job}/7/subtitles-1.jpg"),
            format!("m/{job}/7/thumbnail.mp4"),
            format!("m/{job}/7/media-1.mp4"),
            format!("m/{job}/07/media.mp4"),
            format!("m/{}/7/media.mp4", &job[1..]),
            format!("m/{job}/7/media.mp4\0"),
        ] {
            assert_eq!(ObjectKey::parse(&wrong), Err(BadObjectKey), "{wrong:?}");
        }
    }
}
