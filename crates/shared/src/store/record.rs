//! A job's record in Redis, read back into a [`Job`].
//!
//! Fields of a job: `st` state · `own` client that made it, or to whom it was left · `by:<client>` tickets of another one · `to:<client>` its result was counted for that one · `chg` client charged for the newest run · `lane` · `kind` ·
//! `fp` fingerprint · `spec` order · `n` tickets · `att` attempts begun · `max` ·
//! `keep` ms the record outlives its end · `crash` leases lost · `tok` fence ·
//! `wk` worker · `yt` number of the newest attempt, and the yt-dlp that it was begun with · `shy` the yt-dlp that an attempt has failed with while one is on trial · `lf` ms since which it was in line when it was first left to those with another yt-dlp · `si` site · `via` egress name and site of the newest lease · `rg` region · `sa` first start · `ft` end · `due` next attempt · `pg` progress · `med` medium ·
//! `res` result · `th` its thumbnail: `+` and its size, or ms until which it may still come · `obj` its objects, the result first · `len` ms that it plays · `err` failure · `del` when the object goes · `cx` cancel wanted · `again`
//! attempt that did not count and whose `pg` the next one goes on from · `mo` `mp` `at` `ev` its moments (`lua/prelude.lua`) · `said` the call that let go last, and what it
//! was told · `tr` span that it comes from, of a trace that is kept (`crate::trace`).
//! Of a ticket: `jid` job · `cl` client · `ct` created · `ttl` ms it keeps the result · `exp` when it lets go of a
//! result that was there before it · `req` request · `turn` how often it was tried again · `since` the newest moment of the
//! run when it joined · `no` notes · `fav` 1: a favourite · `rat` rating · `got` times it was fetched · `said` mark of its last cancellation or retry, and what it was
//! told; once it was cancelled while others go on, also `st`, `ft` and
//! what it shows of the run. All times in ms since the epoch, by the clock of Redis.

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::moments::Standing;
use crate::ids::{ClientKey, JobId, Ticket, WorkerId};
use crate::job::{Artifact, Failure, FailureKind, Job, JobState, Library, StateKind, Stored, Thumbnail};
use crate::storage::ObjectKey;

/// One field of a record.
pub(super) type Field<'a> = Option<&'a [u8]>;

/// What a view has, position by position.
const FIELDS: usize = 31;

/// Reads the time at which a view was made, in ms.
pub(super) fn now(ms: &[u8]) -> Result<Timestamp, StoreError> {
    time(&Some(ms))?.ok_or(StoreError::Unreadable("the time"))
}

/// What a view has.
pub(super) struct Viewed {
    pub(super) id: JobId,
    pub(super) job: Job,
    pub(super) standing: Standing,
}

