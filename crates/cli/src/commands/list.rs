//! `haul list`: the caller's downloads, a page of them or all.

use std::time::Duration;

use clap::Args;
use reqwest::Method;

use crate::call::Answer;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::outline::bytes_of;
use crate::patience::Patience;
use crate::screen::Screen;
use crate::table;
use crate::text::plain;
use crate::wire::{Job, List};

/// Columns of a title.
const TITLE_COLUMNS: usize = 50;

/// Parts that are asked for with `--all`: a server that never ends its list is not believed.
const MOST_PARTS: usize = 10_000;

/// How long a server may say that it is asked too often, with `--all`.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which downloads, and how many.
#[derive(Debug, Args)]
pub struct Show {
    /// Only those that stand so
    #[arg(long, value_parser = ["queued", "running", "completed", "failed", "cancelled", "expired"])]
    pub status: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Only those that another program calls so
    #[arg(long, value_name = "ID")]
    pub external_id: Option<String>,
    /// By what they are sorted
    #[arg(long, value_parser = ["created", "size", "duration", "downloads", "rating"])]
    pub sort: Option<String>,
    /// The largest first, or the smallest
    #[arg(long, value_parser = ["desc", "asc"])]
    pub order: Option<String>,
    /// How many in one part
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub limit: Option<u8>,
    /// Where to go on, as the part before says
    #[arg(long)]
    pub cursor: Option<String>,
    /// Go on to the end
    #[arg(long)]
    pub all: bool,
}

/// Shows them.
///
/// # Errors
/// When the server does not tell.
pub async fn run(client: &Client, screen: &Screen, show: &Show) -> Result<Exit, Error> {
    let mut cursor = show.cursor.clone();
    for _ in 0..MOST_PARTS {
        let answer = part(client, show, cursor.as_deref()).await?;
        let list: List = answer.read()?;
        if screen.is_json() {
            screen.say_json(&answer.line()?)?;
        } else if !list.downloads.is_empty() {
            screen.say(lines(&list.downloads))?;
        }
        match list.next_cursor {
            Some(next) if show.all => cursor = Some(next),
            Some(next) => {
                screen.note(&format!("there are more: --cursor {}, or --all", plain(&next)));
                return Ok(Exit::Done);
            }
            None => return Ok(Exit::Done),
        }
    }
    Err(Error::Garbled { what: format!("a list of {MOST_PARTS} parts and more"), passes: None })
}

async fn part(client: &Client, show: &Show, cursor: Option<&str>) -> Result<Answer, Error> {
    let mut patience = Patience::of(if show.all { PATIENCE } else { Duration::ZERO });
    let limit = show.limit.map(|limit| limit.to_string()).or_else(|| show.all.then(|| "100".to_owned()));
    let ask = async || {
        let call = client.call(Method::GET, &["downloads"]);
        let call = call.query_if("status", show.status.as_deref()).query_if("tag", show.tag.as_deref());
        let call = call.query_if("external_id", show.external_id.as_deref()).query_if("limit", limit.as_deref());
        let call = call.query_if("sort", show.sort.as_deref()).query_if("order", show.order.as_deref());
        call.query_if("cursor", cursor).send().await
    };
    patience.insist(ask).await
}

fn lines(jobs: &[Job]) -> Vec<String> {
    let row = |job: &Job| {
        let size = job.result.as_ref().map_or_else(|| "-".to_owned(), |result| bytes_of(result.size_bytes));
        let created = job.created_at.as_deref().and_then(|at| at.get(..16)).unwrap_or_default().replace('T', " ");
        let title = table::cut(&plain(&job.label()), TITLE_COLUMNS);
        let percent = format!("{:.0}", job.percent());
        vec![job.id.to_string(), job.status.word().to_owned(), percent, size, plain(&created), title]
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    table::lines(&["id", "status", "%", "size", "created (UTC)", "title"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_a_line() {
        let text = r#"{"downloads":[{"id":"5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11","status":"running",
            "progress":{"percent":41.5},"created_at":"2026-11-22T10:30:51.123Z","media":{"title":"Ein\nVortrag"}}],"next_cursor":null}"#;
        let list: List = serde_json::from_str(text).unwrap();
        let expected = [
            "ID                                    STATUS   %   SIZE  CREATED (UTC)     TITLE",
            "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11  running  42  -     2026-11-22 10:30  Ein Vortrag",
        ];
        assert_eq!(lines(&list.downloads), expected);
    }
}
