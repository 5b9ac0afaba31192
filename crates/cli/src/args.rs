//! The command line: what can be said everywhere, and which commands there are.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;
use url::Url;

use crate::commands::{get, jobs, list, look, save, shell, status};
use crate::load;
use crate::notation;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    a download failed, or its result could not be saved; a limit of `load` is exceeded
  2    the command line, or what it asks for, is wrong
  3    the server can't be reached, can't serve, or answers what can't be understood
  4    the server refuses: the key, the rate, a full queue, an id that is not there
  130  Ctrl-C

Of several downloads the highest counts.";

/// Orders, follows and saves downloads of a Haul service.
#[derive(Debug, Parser)]
#[command(name = "haul", version, after_help = EXIT_CODES, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What can be said everywhere.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be said with each command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Where the service is
    #[arg(long, global = true, env = "HAUL_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = server)]
    pub server: Url,
    /// The API key; others see it in the list of processes, so use the variable or --key-file
    #[arg(long, global = true, env = "HAUL_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<SecretString>,
    /// A file with the API key and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How long to wait for an answer, and for each further piece of it
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = notation::duration)]
    pub timeout: Duration,
    /// Print JSON only: one document, or one in each line
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress and no hints, only results and what goes wrong
    #[arg(long, global = true)]
    pub quiet: bool,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Order downloads, follow them, and save what comes
    Get(Box<get::Get>),
    /// Save the results of downloads that were ordered before, once they are there
    Save(save::Save),
    /// To ask the service, or tell it something.
    #[command(flatten)]
    Ask(Question),
    /// Be many users of your own service, and tell how long its answers take
    Load(Box<load::Load>),
    /// Print a script that completes the words of this program
    Completions(shell::Completions),
    /// Print the page of the manual, or write one for each command into a folder
    Man(shell::Man),
}

/// Commands of a question and its answer.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Show how downloads stand
    Status(status::Show),
    /// List downloads, newest first
    #[command(visible_alias = "ls")]
    List(list::Show),
    /// Cancel downloads; what has ended stays as it is
    Cancel(jobs::Ids),
    /// Try failed or cancelled downloads again
    Retry(jobs::Ids),
    /// Delete downloads that have ended, and their results; cancels those that have not
    Delete(jobs::Ids),
    /// Print links to results, for another program; whoever has one can fetch
    Link(jobs::Ids),
    /// Show what is behind an address, without downloading it
    Info(look::Info),
    /// Show what would be downloaded, without downloading it
    Plan(Box<look::Plan>),
    /// Show how the service is: queues, workers, waits
    Stats,
    /// Show what the caller has: downloads and bytes
    Usage,
}

/// Reads the address of a service; it may be below a path.
fn server(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|_| "write it as in https://haul.example".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("write it as in https://haul.example".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("it has no user, query or fragment; keys have --key-file".to_owned());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::parser::ValueSource;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_has_the_exit_codes() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        for word in ["get", "completions", "HAUL_SERVER", "130  Ctrl-C"] {
            assert!(help.contains(word), "{word} in {help}");
        }
    }

    #[test]
    fn the_flags_that_people_know_mean_what_they_mean_elsewhere() {
        let line = "haul get -f mp3 -q 720p -o music -O song.mp3 -j 2 https://a.example/song";
        let Ok(Cli { command: Command::Get(get), .. }) = Cli::try_parse_from(line.split(' ')) else { panic!("{line}") };
        let (options, saving) = (&get.options, &get.saving);
        assert_eq!((options.format.as_deref(), options.quality.as_deref()), (Some("mp3"), Some("720p")));
        let where_to = (saving.dir.to_str(), saving.name.as_deref(), saving.jobs);
        assert_eq!(
            (where_to, &get.urls[..]),
            ((Some("music"), Some("song.mp3"), 2), &["https://a.example/song".to_owned()][..])
        );
    }

    #[test]
    fn a_service_is_at_an_address_of_http_perhaps_below_a_path() {
        for (text, url) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("https://a.example/haul", "https://a.example/haul/"),
            ("https://a.example/haul/", "https://a.example/haul/"),
        ] {
            assert_eq!(server(text).unwrap().as_str(), url);
        }
        for text in
            ["", "a.example", "a.example:8080", "ftp://a.example", "https://key@a.example", "https://a.example/?k=1"]
        {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn it_is_known_whether_a_key_was_seen_by_others_and_it_is_never_shown() {
        let parse = |words: &[&str]| Cli::command().get_matches_from(words);
        for words in [["haul", "--key", "k", "stats"], ["haul", "stats", "--key", "k"]] {
            assert_eq!(parse(&words).value_source("key"), Some(ValueSource::CommandLine), "{words:?}");
        }
        let cli = Cli::try_parse_from(["haul", "stats", "--key", "open-sesame"]).unwrap();
        assert!(!format!("{cli:?}").contains("sesame"));
    }
}
