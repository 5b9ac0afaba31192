//! The environment as it was at start, and the reader that turns it into values, collecting every fault.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use super::parse::Parsed;
use super::vars::{self, Process, Var};

/// A snapshot of the environment. Nothing is read from the environment after it was taken.
#[derive(Clone)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The environment of this process, now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// An environment of these variables and no others.
    pub fn of_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// What is odd but harmless: for the log, once there is one.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let ours = self.0.keys().filter_map(|name| name.to_str()).filter(|name| name.starts_with("HAUL_"));
        let unknown = ours.filter(|name| vars::ALL.iter().all(|var| var.name != *name));
        let mut warnings: Vec<Warning> =
            unknown.map(|name| Warning::Unknown { name: name.to_owned(), nearest: nearest(name) }).collect();
        let key = self.get(vars::SIGNING_KEY.name).map_or(0, OsStr::len);
        if (1..32).contains(&key) {
            warnings.push(Warning::ShortKey { name: vars::SIGNING_KEY.name });
        }
        let is_set = |var: &Var| self.get(var.name).is_some_and(|value| !value.is_empty());
        for (var, needed) in [(&vars::REGION_HEADER, &vars::TRUSTED_PROXIES), (&vars::REGION_MAP, &vars::REGION_HEADER)]
        {
            if is_set(var) && !is_set(needed) {
                warnings.push(Warning::NoEffect { name: var.name, needed: needed.name });
            }
        }
        warnings
    }

    /// Does whoever started us want no colours (<https://no-color.org>)?
    #[must_use]
    pub fn wants_no_colours(&self) -> bool {
        self.get("NO_COLOR").is_some_and(|value| !value.is_empty())
    }

    /// The variables with such names, for a program that is not ours.
    pub fn those(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<(OsString, OsString)> {
        let wanted = self.0.iter().filter(|(name, _)| name.to_str().is_some_and(&is_wanted));
        wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }
}

impl fmt::Debug for Env {
    /// Names only: some values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The known name that takes the fewest edits to reach.
fn nearest(name: &str) -> &'static str {
    let nearest = vars::ALL.iter().min_by_key(|var| edits(name, var.name));
    nearest.expect("the table is not empty").name
}

/// Levenshtein's distance in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Something odd but harmless; each is a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A misspelling, most likely.
    #[error("{name} is no variable of Haul; the nearest is {nearest}")]
    Unknown {
        /// As it is set.
        name: String,
        /// The known name that takes the fewest edits to reach.
        nearest: &'static str,
    },
    /// A secret that could be guessed.
    #[error("{name} is shorter than 32 characters")]
    ShortKey {
        /// The variable's.
        name: &'static str,
    },
    /// One that says nothing without another.
    #[error("{name} has no effect without {needed}")]
    NoEffect {
        /// The one that is set.
        name: &'static str,
        /// The one that is not.
        needed: &'static str,
    },
}

/// Something wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub var: &'static str,
    /// What is wrong; never holds a secret.
    pub what: String,
}

/// Everything that is wrong, at once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Each of them.
    #[must_use]
    pub fn all(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.var, fault.what))
    }
}

impl std::error::Error for Faults {}

