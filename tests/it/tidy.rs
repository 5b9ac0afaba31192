//! The tree keeps its own rules: what a reader may rely on in any file, checked on the text itself.
//!
//! What a lint can see is in the `[workspace.lints]` tables and in `clippy.toml`. Words that are searched for are put together
//! from two halves, so that this file does not accuse itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE_LINES: usize = 400;

/// A file of the tree: its path from the top, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }

    fn in_crates(&self) -> bool {
        self.path.starts_with("crates/")
    }

    /// Lines with their number, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The line where the tests of this file begin; past the end if it has none.
    fn tests_begin(&self) -> usize {
        if !self.in_crates() || self.path.contains("/tests/") {
            return 0;
        }
        self.text.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX)
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie below the top").to_path_buf()
}

/// Every text file that is, or could be, committed.
fn tree() -> Vec<Source> {
    let top = top();
    let (mut found, mut folders) = (Vec::new(), vec![top.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read") {
            let entry = entry.expect("the tree can be read");
            let path = entry.path();
            let name = path.strip_prefix(&top).expect("below the top").to_str().expect("a name in UTF-8").to_owned();
            let kind = entry.file_type().expect("the tree can be read");
            if [".git", ".tools", ".env", "data", "dist", "target"].contains(&name.as_str()) || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push(Source { path: name, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust() -> Vec<Source> {
    tree().into_iter().filter(|file| file.is("rs")).collect()
}

/// `path:line: text` for every line of code that holds one of the words in a file that may not.
fn uses(files: &[Source], words: &[&str], may: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !may(file)) {
        for (at, line) in file.code() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{at}: {}", file.path, line.trim()));
            }
        }
    }
    found
}

#[track_caller]
fn none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// The names of all tests: the first `fn` after an attribute that ends in `test]` or has arguments.
fn test_names(files: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim_start) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test && !line.starts_with("//")) {
                names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                is_test = false;
            }
        }
    }
    names
}

/// The names in every `(test: a)` and `(tests: a, b)` of a page.
fn promised(text: &str) -> Vec<String> {
    let starts = text.match_indices("(test: ").chain(text.match_indices("(tests: "));
    let lists = starts.filter_map(|(at, start)| text[at + start.len()..].split_once(')'));
    lists
        .flat_map(|(list, _)| list.split(','))
        .map(|name| name.trim().trim_matches('`').rsplit("::").next().unwrap_or_default().to_owned())
        .collect()
}

/// The links of a page that lead into the tree: to which file, none being this page, and to which of its headings.
fn links(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.match_indices("](")
        .filter_map(|(at, start)| text[at + start.len()..].split_once(')'))
        .map(|(target, _)| target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading))))
        .filter(|(file, heading)| !file.contains("://") && (!file.is_empty() || heading.is_some()))
}

/// What the headings of a page are linked by.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    };
    titles.map(|title| title.chars().filter_map(letter).collect()).collect()
}

#[test]
fn files_are_short() {
    let long: Vec<_> = rust()
        .iter()
        .filter(|file| file.text.lines().count() > LONGEST_FILE_LINES)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    none("a file has at most 400 lines", &long);
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let offences: Vec<_> =
        rust().iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path.clone()).collect();
    none("a Rust file opens with `//!`: what it decides and what it leaves to others", &offences);
}

#[test]
fn every_script_states_its_contract_first() {
    let offences: Vec<_> = tree()
        .iter()
        // the prelude is no script: it is what all of them share
        .filter(|file| file.is("lua") && !file.path.ends_with("/prelude.lua"))
        .filter(|file| {
            let name = Path::new(&file.path).file_stem().and_then(|name| name.to_str()).expect("a script has a name");
            let mut contract = file.text.lines().take_while(|line| line.starts_with("-- "));
            let says_its_name = file.text.starts_with(&format!("-- {name}: "));
            !(says_its_name && contract.any(|line| line.starts_with("-- Returns")))
        })
        .map(|file| file.path.clone())
        .collect();
    none("a Lua file opens with its contract: its name and what it does, ARGV, Returns", &offences);
}

#[test]
fn shell_scripts_stop_at_the_first_fault() {
    let offences: Vec<_> = tree()
        .iter()
        .filter(|file| file.text.starts_with("#!") && file.text.lines().next().is_some_and(|line| line.ends_with("sh")))
        .filter(|file| !file.text.starts_with("#!/usr/bin/env bash") || !file.text.contains("\nset -euo pipefail\n"))
        .map(|file| file.path.clone())
        .collect();
    none("a script runs under bash with `set -euo pipefail`", &offences);
}

#[test]
fn nothing_is_half_done_or_silenced() {
    let words = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
        concat!("#![al", "low("),
    ];
    none(
        "no half-done code, no ignored test, and lints are silenced by `expect` with a reason",
        &uses(&rust(), &words, |_| false),
    );
}

