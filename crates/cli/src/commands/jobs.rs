//! `haul cancel`, `haul retry`, `haul delete`, `haul link`: one deed on each of some downloads.

use clap::Args;
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::client::Client;
use crate::error::{Error, Exit};
use crate::screen::Screen;
use crate::text::plain;
use crate::wire::{Job, Link};

/// Which downloads.
#[derive(Debug, Args)]
pub struct Ids {
    /// The ids of downloads
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<Uuid>,
}

/// What is done with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It stops; what has ended stays as it is.
    Cancel,
    /// It begins anew, under its id.
    Retry,
    /// It goes, with its result; what has not ended is cancelled.
    Delete,
    /// Where its result is gets told.
    Link,
}

/// Does it with one after the other.
///
/// # Errors
/// When the standard output is closed; what becomes of each is told, and in the exit code.
pub async fn run(deed: Deed, client: &Client, screen: &Screen, ids: &Ids) -> Result<Exit, Error> {
    let mut worst = Exit::Done;
    for id in &ids.ids {
        if let Err(error) = one(deed, client, screen, *id).await {
            screen.error_of(&id.to_string(), &error);
            worst = worst.max(error.exit());
        }
    }
    Ok(worst)
}

async fn one(deed: Deed, client: &Client, screen: &Screen, id: Uuid) -> Result<(), Error> {
    let text = id.to_string();
    let call = match deed {
        Deed::Cancel => client.call(Method::POST, &["downloads", &text, "cancel"]),
        Deed::Retry => client.call(Method::POST, &["downloads", &text, "retry"]),
        Deed::Delete => client.call(Method::DELETE, &["downloads", &text]),
        Deed::Link => client.call(Method::GET, &["downloads", &text, "link"]),
    };
    let answer = call.send().await?;
    if answer.status == StatusCode::NO_CONTENT {
        screen.note(&format!("{id} is deleted"));
        return Ok(());
    }
    if screen.is_json() {
        return screen.say_json(&answer.line()?);
    }
    if deed == Deed::Link {
        return screen.say([plain(&answer.read::<Link>()?.url)]);
    }
    let job: Job = answer.read()?;
    screen.note(&format!("{id} is {}", job.status.word()));
    Ok(())
}
