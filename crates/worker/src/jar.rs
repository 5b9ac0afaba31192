//! Jars: the cookies of an operator for a site, one file in `HAUL_COOKIES_DIR` for each, as browsers export them.
//!
//! A jar is read when a job begins, so that a file that was replaced counts from the next job on, and never written. What a
//! job gets is a copy made anew of the lines for the jar's own site: nothing else of the file, its form included, reaches a
//! program, which would quote what it cannot read. No cookie is ever in a log line, an error or a command line.
//!
//! Not here: which jar an order may use (`shared::cookies`), and to which hosts a cookie goes (yt-dlp's jar, and
//! `origin::Cookies` for what we fetch ourselves).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use haul_shared::cookies::Cookies;
use haul_shared::job::{Failure, FailureKind};
use haul_shared::site::SiteName;
use haul_shared::source::SourceUrl;
use rustix::fs::OFlags;
use secrecy::{ExposeSecret as _, SecretString};
use url::Host;

use crate::{origin, scratch};

/// Bytes of the longest file: some thousands of cookies.
const LONGEST_FILE: u64 = 1 << 20;
/// Files of the directory that are looked at.
const MOST_FILES: usize = 1000;
/// The first line, by which yt-dlp knows the form.
const HEADER: &str = "# Netscape HTTP Cookie File\n";
/// Marks a cookie that scripts of a page do not see, which here is nobody's concern.
const HTTP_ONLY: &str = "#HttpOnly_";

/// The cookies that a job may use. A clone shares them.
#[derive(Clone)]
pub struct Jar(Arc<SecretString>);

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jar")
    }
}

/// The jars of a worker.
#[derive(Debug, Clone, Default)]
pub struct Jars(Option<PathBuf>);

/// Why a jar is of no use. No message holds anything of the file.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("is no file")]
    NoFile,
    #[error("has more than {LONGEST_FILE} bytes")]
    TooLong,
    #[error("is not text in UTF-8")]
    NoText,
    #[error("could be written by others: its mode has to be 0600, or at most 0644")]
    Writable,
    #[error("has no cookie of its site")]
    Empty,
}

impl Jars {
    /// Those in this directory; `None`: there are none.
    #[must_use]
    pub fn in_dir(dir: Option<PathBuf>) -> Self {
        Self(dir)
    }

    /// The jar that an order for this address may use, if it may use any.
    ///
    /// # Errors
    /// `login_required`: the jar that the order names is not there, or the one that is there is of no use. To ask the site
    /// without it would give another result than the order is for.
    pub async fn open(&self, cookies: &Cookies, url: &SourceUrl) -> Result<Option<Jar>, Failure> {
        let (names, is_needed): (Vec<_>, _) = match cookies {
            Cookies::None => return Ok(None),
            Cookies::Jar(name) if name.covers(&url.host()) => (vec![name.clone()], true),
            Cookies::Jar(name) => return Err(no_jar(name, "is for another site")),
            Cookies::Any => (SiteName::of_host(&url.host()).collect(), false),
        };
        let Some(dir) = self.0.clone() else {
            return if is_needed {
                Err(no_jar(&names[0], "is not there: HAUL_COOKIES_DIR is not set"))
            } else {
                Ok(None)
            };
        };
        let found = scratch::off_runtime(move || {
            let found = names.iter().map(|name| (name.clone(), read(&dir, name)));
            let first =
                found.into_iter().find(|(_, jar)| !matches!(jar, Err(Unfit::Unreadable(error)) if is_absent(error)));
            Ok(first.ok_or(names))
        });
        match found.await.map_err(|error| scratch::failure(&error))? {
            Ok((_, Ok(jar))) => Ok(Some(jar)),
            // it may be of use the next time
            Ok((_, Err(Unfit::Unreadable(error)))) if error.kind() != io::ErrorKind::PermissionDenied => {
                Err(scratch::failure(&error))
            }
            Ok((name, Err(unfit))) => Err(no_jar(&name, &chain(&unfit))),
            Err(names) if is_needed => Err(no_jar(&names[0], "is not there")),
            Err(_) => Ok(None),
        }
    }
}

/// A file of the directory, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub file: String,
    /// Why it is no jar that a job could use.
    pub unfit: Option<String>,
    /// Others on this machine can read it.
    pub is_exposed: bool,
}

