//! What a user does in each scenario, as requests, and what becomes of them.
//!
//! Every request has a time and every answer a size; nothing is asked again: what fails is what is to be counted.

use std::time::Duration;

use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use tokio::time::{sleep, timeout};
use url::Url;
use uuid::Uuid;

use super::bench::{Bench, Turn};
use super::fault::Fault;
use super::mix::Scenario;
use super::tally::Outcome;
use crate::problem::may_be_taken;
use crate::wire::{Job, Link, Status};

/// Bytes of an answer; a hundred jobs with long notes have a tenth of it.
const LARGEST_ANSWER: usize = 8 << 20;

/// How long an answer about a job that is followed waits for news.
const WAIT: Duration = Duration::from_secs(20);

/// Before asking again a service that answers at once and has no news.
const WITHOUT_NEWS: Duration = Duration::from_millis(200);

/// A user under way.
struct Visit<'b> {
    bench: &'b Bench,
    outcome: Outcome,
}

/// An answer that is no refusal.
struct Answer {
    etag: Option<HeaderValue>,
    is_news: bool,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Known {
    id: Uuid,
}

/// Does what a scenario says, once.
pub async fn carry_out(bench: &Bench, turn: Turn) -> Outcome {
    let mut visit = Visit { bench, outcome: Outcome { statuses: Vec::new(), bytes: 0, fault: None } };
    let went = match turn.scenario {
        Scenario::Status => visit.status(turn).await,
        Scenario::Submit => visit.submit(turn).await.map(drop),
        Scenario::Journey => visit.journey(turn).await,
        Scenario::List => visit.looks(Method::GET, &["api", "v1", "downloads"], None).await,
        Scenario::Metadata => visit.looks(Method::POST, &["api", "v1", "metadata"], Some(turn)).await,
        Scenario::Plan => visit.looks(Method::POST, &["api", "v1", "plan"], Some(turn)).await,
        Scenario::Health => visit.looks(Method::GET, &["healthz"], None).await,
    };
    Outcome { fault: went.err(), ..visit.outcome }
}

impl Visit<'_> {
    async fn looks(&mut self, method: Method, path: &[&str], about: Option<Turn>) -> Result<(), Fault> {
        let mut request = self.bench.client.request(method, self.bench.client.below(path));
        if let Some(turn) = about {
            request = request.json(&json!({ "url": self.bench.address(turn) }));
        }
        read::<IgnoredAny>(&self.ask(request, Duration::ZERO).await?).map(drop)
    }

    async fn status(&mut self, turn: Turn) -> Result<(), Fault> {
        let id = self.bench.known(turn);
        let request = self.bench.client.request(Method::GET, self.job(id, &[]));
        let told: Known = read(&self.ask(request, Duration::ZERO).await?)?;
        if told.id == id { Ok(()) } else { Err(Fault::Garbage) }
    }

    async fn submit(&mut self, turn: Turn) -> Result<Uuid, Fault> {
        let url = self.bench.client.below(&["api", "v1", "downloads"]);
        let request = self.bench.client.request(Method::POST, url).json(&self.bench.order(turn));
        self.bench.orders();
        let asked = self.ask(request, Duration::ZERO).await;
        // without a status it may still become a job, unless nobody was there to hear it
        match (self.outcome.statuses.last(), &asked) {
            (Some(200..=299), _) => self.bench.order_ends(true),
            (Some(status), Err(fault)) if !may_be_taken(*status, fault.code()) => self.bench.order_ends(false),
            (None, Err(Fault::ConnectionRefused | Fault::Unreachable)) => self.bench.order_ends(false),
            _ => {}
        }
        let made: Known = read(&asked?)?;
        self.bench.knows(made.id, turn);
        Ok(made.id)
    }

