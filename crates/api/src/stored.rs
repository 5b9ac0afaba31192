//! Bytes of the store on their way to a client. Not here: which bytes, and under which name (`routes::files`, `playlist::zip`).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::time::timeout;

/// How long the store may take over one chunk.
const CHUNK: Duration = Duration::from_secs(30);

/// The bytes as they come. A store that stops sending ends them with an error, so that no client waits for ever.
pub fn in_time(body: BoxStream<'static, io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(body, |mut body| async move {
        let chunk = match timeout(CHUNK, body.next()).await {
            Ok(chunk) => chunk?,
            Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
        };
        Some((chunk, body))
    })
}
