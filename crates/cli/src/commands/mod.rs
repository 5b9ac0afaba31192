//! What each command does, a module each, and those that are alike in one.

pub mod get;
pub mod jobs;
pub mod list;
pub mod look;
pub mod save;
pub mod service;
pub mod shell;
pub mod status;

use serde_json::Value;
use tokio::signal::ctrl_c;

use crate::args::{Cli, Command, Question};
use crate::call::Answer;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::load;
use crate::outline::outline;
use crate::screen::Screen;

/// Does what the command line says.
///
/// # Errors
/// Why it is not done.
pub async fn run(cli: Cli, screen: &Screen) -> Result<Exit, Error> {
    let client = || Client::new(&cli.global);
    match cli.command {
        // downloads are left in their own way
        Command::Get(get) => get::run(&client()?, screen, &get).await,
        Command::Save(save) => save::run(&client()?, screen, &save).await,
        Command::Load(load) => load::run(&cli.global, screen, &load).await,
        Command::Completions(shell) => shell::complete(screen, &shell),
        Command::Man(man) => shell::explain(screen, &man),
        Command::Ask(question) => {
            let client = client()?;
            tokio::select! {
                asked = ask(question, &client, screen) => asked,
                _ = ctrl_c() => Ok(Exit::Interrupted),
            }
        }
    }
}

async fn ask(question: Question, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    match question {
        Question::Status(show) => status::run(client, screen, &show).await,
        Question::List(show) => list::run(client, screen, &show).await,
        Question::Cancel(ids) => jobs::run(jobs::Deed::Cancel, client, screen, &ids).await,
        Question::Retry(ids) => jobs::run(jobs::Deed::Retry, client, screen, &ids).await,
        Question::Delete(ids) => jobs::run(jobs::Deed::Delete, client, screen, &ids).await,
        Question::Link(ids) => jobs::run(jobs::Deed::Link, client, screen, &ids).await,
        Question::Info(info) => look::info(client, screen, &info).await,
        Question::Plan(plan) => look::plan(client, screen, &plan).await,
        Question::Stats => service::stats(client, screen).await,
        Question::Usage => service::usage(client, screen).await,
    }
}

/// Shows an answer: as it is with `--json`, else for people, these fields first.
fn show(screen: &Screen, answer: &Answer, first: &[&str]) -> Result<(), Error> {
    if screen.is_json() {
        return screen.say_json(&answer.line()?);
    }
    screen.say(outline(&answer.read::<Value>()?, first))
}
