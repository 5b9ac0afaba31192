//! The command line of Haul: a client of the API like any other.
//!
//! It agrees with the service on the contract of the API and on nothing else, so it knows no type of theirs: of each
//! answer it reads the few fields that it acts on ([`wire`]), whatever else comes with them now or later. What a server
//! says is not trusted: answers have a size, names lose their way ([`name`]), text its control characters ([`text`]),
//! and bytes are a file only when they have the SHA-256 that was promised ([`download`]).
//!
//! In reading order: [`args`] and [`commands`]; [`client`], [`call`], [`wire`], [`error`] and [`patience`], which any command
//! builds on; [`options`], what is ordered; [`download`], from the order to the file; [`screen`], [`outline`] and
//! [`table`], what is shown; [`load`], which is many users at once.

pub mod args;
pub mod call;
pub mod client;
pub mod commands;
pub mod download;
pub mod error;
pub mod load;
pub mod name;
pub mod notation;
pub mod options;
pub mod outline;
pub mod patience;
pub mod problem;
pub mod screen;
pub mod table;
pub mod text;
pub mod wire;

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::Cli;
use crate::screen::Screen;

/// The whole program: reads the command line, does what it says, and tells how that went by its exit code.
pub async fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let screen = Screen::of_terminal(cli.global.json, cli.global.quiet);
    if matches.value_source("key") == Some(ValueSource::CommandLine) {
        screen.warn("whoever lists the processes of this machine sees --key; use --key-file, or the variable HAUL_KEY");
    }
    let ended = commands::run(cli, &screen).await;
    let exit = ended.unwrap_or_else(|error| {
        screen.error(&error);
        error.exit()
    });
    exit.into()
}
