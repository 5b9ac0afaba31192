//! What was found, for people and for machines.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use serde_json::json;

use super::{Finding, Status};
use crate::config::Env;

/// All that was found, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<Finding>);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// For people, in groups.
    Text {
        /// On a terminal.
        colours: bool,
    },
    /// One object: `{"checks": [{"name", "status", "found", "remedy"}]}`.
    Json,
}

impl Shape {
    /// For a program that was asked for JSON, or else writes to its standard output for people.
    #[must_use]
    pub fn of(json: bool, env: &Env) -> Self {
        let colours = || io::stdout().is_terminal() && !env.wants_no_colours();
        if json { Self::Json } else { Self::Text { colours: colours() } }
    }
}

impl Report {
    /// Of these.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// Each of them.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// Is all well? Warnings are allowed, unless it is to be strict.
    #[must_use]
    pub fn passes(&self, is_strict: bool) -> bool {
        let worst = if is_strict { Status::Ok } else { Status::Warn };
        self.0.iter().all(|finding| finding.status <= worst)
    }

    /// Shows it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, to: &mut impl io::Write, shape: Shape) -> io::Result<()> {
        match shape {
            Shape::Text { colours } => to.write_all(self.text(colours).as_bytes()),
            Shape::Json => writeln!(to, "{:#}", self.json()),
        }
    }

    fn json(&self) -> serde_json::Value {
        let check = |finding: &Finding| {
            let Finding { name, status, found, remedy } = finding;
            json!({"name": name, "status": status.word(), "found": found, "remedy": remedy})
        };
        json!({"checks": self.0.iter().map(check).collect::<Vec<_>>()})
    }

    fn text(&self, colours: bool) -> String {
        let widest = self.0.iter().map(|finding| thing(finding.name).len()).max().unwrap_or(0);
        let (mut text, mut group) = (String::new(), "");
        for Finding { name, status, found, remedy } in &self.0 {
            if group_of(name) != group {
                group = group_of(name);
                let _infallible = writeln!(text, "{group}");
            }
            let _infallible = writeln!(text, "  {} {:widest$}  {found}", painted(*status, colours), thing(name));
            if let Some(remedy) = remedy {
                let _infallible = writeln!(text, "         {remedy}");
            }
        }
        let count = |status| self.0.iter().filter(|finding| finding.status == status).count();
        let (ok, warn, fail) = (count(Status::Ok), count(Status::Warn), count(Status::Fail));
        let _infallible = writeln!(text, "{ok} ok, {warn} to look at, {fail} failed");
        text
    }
}

/// What stands in front of the dot.
fn group_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(group, _)| group)
}

fn thing(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, thing)| thing)
}

/// Of one width.
fn painted(status: Status, colours: bool) -> String {
    let word = format!("{:<4} ", status.word());
    let colour = match status {
        Status::Ok => 32,
        Status::Warn => 33,
        Status::Fail => 31,
    };
    if colours { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn report() -> Report {
        Report::of(vec![
            Finding::ok("redis.reach", "127.0.0.1:6379 answers"),
            Finding::fail(
                "redis.eviction",
                "maxmemory-policy is allkeys-lru",
                "redis-cli CONFIG SET maxmemory-policy noeviction",
            ),
            Finding::warn("clock.redis", "1.5 s off", "run chrony"),
        ])
    }

    fn check(shape: Shape, expected: &Expect) {
        let mut shown = Vec::new();
        report().write(&mut shown, shape).unwrap();
        expected.assert_eq(&String::from_utf8(shown).unwrap());
    }

    #[test]
    fn people_are_told_in_groups_with_the_remedy_below() {
        check(
            Shape::Text { colours: false },
            &expect![[r#"
                redis
                  ok    reach     127.0.0.1:6379 answers
                  fail  eviction  maxmemory-policy is allkeys-lru
                         redis-cli CONFIG SET maxmemory-policy noeviction
                clock
                  warn  redis     1.5 s off
                         run chrony
                1 ok, 1 to look at, 1 failed
            "#]],
        );
    }

    #[test]
    fn a_terminal_has_colours_and_nothing_else_differs() {
        let (plain, painted) = (report().text(false), report().text(true));
        assert!(painted.contains("\u{1b}[31mfail \u{1b}[0m") && !plain.contains('\u{1b}'));
        let without = painted.replace("\u{1b}[0m", "").replace("\u{1b}[31m", "");
        assert_eq!(without.replace("\u{1b}[32m", "").replace("\u{1b}[33m", ""), plain);
    }

    #[test]
    fn machines_are_told_the_same() {
        check(
            Shape::Json,
            &expect![[r#"
                {
                  "checks": [
                    {
                      "found": "127.0.0.1:6379 answers",
                      "name": "redis.reach",
                      "remedy": null,
                      "status": "ok"
                    },
                    {
                      "found": "maxmemory-policy is allkeys-lru",
                      "name": "redis.eviction",
                      "remedy": "redis-cli CONFIG SET maxmemory-policy noeviction",
                      "status": "fail"
                    },
                    {
                      "found": "1.5 s off",
                      "name": "clock.redis",
                      "remedy": "run chrony",
                      "status": "warn"
                    }
                  ]
                }
            "#]],
        );
    }

    #[test]
    fn warnings_pass_unless_it_is_strict() {
        let of = |finding: &Finding| Report::of(vec![finding.clone()]);
        let passes = |finding| [of(finding).passes(false), of(finding).passes(true)];
        let report = report();
        let [ok, fail, warn] = report.findings() else { panic!("three") };
        assert_eq!([passes(ok), passes(warn), passes(fail)], [[true, true], [true, false], [false, false]]);
    }
}
