//! Webhooks over the whole service: who is told what, when, how often, and that nobody else could have said it.

mod address;
mod described;
mod ends;
mod faults;
mod secrets;
mod tls;
mod trouble;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::Fault;
use haul_tests::processes::until;
use haul_tests::receiver::{Received, Receiver, Reply};
use haul_tests::site::Answer;
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

/// Secrets, and those alone with which a message verifies.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLDER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Slow enough that nothing here ever gets to its end by itself.
const SLOW: Fault = Fault::Throttle(20_000);

/// A service that signs with [`SECRET`].
async fn house() -> Result<House> {
    House::open(Store::Disk, &[("HAUL_WEBHOOK_SECRETS", SECRET)]).await
}

/// An order of which a receiver is told.
fn told_to(receiver: &Receiver, url: &str) -> Value {
    request(url, json!({ "webhook": { "url": receiver.url("/hook?of=mine") } }))
}

/// What a message says, once both verifiers have taken it, and its head is as it has to be.
fn said(message: &Received) -> Result<Value> {
    verified(message, SECRET)?;
    assert_eq!(message.line, "POST /hook?of=mine HTTP/1.1");
    assert_eq!(message.header("content-type"), "application/json");
    let who = concat!("haul/", env!("CARGO_PKG_VERSION"));
    assert_eq!(message.header("user-agent"), who);
    assert_eq!(message.header("cookie"), "");
    message.verified_in_python(SECRET)
}

/// By the reference implementation in Rust, which also minds how old it is.
fn verified(message: &Received, secret: &str) -> Result<()> {
    Ok(Webhook::new(secret)?.verify(&message.body, &message.headers)?)
}

/// `type status` of a message's payload, and the path of its job.
fn told(payload: &Value) -> Result<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let job = format!("{DOWNLOADS}/{}", text(&payload["data"]["id"])?);
    Ok((format!("{} {}", text(&payload["type"])?, text(&payload["data"]["status"])?), job))
}

/// What became of the webhook of a job, once it is so.
async fn delivery(house: &House, job: &str, state: &str) -> Result<Value> {
    let look = async || house.get(&format!("{job}/webhook")).await.is_ok_and(|answer| answer.json()["state"] == state);
    until("the delivery is as wanted", look).await?;
    Ok(house.get(&format!("{job}/webhook")).await?.json())
}

/// The error words of the attempts, `-` where there is none.
fn errors(delivery: &Value) -> Vec<&str> {
    let attempts = delivery["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    attempts.iter().map(|attempt| attempt["error"].as_str().unwrap_or("-")).collect()
}

async fn redeliver(house: &House, job: &str) -> Result<Answer> {
    house.ask(Method::POST, &format!("{job}/webhook/redeliver"), &Value::Null).await
}

/// Nothing more comes to a receiver than has.
async fn stays_at(receiver: &Receiver, count: usize) -> Result<()> {
    let more = tokio::time::timeout(Duration::from_secs(3), receiver.has(count + 1)).await;
    ensure!(more.is_err() && receiver.received().len() == count, "{} have come", receiver.received().len());
    Ok(())
}
