//! What a program that lies in a place of its own is made of beside its file.

use std::path::{Path, PathBuf};

use super::rules::SYSTEM;

/// Where the libraries of a program are that has a `bin` of its own (`/opt/ffmpeg/bin`): `lib` and `lib64` beside that.
/// Not the whole of the place, which may be somebody's home; and nothing of a program that lies anywhere else, beside
/// whose folder may be anything (`/var/lib`). What the system has is seen anyway.
pub(crate) fn libraries_beside(program: &Path) -> Vec<PathBuf> {
    let is_of_the_system = SYSTEM.iter().any(|folder| program.starts_with(folder));
    let folder = program.parent().filter(|folder| folder.ends_with("bin") && !is_of_the_system);
    let place = folder.and_then(Path::parent);
    place.into_iter().flat_map(|place| ["lib", "lib64"].map(|name| place.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_the_libraries_of_its_own_place_and_nothing_else_of_it() {
        for (program, libraries) in [
            ("/opt/ffmpeg/bin/ffmpeg", "/opt/ffmpeg/lib /opt/ffmpeg/lib64"),
            ("/srv/me/bin/ffmpeg", "/srv/me/lib /srv/me/lib64"),
            ("/usr/local/bin/ffmpeg", ""),
            ("/bin/ffmpeg", ""),
            ("/var/haul/ffmpeg", ""),
            ("/ffmpeg", ""),
        ] {
            let found: Vec<_> =
                libraries_beside(Path::new(program)).iter().map(|path| path.display().to_string()).collect();
            assert_eq!(found.join(" "), libraries, "{program}");
        }
    }
}
