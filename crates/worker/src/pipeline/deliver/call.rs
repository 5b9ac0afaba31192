//! An upload in one call, for what comes quickly and is taken quickly.
//!
//! Parts use several connections of a store, and can be sent again. But a store that is near takes as much over one connection as
//! it can take at all, and has to put parts together when the last has come: some copy every byte for that. Which it is
//! shows with the first bytes, while they are still held.

use std::time::Duration;

use bytes::Bytes;
use haul_shared::storage::{Intake, ObjectKey, Sending, StorageError};
use tokio::time::{Instant, timeout};

/// So many bytes have to come, and then to be taken, ...
const TRIAL_BYTES: u64 = 8 << 20;
/// ... within this each time: 64 MiB/s. Of a line of 1 Gbit/s two connections could not take more.
const TRIAL: Duration = Duration::from_millis(125);
/// What breaks has to be fetched again: no more than this goes in one call, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// Whether bytes come quickly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// As far as can be seen.
    Perhaps,
    Yes,
    No,
}

/// Looks at how the first bytes come.
#[derive(Debug)]
pub(super) struct Look {
    may_be: bool,
    began: Option<Instant>,
}

impl Look {
    /// Of so many bytes; `may_be`: one call is an option.
    pub(super) fn new(size_bytes: Option<u64>, may_be: bool) -> Self {
        Self { may_be: may_be && size_bytes.is_some_and(|bytes| bytes <= MOST_BYTES), began: None }
    }

    /// So many bytes have come.
    pub(super) fn came(&mut self, bytes: u64) -> Haste {
        let began = *self.began.get_or_insert_with(Instant::now);
        match bytes {
            _ if !self.may_be || began.elapsed() > TRIAL => Haste::No,
            TRIAL_BYTES.. => Haste::Yes,
            _ => Haste::Perhaps,
        }
    }
}

/// One call on its way.
pub(super) struct Call(Sending);

impl Call {
    /// Begins with what came first. `None`: it is not taken quickly, and nothing of it is left in the store.
    pub(super) async fn begin(
        intake: &Intake,
        (key, content_type): (&ObjectKey, &str),
        size_bytes: u64,
        first: &[Bytes],
    ) -> Option<Self> {
        let mut sending = intake.send(key, size_bytes, content_type);
        let taken = timeout(TRIAL, async {
            let mut given = 0;
            for bytes in first {
                given += bytes.len() as u64;
                sending.push(bytes.clone()).await?;
            }
            sending.has_taken(given).await
        });
        let is_taken = matches!(taken.await, Ok(Ok(())));
        is_taken.then_some(Self(sending))
    }

    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.0.push(bytes).await
    }

    pub(super) async fn finish(self) -> Result<(), StorageError> {
        self.0.finish().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_come_quickly_when_the_first_of_them_do() {
        const MIB: u64 = 1 << 20;
        for (size, may_be, after_ms, haste) in [
            (Some(100 * MIB), true, 120, Haste::Yes),
            (Some(100 * MIB), true, 130, Haste::No),
            (Some(100 * MIB), false, 0, Haste::No),
            (Some(2000 * MIB), true, 0, Haste::No),
            (None, true, 0, Haste::No),
        ] {
            let mut look = Look::new(size, may_be);
            let first = look.came(MIB);
            assert_eq!(first == Haste::Perhaps, may_be && size.is_some_and(|size| size < 1000 * MIB));
            advance(Duration::from_millis(after_ms)).await;
            assert_eq!(look.came(9 * MIB), haste, "{size:?} after {after_ms} ms");
        }
    }
}
