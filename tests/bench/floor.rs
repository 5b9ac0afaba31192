//! The floors of the API: what the least possible handler does with the same Redis, behind the same kind of server.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use haul_shared::store::JobStore;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpListener;

use crate::roles::{Orders, say};
use crate::stage;

#[derive(Clone)]
struct Floor {
    connection: MultiplexedConnection,
    jobs: Arc<JobStore>,
}

/// Serves until the benchmark is gone.
///
/// # Errors
/// When there is no Redis, or no port.
pub async fn run(redis: &str) -> Result<()> {
    let connection = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let floor = Floor { connection, jobs: Arc::new(stage::store(redis)?) };
    let router =
        Router::new().route("/get/{key}", get(value)).route("/submit/{client}", post(submit)).with_state(floor);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say("ready");
    say(&listener.local_addr()?.to_string());
    let mut orders = Orders::listen();
    tokio::select! {
        served = async { axum::serve(listener, router).await } => Ok(served?),
        _ = orders.go_on() => Ok(()),
    }
}

/// One `GET` of Redis, and its value as it is.
async fn value(State(mut floor): State<Floor>, Path(key): Path<String>) -> impl IntoResponse {
    match floor.connection.get::<_, Vec<u8>>(key).await {
        Ok(value) => ([(header::CONTENT_TYPE, "application/json")], value).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// One run of the script that queues a job, for the address that is the body.
async fn submit(State(floor): State<Floor>, Path(client): Path<String>, url: String) -> impl IntoResponse {
    match stage::submit(&floor.jobs, &client, &url).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
