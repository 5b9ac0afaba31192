//! Lines that say what they seem to say: what strangers call their media must not turn, hide or forge any of it.
//!
//! An event comes as one write. In it the formats have escaped what is a control to them; what is left of such characters
//! is escaped here, line ends within it among them.

use std::fmt::Write as _;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;
use crate::unseen::is_unseen;

/// Makes writers that escape for another's.
pub(super) struct Escaping<M> {
    pub(super) inner: M,
    pub(super) format: LogFormat,
    /// The format itself writes escape characters.
    pub(super) colours: bool,
}

/// Writes one event.
pub(super) struct Line<W> {
    inner: W,
    format: LogFormat,
    colours: bool,
}

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Escaping<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Line { inner: self.inner.make_writer(), format: self.format, colours: self.colours }
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match escaped(event, self.format, self.colours) {
            Some(line) => self.inner.write_all(line.as_bytes())?,
            None => self.inner.write_all(event)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// `None`: there is nothing to escape.
fn escaped(event: &[u8], format: LogFormat, colours: bool) -> Option<String> {
    let text = String::from_utf8_lossy(event);
    let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
    let is_meant = |c: char| c == '\t' || (colours && c == '\u{1b}');
    let goes = |c: char| is_unseen(c) && !is_meant(c);
    if !line.contains(goes) {
        return None;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in line.chars() {
        match format {
            _ if !goes(c) => safe.push(c),
            LogFormat::Text => safe.extend(c.escape_default()),
            // in JSON such a character only stands within a string
            LogFormat::Json => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(safe, "\\u{unit:04x}").expect("a string takes all");
                }
            }
        }
    }
    Some(safe + end)
}