#[test]
fn no_test_waits_for_a_fixed_time() {
    let words = [concat!("thread::", "sleep("), concat!("time::", "sleep("), concat!("sle", "ep(Duration")];
    let mut offences = Vec::new();
    // the harness polls for conditions, its origins are slow, its workers busy and its links cut on purpose; under a paused clock
    // nothing really waits
    let may = ["tests/harness/", "tests/chaos/", "tests/topology/"];
    for file in rust().iter().filter(|file| !may.iter().any(|folder| file.path.starts_with(folder))) {
        let begin = file.tests_begin();
        let paused = file.text.contains("start_paused");
        for (at, line) in file.code().filter(|(at, _)| *at > begin && !paused) {
            if words.iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{at}: {}", file.path, line.trim()));
            }
        }
    }
    none("a test waits for a condition, with a bound", &offences);
}

#[test]
fn modules_have_names_that_mean_something() {
    let vague = ["common", "helper", "helpers", "misc", "util", "utils"];
    let offences: Vec<_> = rust()
        .iter()
        .filter(|file| {
            Path::new(&file.path)
                .components()
                .any(|part| vague.contains(&part.as_os_str().to_str().unwrap_or_default().trim_end_matches(".rs")))
        })
        .map(|file| file.path.clone())
        .collect();
    none("a module is named for what it decides", &offences);
}

#[test]
fn key_text_of_redis_is_made_in_one_place() {
    let crates: Vec<_> = tree().into_iter().filter(Source::in_crates).collect();
    let may = |file: &Source| file.path == "crates/shared/src/store/keys.rs";
    none("only store::keys spells the keys of Redis", &uses(&crates, &[concat!("ha", "ul1")], may));
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let words = [
        concat!("env::", "var("),
        concat!("env::", "vars("),
        concat!("env::", "var_os("),
        concat!("env::", "vars_os("),
    ];
    let may = |file: &Source| file.path.starts_with("crates/shared/src/config");
    none("only shared::config reads the environment", &uses(&rust(), &words, may));
}

#[test]
fn programs_are_started_in_one_place() {
    let words = [concat!("Command", "::new("), concat!("CommandWrap", "::with_new(")];
    let may = |file: &Source| {
        file.path.starts_with("crates/worker/src/process")
            || file.path.starts_with("crates/jail/src")
            || file.path.starts_with("tests/")
            || file.path.contains("/tests/")
    };
    none("only worker::process and the launcher start programs", &uses(&rust(), &words, may));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("py", "pi.org"),
        concat!("python", "hosted.org"),
        concat!("npm", "js.org"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("deb.", "debian.org"),
        concat!("archive.", "ubuntu.com"),
    ];
    let offences: Vec<_> = tree()
        .iter()
        .flat_map(|file| file.text.lines().enumerate().map(move |(at, line)| (file, at + 1, line)))
        .filter(|(_, _, line)| words.iter().any(|word| line.contains(word)))
        .map(|(file, at, _)| format!("{}:{at}", file.path))
        .collect();
    none("no path of a machine, no host of a package registry", &offences);
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let tests = test_names(&rust());
    let mut offences = Vec::new();
    for page in tree().iter().filter(|file| file.is("md")) {
        let missing = promised(&page.text).into_iter().filter(|name| !tests.contains(name));
        offences.extend(missing.map(|name| format!("{}: {name}", page.path)));
    }
    none("a page promises by a test that does not exist", &offences);
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut offences = Vec::new();
    for page in tree().iter().filter(|file| file.is("md")) {
        let folder = top().join(&page.path).parent().expect("a file is in a folder").to_path_buf();
        for (file, heading) in links(&page.text) {
            let target = if file.is_empty() { top().join(&page.path) } else { folder.join(file) };
            let is_there = match heading {
                None => target.exists(),
                Some(heading) => fs::read_to_string(target).is_ok_and(|text| headings(&text).contains(heading)),
            };
            if !is_there {
                offences.push(format!("{}: {file}#{}", page.path, heading.unwrap_or_default()));
            }
        }
    }
    none("a page links to a file or heading that does not exist", &offences);
}

#[test]
fn every_variable_that_is_named_exists() {
    let known = fs::read_to_string(top().join(".env.example")).expect(".env.example is in the tree");
    let names = |text: &str| -> BTreeSet<String> {
        let starts = text.match_indices("HAUL_").map(|(at, _)| &text[at..]);
        starts
            .map(|rest| {
                rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect()
            })
            .collect()
    };
    // those of the service, and those of its client
    let client = fs::read_to_string(top().join("crates/cli/src/args.rs")).expect("the client has a command line");
    let known: BTreeSet<String> = names(&known).union(&names(&client)).cloned().collect();
    let mut offences = Vec::new();
    let speaks = |file: &Source| {
        file.is("md") || file.is("yml") || file.path.starts_with("deploy/") || file.path.starts_with("Docker")
    };
    for file in tree().iter().filter(|file| speaks(file)) {
        // `HAUL_*` and `HAUL_` speak of all of them
        let wrong = names(&file.text).into_iter().filter(|name| name != "HAUL_" && !known.contains(name));
        offences.extend(wrong.map(|name| format!("{}: {name}", file.path)));
    }
    none("a variable is named that does not exist", &offences);
}
