//! From an order to a file: queued once, followed to its end, fetched, checked, put in its place.
//!
//! Each order goes its way by itself, so many at once. Ctrl-C stops the way, not the job: that is the server's, and can be
//! gone on with ([`interrupt`]).

pub mod fetch;
pub mod follow;
pub mod interrupt;
pub mod part;
pub mod place;
pub mod save;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::call::Answer;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::notation;
use crate::options::Options;
use crate::patience::Patience;
use crate::screen::Screen;
use crate::text::plain;
use crate::wire::{Job, Status};
use interrupt::{Placed, unless_stopped};
use part::Turns;

/// How results are saved.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where it goes")]
pub struct Saving {
    /// The folder for files; it is made if it is not there
    #[arg(short = 'o', long = "output", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The name of the file, of one download; otherwise the service chooses
    #[arg(short = 'O', long = "name", value_name = "NAME")]
    pub name: Option<String>,
    /// Replace a file of the same name, instead of taking another name
    #[arg(long)]
    pub force: bool,
    /// Fetch through the API also where the store can be reached
    #[arg(long)]
    pub via_api: bool,
    /// How long to go on while the server is away, or busy, without a break
    #[arg(long, value_name = "SECONDS", default_value = "10m", value_parser = notation::duration)]
    pub patience: Duration,
    /// How many downloads to take care of at once
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// On Ctrl-C cancel the downloads instead of leaving them to the server
    #[arg(long)]
    pub cancel_on_interrupt: bool,
}

/// Something to be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// What is at an address.
    New(String),
    /// The result of a job that exists.
    Known(Uuid),
}

/// What all orders of a command have in common.
#[derive(Debug, Clone, Copy)]
pub struct Trip<'a> {
    /// Where they go.
    pub client: &'a Client,
    /// Where they are shown.
    pub screen: &'a Screen,
    /// What is made of addresses.
    pub options: &'a Options,
    /// How results are saved.
    pub saving: &'a Saving,
    /// Which of them saves what several come to.
    pub turns: &'a Turns,
    /// Whether to wait for results at all.
    pub waits: bool,
}

/// What became of an order.
struct Outcome {
    placed: Placed,
    exit: Exit,
}

