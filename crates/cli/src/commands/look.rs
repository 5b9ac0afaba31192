//! `haul info` and `haul plan`: what is behind an address, and what would come of an order.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::show;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::options::Options;
use crate::screen::Screen;

/// A site takes its time, and the service answers for it in the end.
const FOR_THE_SITE: Duration = Duration::from_secs(120);

/// A stream, in either answer.
const STREAM: [&str; 10] =
    ["format_id", "ext", "width", "height", "fps", "vcodec", "acodec", "bitrate_kbps", "size_bytes", "protocol"];

const INFO_FIRST: [&[&str]; 3] = [
    &[
        "title",
        "uploader",
        "duration_seconds",
        "upload_date",
        "is_live",
        "webpage_url",
        "thumbnail_url",
        "extractor",
        "id",
        "qualities",
    ],
    &STREAM,
    &["start", "end", "language", "name", "automatic", "url"],
];

const PLAN_FIRST: [&[&str]; 3] = [
    &["reason", "container", "estimated_bytes", "duration_seconds", "transcodes", "asked", "got"],
    &STREAM,
    &["streams"],
];

/// What to look at.
#[derive(Debug, Args)]
pub struct Info {
    /// The address
    pub url: String,
}

/// What would be ordered.
#[derive(Debug, Args)]
pub struct Plan {
    /// The address
    pub url: String,
    /// What to make of it.
    #[command(flatten)]
    pub options: Options,
}

/// Shows metadata, and the streams that there are.
///
/// # Errors
/// When the server does not tell.
pub async fn info(client: &Client, screen: &Screen, info: &Info) -> Result<Exit, Error> {
    let call = client.call(Method::POST, &["metadata"]).json(json!({ "url": info.url }));
    show(screen, &call.longer_by(FOR_THE_SITE).send().await?, &INFO_FIRST.concat())?;
    Ok(Exit::Done)
}

/// Shows which streams an order would fetch, and why.
///
/// # Errors
/// When the server does not tell.
pub async fn plan(client: &Client, screen: &Screen, plan: &Plan) -> Result<Exit, Error> {
    let call = client.call(Method::POST, &["plan"]).json(plan.options.request(&plan.url));
    show(screen, &call.longer_by(FOR_THE_SITE).send().await?, &PLAN_FIRST.concat())?;
    Ok(Exit::Done)
}
