//! Output line by line, every buffer bounded.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: what the program answers.
    Stdout,
    /// Standard error: what it says about it.
    Stderr,
}

impl Stream {
    /// Bytes kept of one line.
    #[must_use]
    pub fn line_limit(self) -> usize {
        match self {
            // the JSON of a page with hundreds of formats is one line
            Self::Stdout => 8 << 20,
            Self::Stderr => 64 << 10,
        }
    }
}

/// One line, without its end. What is not UTF-8 is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it came from.
    pub from: Stream,
    /// The line, or its beginning.
    pub text: String,
    /// The line was longer than [`Stream::line_limit`]; the rest was dropped.
    pub cut: bool,
}

/// Splits a stream into lines. [`Lines::next`] may be dropped and called again without losing a byte.
pub(crate) struct Lines<R> {
    from: Stream,
    reader: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    /// The rest of a line that was cut is still to come.
    skips: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(from: Stream, stream: R) -> Self {
        Self { from, reader: BufReader::new(stream), limit: from.line_limit(), line: Vec::new(), skips: false }
    }

    /// Bytes kept of one line, instead of [`Stream::line_limit`].
    pub(crate) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The next line; `None` at the end. A stream that cannot be read has ended. A line that is too long is told as soon
    /// as that is known: it may have no end.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            let chunk = self.reader.fill_buf().await.unwrap_or_default();
            if chunk.is_empty() {
                return (!self.line.is_empty()).then(|| self.take(false));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let used = part.len() + usize::from(end.is_some());
            let room = if self.skips { 0 } else { self.limit - self.line.len() };
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let is_cut = !self.skips && part.len() > room;
            let is_whole = !self.skips && end.is_some();
            self.skips = (self.skips || is_cut) && end.is_none();
            self.reader.consume(used);
            if is_cut || is_whole {
                return Some(self.take(is_cut));
            }
        }
    }

    fn take(&mut self, cut: bool) -> Line {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
        Line { from: self.from, text, cut }
    }
}

/// The last lines of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail(String);

impl Tail {
    /// Bytes kept.
    const LIMIT: usize = 64 << 10;

    pub(crate) fn push(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
        if self.0.len() > Self::LIMIT {
            let cut = self.0.ceil_char_boundary(self.0.len() - Self::LIMIT);
            // whole lines, unless the last one alone is longer
            let cut = self.0[cut..self.0.len() - 1].find('\n').map_or(cut, |end| cut + end + 1);
            self.0.drain(..cut);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn split(limit: usize, bytes: &[u8]) -> Vec<(String, bool)> {
        let mut lines = Lines::new(Stream::Stdout, bytes);
        lines.limit = limit;
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push((line.text, line.cut));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_split_at_their_ends_and_cut_at_the_limit() {
        let whole = |text: &str| (text.to_owned(), false);
        let cut = |text: &str| (text.to_owned(), true);
        assert_eq!(split(9, b"").await, []);
        assert_eq!(split(9, b"one\n\ntwo\r\nthree").await, [whole("one"), whole(""), whole("two"), whole("three")]);
        assert_eq!(split(3, b"one\nfour\nsix").await, [whole("one"), cut("fou"), whole("six")]);
        assert_eq!(split(9, b"\xff!\n").await, [whole("\u{fffd}!")]);
    }

    #[tokio::test]
    async fn a_line_longer_than_the_read_buffer_is_one_line() {
        let long = vec![b'x'; 100_000];
        assert_eq!(split(100_000, &long).await, [("x".repeat(100_000), false)]);
        assert_eq!(split(99_999, &long).await, [("x".repeat(99_999), true)]);
        assert_eq!(split(3, &[&long[..], b"\nsix"].concat()).await, [("xxx".into(), true), ("six".into(), false)]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_told_when_it_is_too_long() {
        let (mut program, stream) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut program, b"endless").await.expect("it has room");
        let mut lines = Lines::new(Stream::Stdout, stream).limit(3);
        assert_eq!(lines.next().await.map(|line| (line.text, line.cut)), Some(("end".to_owned(), true)));
    }

    #[test]
    fn a_tail_keeps_the_last_whole_lines() {
        let mut tail = Tail::default();
        for number in 0..20_000 {
            tail.push(&format!("line {number}"));
        }
        assert!(tail.as_str().len() <= Tail::LIMIT);
        assert!(tail.as_str().starts_with("line "));
        assert!(tail.as_str().ends_with("line 19999\n"));
        tail.push(&"é".repeat(Tail::LIMIT));
        assert!(tail.as_str().len() <= Tail::LIMIT);
    }
}
