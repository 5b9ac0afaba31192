//! The least pace of one connection: 1 KiB/s over half a minute in which somebody waited for its bytes.
//!
//! Only waiting counts: a connection that nobody asks anything, or whose reader is slow, is not slow itself.

use std::time::Duration;

use tokio::time::Instant;

/// Over so long a wait, all pauses together.
const WINDOW: Duration = Duration::from_secs(30);
/// So many bytes have to come.
const LEAST_BYTES: u64 = 30 << 10;
/// More than this of one pause does not count in a tunnel: nobody can tell there whether anything is awaited, and a
/// connection that is kept open may be closed with some last bytes minutes later.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Whoever waits for an origin, and gets not one byte, hangs up after about 15 s (yt-dlp's `--socket-timeout`): half a minute
/// is never seen.
const IN_VAIN: Duration = Duration::from_secs(10);

/// How one connection keeps pace.
#[derive(Debug)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
    since: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { waited: Duration::ZERO, bytes: 0, since: None }
    }

    /// Somebody waits from now on. Until when, if nothing comes, it is too slow.
    pub(super) fn waits(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now) + WINDOW.saturating_sub(self.waited)
    }

    /// Has it been waited for so long that whoever hangs up now has waited in vain?
    pub(super) fn is_awaited_in_vain(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= IN_VAIN)
    }

    /// Bytes have come, or the time is over: is it too slow?
    pub(super) fn is_too_slow_after(&mut self, bytes: u64) -> bool {
        let paused = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.count(paused, bytes)
    }

    /// The same in a tunnel.
    pub(super) fn is_too_slow_in_tunnel_after(&mut self, bytes: u64) -> bool {
        let paused = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.count(paused.min(LONGEST_PAUSE), bytes)
    }

    /// Something else is asked: the pace of what came before is no matter any more.
    pub(super) fn begins_anew(&mut self) {
        *self = Self::new();
    }

    fn count(&mut self, paused: Duration, bytes: u64) -> bool {
        self.waited += paused;
        self.bytes += bytes;
        if self.waited < WINDOW {
            return false;
        }
        let is_too_slow = self.bytes < LEAST_BYTES;
        self.begins_anew();
        is_too_slow
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Seconds until it is too slow, where so many bytes come after each pause; at most an hour.
    async fn too_slow_after(pause: u64, bytes: u64, in_tunnel: bool) -> Option<u64> {
        let (mut pace, began) = (Pace::new(), Instant::now());
        while began.elapsed() < Duration::from_secs(3600) {
            let end = pace.waits();
            let pause = Duration::from_secs(pause);
            let is_slow = if !in_tunnel && Instant::now() + pause >= end {
                advance(end - Instant::now()).await;
                pace.is_too_slow_after(0)
            } else {
                advance(pause).await;
                if in_tunnel { pace.is_too_slow_in_tunnel_after(bytes) } else { pace.is_too_slow_after(bytes) }
            };
            if is_slow {
                return Some(began.elapsed().as_secs());
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn what_brings_less_than_a_kibibyte_a_second_is_too_slow_after_half_a_minute() {
        for in_tunnel in [false, true] {
            assert_eq!(too_slow_after(1, 1, in_tunnel).await, Some(30));
            assert_eq!(too_slow_after(5, 1024, in_tunnel).await, Some(30));
            assert_eq!(too_slow_after(1, 1100, in_tunnel).await, None);
        }
        assert_eq!(too_slow_after(100, 1 << 20, false).await, Some(30), "nothing for so long");
        let mut pace = Pace::new();
        pace.waits();
        advance(Duration::from_secs(20)).await;
        assert!(!pace.is_too_slow_after(1));
        pace.begins_anew();
        pace.waits();
        advance(Duration::from_secs(20)).await;
        assert!(!pace.is_too_slow_after(1), "it is another question");
    }

    #[tokio::test(start_paused = true)]
    async fn last_words_of_a_tunnel_that_was_kept_open_are_not_slow() {
        let mut pace = Pace::new();
        for (pause, bytes) in [(1, 2000), (600, 24)] {
            pace.waits();
            advance(Duration::from_secs(pause)).await;
            assert!(!pace.is_too_slow_in_tunnel_after(bytes));
        }
    }
}
