//! One part of an upload on its way, and what becomes of it when nobody waits for it any more.
//!
//! A store that has all bytes of a part may still keep it after the upload was aborted: "if any part uploads are currently in
//! progress, those part uploads might or might not succeed" (`AbortMultipartUpload`), and such a part is paid for until the
//! bucket's rule for incomplete uploads finds it. So a part that is given up is cut off where bytes are missing, which makes
//! it none; where none is missing, its answer is waited for, and the abort waits for that.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::storage::StorageError;

/// For the answer to a part that is wholly sent and that nobody waits for.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Whether all bytes of a body were handed to the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Handed(Arc<AtomicBool>);

impl Handed {
    /// The same body, watched; when it is asked for again, from its first byte.
    pub(super) fn watch(&self, body: ByteStream) -> ByteStream {
        let handed = self.clone();
        ByteStream::new(body.into_inner().map(move |body| {
            handed.0.store(false, Ordering::Relaxed);
            SdkBody::from_body_1_x(Watched { body, handed: handed.clone() })
        }))
    }

    fn is_all(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sends a part, to its end or until it is given up.
///
/// # Errors
/// As `call` says. [`StorageError::Unavailable`] for what was given up, which nobody hears.
pub(super) async fn sent<T>(
    call: impl Future<Output = Result<T, StorageError>>,
    handed: Handed,
    given_up: CancellationToken,
) -> Result<T, StorageError> {
    let mut call = pin!(call);
    if let Some(answer) = given_up.run_until_cancelled(&mut call).await {
        return answer;
    }
    let cut_off = Err(StorageError::Unavailable("given up".into()));
    if handed.is_all() { timeout(LAST_ANSWER_WITHIN, call).await.unwrap_or(cut_off) } else { cut_off }
}

struct Watched {
    body: SdkBody,
    handed: Handed,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.handed.0.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
