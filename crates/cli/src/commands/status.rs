//! `haul status`: how downloads stand, now or until they have ended.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::Answer;
use crate::client::Client;
use crate::download::follow;
use crate::error::{Error, Exit};
use crate::notation;
use crate::outline::outline;
use crate::patience::Patience;
use crate::screen::Screen;
use crate::wire::{Job, Status};

/// The fields that are shown first.
const FIRST: [&str; 6] = ["id", "status", "stage", "percent", "title", "url"];

/// Which downloads, and for how long.
#[derive(Debug, Args)]
pub struct Show {
    /// The ids of downloads
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<Uuid>,
    /// Go on until each has ended; 1 is the exit code if one has no result
    #[arg(short, long)]
    pub watch: bool,
    /// How long to go on while the server is away, or busy, without a break
    #[arg(long, value_name = "SECONDS", default_value = "10m", value_parser = notation::duration)]
    pub patience: Duration,
}

/// Shows them one after the other.
///
/// # Errors
/// When the standard output is closed; what becomes of each question is told, and in the exit code.
pub async fn run(client: &Client, screen: &Screen, show: &Show) -> Result<Exit, Error> {
    let mut worst = Exit::Done;
    for (at, id) in show.ids.iter().enumerate() {
        match one(client, screen, show, *id).await {
            Ok((job, answer)) => {
                if at > 0 && !screen.is_json() {
                    screen.say([""])?;
                }
                tell(screen, &answer)?;
                if show.watch && job.status != Status::Completed {
                    worst = worst.max(Exit::Failed);
                }
            }
            Err(error) => {
                screen.error_of(&id.to_string(), &error);
                worst = worst.max(error.exit());
            }
        }
    }
    Ok(worst)
}

async fn one(client: &Client, screen: &Screen, show: &Show, id: Uuid) -> Result<(Job, Answer), Error> {
    let answer = client.call(Method::GET, &["downloads", &id.to_string()]).send().await?;
    let job: Job = answer.read()?;
    if !show.watch {
        return Ok((job, answer));
    }
    let mut row = screen.row(&job.label());
    follow::to_the_end(client, answer, &mut Patience::of(show.patience), &mut row).await
}

/// Shows a job: as it was told, or what a person asks for of it.
fn tell(screen: &Screen, answer: &Answer) -> Result<(), Error> {
    if screen.is_json() {
        return screen.say_json(&answer.line()?);
    }
    screen.say(outline(&abridged(&answer.read::<Value>()?), &FIRST))
}

/// The fields of a job that say how it stands; of those that say nothing, none.
fn abridged(job: &Value) -> Value {
    let mut short = json!({
        "id": job["id"], "status": job["status"], "stage": job["stage"], "percent": job["progress"]["percent"],
        "speed_bytes_per_second": job["progress"]["speed_bytes_per_second"], "eta_seconds": job["progress"]["eta_seconds"],
        "turn": job["queue_position"], "next_attempt_at": job["next_attempt_at"],
        "title": job["media"]["title"], "url": job["request"]["url"],
        "created_at": job["created_at"], "finished_at": job["finished_at"], "expires_at": job["expires_at"],
        "file": job["result"]["filename"], "size_bytes": job["result"]["size_bytes"], "sha256": job["result"]["sha256"],
        "error": job["error"]["message"], "code": job["error"]["code"],
    });
    if let Some(fields) = short.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    short
}
