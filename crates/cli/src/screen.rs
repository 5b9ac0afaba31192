//! What is shown, and where: results on the standard output, progress and what goes wrong on the standard error.
//!
//! Progress is a bar for each job on a terminal, lines elsewhere, and nothing with `--json` or `--quiet`. A reader who goes
//! away, as `head` does, ends without a word what only shows; what was ordered is saved all the same.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::Error;
use crate::outline::{bytes_of, length_of};
use crate::table::cut;
use crate::text::plain;
use crate::wire::{Job, Status};

/// Columns of a job's name before its bar.
const NAME_COLUMNS: usize = 30;

/// A line of progress for each so many per cent, where there is no bar.
const STEP_PERCENT: f64 = 25.0;

/// The two outputs of the program.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    quiet: bool,
    bars: Option<MultiProgress>,
}

/// How one job is doing, on the screen; gone from it when dropped.
#[derive(Debug)]
pub struct Row<'s> {
    screen: &'s Screen,
    name: String,
    bar: Option<ProgressBar>,
    told: String,
}

impl Screen {
    /// The outputs as they are: with bars if the standard error is a terminal.
    #[must_use]
    pub fn of_terminal(json: bool, quiet: bool) -> Self {
        let has_bars = !json && !quiet && io::stderr().is_terminal();
        let bars = has_bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { json, quiet, bars }
    }

    /// Is JSON asked for?
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints results, a line each.
    ///
    /// # Errors
    /// When nobody reads them.
    pub fn say<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) -> Result<(), Error> {
        self.beside_bars(|| {
            let mut out = io::stdout().lock();
            lines.into_iter().try_for_each(|line| writeln!(out, "{}", line.as_ref())).and_then(|()| out.flush())
        })
        .map_err(|source| Error::File { what: "can't write to the standard output".to_owned(), source })
    }

    /// Prints a value in one line of JSON.
    ///
    /// # Errors
    /// When nobody reads it.
    pub fn say_json(&self, value: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(value);
        self.say([line.map_err(|error| Error::Garbled { what: error.to_string(), passes: None })?])
    }

    /// Tells what a person may want to know.
    pub fn note(&self, line: &str) {
        if !self.quiet && !self.json {
            self.tell(line);
        }
    }

    /// Tells what a person should know.
    pub fn warn(&self, line: &str) {
        if !self.quiet {
            self.tell(line);
        }
    }

    /// Tells what went wrong.
    pub fn error(&self, error: &Error) {
        // whoever closed our output does not wait for a reason
        if !matches!(error, Error::File { source, .. } if source.kind() == io::ErrorKind::BrokenPipe) {
            self.tell(&error.to_string());
        }
    }

    /// Tells what went wrong with one of several.
    pub fn error_of(&self, label: &str, error: &Error) {
        self.tell(&format!("{}: {error}", plain(label)));
    }

    /// Shows how a job is doing from now on.
    #[must_use]
    pub fn row(&self, label: &str) -> Row<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("{prefix:30} [{bar:25}] {percent:>3} %  {msg}");
            let bar = ProgressBar::new(100).with_style(style.expect("a template without fault").progress_chars("=> "));
            bars.add(bar)
        });
        let mut row = Row { screen: self, name: String::new(), bar, told: String::new() };
        row.is_called(label);
        row
    }

    /// A line that is written over and over, where there is a terminal; gone from it when the bar is dropped.
    #[must_use]
    pub fn line(&self) -> Option<ProgressBar> {
        let style = || ProgressStyle::with_template("{msg}").expect("a template without fault");
        self.bars.as_ref().map(|bars| bars.add(ProgressBar::new_spinner().with_style(style())))
    }

    fn tell(&self, line: &str) {
        // there is nobody else to tell that this can't be told
        let _told = self.beside_bars(|| writeln!(io::stderr().lock(), "haul: {line}"));
    }

    fn beside_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Row<'_> {
    /// Names it otherwise.
    pub fn is_called(&mut self, label: &str) {
        self.name = cut(&plain(label), NAME_COLUMNS);
        if let Some(bar) = &self.bar {
            bar.set_prefix(self.name.clone());
        }
    }

    /// Shows how the job stands.
    pub fn shows(&mut self, job: &Job) {
        self.is_called(&job.label());
        if let Some(bar) = &self.bar {
            bar.set_position(job.percent() as u64);
            bar.set_message(standing(job));
            return;
        }
        let step = (job.percent() / STEP_PERCENT).floor() * STEP_PERCENT;
        let stage = job.stage.as_deref().unwrap_or(job.status.word());
        self.tells(format!("{} {step} %", plain(stage)));
    }

    /// Shows how much of the result is saved, in bytes.
    pub fn saves(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(100 * done / total.max(1));
            bar.set_message(format!("saving, {} of {}", bytes_of(done), bytes_of(total)));
            return;
        }
        self.tells(format!("saving {}", bytes_of(total)));
    }

    /// In lines: what was told last is not told again.
    fn tells(&mut self, what: String) {
        if self.told != what {
            self.screen.note(&format!("{}: {what}", self.name));
            self.told = what;
        }
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How a job stands, behind its bar.
fn standing(job: &Job) -> String {
    let mut words = vec![plain(job.stage.as_deref().unwrap_or(job.status.word()))];
    if job.status == Status::Queued {
        words.extend(job.queue_position.map(|position| format!("turn {position}")));
        words.extend(job.error.as_ref().map(|error| format!("again after {}", plain(&error.code))));
    }
    if let Some(progress) = &job.progress {
        words
            .extend(progress.speed_bytes_per_second.filter(|speed| *speed > 0).map(|it| format!("{}/s", bytes_of(it))));
        words.extend(progress.eta_seconds.map(|seconds| format!("{} left", length_of(seconds as f64))));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_its_bar_a_job_says_what_is_known_and_no_more() {
        let job = |text: &str| -> Job {
            let text = format!(r#"{{"id":"5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11",{text}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        for (text, standing_so) in [
            (r#""status":"queued","queue_position":3"#, "queued, turn 3"),
            (
                r#""status":"queued","error":{"code":"network","message":"The site did not answer."}"#,
                "queued, again after network",
            ),
            (
                r#""status":"running","stage":"download","progress":{"percent":41.5,"speed_bytes_per_second":2097152,"eta_seconds":4}"#,
                "download, 2.00 MiB/s, 4.0 s left",
            ),
            (r#""status":"running","stage":"upload","progress":{"speed_bytes_per_second":0}"#, "upload"),
        ] {
            assert_eq!(standing(&job(text)), standing_so);
        }
    }
}