/// A line of JSON about an order.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Queued { job: &'a RawValue },
    Ended { job: &'a RawValue },
    Saved { id: Uuid, path: String, size_bytes: u64, sha256: &'a str },
    Error { id: Option<Uuid>, url: Option<&'a str>, exit: u8, message: String },
}

impl Trip<'_> {
    /// Carries all of them out, and tells the worst that came of it.
    ///
    /// # Errors
    /// When nobody could stop them.
    pub async fn all(self, orders: Vec<Order>) -> Result<Exit, Error> {
        let stop = interrupt::on_ctrl_c()?;
        let ways = futures::stream::iter(orders).map(|order| self.one(order, &stop));
        let outcomes: Vec<Outcome> = ways.buffer_unordered(self.saving.jobs.into()).collect().await;
        if stop.is_cancelled() {
            let left = outcomes.iter().filter(|it| it.exit == Exit::Interrupted).map(|it| it.placed);
            interrupt::leave(self, left.collect()).await;
        }
        Ok(outcomes.into_iter().map(|it| it.exit).max().unwrap_or(Exit::Done))
    }

    async fn one(self, order: Order, stop: &CancellationToken) -> Outcome {
        let mut placed = match order {
            Order::New(_) => Placed::No,
            Order::Known(id) => Placed::Named(id),
        };
        let carried_out =
            if stop.is_cancelled() { Err(Error::Interrupted) } else { self.carry_out(&order, stop, &mut placed).await };
        let Err(error) = carried_out else { return Outcome { placed, exit: Exit::Done } };
        let exit = error.exit();
        if exit != Exit::Interrupted && exit != Exit::Done {
            self.tell(&order, placed.job(), &error);
        }
        Outcome { placed, exit }
    }

    /// `placed` is what is known at any time, for whoever is interrupted.
    async fn carry_out(self, order: &Order, stop: &CancellationToken, placed: &mut Placed) -> Result<(), Error> {
        let mut patience = Patience::of(self.saving.patience);
        let mut row = self.screen.row(&order.label());
        let answer = self.place_order(order, &mut patience, stop, placed).await?;
        let job: Job = answer.read()?;
        *placed = Placed::As(job.id);
        if !self.waits {
            return if self.screen.is_json() {
                self.screen.say_json(&answer.line()?)
            } else {
                self.screen.say([job.id.to_string()])
            };
        }
        // an output that nobody reads any more is no reason not to save: what became of it is told when that is done
        let told = self.report(&Event::Queued { job: &answer.line()? });
        let (job, answer) =
            unless_stopped(stop, follow::to_the_end(self.client, answer, &mut patience, &mut row)).await?;
        let told = told.and(self.report(&Event::Ended { job: &answer.line()? }));
        let (Status::Completed, Some(result)) = (job.status, &job.result) else { return Err(why_without_result(&job)) };
        let path = unless_stopped(stop, save::save(self, &job, result, &mut patience, &mut row)).await?;
        drop(row);
        let (path, sha256) = (path.to_string_lossy().into_owned(), result.sha256.hex());
        told.and(if self.screen.is_json() {
            self.report(&Event::Saved { id: job.id, path, size_bytes: result.size_bytes, sha256 })
        } else {
            self.screen.say([path])
        })
    }

    /// Has a job made, or finds it. However often it has to be asked, it is one job: the service knows the order by its key.
    /// `placed` becomes [`Placed::Perhaps`] where it may be one of which no answer told.
    async fn place_order(
        self,
        order: &Order,
        patience: &mut Patience,
        stop: &CancellationToken,
        placed: &mut Placed,
    ) -> Result<Answer, Error> {
        let promise = HeaderValue::try_from(Uuid::new_v4().to_string()).expect("digits and dashes");
        let ask = async || {
            let call = match order {
                Order::New(url) => {
                    let call = self.client.call(Method::POST, &["downloads"]);
                    call.header("idempotency-key", promise.clone()).json(self.options.request(url))
                }
                Order::Known(id) => self.client.call(Method::GET, &["downloads", &id.to_string()]),
            };
            call.send().await
        };
        loop {
            // not stopped in its middle: nobody would know the job that it made
            let error = match ask().await {
                Ok(answer) => {
                    patience.renew();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if *placed == Placed::No && error.may_be_taken() {
                *placed = Placed::Perhaps;
            }
            let may_ask = error.passes() == Some(Duration::ZERO);
            match unless_stopped(stop, patience.outlast(error)).await {
                // for the same reason it is asked once more which job that is, unless the server wants to be left alone
                Err(Error::Interrupted) if *placed == Placed::Perhaps && may_ask => {
                    return ask().await.map_err(|_| Error::Interrupted);
                }
                waited => waited?,
            }
        }
    }

    fn report(self, event: &Event<'_>) -> Result<(), Error> {
        if self.screen.is_json() { self.screen.say_json(event) } else { Ok(()) }
    }

    fn tell(self, order: &Order, id: Option<Uuid>, error: &Error) {
        let url = match order {
            Order::New(url) => Some(url.as_str()),
            Order::Known(_) => None,
        };
        self.screen.error_of(&order.label(), error);
        let event = Event::Error { id, url, exit: error.exit() as u8, message: error.to_string() };
        // it was told on the other output already
        let _told = self.report(&event);
    }
}

impl Order {
    /// What a person knows it by.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::New(url) => url.clone(),
            Self::Known(id) => id.to_string(),
        }
    }
}

/// Why a job that has ended has nothing to be saved, in the server's words where it has any.
fn why_without_result(job: &Job) -> Error {
    let ended = |message: &str, code: &str| Error::Ended { message: message.to_owned(), code: code.to_owned() };
    match (&job.error, job.status) {
        (Some(error), Status::Failed) => ended(&plain(&error.message), &plain(&error.code)),
        (_, Status::Cancelled) => ended("The download was cancelled.", "cancelled"),
        (_, Status::Expired) => ended("The result was kept for its time and is deleted.", "expired"),
        (_, status) => {
            Error::Garbled { what: format!("a job is {} without a result or a reason", status.word()), passes: None }
        }
    }
}

/// Does what blocks where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let unfinished = |error: JoinError| Error::File {
        what: "what was to be done with a file was not".to_owned(),
        source: error.into(),
    };
    spawn_blocking(work).await.map_err(unfinished)?
}
