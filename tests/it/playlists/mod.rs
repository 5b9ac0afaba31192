//! Playlists: over HTTP, with a real Redis and a real store. What is at the list is known already, unless a test has a
//! worker look; the test plays the worker that downloads where it does not have one.

mod journey;
mod lists;
mod orders;
mod promises;
mod takings_back;
mod together;
mod zip;

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::cookies::Cookies;
use haul_shared::metadata::{Entry, Finding, Look, Metadata, MetadataCache};
use haul_shared::source::SourceUrl;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::{Value, json};

const PLAYLISTS: &str = "/api/v1/playlists";
const DOWNLOADS: &str = "/api/v1/downloads";
const LIST: &str = "http://127.0.0.1/list";

/// What is known of the list, by the caller of a private service without keys: entries, some with addresses of their own.
async fn known(site: &Site, entries: &[Option<String>]) -> Result<()> {
    site.delete(&format!("/api/v1/metadata?url={LIST}")).await?;
    known_to(site, Cookies::Any, entries).await
}

/// The same, by callers who may use these cookies.
async fn known_to(site: &Site, cookies: Cookies, entries: &[Option<String>]) -> Result<()> {
    let entry = |(number, url): (usize, &Option<String>)| Entry {
        url: url.clone(),
        title: Some(format!("Entry {number}")),
        duration_seconds: None,
    };
    let entries = (1..).zip(entries).map(entry).collect();
    let list = Metadata { title: Some("A list".to_owned()), entries, ..Metadata::default() };
    let cache = MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600));
    let look = Look { url: SourceUrl::read(LIST)?, cookies, first: 1 };
    Ok(cache.put(&look, &Finding::Found(Box::new(list))).await?)
}

/// Addresses of media, from 1 to so many.
fn media(count: usize) -> Vec<Option<String>> {
    (1..=count).map(|number| Some(format!("http://127.0.0.1/{number}.mp4"))).collect()
}

/// Orders the list with these options, and returns the playlist's path.
async fn ordered(site: &Site, options: Value) -> Result<String> {
    let answer = site.post(PLAYLISTS, &json!({ "url": LIST, "options": options })).await?;
    path(&answer)
}

fn path(answer: &Answer) -> Result<String> {
    let id = answer.json()["id"].as_str().map(|id| format!("{PLAYLISTS}/{id}"));
    id.filter(|_| answer.status == 202).with_context(|| format!("{} {}", answer.told(), answer.json()))
}

/// The playlist as it is shown.
async fn shown(site: &Site, playlist: &str) -> Result<Value> {
    Ok(site.get(playlist).await?.json())
}

/// The paths of its downloads.
fn children(playlist: &Value) -> Vec<String> {
    let children = playlist["children"].as_array().into_iter().flatten();
    children.filter_map(|child| child["id"].as_str()).map(|id| format!("{DOWNLOADS}/{id}")).collect()
}

/// How many downloads the caller's list has.
async fn listed(site: &Site) -> Result<usize> {
    let list = site.get(&format!("{DOWNLOADS}?limit=100")).await?.json();
    Ok(list["downloads"].as_array().context("a list")?.len())
}
