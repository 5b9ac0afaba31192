//! Which Python runs a yt-dlp program.
//!
//! The script of a package and a zip file with code say it in their first line. Anything else (a program made whole, a
//! script of somebody's own) is run as it is, by the plain command line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::sandbox::libraries_beside;
use crate::ytdlp::PATH;

/// Bytes of a program that are looked at.
const BEGINNING: u64 = 8 << 10;

/// The interpreter of this program, by absolute path; `None`: it is no Python program of yt-dlp.
///
/// # Errors
/// When the program cannot be read.
pub(in crate::ytdlp) fn of(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut beginning = Vec::new();
    File::open(program)?.take(BEGINNING).read_to_end(&mut beginning)?;
    Ok(named(&beginning).and_then(|name| found(&name)))
}

/// What a program of this interpreter is made of: that one with its modules, of a virtual environment also those it
/// stands on. Not the whole of a prefix: that may be somebody's home.
pub(in crate::ytdlp) fn places(python: &Path) -> Vec<PathBuf> {
    let real = python.canonicalize().ok();
    let standing: Vec<_> = [Some(python.to_owned()), real].into_iter().flatten().collect();
    let settings = standing.iter().filter_map(|python| Some(python.parent()?.parent()?.join("pyvenv.cfg")));
    let libraries = standing.iter().flat_map(|python| libraries_beside(python));
    settings.chain(libraries).chain(standing.iter().cloned()).collect()
}

/// A path, or a bare name.
fn named(program: &[u8]) -> Option<String> {
    let end = program.iter().position(|byte| *byte == b'\n')?;
    let (first, rest) = (std::str::from_utf8(&program[..end]).ok()?, &program[end + 1..]);
    let is_zip = rest.starts_with(b"PK\x03\x04");
    let text = String::from_utf8_lossy(rest);
    if !is_zip && !text.contains("yt_dlp") {
        return None;
    }
    let mut words = first.strip_prefix("#!")?.split_ascii_whitespace();
    let program = words.next()?;
    let python = match Path::new(program).file_name()?.to_str()? {
        "env" => words.find(|word| !word.starts_with('-'))?,
        // a path that is too long for a first line, or has spaces: pip writes it into the second one
        "sh" => text.strip_prefix("'''exec' ")?.split_once(" \"$0\"")?.0.trim_matches('"'),
        _ => program,
    };
    let is_python = Path::new(python).file_name()?.to_str()?.starts_with("python");
    is_python.then(|| python.to_owned())
}

fn found(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute());
    }
    PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter_of_a_python_program() {
        let import = "\nimport re\nfrom yt_dlp import main\n";
        for (beginning, python) in [
            (format!("#!/opt/ytdlp/bin/python3{import}"), Some("/opt/ytdlp/bin/python3")),
            (format!("#!/opt/ytdlp/bin/python3.12 -s{import}"), Some("/opt/ytdlp/bin/python3.12")),
            (format!("#!/usr/bin/env python3{import}"), Some("python3")),
            (format!("#!/usr/bin/env -S python3 -I{import}"), Some("python3")),
            ("#!/usr/bin/env python3\nPK\u{3}\u{4}rest".to_owned(), Some("python3")),
            (format!("#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''{import}"), Some("/a b/python3")),
            (format!("#!/bin/sh\n'''exec' /long/python3 \"$0\" \"$@\"\n' '''{import}"), Some("/long/python3")),
            ("#!/bin/sh\nexec python3 -m yt_dlp\n".to_owned(), None),
            ("#!/usr/bin/env python3\nprint('a stand-in')\n".to_owned(), None),
            ("\u{7f}ELF\u{2}\nyt_dlp".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(named(beginning.as_bytes()).as_deref(), python, "{beginning}");
        }
    }
}
