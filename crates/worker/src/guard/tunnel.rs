//! A tunnel (`CONNECT`, RFC 9110 §9.3.6): bytes go both ways, and nobody here knows what they mean.
//!
//! A tunnel that nobody asks anything is kept open, as its program likes to have it. One whose program has sent something
//! and gets nothing, or too little, for half a minute is too slow.

use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::pace::Pace;
use super::{Guard, Refusal, Stream};

/// Passed on at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Between two looks at a tunnel through which nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For a program to take the last bytes.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Who waits for whom.
struct Waiting {
    pace: Pace,
    /// The program was the last to speak.
    is_asked: bool,
}

impl Waiting {
    /// The program says something: whatever was before, it has the whole time for its answer.
    fn asks(&mut self) {
        self.pace.begins_anew();
        self.pace.waits();
        self.is_asked = true;
    }

    /// Nothing has come yet. Is it asked, and for too long?
    fn is_in_vain(&mut self) -> bool {
        let end = self.pace.waits();
        self.is_asked && Instant::now() >= end
    }

    /// Whoever hangs up now wants nothing more; or has waited for long.
    fn was_in_vain(&self) -> bool {
        self.is_asked && self.pace.is_awaited_in_vain()
    }
}

/// Passes bytes until one side ends, `early` of the program's first.
pub(super) async fn pass(guard: &Guard, client: TcpStream, early: &Bytes, server: Stream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    to_server.write_all(early).await?;
    let waiting = Mutex::new(Waiting { pace: Pace::new(), is_asked: !early.is_empty() });
    let waiting = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let up = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let bytes = from_client.read(&mut piece).await?;
            if bytes == 0 {
                return Ok(());
            }
            waiting().asks();
            to_server.write_all(&piece[..bytes]).await?;
        }
    };
    let down = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if waiting().is_in_vain() {
                return Err(slow(guard));
            }
            let Ok(bytes) = timeout(LOOK_EVERY, from_server.read(&mut piece)).await else { continue };
            let bytes = bytes?;
            let is_too_slow = {
                let mut waiting = waiting();
                if mem::take(&mut waiting.is_asked) && bytes > 0 {
                    guard.note_answer();
                }
                waiting.pace.is_too_slow_in_tunnel_after(bytes as u64)
            };
            if bytes == 0 {
                return to_client.shutdown().await;
            }
            if is_too_slow {
                return Err(slow(guard));
            }
            to_client.write_all(&piece[..bytes]).await?;
        }
    };
    let ended: io::Result<bool> = tokio::select! {
        ended = up => ended.map(|()| true),
        ended = down => ended.map(|()| false),
    };
    if ended? {
        if waiting().was_in_vain() {
            guard.refuse(Refusal::Slow);
        }
        return Ok(());
    }
    // closed with something unread, a connection is reset, and what the program has not read yet is lost
    let _ = timeout(TAKEN_WITHIN, tokio::io::copy(&mut from_client, &mut tokio::io::sink())).await;
    Ok(())
}

fn slow(guard: &Guard) -> io::Error {
    guard.refuse(Refusal::Slow);
    io::Error::other(Refusal::Slow)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Fault: a tunnel that was idle for half a minute and then asked was held against the end of its idle time.
    #[tokio::test(start_paused = true)]
    async fn a_tunnel_that_is_asked_after_an_idle_time_has_half_a_minute_for_its_answer() {
        let mut waiting = Waiting { pace: Pace::new(), is_asked: false };
        assert!(!waiting.is_in_vain());
        advance(Duration::from_secs(29)).await;
        waiting.asks();
        for seconds in [0, 4, 25] {
            advance(Duration::from_secs(seconds)).await;
            assert!(!waiting.is_in_vain());
        }
        assert!(waiting.was_in_vain());
        advance(Duration::from_secs(1)).await;
        assert!(waiting.is_in_vain());
    }
}
