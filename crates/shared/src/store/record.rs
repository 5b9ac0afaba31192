//! A job's record in Redis, read back into a [`Job`].
//!
//! Fields of a job: `st` state · `own` client that made it · `chg` client charged for the run · `lane` · `kind` ·
//! `fp` fingerprint · `spec` order · `n` tickets · `att` attempts begun · `max` ·
//! `keep` ms the record outlives its end · `crash` leases lost · `tok` fence ·
//! `wk` worker · `rg` region · `sa` first start · `ft` end · `due` next attempt · `pg` progress · `med` medium ·
//! `res` result · `obj` its object · `err` failure · `del` when the object goes · `cx` cancel wanted · `again`
//! attempt that did not count and whose `pg` the next one goes on from · `said` the call that let go last, and what it
//! was told.
//! Of a ticket: `jid` job · `cl` client · `ct` created · `ttl` ms it keeps the result · `exp` when it lets go of a
//! result that was there before it · `req` request · `said` mark of its last cancellation or retry, and what it was
//! told; once it was cancelled while others go on, also `st`, `ft` and
//! what it shows of the run. All times in ms since the epoch, by the clock of Redis.

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::ids::{ClientKey, JobId, Ticket, WorkerId};
use crate::job::{Failure, FailureKind, Job, JobState, StateKind};

/// One field of a record, as Redis answers it.
pub(super) type Field = Option<Vec<u8>>;

/// What `look` answers, position by position.
const FIELDS: usize = 21;

/// Reads the answer of `look`; `None` when there is no such ticket.
pub(super) fn job(ticket: Ticket, answer: Vec<Field>) -> Result<Option<(JobId, Job)>, StoreError> {
    if answer.is_empty() {
        return Ok(None);
    }
    let fields: [Field; FIELDS] = answer.try_into().map_err(|_| StoreError::Unreadable("a job"))?;
    let [
        now,
        place,
        jid,
        client,
        created,
        keep,
        own_expiry,
        request,
        state,
        region,
        attempt,
        max_attempts,
        worker,
        started,
        ended,
        due,
        progress,
        media,
        artifact,
        failure,
        deletion,
    ] = fields;

    let now = time(&now)?.ok_or(StoreError::Unreadable("the time"))?;
    let created = time(&created)?.ok_or(StoreError::Unreadable("a creation time"))?;
    let ended = time(&ended)?.unwrap_or(now);
    let failure: Option<Failure> = json(&failure)?;
    let word = text(&state)?.and_then(|word| StateKind::of_word(&word));
    let state = match word.ok_or(StoreError::Unreadable("a state"))? {
        StateKind::Queued => JobState::Queued { position: number(&place)?.unwrap_or(1) },
        StateKind::Waiting => JobState::Waiting { due: time(&due)?.unwrap_or(now), last: failure },
        StateKind::Running => JobState::Running { worker: WorkerId::stored(&text(&worker)?.unwrap_or_default()) },
        // `JobStore::found` leaves `null`
        StateKind::Completed if artifact.as_deref() == Some(b"null".as_slice()) => JobState::Found { finished: ended },
        StateKind::Completed => {
            let artifact = json(&artifact)?.ok_or(StoreError::Unreadable("a result"))?;
            let own = time(&own_expiry)?.unwrap_or(after(ended, number(&keep)?.unwrap_or(0)));
            // another process may have been told to keep results for a shorter time
            let expires = time(&deletion)?.map_or(own, |deletion| own.min(deletion));
            if expires <= now {
                JobState::Expired { artifact: Some(artifact), finished: ended, at: expires }
            } else {
                JobState::Completed { artifact, finished: ended, expires }
            }
        }
        StateKind::Failed => JobState::Failed {
            failure: failure.unwrap_or_else(|| Failure::new(FailureKind::Internal, "no failure recorded")),
            finished: ended,
        },
        StateKind::Cancelled => JobState::Cancelled { at: ended },
        StateKind::Expired => JobState::Expired { artifact: None, finished: ended, at: ended },
    };

    let id = text(&jid)?.and_then(|id| id.parse().ok()).ok_or(StoreError::Unreadable("a job id"))?;
    let region = text(&region)?.and_then(|name| name.parse().ok()).ok_or(StoreError::Unreadable("a region"))?;
    let job = Job {
        ticket,
        client: ClientKey::stored(&text(&client)?.ok_or(StoreError::Unreadable("a client"))?),
        request: request.unwrap_or_default(),
        created,
        region,
        state,
        attempt: small(&attempt)?,
        max_attempts: small(&max_attempts)?,
        started: time(&started)?,
        progress: json(&progress)?,
        media: json(&media)?,
    };
    Ok(Some((id, job)))
}

fn after(from: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(from.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

fn text(field: &Field) -> Result<Option<String>, StoreError> {
    field
        .as_ref()
        .map(|bytes| String::from_utf8(bytes.clone()).map_err(|_| StoreError::Unreadable("a text field")))
        .transpose()
}

fn number(field: &Field) -> Result<Option<u64>, StoreError> {
    text(field)?.map(|text| text.parse().map_err(|_| StoreError::Unreadable("a number"))).transpose()
}

fn small(field: &Field) -> Result<u32, StoreError> {
    let number = number(field)?.unwrap_or(0);
    u32::try_from(number).map_err(|_| StoreError::Unreadable("a counter"))
}

fn time(field: &Field) -> Result<Option<Timestamp>, StoreError> {
    let Some(ms) = number(field)? else { return Ok(None) };
    let ms = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ms.map(Some).ok_or(StoreError::Unreadable("a time"))
}

fn json<T: DeserializeOwned>(field: &Field) -> Result<Option<T>, StoreError> {
    field
        .as_ref()
        .map(|bytes| serde_json::from_slice(bytes).map_err(|_| StoreError::Unreadable("a json field")))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_beyond_all_time_ends_with_it() {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(after(at(1_000), 500), at(1_500));
        assert_eq!(after(at(1_000), u64::MAX), Timestamp::MAX);
    }
}
