//! What a program sends, as the HTTP library gets to see it: only heads that were read strictly, each with its body.
//!
//! A head that is malformed, or that wants a tunnel, is the end of what is passed on; whoever has the connection then
//! asks which it was.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use url::Host;

use super::head::{self, Asks, Malformed};

/// Read at once while a head is awaited.
const READ_BYTES: usize = 4096;

/// A connection of a program.
pub(super) struct Strict {
    socket: TcpStream,
    /// Read, and not passed on yet.
    held: BytesMut,
    /// So many of them were read as a head, and it was not whole.
    before: usize,
    /// Bytes that may pass without being looked at: those of a head that was read, and of its body.
    free: u64,
    end: Option<End>,
}

/// Why no more is passed on.
#[derive(Debug)]
pub(super) enum End {
    /// A tunnel is wanted.
    Tunnel { host: Host<String>, port: u16 },
    /// Nobody can be sure what was meant.
    Malformed(Malformed),
}

impl Strict {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, held: BytesMut::new(), before: 0, free: 0, end: None }
    }

    /// The connection, what was read of it and not passed on, and why; `None`: the program closed it.
    pub(super) fn into_parts(self) -> (TcpStream, Bytes, Option<End>) {
        (self.socket, self.held.freeze(), self.end)
    }

    /// Reads on until there is something that may pass, or nothing more will.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.free == 0 && self.end.is_none() {
            match head::read_on(&self.held, mem::replace(&mut self.before, 0)) {
                Ok(Some(head)) => match head.asks {
                    Asks::Http { body } => self.free = head.bytes as u64 + body,
                    Asks::Tunnel { host, port } => {
                        self.held.advance(head.bytes);
                        self.end = Some(End::Tunnel { host, port });
                    }
                },
                Ok(None) => {
                    self.before = self.held.len();
                    let mut room = [0; READ_BYTES];
                    let mut buffer = ReadBuf::new(&mut room);
                    ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        break;
                    }
                    self.held.extend_from_slice(buffer.filled());
                }
                Err(malformed) => self.end = Some(End::Malformed(malformed)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Strict {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        let most = usize::try_from(this.free).unwrap_or(usize::MAX).min(buffer.remaining());
        if most == 0 {
            return Poll::Ready(Ok(()));
        }
        let passed = if this.held.is_empty() {
            let mut rest = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut rest))?;
            let bytes = rest.filled().len();
            buffer.advance(bytes);
            bytes
        } else {
            let bytes = most.min(this.held.len());
            buffer.put_slice(&this.held.split_to(bytes));
            bytes
        };
        this.free -= passed as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Strict {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Empty};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::guard::head::Head;

    /// A question as a reader understands it; `None` for a body that ends too early.
    #[derive(Debug, PartialEq, Eq)]
    struct Question {
        line: String,
        headers: Vec<(String, Vec<u8>)>,
        body: Option<Vec<u8>>,
    }

    /// As the strict reader has it: where each head and its body end. Of what stands between, nothing is left to taste.
    fn read_strictly(mut bytes: &[u8]) -> Vec<Question> {
        let mut questions = Vec::new();
        while let Ok(Some(Head { bytes: end, asks: Asks::Http { body } })) = head::read(bytes) {
            let text = std::str::from_utf8(&bytes[..end - 4]).expect("a head is text");
            let (line, headers) = text.split_once("\r\n").unwrap_or((text, ""));
            let header = |line: &str| {
                let (name, value) = line.split_once(':').expect("a header");
                (name.to_lowercase(), value.trim_matches([' ', '\t']).into())
            };
            let mut headers: Vec<_> = headers.split_terminator("\r\n").map(header).collect();
            headers.sort();
            let (own, behind) = bytes[end..].split_at(bytes.len().saturating_sub(end).min(body as usize));
            let body = (own.len() as u64 == body).then(|| own.to_vec());
            questions.push(Question { line: line.to_owned(), headers, body });
            bytes = behind;
        }
        questions
    }

    /// As the HTTP library has it behind the strict reader.
    async fn read_by_the_library(bytes: &[u8]) -> Vec<Question> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut program = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("listens");
        let (socket, _) = listener.accept().await.expect("connected");
        let questions = Mutex::new(Vec::new());
        let service = service_fn(async |question: Request<Incoming>| {
            let (head, body) = question.into_parts();
            let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                (name.as_str().to_owned(), value.as_bytes().to_vec())
            };
            let mut headers: Vec<_> = head.headers.iter().map(header).collect();
            headers.sort();
            let line = format!("{} {} {:?}", head.method, head.uri, head.version);
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            questions.lock().expect("no panic").push(Question { line, headers, body });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        // all that was said is answered, though nothing more comes behind it
        let mut library = http1::Builder::new();
        let conversation = library.half_close(true).serve_connection(TokioIo::new(Strict::new(socket)), service);
        let said = async {
            let _ = program.write_all(bytes).await;
            let _ = program.shutdown().await;
            let _ = tokio::io::copy(&mut program, &mut tokio::io::sink()).await;
        };
        let ended = async { tokio::join!(conversation, said).0 };
        // that it ends with an error is in order: what came is compared
        let _ = timeout(Duration::from_secs(20), ended).await.expect("it ends");
        questions.into_inner().expect("no panic")
    }

    fn both(bytes: &[u8]) -> (Vec<Question>, Vec<Question>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        (read_strictly(bytes), runtime.block_on(read_by_the_library(bytes)))
    }

    #[test]
    fn questions_behind_each_other_are_all_passed_on_as_they_were_meant() {
        let (strict, library) = both(
            b"GET http://a.example/x?y=%20 HTTP/1.1\r\nHost: b\r\nX:\t c d \r\nX: e\r\n\r\n\
              POST http://a.example/ HTTP/1.1\r\nContent-Length: 37\r\n\r\nGET http://hidden.example/ HTTP/1.1\r\n\
              GET http://a.example/z HTTP/1.1\r\n\r\nCONNECT a.example:443 HTTP/1.1\r\n\r\nGET http://a/ HTTP/1.1\r\n\r\n",
        );
        assert_eq!(strict, library);
        assert_eq!(library.len(), 3);
    }

    proptest! {
        /// Whatever is accepted is understood by the library as it was here: the same method, address, headers and bytes of
        /// a body, and no question more.
        #[test]
        fn the_library_reads_no_question_but_those_that_were_read_strictly(
            questions in proptest::collection::vec((
                "(GET|POST|PUT|HEAD|OPTIONS|CONNECT|get|G\u{0}) ?http://(a|a:80|u@a|\\[::1\\])/[a-z%?&;=\\\\]{0,4} HTTP/1\\.[01]",
                proptest::collection::vec(
                    "(Content-Length|content-length|Host|Transfer-Encoding|Connection|Expect|Upgrade|X-[a-z]{1,3}|X ?): ?\
                     ([0-9]{1,2}|\\+3|0x2|chunked|keep-alive|close|100-continue|[ -~\t]{0,6}|[a-z]\r?\n [a-z])",
                    0..4,
                ),
                "[a-zGET0-9 \r\n]{0,12}",
            ), 1..4),
        ) {
            let text = |(line, headers, body): &(String, Vec<String>, String)| {
                format!("{line}\r\n{}\r\n{body}", headers.iter().map(|header| format!("{header}\r\n")).collect::<String>())
            };
            let bytes = questions.iter().map(text).collect::<String>();
            let (strict, library) = both(bytes.as_bytes());
            prop_assert!(library.len() <= strict.len(), "{:?}: {:?}", bytes, library);
            for (strict, library) in strict.iter().zip(&library) {
                prop_assert_eq!(strict, library, "{:?}", bytes);
            }
        }
    }
}
