//! Whether the keys file is the operator's alone.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What others on this machine may do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    /// Put a key of their own into it.
    #[error("the keys file can be written by other users of this machine: they can let themselves in")]
    Writable,
    /// Read names, hashes and the secrets of webhooks.
    #[error("the keys file can be read by all users of this machine, with the secrets of webhooks in it")]
    Readable,
}

/// May others have at it? A group may read it: so are secrets mounted into containers.
///
/// # Errors
/// When it can't be looked at.
pub fn exposed(file: &Path) -> io::Result<Option<Exposed>> {
    Ok(of_mode(fs::metadata(file)?.mode()))
}

fn of_mode(mode: u32) -> Option<Exposed> {
    match mode {
        mode if mode & 0o022 != 0 => Some(Exposed::Writable),
        mode if mode & 0o004 != 0 => Some(Exposed::Readable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_exposed_by_its_mode() {
        for (mode, exposed) in [
            (0o600, None),
            (0o440, None),
            (0o644, Some(Exposed::Readable)),
            (0o660, Some(Exposed::Writable)),
            (0o602, Some(Exposed::Writable)),
        ] {
            assert_eq!(of_mode(0o100_000 | mode), exposed, "{mode:o}");
        }
    }
}
