//! The command line of `haul-api`. What it serves is configured by the environment alone.

use clap::{Parser, Subcommand};
use haul_shared::config::{Process, render};

/// Serves the HTTP API of Haul.
#[derive(Debug, Clone, Parser)]
#[command(name = "haul-api", version, after_help = render::help(Process::Api))]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do beside its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Exits with 0 when the running API is ready.
    Healthcheck,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_has_the_variables() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("healthcheck") && help.contains("HAUL_LISTEN"), "{help}");
        assert_eq!(Cli::parse_from(["haul-api", "healthcheck"]).command, Some(Command::Healthcheck));
        assert_eq!(Cli::parse_from(["haul-api"]).command, None);
    }
}
