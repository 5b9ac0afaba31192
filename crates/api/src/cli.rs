//! The command line of `haul-api`. What it serves is configured by the environment alone.

use clap::{Parser, Subcommand};
use haul_shared::config::{Process, render};
use haul_shared::doctor::DoctorArgs;

/// Serves the HTTP API of Haul.
#[derive(Debug, Clone, Parser)]
#[command(name = "haul-api", version, after_help = render::help(Process::Api))]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do beside its work.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Exits with 0 when the running API is ready.
    Healthcheck,
    /// Looks at all that the API needs, and says what to do about what is not so. Exits with 0 when nothing has failed.
    Doctor(DoctorArgs),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// What can be done with API keys.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeyCommand {
    /// Makes a key: itself to the standard output, once and nowhere else, its entry for the keys file to the standard error.
    New {
        /// What the key is called; its jobs are filed under it.
        name: String,
        /// A UUID instead of a longer key of our own form: the one kind of key that cobalt's page takes.
        #[arg(long)]
        uuid: bool,
    },
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
        let new = Cli::parse_from(["haul-api", "key", "new", "a b"]).command;
        assert_eq!(new, Some(Command::Key(KeyCommand::New { name: "a b".to_owned(), uuid: false })));
        assert!(Cli::try_parse_from(["haul-api", "key", "new"]).is_err());
        let doctor = Cli::parse_from(["haul-api", "doctor", "--json"]).command;
        assert_eq!(doctor, Some(Command::Doctor(DoctorArgs { json: true, strict: false })));
    }
}