/// Reads variables for one process. A fault is noted and the default taken in its place, so that one start tells
/// all faults; [`Reader::finish`] hands out nothing if there was any.
pub struct Reader<'a> {
    env: &'a Env,
    process: Process,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// A reader for this process.
    #[must_use]
    pub fn new(env: &'a Env, process: Process) -> Self {
        Self { env, process, faults: Vec::new() }
    }

    /// Whom it reads for.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process
    }

    /// The directories that programs are looked for in (`PATH`).
    pub fn search_path(&self) -> impl Iterator<Item = PathBuf> + use<'a> {
        self.env.get("PATH").into_iter().flat_map(std::env::split_paths)
    }

    /// A variable with a default.
    ///
    /// # Panics
    /// When the table has no default for it, or one that cannot be read.
    pub fn value<T>(&mut self, var: &'static Var, parse: impl Fn(&str) -> Parsed<T>) -> T {
        self.optional(var, &parse).unwrap_or_else(|| {
            let default = var.default.unwrap_or_else(|| panic!("{} has no default", var.name));
            parse(default).unwrap_or_else(|expected| panic!("default of {} is not {expected}", var.name))
        })
    }

    /// A variable, if it is set. An empty one is not.
    pub fn optional<T>(&mut self, var: &'static Var, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        debug_assert!(self.process.reads(var.process), "{} is not read by {:?}", var.name, self.process);
        let Some(text) = self.env.get(var.name)?.to_str().map(str::trim) else {
            self.fault(var, "is not valid UTF-8");
            return None;
        };
        if text.is_empty() {
            return None;
        }
        match parse(text) {
            Ok(value) => Some(value),
            // what stands before an @ may be a password, whatever the variable
            Err(expected) if var.secret || text.contains('@') => {
                self.fault(var, format!("expected {expected}"));
                None
            }
            Err(expected) => {
                let shown: String = text.chars().take(80).collect();
                self.fault(var, format!("expected {expected}, not {shown:?}"));
                None
            }
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, var: &Var, what: impl Into<String>) {
        self.faults.push(Fault { var: var.name, what: what.into() });
    }

    /// What was wrong so far, for who looks at a configuration instead of working by it.
    #[must_use]
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Hands out what was read, unless there was a fault.
    ///
    /// # Errors
    /// All faults.
    pub fn finish<T>(&mut self, config: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(config) } else { Err(Faults(std::mem::take(&mut self.faults))) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn warnings(env: &Env) -> Vec<String> {
        env.warnings().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_secret() {
        let env =
            Env::of_pairs([("HAUL_SLOTS", "none"), ("HAUL_REDIS_URL", "http://hunter2"), ("HAUL_RETRIES", " 7 ")]);
        let mut reader = Reader::new(&env, Process::Worker);
        reader.value(&vars::SLOTS, parse::number(1, 256));
        reader.value(&vars::REDIS_URL, parse::redis_url);
        assert_eq!(reader.value(&vars::RETRIES, parse::number(0, 100)), 7);
        let faults = reader.finish(()).unwrap_err();
        expect_test::expect![[r#"
            the configuration is not usable
              HAUL_SLOTS: expected a whole number from 1 to 256, not "none"
              HAUL_REDIS_URL: expected a redis:// or rediss:// URL"#]]
        .assert_eq(&faults.to_string());
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let env = Env::of_pairs([("HAUL_SLOTS", ""), ("HAUL_MAX_DURATION", " ")]);
        let mut reader = Reader::new(&env, Process::Worker);
        assert_eq!(reader.value(&vars::SLOTS, parse::number(1, 256)), 2);
        assert_eq!(reader.optional(&vars::MAX_DURATION, parse::text), None);
        reader.finish(()).unwrap();
    }

    #[test]
    fn an_unknown_variable_is_told_with_its_nearest_neighbour() {
        let env = Env::of_pairs([("HAUL_SLOT", "2"), ("HAUL_REDIS_URI", "x"), ("HAUL_LOG", "info"), ("HOME", "/")]);
        expect_test::expect![[r#"
            HAUL_REDIS_URI is no variable of Haul; the nearest is HAUL_REDIS_URL
            HAUL_SLOT is no variable of Haul; the nearest is HAUL_SLOTS"#]]
        .assert_eq(&warnings(&env).join("\n"));
    }

    #[test]
    fn a_place_that_nobody_is_believed_about_is_told() {
        let warnings = |names: &[&str]| warnings(&Env::of_pairs(names.iter().map(|name| (*name, "x"))));
        let (map, header, proxies) = ("HAUL_REGION_MAP", "HAUL_REGION_HEADER", "HAUL_TRUSTED_PROXIES");
        assert_eq!(warnings(&[map]), ["HAUL_REGION_MAP has no effect without HAUL_REGION_HEADER"]);
        assert_eq!(warnings(&[map, header]), ["HAUL_REGION_HEADER has no effect without HAUL_TRUSTED_PROXIES"]);
        assert!(warnings(&[map, header, proxies]).is_empty());
    }

    #[test]
    fn a_short_signing_key_is_told_but_not_shown() {
        let env = Env::of_pairs([("HAUL_SIGNING_KEY", "hunter2")]);
        assert_eq!(warnings(&env), ["HAUL_SIGNING_KEY is shorter than 32 characters"]);
    }
}
