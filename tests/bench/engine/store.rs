//! The store that everybody uploads to: a real S3 protocol over a folder, on a port that is as fast as loopback and on one
//! that takes 30 MB/s of each connection.
//!
//! It is a process of its own, so that what it spends is nobody's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use haul_tests::s3;
use s3s::service::S3Service;
use tokio::net::TcpListener;

use super::shaper::{self, Line};
use crate::roles::{Orders, say};

/// What the paced port takes of each connection.
const PACED: Line = Line { up: Some(30_000_000), down: None, round_trip: Duration::ZERO };

/// Serves one empty bucket in a folder; says where, on both ports, and ends with the benchmark.
///
/// # Errors
/// When the folder cannot be used, or no port is free.
pub async fn run(folder: &Path) -> Result<()> {
    let router = axum::Router::new().fallback(answer).with_state(Arc::new(s3::service(folder)?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let plain = listener.local_addr()?;
    let paced = shaper::open(plain, PACED)?;
    say("ready");
    say(&format!("{plain} {paced}"));
    let mut orders = Orders::listen();
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        () = async { while orders.go_on().await {} } => Ok(()),
    }
}

async fn answer(State(service): State<Arc<S3Service>>, request: Request) -> Response {
    match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
