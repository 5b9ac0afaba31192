//! One part of an upload on its way, and what becomes of it when nobody waits for it any more.
//!
//! A store that has all bytes of a part may still keep it after the upload was aborted: "if any part uploads are currently in
//! progress, those part uploads might or might not succeed" (`AbortMultipartUpload`), and such a part is paid for until the
//! bucket's rule for incomplete uploads finds it. So a part that is given up is cut off where the connection has not taken all
//! of it, which makes it none; where it has, its answer is waited for, and the abort waits for that. A store that takes longer
//! than [`LAST_ANSWER_WITHIN`] is left to the bucket's rule; as long, at most, the bytes of such a part stay in memory.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::storage::StorageError;

/// For the answer to a part that was taken whole and that nobody waits for. Who stops the process waits for it too.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What is known of a part's body: these two, in one word, for the connection and who gives up meet there.
#[derive(Debug, Clone, Default)]
pub(super) struct Passage(Arc<AtomicU8>);

/// The connection has taken its last byte.
const TAKEN: u8 = 1;
/// Nobody waits for the answer.
const GIVEN_UP: u8 = 2;

impl Passage {
    /// The same body, watched. Asked for again, it begins anew; given up, it breaks off.
    pub(super) fn watch(&self, body: ByteStream) -> ByteStream {
        let passage = self.clone();
        ByteStream::new(body.into_inner().map(move |body| {
            passage.0.fetch_and(!TAKEN, Ordering::AcqRel);
            SdkBody::from_body_1_x(Watched { body, passage: passage.clone() })
        }))
    }

    /// Nothing more is given to the connection. Whether it has taken everything.
    fn give_up(&self) -> bool {
        self.0.fetch_or(GIVEN_UP, Ordering::AcqRel) & TAKEN != 0
    }

    fn is_cut_off(&self) -> bool {
        self.0.load(Ordering::Acquire) == GIVEN_UP
    }

    /// It takes the last byte, if it still may.
    fn take(&self) -> bool {
        self.0.fetch_or(TAKEN, Ordering::AcqRel) != GIVEN_UP
    }
}

/// Sends a part, to its end or until it is given up.
///
/// # Errors
/// As `call` says. [`StorageError::Unavailable`] for what was given up, which nobody hears.
pub(super) async fn send<T>(
    call: impl Future<Output = Result<T, StorageError>>,
    passage: Passage,
    given_up: CancellationToken,
) -> Result<T, StorageError> {
    let mut call = pin!(call);
    if let Some(answer) = given_up.run_until_cancelled(&mut call).await {
        return answer;
    }
    let cut_off = Err(StorageError::Unavailable("given up".into()));
    if passage.give_up() { timeout(LAST_ANSWER_WITHIN, call).await.unwrap_or(cut_off) } else { cut_off }
}

struct Watched {
    body: SdkBody,
    passage: Passage,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = aws_sdk_s3::error::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let broken_off = || Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())));
        if self.passage.is_cut_off() {
            return broken_off();
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_last = matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        if is_last && !self.passage.take() { broken_off() } else { frame }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A body of one frame, and how far it came.
    fn body() -> (SdkBody, Passage) {
        let passage = Passage::default();
        (passage.watch(ByteStream::from_static(b"all of it")).into_inner(), passage)
    }

    fn frame(body: &mut SdkBody) -> Option<bool> {
        let polled = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never();
        polled.expect("it is in memory").map(|frame| frame.is_ok())
    }

    /// How long it takes until a part that is given up at once is over, and what came of it.
    async fn given_up(taken: bool, answers_after: Duration) -> (Duration, bool) {
        let (mut body, passage) = body();
        if taken {
            assert_eq!(frame(&mut body), Some(true));
        }
        let (began, token) = (Instant::now(), CancellationToken::new());
        token.cancel();
        let call = async {
            sleep(answers_after).await;
            Ok(())
        };
        let answer = send(call, passage, token).await;
        (began.elapsed(), answer.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_given_up_part_is_waited_for_only_where_all_of_it_was_taken() {
        assert_eq!(given_up(false, LAST_ANSWER_WITHIN / 2).await, (Duration::ZERO, false));
        assert_eq!(given_up(true, LAST_ANSWER_WITHIN / 2).await, (LAST_ANSWER_WITHIN / 2, true));
        assert_eq!(given_up(true, LAST_ANSWER_WITHIN * 2).await, (LAST_ANSWER_WITHIN, false));
    }

    #[test]
    fn a_part_that_is_given_up_hands_out_no_last_byte_and_is_not_sent_again() {
        let (mut cut, passage) = body();
        assert!(!passage.give_up());
        assert_eq!(frame(&mut cut), Some(false));

        let (mut taken, passage) = body();
        assert_eq!(frame(&mut taken), Some(true));
        let mut again = taken.try_clone().expect("it can be sent again");
        assert_eq!(frame(&mut again), Some(true), "the first attempt failed");
        assert!(passage.give_up());
        let mut again = taken.try_clone().expect("it can be sent again");
        assert_eq!(frame(&mut again), Some(false));
    }
}
