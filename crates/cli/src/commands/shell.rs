//! `haul completions` and `haul man`: what a shell and a manual are told of this program.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::{Error, Exit};
use crate::screen::Screen;

/// For which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// Where pages of the manual go.
#[derive(Debug, Args)]
pub struct Man {
    /// A folder: haul.1 and a page for each command are written there
    pub dir: Option<PathBuf>,
}

/// Prints a script for a shell.
///
/// # Errors
/// When the standard output is closed.
pub fn complete(screen: &Screen, completions: &Completions) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "haul", &mut script);
    screen.say([String::from_utf8_lossy(&script).trim_end()])?;
    Ok(Exit::Done)
}

/// Prints the page of the manual, or writes all of them.
///
/// # Errors
/// When that can't be written.
pub fn explain(screen: &Screen, man: &Man) -> Result<Exit, Error> {
    let Some(dir) = &man.dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|source| Error::File { what: "can't write the page".to_owned(), source })?;
        screen.say([String::from_utf8_lossy(&page).trim_end()])?;
        return Ok(Exit::Done);
    };
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|error| Error::file(dir, error))?;
    screen.note(&format!("the pages are in {}", dir.display()));
    Ok(Exit::Done)
}
