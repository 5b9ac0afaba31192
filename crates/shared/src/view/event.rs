//! How the end of a download is told: the body of a webhook.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{JobView, time};

/// The end of a download, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(title = "Event")]
pub struct EventView {
    /// `download.completed`, `download.failed` or `download.cancelled`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "download.completed")]
    kind: &'static str,
    /// When that end came.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The download as it is when the message is sent.
    data: JobView,
}

impl EventView {
    /// What is told of a job that came to an end of this name (`crate::webhook::event`) at this time.
    #[must_use]
    pub fn of(kind: &'static str, at: Timestamp, data: JobView) -> Self {
        Self { kind, timestamp: time(at), data }
    }
}