    async fn journey(&mut self, turn: Turn) -> Result<(), Fault> {
        let id = self.submit(turn).await?;
        let mut url = self.job(id, &[]);
        url.query_pairs_mut().append_pair("wait", &WAIT.as_secs().to_string());
        let mut etag: Option<HeaderValue> = None;
        let job = loop {
            let request = self.bench.client.request(Method::GET, url.clone());
            let request = match &etag {
                Some(etag) => request.header(IF_NONE_MATCH, etag),
                None => request,
            };
            let answer = self.ask(request, WAIT).await?;
            if answer.is_news {
                let job: Job = read(&answer)?;
                if job.status.is_end() {
                    break job;
                }
            }
            if !answer.is_news || answer.etag.is_none() || answer.etag == etag {
                sleep(WITHOUT_NEWS).await;
            }
            etag = answer.etag.or(etag);
        };
        if job.status != Status::Completed {
            return Err(Fault::of_job(job.error.as_ref().map_or(job.status.word(), |error| &error.code)));
        }
        let request = self.bench.client.request(Method::GET, self.job(id, &["link"]));
        let link: Link = read(&self.ask(request, Duration::ZERO).await?)?;
        match (self.bench.fetches, job.result) {
            (true, Some(result)) => self.fetch(&link, result.size_bytes).await,
            (true, None) => Err(Fault::Garbage),
            (false, _) => Ok(()),
        }
    }

    /// Has all bytes of a result come, and keeps none of them.
    async fn fetch(&mut self, link: &Link, promised: u64) -> Result<(), Fault> {
        let (limit, url) = (self.bench.client.timeout(), link.url.parse::<Url>().map_err(|_| Fault::Garbage)?);
        let mut response = in_time(limit, self.bench.client.request_of_link(url).send()).await?;
        self.outcome.statuses.push(response.status().as_u16());
        if !response.status().is_success() {
            return Err(Fault::of_answer(response.status(), &[]));
        }
        let mut came = 0;
        while let Some(piece) = in_time(limit, response.chunk()).await? {
            came += piece.len() as u64;
            self.outcome.bytes += piece.len() as u64;
            if came > promised {
                return Err(Fault::Garbage);
            }
        }
        if came == promised { Ok(()) } else { Err(Fault::ConnectionReset) }
    }

    /// Sends a request to the API and reads its answer to the end, within the time of one and so much longer.
    async fn ask(&mut self, request: RequestBuilder, longer: Duration) -> Result<Answer, Fault> {
        let limit = self.bench.client.timeout().saturating_add(longer);
        timeout(limit, self.exchange(request)).await.unwrap_or(Err(Fault::Timeout))
    }

    async fn exchange(&mut self, request: RequestBuilder) -> Result<Answer, Fault> {
        let mut response = request.send().await.map_err(|error| Fault::of_silence(&error))?;
        let (status, etag) = (response.status(), response.headers().get(ETAG).cloned());
        self.outcome.statuses.push(status.as_u16());
        let body = self.body_of(&mut response).await?;
        let is_news = status != StatusCode::NOT_MODIFIED;
        if status.is_success() || !is_news {
            Ok(Answer { etag, is_news, body })
        } else {
            Err(Fault::of_answer(status, &body))
        }
    }

    async fn body_of(&mut self, response: &mut Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| Fault::of_silence(&error))? {
            self.outcome.bytes += piece.len() as u64;
            if body.len() + piece.len() > LARGEST_ANSWER {
                return Err(Fault::Garbage);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn job(&self, id: Uuid, more: &[&str]) -> Url {
        let id = id.to_string();
        self.bench.client.below(&[&["api", "v1", "downloads", &id], more].concat())
    }
}

async fn in_time<T>(limit: Duration, step: impl Future<Output = Result<T, reqwest::Error>>) -> Result<T, Fault> {
    match timeout(limit, step).await {
        Ok(step) => step.map_err(|error| Fault::of_silence(&error)),
        Err(_) => Err(Fault::Timeout),
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Fault> {
    serde_json::from_slice(&answer.body).map_err(|_| Fault::Garbage)
}
