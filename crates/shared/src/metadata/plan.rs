//! What a download of an order would fetch, on the level of the cache that all processes share.
//!
//! It is known for as long as a finding is fresh, and why there is none for as long as its code says. Each order has a plan of
//! its own; all plans of an address are forgotten with it, by a word that they share. Not here: who makes it (a worker).

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::cache::{digest, entry, half_of_hash};
use super::{Cached, Finding, Look, MediaFormat, MetadataCache};
use crate::job::PlanSpec;
use crate::media::Quality;
use crate::store::{KEEP_PLAN, StoreError, plan_key, plans_key};

/// Bytes of the word that plans of an address share.
const WORD: usize = 16;

/// What would be fetched, and what would come of it, as far as the site says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DownloadPlan {
    /// What would be fetched; of two the picture comes first.
    pub streams: Vec<MediaFormat>,
    /// What the result would be, by the word of a result; absent: only the file can tell.
    pub container: Option<String>,
    /// How large the result would be; absent: the site says too little.
    pub estimated_bytes: Option<u64>,
    /// How long the result would play; absent: the site does not say. A clip that is not exact may begin a little sooner.
    pub duration_seconds: Option<f64>,
    /// Sound or picture would be coded anew. Where the site does not say enough: it may have to be.
    pub transcodes: bool,
    /// The rung asked for; absent for sound.
    pub asked: Option<Quality>,
    /// The rung that the site promises; absent for sound, and when it does not say.
    pub got: Option<Quality>,
    /// Which rule chose these streams: a sentence for people.
    pub reason: String,
}

impl MetadataCache {
    /// The plan of an order, or why there is none; `None`: nobody has made it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]. An entry of an unknown form counts as none.
    pub async fn plan(&self, order: &PlanSpec) -> Result<Option<Cached<DownloadPlan>>, StoreError> {
        let [plan, plans] = keys(order);
        type Answer = (Option<Vec<u8>>, i64, Option<Vec<u8>>);
        let (entry, left_ms, word): Answer =
            self.server.query("plan", redis::pipe().get(&plan).pttl(&plan).get(plans)).await?;
        let (Some(entry), Some(word)) = (entry, word) else { return Ok(None) };
        Ok(entry.strip_prefix(&word[..]).and_then(|entry| self.cached(entry, left_ms)))
    }

    /// Keeps a plan, or why there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_plan(&self, order: &PlanSpec, finding: &Finding<DownloadPlan>) -> Result<(), StoreError> {
        let Some((entry, life_ms)) = entry(finding, self.ttl) else { return Ok(()) };
        let ([plan, plans], mut keep) = (keys(order), KEEP_PLAN.call());
        keep.key(plan).key(plans).arg(&rand::rng().random::<[u8; WORD]>()).arg(entry).arg(life_ms);
        self.server.call_surely::<()>(&keep).await.map_err(StoreError::from)
    }
}

/// Of the plan, and of the word of all plans of its address.
fn keys(order: &PlanSpec) -> [String; 2] {
    let download = &order.download;
    let address = digest(&Look { url: download.url.clone(), cookies: download.cookies.clone(), first: 1 });
    let order = serde_json::to_vec(order).expect("an order has only plain fields");
    [plan_key(&address, &half_of_hash(&order)), plans_key(&address)]
}
