//! A keys file of one's own, and the service that follows it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::site::{Answer, Site, send};

/// A keys file in a folder of its own.
pub struct Keys {
    folder: TempDir,
}

impl Keys {
    /// With these entries: names, and what more each has.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn of(entries: &[(&str, &str)]) -> Result<Self> {
        let keys = Self { folder: tempfile::tempdir()? };
        std::fs::write(keys.path(), text(entries))?;
        Ok(keys)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    /// The folder, which has nothing else in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A service that asks for these keys, and is told more by these variables.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn site(&self, variables: &[(&str, &str)]) -> Result<Site> {
        let path = self.path().display().to_string();
        Site::with(&[&[("HAUL_API_KEYS_FILE", path.as_str())], variables].concat()).await
    }
}

/// Entries of a keys file.
#[must_use]
pub fn text(entries: &[(&str, &str)]) -> String {
    let entry = |(name, more): &(&str, &str)| {
        let sha256: String = Sha256::digest(key(name)).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n{more}\n")
    };
    entries.iter().map(entry).collect()
}

/// The key of this name.
#[must_use]
pub fn key(name: &str) -> String {
    format!("key of {name}")
}

impl Site {
    /// The answer to a request with a key.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(&self, name: &str, method: Method, path: &str) -> Result<Answer> {
        send(self.request(method, path).bearer_auth(key(name))).await
    }

    /// The answer to a `POST` of JSON with a key.
    ///
    /// # Errors
    /// When there is none.
    pub async fn post_as(&self, name: &str, path: &str, body: &Value) -> Result<Answer> {
        send(self.request(Method::POST, path).bearer_auth(key(name)).json(body)).await
    }

    /// Queues a download of this address with a key, and returns its path.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn submit_as(&self, name: &str, url: &str) -> Result<String> {
        let answer = self.post_as(name, "/api/v1/downloads", &serde_json::json!({ "url": url })).await?;
        let id = answer.json()["id"].as_str().map(|id| format!("/api/v1/downloads/{id}"));
        id.ok_or_else(|| anyhow::anyhow!(answer.told()))
    }
}