/// Reads a view, made at `now`.
pub(super) fn job(ticket: Ticket, now: Timestamp, view: &[u8]) -> Result<Viewed, StoreError> {
    let fields = unpack(view).and_then(|fields| <[Field<'_>; FIELDS]>::try_from(fields).ok());
    let [
        place,
        jid,
        client,
        created,
        keep,
        own_expiry,
        request,
        turn,
        since,
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
        thumbnail,
        newest,
        changes,
        notes,
        favourite,
        rating,
        downloads,
        trace,
        ytdlp,
    ] = fields.ok_or(StoreError::Unreadable("a job"))?;

    let created = time(&created)?.ok_or(StoreError::Unreadable("a creation time"))?;
    let ended = time(&ended)?.unwrap_or(now);
    let failure: Option<Failure> = json(&failure)?;
    let recorded = text(&state)?.and_then(StateKind::of_word).ok_or(StoreError::Unreadable("a state"))?;
    let state = match recorded {
        StateKind::Queued => JobState::Queued { position: number(&place)?.unwrap_or(1) },
        StateKind::Waiting => JobState::Waiting { due: time(&due)?.unwrap_or(now), last: failure },
        StateKind::Running => JobState::Running { worker: WorkerId::stored(text(&worker)?.unwrap_or_default()) },
        // `JobStore::found` leaves `null`
        StateKind::Completed if artifact == Some(b"null".as_slice()) => JobState::Found { finished: ended },
        StateKind::Completed => {
            let mut artifact: Artifact = json(&artifact)?.ok_or(StoreError::Unreadable("a result"))?;
            if let Some(told) = text(&thumbnail)? {
                artifact.beside.thumbnail = self::thumbnail(told, &artifact.object, now)?;
            }
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

    let attempt_number = small(&attempt)?;
    let id = text(&jid)?.and_then(|id| id.parse().ok()).ok_or(StoreError::Unreadable("a job id"))?;
    let region = text(&region)?.and_then(|name| name.parse().ok()).ok_or(StoreError::Unreadable("a region"))?;
    let job = Job {
        ticket,
        client: ClientKey::stored(text(&client)?.ok_or(StoreError::Unreadable("a client"))?),
        request: request.unwrap_or_default().to_vec(),
        created,
        region,
        state,
        attempt: attempt_number,
        max_attempts: small(&max_attempts)?,
        started: time(&started)?,
        progress: json(&progress)?,
        media: json(&media)?,
        library: Library {
            notes: text(&notes)?.map(str::to_owned),
            favourite: favourite.is_some(),
            rating: number(&rating)?.and_then(|rating| rating.try_into().ok()),
            downloads: number(&downloads)?.unwrap_or(0),
        },
        ytdlp: text(&ytdlp)?.and_then(|told| of_attempt(told, attempt_number)),
        // one that can't be read is no reason to show no job
        trace: text(&trace).ok().flatten().and_then(|text| text.parse().ok()),
    };
    let standing = Standing::of(small(&turn)?, small(&since)?, text(&newest)?, small(&changes)?, recorded)?;
    Ok(Viewed { id, job, standing })
}

/// The yt-dlp of an attempt. What is told of another one was left by a worker of before this was told, or that attempt did
/// not count.
fn of_attempt(told: &str, attempt: u32) -> Option<String> {
    let (number, version) = told.split_once(' ')?;
    (number.parse() == Ok(attempt) && !version.is_empty()).then(|| version.to_owned())
}

/// What became of the thumbnail that a result was said to get. A worker that died never says.
fn thumbnail(told: &str, result: &ObjectKey, now: Timestamp) -> Result<Thumbnail, StoreError> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| StoreError::Unreadable("a thumbnail"));
    if let Some(size) = told.strip_prefix('+') {
        let size_bytes = u64::try_from(number(size)?).map_err(|_| StoreError::Unreadable("a thumbnail"))?;
        return Ok(Thumbnail::There(Stored { object: result.thumbnail(), size_bytes }));
    }
    let until = Timestamp::from_millisecond(number(told)?).map_err(|_| StoreError::Unreadable("a thumbnail"))?;
    Ok(if until > now { Thumbnail::Coming { until } } else { Thumbnail::None })
}

fn after(from: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(from.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

/// Reads what `cmsgpack` makes of a list of texts and `false`, which is how Lua has what is not there. None: it is
/// something else.
fn unpack(view: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut rest = view;
    let fields = list(&mut rest)?;
    rest.is_empty().then_some(fields)
}

/// Reads one such list off the front.
pub(super) fn list<'a>(rest: &mut &'a [u8]) -> Option<Vec<Field<'a>>> {
    let count = match take(rest, 1)?[0] {
        small @ 0x90..=0x9f => usize::from(small & 0x0f),
        0xdc => length(take(rest, 2)?),
        _ => return None,
    };
    // no list says that it is longer than what is there
    (count <= rest.len()).then(|| (0..count).map(|_| item(rest)).collect())?
}

/// Reads one text, or `false`, off the front.
pub(super) fn item<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let bytes = match take(rest, 1)?[0] {
        0xc2 => return Some(None),
        short @ 0xa0..=0xbf => usize::from(short & 0x1f),
        0xd9 => length(take(rest, 1)?),
        0xda => length(take(rest, 2)?),
        0xdb => length(take(rest, 4)?),
        _ => return None,
    };
    Some(Some(take(rest, bytes)?))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn length(big_endian: &[u8]) -> usize {
    big_endian.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

pub(super) fn text<'a>(field: &Field<'a>) -> Result<Option<&'a str>, StoreError> {
    field.map(|bytes| std::str::from_utf8(bytes).map_err(|_| StoreError::Unreadable("a text field"))).transpose()
}

fn number(field: &Field<'_>) -> Result<Option<u64>, StoreError> {
    text(field)?.map(|text| text.parse().map_err(|_| StoreError::Unreadable("a number"))).transpose()
}

pub(super) fn small(field: &Field<'_>) -> Result<u32, StoreError> {
    let number = number(field)?.unwrap_or(0);
    u32::try_from(number).map_err(|_| StoreError::Unreadable("a counter"))
}

pub(super) fn time(field: &Field<'_>) -> Result<Option<Timestamp>, StoreError> {
    let Some(ms) = number(field)? else { return Ok(None) };
    let ms = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ms.map(Some).ok_or(StoreError::Unreadable("a time"))
}

fn json<T: DeserializeOwned>(field: &Field<'_>) -> Result<Option<T>, StoreError> {
    field.map(|bytes| serde_json::from_slice(bytes).map_err(|_| StoreError::Unreadable("a json field"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_as_it_was_packed_and_anything_else_refused() {
        // cmsgpack.pack({ 'ab', false, string.rep('c', 40), string.rep('d', 300) })
        let mut view = vec![0x94, 0xa2, b'a', b'b', 0xc2, 0xd9, 40];
        view.extend([b'c'; 40]);
        view.extend([0xda, 1, 44]);
        view.extend([b'd'; 300]);
        let fields = unpack(&view).unwrap();
        assert_eq!(fields, [Some(b"ab".as_slice()), None, Some(&[b'c'; 40]), Some(&[b'd'; 300])]);
        for cut in 0..view.len() {
            assert_eq!(unpack(&view[..cut]), None, "{cut}");
        }
        view.push(0);
        assert_eq!(unpack(&view), None);
        assert_eq!(unpack(&[0x91, 0x01]), None);
    }

    #[test]
    fn a_life_beyond_all_time_ends_with_it() {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(after(at(1_000), 500), at(1_500));
        assert_eq!(after(at(1_000), u64::MAX), Timestamp::MAX);
    }
}
