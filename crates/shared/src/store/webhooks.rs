//! Webhooks, the API's half: an order to be told, what became of it, and the secrets.
//!
//! The order is written with the ticket, so that what was accepted is told; it belongs to the ticket and not to the job, which
//! several may share. Its message has one id from the order on, whoever sends it and how often. Fields of an order: `id`
//! message · `base` what links begin with · once there is an end: `end` its state · `at` when it came · `till` from when on an
//! attempt in vain is the last · `n` attempts in vain · `fence` the newest worker to tell it · `off` how often it was put off
//! since it was last tried · `st` delivered or given_up · `said` fence that was heard last, and what it was told · `asked` mark
//! of the newest call to tell it again. All times in ms since the epoch, by the clock of Redis.
//!
//! Not here: who tells ([`super::outbox`]), and what an end is called (`crate::webhook`).

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt as _;
use url::Url;

use super::scripts::{self, invocation};
use super::submission::{ClientLimits, rate_of, wait_of};
use super::{JobStore, StoreError, keys, mark};
use crate::ids::{ClientKey, Ticket};
use crate::job::StateKind;
use crate::redis::Call;
use crate::webhook::{Attempt, Secrets, Signing};

/// Attempts that are shown.
const SHOWN: isize = 32;

/// Whose secrets those are that no client has as its own.
const EVERYBODY: &str = "-";

/// Somebody wants to be told the end of what they submit, at an address that stands in their request.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookOrder {
    /// What the links of what is sent begin with.
    pub base: Url,
    /// What it is signed with.
    pub signing: Signing,
}

/// How far the telling of an end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The message's id: the same for all attempts.
    pub message: String,
    /// The end; `None`: there is none yet.
    pub end: Option<StateKind>,
    /// What is being done about it.
    pub state: Delivery,
    /// At most 32 of the newest, in their order.
    pub attempts: Vec<Attempt>,
}

/// What is being done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Its job has not ended.
    Waiting,
    /// It is sent, or will be.
    Pending {
        /// When; while it is being sent, when it would be sent again.
        next: Timestamp,
    },
    /// Somebody has taken it.
    Delivered,
    /// It is not sent any more.
    GivenUp,
}

/// What came of the wish to be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// It will be sent.
    Soon,
    /// There is nothing to tell yet.
    Unfinished,
    /// There is no such ticket, or nobody is told of it.
    Unasked,
    /// The client has asked for this, and for downloads, more often than it may.
    RateLimited {
        /// When to ask again.
        retry_after: Duration,
    },
}

impl JobStore {
    /// How far the telling is of what stands behind a ticket; `None`: nobody is told.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn webhook(&self, ticket: Ticket) -> Result<Option<Webhook>, StoreError> {
        let shard = ticket.shard(self.0.settings.shards);
        let of = |name| format!("{}{ticket}", keys::key(shard, name));
        let mut ask = redis::pipe();
        ask.hgetall(of("hook")).lrange(of("tries"), 0, SHOWN - 1);
        ask.zscore(keys::key(shard, "untold"), ticket.to_string());
        let (order, tries, due): (HashMap<String, String>, Vec<String>, Option<i64>) =
            self.0.server.query("webhook", &ask).await?;
        let Some(message) = order.get("id") else { return Ok(None) };
        let end = order.get("end").map(|word| StateKind::of_word(word).ok_or(StoreError::Unreadable("an end")));
        let due = due.map(|ms| Timestamp::from_millisecond(ms).map_err(|_| StoreError::Unreadable("a time")));
        let state = match (order.get("st").map(String::as_str), due.transpose()?) {
            (Some("delivered"), _) => Delivery::Delivered,
            (Some(_), _) => Delivery::GivenUp,
            (None, Some(next)) => Delivery::Pending { next },
            (None, None) => Delivery::Waiting,
        };
        let attempt = |text: &String| serde_json::from_str(text).map_err(|_| StoreError::Unreadable("an attempt"));
        let attempts = tries.iter().rev().map(attempt).collect::<Result<_, _>>()?;
        Ok(Some(Webhook { message: message.clone(), end: end.transpose()?, state, attempts }))
    }

    /// Has the end of what stands behind a ticket told again, in the same message, and charges it to `client` as a download.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn redeliver(
        &self,
        ticket: Ticket,
        client: &ClientKey,
        limits: &ClientLimits,
    ) -> Result<Redelivered, StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::REDELIVER);
        let (each, burst) = rate_of(limits);
        call.arg(ticket.to_string()).arg(mark()).arg(client.as_str()).arg(each).arg(burst);
        let answer: Vec<Vec<u8>> = self.run_surely(&call).await?;
        let (word, rest) = answer.split_first().ok_or(StoreError::Unreadable("an answer"))?;
        match word.as_slice() {
            b"ok" => Ok(Redelivered::Soon),
            b"unfinished" => Ok(Redelivered::Unfinished),
            b"unasked" | b"gone" => Ok(Redelivered::Unasked),
            b"limited" => Ok(Redelivered::RateLimited { retry_after: wait_of(rest)? }),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// Says what webhooks are signed with from now on, those included that are still to be sent: of the whole service, if it has
    /// any, and of those clients that have their own. Kept only where somebody has ordered a webhook.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn rotate(&self, everybody: Option<&Secrets>, own: &[(ClientKey, Secrets)]) -> Result<(), StoreError> {
        let rotate = async |shard| {
            let mut call = invocation(shard, &scripts::ROTATE);
            // that there are none is said, too: nobody's old ones stay in use
            call.arg(EVERYBODY).arg(everybody.map(Secrets::stored).unwrap_or_default());
            for (client, secrets) in own {
                call.arg(client.as_str()).arg(secrets.stored());
            }
            self.run_surely::<String>(&call).await
        };
        self.everywhere(rotate).await.map(drop)
    }
}

/// Adds an order to the call that submits.
pub(super) fn add(call: &mut Call<'_>, client: &ClientKey, order: Option<&WebhookOrder>) {
    match order {
        None => {
            call.arg(&["", "", "", ""]);
        }
        Some(WebhookOrder { base, signing }) => {
            let whose = if signing.is_own { client.as_str() } else { EVERYBODY };
            call.arg(message()).arg(base.as_str()).arg(signing.secrets.stored()).arg(whose);
        }
    }
}

/// A new message's id, which nobody can guess.
fn message() -> String {
    format!("msg_{:032x}", rand::rng().random::<u128>())
}
