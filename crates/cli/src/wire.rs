//! What is read of the API's answers: few fields of the contract, tolerant of all that comes with them.

use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A download, as far as a client acts on it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Job {
    /// The only handle there is.
    pub id: Uuid,
    /// How it stands.
    pub status: Status,
    /// While running: which part of the work.
    pub stage: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// How many jobs are served before it, plus one; while queued.
    pub queue_position: Option<u64>,
    /// When it was ordered (RFC 3339).
    pub created_at: Option<String>,
    /// What was asked.
    pub request: Option<Request>,
    /// What is known of the medium.
    pub media: Option<Media>,
    /// What was made; once completed.
    pub result: Option<Artifact>,
    /// Why it failed, or why the last attempt did.
    pub error: Option<Failure>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for a worker, or for another attempt.
    Queued,
    /// A worker has it.
    Running,
    /// There is a result.
    Completed,
    /// There will be none.
    Failed,
    /// Somebody took it back.
    Cancelled,
    /// There was one.
    Expired,
    /// One that a later version of the API has: it goes on.
    #[serde(other)]
    Other,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Progress {
    /// Of all stages, 0 to 100.
    pub percent: Option<f64>,
    /// Of all streams together, in bytes per second.
    pub speed_bytes_per_second: Option<u64>,
    /// Time that is left, in seconds.
    pub eta_seconds: Option<u64>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Request {
    /// The address.
    pub url: Option<String>,
}

/// What is known of a medium.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Media {
    /// As its site has it.
    pub title: Option<String>,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Artifact {
    /// What the service calls it; not to be trusted.
    pub filename: String,
    /// In bytes.
    pub size_bytes: u64,
    /// Of the bytes.
    pub sha256: Digest,
    /// What became of the subtitles that were asked for.
    pub subtitles: Option<Vec<Subtitles>>,
}

/// Subtitles in a language that was asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Subtitles {
    /// As the site has it; `None`: there is nothing of it.
    pub language: Option<String>,
    /// Where they are; `None`: in the file, or nowhere.
    pub link: Option<String>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Failure {
    /// Stable, snake_case.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct List {
    /// The jobs.
    pub downloads: Vec<Job>,
    /// Where to go on; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Where a result can be fetched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Link {
    /// Signed; whoever has it can fetch.
    pub url: String,
}

/// A SHA-256, written as 64 hex digits in lower case. It becomes part of a file's name, so nothing else is one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Status {
    /// Does nothing happen to it any more by itself?
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired => true,
            Self::Queued | Self::Running | Self::Other => false,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Other => "under way",
        }
    }
}

impl Job {
    /// What a person knows it by: its title, else its address, else its id.
    #[must_use]
    pub fn label(&self) -> String {
        let title = self.media.as_ref().and_then(|media| media.title.clone());
        let url = || self.request.as_ref().and_then(|request| request.url.clone());
        title.or_else(url).unwrap_or_else(|| self.id.to_string())
    }

    /// Of all stages, 0 to 100.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let percent = self.progress.as_ref().and_then(|progress| progress.percent);
        percent.filter(|percent| percent.is_finite()).unwrap_or_default().clamp(0.0, 100.0)
    }
}

impl Digest {
    /// That of what was hashed.
    #[must_use]
    pub fn of(hash: Sha256) -> Self {
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// Enough of them to tell results apart.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..16]
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then(|| Self(text.to_owned())).ok_or("no SHA-256")
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11";

    #[test]
    fn a_job_is_read_with_what_a_later_version_adds_or_leaves_out() {
        let job: Job = serde_json::from_str(&format!(r#"{{"id":"{ID}","status":"paused","moon":"full"}}"#)).unwrap();
        assert_eq!((job.status, job.status.is_end(), job.percent()), (Status::Other, false, 0.0));
        assert_eq!(job.label(), ID);
        let text = format!(
            r#"{{"id":"{ID}","status":"running","stage":"download","progress":{{"percent":141.5,"new":1}},
                "request":{{"url":"https://a.example/b"}},"media":{{"title":null}}}}"#
        );
        let job: Job = serde_json::from_str(&text).unwrap();
        assert_eq!((job.label().as_str(), job.percent()), ("https://a.example/b", 100.0));
    }

    #[test]
    fn a_digest_is_64_hex_digits_and_no_path() {
        assert!("0a".repeat(32).parse::<Digest>().is_ok());
        for text in ["", "../../../../etc/passwd", &"0A".repeat(32), &"0".repeat(63), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
