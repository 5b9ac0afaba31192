//! The command line of `haul-worker`. What it does is configured by the environment alone.

use clap::{Parser, Subcommand};
use haul_shared::config::{Process, render};
use haul_shared::doctor::DoctorArgs;

use crate::update::UpdateArgs;

/// Takes jobs from the queue of Haul and runs them.
#[derive(Debug, Clone, Parser)]
#[command(name = "haul-worker", version, after_help = render::help(Process::Worker))]
pub struct Cli {
    /// What to do instead of working.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do beside its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Exits with 0 when the running worker is ready.
    Healthcheck,
    /// Looks at all that the worker needs, and says what to do about what is not so. Exits with 0 when nothing has failed.
    Doctor(DoctorArgs),
    /// Says which yt-dlp runs here, which is to be had, and how the workers' versions do. Exits with 0 when there is nothing newer, with 1
    /// when there is, with 2 when that could not be found out.
    UpdateCheck(UpdateArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_has_the_variables() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("healthcheck") && help.contains("HAUL_SLOTS"), "{help}");
        assert_eq!(Cli::parse_from(["haul-worker", "healthcheck"]).command, Some(Command::Healthcheck));
        assert_eq!(Cli::parse_from(["haul-worker"]).command, None);
        let doctor = Cli::parse_from(["haul-worker", "doctor", "--strict"]).command;
        assert_eq!(doctor, Some(Command::Doctor(DoctorArgs { json: false, strict: true })));
        let update = Cli::parse_from(["haul-worker", "update-check", "--json"]).command;
        assert_eq!(update, Some(Command::UpdateCheck(UpdateArgs { json: true })));
    }
}
