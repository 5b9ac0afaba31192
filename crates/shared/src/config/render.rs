//! The table of variables as people read it: `.env.example`, `docs/CONFIGURATION.md` and `--help`. Pure.

use std::fmt::Write as _;

use super::compose::{FIXED, KNOBS};
use super::vars::{ALL, Group, Process, Var};

/// `.env.example`: every variable, commented out, at its default; those of the processes, then those of `docker-compose.yml`.
#[must_use]
pub fn env_example() -> String {
    let mut out = String::from(
        "# Every variable of Haul at its default. Copy to .env, remove the # of what you change.\n\
         # Made from the tables in crates/shared/src/config; a test keeps it so. docker-compose.yml reads .env too.\n",
    );
    let fixed = format!("These it sets itself, whatever .env says: {}.", FIXED.join(", "));
    for line in wrap(&fixed, 110) {
        let _ = writeln!(out, "# {line}");
    }
    for group in Group::ALL {
        let _ = write!(out, "\n# --- {} ---\n", group.title());
        for var in of_group(group) {
            explain(&mut out, var.name, var.default.unwrap_or_default(), &sentence(var));
        }
    }
    out.push_str("\n# --- Docker Compose ---\n");
    for knob in KNOBS {
        explain(&mut out, knob.name, knob.default, knob.doc);
    }
    out
}

fn explain(out: &mut String, name: &str, default: &str, meaning: &str) {
    for line in wrap(&meaning.replace('`', ""), 110) {
        let _ = writeln!(out, "# {line}");
    }
    let _ = writeln!(out, "#{name}={default}");
}

/// `docs/CONFIGURATION.md`: a table per group.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         <!-- Made from the table in crates/shared/src/config/vars.rs; a test keeps it so. -->\n\n\
         Haul is configured by environment variables. Each process reads those that concern it and checks them before it\n\
         opens a port: every fault is told at once, and a secret is never printed. An empty variable counts as not set; an\n\
         unknown one that begins with `HAUL_` is told in the log, with the nearest known name. `.env.example` lists them all.\n\n\
         Durations are written `30s`, `90m` or `24h`, sizes `64KiB` or `10GiB`, rates `60/s`, `3/m` or `10/h`; lists have\n\
         commas. Credentials of an S3 store come from the standard AWS variables and chain.\n",
    );
    for group in Group::ALL {
        let _ = write!(
            out,
            "\n## {}\n\n| Variable | Default | Read by | Meaning |\n| --- | --- | --- | --- |\n",
            group.title()
        );
        for var in of_group(group) {
            let default = var.default.map_or("none".to_owned(), |default| format!("`{default}`"));
            let meaning = sentence(var).replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {default} | {} | {meaning} |", var.name, reader(var.process));
        }
    }
    out
}

/// The variables of one process, for the end of its `--help`.
#[must_use]
pub fn help(process: Process) -> String {
    let mut out = String::from("Environment variables (docs/CONFIGURATION.md has more):\n");
    for var in ALL.iter().filter(|var| process.reads(var.process)) {
        let default = var.default.map(|default| format!(" [{default}]")).unwrap_or_default();
        let _ = write!(out, "\n  {}{default}\n          {}\n", var.name, sentence(var).replace('`', ""));
    }
    out
}

fn of_group(group: Group) -> impl Iterator<Item = &'static Var> {
    ALL.iter().filter(move |var| var.group == group)
}

fn reader(process: Process) -> &'static str {
    match process {
        Process::Both => "both",
        Process::Api => "API",
        Process::Worker => "worker",
    }
}

/// What a variable means, and whether it is a secret.
fn sentence(var: &Var) -> String {
    let secret = if var.secret { " Secret." } else { "" };
    format!("{}{secret}", var.doc)
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_documents_are_those_of_the_table() {
        expect_file!["../../../../.env.example"].assert_eq(&env_example());
        expect_file!["../../../../docs/CONFIGURATION.md"].assert_eq(&markdown());
    }

    #[test]
    fn help_has_the_variables_of_its_process_only() {
        let names = |process| -> Vec<String> {
            let help = help(process);
            help.lines().filter_map(|line| line.strip_prefix("  HAUL_")).map(str::to_owned).collect()
        };
        let (api, worker) = (names(Process::Api), names(Process::Worker));
        let has = |names: &[String], line: &str| names.iter().any(|name| name == line);
        assert!(has(&api, "LISTEN [127.0.0.1:8080]") && !has(&worker, "LISTEN [127.0.0.1:8080]"));
        assert!(has(&worker, "SLOTS [2]") && !has(&api, "SLOTS [2]"));
        assert!(has(&api, "REGIONS") && has(&worker, "REGIONS"));
    }
}
