//! Idempotency keys: which ticket belongs to a client's promise that two requests are one.
//!
//! The promise lies on the shard of its key, so that every API finds it; the job may lie elsewhere. That makes two steps:
//! who comes first names the ticket, then everybody submits under it. A death in between leaves a promise whose ticket
//! nobody has; it is taken over once no submission can be under way any more.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms};
use crate::ids::{ClientKey, Ticket};

/// How long an `Idempotency-Key` is remembered, by the contract.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// No submission takes this long: a promise that is older and has no ticket was never kept.
const VOID_AFTER: Duration = Duration::from_secs(60);

/// A client's promise that two requests are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header as sent; hashed, together with the client, before it becomes part of a key.
    pub key: String,
    /// SHA-256 of the body, hex: what has to be the same.
    pub body_sha256: String,
}

/// Under which ticket a promised request is to be submitted.
pub(super) enum Promised {
    /// Nobody has promised this before.
    Ours,
    /// The same was promised before, with this ticket.
    Kept(Ticket),
    /// The same key came before with another body.
    Broken,
}

impl JobStore {
    /// Promises `ticket` to requests with this key, unless another was promised.
    pub(super) async fn promise(
        &self,
        client: &ClientKey,
        promise: &Idempotency,
        ticket: Ticket,
    ) -> Result<Promised, StoreError> {
        let mut void = String::new();
        loop {
            let answer = self.promise_unless(client, promise, ticket, &void).await?;
            let (word, before, age) = match &answer[..] {
                [word] if word == "ours" => return Ok(Promised::Ours),
                [word, before, age] => (word, before, age),
                _ => return Err(StoreError::Unreadable("an answer")),
            };
            let before_ticket: Ticket = before.parse().map_err(|_| StoreError::Unreadable("a ticket"))?;
            let age = Duration::from_millis(age.parse().map_err(|_| StoreError::Unreadable("an age"))?);
            // a repetition of this very call, whose answer was lost
            if before_ticket == ticket {
                return Ok(Promised::Ours);
            }
            if age > VOID_AFTER && !self.is_held(before_ticket).await? {
                void.clone_from(before);
                continue;
            }
            return Ok(if word == "kept" { Promised::Kept(before_ticket) } else { Promised::Broken });
        }
    }

    /// Is anything there under this ticket, a download or a playlist?
    async fn is_held(&self, ticket: Ticket) -> Result<bool, StoreError> {
        Ok(self.get(ticket).await?.is_some() || self.playlist(ticket).await?.is_some())
    }

    async fn promise_unless(
        &self,
        client: &ClientKey,
        promise: &Idempotency,
        ticket: Ticket,
        void: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut hash = Sha256::new();
        hash.update(client.as_str());
        hash.update([0]);
        hash.update(&promise.key);
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        let id: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
        let shard = self.0.settings.shards.of(u128::from_be_bytes(half));
        let mut call = invocation(shard, &scripts::PROMISE);
        call.arg(id).arg(&promise.body_sha256).arg(ticket.to_string()).arg(ms(KEPT)).arg(void);
        self.run_durably(&call).await
    }
}
