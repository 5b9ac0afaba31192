//! How a doctor is asked for on the command line of its process, and what becomes of what it finds.

use std::io;

use clap::Args;

use super::{Report, Shape, on_runtime};
use crate::config::Env;

/// How the doctor tells what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// For machines: {"checks": [{"name", "status", "found", "remedy"}]}.
    #[arg(long)]
    pub json: bool,
    /// Exits with 1 also for what only has to be looked at.
    #[arg(long)]
    pub strict: bool,
}

impl DoctorArgs {
    /// Has a doctor look, and shows on the standard output what it has found. Does that pass?
    ///
    /// # Errors
    /// When no runtime can be made, or nothing can be written.
    pub fn show(self, env: &Env, examined: impl Future<Output = Report>) -> io::Result<bool> {
        let report = on_runtime(examined)?;
        report.write(&mut io::stdout(), Shape::of(self.json, env))?;
        Ok(report.passes(self.strict))
    }
}
