//! The doctor: looks at all that a process will need before, or while, it runs, and says what to do about what is not so.
//!
//! A [`Check`] looks at one thing within a time of its own and gives [`Finding`]s; independent checks run together
//! ([`examine`]), and the [`Report`] has them in the order in which they were given. What a start refuses is judged by the code
//! of the start ([`crate::redis::RedisFacts`], [`crate::config::Faults`]); here it gets its remedy. Nothing is changed, but for
//! one object in the store that is removed again (`docs/decisions/0042`).
//!
//! Not here: what only one of the processes needs (`api::doctor`, `worker::doctor`).

mod address;
mod asked;
mod bucket;
mod config;
mod limits;
mod place;
mod redis;
mod report;
mod store;

use std::fmt;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

pub use self::redis::{cache, queue};
pub use address::address;
pub use asked::DoctorArgs;
pub use config::{are_known, configuration, is_faulty};
pub use limits::{Memory, open_files};
pub use place::{log_directory, nearest, scratch};
pub use report::{Report, Shape};
pub use store::store;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and will do harm or be slow some day.
    Warn,
    /// It does not work.
    Fail,
}

impl Status {
    /// As it is told.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was seen of one thing, and what to do about it. Holds no secret and no path of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: a group, a dot, and the thing.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was seen, for people, in one line.
    pub found: String,
    /// A command, or a variable to set. There is always one, unless all is well.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(name: &'static str, found: impl fmt::Display) -> Self {
        Self { name, status: Status::Ok, found: one_line(found), remedy: None }
    }

    /// It works for now.
    pub fn warn(name: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { name, status: Status::Warn, found: one_line(found), remedy: Some(one_line(remedy)) }
    }

    /// It does not.
    pub fn fail(name: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, found, remedy) }
    }
}

/// Characters of a line; what programs and servers say may be longer.
const LONGEST: usize = 400;

/// What comes from outside can neither forge a line nor fill the screen.
fn one_line(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let seen = |c: char| if crate::unseen::is_unseen(c) { ' ' } else { c };
    let mut line: String = text.trim().chars().take(LONGEST).map(seen).collect();
    if text.trim().chars().nth(LONGEST).is_some() {
        line.push_str(" ...");
    }
    line
}

/// What looks at one thing.
pub struct Check {
    name: &'static str,
    within: Duration,
    look: BoxFuture<'static, Vec<Finding>>,
}

impl Check {
    /// One that is given up after `within`: then its name has failed.
    pub fn new(
        name: &'static str,
        within: Duration,
        look: impl Future<Output = Vec<Finding>> + Send + 'static,
    ) -> Self {
        Self { name, within, look: Box::pin(look) }
    }

    async fn run(self) -> Vec<Finding> {
        let (name, seconds) = (self.name, self.within.as_secs());
        // a task of its own: one that waits for a disk, or panics, keeps no other from its end
        let task = AbortOnDropHandle::new(tokio::spawn(self.look));
        match timeout(self.within, task).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(broken)) => {
                vec![Finding::fail(
                    name,
                    format!("the check itself has broken: {broken}"),
                    "please report this as a fault of Haul",
                )]
            }
            Err(_) => {
                let remedy =
                    "look at what it waits for: a server or a disk that hangs, or a firewall that drops packets";
                vec![Finding::fail(name, format!("no end of it within {seconds} s"), remedy)]
            }
        }
    }
}

/// Makes all checks at once.
pub async fn examine(checks: Vec<Check>) -> Report {
    Report::of(join_all(checks.into_iter().map(Check::run)).await.into_iter().flatten().collect())
}

/// Runs a doctor to its end, on a runtime that waits for no thread that hangs in a file system.
///
/// # Errors
/// When no runtime can be made.
fn on_runtime<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_breaks_costs_itself_alone_and_order_is_kept() {
        let second = Duration::from_secs(1);
        let checks = vec![
            Check::new("a.hangs", second, std::future::pending()),
            Check::new("b.breaks", second, async { panic!("a fault of the check") }),
            Check::new("c.ends", second, async { vec![Finding::ok("c.ends", "well")] }),
        ];
        let found: Vec<_> = examine(checks).await.findings().iter().map(|it| (it.name, it.status)).collect();
        assert_eq!(found, [("a.hangs", Status::Fail), ("b.breaks", Status::Fail), ("c.ends", Status::Ok)]);
    }

    #[test]
    fn what_a_server_says_stays_in_its_line() {
        let finding = Finding::warn("a.b", "no\n  ok    c.d \u{1b}[2J", "x".repeat(1000));
        assert_eq!(finding.found, "no   ok    c.d  [2J");
        assert_eq!(finding.remedy.map(|remedy| remedy.len()), Some(LONGEST + 4));
    }
}