impl Jars {
    /// Looks at all files of the directory, at most a thousand of them. Blocks.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn look(&self) -> io::Result<Vec<Seen>> {
        let Some(dir) = &self.0 else { return Ok(Vec::new()) };
        let seen = |entry: fs::DirEntry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            let name = file.strip_suffix(".txt").and_then(|name| name.parse::<SiteName>().ok());
            let unfit = match name {
                Some(name) => read(dir, &name).err().map(|unfit| chain(&unfit)),
                None => Some("is not called after a site, such as video.example.txt".to_owned()),
            };
            let is_exposed = fs::metadata(entry.path()).is_ok_and(|about| is_exposed(about.mode()));
            Seen { file, unfit, is_exposed }
        };
        let mut found: Vec<_> = fs::read_dir(dir)?.take(MOST_FILES).flatten().map(seen).collect();
        found.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(found)
    }
}

impl Jar {
    /// Its cookies, for what we ask ourselves.
    #[must_use]
    pub fn cookies(&self) -> origin::Cookies {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        origin::Cookies::of_jar(self.0.expose_secret(), now.as_secs())
    }

    /// Writes it into a new file that nobody else can read, in the place of one that is there.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn put(&self, file: PathBuf) -> io::Result<()> {
        let jar = self.clone();
        scratch::off_runtime(move || {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            // never through a link that a program has left there
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(file)?;
            file.write_all(jar.0.expose_secret().as_bytes())
        })
        .await
    }
}

/// Can others on this machine read it?
fn is_exposed(mode: u32) -> bool {
    mode & 0o044 != 0
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
}

fn no_jar(name: &SiteName, why: &str) -> Failure {
    Failure::new(FailureKind::LoginRequired, format!("the jar of {name} {why}"))
}

fn chain(unfit: &Unfit) -> String {
    let chain = std::iter::successors(Some(unfit as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn read(dir: &Path, name: &SiteName) -> Result<Jar, Unfit> {
    // a pipe in its place must not keep us waiting; a link is the operator's own affair
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or_default();
    let opened = File::options().read(true).custom_flags(flags).open(dir.join(format!("{name}.txt")));
    let file = opened.map_err(Unfit::Unreadable)?;
    let about = file.metadata().map_err(Unfit::Unreadable)?;
    if !about.is_file() {
        return Err(Unfit::NoFile);
    }
    let mode = about.mode();
    if mode & 0o022 != 0 {
        return Err(Unfit::Writable);
    }
    if is_exposed(mode) {
        // secrets that are mounted into containers are like this
        tracing::warn!(jar = %name, "the jar of {name} can be read by other users of this machine; its mode should be 0600");
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(Unfit::Unreadable)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(Unfit::TooLong);
    }
    let text = SecretString::from(String::from_utf8(bytes).map_err(|_| Unfit::NoText)?);
    let (kept, dropped) = of_site(text.expose_secret(), name);
    if dropped > 0 {
        tracing::warn!(jar = %name, dropped, "{dropped} lines of the jar of {name} are no cookies of that site and were left out");
    }
    if kept.len() == HEADER.len() { Err(Unfit::Empty) } else { Ok(Jar(Arc::new(kept.into()))) }
}

/// The cookies of a site in the form of Netscape, spelled anew; and how many lines were left out.
fn of_site(text: &str, site: &SiteName) -> (String, usize) {
    let mut kept = HEADER.to_owned();
    let mut dropped = 0;
    for line in text.lines() {
        let cookie = line.strip_prefix(HTTP_ONLY).unwrap_or(line);
        if cookie.starts_with('#') || cookie.trim().is_empty() {
            continue;
        }
        match spelled_anew(cookie, site) {
            Some(cookie) => kept.push_str(&cookie),
            None => dropped += 1,
        }
    }
    (kept, dropped)
}

/// domain, whether hosts below it get it, path, whether only https does, Unix time of its end (0: none), name, value.
fn spelled_anew(line: &str, site: &SiteName) -> Option<String> {
    let [domain, _, path, secure, ends, name, value] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let bare = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let named: SiteName = bare.parse().ok()?;
    // RFC 6265 §4.1.1 allows less still; some clients would drop the whole header for one that is not ASCII
    let is_text = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    // some write a fraction of a second, or -1 for the end of the session
    let ends = ends.split('.').next().and_then(|ends| ends.parse::<u64>().ok()).unwrap_or(0);
    let is_secure = secure.eq_ignore_ascii_case("true");
    if !site.covers(&Host::Domain(&bare))
        || !path.starts_with('/')
        || name.is_empty()
        || name.contains([';', '='])
        || ![path, name, value].into_iter().all(is_text)
    {
        return None;
    }
    // the second field has to say what the dot says, or Python's jar does not read on
    let (dot, below) = if domain.starts_with('.') { (".", "TRUE") } else { ("", "FALSE") };
    let secure = if is_secure { "TRUE" } else { "FALSE" };
    Some(format!("{dot}{named}\t{below}\t{path}\t{secure}\t{ends}\t{name}\t{value}\n"))
}

#[cfg(test)]
mod tests;
