//! Following a job to its end, by answers that wait for a change.
//!
//! Not by events: an answer with its `ETag` says the same, can be asked for again by anybody after anything, and passes
//! whatever proxy there is.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep_until};

use crate::call::Answer;
use crate::client::Client;
use crate::error::Error;
use crate::patience::Patience;
use crate::screen::Row;
use crate::wire::Job;

/// How long an answer may wait for a change: less than proxies wait for an answer.
const WAIT: Duration = Duration::from_secs(20);

/// Between two questions: a person sees no more than that of a bar.
const BETWEEN: Duration = Duration::from_millis(250);

/// The same when nothing had changed, although the answer came at once: a server that stops, or holds as many answers
/// as it can.
const BETWEEN_UNCHANGED: Duration = Duration::from_secs(1);

/// Follows the job of an answer until it has ended, and gives it back as it was told then.
///
/// # Errors
/// When the job is gone, or the server for too long.
pub async fn to_the_end(
    client: &Client,
    first: Answer,
    patience: &mut Patience,
    row: &mut Row<'_>,
) -> Result<(Job, Answer), Error> {
    let mut job: Job = first.read()?;
    let mut answer = first;
    row.shows(&job);
    while !job.status.is_end() {
        let asked = Instant::now();
        let pause = match ask(client, &job, answer.etag.clone()).await {
            Ok(same) if same.status == StatusCode::NOT_MODIFIED => {
                patience.renew();
                BETWEEN_UNCHANGED
            }
            Ok(other) => {
                patience.renew();
                job = other.read()?;
                answer = other;
                row.shows(&job);
                BETWEEN
            }
            Err(error) => {
                patience.outlast(error).await?;
                BETWEEN
            }
        };
        if !job.status.is_end() {
            sleep_until(asked + pause).await;
        }
    }
    Ok((job, answer))
}

/// How the job stands: at once for who knows nothing yet, else when it is another than is known.
async fn ask(client: &Client, job: &Job, known: Option<HeaderValue>) -> Result<Answer, Error> {
    let call = client.call(Method::GET, &["downloads", &job.id.to_string()]);
    match known {
        Some(etag) => {
            let call = call.query("wait", &WAIT.as_secs().to_string()).header("if-none-match", etag);
            call.longer_by(WAIT).send().await
        }
        None => call.send().await,
    }
}
