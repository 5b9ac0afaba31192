//! The doctor: faults that newcomers make are planted, and each is found with its remedy.

mod access;
mod bucket;
mod healthy;
mod redis;
mod worker;

use std::process::Output;

use anyhow::{Context as _, Result};
use haul_tests::processes::said_with;
use serde_json::Value;

/// What a doctor has told.
struct Told {
    code: Option<i32>,
    checks: Vec<Value>,
    text: String,
}

/// A fault that was planted: the check that has to find it, how bad it is, a word of what was seen, and one of the remedy.
type Planted<'a> = (&'a str, &'a str, &'a str, &'a str);

impl Told {
    fn of(output: &Output) -> Result<Self> {
        let text = String::from_utf8(output.stdout.clone())?;
        let said = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_str(&text).with_context(said)?;
        let checks = report["checks"].as_array().with_context(said)?.clone();
        Ok(Self { code: output.status.code(), checks, text })
    }

    #[track_caller]
    fn finds(&self, planted: &[Planted<'_>]) {
        for (name, status, found, remedy) in planted {
            let has =
                |check: &Value, field: &str, text: &str| check[field].as_str().is_some_and(|it| it.contains(text));
            let is_it = |check: &&Value| {
                check["name"] == *name
                    && check["status"] == *status
                    && has(check, "found", found)
                    && has(check, "remedy", remedy)
            };
            assert!(
                self.checks.iter().any(|check| is_it(&check)),
                "{name} {status} {found:?} {remedy:?} in {}",
                self.text
            );
        }
    }

    /// The names of all that was looked at.
    fn names(&self) -> Vec<&str> {
        self.checks.iter().filter_map(|check| check["name"].as_str()).collect()
    }

    /// The names of all that is not as it should be.
    fn ills(&self) -> Vec<&str> {
        let ills = self.checks.iter().filter(|check| check["status"] != "ok");
        ills.filter_map(|check| check["name"].as_str()).collect()
    }
}

/// A doctor of `haul-api` or `haul-worker`, in an environment of these variables.
async fn doctor(program: &str, variables: &[(&str, &str)]) -> Result<Told> {
    Told::of(&said_with(program, &["doctor", "--json"], variables).await?)
}
